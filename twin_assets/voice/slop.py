"""Slop: how often a text uses the words and phrases that mark machine-written prose."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from twin_assets.store.errors import TwinError
from twin_assets.voice.words import words

TERMS = Path(__file__).with_name("slop_words.txt")


@dataclass(frozen=True, slots=True)
class SlopRate:
    """Marks of machine-written prose per 1,000 words, and which ones (as they stand in the text, lower case)."""

    per_1000: float
    hits: dict[str, int]


def slop_rate(text: str, more: Path | None = None) -> SlopRate:
    """The slop rate of one text. Overlapping terms count once, the longest first."""
    return pooled_slop_rate([text], more)


def pooled_slop_rate(texts: Iterable[str], more: Path | None = None) -> SlopRate:
    """The slop rate of several texts taken together: all hits over all words.

    Args:
        texts: The texts.
        more: A list of further terms, in the form of the project's own.
    """
    hits: Counter[str] = Counter()
    total = 0
    pattern = _pattern(more)
    for text in texts:
        tokens = words(text)
        total += len(tokens)
        hits.update(pattern.findall(" ".join(tokens)))
    return SlopRate(1000 * hits.total() / total if total else 0.0, dict(hits.most_common()))


def terms(path: Path = TERMS) -> list[str]:
    """A list of terms: one a line, ``#`` starts a comment, a trailing ``*`` stands for any ending of the word.

    Raises:
        TwinError: When the file cannot be read.
    """
    try:
        written = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TwinError(f"The list of terms {path} cannot be read ({error}). Mend TWIN_SLOP_TERMS, or leave it out.") from error
    lines = (line.partition("#")[0].strip() for line in written.splitlines())
    return [line for line in lines if line]


@cache
def _pattern(more: Path | None) -> re.Pattern[str]:
    listed = [*terms(), *(terms(more) if more else ())]
    normalised = [plain + ("*" if term.endswith("*") else "") for term in listed if (plain := " ".join(words(term)))]
    longest_first = sorted(normalised, key=lambda term: (-term.count(" "), -len(term), term))
    alternatives = "|".join(re.escape(term).replace(r"\*", r"[^\s]*") for term in longest_first)
    return re.compile(rf"(?<!\S)(?:{alternatives})(?!\S)")
