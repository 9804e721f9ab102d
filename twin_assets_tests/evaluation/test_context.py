import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twin_assets.evaluation.context import Context, measure_context
from twin_assets.evaluation.report import to_html, to_markdown
from twin_assets.evaluation.rungs import Ladder
from twin_assets.models import embedder
from twin_assets.settings import Settings

_REAL = "The sourdough burned because the oven ran forty degrees too hot. I bought an oven thermometer the next day."
_ON_BREAD = "My oven is much too hot, so the bread burns. An oven thermometer costs nine dollars."
_ON_SHIPS = "Container shipping lines raised their freight rates in the third quarter."


class Keyed:
    """Texts with a word in common point the same way."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def encode(self, texts: list[str], /) -> np.ndarray:
        return np.array([[3.0 * (word in text) for word in self.words] + [0.01] for text in texts])


def test_passages_on_the_subject_fit_and_others_do_not(settings: Settings) -> None:
    model = embedder(settings.embedder, settings)
    near, far = measure_context([([_ON_BREAD], _REAL)], model), measure_context([([_ON_SHIPS], _REAL)], model)
    assert near is not None and far is not None
    assert near.precision == pytest.approx(1)
    assert near.recall >= 0.5
    assert (far.precision, far.recall) == (0, 0)


def test_precision_looks_at_the_order_and_recall_at_the_sentences() -> None:
    both = Keyed("bread", "ships")
    first = measure_context([(["bread.", "ships."], "bread.")], both)
    second = measure_context([(["ships.", "bread."], "bread.")], both)
    assert first is not None and second is not None
    assert (first.precision, second.precision) == (pytest.approx(1), pytest.approx(0.5))
    half = measure_context([(["All on bread."], "Some bread. Some ships."), ([], "bread")], both)
    assert half is not None and half.recall == 0.5 and half.tasks == 1


def test_it_is_the_mean_over_tasks_with_passages() -> None:
    found = measure_context([(["bread"], "bread"), (["ships"], "bread"), ([" "], "bread"), (["bread"], " ")], Keyed("bread", "ships"))
    assert found == Context(pytest.approx(0.5), 0.5, 2)
    assert measure_context([([], "bread")], Keyed("bread")) is None
    assert measure_context([], Keyed("bread")) is None


def test_everything_is_embedded_once_also_inside_a_running_event_loop() -> None:
    batches: list[list[str]] = []

    class Counted(Keyed):
        def encode(self, texts: list[str], /) -> np.ndarray:
            batches.append(texts)
            return super().encode(texts)

    async def inside() -> Context | None:
        return measure_context([(["bread. ships."], "bread. ships."), (["bread."], "ships.")], Counted("bread"))

    assert asyncio.run(inside()) is not None
    assert len(batches) == 1 and len(batches[0]) == len(set(batches[0])) == 3


def test_nothing_is_written_into_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragas._analytics import get_userid

    get_userid.cache_clear()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert measure_context([(["bread"], "bread")], Keyed("bread")) is not None
    assert list(tmp_path.iterdir()) == []


def test_it_stands_in_the_figures_and_the_report(ladder: Ladder) -> None:
    found = replace(ladder, context=Context(0.8125, 0.25, 7))
    assert found.figures["context_precision"] == 0.8125 and found.figures["context_recall"] == 0.25
    for page in (to_html(found, {}), to_markdown(found)):
        assert "that 7 prompts were given" in page and "context precision 0.81" in page and "context recall 0.25" in page
    assert "context_precision" not in ladder.figures
    assert "No prompt was given passages" in to_markdown(ladder)
