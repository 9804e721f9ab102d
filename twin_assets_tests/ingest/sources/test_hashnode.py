import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.source import Address
from twin_assets.ingest.sources.hashnode import from_address, from_files
from twin_assets.ingest.web import Limits, Web

NO_PLAN = {"errors": [{"message": "Publication does not have an active Pro plan."}], "data": {"publication": None}}


def post(n: int, **more: Any) -> dict[str, Any]:
    base = {"id": f"i{n}", "slug": f"t{n}", "title": f"T{n}", "url": f"https://jane.hashnode.dev/t{n}", "canonicalUrl": None}
    base |= {"publishedAt": "2024-01-01T10:00:00.000Z", "updatedAt": "2024-02-01T10:00:00.000Z"}
    return {**base, "author": {"name": "Jane", "username": "jane"}, "content": {"markdown": f"# Intro\n\nWords of {n}."}, **more}


def blog(*posts: Any, after: str | None = None) -> dict[str, Any]:
    info = {"hasNextPage": after is not None, "endCursor": after}
    return {"data": {"publication": {"posts": {"edges": [{"node": found} for found in posts], "pageInfo": info}}}}


def member(*posts: Any, following: int | None = None) -> dict[str, Any]:
    info = {"hasNextPage": following is not None, "nextPage": following}
    return {"data": {"user": {"posts": {"nodes": list(posts), "pageInfo": info}}}}


class Api:
    """Answers by what comes after which cursor or page."""

    def __init__(self, answers: dict[Any, Any], front: bytes = b"") -> None:
        self.answers = answers
        self.front = front
        self.asked: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "gql-beta.hashnode.com":
            return httpx.Response(200 if request.url.path == "/" else 404, content=self.front, headers={"Content-Type": "text/html"})
        variables = json.loads(request.content)["variables"]
        self.asked.append(variables)
        found = self.answers.get(variables.get("after", variables.get("page")), 500)
        return httpx.Response(found) if isinstance(found, int) else httpx.Response(200, json=found)


def web(api: Api) -> Web:
    return Web(Limits(pause=0, tries=1), transport=httpx.MockTransport(api))


def test_a_blog_is_read_page_by_page() -> None:
    guest = post(3, author={"name": "Joe", "username": "joe"}, canonicalUrl="https://joe.example/x")
    api = Api({None: blog(post(1), None, after="c1"), "c1": blog(guest, after="c1")})
    with web(api) as crawl:
        source = from_address(Address("https://jane.hashnode.dev/", crawl))
        assert source is not None and source.coverage == "listing"
        posts = list(source.read())
    assert [post.state for post in posts] == ["kept", "unreadable", "kept"]
    assert (posts[0].key, posts[0].title, posts[0].bylines) == ("https://jane.hashnode.dev/t1", "T1", ("Jane",))
    assert [block.text for block in posts[0].blocks] == ["Intro", "Words of 1."]
    assert str(posts[0].edited_at) == "2024-02-01 10:00:00+00:00"
    assert (posts[2].bylines, posts[2].canonical_url) == (("Joe",), "https://joe.example/x")
    assert api.asked == [{"host": "jane.hashnode.dev", "after": None}, {"host": "jane.hashnode.dev", "after": "c1"}]


@pytest.mark.parametrize("answer", [NO_PLAN, {"data": None}, [], 403])
def test_a_blog_without_a_plan_is_left_to_be_read_as_a_site(answer: Any) -> None:
    with web(Api({None: answer})) as crawl:
        assert from_address(Address("https://jane.hashnode.dev/", crawl)) is None


def test_a_member_is_read_too_and_the_profiles_owner_needs_no_byline() -> None:
    together = post(2, coAuthors=[{"name": "Joe", "username": "joe"}])
    api = Api({1: member(post(1), following=2), 2: member(together)})
    with web(api) as crawl:
        source = from_address(Address("https://hashnode.com/@jane", crawl))
        assert source is not None
        assert [post.bylines for post in source.read()] == [(), ("Jane", "Joe")]


def test_a_member_whom_the_api_does_not_show_is_an_error_that_says_what_to_do() -> None:
    with web(Api({1: {"errors": [{"message": "No."}]}})) as crawl:
        source = from_address(Address("https://hashnode.com/@jane", crawl))
        assert source is not None
        with pytest.raises(FetchError, match="Name the blog's own address"):
            list(source.read())


def test_a_list_that_fails_midway_keeps_what_was_read() -> None:
    with web(Api({None: blog(post(1), after="c1")})) as crawl:
        source = from_address(Address("https://jane.hashnode.dev/", crawl))
        assert source is not None
        assert len(list(source.read())) == 1
        assert "500" in source.truncated


def test_a_domain_of_its_own_is_known_by_its_pictures() -> None:
    signs = b'<img src="https://cdn.hashnode.com/res/a.png">' * 3
    with web(Api({None: blog(post(1))}, signs)) as crawl:
        assert from_address(Address("https://blog.example/", crawl)) is not None
    with web(Api({None: blog(post(1))}, signs[:50])) as crawl:
        assert from_address(Address("https://blog.example/", crawl)) is None


@pytest.mark.parametrize("url", ["https://hashnode.com/", "https://hashnode.com/n/python", "https://jane.hashnode.dev/a-post"])
def test_other_addresses(url: str) -> None:
    with web(Api({})) as crawl:
        assert from_address(Address(url, crawl)) is None


def test_the_export(tmp_path: Path) -> None:
    first = {"_id": "a", "cuid": "c1", "title": "T", "dateAdded": "2024-01-01T10:00:00.000Z", "contentMarkdown": "Words.", "author": "5f"}
    posts = [
        first,
        {**first, "cuid": "c2", "isActive": False},
        {**first, "cuid": "c3", "contentMarkdown": None, "content": "<p>Html.</p>"},
        "odd",
    ]
    (tmp_path / "export.json").write_text(json.dumps({"posts": posts}))
    (tmp_path / "a.txt").write_text("private")
    source = from_files(open_files(tmp_path))
    assert source is not None and source.coverage == "everything"
    found = collect(source)
    assert [post.state for post in found] == ["kept", "deleted", "kept", "unreadable", "empty"]
    assert (found[0].key, found[0].bylines) == ("urn:hashnode:c1", ())
    assert str(found[0].published_at) == "2024-01-01 10:00:00+00:00"
    assert source.files.opened == {"export.json"}  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "text", ['{"posts": [{"contentMarkdown": "x"', '{"contentMarkdown": 1, "posts": 1}', '{"contentMarkdown": 1, "posts": ' + "[" * 100_000]
)
def test_a_broken_export_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "export.json").write_text(text)
    source = from_files(open_files(tmp_path / "export.json"))
    assert source is not None
    with pytest.raises(SourceError, match="Export again"):
        collect(source)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*post(1), "coAuthors", "contentMarkdown", "isActive", "dateAdded", "cuid"]), JSON))
def test_any_json_is_a_post_in_some_state(found: dict[str, Any]) -> None:
    from twin_assets.ingest.sources.hashnode import _post

    assert _post(found, "x", "jane").state
    assert _post({**post(1), **found}, "x", "").state


@settings(deadline=None)
@given(JSON)
def test_any_answer_is_read_or_refused(answer: Any) -> None:
    with web(Api({None: {"data": {"publication": {"posts": answer}}}})) as crawl:
        source = from_address(Address("https://jane.hashnode.dev/", crawl))
        if source is not None:
            assert isinstance(list(source.read()), list)
