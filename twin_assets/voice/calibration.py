"""From what two instruments say to one probability: the verification of a voice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.floating[Any]]
QUANTILES = np.linspace(0, 1, 21)
_RIDGE = 0.001


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the instruments say of texts whose writer is known.

    Attributes:
        signals: One row per text: its score in the author's direction, and LambdaG.
        own: Whether the author wrote it.
        weights: How much each text counts.
    """

    signals: Vectors
    own: NDArray[np.bool_]
    weights: Vectors


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the signals mean for texts of one length, learned from texts that were held out.

    Attributes:
        words: The length.
        slopes: How fast the log-odds rise with each signal.
        intercept: The log-odds where both signals are 0.
        own: Quantiles (0, 5, ... 100 %) of the log-odds of the author's own held-out texts: the author's band.
    """

    words: int
    slopes: tuple[float, float]
    intercept: float
    own: tuple[float, ...]

    def log_odds(self, signals: Vectors) -> Vectors:
        """The log-odds that the author wrote each text, if author and others are equally likely beforehand."""
        return signals @ np.array(self.slopes) + self.intercept


def calibrate(words: int, evidence: Evidence) -> Calibration:
    """Fits the probability; all texts of others together weigh as much as the author's."""
    slopes, intercept = logistic(evidence)
    unranked = Calibration(words, (slopes[0], slopes[1]), intercept, ())
    band = np.quantile(unranked.log_odds(evidence.signals[evidence.own]), QUANTILES)
    return Calibration(words, unranked.slopes, intercept, tuple(round(float(value), 4) for value in band))


def between(words: float, calibrations: Sequence[Calibration]) -> Calibration:
    """The calibration for a length between those that were measured; beyond them, that of the nearest."""
    lengths = [one.words for one in calibrations]

    def at(values: Sequence[float]) -> float:
        return float(np.interp(words, lengths, values))

    return Calibration(
        round(words),
        (at([one.slopes[0] for one in calibrations]), at([one.slopes[1] for one in calibrations])),
        at([one.intercept for one in calibrations]),
        tuple(at(column) for column in zip(*(one.own for one in calibrations), strict=True)),
    )


def probability(log_odds: Vectors | float) -> Vectors:
    """Log-odds as a probability."""
    return 1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))


def balanced(labels: Sequence[str], author: str) -> Vectors:
    """Weights by which the author weighs as much as all others together, and the others weigh the same among themselves."""
    names, sizes = np.unique(labels, return_counts=True)
    number = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    others = max(len(number) - (author in number), 1)
    return np.array([1 / number[label] / (1 if label == author else others) for label in labels])


def logistic(evidence: Evidence) -> tuple[tuple[float, float], float]:
    """Slopes and intercept of a weighted logistic regression; a signal that would count against the author is left out.

    By Newton's method; a small ridge keeps it finite when all is separable.
    """
    fitted = _newton(evidence, [0, 1])
    if fitted[0][0] >= 0 and fitted[0][1] >= 0:
        return fitted
    alone = [_newton(evidence, [used]) for used in (0, 1)]
    best = min(alone, key=lambda one: _loss(evidence, *one))
    return (max(best[0][0], 0.0), max(best[0][1], 0.0)), best[1]


def _newton(evidence: Evidence, used: list[int]) -> tuple[tuple[float, float], float]:
    values, weights = evidence.signals[:, used], evidence.weights
    centre, spread = weights @ values / weights.sum(), np.maximum(values.std(axis=0), 1e-9)
    design = np.column_stack([(values - centre) / spread, np.ones(len(values))])
    ridge = _RIDGE * np.eye(design.shape[1])
    factors = np.zeros(design.shape[1])
    for _ in range(30):
        chance = probability(design @ factors)
        gradient = design.T @ (weights * (evidence.own - chance)) - ridge @ factors
        curvature = (design.T * (weights * chance * (1 - chance))) @ design + ridge
        factors = factors + np.linalg.solve(curvature, gradient)
    slopes = np.zeros(2)
    slopes[used] = factors[:-1] / spread
    return (float(slopes[0]), float(slopes[1])), float(factors[-1] - slopes[used] @ centre)


def _loss(evidence: Evidence, slopes: tuple[float, float], intercept: float) -> float:
    if min(slopes) < 0:
        slopes = (max(slopes[0], 0.0), max(slopes[1], 0.0))
    chance = np.clip(probability(evidence.signals @ np.array(slopes) + intercept), 1e-12, 1 - 1e-12)
    return float(-(evidence.weights * np.log(np.where(evidence.own, chance, 1 - chance))).sum())
