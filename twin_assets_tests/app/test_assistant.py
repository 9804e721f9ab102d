from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import sqlalchemy
from streamlit.testing.v1 import AppTest

from app.api.schemas import Decision, Problem
from app.assistant.client import ApiDownError, ApiError, Client
from app.assistant.main import explain
from twin_assets.settings import get_settings
from twin_assets.store.edits import edits_of
from twin_assets.store.registry import Model, Registry
from twin_assets.writing.drafts import Writer
from twin_assets.writing.request import Draft, DraftRequest, Voice
from twin_assets_tests.serving.figures import GOOD
from twin_assets_tests.writing.conftest import ADA, deploy, spoken

PAGE = Path(__file__).parents[2] / "app" / "assistant" / "main.py"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The page, with an API that nobody serves; ``at`` gives it another."""
    monkeypatch.setenv("TWIN_API_URL", "http://127.0.0.1:1")
    get_settings.cache_clear()
    yield AppTest.from_file(str(PAGE), default_timeout=60)
    get_settings.cache_clear()


def at(url: str, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("TWIN_API_URL", url)
    get_settings.cache_clear()
    return page.run()


def ask(page: AppTest, prompt: str) -> AppTest:
    page.text_area[0].set_value(prompt)
    page.slider[0].set_value(30)
    return page.button[0].click().run()


def test_a_draft_appears_with_its_citations(live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    at(live_api, page, monkeypatch)
    assert not page.exception
    assert page.selectbox[0].options == ["ada"]
    assert any("bob" in caption.value for caption in page.caption)
    ask(page, "fermenting vegetables")
    assert not page.exception
    assert not page.error
    assert page.code[0].value
    assert any("Pickles" in expander.label for expander in page.expander)
    text = page.code[0].value
    page.slider[0].set_value(50)
    page.run()
    assert page.code[0].value == text  # the draft outlives other interaction


def test_a_draft_shows_its_voice_how_sure_that_is_and_what_sounds_unlike_the_author(
    live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch, twin: Writer
) -> None:
    strange = "However, it is to be noted that <b>you</b> could."
    text = f"{spoken(ADA)} {strange} {spoken(ADA, 3)}"
    voice = twin.voice("ada", text)
    _answers(Draft(author="ada", text=text, citations=[], voice=voice, model_version="v1", tokens=9, seconds=0.1), monkeypatch)
    at(live_api, page, monkeypatch)
    ask(page, "fermenting vegetables")
    assert not page.exception
    assert (page.metric[0].label, page.metric[0].value) == ("Voice", f"{voice.score:.0%}")
    assert explain("ada", voice) in [part.value for part in page.markdown]
    (unlike,) = (expander for expander in page.expander if expander.label == "What sounds unlike ada")
    assert unlike.text[0].value == f"\u201c{strange}\u201d"
    shown = unlike.table[0].value
    assert shown[""].tolist() == [pull.feature for pull in voice.pulls]
    assert shown["here"].tolist() == [f"{pull.text:.1f}" for pull in voice.pulls]
    assert shown["ada"].tolist() == [f"{pull.author:.1f}" for pull in voice.pulls]
    assert "Per 1,000 words and marks." in [caption.value for caption in unlike.caption]


def test_a_draft_in_which_nothing_is_unlike_the_author_has_nothing_to_open(
    live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch, twin: Writer
) -> None:
    voice = twin.voice("ada", spoken(ADA)).model_copy(update={"pulls": [], "odd_sentences": []})
    _answers(Draft(author="ada", text="So.", citations=[], voice=voice, model_version="v1", tokens=9, seconds=0.1), monkeypatch)
    at(live_api, page, monkeypatch)
    ask(page, "fermenting vegetables")
    assert page.metric
    assert not any("What sounds unlike" in expander.label for expander in page.expander)


def _answers(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "draft", lambda *_: iter([draft.text, draft]))


def test_a_draft_without_a_voice_says_why(live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch, twin: Writer) -> None:
    with twin.database.begin() as connection:
        connection.execute(sqlalchemy.text("delete from registry.artifacts"))
    at(live_api, page, monkeypatch)
    ask(page, "fermenting vegetables")
    assert not page.exception
    assert page.code[0].value
    assert not page.metric
    (said,) = (caption.value for caption in page.caption if "voice was not measured" in caption.value)
    assert "twin run ada --to voice_profile" in said
    assert not any("What sounds unlike" in expander.label for expander in page.expander)


def test_a_file_given_with_the_request_is_drawn_on(live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    at(live_api, page, monkeypatch)
    page.file_uploader[0].set_value(
        [("harbour.md", b"# The harbour\n\nThe harbour railing was painted yellow by the board.", "text/markdown")]
    )
    ask(page, "the harbour railing")
    assert not page.exception
    assert not page.error
    assert any("given with the request" in expander.label for expander in page.expander)


@pytest.mark.parametrize("links", ["harbour", "javascript:alert(1)", "http://a.example\n" * 4])
def test_links_that_cannot_be_read_are_asked_for_again(links: str, live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    at(live_api, page, monkeypatch)
    page.text_area[1].set_value(links)
    ask(page, "tea")
    assert "at most 3 links" in page.warning[0].value
    assert not page.code


def test_an_empty_prompt_is_asked_for(live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    at(live_api, page, monkeypatch)
    ask(page, "  ")
    assert "what the text is about" in page.warning[0].value
    assert not page.code


def test_a_model_that_is_down_is_explained(live_api: str, registry: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(registry, "http://127.0.0.1:1/v1")
    at(live_api, page, monkeypatch)
    ask(page, "tea")
    assert not page.exception
    assert "twin up" in page.error[0].value


def test_without_an_api_it_says_how_to_start_one(page: AppTest) -> None:
    page.run()
    assert not page.exception
    assert "make up" in page.error[0].value


def test_without_twins_it_says_how_to_begin(live_api: str, registry: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.remove_deployment("ada")
    at(live_api, page, monkeypatch)
    assert "twin run ada" in page.info[0].value


@pytest.fixture
def waiting(registry: Registry) -> Registry:
    """bob's newest model passed and waits for a person."""
    registry.record_model(Model("m1", "bob", "d1", "c1", "base", "/adapter"))
    registry.record_artifact("bob", "eval_report", "r1", "/reports/r1", {**GOOD, "voice_human": 0.95})
    registry.change_thresholds("bob", {"policy": "manual"})
    return registry


def decide(page: AppTest, button: str, by: str, reason: str = "") -> AppTest:
    page.text_input("by-m1").set_value(by)
    page.text_input("reason-m1").set_value(reason)
    return page.button(f"{button}-m1").click().run()


def asked(page: AppTest) -> bool:
    return any("A new twin of bob waits for approval" in text.value for text in page.markdown)


def test_a_model_that_waits_is_shown_with_its_figures(
    live_api: str, waiting: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(live_api, page, monkeypatch)
    assert not page.exception
    assert asked(page)
    assert {metric.label: metric.value for metric in page.metric} == {
        "sound like the author": "90%",
        "the author's own texts do": "95%",
        "longest copy, words": "7",
    }
    assert any("Model m1 · report: /reports/r1/report.html" in caption.value for caption in page.caption)


@pytest.mark.parametrize(("button", "by"), [("yes", ""), ("yes", "  "), ("no", "")])
def test_a_decision_without_a_name_is_not_taken(
    live_api: str, waiting: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch, button: str, by: str
) -> None:
    at(live_api, page, monkeypatch)
    decide(page, button, by)
    assert "Say who you are" in page.warning[0].value
    assert not page.exception
    assert waiting.transitions("bob")[0].after == "candidate"


@pytest.mark.parametrize(
    ("button", "after", "said"), [("yes", "accepted", "deployed within minutes"), ("no", "rejected", "serves now stays")]
)
def test_a_decision_is_noted_with_name_and_reason_and_asked_for_no_more(
    live_api: str, waiting: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch, button: str, after: str, said: str
) -> None:
    at(live_api, page, monkeypatch)
    decide(page, button, " jo ", "Read ten of them.")
    assert not page.exception
    assert said in page.success[0].value
    step = waiting.transitions("bob")[0]
    assert (step.after, step.actor, step.reason) == (after, "jo", "Read ten of them.")
    page.run()
    assert not asked(page)
    assert page.text_area  # ada can still be asked for drafts


def test_a_decision_that_came_too_late_says_so(live_api: str, waiting: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    at(live_api, page, monkeypatch)
    refuse = ApiError(Problem(title="Not possible", status=409, detail="Only bob's newest model, m2, can be approved or rejected."))
    monkeypatch.setattr(Client, "decide", Mock(side_effect=refuse))
    decide(page, "yes", "jo")
    assert not page.exception
    assert "Not decided" in page.error[0].value and "newest model, m2" in page.error[0].value


def test_a_model_can_be_approved_before_anything_serves(
    live_api: str, waiting: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting.remove_deployment("ada")
    at(live_api, page, monkeypatch)
    assert asked(page)
    decide(page, "yes", "jo")
    assert waiting.transitions("bob")[0].after == "accepted"


def test_where_nothing_waits_nothing_is_asked(live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    at(live_api, page, monkeypatch)
    assert not page.text_input
    assert [button.label for button in page.button] == ["Write a draft"]


def test_the_client_speaks_the_contract(live_api: str) -> None:
    client = Client(live_api)
    assert [(author.name, author.deployed) for author in client.authors()] == [("ada", True), ("bob", False)]
    *pieces, last = client.draft(DraftRequest(author="ada", prompt="tea", words=20))
    assert pieces
    assert all(isinstance(piece, str) for piece in pieces)
    assert isinstance(last, Draft)
    with pytest.raises(ApiError, match="twin run bob") as raised:
        list(client.draft(DraftRequest(author="bob", prompt="tea")))
    assert raised.value.problem.status == 409


def test_the_client_decides(live_api: str, waiting: Registry) -> None:
    client = Client(live_api)
    (model,) = client.waiting()
    assert (model.author, model.model_version) == ("bob", "m1")
    client.decide(Decision(author="bob", model_version="m1", approve=True, by="jo"))
    assert client.waiting() == []
    with pytest.raises(ApiError, match="newest model, m1") as raised:
        client.decide(Decision(author="bob", model_version="m0", approve=True, by="jo"))
    assert raised.value.problem.status == 409
    with pytest.raises(ApiDownError):
        Client("http://127.0.0.1:1").waiting()


def test_the_trainings_of_an_author_stand_in_a_table(live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch, twin: Writer) -> None:
    twin.registry.record_model(Model("v2", "ada", "dataset", "config", "base", "", figures={"loss_last": 2.5}))
    at(live_api, page, monkeypatch)
    assert not page.exception and not page.error
    table = page.dataframe[0].value
    assert list(table["model"]) == ["v2", "v1"]
    assert list(table["stage"]) == ["candidate", "deployed"]
    assert table["loss"][0] == 2.5


def test_a_training_that_was_not_deployed_is_shown_too(
    live_api: str, registry: Registry, page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.remove_deployment("ada")
    registry.record_model(Model("v2", "ada", "dataset", "config", "base", "", figures={"held_out_loss_last": 2.5}))
    at(live_api, page, monkeypatch)
    assert page.info
    table = page.dataframe[0].value
    assert (table["model"][0], table["held-out loss"][0]) == ("v2", 2.5)
    page.selectbox[0].select("bob").run()
    assert not page.dataframe
    assert any("Nothing was trained" in caption.value for caption in page.caption)


def test_the_client_tells_no_api_from_another_server(model_server) -> None:
    with pytest.raises(ApiDownError, match="make up"):
        Client("http://127.0.0.1:1").authors()
    with pytest.raises(ApiError, match="is not the API"):
        Client(model_server.url).authors()


@pytest.mark.parametrize(
    ("low", "high", "attributed", "said", "unsaid"),
    [
        (0.85, 0.99, "ada", ("This clearly sounds like **ada**", "40% of ada's own passages", "lies between 85% and 99%"), "guess"),
        (0.55, 0.99, "ada", ("This sounds like **ada**", "With 100 words it lies between 55% and 99%"), "clearly"),
        (0.01, 0.99, "ada", ("This sounds like **ada**", "hardly more than a guess (1% to 99%)"), "clearly"),
        (0.01, 0.2, "eve", ("This sounds more like **eve** than like ada", "lies between 1% and 20%"), "passages"),
        (0.01, 0.2, "writer-07", ("more like **another writer** than",), "writer-07"),
        (0.01, 0.2, "generic-llm", ("more like **a language model** than",), "generic"),
        (0.0, 1.0, "polite-machine", ("more like **a language model** than", "hardly more than a guess"), "polite"),
    ],
)
def test_the_voice_is_explained_in_words(low: float, high: float, attributed: str, said: tuple[str, ...], unsaid: str) -> None:
    voice = Voice(
        score=(low + high) / 2,
        low=low,
        high=high,
        own=attributed == "ada",
        words=100,
        attributed_to=attributed,
        typicality=0.4,
        inside=True,
        nearest={},
        habits={},
        pulls=[],
        odd_sentences=[],
    )
    found = explain("ada", voice)
    assert all(part in found for part in said), found
    assert unsaid not in found


def test_what_was_published_is_saved_under_the_draft(
    live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    _answers(Draft(author="ada", text="A draft.", citations=[], voice=None, model_version="v1", tokens=9, seconds=0.1), monkeypatch)
    at(live_api, page, monkeypatch)
    ask(page, "fermenting vegetables")
    (text,) = (area for area in page.text_area if area.label == "The text as you published it")
    (save,) = (button for button in page.button if button.label == "Save")
    assert text.value == "A draft."
    save.click().run()
    assert [said.value for said in page.success] == ["Saved. You changed nothing: there is nothing to learn from it."]
    text.set_value("What I wrote instead.")
    save.click().run()
    assert not page.exception
    assert [said.value for said in page.success] == ["Saved."]
    (edit,) = edits_of(registry.database, "ada")
    assert (edit.prompt, edit.words, edit.draft, edit.published) == ("fermenting vegetables", 30, "A draft.", "What I wrote instead.")
    text.set_value(" ")
    save.click().run()
    assert [said.value for said in page.warning] == ["Say what you published."]
