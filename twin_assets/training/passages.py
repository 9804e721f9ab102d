"""Cuts the author's own words into passages of a length that can be learned, without altering a character."""

import re
from itertools import pairwise

SHORTEST_DOCUMENT_WORDS = 10
DROPPED_WORD_COST = 10**9  # losing a word outweighs any unevenness

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s)|\n)")
_WORD = re.compile(r"\S+")

Span = tuple[int, int]


def passages(text: str, min_words: int, max_words: int) -> list[Span]:
    """Where verbatim runs of whole paragraphs begin and end, each of ``min_words`` to ``max_words``.

    A text that is short as a whole is one passage. A paragraph that is too long is cut at sentence ends (a sentence that is too
    long, between words). The cuts lose as few words as can be and make the passages as even as can be.
    """
    words = len(text.split())
    if words <= max_words:
        start = len(text) - len(text.lstrip())
        return [(start, start + len(text.strip()))] if words >= SHORTEST_DOCUMENT_WORDS else []
    runs = _best_runs(text, _units(text, max_words), min_words, max_words)
    return [(start, end) for start, end in runs if _count(text, start, end) >= min_words]


def _units(text: str, max_words: int) -> list[Span]:
    """The smallest pieces that may be told apart: paragraphs, or parts of one that is too long."""
    found: list[Span] = []
    for start, end in _cut(text, 0, len(text), _PARAGRAPH_BREAK):
        if _count(text, start, end) <= max_words:
            found.append((start, end))
            continue
        for sentence in _cut(text, start, end, _SENTENCE_END):
            words = [match.span() for match in _WORD.finditer(text, *sentence)]
            windows = [words[at : at + max_words] for at in range(0, len(words), max_words)]
            found.extend((window[0][0], window[-1][1]) for window in windows)
    return found


def _cut(text: str, start: int, end: int, at: re.Pattern[str]) -> list[Span]:
    """Non-empty spans between the ends of the matches, without the white space around them."""
    edges = [start, *(match.end() for match in at.finditer(text, start, end)), end]
    spans = []
    for left, right in pairwise(edges):
        inner = text[left:right]
        if inner.strip():
            spans.append((left + len(inner) - len(inner.lstrip()), right - len(inner) + len(inner.rstrip())))
    return spans


def _best_runs(text: str, units: list[Span], min_words: int, max_words: int) -> list[Span]:
    """Consecutive units put together, by dynamic programming from the end of the text."""
    words = [_count(text, *unit) for unit in units]
    best: list[tuple[int, int]] = [(0, 0)] * (len(units) + 1)  # cost of the rest, and where its first run ends
    for first in reversed(range(len(units))):
        options, total = [], 0
        for last in range(first, len(units)):
            total += words[last]
            if total > max_words and last > first:
                break
            cost = (max_words - total) ** 2 + (DROPPED_WORD_COST * total if total < min_words else 0)
            options.append((cost + best[last + 1][0], last + 1))
        best[first] = min(options)
    runs, first = [], 0
    while first < len(units):
        last = best[first][1]
        runs.append((units[first][0], units[last - 1][1]))
        first = last
    return runs


def _count(text: str, start: int, end: int) -> int:
    return len(text[start:end].split())
