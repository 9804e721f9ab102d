"""What in a text sounds unlike the author, in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twin_assets.voice.features import merged
from twin_assets.voice.score import Reading
from twin_assets.voice.tokens import FUNCTION_WORDS

FEATURES, SENTENCES = 10, 3
_NAMES: Mapping[str, str] = {
    ",": "commas", ".": "full stops", ";": "semicolons", ":": "colons", "!": "exclamation marks", "?": "question marks", "—": "dashes",
    "(": "opening brackets", ")": "closing brackets", '"': "quotation marks", "...": "ellipses", "-": "hyphens", "0": "numbers", "'": "single quotes",
    "/": "slashes", "'s": "'s (is, has, possessive)", "n't": "n't (contracted not)",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pull:
    """A feature that pulls a text away from the author.

    Attributes:
        feature: In words.
        text: How often it is in the text, per 1,000 words and marks.
        author: How often in the author's own writing.
        weight: Share of all that pulls away.
    """

    feature: str
    text: float
    author: float
    weight: float

    @property
    def sentence(self) -> str:
        """For a person."""
        way = "more" if self.text > self.author else "less"
        return f"{self.feature}: {self.text:.1f} per 1,000 words and marks, the author has {self.author:.1f}, so {way} than usual"


@dataclass(frozen=True, slots=True)
class Odd:
    """A sentence that sounds unlike the author.

    Attributes:
        sentence: As it stands in the text, without markup.
        weight: By how much the log-odds of the author rise without it.
    """

    sentence: str
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What in a text speaks against the author: the strongest first."""

    pulls: tuple[Pull, ...]
    sentences: tuple[Odd, ...]


def explain(reading: Reading) -> Explanation:
    """The ten features that pull a text away from the author most, and the three sentences that are least like the author.

    Features are function words, marks and short runs of them; none repeats another. A sentence weighs as much as the text would gain
    without it.
    """
    return Explanation(_pulls(reading), _odd(reading))


def _pulls(reading: Reading) -> tuple[Pull, ...]:
    profile, scale = reading.profile, reading.profile.scales["words"]
    direction = profile.directions["words"][:, profile.own].mean(axis=1)
    whole = merged(reading.passages)
    pull = direction * (scale.vectors([whole], "words")[0] - profile.typical["words"])
    away = -pull[pull < 0].sum()
    column = profile.voices.index(profile.author)
    usual = dict(zip(profile.models.grams.names, profile.models.counts[:, column].tolist(), strict=True))
    per, per_own = 3000 / max(whole["words"].total, 1), 1000 / max(int(profile.models.totals[column]), 1)
    chosen: list[Pull] = []
    used: list[set[str]] = []
    for place in np.argsort(pull, kind="stable").tolist():
        gram = scale.grams[place]
        words = set(gram.split(" "))
        if pull[place] >= 0 or len(chosen) == FEATURES:
            break
        here, there = whole["words"].grams[gram] * per, usual.get(gram, 0) * per_own
        if (here - there) * direction[place] >= 0 or round(here, 1) == round(there, 1):
            continue  # as often as the author has it: only beside the rest of the text does it seem to pull
        if readable(gram, profile.kept) and not any(words & others for others in used):
            chosen.append(Pull(in_words(gram), here, there, float(-pull[place] / away)))
            used.append(words)
    return tuple(chosen)


def _odd(reading: Reading) -> tuple[Odd, ...]:
    number = len(reading.sentences)
    if number < 2:
        return ()
    without = np.ones((number, number)) - np.eye(number)
    alone = np.array([np.count_nonzero(reading.pieces == piece) == 1 for piece in reading.pieces])
    gain = np.where(alone, -np.inf, reading.log_odds_of(without) - reading.log_odds_of(np.ones((1, number)))[0])
    worst = [place for place in np.argsort(-gain, kind="stable").tolist()[:SENTENCES] if gain[place] > 0]
    return tuple(Odd(reading.sentences[place], float(gain[place])) for place in worst)


def readable(gram: str, kept: frozenset[str] = FUNCTION_WORDS) -> bool:
    """Whether an n-gram is made of words that are kept, marks and numbers alone, so that it can be named."""
    return all(word in kept or not re.search(r"[^\W\d_]", word) for word in gram.split(" "))


def in_words(gram: str) -> str:
    """An n-gram as a person would call it: ``however ,`` is “however,”."""
    if gram in _NAMES:
        return _NAMES[gram]
    text = re.sub(r" (?=[,.;:!?)])| (?='|n't)|(?<=\() ", "", gram).replace("0", "(number)")
    return f"“{text}”"
