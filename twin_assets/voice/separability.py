"""Separability: how well a classifier that is trained to do so tells a twin's texts from the author's.

0.5 says that it cannot; 1 that one look is enough. Unlike attribution, which asks whose voice is nearest, it finds whatever sets the two
apart, so it is the hardest of the instruments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twin_assets.voice.evidence import MIN_WORDS, NotEnough
from twin_assets.voice.features import VIEWS, Passage, ViewName, count
from twin_assets.voice.space import Vectors, fit_scale, products, table, weights_of
from twin_assets.voice.tokens import mask, plain

MIN_PAIRS = 10
_FOLDS = 10
_VOCABULARY: dict[ViewName, int] = {"words": 2000, "characters": 4000}
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Separability:
    """How often a text of the twin's is told from one of the author's.

    Attributes:
        auc: Area under the curve, cross-validated.
        low: Lower end of its 95 % interval, from pairs drawn anew.
        high: Upper end.
        pairs: How many pairs of texts.
    """

    auc: float
    low: float
    high: float
    pairs: int


def separability(twin: Sequence[str], author: Sequence[str]) -> Separability | NotEnough:
    """Cross-validated AUC of a classifier between texts that answer the same prompts.

    Both texts of a pair are cut to the length of the shorter one and are left out together, so that neither length nor subject can tell
    them apart.

    Args:
        twin: The twin's texts.
        author: What the author wrote for the same prompts, in the same order.
    """
    pairs = [pair for pair in (_same_length(*both) for both in zip(twin, author, strict=True)) if pair]
    if len(pairs) < MIN_PAIRS:
        words = sum(len(text.split()) for text in (*twin, *author))
        reason = (
            f"Not enough evidence: {len(pairs)} pairs of texts of at least {MIN_WORDS} words, {MIN_PAIRS} are needed to say whether "
            "a classifier can tell twin and author apart. Raise TWIN_EVAL_PROMPTS."
        )
        return NotEnough(reason, words)
    found = _held_out_scores(pairs)
    drawn = np.random.default_rng(0).integers(0, len(pairs), size=(_RESAMPLES, len(pairs)))
    low, high = np.quantile([_auc(found[rows]) for rows in drawn], (0.025, 0.975))
    return Separability(_auc(found), float(low), float(high), len(pairs))


def _held_out_scores(pairs: Sequence[tuple[Passage, Passage]]) -> Vectors:
    """How much each text looks like the twin's to a classifier that has not seen its pair: one row per pair, twin and author."""
    twins, authors = [twin for twin, _ in pairs], [author for _, author in pairs]
    labels = np.repeat([0, 1], len(pairs))
    tables = {view: table([*twins, *authors], view) for view in VIEWS}
    scales = {view: fit_scale(_VOCABULARY[view], tables[view], labels) for view in VIEWS}
    cosines = products({view: scales[view].of_frequencies(tables[view].shares(scales[view].grams)) for view in VIEWS})
    fold = np.tile(np.arange(len(pairs)) % _FOLDS, 2)
    scores = np.zeros(2 * len(pairs))
    for left_out in range(_FOLDS):
        learned, asked = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
        weights = weights_of(cosines[np.ix_(learned, learned)], labels[learned], 2)
        scores[asked] = (cosines[np.ix_(asked, learned)] @ weights)[:, 0]
    return scores.reshape(2, -1).T


def _auc(scores: Vectors) -> float:
    twin, author = scores[:, 0], scores[:, 1]
    return float(np.mean((twin[:, None] > author) + 0.5 * (twin[:, None] == author)))


def _same_length(twin: str, author: str) -> tuple[Passage, Passage] | None:
    first, second = mask(plain(twin)).split(), mask(plain(author)).split()
    words = min(len(first), len(second))
    return (count([" ".join(first[:words])])[0], count([" ".join(second[:words])])[0]) if words >= MIN_WORDS else None
