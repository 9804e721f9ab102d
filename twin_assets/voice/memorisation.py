"""Memorisation: what of a generated text stands, word for word and in that order, in the texts it was trained on.

Models trained on a style are known to recite its content (arXiv 2409.04574). Two measures: the longest run of words, and the share of
8-grams that are the training texts' own. Authors repeat themselves as well, so both are held against the author's own new writing.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from twin_assets.voice.words import spans, words

SHORTEST = 4
GRAM = 8
COPY_WORDS, COPY_SHARE = 13, 0.5
LONGEST_CITED = 24
"""Words in quotes that are let pass: quotation marks make no citation of a recited passage."""
_QUOTED = re.compile(r"^>.*(?:\n>.*)*|[\"“„«][^\"“”„«»\n]{1,2000}[\"”»]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive words shared with a corpus text: how many, as they are written in the checked text, and with which text."""

    words: int
    quote: str
    source_index: int


NO_RUN = Run(0, "", -1)


class VerbatimIndex:
    """Finds the words that a text shares with a corpus; built once, in time and memory linear in the corpus.

    Words are compared without case and punctuation. Runs shorter than ``shortest`` words are no runs: any two English
    texts share them.
    """

    def __init__(self, corpus_texts: Sequence[str], shortest: int = SHORTEST) -> None:
        self._shortest = shortest
        self._vocabulary: dict[str, int] = {}
        corpus: list[int] = []
        starts: list[int] = []
        for text in corpus_texts:
            starts.append(len(corpus))
            corpus.extend(self._vocabulary.setdefault(word, len(self._vocabulary) + 1) for word in words(text))
            corpus.append(0)  # between two texts; no word has this number, so no run crosses it
        self._corpus = np.array(corpus, dtype=np.int64)
        self._starts = np.array(starts, dtype=np.int64)
        keys = self._keys(self._corpus)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    def runs(self, text: str) -> list[Run]:
        """Every shared run that no longer one contains, the longest first."""
        return sorted((run for _, run in self._found(text)), key=lambda run: -run.words)

    def copied(self, text: str) -> list[Run]:
        """Every shared run by its words outside quotes, the most first; one with more than 24 quoted words counts whole.

        Marks may stand anywhere in a recited passage, around a word of it or around each of its sentences: runs are looked for in the
        whole text, and what is cited is taken off their length.
        """
        before = np.cumsum([0, *_cited(text)])
        found = [(run, int(before[start + run.words] - before[start])) for start, run in self._found(text)]
        counted = [replace(run, words=run.words - cited) if cited <= LONGEST_CITED else run for run, cited in found]
        return sorted(counted, key=lambda run: -run.words)

    def _found(self, text: str) -> Iterator[tuple[int, Run]]:
        written = list(spans(text))
        for start, length, place in self.located(text):
            quote = text[written[start][1] : written[start + length - 1][2]]
            yield start, Run(length, quote, int(np.searchsorted(self._starts, place, "right")) - 1)

    def located(self, text: str) -> list[tuple[int, int, int]]:
        """The same runs in the order of the text: first word, number of words, and where in the corpus."""
        tokens = np.array([self._vocabulary.get(word, -1) for word in words(text)], dtype=np.int64)
        found: list[tuple[int, int, int]] = []
        reached = 0
        for start, (first, last) in enumerate(self._candidates(tokens)):
            # Only a match that ends later than every one before it is a run of its own; the others are tails of it.
            length, place = self._match(tokens[start:], self._order[first:last], max(self._shortest, reached - start + 1))
            if length:
                reached = start + length
                found.append((start, length, place))
        return found

    def longest(self, text: str) -> Run:
        """The longest shared run, or a run of 0 words."""
        return next(iter(self.runs(text)), NO_RUN)

    def overlap(self, text: str, gram: int = GRAM) -> float:
        """Share of the text's n-grams of ``gram`` words that stand in the corpus; 0 for a text that has none."""
        covered = {start for run in self.located(text) for start in range(run[0], run[0] + run[1] - gram + 1)}
        possible = len(words(text)) - gram + 1
        return len(covered) / possible if possible > 0 else 0.0

    def contains(self, quote: str) -> bool:
        """Whether all the words of a quote stand in the corpus, in that order."""
        return self.longest(quote).words == len(words(quote))

    def _keys(self, tokens: np.ndarray) -> np.ndarray:
        """One 64-bit number per n-gram. Numbers of different n-grams may be equal, so matches are compared word by word."""
        numbers = tokens.astype(np.uint64)
        count = max(len(numbers) - self._shortest + 1, 0)
        keys = np.zeros(count, dtype=np.uint64)
        for offset in range(self._shortest):
            keys = keys * np.uint64(0x9E3779B97F4A7C15) + numbers[offset : offset + count]
        return keys

    def _candidates(self, tokens: np.ndarray) -> list[tuple[int, int]]:
        keys = self._keys(tokens)
        return list(zip(np.searchsorted(self._sorted, keys, "left"), np.searchsorted(self._sorted, keys, "right"), strict=True))

    def _match(self, tokens: np.ndarray, places: np.ndarray, at_least: int) -> tuple[int, int]:
        """The longest match of the first tokens at one of the places, and where; (0, -1) when shorter than ``at_least``."""
        if at_least > len(tokens):
            return 0, -1
        alive = places[places + at_least <= len(self._corpus)]
        alive = alive[self._corpus[alive + at_least - 1] == tokens[at_least - 1]]  # rules out nearly all at once
        best, place, length = 0, -1, 0
        while len(alive):
            if length >= at_least:
                best, place = length, int(alive[0])
            if length == len(tokens):
                break
            alive = alive[alive + length < len(self._corpus)]
            alive = alive[self._corpus[alive + length] == tokens[length]]
            length += 1
        return best, place


def _cited(text: str) -> list[bool]:
    """Of each word whether it stands in a quote."""
    quotes = [found.span() for found in _QUOTED.finditer(text)]
    starts = [start for start, _ in quotes]
    quote_of = ((end, bisect_right(starts, start) - 1) for _, start, end in spans(text))
    return [at >= 0 and end <= quotes[at][1] for end, at in quote_of]


def outside_quotes(text: str) -> str:
    """The text without what it cites: lines that begin with ``>`` and what stands in quotation marks, up to 24 words of it at once."""
    return _QUOTED.sub(lambda found: " \u2026 " if len(found[0].split()) <= LONGEST_CITED else found[0], text)


def without_copies(texts: Sequence[str], of: Sequence[str]) -> list[str]:
    """The texts without the paragraphs and lines, of 13 words and more, half of whose runs of 13 words stand in the others."""
    others = VerbatimIndex(of)

    def own(part: str) -> bool:
        return len(words(part)) < COPY_WORDS or others.overlap(part, COPY_WORDS) < COPY_SHARE

    def of_own(text: str) -> str:
        paragraphs = (paragraph for paragraph in text.split("\n\n") if own(paragraph))
        return "\n\n".join("\n".join(line for line in paragraph.split("\n") if own(line)) for paragraph in paragraphs)

    return [of_own(text) for text in texts]


def longest_verbatim_run(text: str, corpus_texts: Sequence[str]) -> Run:
    """The longest run of a text that stands in a corpus; build a ``VerbatimIndex`` to check more than one text."""
    return VerbatimIndex(corpus_texts).longest(text)


def longest_memorised_run(text: str, learned: VerbatimIndex, excused: VerbatimIndex) -> Run:
    """The longest run of the training texts, outside quotes, that the text cannot have from elsewhere.

    ``excused`` holds what needs no memory of the training: what the untrained model writes as well (idioms, prompts, facts
    that it knew before) and the passages that the prompt itself quoted.
    """
    return next((run for run in learned.copied(text) if not excused.contains(run.quote)), NO_RUN)
