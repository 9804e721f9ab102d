"""Shares and differences with their uncertainty."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference over the same prompts, with its 95 % interval."""

    mean: float
    low: float
    high: float


def paired(first: Sequence[float], second: Sequence[float], sources: Sequence[Hashable] = ()) -> Difference:
    """How much more the first has than the second, prompt by prompt: the paired bootstrap.

    Two prompts from one document are less than two pieces of evidence: prompts are drawn anew, and then documents with all their
    prompts (Davison and Hinkley 1997, 3.8). The wider of the two intervals counts: few documents can look alike by chance.

    Args:
        first: One value per prompt.
        second: One value per prompt, in the same order.
        sources: The document of each prompt; each has its own when left out.
    """
    each = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if not len(each):
        return Difference(0.0, -1.0, 1.0)
    intervals = [_interval(each, range(len(each))), *([_interval(each, sources)] if sources else [])]
    return Difference(float(each.mean()), min(low for low, _ in intervals), max(high for _, high in intervals))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The Wilson 95 % interval of a share: right for few trials and for shares near 0 and 1."""
    if not trials:
        return 0.0, 1.0
    z, share = 1.959964, successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _interval(each: NDArray[np.float64], sources: Sequence[Hashable]) -> tuple[float, float]:
    _, source = np.unique([str(one) for one in sources], return_inverse=True)
    sums, sizes = np.bincount(source, each), np.bincount(source)
    drawn = np.random.default_rng(0).integers(0, len(sums), size=(RESAMPLES, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def evenly(count: int, limit: int) -> list[int]:
    """At most ``limit`` of the positions 0 to ``count`` - 1, spread evenly."""
    taken = min(count, limit)
    return [(2 * place + 1) * count // (2 * taken) for place in range(taken)]
