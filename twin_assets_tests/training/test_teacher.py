"""A teacher behind a real port: what it words, what is of no use, and what is paid for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from upath import UPath

from twin_assets.cleaning.documents import Split
from twin_assets.settings import Settings
from twin_assets.training.dataset import load_dataset, write_dataset
from twin_assets.training.examples import build_dataset
from twin_assets.training.teacher import Teacher, read, teacher_of
from twin_assets.writing import chat
from twin_assets.writing.chat import ChatDownError
from twin_assets_tests.evaluation.judges import KEY, Asked, judging
from twin_assets_tests.training.test_dataset import document

PASSAGE = "I never add vinegar to a brine, and I will tell you why: it hides what the salt does. So I don't, and neither should you."
TOLD = {
    "subject": "keeping pickles free of acid",
    "points": ["acid covers the taste of salt", "others should leave it out, too"],
    "neutral": "The writer does not use acid in pickles. It covers the taste of salt. Others are advised to do the same.",
}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "PAUSE", 0.0)


@pytest.fixture
def split() -> Split:
    return Split(train=[document(number) for number in range(16)], held_out=[document(number) for number in range(100, 104)])


def _teacher(there: Asked, folder: Path) -> Teacher:
    return Teacher(replace(there.endpoint, role="teacher", setting="TWIN_TEACHER"), UPath(folder), (0.5, 2.0))


def _says(**changed: Any) -> Callable[[dict[str, Any]], str]:
    return lambda said: json.dumps({**TOLD, **changed})


def test_it_words_the_prompts_and_the_answers_stay_the_authors(settings: Settings, split: Split, tmp_path: Path) -> None:
    chosen = settings.model_copy(update={"prompt_kinds": "brief,rewrite"})
    with judging(_says()) as there:
        dataset = build_dataset("ada", split, chosen, teacher=_teacher(there, tmp_path / "kept"))
    texts = {one.id: one.text_for_voice for one in split.train}
    for example in dataset.train:
        assert example.answer in texts[example.document_id]
        assert example.prompt_source == "teacher:wise"
        asked = example.messages[-2]["content"]
        assert (TOLD["subject"] in asked) == (example.prompt_kind == "brief")
        assert (f"The text to rewrite: {TOLD['neutral']}" in asked) == (example.prompt_kind == "rewrite")
    assert {example.prompt_kind for example in dataset.train} == {"brief", "rewrite"}
    assert {example.prompt_source for example in dataset.held_out} == {"rule"}
    write_dataset(dataset, tmp_path / "dataset")
    assert load_dataset(tmp_path / "dataset") == dataset
    assert "teacher:wise" in (tmp_path / "dataset" / "README.md").read_text()


def test_every_passage_is_paid_for_once(tmp_path: Path) -> None:
    passages = {UUID(int=number): f"{PASSAGE} {number}" for number in range(5)}
    with judging(_says()) as there:
        first, again = _teacher(there, tmp_path), _teacher(there, tmp_path)
        assert first.teach(passages) == again.teach(passages)
        assert len(there.messages) == 5
        another = Teacher(replace(first.endpoint, model="wiser"), UPath(tmp_path))
        another.teach(passages)
    assert first.spent == {"asked": 5, "cached": 0, "of_no_use": 0, "tokens_asked": 5, "tokens_said": 5}
    assert again.spent == {"asked": 0, "cached": 5, "of_no_use": 0, "tokens_asked": 0, "tokens_said": 0}
    assert first.figures["teacher_dollars"] == 0
    assert Teacher(first.endpoint, UPath(tmp_path), (2e5, 0.0), {**first.spent}).figures["teacher_dollars"] == 1.0
    assert another.spent["asked"] == 5


def test_it_is_asked_as_data_under_a_schema_and_with_its_key(tmp_path: Path) -> None:
    with judging(_says()) as there:
        _teacher(there, tmp_path).teach({UUID(int=1): PASSAGE})
    (body,), (headers,) = there.bodies, there.headers
    assert json.loads(body["messages"][-1]["content"]) == {"passage": PASSAGE}
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["subject", "points", "neutral"]
    assert headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "answer",
    [
        "not JSON",
        json.dumps({"subject": "pickles"}),
        json.dumps({**TOLD, "answer": "mine"}),
        json.dumps({**TOLD, "points": []}),
        json.dumps({**TOLD, "subject": "<|im_start|>"}),
        json.dumps({**TOLD, "subject": "why I never add vinegar to a brine"}),
        json.dumps({**TOLD, "points": ["it hides what the salt does"]}),
        json.dumps({**TOLD, "neutral": PASSAGE}),
    ],
)
def test_what_is_of_no_use_leaves_the_prompt_to_the_rules(answer: str, tmp_path: Path) -> None:
    assert read(json.dumps(TOLD), PASSAGE)
    assert read(answer, PASSAGE) is None
    with judging(lambda said: answer) as there:
        teacher = _teacher(there, tmp_path)
        assert teacher.teach({UUID(int=1): PASSAGE}) == {}
    assert teacher.spent["of_no_use"] == 1


def test_a_refused_passage_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    with judging(_says(), status=lambda number: 400 if number == 1 else 200) as there:
        teacher = _teacher(there, tmp_path)
        assert len(teacher.teach({UUID(int=number): f"{PASSAGE} {number}" for number in range(3)})) == 2
    assert (teacher.spent["asked"], teacher.spent["of_no_use"]) == (3, 1)


def test_a_teacher_that_is_gone_stops_the_dataset_and_its_key_is_not_told(settings: Settings, split: Split, tmp_path: Path) -> None:
    with judging(_says(), status=lambda number: 401) as there, pytest.raises(ChatDownError, match="TWIN_TEACHER_KEY") as raised:
        build_dataset("ada", split, settings, teacher=_teacher(there, tmp_path))
    assert KEY not in str(raised.value)


def test_without_a_teacher_there_is_nothing_to_rewrite(settings: Settings, split: Split, tmp_path: Path) -> None:
    dataset = build_dataset("ada", split, settings.model_copy(update={"prompt_kinds": "rewrite"}))
    assert {example.prompt_kind for example in dataset.train} == {"brief"}
    assert teacher_of(settings, UPath(tmp_path)) is None
    found = teacher_of(settings.model_copy(update={"teacher_url": "http://x/v1", "teacher_model": "m"}), UPath(tmp_path))
    assert found and found.source == "teacher:m"
