"""From a margin between voices to a probability."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin_assets.voice.views import Vectors

QUANTILES = np.linspace(0, 1, 21)
_RIDGE = 0.001


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a margin means for texts of one length, learned from passages that were held out of the centroids.

    Attributes:
        words: The length.
        slope: How fast the probability rises with the margin.
        threshold: The margin at which author and others are equally likely.
        own_margins: Quantiles (0, 5, ... 100 %) of the margins of the author's own passages.
    """

    words: int
    slope: float
    threshold: float
    own_margins: tuple[float, ...]


def margins(similarities: Vectors) -> Vectors:
    """How much more a text resembles the author (the first column) than the control that it resembles most."""
    return similarities[:, 0] - similarities[:, 1:].max(axis=1)


def calibrate(words: int, similarities: Mapping[str, Vectors]) -> Calibration:
    """Fits the probability to held-out passages: the author's against the controls', author and others at equal odds.

    The controls' passages count twice: as they are, and as a stranger's, without the centroid of the voice that wrote them. Most
    people who are not the author are no control either, and come closer to the author than a known control does.
    """
    own, *others = (margins(found) for found in similarities.values())
    if len(others) > 1:
        others += [margins(np.delete(found, column, axis=1)) for column, found in enumerate(similarities.values()) if column]
    weights = np.concatenate([np.full(len(own), 1 / len(own)), *(np.full(len(other), 1 / len(other) / len(others)) for other in others)])
    slope, threshold = _logistic(np.concatenate([own, *others]), np.arange(len(weights)) < len(own), weights)
    quantiles = tuple(round(float(q), 5) for q in np.quantile(own, QUANTILES))
    return Calibration(words, round(slope, 4), round(threshold, 5), quantiles)


def _logistic(values: Vectors, own: NDArray[np.bool_], weights: Vectors) -> tuple[float, float]:
    """Slope and threshold of a weighted logistic regression, by Newton's method; a small ridge keeps it finite when all is separable."""
    centre, spread = float(weights @ values / weights.sum()), max(float(values.std()), 1e-9)
    design = np.stack([(values - centre) / spread, np.ones_like(values)], axis=1)
    ridge = np.diag([_RIDGE, _RIDGE])
    factors = np.zeros(2)
    for _ in range(30):
        probability = 1 / (1 + np.exp(-np.clip(design @ factors, -50, 50)))
        gradient = design.T @ (weights * (own - probability)) - ridge @ factors
        curvature = (design.T * (weights * probability * (1 - probability))) @ design + ridge
        factors = factors + np.linalg.solve(curvature, gradient)
    slope = max(float(factors[0]), 1e-6)
    return slope / spread, centre - float(factors[1]) / slope * spread
