from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from twin_assets.voice.calibration import QUANTILES, Calibration, Evidence, balanced, between, calibrate, logistic, probability

_SIGNALS = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=12)


def _evidence(signals: NDArray[np.floating[Any]], own: NDArray[np.bool_]) -> Evidence:
    return Evidence(signals, own, balanced(["me" if one else "other" for one in own], "me"))


def _drawn(slopes: tuple[float, float], intercept: float, number: int = 6000) -> Evidence:
    chance = np.random.default_rng(1)
    signals = chance.normal(size=(number, 2)) * (0.3, 2.0)
    own = chance.random(number) < probability(signals @ np.array(slopes) + intercept)
    return Evidence(signals, own, np.ones(number))


def test_the_author_weighs_as_much_as_all_others_together() -> None:
    weights = balanced(["me", "me", "a", "b", "b", "b"], "me")
    assert weights.tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 2, 1 / 6, 1 / 6, 1 / 6])
    assert balanced(["a", "a"], "me").tolist() == [0.5, 0.5]
    assert balanced(["me", "me"], "me").tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("slopes", "intercept"), [((5.0, 0.6), -0.5), ((0.0, 1.0), 1.0)])
def test_known_slopes_are_found_again(slopes: tuple[float, float], intercept: float) -> None:
    found = logistic(_drawn(slopes, intercept))
    assert found[0] == pytest.approx(slopes, rel=0.1, abs=0.3)
    assert found[1] == pytest.approx(intercept, abs=0.15)


def test_a_signal_that_points_the_wrong_way_is_left_out() -> None:
    slopes, _ = logistic(_drawn((5.0, -0.6), 0.0))
    assert slopes[0] > 3
    assert slopes[1] == 0
    assert logistic(_drawn((-5.0, -0.6), 0.0))[0] == (0, 0)


def test_text_that_can_be_told_apart_without_an_error_has_a_finite_slope() -> None:
    signals = np.array([[1.0, 1.0], [0.9, 0.8], [-1.0, -1.0], [-0.8, -0.9]])
    found = calibrate(150, _evidence(signals, np.array([True, True, False, False])))
    assert 0 < found.slopes[0] < 1e4
    assert probability(found.log_odds(signals)).round(2).tolist() == pytest.approx([1, 1, 0, 0], abs=0.02)


@given(_SIGNALS, _SIGNALS)
def test_any_signals_can_be_calibrated(own: list[tuple[float, float]], others: list[tuple[float, float]]) -> None:
    signals = np.array([*own, *others])
    found = calibrate(150, _evidence(signals, np.arange(len(signals)) < len(own)))
    assert min(found.slopes) >= 0
    assert np.isfinite([*found.slopes, found.intercept, *found.own]).all()
    assert list(found.own) == sorted(found.own)
    assert len(found.own) == len(QUANTILES)


def test_the_band_is_that_of_the_authors_own_texts() -> None:
    evidence = _drawn((5.0, 0.6), 0.0)
    found = calibrate(150, evidence)
    own = found.log_odds(evidence.signals[evidence.own])
    assert [found.own[0], found.own[10], found.own[-1]] == pytest.approx([own.min(), np.median(own), own.max()], abs=1e-3)


def test_between_two_lengths_it_is_interpolated_and_beyond_them_it_stays() -> None:
    short, long = Calibration(50, (1.0, 2.0), -1.0, (0.0, 4.0)), Calibration(150, (3.0, 6.0), 1.0, (2.0, 8.0))
    assert between(75, [short, long]) == Calibration(75, (1.5, 3.0), -0.5, (0.5, 5.0))
    assert between(20, [short, long]) == Calibration(20, short.slopes, short.intercept, short.own)
    assert between(900, [short, long]) == Calibration(900, long.slopes, long.intercept, long.own)
    assert between(75, [long]).slopes == long.slopes


@given(st.floats(allow_nan=False))
def test_any_log_odds_are_a_probability(log_odds: float) -> None:
    assert 0 <= probability(log_odds) <= 1
    assert probability(0.0) == 0.5
