"""Whose voice a text has, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twin_assets.voice.calibration import QUANTILES, margins
from twin_assets.voice.features import habits
from twin_assets.voice.profile import VoiceError, VoiceProfile
from twin_assets.voice.tokens import opening


@dataclass(frozen=True, slots=True)
class Attribution:
    """The voice that a text resembles most.

    Attributes:
        author: That voice; empty for a text without words.
        similarities: Mean cosine similarity to every voice, -1 to 1.
    """

    author: str
    similarities: dict[str, float]


@dataclass(frozen=True, slots=True)
class VoiceScore:
    """How much a text sounds like the author.

    Attributes:
        score: The calibrated probability that the author wrote it rather than one of the control voices, if both are equally
            likely beforehand: near 1 for the author's own passages, near 0 for other people's.
        attributed_to: The voice that it resembles most; empty for a text without words.
        own: Whether that is the author.
        typicality: Share of the author's own passages that sound less like the author; 0.5 is the median passage.
        margin: Similarity to the author minus that to the nearest control.
        similarities: Mean cosine similarity to every voice.
        words: How many words were looked at, at most 150. Below 40 the score is a guess.
        habits: Surface habits of the text, to be compared with those in the profile.
    """

    score: float
    attributed_to: str
    own: bool
    typicality: float
    margin: float
    similarities: dict[str, float]
    words: int
    habits: dict[str, float]


def attribute(profile: VoiceProfile, text: str) -> Attribution:
    """The nearest voice, by the mean of word- and character-n-gram cosine similarity over the first 150 words."""
    text = opening(text)
    if not _has_words(text):
        return Attribution("", dict.fromkeys(profile.voices, 0.0))
    found = profile.similarities([text])[0]
    return Attribution(profile.voices[int(found.argmax())], dict(zip(profile.voices, found.tolist(), strict=True)))


def score(profile: VoiceProfile, text: str) -> VoiceScore:
    """How much a text sounds like the author, by its first 150 words, calibrated for its length."""
    text = opening(text)
    nearest = attribute(profile, text)
    words = len(text.split())
    margin = float(margins(np.array([list(nearest.similarities.values())]))[0])
    probability, typicality = _calibrated(profile, margin, words) if nearest.author else (0.0, 0.0)
    return VoiceScore(
        score=probability,
        attributed_to=nearest.author,
        own=nearest.author == profile.author,
        typicality=typicality,
        margin=margin,
        similarities=nearest.similarities,
        words=words,
        habits=habits(text),
    )


def attribution_rate(profile: VoiceProfile, texts: Sequence[str]) -> float:
    """Share of the texts that are attributed to the author.

    Raises:
        VoiceError: When there are no texts.
    """
    if not texts:
        raise VoiceError(f"There is no text whose voice could be compared with {profile.author}'s.")
    return sum(attribute(profile, text).author == profile.author for text in texts) / len(texts)


def _calibrated(profile: VoiceProfile, margin: float, words: int) -> tuple[float, float]:
    lengths = [calibration.words for calibration in profile.calibrations]
    slope = np.interp(words, lengths, [calibration.slope for calibration in profile.calibrations])
    threshold = np.interp(words, lengths, [calibration.threshold for calibration in profile.calibrations])
    own = [np.interp(words, lengths, column) for column in zip(*(c.own_margins for c in profile.calibrations), strict=True)]
    probability = 1 / (1 + np.exp(-np.clip(slope * (margin - threshold), -50, 50)))
    return float(probability), float(np.interp(margin, own, QUANTILES, left=0.0, right=1.0))


def _has_words(text: str) -> bool:
    return any(character.isalpha() for character in text)
