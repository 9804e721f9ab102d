from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.assistant.client import ApiDownError, ApiError, Client
from app.assistant.main import explain
from twin_assets.settings import get_settings
from twin_assets.store.registry import Registry
from twin_assets.writing.drafts import Writer
from twin_assets.writing.request import Draft, DraftRequest, Voice
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


def test_a_draft_without_a_voice_says_why(live_api: str, page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    at(live_api, page, monkeypatch)
    ask(page, "fermenting vegetables")
    assert not page.exception
    assert page.code[0].value
    assert not page.metric
    (said,) = (caption.value for caption in page.caption if "voice was not measured" in caption.value)
    assert "at least 50 are needed" in said
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
