"""Whose voice a text has, how sure that is, and what in the text speaks for and against the author."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin_assets.voice.calibration import QUANTILES, Calibration, between, probability
from twin_assets.voice.evidence import NotEnough, lacking
from twin_assets.voice.features import VIEWS, Passage, count, habits, merged
from twin_assets.voice.language_model import ratio
from twin_assets.voice.profile import VoiceError, VoiceProfile
from twin_assets.voice.space import Vectors
from twin_assets.voice.tokens import mask, plain, sentences

LONGEST_PIECE = 300
MAX_WORDS = 3000
_LONGEST_SENTENCE = 40
_RESAMPLES = 200
_MIN_SENTENCES = 4


@dataclass(frozen=True, slots=True)
class VoiceScore:
    """How much a text sounds like the author.

    Attributes:
        score: The calibrated probability that the author wrote it rather than somebody else, if both are equally likely beforehand:
            near 1 for the author's own writing, near 0 for other people's. Verification.
        low: Lower end of its 95 % interval, from the text's own sentences drawn anew.
        high: Upper end.
        attributed_to: The voice that it resembles most. Attribution.
        own: Whether that is the author.
        typicality: Share of the author's own passages of this length that sound less like the author; 0.5 is the median passage.
        inside: Whether it lies within the band of the author's own writing: above its lowest twentieth.
        similarities: How much speaks for each voice.
        words: How many words were looked at.
        habits: Surface habits of the text, to be compared with those in the profile.
    """

    score: float
    low: float
    high: float
    attributed_to: str
    own: bool
    typicality: float
    inside: bool
    similarities: dict[str, float]
    words: int
    habits: dict[str, float]


@dataclass(frozen=True, eq=False)
class Reading:
    """A text as the instruments see it: sentences, their n-grams, and the pieces of at most 300 words that are judged.

    Attributes:
        profile: The author's voice.
        sentences: As they stand in the text, without markup; very long ones are cut.
        passages: The n-grams of each.
        pieces: The piece of each.
    """

    profile: VoiceProfile
    sentences: tuple[str, ...]
    passages: tuple[Passage, ...]
    pieces: NDArray[np.int_]

    @property
    def words(self) -> int:
        """How many words are looked at."""
        return sum(len(sentence.split()) for sentence in self.sentences)

    @cached_property
    def calibration(self) -> Calibration:
        """For the length of the pieces."""
        return between(self.words / (int(self.pieces.max()) + 1), self.profile.calibrations)

    @cached_property
    def decisions(self) -> Vectors:
        """How much the text speaks for each class."""
        whole = [merged([self.passages[at] for at in np.flatnonzero(self.pieces == piece)]) for piece in range(int(self.pieces.max()) + 1)]
        return self.profile.decisions(whole).mean(axis=0)

    @cached_property
    def grammar(self) -> Vectors:
        """LambdaG of each sentence, times its words."""
        profile, own = self.profile, self.profile.voices.index(self.profile.author)
        others = [column for column in range(len(profile.voices)) if column != own]
        each = [ratio(profile.models.log_likelihoods(passage["words"].grams), own, others) for passage in self.passages]
        return np.array(each) * self.lengths

    @cached_property
    def lengths(self) -> Vectors:
        """Words of each sentence."""
        return np.array([len(sentence.split()) for sentence in self.sentences], dtype=float)

    @cached_property
    def log_odds(self) -> float:
        """That the author wrote it, if author and others are equally likely beforehand."""
        direction = self.decisions[self.profile.own].max()
        return float(self.calibration.log_odds(np.array([[direction, self.grammar.sum() / self.lengths.sum()]]))[0])

    def log_odds_of(self, drawn: Vectors) -> Vectors:
        """The log-odds of other texts made of these sentences: one row each, how often every sentence is in it."""
        pieces = range(int(self.pieces.max()) + 1)
        found = np.zeros((len(drawn), len(self.profile.own), len(pieces)))
        for view in VIEWS:
            scale, own = self.profile.scales[view], self.profile.directions[view][:, self.profile.own]
            used = np.flatnonzero(self._counts[view].any(axis=0))
            nothing = (0 - scale.mean) / scale.spread
            for piece in pieces:
                inside = self.pieces == piece
                counts, totals = drawn[:, inside] @ self._counts[view][inside][:, used], drawn[:, inside] @ self._totals[view][inside]
                rows = (np.sqrt(counts / np.maximum(totals, 1)[:, None]) - scale.mean[used]) / scale.spread[used]
                apart = rows - nothing[used]  # what is not in the text is the same in every row
                length = np.sqrt(np.maximum((nothing @ nothing) - (nothing[used] @ nothing[used]) + (rows * rows).sum(axis=1), 1e-12))
                found[:, :, piece] += (nothing @ own + apart @ own[used]) / length[:, None]
        ratios = drawn @ self.grammar / np.maximum(drawn @ self.lengths, 1)
        return self.calibration.log_odds(np.column_stack([found.mean(axis=2).max(axis=1), ratios]))

    @cached_property
    def _counts(self) -> dict[str, Vectors]:
        return {view: self.profile.scales[view].counts(self.passages, view) for view in VIEWS}

    @cached_property
    def _totals(self) -> dict[str, Vectors]:
        return {view: np.array([passage[view].total for passage in self.passages], dtype=float) for view in VIEWS}


def read(profile: VoiceProfile, text: str) -> Reading | NotEnough:
    """Prepares a text to be judged; of a long one the first 3,000 words are."""
    whole = _sentences(plain(text))
    lengths = [len(sentence.split()) for sentence in whole]
    passages = count([mask(sentence, profile.kept) for sentence in whole])
    if missing := lacking(profile, whole, passages):
        return missing
    ends = np.cumsum(lengths)
    number = max(1, int(np.ceil(ends[-1] / LONGEST_PIECE)))
    pieces = np.minimum((ends - np.array(lengths) / 2) * number // ends[-1], number - 1).astype(int)
    _, pieces = np.unique(pieces, return_inverse=True)
    return Reading(profile, tuple(whole), tuple(passages), pieces)


def score(profile: VoiceProfile, text: str) -> VoiceScore | NotEnough:
    """How much a text sounds like the author, calibrated for its length, or why nothing can be said of it."""
    reading = read(profile, text)
    return reading if isinstance(reading, NotEnough) else score_of(reading)


def score_of(reading: Reading) -> VoiceScore:
    """The same of a text that was read."""
    profile, decisions = reading.profile, reading.decisions
    by_voice = {name: max(float(decisions[c]) for c, other in enumerate(profile.classes) if other == name) for name in profile.voices}
    nearest = max(by_voice, key=lambda name: by_voice[name])
    low, high = _interval(reading)
    band = reading.calibration.own
    typicality = float(np.interp(reading.log_odds, band, QUANTILES, left=0.0, right=1.0))
    return VoiceScore(
        score=float(probability(reading.log_odds)),
        low=low,
        high=high,
        attributed_to=nearest,
        own=nearest == profile.author,
        typicality=typicality,
        inside=bool(typicality >= QUANTILES[1]),
        similarities=by_voice,
        words=reading.words,
        habits=habits(" ".join(reading.sentences)),
    )


def attribution_rate(profile: VoiceProfile, texts: Sequence[str]) -> float:
    """Share of the texts that are attributed to the author; one that cannot be judged is not.

    Raises:
        VoiceError: When there are no texts.
    """
    if not texts:
        raise VoiceError(f"There is no text whose voice could be compared with {profile.author}'s.")
    found = [read(profile, text) for text in texts]
    return sum(not isinstance(one, NotEnough) and int(one.decisions.argmax()) in profile.own for one in found) / len(texts)


def _interval(reading: Reading) -> tuple[float, float]:
    """Where the probability would lie for other texts like this one: its sentences drawn anew, with replacement."""
    number = len(reading.sentences)
    if number < _MIN_SENTENCES:
        return 0.0, 1.0  # nothing can be drawn from so few
    drawn = np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), size=_RESAMPLES).astype(float)
    missing = np.array(
        [[drawn[row, reading.pieces == piece].sum() == 0 for piece in np.unique(reading.pieces)] for row in range(_RESAMPLES)]
    )
    found = reading.log_odds_of(drawn[~missing.any(axis=1)])
    if not len(found):
        return 0.0, 1.0
    # a text with sentences twice in it is burstier than any that somebody wrote: only the spread is taken from these
    low, high = np.quantile(found - found.mean(), (0.025, 0.975))
    return float(probability(reading.log_odds + min(low, 0.0))), float(probability(reading.log_odds + max(high, 0.0)))


def _sentences(line: str) -> list[str]:
    """The sentences of the first 3,000 words, the very long ones cut."""
    cut: list[str] = []
    left = MAX_WORDS
    for sentence in sentences(line):
        words = sentence.split()[:left]
        pieces = max(1, -(-len(words) // _LONGEST_SENTENCE))
        size = -(-len(words) // pieces)
        cut += [" ".join(words[start : start + size])[: 40 * _LONGEST_SENTENCE] for start in range(0, len(words), size)]
        left -= len(words)
        if left <= 0:
            break
    return cut
