"""Grammar models of voices, and how much better the author's explains a text than other people's do (LambdaG).

After Nini, Halvani, Graner, Gherardi and Ishihara, "Grammar as a behavioural biometric" (arXiv 2403.08462): the log-likelihood ratio of a
text whose content words are masked, between an n-gram model of the author and those of a reference population, averaged over it. Here the
models are of order 3 with interpolated absolute discounting (Ney, Essen and Kneser, 1994), so that a voice is wholly given by counts of
its n-grams and no sentence of anybody needs to be kept.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin_assets.voice.space import Vectors, count_matrix

DISCOUNT = 0.75
_KINDS_OF_WORDS = 2000  # what is left of the probability is spread over as many


@dataclass(frozen=True, eq=False)
class Grams:
    """The n-grams that grammar models know: 1, 2 or 3 words, joined by blanks."""

    names: tuple[str, ...]

    @cached_property
    def places(self) -> dict[str, int]:
        """The row of each n-gram."""
        return {gram: place for place, gram in enumerate(self.names)}

    @cached_property
    def histories(self) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """The n-grams of two and three words, and for each the n-gram of all its words but the last; both as rows."""
        pairs = [(place, self.places.get(gram.rpartition(" ")[0])) for place, gram in enumerate(self.names) if " " in gram]
        known = np.array([pair for pair in pairs if pair[1] is not None], dtype=int).reshape(-1, 2)
        return known[:, 0], known[:, 1]

    @cached_property
    def single(self) -> NDArray[np.int_]:
        """The rows of single words."""
        return np.array([place for place, gram in enumerate(self.names) if " " not in gram], dtype=int)


@dataclass(frozen=True, eq=False)
class GrammarModels:
    """The n-gram models of several voices.

    Attributes:
        grams: The n-grams that are known.
        counts: How often each voice uses each, one row per n-gram, one column per voice.
        totals: Words of each voice.
    """

    grams: Grams
    counts: NDArray[np.uint32]
    totals: NDArray[np.uint32]

    def log_likelihoods(self, grams: Mapping[str, int]) -> Vectors:
        """Mean log-probability of the words of a text under each voice's model, given the counts of its n-grams."""
        longest = _longest(grams)
        words = sum(longest.values())
        if not words:
            return np.zeros(self.counts.shape[1])
        return np.log(self._probabilities(list(longest))).T @ np.fromiter(longest.values(), float) / words

    def only(self, voice: int, without: Mapping[str, int], words: int) -> "GrammarModels":
        """The model of one voice as it would have been learned without some text, given its n-grams and number of words."""
        counts = self.counts[:, [voice]].astype(np.int64)
        known = [(self.grams.places[gram], number) for gram, number in without.items() if gram in self.grams.places]
        if known:
            places, numbers = zip(*known, strict=True)
            counts[list(places), 0] -= numbers
        total = max(int(self.totals[voice]) - words, 0)
        return GrammarModels(self.grams, np.maximum(counts, 0).astype(np.uint32), np.array([total], dtype=np.uint32))

    def _probabilities(self, contexts: Sequence[str]) -> Vectors:
        """Of the last word of each n-gram after those before it, one column per voice."""
        places, none = self.grams.places, len(self.grams.names)
        parts = [gram.split(" ") for gram in contexts]
        found = np.full((len(parts), self.counts.shape[1]), 1 / _KINDS_OF_WORDS)
        for order in (1, 2, 3):
            at = np.array([places.get(" ".join(p[-order:]), none) if len(p) >= order else none for p in parts])
            seen = np.maximum(self._padded[at] - DISCOUNT, 0)
            if order == 1:
                before, left = np.maximum(self.totals.astype(float), 1), self._left_of_all
            else:
                history = np.array([places.get(" ".join(p[-order:-1]), none) if len(p) >= order else none for p in parts])
                before, left = self._padded[history], self._left[history]
            found = np.where(before > 0, (seen + left * found) / np.maximum(before, 1), found)
        return found

    @cached_property
    def _padded(self) -> Vectors:
        return np.vstack([self.counts.astype(float), np.zeros((1, self.counts.shape[1]))])  # the last row is of what is not known

    @cached_property
    def _left(self) -> Vectors:
        """What of each history's count is not given to a known continuation."""
        places, histories = self.grams.histories
        discounted = np.maximum(self._padded[places] - DISCOUNT, 0)
        rows = len(self._padded)
        given = np.column_stack([np.bincount(histories, discounted[:, voice], rows) for voice in range(discounted.shape[1])])
        return np.maximum(self._padded - given, DISCOUNT * (self._padded > 0))

    @cached_property
    def _left_of_all(self) -> Vectors:
        given = np.maximum(self._padded[self.grams.single] - DISCOUNT, 0).sum(axis=0)
        return np.maximum(self.totals - given, DISCOUNT)


def grammar_models(grams: Sequence[str], voices: Sequence[tuple[Counter[str], int]]) -> GrammarModels:
    """Models of voices that are given by the counts of their n-grams and of their words."""
    known = Grams(tuple(grams))
    counts = count_matrix(known.places, [counted for counted, _ in voices]).T.astype(np.uint32)
    return GrammarModels(known, counts, np.array([words for _, words in voices], dtype=np.uint32))


def ratio(log_likelihoods: Vectors, own: int, others: Sequence[int]) -> float:
    """LambdaG per word: how much better the author's model explains a text than the others' do on average."""
    return float(log_likelihoods[own] - log_likelihoods[list(others)].mean())


def _longest(grams: Mapping[str, int]) -> dict[str, int]:
    """Each word of a text with as much of what stands before it as is counted: its 3-grams, or what there is of a short text."""
    threes = {gram: number for gram, number in grams.items() if gram.count(" ") == 2}
    return threes or {gram: number for gram, number in grams.items() if " " not in gram}
