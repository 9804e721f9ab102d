import pytest

from twin_assets.evaluation.quality import (
    GATE,
    content_not_worse,
    every_rung_wrote,
    no_memorised_passages,
    not_worse_than_deployed,
    slop_like_the_authors,
    twin_beats_base,
)
from twin_assets.store.thresholds import Thresholds
from twin_assets_tests.evaluation.conftest import make_ladder

USUAL = Thresholds.model_validate({})
LIMIT = USUAL.verbatim_words


def test_a_recited_passage_fails():
    finding = no_memorised_passages(make_ladder(memorised=LIMIT).figures, USUAL)
    assert not finding.passed
    assert f"{LIMIT}" in finding.description
    assert "Train fewer epochs" in finding.description


def test_a_passage_copied_from_the_prompt_fails_and_says_so():
    figures = make_ladder(memorised=4).figures | {"verbatim_longest": 34}
    finding = no_memorised_passages(figures, USUAL)
    assert not finding.passed
    assert "stood in the prompt" in finding.description


def test_a_phrase_is_no_recitation():
    assert no_memorised_passages(make_ladder(memorised=LIMIT - 1).figures, USUAL).passed
    assert not no_memorised_passages(make_ladder(memorised=LIMIT - 1).figures, Thresholds(verbatim_words=10)).passed


@pytest.mark.parametrize(
    ("base", "twin", "passed"), [(0, 8, True), (1, 8, True), (3, 7, False), (5, 5, False), (7, 3, False), (6, 8, False)]
)
def test_the_twin_must_win_beyond_chance(base: int, twin: int, passed: bool):
    finding = twin_beats_base(make_ladder(base=base, twin=twin, prompts=12).figures, USUAL)
    assert finding.passed is passed
    assert ("TWIN_EVAL_PROMPTS" in finding.description) is not passed


def test_more_than_beyond_chance_can_be_asked_for():
    figures = make_ladder(base=0, twin=8, prompts=12).figures
    assert twin_beats_base(figures, USUAL).passed
    assert not twin_beats_base(figures, Thresholds(voice_gain=0.9)).passed


@pytest.mark.parametrize(("twins", "passed"), [(1.0, True), (2.9, True), (3.1, False)])
def test_slop_is_held_against_the_author(twins: float, passed: bool):
    assert slop_like_the_authors({"slop_twins": twins, "slop_author": 1.0}, USUAL).passed is passed


@pytest.mark.parametrize(("meaning", "passed"), [(0.61, True), (0.57, True), (0.55, False)])
def test_the_subject_may_be_lost_by_a_margin_only(meaning: float, passed: bool):
    assert content_not_worse(make_ladder(meaning=meaning).figures, USUAL).passed is passed


@pytest.mark.parametrize(("served", "passed"), [(None, True), (0.5, True), (0.79, True), (0.9, False)])
def test_a_worse_twin_does_not_take_the_place_of_a_better(served: float | None, passed: bool):
    assert not_worse_than_deployed({"voice_twin": 0.75, "deployed_voice": served}, USUAL).passed is passed


@pytest.mark.parametrize(("margin", "passed"), [(0.05, False), (1.0, True)])
def test_what_serves_without_a_report_is_replaced_only_by_whoever_says_so(margin: float, passed: bool):
    figures = {"voice_twin": 0.0, "deployed_voice": None, "deployed_version": "m1"}
    finding = not_worse_than_deployed(figures, Thresholds(deployed_margin=margin))
    assert finding.passed is passed
    assert passed or "--set deployed_margin=1" in finding.description


def test_a_few_prompts_prove_nothing_however_many_are_won():
    finding = twin_beats_base(make_ladder(base=0, twin=8, prompts=9).figures, USUAL)
    assert not finding.passed
    assert "Not enough evidence: 9 prompts on which the base model wrote enough to be heard, at least 10 are needed" in finding.description


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), "0.9"])
@pytest.mark.parametrize("check", GATE)
def test_what_is_no_number_passes_nothing(check, nothing):
    names = ("voice_twin", "voice_gain_low", "verbatim_longest", "slop_twins", "content_twin_rag")
    assert not check({**make_ladder(base=0, twin=8, prompts=12).figures, **dict.fromkeys(names, nothing)}, USUAL).passed


@pytest.mark.parametrize("check", GATE)
def test_without_a_report_nothing_passes(check):
    finding = check({}, USUAL)
    assert not finding.passed
    assert "Materialize evaluation/eval_report" in finding.description


WROTE = "The gauge on the pier is off."


@pytest.mark.parametrize(
    ("twin", "said"),
    [
        ((WROTE,) * 10, ""),
        (("", *(WROTE,) * 9), ""),
        (("", " \n", *(WROTE,) * 8), "20% of the texts of twin are empty or of fewer than 5 words"),
        (("The gauge on the",) * 10, "100% of the texts of twin"),
        ((WROTE,) * 9, "twin has 9 texts for 10 prompts"),
        ((), "twin has 0 texts for 10 prompts"),
    ],
)
def test_every_rung_writes_on_every_prompt_and_hardly_ever_nothing(twin: tuple[str, ...], said: str):
    finding = every_rung_wrote(10, {"base": (WROTE,) * 10, "twin": twin})
    assert finding.passed is not bool(said)
    assert said in finding.description


@pytest.mark.parametrize(("prompts", "texts"), [(0, {}), (0, {"twin": ()}), (3, {})])
def test_without_texts_nothing_was_written(prompts: int, texts: dict[str, tuple[str, ...]]):
    finding = every_rung_wrote(prompts, texts)
    assert not finding.passed
    assert "Materialize evaluation/eval_texts" in finding.description
