"""Finds training passages that give away held-out ones: a model graded on what it has read proves nothing."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

SHINGLE_WORDS = 5
CONTAINMENT = 0.5
LONG_RUN_WORDS = 13  # the run length by which published training sets are decontaminated
PART_WORDS = 20
"""Words from which a part of a prompt is more than a title or a few key points, which may stand in many texts."""


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


class Prompted(Protocol):
    """Anything with an id and a conversation."""

    @property
    def id(self) -> UUID:
        """Its identity."""
        ...

    @property
    def messages(self) -> list[dict[str, str]]:
        """The turns; what the user says is the prompt."""
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


LeakKind = Literal["exact", "near", "run", "prompt"]


@dataclass(frozen=True, slots=True)
class Leak:
    """A training passage that repeats a held-out one.

    Attributes:
        kind: ``exact`` (the same words), ``near`` (half of the shorter one's shingles or more), ``run`` (a long run of words) or
            ``prompt`` (what is asked with shows it).
        containment: Share of the shorter passage's shingles that the other one holds.
    """

    train: UUID
    held_out: UUID
    kind: LeakKind
    containment: float


class HeldOut:
    """Passages that nothing may give away, indexed once."""

    def __init__(self, passages: Sequence[Answered]) -> None:
        self._texts = {passage.id: _words(passage.answer) for passage in passages}
        self._shingles = {key: _runs(words, SHINGLE_WORDS) for key, words in self._texts.items()}
        self._by_shingle = _index(self._shingles)
        self._by_run = _index({key: _runs(words, LONG_RUN_WORDS) for key, words in self._texts.items() if len(words) >= LONG_RUN_WORDS})

    def repeated_by(self, example: Answered) -> list[Leak]:
        """Those that an answer repeats."""
        words = _words(example.answer)
        runs = self._runs_in(words)
        leaks = []
        for key, containment in self._containment(words).items():
            if words == self._texts[key]:
                leaks.append(Leak(example.id, key, "exact", 1.0))
            elif containment >= CONTAINMENT:
                leaks.append(Leak(example.id, key, "near", containment))
            elif key in runs:
                leaks.append(Leak(example.id, key, "run", containment))
        return leaks

    def shown_by(self, example: Prompted) -> list[Leak]:
        """Those that a prompt shows: a long run of their words, or a part (a line, or all of it) that repeats them, unless it is short."""
        found: dict[UUID, float] = {}
        for turn in example.messages:
            if turn["role"] != "user":
                continue
            for part in (turn["content"], *turn["content"].splitlines()):
                words = _words(part)
                runs = self._runs_in(words)
                for key, containment in self._containment(words).items():
                    if key in runs or (containment >= CONTAINMENT and len(words) >= PART_WORDS):
                        found[key] = max(containment, found.get(key, 0.0))
        return [Leak(example.id, key, "prompt", containment) for key, containment in found.items()]

    def _containment(self, words: tuple[str, ...]) -> dict[UUID, float]:
        """Of each that shares a shingle, the share of the shorter one's shingles that the other one holds."""
        own = _runs(words, SHINGLE_WORDS)
        shared = Counter(key for shingle in own for key in self._by_shingle.get(shingle, ()))
        return {key: count / min(len(own), len(self._shingles[key])) for key, count in shared.items()}

    def _runs_in(self, words: tuple[str, ...]) -> set[UUID]:
        return {key for run in _runs(words, LONG_RUN_WORDS) for key in self._by_run.get(run, ())}


def find_leaks(train: Sequence[Answered], held_out: Sequence[Answered]) -> list[Leak]:
    """Every pair of a training and a held-out passage that share too much, whatever their case and punctuation."""
    unseen = HeldOut(held_out)
    return [leak for example in train for leak in unseen.repeated_by(example)]


def given_away(answers: Sequence[Answered], prompts: Sequence[Prompted], held_out: Sequence[Answered]) -> list[Leak]:
    """Every held-out passage that an answer repeats or a prompt shows, with what does so."""
    unseen = HeldOut(held_out)
    repeated = [leak for answer in answers for leak in unseen.repeated_by(answer)]
    return repeated + [leak for prompt in prompts for leak in unseen.shown_by(prompt)]


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


class _Letters(dict[int, str | None]):
    """What a character is for the comparison: letters, marks and digits count, what is invisible is nothing, all else ends a word."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        category = unicodedata.category(letter)
        self[code] = None if category == "Cf" else letter if category[0] in "LMN" or letter in "_'" else " "
        return self[code]


_LETTERS = _Letters({ord("’"): "'"})


def _words(text: str) -> tuple[str, ...]:
    spelled = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)
    return tuple(word for part in spelled.split() if (word := part.strip("'")))


def _runs(words: tuple[str, ...], length: int) -> set[tuple[str, ...]]:
    """All runs of that many words; a shorter text is one run."""
    return {words[start : start + length] for start in range(max(1, len(words) - length + 1))} if words else set()


def _index(runs: dict[UUID, set[tuple[str, ...]]]) -> dict[tuple[str, ...], list[UUID]]:
    index: dict[tuple[str, ...], list[UUID]] = defaultdict(list)
    for key, found in runs.items():
        for run in found:
            index[run].append(key)
    return index
