"""The spaces in which voices are compared: standardised n-gram frequencies, one space per kind of n-gram."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class View:
    """One kind of n-gram: its vocabulary, its scale over all voices, and the centroid of each voice in it."""

    grams: tuple[str, ...]
    mean: Vectors
    scale: Vectors
    centroids: Vectors

    def vectors(self, counts: Sequence[Counter[str]]) -> Vectors:
        """Relative frequencies as z-scores, one row per text."""
        return (_frequencies(self.places, counts) - self.mean) / self.scale

    @cached_property
    def places(self) -> dict[str, int]:
        """The column of each n-gram."""
        return _places(self.grams)


def fit(size: int, counts: Mapping[str, Sequence[Counter[str]]]) -> View:
    """The view of the ``size`` most frequent n-grams; every voice weighs the same, however much of it there is.

    Args:
        size: How many n-grams.
        counts: The n-grams of each passage, by voice.
    """
    grams = _vocabulary(size, counts)
    frequencies = [_frequencies(_places(grams), own) for own in counts.values()]
    mean = np.mean([own.mean(axis=0) for own in frequencies], axis=0)
    scale = np.sqrt(np.mean([((own - mean) ** 2).mean(axis=0) for own in frequencies], axis=0)) + 1e-9
    centroids = [((own - mean) / scale).mean(axis=0) for own in frequencies]
    return View(grams, _rounded(mean, 9), _rounded(scale, 9), _rounded(np.array(centroids), 5))


def _vocabulary(size: int, counts: Mapping[str, Sequence[Counter[str]]]) -> tuple[str, ...]:
    weight: Counter[str] = Counter()
    for own in counts.values():
        total: Counter[str] = Counter()
        for count in own:
            total.update(count)
        everything = max(total.total(), 1)
        for gram, number in total.items():
            weight[gram] += number / everything  # pyright: ignore[reportArgumentType]  # a Counter holds fractions as well
    return tuple(sorted(weight, key=lambda gram: (-round(weight[gram], 12), gram))[:size])


def _places(grams: Sequence[str]) -> dict[str, int]:
    return {gram: place for place, gram in enumerate(grams)}


def _frequencies(places: Mapping[str, int], counts: Sequence[Counter[str]]) -> Vectors:
    found = np.zeros((len(counts), len(places)))
    for row, count in zip(found, counts, strict=True):
        known = [(places[gram], number) for gram, number in count.items() if gram in places]
        if known:
            columns, numbers = zip(*known, strict=True)
            row[list(columns)] = numbers
            row /= count.total()
    return found


def cosine(vectors: Vectors, centroids: Vectors) -> Vectors:
    """Cosine similarities, one row per vector, one column per centroid."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) * np.linalg.norm(centroids, axis=1)
    return vectors @ centroids.T / np.maximum(lengths, 1e-12)


def _rounded(values: Vectors, digits: int) -> Vectors:
    return np.round(values, digits) + 0.0  # no negative zeros
