"""Invented voices: the same subjects, told with different habits."""

import random
import re
from collections.abc import Mapping

SUBJECTS = ("server", "kettle", "garden", "parser", "invoice", "violin", "harbour", "ledger", "bicycle", "compiler")
ACTIONS = ("broke", "grew", "ran", "froze", "sang", "leaked", "slept", "shone")

Habits = tuple[str, ...]
HABITS: Mapping[str, Habits] = {
    "wry": (
        "I didn't think the {s} {a}, but there it was; I'd been wrong.",
        "The {s} (and I mean this) {a} — so I went and had a look at my {s}!",
        "It's not that I mind a {s}. I just don't trust it, and I never have.",
        "But then the {s} {a}, and what was I to do?",
    ),
    "manual": (
        "The {s} is to be placed below the {s} before it is used.",
        "If the {s} has {a}, the {s} must be removed by two persons.",
        "Each {s} of this type should be kept within the {s} at all times.",
        "Where a {s} is not given, the {s} may be used instead of it.",
    ),
    "coach": (
        "You can do this! Your {s} will thank you for it.",
        "Are you ready to let your {s} be more than it was? Yes, you are!",
        "Every {s} you make is yours, and you should own it: always.",
        "Here's what your {s} {a} for: you, and only you!",
    ),
}

_SUBJECT = re.compile(rf"\b({'|'.join(SUBJECTS)})")
_CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувщжыз")
_HAN = str.maketrans("abcdefghijklmnopqrstuvwxyz.,!?", "字文語書人心手水火木金土日月山川田中大小上下左右天地。，！？")


def texts(voice: str, count: int, seed: int, words: int = 90) -> list[str]:
    """Short documents in one of the voices."""
    chance = random.Random(f"{voice}-{seed}")
    return [_text(HABITS[voice], chance, words) for _ in range(count)]


def mixed(seed: int, words: int) -> str:
    """A text whose sentences are now in the wry voice, now in the manual's."""
    chance = random.Random(f"mixed-{seed}")
    return _text((*HABITS["wry"], *HABITS["manual"]), chance, words)


def renamed(documents: list[str]) -> list[str]:
    """The same manner on subjects of other names: no long sentence stays what it was."""
    return [_SUBJECT.sub(r"stro\1", document) for document in documents]


def foreign(documents: list[str]) -> list[str]:
    """The same in an invented language with letters of its own, in which no word is English."""
    return [document.lower().translate(_CYRILLIC) for document in documents]


def without_spaces(documents: list[str]) -> list[str]:
    """The same as a script that writes no spaces."""
    return [document.lower().translate(_HAN).replace(" ", "") for document in documents]


def _text(habits: Habits, chance: random.Random, words: int) -> str:
    sentences: list[str] = []
    while sum(len(sentence.split()) for sentence in sentences) < words:
        sentence = chance.choice(habits)
        while "{" in sentence:
            sentence = sentence.replace("{s}", chance.choice(SUBJECTS), 1).replace("{a}", chance.choice(ACTIONS), 1)
        sentences.append(sentence)
    return " ".join(sentences)
