"""The features of a voice: n-grams of the masked text, and the surface habits a person can read."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import chain, pairwise
from typing import Literal

import numpy as np

from twin_assets.voice.tokens import CLITICS, FUNCTION_WORDS, mask, plain, tokens

ViewName = Literal["words", "characters"]


def word_grams(masked: str) -> Counter[str]:
    """Word 1-, 2- and 3-grams of a masked text."""
    words = list(tokens(masked))
    return Counter(chain(words, *((" ".join(gram) for gram in zip(*(words[i:] for i in range(n)), strict=False)) for n in (2, 3))))


def character_grams(masked: str) -> Counter[str]:
    """Character 3- and 4-grams of a masked text."""
    padded = f" {masked} "
    return Counter(padded[i : i + n] for n in (3, 4) for i in range(len(padded) - n + 1))


VIEWS: dict[ViewName, Callable[[str], Counter[str]]] = {"words": word_grams, "characters": character_grams}


def count_grams(text: str) -> dict[ViewName, Counter[str]]:
    """The n-grams of a text in every view."""
    masked = mask(plain(text))
    return {name: grams(masked) for name, grams in VIEWS.items()}


_MARKS = ",;:(!?—"
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+")


def habits(text: str) -> dict[str, float]:
    """Surface habits of a text: pronouns, contractions, sentence length and punctuation, most of them per 1,000 words."""
    text = plain(text)
    words = list(tokens(mask(text)))
    per = 1000 / max(len(text.split()), 1)
    lengths = [len(sentence.split()) for sentence in _SENTENCE.split(text)]
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
