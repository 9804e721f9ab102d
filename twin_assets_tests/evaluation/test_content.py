import asyncio
import time

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


@pytest.mark.timeout(120)
def test_sixty_four_texts_are_measured_in_seconds(settings: Settings):
    model = embedder(settings.embedder, settings)
    measure_content([_NEAR], [_REAL], ["bread"], model)  # loads the libraries
    texts = [f"{place} {_NEAR} {_REAL} {_FAR} " * 3 for place in range(64)]
    started = time.process_time()
    measure_content(texts, texts[::-1], texts, model)
    assert time.process_time() - started < 60
