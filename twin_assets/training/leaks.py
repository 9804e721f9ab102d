"""Finds training passages that give away held-out ones: a model graded on what it has read proves nothing."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

SHINGLE_WORDS = 5
CONTAINMENT = 0.5
LONG_RUN_WORDS = 13  # the run length by which published training sets are decontaminated

_WORD = re.compile(r"\w+(?:['’]\w+)*")


class Answered(Protocol):
    """What is compared: anything with an id and an answer."""

    @property
    def id(self) -> UUID:
        """Its identity."""
        ...

    @property
    def answer(self) -> str:
        """The author's passage."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """A text that is compared and nothing else.

    Attributes:
        id: Its identity.
        answer: The text.
    """

    id: UUID
    answer: str


@dataclass(frozen=True, slots=True)
class Leak:
    """A training passage that repeats a held-out one.

    Attributes:
        kind: ``exact`` (the same words), ``near`` (half of the shorter one's shingles or more) or ``run`` (a long run of words).
        containment: Share of the shorter passage's shingles that the other one holds.
    """

    train: UUID
    held_out: UUID
    kind: Literal["exact", "near", "run"]
    containment: float


def find_leaks(train: Sequence[Answered], held_out: Sequence[Answered]) -> list[Leak]:
    """Every pair of a training and a held-out passage that share too much, whatever their case and punctuation."""
    texts = {example.id: _words(example.answer) for example in held_out}
    shingles = {key: _runs(words, SHINGLE_WORDS) for key, words in texts.items()}
    by_shingle = _index(shingles)
    by_run = _index({key: _runs(words, LONG_RUN_WORDS) for key, words in texts.items() if len(words) >= LONG_RUN_WORDS})
    leaks = []
    for example in train:
        words = _words(example.answer)
        own = _runs(words, SHINGLE_WORDS)
        shared = Counter(key for shingle in own for key in by_shingle.get(shingle, ()))
        runs = {key for run in _runs(words, LONG_RUN_WORDS) for key in by_run.get(run, ())}
        for key, count in shared.items():
            containment = count / min(len(own), len(shingles[key]))
            if words == texts[key]:
                leaks.append(Leak(example.id, key, "exact", 1.0))
            elif containment >= CONTAINMENT:
                leaks.append(Leak(example.id, key, "near", containment))
            elif key in runs:
                leaks.append(Leak(example.id, key, "run", containment))
    return leaks


def duplicates(examples: Sequence[Answered]) -> dict[UUID, UUID]:
    """Passages that repeat an earlier one, each with that one: the same words, or half of the shorter one's shingles or more."""
    kept: dict[UUID, int] = {}
    by_shingle: dict[tuple[str, ...], list[UUID]] = defaultdict(list)
    found: dict[UUID, UUID] = {}
    for example in examples:
        own = _runs(_words(example.answer), SHINGLE_WORDS)
        shared = Counter(key for shingle in own for key in by_shingle.get(shingle, ()))
        original = next((key for key, count in shared.items() if count / min(len(own), kept[key]) >= CONTAINMENT), None)
        if original:
            found[example.id] = original
            continue
        kept[example.id] = len(own)
        for shingle in own:
            by_shingle[shingle].append(example.id)
    return found


def contained(part: str, whole: str) -> float:
    """Share of the shingles of one text that another one holds."""
    own = _runs(_words(part), SHINGLE_WORDS)
    return len(own & _runs(_words(whole), SHINGLE_WORDS)) / len(own) if own else 0.0


def same_words(first: str, second: str) -> bool:
    """Whether two texts differ in nothing but case and punctuation."""
    return _words(first) == _words(second)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold().replace("’", "'")))


def _runs(words: tuple[str, ...], length: int) -> set[tuple[str, ...]]:
    """All runs of that many words; a shorter text is one run."""
    return {words[start : start + length] for start in range(max(1, len(words) - length + 1))} if words else set()


def _index(runs: dict[UUID, set[tuple[str, ...]]]) -> dict[tuple[str, ...], list[UUID]]:
    index: dict[tuple[str, ...], list[UUID]] = defaultdict(list)
    for key, found in runs.items():
        for run in found:
            index[run].append(key)
    return index
