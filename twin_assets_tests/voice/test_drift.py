from datetime import UTC, datetime

import pytest

from twin_assets.voice.drift import Period, draw_drift, drift
from twin_assets.voice.voices import voice
from twin_assets_tests.voice.conftest import CONTROLS, PNG
from twin_assets_tests.voice.voices import texts

OTHERS = [voice("manual", CONTROLS["manual"])]
Dated = list[tuple[datetime, str]]


def _dated(year: int, name: str, number: int = 24, seed: int = 1) -> Dated:
    return [(datetime(year, 1 + place % 12, 1, tzinfo=UTC), text) for place, text in enumerate(texts(name, number, seed))]


def test_a_voice_that_changes_half_way_is_less_like_its_newest_before_that() -> None:
    found = drift([*_dated(2020, "coach"), *_dated(2021, "coach", seed=2), *_dated(2022, "wry"), *_dated(2023, "wry", seed=2)], OTHERS)
    assert [period.name for period in found] == ["2020", "2021", "2022", "2023"]
    old, new = found[:2], found[2:]
    assert max(period.high for period in old) < min(period.low for period in new)
    assert [period.weight for period in old] < [0.3, 0.3]
    assert all(period.weight > 0.8 for period in new)
    assert all(0 <= period.weight <= 1 and period.low <= period.likeness <= period.high for period in found)


def test_a_voice_that_stays_keeps_its_weight() -> None:
    found = drift([text for year in (2020, 2021, 2022) for text in _dated(year, "wry", seed=year)], OTHERS)
    assert all(period.weight > 0.8 for period in found)
    assert found[-1].likeness == 1


def test_the_order_of_the_texts_does_not_matter() -> None:
    dated = [*_dated(2020, "coach"), *_dated(2022, "wry")]
    assert drift(dated, OTHERS) == drift(sorted(dated, key=lambda one: one[0], reverse=True), OTHERS)


def test_years_with_little_are_taken_together() -> None:
    years = [*_dated(2018, "wry", 3, 1), *_dated(2019, "wry", 6, 2), *_dated(2020, "wry", 6, 3), *_dated(2023, "wry", 24, 4)]
    assert [period.name for period in drift(years, OTHERS)] == ["2018-2020", "2023"]
    assert [period.name for period in drift([*years, *_dated(2024, "wry", 5, 5)], OTHERS)] == ["2018-2020", "2023-2024"]


@pytest.mark.parametrize(
    "dated",
    [[], _dated(2020, "wry"), [*_dated(2020, "wry", 3), *_dated(2021, "wry", 3)], [*_dated(2020, "wry", 3), *_dated(2021, "wry", 24)]],
)
def test_one_period_says_nothing_of_change(dated: Dated) -> None:
    assert drift(dated, OTHERS) == []


def test_weights_lie_between_nothing_and_everything() -> None:
    assert [Period("2020", 9, likeness, 0, 1).weight for likeness in (-0.4, 0.0, 0.416, 1.0, 1.3)] == [0, 0, 0.42, 1, 1]


def test_the_picture_is_a_png() -> None:
    periods = [Period("2018-2020", 9, 0.4, 0.2, 0.6), Period("2021", 12, 1.0, 1.0, 1.0)]
    assert draw_drift(periods).startswith(PNG)
    assert draw_drift(periods) == draw_drift(periods)
