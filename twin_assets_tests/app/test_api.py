import json
import subprocess
import sys
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from app.api.main import create_app
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.edits import edits_of
from twin_assets.store.registry import Model, Registry
from twin_assets.voice import evidence
from twin_assets.writing.drafts import Writer
from twin_assets.writing.request import Draft, Voice
from twin_assets_tests.serving.figures import GOOD
from twin_assets_tests.writing.conftest import ADA, EVE, deploy, spoken, voice_of_ada

BODY = {"author": "ada", "prompt": "fermenting vegetables", "words": 30, "seed": 3}


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_a_draft_comes_whole(api: TestClient) -> None:
    answer = api.post("/v1/drafts", json={**BODY, "words": 200, "platform": "blog"})
    assert answer.status_code == 200
    draft = Draft.model_validate(answer.json())
    assert draft.text
    assert draft.citations[0].title == "Pickles"
    assert draft.voice is not None, draft.voice_missing
    assert draft.voice_missing is None


def test_a_draft_that_is_too_short_comes_with_the_reason_why_it_has_no_voice(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MIN_WORDS", 500)
    draft = api.post("/v1/drafts", json=BODY).json()
    assert draft["text"]
    assert draft["voice"] is None
    assert "at least 500 are needed" in draft["voice_missing"]


def test_the_voice_of_a_text_comes_with_what_pulls_it_away(api: TestClient) -> None:
    strange = "However, it is to be noted that you could."
    answer = api.post("/v1/voice", json={"author": "ada", "text": f"{spoken(ADA)} {strange} {spoken(ADA, 3)}"})
    assert answer.status_code == 200
    voice = Voice.model_validate(answer.json())
    assert voice.own and voice.attributed_to == "ada"
    assert 0 <= voice.low <= voice.score <= voice.high <= 1
    assert voice.odd_sentences[0].sentence == strange
    assert voice.odd_sentences[0].weight > 0
    assert voice.pulls
    assert all(pull.feature in pull.sentence and 0 < pull.weight <= 1 for pull in voice.pulls)
    assert "ada" in voice.nearest and set(voice.nearest) < set(voice_of_ada().voices)


def test_somebody_elses_text_is_said_to_be(api: TestClient) -> None:
    voice = Voice.model_validate(api.post("/v1/voice", json={"author": "ada", "text": spoken(EVE)}).json())
    assert (voice.own, voice.attributed_to, voice.inside) == (False, "eve", False)
    assert voice.score < 0.2


@pytest.mark.parametrize(
    ("author", "written", "status", "title", "said"),
    [
        ("ada", "I never do.", 422, "Voice not measured", "Not enough evidence: 3 words, at least 50 are needed"),
        ("ada", "", 422, "Voice not measured", "0 words, at least 50"),
        ("ada", "字" * 5000, 422, "Voice not measured", "has no spaces between its words"),
        ("ada", "Огурцы и соль, и больше ничего. " * 20, 422, "Voice not measured", "another language or script"),
        ("bob", spoken(ADA), 422, "Voice not measured", "twin run bob --to voice_profile"),
        ("zoe", spoken(ADA), 404, "No such author", "Known: ada, bob"),
        ("", spoken(ADA), 404, "No such author", "Known: ada, bob"),
    ],
)
def test_a_voice_that_cannot_be_measured_is_a_problem_with_what_is_needed(
    api: TestClient, author: str, written: str, status: int, title: str, said: str
) -> None:
    answer = api.post("/v1/voice", json={"author": author, "text": written})
    assert (answer.status_code, answer.json()["title"]) == (status, title)
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"), [({"author": "ada"}, "text"), ({"author": "ada", "text": "x" * 100_001}, "text"), ({"text": "x"}, "author")]
)
def test_a_voice_is_asked_for_with_an_author_and_a_text(api: TestClient, body: dict[str, str], field: str) -> None:
    answer = api.post("/v1/voice", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("way", [{"json": {**BODY, "stream": True}}, {"json": BODY, "headers": {"Accept": "text/event-stream"}}])
def test_a_draft_is_streamed_as_tokens_and_a_final_draft(api: TestClient, way: dict[str, Any]) -> None:
    answer = api.post("/v1/drafts", **way)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *tokens, (name, last) = events(answer.text)
    assert {event for event, _ in tokens} == {"token"}
    assert len(tokens) > 5
    assert name == "draft"
    assert "".join(data["text"] for _, data in tokens).strip().startswith(Draft.model_validate(last).text)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("author", "status", "advice"), [("zoe", 404, "twin add"), ("bob", 409, "twin run bob")])
def test_who_cannot_write_is_a_problem(api: TestClient, author: str, status: int, advice: str, stream: bool) -> None:
    answer = api.post("/v1/drafts", json={**BODY, "author": author, "stream": stream})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert advice in answer.json()["detail"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_down_is_a_problem_and_bad_health(api: TestClient, registry: Registry, stream: bool) -> None:
    assert api.get("/health").status_code == 200
    deploy(registry, "http://127.0.0.1:1/v1")
    answer = api.post("/v1/drafts", json={**BODY, "stream": stream})
    assert (answer.status_code, answer.json()["title"]) == (503, "Model down")
    assert "twin up" in answer.json()["detail"]
    health = api.get("/health")
    assert health.status_code == 503
    assert health.json()["status"] == "degraded"
    assert [endpoint["healthy"] for endpoint in health.json()["endpoints"]] == [False]


def test_health_names_every_endpoint(api: TestClient) -> None:
    health = api.get("/health").json()
    assert (health["status"], health["database"]) == ("ok", "ok")
    assert [(one["author"], one["model_version"], one["healthy"]) for one in health["endpoints"]] == [("ada", "v1", True)]


def test_without_a_database_it_starts_and_says_so(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://nobody:secret@127.0.0.1:1/none")})
    with TestClient(create_app(nowhere), "http://localhost", raise_server_exceptions=False) as client:
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["database"] != "ok"
        assert "secret" not in health.text
        assert client.get("/v1/authors").status_code == 503
        assert client.post("/v1/drafts", json=BODY).headers["content-type"] == "application/problem+json"
        assert client.post("/v1/voice", json={"author": "ada", "text": "x"}).status_code == 503
        assert client.get("/v1/approvals").status_code == 503
        assert client.post("/v1/approvals", json=DECISION).status_code == 503


def test_a_missing_corpus_is_not_called_a_database_that_is_down(api: TestClient, database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("delete from features.corpora"))
    answer = api.post("/v1/drafts", json=BODY)
    assert answer.status_code == 503
    assert "twin run ada --to embeddings" in answer.json()["detail"]


def test_authors_say_whether_they_can_be_asked(api: TestClient) -> None:
    ada, bob = api.get("/v1/authors").json()
    assert (ada["name"], ada["deployed"], ada["model_version"]) == ("ada", True, "v1")
    assert (bob["name"], bob["deployed"], bob["model_version"]) == ("bob", False, None)


DECISION = {"author": "bob", "model_version": "m1", "approve": True, "by": "jo"}


@pytest.fixture
def waiting(registry: Registry) -> Registry:
    """bob's newest model passed and waits for a person."""
    registry.record_model(Model("m1", "bob", "d1", "c1", "base", "/adapter"))
    registry.record_artifact("bob", "eval_report", "r1", "/reports/r1", GOOD)
    registry.change_thresholds("bob", {"policy": "manual"})
    return registry


def _status(registry: Registry) -> str:
    model = registry.latest_model("bob")
    assert model is not None
    return model.status


def test_what_waits_is_listed_with_its_figures_and_its_report(api: TestClient, waiting: Registry) -> None:
    (found,) = api.get("/v1/approvals").json()
    assert (found["author"], found["model_version"], found["report"]) == ("bob", "m1", "/reports/r1/report.html")
    assert found["figures"]["voice_twin"] == GOOD["voice_twin"]
    assert not {"model_version", "deployed_voice", "deployed_version"} & set(found["figures"])


def test_an_approval_is_noted_and_nothing_waits_any_more(api: TestClient, waiting: Registry) -> None:
    answer = api.post("/v1/approvals", json={**DECISION, "reason": "Read ten of them."})
    assert (answer.status_code, answer.json()) == (200, {"author": "bob", "model_version": "m1", "status": "accepted"})
    step = waiting.transitions("bob")[0]
    assert (step.after, step.actor, step.reason, _status(waiting)) == ("accepted", "jo", "Read ten of them.", "accepted")
    assert api.get("/v1/approvals").json() == []


def test_a_rejection_is_noted_and_can_be_taken_back(api: TestClient, waiting: Registry) -> None:
    assert api.post("/v1/approvals", json={**DECISION, "approve": False}).json()["status"] == "rejected"
    assert (_status(waiting), api.get("/v1/approvals").json()) == ("rejected", [])
    assert api.post("/v1/approvals", json=DECISION).json()["status"] == "accepted"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_version": "m0"}, "Only bob's newest model, m1"),
        ({"author": "zoe"}, "no trained model"),
        ({"author": "ada", "model_version": "v1", "approve": False}, "is deployed"),
    ],
)
def test_a_decision_that_cannot_be_is_a_conflict(api: TestClient, waiting: Registry, change: dict[str, Any], said: str) -> None:
    answer = api.post("/v1/approvals", json={**DECISION, **change})
    assert (answer.status_code, answer.json()["title"]) == (409, "Not possible")
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert _status(waiting) == "candidate"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"by": ""}, "by"),
        ({"by": " \t"}, "by"),
        ({"by": "x" * 101}, "by"),
        ({"by": "jo\0"}, "by"),
        ({"by": "jo\x1b[31m"}, "by"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "so\0"}, "reason"),
        ({"approve": "perhaps"}, "approve"),
        ({"model_version": None}, "model_version"),
    ],
)
def test_a_decision_needs_a_name_and_a_model(api: TestClient, waiting: Registry, change: dict[str, Any], field: str) -> None:
    answer = api.post("/v1/approvals", json={**DECISION, **change})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert _status(waiting) == "candidate"


def test_nothing_waits_under_the_automatic_policy_or_without_a_passed_gate(api: TestClient, waiting: Registry) -> None:
    waiting.change_thresholds("bob", {"verbatim_words": 6})
    assert api.get("/v1/approvals").json() == []
    waiting.change_thresholds("bob", {"verbatim_words": None, "policy": "auto"})
    assert api.get("/v1/approvals").json() == []


@pytest.mark.parametrize(
    ("wrong", "field"), [({"prompt": ""}, "prompt"), ({"prompt": "x" * 4001}, "prompt"), ({"words": 5}, "words"), ({"tone": "fax"}, "tone")]
)
def test_requests_beyond_the_limits_name_the_field(api: TestClient, wrong: dict[str, Any], field: str) -> None:
    answer = api.post("/v1/drafts", json={**BODY, **wrong})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_page_that_reaches_the_api_under_its_own_name_is_refused(api: TestClient, waiting: Registry) -> None:
    for way in ({"headers": {"Host": "evil.example"}}, {"headers": {"Host": "evil.example:8000"}}):
        assert api.post("/v1/approvals", json=DECISION, **way).status_code == 400
    assert api.post("/v1/approvals", content=json.dumps(DECISION)).status_code == 422  # a page may send this without asking first
    assert _status(waiting) == "candidate"


def test_trainings_are_listed_the_newest_first(api: TestClient, twin: Writer) -> None:
    twin.registry.record_model(Model("v2", "ada", "dataset", "config", "base", "", figures={"loss_last": 2.5, "losses": [[1, 3.0]]}))
    twin.registry.record_artifact("ada", "eval_report", "r", "/r", {"model_version": "v2", "voice_twin": 0.75, "separable_twin": "too few"})
    newest, older = api.get("/v1/authors/ada/trainings").json()
    assert (newest["model_version"], newest["status"], newest["figures"]["sounds like the author"]) == ("v2", "candidate", 0.75)
    assert "told apart from the author (AUC)" not in newest["figures"]
    assert older["status"] == "deployed"
    assert api.get("/v1/authors/bob/trainings").json() == []
    missing = api.get("/v1/authors/mallory/trainings")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


def test_the_documentation_describes_every_operation(settings: Settings) -> None:
    schema = create_app(settings).openapi()
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert all(operation["summary"] and operation["description"] for operation in operations)
    assert {"200", "404", "409", "422", "503"} <= schema["paths"]["/v1/drafts"]["post"]["responses"].keys()
    properties = schema["components"]["schemas"]["DraftBody"]["properties"]
    assert all("description" in one for one in properties.values())


def test_it_imports_neither_dagster_nor_models() -> None:
    script = "import sys, app.api.main; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dagster", "torch", "sentence_transformers", "transformers"} & set(modules)


def test_what_a_draft_became_is_kept_with_what_it_was_written_from(api: TestClient, database: Database) -> None:
    draft = api.post("/v1/drafts", json={**BODY, "platform": "blog"}).json()
    asked = {name: BODY[name] for name in ("author", "prompt", "words")}
    body = {**asked, "platform": "blog", "draft": draft["text"], "citations": draft["citations"], "model_version": draft["model_version"]}
    answers = [api.post("/v1/published", json={**body, "published": text}).json() for text in (draft["text"], "Salt, and time.")]
    assert [answer["changed"] for answer in answers] == [False, True]
    (edit,) = edits_of(database, "ada")
    assert str(edit.id) == answers[0]["id"] == answers[1]["id"]
    assert (edit.draft, edit.published, edit.prompt, edit.words) == (draft["text"], "Salt, and time.", BODY["prompt"], 30)
    assert [(str(source), quote) for source, quote in edit.notes] == [(one["document_id"], one["quote"]) for one in draft["citations"]]


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"author": "zoe"}, 404, "Known: ada, bob"),
        ({"published": " "}, 422, "published"),
        ({"published": "a\x00b"}, 422, "published"),
        ({"published": "a" * 20_001}, 422, "published"),
        ({"also": 1}, 422, "also"),
    ],
)
def test_what_cannot_be_kept_is_said(api: TestClient, changed: dict[str, Any], status: int, said: str) -> None:
    body = {"author": "ada", "prompt": "brine", "draft": "A draft.", "model_version": "v1", "published": "Mine."}
    answer = api.post("/v1/published", json={**body, **changed})
    assert (answer.status_code, said in answer.text) == (status, True)
