"""Texts that have the fault that a check of the gate exists for, judged by the instruments: that check holds the twin, and no other."""

import re
from collections.abc import Callable
from uuid import UUID

import pytest

from twin_assets.evaluation.ladder import Written, judge_texts
from twin_assets.evaluation.quality import GATE
from twin_assets.evaluation.rungs import Task, Yardsticks
from twin_assets.store.thresholds import Thresholds
from twin_assets.voice.memorisation import VerbatimIndex
from twin_assets.voice.profile import build_profile
from twin_assets_tests.evaluation.test_rungs import _Letters
from twin_assets_tests.voice.voices import renamed, texts

PROMPTS = 12
Texts = tuple[str, ...]

LEARNED = texts("wry", 24, 1)
OWN, STRANGER = (tuple(renamed(texts(voice, PROMPTS, 7))) for voice in ("wry", "coach"))
BASE = tuple(renamed(texts("manual", PROMPTS, 7)))
SLOP = " It is a testament to the rich tapestry of kettles, and in today's fast-paced world it's important to note that."


@pytest.fixture(scope="module")
def yardsticks() -> Yardsticks:
    controls = {voice: texts(voice, 24, 1) for voice in ("manual", "coach")}
    return Yardsticks(build_profile("ana", LEARNED, controls), VerbatimIndex(LEARNED), _Letters(), own_texts=tuple(LEARNED))


def _held(yardsticks: Yardsticks, twin: Texts, twin_rag: Texts = OWN, deployed: float | None = None) -> set[str]:
    tasks = tuple(Task(UUID(int=place), "Write about kettles.", real, 90, place) for place, real in enumerate(OWN))
    rungs = {"base": BASE, "base_few_shot": BASE, "base_few_shot_rag": BASE, "twin": twin, "twin_rag": twin_rag, "human": OWN}
    ladder = judge_texts(Written("ana", "m1", tasks, rungs), yardsticks)
    figures = {**ladder.figures, "deployed_voice": deployed, "deployed_version": "m0" if deployed else None}
    return {check.__name__ for check in GATE if not check(figures, Thresholds()).passed}


def _listed(written: Texts) -> Texts:
    return tuple("- " + re.sub(r"(?<=[.!?]) ", "\n- ", text) for text in written)


def test_texts_without_a_fault_pass_all_of_the_gate(yardsticks: Yardsticks):
    assert _held(yardsticks, OWN) == set()


@pytest.mark.parametrize(
    ("fault", "held"),
    [
        (lambda own: STRANGER, {"twin_beats_base"}),
        (lambda own: _listed(STRANGER), {"twin_beats_base"}),
        (lambda own: ("",) * PROMPTS, {"twin_beats_base"}),
        (lambda own: ("I never did. " * 30,) * PROMPTS, {"twin_beats_base"}),
        (lambda own: (*own[:-1], f'{own[-1]} As they say: "{LEARNED[3]}"'), {"no_memorised_passages"}),
        (lambda own: (*own[:-1], f"{own[-1]}\n\n> {LEARNED[3]}"), {"no_memorised_passages"}),
        (lambda own: tuple(text + SLOP for text in own), {"slop_like_the_authors"}),
    ],
)
def test_a_fault_in_the_texts_is_held_by_the_check_that_is_there_for_it(
    yardsticks: Yardsticks, fault: Callable[[Texts], Texts], held: set[str]
):
    assert _held(yardsticks, fault(OWN)) == held


def test_a_twin_that_writes_of_something_else_than_it_was_asked_is_held(yardsticks: Yardsticks):
    elsewhere = tuple(re.sub(r"stro[a-z]+", "zqxj" * 12, text) for text in OWN)
    assert _held(yardsticks, OWN, elsewhere) == {"content_not_worse"}


def test_a_twin_that_loses_the_voice_with_retrieval_is_held(yardsticks: Yardsticks):
    assert _held(yardsticks, OWN, BASE) == {"twin_beats_base"}


def test_marks_around_each_sentence_of_a_recited_passage_hide_it_from_nobody(yardsticks: Yardsticks):
    cited = re.sub(r"([^.!?]+[.!?])", r'"\1"', LEARNED[3])
    assert _held(yardsticks, (*OWN[:-1], f"{OWN[-1]} {cited}")) == {"no_memorised_passages"}


def test_a_twin_that_sounds_less_like_the_author_than_what_serves_is_held(yardsticks: Yardsticks):
    some = (*OWN[:8], *STRANGER[8:])
    assert _held(yardsticks, some, deployed=0.6) == set()
    assert _held(yardsticks, some, deployed=1.0) == {"not_worse_than_deployed"}
