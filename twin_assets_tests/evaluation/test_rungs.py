from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.evaluation.rungs import Ladder, Task, Yardsticks, kept, measure
from twin_assets.evaluation.statistics import evenly, paired, wilson
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.memorisation import VerbatimIndex
from twin_assets.voice.profile import build_profile
from twin_assets_tests.evaluation.conftest import make_ladder

_OWN = "I burned the bread again, and I knew why: the oven runs hot. So I wrote it down. My notes don't lie; I do, sometimes. "
_OTHER = "The committee has reviewed the proposal of the department and it was found that the requirements were met in full. "


class _Letters:
    """An embedder of letter counts: enough to tell equal texts from different ones."""

    def encode(self, texts: list[str], /) -> np.ndarray:
        counts = np.array([[text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def yardsticks() -> Yardsticks:
    profile = build_profile("ana", [_OWN * 60], {"clerk": [_OTHER * 60]})
    return Yardsticks(profile, VerbatimIndex(["A thermometer with a magnet on its back costs nine dollars at the shop."]), _Letters())


def _task(place: int, passages: tuple[str, ...] = ()) -> Task:
    from uuid import UUID

    return Task(UUID(int=place), "Write about bread.", _OWN, 30, place, passages)


def test_a_rung_counts_whose_voice_it_is(yardsticks: Yardsticks):
    rung = measure("twin", [_OWN * 6, _OTHER * 6, ""], [_task(0), _task(1), _task(2)], yardsticks, [])
    assert rung.attributed == [True, False, False]
    assert isinstance(rung.voices[2], NotEnough)
    assert rung.scores[2] == 0
    assert rung.own == 1
    assert rung.attribution == pytest.approx(1 / 3)


def test_content_is_closer_for_the_text_that_the_author_wrote(yardsticks: Yardsticks):
    near = measure("twin", [_OWN], [_task(0)], yardsticks, []).content
    far = measure("twin", [_OTHER], [_task(0)], yardsticks, []).content
    assert near.to_real == pytest.approx(1)
    assert (near.to_real, near.rouge, near.chrf) > (far.to_real, far.rouge, far.chrf)
    assert near.rouge > far.rouge and near.chrf > far.chrf


def test_what_stood_in_the_prompt_is_copied_but_not_memorised(yardsticks: Yardsticks):
    copy = "Buy a thermometer with a magnet on its back."
    task = _task(0, passages=("He has a thermometer with a magnet on its back there.",))
    shown = measure("twin_rag", [copy], [task], yardsticks, [])
    assert (shown.verbatim.words, shown.memorised.words) == (8, 0)
    unshown = measure("twin", [copy], [_task(0)], yardsticks, [])
    assert (unshown.verbatim.words, unshown.memorised.words) == (8, 8)
    assert measure("twin", [copy], [_task(0)], yardsticks, [copy]).memorised.words == 0


def test_what_is_quoted_is_no_copy(yardsticks: Yardsticks):
    quoted = 'He wrote: "a thermometer with a magnet on its back costs nine dollars". So I went.'
    assert measure("twin", [quoted], [_task(0)], yardsticks, []).verbatim.words == 0
    assert measure("twin", [quoted.replace('"', "")], [_task(0)], yardsticks, []).verbatim.words == 11


def test_key_points_are_counted_whatever_their_ending():
    assert kept("Two Thermometers and an oven.", ("thermometer", "ovens", "bread")) == pytest.approx(1 / 3)
    assert kept("", ("bread",)) == 0


def test_a_difference_is_taken_prompt_by_prompt():
    found = paired([1, 1, 1, 1, 0, 1, 1, 1], [0, 0, 1, 0, 0, 0, 1, 0])
    assert found.mean == pytest.approx(5 / 8)
    assert 0 < found.low < found.mean < found.high <= 1
    assert paired([1, 0] * 8, [0, 1] * 8).low < 0
    alone, together = paired([1, 1, 0, 0] * 4, [0] * 16), paired([1, 1, 0, 0] * 4, [0] * 16, ["a", "a", "b", "b", "c", "c", "d", "d"] * 2)
    assert alone.mean == together.mean == 0.5
    assert together.low < alone.low and alone.high < together.high  # four documents are less than sixteen prompts
    apart = paired([1, 1, 0, 0] * 4, [0] * 16, ["a", "b", "a", "b"] * 4)
    assert (apart.low, apart.high) == (alone.low, alone.high)  # two documents that are alike by chance make nothing surer
    assert paired([0.5] * 4, [0.5] * 4) == paired([], []).__class__(0.0, 0.0, 0.0)


def test_the_ladder_says_what_it_is_climbed_for():
    figures = make_ladder(base=1, twin=8).figures
    assert figures["voice_gain"] == pytest.approx(4 / 8)  # the seventh text of the twin is empty and counts for nobody
    assert figures["voice_gain_low"] > 0
    assert figures["ceiling_gain"] == pytest.approx(-1 / 8)
    assert figures["unscored_twin"] == 1
    assert figures["beats_other_twin"] == pytest.approx(6 / 8)


def test_a_prompt_on_which_the_base_model_wrote_too_little_is_not_won() -> None:
    ladder = make_ladder(base=1, twin=8)
    prompted = ladder.by_name["base_few_shot_rag"]
    mute = replace(prompted, voices=(*prompted.voices[:-2], *[NotEnough("too short", 3, 50)] * 2))
    found = replace(ladder, rungs=tuple(mute if rung is prompted else rung for rung in ladder.rungs)).figures
    assert (found["prompts"], found["compared"]) == (8, 6)
    assert found["voice_gain"] == pytest.approx(3 / 6)  # five of the twin's six and three of the base model's, less the empty one
    assert found["voice_rag_gain"] == pytest.approx(3 / 6)


def test_figures_name_what_the_gate_and_the_benchmarks_read():
    figures = make_ladder(base=3, twin=7, memorised=6).figures
    assert (figures["voice_base"], figures["voice_twin"], figures["voice_human"]) == (0.375, 0.75, 1)
    assert (figures["memorised_longest"], figures["verbatim_longest"]) == (6, 9)
    assert all(isinstance(value, int | float) for value in figures.values())


def test_wilson_is_the_published_interval():
    assert wilson(7, 10) == (pytest.approx(0.3968, abs=1e-4), pytest.approx(0.8922, abs=1e-4))
    assert wilson(0, 0) == (0, 1)


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_wilson_holds_the_share(counts: tuple[int, int]):
    low, high = wilson(*counts)
    assert 0 <= low <= counts[0] / counts[1] + 1e-12
    assert counts[0] / counts[1] - 1e-12 <= high <= 1


@given(st.integers(0, 300), st.integers(1, 300))
def test_evenly_picks_distinct_places_over_the_whole_range(count: int, limit: int):
    places = evenly(count, limit)
    assert len(places) == min(count, limit)
    assert places == sorted(set(places))
    assert all(0 <= place < count for place in places)
    if 0 < limit < count:
        assert max(b - a for a, b in zip([-1, *places], [*places, count], strict=True)) <= count // limit + 2


def test_slop_is_counted_over_both_twins_and_over_all_that_the_author_wrote(yardsticks: Yardsticks):
    texts = {"twin": ("We delve. " + _OWN,), "twin_rag": (_OWN,), "base": (_OWN,), "base_few_shot_rag": (_OWN,), "human": (_OWN,)}
    rungs = tuple(measure(name, own, [_task(0)], yardsticks, []) for name, own in texts.items())  # type: ignore[arg-type]
    figures = Ladder("ana", "v", (_task(0),), rungs, author_slop=0.5).figures
    words = sum(len(text.split()) for name in ("twin", "twin_rag") for text in texts[name])
    assert figures["slop_twins"] == pytest.approx(1000 / words, abs=1e-4)
    assert figures["slop_author"] == 0.5
