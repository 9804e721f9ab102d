import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address, Source
from twin_assets.ingest.sources.devto import from_address, from_files
from twin_assets.ingest.web import Limits, MemoryPages, Web

LIST = "/api/articles?username=jane&per_page=100&page=1"


def article(n: int, **more: Any) -> dict[str, Any]:
    base = {"id": n, "title": f"T{n}", "url": f"https://dev.to/jane/t-{n}", "canonical_url": f"https://dev.to/jane/t-{n}"}
    return {**base, "published_at": "2024-01-01T10:00:00Z", "edited_at": None, "user": {"username": "jane", "name": "Jane D."}, **more}


class Forem:
    """Answers by path and query, and counts."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        self.asked.append(path)
        if request.url.host == "dev.to":
            assert request.headers["accept"] == "application/vnd.forem.api-v1+json"
        found = self.answers.get(path, 404)
        return httpx.Response(found) if isinstance(found, int) else httpx.Response(200, json=found)


def read(forem: Forem, pages: MemoryPages | None = None, limits: Limits | None = None) -> tuple[list[Post], Source]:
    with Web(limits or Limits(pause=0, tries=1), pages, transport=httpx.MockTransport(forem)) as web:
        source = from_address(Address("https://dev.to/jane", web))
        assert source is not None
        return collect(source), source


def test_a_member_is_read_article_by_article() -> None:
    body = "---\ntitle: no\npublished: true\n---\n\n# First part\n\nIt’s mine. {% youtube abc %}\n\n"
    body += "{% details More %}Inside.{% enddetails %}\n\n```go\nx {% y %}\n```\n"
    forem = Forem(
        {
            LIST: [article(1), article(2), article(3), "odd"],
            "/api/articles/1": article(1, body_markdown=body, edited_at="2024-02-01T10:00:00Z"),
            "/api/articles/2": article(2, body_markdown="Words.", canonical_url="https://me.example/two?utm_source=x"),
        }
    )
    posts, source = read(forem)
    assert [post.state for post in posts] == ["kept", "kept", "unreadable", "unreadable"]
    first, second = posts[:2]
    assert (first.key, first.title, first.bylines, first.canonical_url) == ("https://dev.to/jane/t-1", "T1", (), None)
    assert str(first.edited_at) == "2024-02-01 10:00:00+00:00"
    assert [block.text for block in first.blocks if block.type in ("heading", "code")] == ["First part", "x {% y %}"]
    assert "{%" not in "".join(block.text for block in first.blocks if block.type != "code")
    assert second.canonical_url == "https://me.example/two"
    assert (source.coverage, source.truncated) == ("listing", "")


def test_others_articles_in_a_list_bear_their_names() -> None:
    other = article(1, user={"username": "joe", "name": "Joe"}, body_markdown="Words.")
    posts, _ = read(
        Forem({LIST: [other, article(2)], "/api/articles/1": other, "/api/articles/2": article(2, body_markdown="More words.")})
    )
    assert [post.bylines for post in posts] == [("Joe",), ()]


def test_further_pages_are_asked_for_and_one_that_fails_ends_the_list() -> None:
    forem = Forem(
        {LIST: [article(n) for n in range(100)]} | {f"/api/articles/{n}": article(n, body_markdown=f"Words {n}.") for n in range(100)}
    )
    posts, source = read(forem)
    assert len(posts) == 100
    assert "404" in source.truncated
    forem.answers[LIST.replace("page=1", "page=2").replace("per_page=200", "per_page=100")] = []
    assert LIST[:-1] + "2" in forem.asked


def test_what_did_not_change_is_not_fetched_again() -> None:
    forem = Forem({LIST: [article(1)], "/api/articles/1": article(1, body_markdown="Words.")})
    pages = MemoryPages()
    for _ in range(2):
        posts, _ = read(forem, pages)
        assert [post.state for post in posts] == ["kept"]
    assert forem.asked.count("/api/articles/1") == 1
    assert forem.asked.count(LIST) == 2


def test_too_many_requests_end_the_read_with_what_there_is() -> None:
    answers = {LIST: [article(n) for n in range(3)], "/api/articles/0": article(0, body_markdown="Words."), "/api/articles/1": 429}
    forem = Forem(answers)
    posts, source = read(forem)
    assert [post.state for post in posts] == ["kept"]
    assert "429" in source.truncated
    assert "/api/articles/2" not in forem.asked


@pytest.mark.parametrize("answer", [404, 500, {"error": "x"}])
def test_a_member_who_cannot_be_read_is_an_error(answer: Any) -> None:
    with pytest.raises(FetchError):
        read(Forem({LIST: answer}))


@pytest.mark.parametrize(
    "url",
    ["https://dev.to/", "https://dev.to/t/python", "https://dev.to/jane/a-post", "https://other.example/jane", "https://dev.to/about"],
)
def test_other_addresses_are_not_members(url: str) -> None:
    with Web() as web:
        assert from_address(Address(url, web)) is None


def test_the_export(tmp_path: Path) -> None:
    def exported(n: int, **more: Any) -> dict[str, Any]:
        return {
            "body_markdown": f"Words {n}.",
            "cached_user_name": "Jane",
            "path": f"/jane/t-{n}",
            "title": f"T{n}",
            "published": True,
            **more,
        }

    comments = [
        {"body_markdown": "I *agree*.\n\n> theirs", "id_code": "a1", "commentable_path": "/joe/x", "created_at": "2024-01-01T10:00:00Z"},
        {"body_markdown": "gone", "id_code": "a2", "deleted": True},
        None,
    ]
    with ZipFile(tmp_path / "devto-export.zip", "w") as archive:
        archive.writestr(
            "articles.json", json.dumps([exported(1), exported(2, published=False), exported(3, body_markdown="---\na: [\n---\nx"), 7])
        )
        archive.writestr("comments.json", json.dumps(comments))
        archive.writestr("other.json", "private")
    source = from_files(open_files(tmp_path / "devto-export.zip"))
    assert source is not None and source.coverage == "everything"
    posts = collect(source)
    assert [post.state for post in posts] == ["kept", "draft", "unreadable", "unreadable", "kept", "deleted", "unreadable", "empty"]
    assert posts[0].key == "https://dev.to/jane/t-1"
    assert (posts[4].kind, posts[4].key, posts[4].url) == ("comment", "urn:devto:comment:a1", "https://dev.to/joe/comment/a1")
    assert [block.type for block in posts[4].blocks] == ["paragraph", "quote"]
    assert posts[5].blocks == ()
    assert source.files.opened == {"articles.json", "comments.json"}  # pyright: ignore[reportAttributeAccessIssue]


def test_a_broken_or_foreign_export(tmp_path: Path) -> None:
    file = tmp_path / "articles.json"
    file.write_text('[{"body_markdown": "x", "cached_user_name": "y"')
    source = from_files(open_files(file))
    assert source is not None
    with pytest.raises(SourceError, match="cannot be read"):
        collect(source)
    file.write_text('[{"title": "x"}]')
    assert from_files(open_files(file)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*article(1), "body_markdown", "body_html", "path", "description", "published", "id_code", "deleted"]), JSON
    )
)
def test_any_json_is_a_post_in_some_state(found: dict[str, Any]) -> None:
    from twin_assets.ingest.sources.devto import _comment, _post

    for item in (found, {**article(1), **found}):
        assert _post(item, "x", "jane").state
        assert _comment(item, "x").state
