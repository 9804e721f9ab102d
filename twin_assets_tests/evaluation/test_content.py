import asyncio

import numpy as np
import pytest

from twin_assets.evaluation.content import Content, measure_content
from twin_assets.models import embedder
from twin_assets.settings import Settings

_REAL = "I left the loaf in the oven for an hour and it burned. The thermometer was wrong by forty degrees."
_NEAR = "My bread burned because the oven was much hotter than its thermometer said."
_FAR = "Quarterly revenue of the shipping company rose by four percent against the previous year."


def test_a_text_on_the_subject_is_nearer_than_one_that_is_not(settings: Settings):
    model = embedder(settings.embedder, settings)
    near = measure_content([_NEAR], [_REAL], ["burned bread"], model)
    far = measure_content([_FAR], [_REAL], ["burned bread"], model)
    assert near.to_real > far.to_real + 0.2
    assert near.to_prompt > far.to_prompt + 0.2
    assert near.chrf > far.chrf


def test_it_works_inside_a_running_event_loop_and_with_nothing_written(settings: Settings):
    model = embedder(settings.embedder, settings)

    async def inside() -> Content:
        return measure_content(["", _REAL], [_REAL, _REAL], ["", "bread"], model)

    found = asyncio.run(inside())
    assert 0 < found.to_real < 1
    assert found.rouge == pytest.approx(0.5)
    assert measure_content([], [], [], model) == Content(0, 0, 0, 0)


def test_all_texts_are_embedded_in_one_batch(settings: Settings):
    model = embedder(settings.embedder, settings)
    batches: list[int] = []

    class Counted:
        def encode(self, texts: list[str], /) -> np.ndarray:
            batches.append(len(texts))
            return model.encode(texts)

    texts = [f"{place} {_NEAR}" for place in range(8)]
    measure_content(texts, texts[::-1], [f"bread {place}" for place in range(8)], Counted())
    assert batches == [8 + 8 + 1]  # every different text once, and the stand-in for an empty one
