"""Slop: how often a text uses the words and phrases that mark machine-written prose."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from twin_assets.evaluation.words import words

TERMS = Path(__file__).with_name("slop_words.txt")


@dataclass(frozen=True, slots=True)
class SlopRate:
    """Marks of machine-written prose per 1,000 words, and which ones (as they stand in the text, lower case)."""

    per_1000: float
    hits: dict[str, int]


def slop_rate(text: str) -> SlopRate:
    """The slop rate of one text. Overlapping terms count once, the longest first."""
    return pooled_slop_rate([text])


def pooled_slop_rate(texts: Iterable[str]) -> SlopRate:
    """The slop rate of several texts taken together: all hits over all words."""
    hits: Counter[str] = Counter()
    total = 0
    for text in texts:
        tokens = words(text)
        total += len(tokens)
        hits.update(_pattern().findall(" ".join(tokens)))
    return SlopRate(1000 * hits.total() / total if total else 0.0, dict(hits.most_common()))


def terms() -> list[str]:
    """The curated list: one term a line, ``#`` starts a comment, a trailing ``*`` stands for any ending of the word."""
    lines = (line.partition("#")[0].strip() for line in TERMS.read_text("utf-8").splitlines())
    return [line for line in lines if line]


@cache
def _pattern() -> re.Pattern[str]:
    normalised = [" ".join(words(term)) + ("*" if term.endswith("*") else "") for term in terms()]
    longest_first = sorted(normalised, key=lambda term: (-term.count(" "), -len(term), term))
    alternatives = "|".join(re.escape(term).replace(r"\*", r"[^\s]*") for term in longest_first)
    return re.compile(rf"(?<!\S)(?:{alternatives})(?!\S)")
