import pytest

from twin_assets.evaluation.quality import MEMORISED_WORDS, no_memorised_passages, twin_beats_base
from twin_assets_tests.evaluation.conftest import make_ladder


def test_a_recited_passage_fails():
    finding = no_memorised_passages(make_ladder(memorised=MEMORISED_WORDS).figures)
    assert not finding.passed
    assert f"{MEMORISED_WORDS}" in finding.description


def test_a_phrase_is_no_recitation():
    assert no_memorised_passages(make_ladder(memorised=MEMORISED_WORDS - 1).figures).passed


@pytest.mark.parametrize(
    ("base", "twin", "passed"), [(3, 7, True), (5, 5, False), (7, 3, False), (8, 8, False), (0, 0, False), (0, 1, True)]
)
def test_the_twin_must_win_and_a_tie_is_no_win(base: int, twin: int, passed: bool):
    assert twin_beats_base(make_ladder(base=base, twin=twin).figures).passed is passed


@pytest.mark.parametrize("check", [no_memorised_passages, twin_beats_base])
def test_without_a_report_nothing_passes(check):
    finding = check({})
    assert not finding.passed
    assert "Materialize evaluation/eval_report" in finding.description
