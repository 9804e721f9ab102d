"""The features of a voice: n-grams of the masked text, and the surface habits a person can read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from twin_assets.voice.tokens import CLITICS, FUNCTION_WORDS, mask, plain, sentences, tokens

ViewName = str
"""``words`` or ``characters``."""
VIEWS: tuple[ViewName, ...] = ("words", "characters")
UNIT_WORDS = 50
_ORDERS: dict[ViewName, tuple[int, ...]] = {"words": (1, 2, 3), "characters": (3, 4)}


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each n-gram occurs, and how many n-grams there are in all, also those that are not listed."""

    grams: Counter[str]
    total: int


Passage = dict[ViewName, Counts]
"""A stretch of text as its n-grams."""


def count(stretches: Sequence[str]) -> list[Passage]:
    """The n-grams of consecutive stretches of a masked text: word 1-3-grams and character 3-4-grams.

    An n-gram counts where it ends, so that the counts of the stretches add up to those of the whole text.
    """
    found: list[Passage] = []
    words_before: list[str] = []
    characters_before = " "
    for stretch in stretches:
        words, characters = list(tokens(stretch)), f"{stretch} "
        found.append(
            {
                "words": _counted(words_before, words, _ORDERS["words"], " "),
                "characters": _counted(characters_before, characters, _ORDERS["characters"], ""),
            }
        )
        words_before = [*words_before, *words][-2:]
        characters_before = (characters_before + characters)[-3:]
    return found


def units(text: str, kept: frozenset[str] = FUNCTION_WORDS) -> list[Passage]:
    """A plain text as units of 50 words; a short rest is left over."""
    words = mask(text, kept).split()
    return count([" ".join(words[start : start + UNIT_WORDS]) for start in range(0, len(words) - UNIT_WORDS + 1, UNIT_WORDS)])


def joined(passages: Sequence[Passage], size: int) -> list[Passage]:
    """Every ``size`` consecutive passages as one; a rest that is shorter is left over."""
    return [merged(passages[start : start + size]) for start in range(0, len(passages) - size + 1, size)]


def merged(passages: Sequence[Passage]) -> Passage:
    """Several passages as one."""
    together: Passage = {}
    for name in VIEWS:
        grams: Counter[str] = Counter()
        for passage in passages:
            grams.update(passage[name].grams)
        together[name] = Counts(grams, sum(passage[name].total for passage in passages))
    return together


def _counted(before: Sequence[str], inside: Sequence[str], orders: tuple[int, ...], joint: str) -> Counts:
    known = len(before)
    sequence = [*before, *inside]

    def grams() -> Iterator[str]:
        for end in range(known, len(sequence)):
            for order in orders:
                if end - order + 1 >= 0:
                    yield joint.join(sequence[end - order + 1 : end + 1])

    counted = Counter(grams())
    return Counts(counted, counted.total())


_MARKS = ",;:(!?—"


def habits(text: str) -> dict[str, float]:
    """Surface habits of a text: pronouns, contractions, sentence length and punctuation, most of them per 1,000 words."""
    text = plain(text)
    words = list(tokens(mask(text)))
    per = 1000 / max(len(text.split()), 1)
    lengths = [len(sentence.split()) for sentence in sentences(text)] or [0]
    return {
        "I per 1,000": words.count("i") * per,
        "you per 1,000": words.count("you") * per,
        "contractions per 1,000": _contractions(words) * per,
        "sentence length": float(np.mean(lengths)),
        "sentence length spread": float(np.std(lengths)),
        **{f"{mark} per 1,000": text.count(mark) * per for mark in _MARKS},
    }


def _contractions(words: list[str]) -> int:
    """Contracted words, possessives of nouns (a masked word and ``'s``) left out."""
    return sum(clitic in CLITICS and stem in FUNCTION_WORDS for stem, clitic in pairwise(words))
