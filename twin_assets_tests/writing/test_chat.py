"""A question to a real model server, held to a schema."""

import json

import pytest

from twin_assets.writing import chat
from twin_assets.writing.chat import ChatDownError, Endpoint, RefusedError, ask
from twin_assets.writing.model_server import ServerProcess

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


def test_a_real_server_answers_by_the_schema_and_counts_tokens(model_server: ServerProcess) -> None:
    said = ask(Endpoint(model_server.url, role="teacher"), "Answer in JSON.", "How many apples, and of what colour?", 40, SCHEMA)
    answer = json.loads(said.text)
    assert answer["colour"] in ("red", "green") and answer["count"] in range(10)
    assert said.asked_tokens > 10 and 0 < said.said_tokens <= 40
    assert ask(Endpoint(model_server.url), "Say something.", "Hello.", 5).text


def test_a_question_that_is_too_long_is_refused_and_others_are_not(model_server: ServerProcess) -> None:
    with pytest.raises(RefusedError):
        ask(Endpoint(model_server.url), "Read.", "word " * 20_000, 5)


def test_nobody_there_is_said_with_the_setting_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "PAUSE", 0.0)
    with pytest.raises(ChatDownError, match=r"teacher .*127.0.0.1:1/v1 does not answer .*TWIN_TEACHER_URL"):
        ask(Endpoint("http://127.0.0.1:1/v1", role="teacher", setting="TWIN_TEACHER"), "", "", 5)
    with pytest.raises(ChatDownError, match="TWIN_JUDGE_URL is no address"):
        ask(Endpoint("gpt-9"), "", "", 5)
