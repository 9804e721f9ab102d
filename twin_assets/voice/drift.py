"""Drift: how the author's voice has changed over the years, so that old writing can be weighed down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

import numpy as np

from twin_assets.voice.features import VIEWS, Passage, ViewName
from twin_assets.voice.space import Vectors, fit_scale, table
from twin_assets.voice.tokens import FUNCTION_WORDS
from twin_assets.voice.voices import PASSAGE_WORDS, Voice, voice

MIN_PASSAGES = 6
MAX_PASSAGES = 60
_VOCABULARY: dict[ViewName, int] = {"words": 1000, "characters": 2000}
_RESAMPLES = 50


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of an author's writing.

    Attributes:
        name: The year, or the first and the last one of several that are taken together.
        passages: Passages of 150 words.
        likeness: How close its voice is to that of the newest period: 1 is as close as two halves of the newest period are to each
            other, 0 is as far as the average of author and control voices.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    name: str
    passages: int
    likeness: float
    low: float
    high: float

    @property
    def weight(self) -> float:
        """What its writing may count in training, between 0 and 1."""
        return round(min(1.0, max(0.0, self.likeness)), 2)


def drift(texts: Sequence[tuple[datetime, str]], controls: Sequence[Voice], kept: frozenset[str] = FUNCTION_WORDS) -> list[Period]:
    """The author's voice by year, oldest first; years with less than 900 words are taken together with their neighbours.

    Args:
        texts: Each text with its date; undated ones are not for this instrument.
        controls: Other people's voices: what is different from all of them is the author's.
        kept: The words that are not masked.

    Returns:
        Nothing where there are fewer than two periods: not enough evidence.
    """
    parts = _periods(texts, kept)
    if len(parts) < 2:
        return []
    passages = [own for _, own in parts]
    vectors = _vectors(passages, controls)
    sizes = [len(own) for own in passages]
    rows = np.split(vectors, np.cumsum(sizes)[:-1])
    chance = np.random.default_rng(0)
    drawn = np.array([_likenesses(rows, chance) for _ in range(_RESAMPLES)])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    middle = np.median(drawn, axis=0)
    return [
        Period(name, size, *(round(float(value), 3) for value in values))
        for (name, _), size, *values in zip(parts, sizes, middle, low, high, strict=True)
    ]


def draw_drift(periods: Sequence[Period]) -> bytes:
    """A PNG: likeness to the newest writing, by period."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places, middle = np.arange(len(periods)), np.array([period.likeness for period in periods])
    axes.fill_between(places, [period.low for period in periods], [period.high for period in periods], color="#2f6fdf", alpha=0.15)
    axes.plot(places, middle, color="#2f6fdf", marker="o")
    axes.axhline(1, color="#d9822b", linestyle="--", linewidth=1, label="as alike as the newest period is to itself")
    axes.set_xticks(places, [period.name for period in periods], fontsize=8)
    axes.set_title("The author's voice over time: likeness to the newest writing", loc="left", fontsize=10, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    written = BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def _periods(texts: Sequence[tuple[datetime, str]], kept: frozenset[str]) -> list[tuple[str, list[Passage]]]:
    by_year: dict[int, list[str]] = {}
    for date, text in sorted(texts, key=lambda one: one[0]):
        by_year.setdefault(date.year, []).append(text)
    found: list[tuple[list[int], list[str]]] = []
    for year in sorted(by_year, reverse=True):  # from the newest: what is left over joins the oldest
        if found and sum(len(text.split()) for text in found[-1][1]) < MIN_PASSAGES * PASSAGE_WORDS:
            found[-1] = ([year, *found[-1][0]], [*by_year[year], *found[-1][1]])
        else:
            found.append(([year], by_year[year]))
    if len(found) > 1 and sum(len(text.split()) for text in found[-1][1]) < MIN_PASSAGES * PASSAGE_WORDS:
        years, own = found.pop()
        found[-1] = ([*years, *found[-1][0]], [*own, *found[-1][1]])
    named = [
        (str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}", voice("", own, MAX_PASSAGES, kept).passages)
        for years, own in found
    ]
    return [(name, own) for name, own in reversed(named) if len(own) >= 2]


def _vectors(periods: Sequence[Sequence[Passage]], controls: Sequence[Voice]) -> Vectors:
    flat = [passage for own in periods for passage in own]
    classes = [flat, *(one.passages for one in controls if one.passages)]
    labels = np.array([label for label, own in enumerate(classes) for _ in own])
    tables = {view: table([passage for own in classes for passage in own], view) for view in VIEWS}
    scales = {view: fit_scale(_VOCABULARY[view], tables[view], labels) for view in VIEWS}
    return np.hstack([scales[view].of_frequencies(tables[view].shares(scales[view].grams))[: len(flat)] for view in VIEWS])


def _likenesses(rows: Sequence[Vectors], chance: np.random.Generator) -> Vectors:
    """Cosine of each period's mean to that of one half of the newest, against that of the other half."""
    newest = rows[-1][chance.permutation(len(rows[-1]))]
    half = len(newest) // 2
    reference, same = newest[:half].mean(axis=0), newest[half:]
    means = [_drawn(own, min(len(own), len(same)), chance) for own in rows[:-1]] + [_drawn(same, len(same), chance)]
    found = np.array([mean @ reference / max(float(np.linalg.norm(mean) * np.linalg.norm(reference)), 1e-12) for mean in means])
    return found / max(found[-1], 0.05)


def _drawn(rows: Vectors, number: int, chance: np.random.Generator) -> Vectors:
    return rows[chance.permutation(len(rows))[:number]].mean(axis=0)
