"""Whose writing is compared: voices as counts of n-grams."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from twin_assets.voice.features import UNIT_WORDS, Passage, habits, joined, units
from twin_assets.voice.tokens import FUNCTION_WORDS, plain, sentences

PASSAGE_UNITS = 3
PASSAGE_WORDS = PASSAGE_UNITS * UNIT_WORDS
"""What is learned from."""
MAX_AUTHOR_PASSAGES = 120
MAX_CONTROL_PASSAGES = 60
_LONGEST = 40 * PASSAGE_WORDS  # characters: scripts without spaces make "words" of any length
POST, ARTICLE = "posts", "articles"
POST_WORDS = 250
MIN_REGISTER_PASSAGES = 12
_TELLING_WORDS = 8


@dataclass(frozen=True, eq=False)
class Voice:
    """One voice, or one register of it.

    Attributes:
        name: Whose it is; registers of one voice have the same name.
        units: Its writing in order, as units of 50 words.
        register: ``posts`` or ``articles`` where they are kept apart, otherwise empty.
        machine: Whether it is a language model's.
        sentences: Hashes of its longer sentences; empty where only counts are known.
        habits: Mean of its surface habits; empty where they are not known.
    """

    name: str
    units: Sequence[Passage]
    register: str = ""
    machine: bool = False
    sentences: frozenset[int] = frozenset()
    habits: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name and register."""
        return f"{self.name} ({self.register})" if self.register else self.name

    @cached_property
    def passages(self) -> list[Passage]:
        """What is learned from."""
        return joined(self.units, PASSAGE_UNITS)

    def grammar(self) -> tuple[Counter[str], int]:
        """Counts of the word n-grams, and of the words."""
        counted: Counter[str] = Counter()
        for unit in self.units:
            counted.update(unit["words"].grams)
        return counted, sum(unit["words"].total for unit in self.units) // 3


def voice(name: str, texts: Sequence[str], most_passages: int = MAX_CONTROL_PASSAGES, kept: frozenset[str] = FUNCTION_WORDS) -> Voice:
    """A voice from its texts, in order; at most so many passages of it, spread evenly over them."""
    return _of_texts(name, texts, most_passages, kept)


def author_voices(name: str, texts: Sequence[str], kept: frozenset[str] = FUNCTION_WORDS) -> list[Voice]:
    """An author's voice; short posts and longer articles are kept apart where there are 1,800 words of each."""
    registers: Mapping[str, list[str]] = {POST: [], ARTICLE: []}
    for text in texts:
        registers[POST if len(text.split()) < POST_WORDS else ARTICLE].append(text)
    if all(sum(len(text.split()) for text in own) >= MIN_REGISTER_PASSAGES * PASSAGE_WORDS for own in registers.values()):
        return [_of_texts(name, own, MAX_AUTHOR_PASSAGES, kept, register) for register, own in registers.items()]
    return [_of_texts(name, texts, MAX_AUTHOR_PASSAGES, kept)]


def shared(one: Voice, other: Voice) -> float:
    """How much of the shorter voice's sentences the other one has word for word; 0 where only counts are known."""
    shorter = min(len(one.sentences), len(other.sentences))
    return len(one.sentences & other.sentences) / shorter if shorter else 0.0


def _of_texts(name: str, texts: Sequence[str], most_passages: int, kept: frozenset[str], register: str = "") -> Voice:
    lines = [plain(text) for text in texts]
    long = (sentence for line in lines for sentence in sentences(line) if len(sentence.split()) >= _TELLING_WORDS)
    seen = frozenset(zlib.crc32(sentence.lower().encode()) for sentence in long)
    words = [word for line in lines for word in line.split()]
    there = len(words) // PASSAGE_WORDS
    taken = min(there, most_passages)
    starts = [number * there // taken * PASSAGE_WORDS for number in range(taken)]
    passages = [" ".join(words[start : start + PASSAGE_WORDS])[:_LONGEST] for start in starts]
    measured = [habits(passage) for passage in passages]
    usual = {habit: fmean(one[habit] for one in measured) for habit in measured[0]} if measured else {}
    return Voice(name, [unit for passage in passages for unit in units(passage, kept)], register, sentences=seen, habits=usual)
