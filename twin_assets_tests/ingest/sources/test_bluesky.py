import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address
from twin_assets.ingest.sources import bluesky
from twin_assets.ingest.web import Limits, Web

ME, BOB = "did:plc:me", "did:plc:bob"
PROFILE = "https://bsky.app/profile/jane.example"


def uri(key: str, did: str = ME) -> str:
    return f"at://{did}/app.bsky.feed.post/{key}"


def item(key: str, text: str = "Words.", *, did: str = ME, minute: int = 0, reason: object = None, **record: Any) -> dict[str, Any]:
    made = f"2024-03-05T10:{minute:02d}:00.000Z"
    post = {
        "uri": uri(key, did),
        "author": {"did": did, "handle": "jane.example" if did == ME else "bob.example"},
        "record": {"$type": "app.bsky.feed.post", "text": text, "createdAt": made, **record},
        "indexedAt": made,
    }
    return {"post": post} | ({"reason": reason} if reason else {})


def answer(to: str, did: str = ME) -> dict[str, Any]:
    return {"parent": {"uri": uri(to, did)}, "root": {"uri": uri(to, did)}}


def link(text: str, part: str, address: str) -> dict[str, Any]:
    start = text.encode().index(part.encode())
    index = {"byteStart": start, "byteEnd": start + len(part.encode())}
    return {"index": index, "features": [{"$type": "app.bsky.richtext.facet#link", "uri": address}]}


def served(*pages: object, asked: list[httpx.Request] | None = None) -> Web:
    """The API with these pages of a feed; a number is a status instead."""

    def handler(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        if request.url.path.endswith("getProfile"):
            return httpx.Response(200, json={"did": ME, "handle": "jane.example"})
        number = int(request.url.params.get("cursor", "0"))
        page = pages[number]
        if isinstance(page, int):
            return httpx.Response(page)
        cursor = {"cursor": str(number + 1)} if number + 1 < len(pages) else {}
        return httpx.Response(200, json={"feed": page, **cursor})

    return web(handler)


def web(handler: Callable[[httpx.Request], httpx.Response]) -> Web:
    return Web(Limits(pause=0, tries=2), sleep=lambda seconds: None, transport=httpx.MockTransport(handler))


def source(web: Web, url: str = PROFILE) -> bluesky.BlueskyProfile:
    found = bluesky.from_address(Address(url, web))
    assert isinstance(found, bluesky.BlueskyProfile)
    return found


def read(*items: object) -> list[Post]:
    with served(list(items)) as web:
        return collect(source(web))


def texts(post: Post) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in post.blocks]


def test_posts_have_the_address_that_stays_when_the_handle_changes() -> None:
    post = read(item("3k1", "One.\n\nTwo\nlines."))[0]
    assert (post.key, post.state, post.kind) == ("https://bsky.app/profile/did:plc:me/post/3k1", "kept", "post")
    assert texts(post) == [("paragraph", "One."), ("paragraph", "Two\nlines.")]
    assert str(post.published_at) == "2024-03-05 10:00:00+00:00"


def test_reposts_come_under_every_filter_and_are_shared() -> None:
    reason = {"$type": "app.bsky.feed.defs#reasonRepost", "indexedAt": "2024-03-06T10:00:00Z"}
    posts = read(item("1", "Bob's words.", did=BOB, reason=reason), item("2", "Mine.", reason=reason), item("2", "Mine."))
    assert [(post.state, bool(post.blocks)) for post in posts] == [("shared", False), ("shared", False), ("kept", True)]


def test_a_pinned_post_is_no_repost() -> None:
    posts = read(item("1", "Mine.", reason={"$type": "app.bsky.feed.defs#reasonPin"}))
    assert posts[0].state == "kept"


def test_posts_of_others_are_foreign_and_their_text_is_not_kept() -> None:
    post = read(item("1", "Bob's words.", did=BOB))[0]
    assert (post.state, post.reason, post.blocks) == ("foreign", "written by bob.example", ())


def test_an_address_that_does_not_fit_its_author_is_foreign() -> None:
    entry = item("1")
    entry["post"]["author"]["did"] = BOB
    assert read(entry)[0].state == "foreign"


def test_replies_are_comments_and_threads_one_post() -> None:
    posts = read(
        item("4", "No.", minute=9, reply=answer("x", BOB)),
        item("3", "Three.", minute=2, reply=answer("2")),
        item("2", "Two.", minute=1, reply=answer("1")),
        item("1", "One."),
    )
    assert [(post.state, post.kind) for post in posts] == [
        ("kept", "comment"),
        ("duplicate", "post"),
        ("duplicate", "post"),
        ("kept", "post"),
    ]
    assert [text for _, text in texts(posts[3])] == ["One.", "Two.", "Three."]


def test_shortened_links_are_written_out_by_bytes() -> None:
    text = "Schön 🎉 siehe example.com/a/ver... und hier"
    facets = [link(text, "example.com/a/ver...", "https://www.example.com/a/very/long"), link(text, "hier", "https://example.com/b")]
    assert bluesky.with_links(text, facets) == "Schön 🎉 siehe https://www.example.com/a/very/long und hier"


@pytest.mark.parametrize(
    ("start", "end"), [(0, 10**30), (-5, 3), (3, 1), (None, 4), ("1", 4), (True, 4), (1, 2), (10**30, 10**31), (1.5, 3)]
)
def test_ranges_that_are_none_leave_the_text(start: object, end: object) -> None:
    facets = [{"index": {"byteStart": start, "byteEnd": end}, "features": [{"uri": "https://example.com"}]}]
    assert bluesky.with_links("ä words", facets) == "ä words"


@given(st.text(), st.lists(st.tuples(st.integers(-2, 30), st.integers(-2, 30), st.text(max_size=5)), max_size=5))
def test_facets_keep_the_text_that_is_no_link(text: str, ranges: list[tuple[int, int, str]]) -> None:
    facets = [{"index": {"byteStart": a, "byteEnd": b}, "features": [{"uri": f"mailto:{uri}"}]} for a, b, uri in ranges]
    assert "mailto" in bluesky.with_links(text, facets) or bluesky.with_links(text, facets) == text


def test_quotes_and_cards_are_embeds_and_alternative_texts_captions() -> None:
    quoted = {"$type": "app.bsky.embed.record", "record": {"uri": uri("9", BOB), "cid": "c"}}
    picture = {"$type": "app.bsky.embed.images", "images": [{"alt": "A red boat"}, {"alt": ""}]}
    both = {"$type": "app.bsky.embed.recordWithMedia", "record": quoted, "media": picture}
    card = {"$type": "app.bsky.embed.external", "external": {"uri": "https://example.com/a", "title": "Not my words"}}
    posts = read(item("1", "a", embed=quoted), item("2", "b", embed=both), item("3", "c", embed=card))
    address = "https://bsky.app/profile/did:plc:bob/post/9"
    assert [texts(post)[1:] for post in posts] == [
        [("embed", address)],
        [("caption", "A red boat"), ("embed", address)],
        [("embed", "https://example.com/a")],
    ]


def test_a_date_that_is_still_to_come_is_not_believed() -> None:
    assert str(read(item("1", createdAt="2199-01-01T00:00:00Z"))[0].published_at) == "2024-03-05 10:00:00+00:00"


def test_all_pages_are_read_by_account_without_robots() -> None:
    asked: list[httpx.Request] = []
    with served([item("3")], [item("2", "B")], [item("1", "C")], asked=asked) as web:
        found = source(web)
        assert len(collect(found)) == 3
    assert found.truncated == ""
    assert found.coverage == "listing"
    queries = [parse_qs(urlsplit(str(request.url)).query) for request in asked]
    assert [query["actor"] for query in queries] == [["jane.example"], [ME], [ME], [ME]]
    assert {request.url.host for request in asked} == {"public.api.bsky.app"}


def test_a_listing_that_fails_midway_is_cut_short() -> None:
    with served([item("3")], 503) as web:
        found = source(web)
        assert [post.state for post in found.read()] == ["kept"]
    assert "503" in found.truncated


def test_a_listing_that_fails_at_once_is_an_error() -> None:
    with served(503) as web, pytest.raises(FetchError, match="503"):
        list(source(web).read())


def test_a_cursor_that_leads_in_circles_ends() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("getProfile"):
            return httpx.Response(200, json={"did": ME})
        return httpx.Response(200, json={"feed": [item("1")], "cursor": "a"})

    with web(handler) as crawl:
        found = source(crawl)
        assert len(collect(found)) == 2
    assert "does not come to an end" in found.truncated


def test_an_unknown_profile_is_named() -> None:
    with (
        web(lambda request: httpx.Response(400, json={"error": "InvalidRequest", "message": "Profile not found"})) as crawl,
        pytest.raises(SourceError, match=r"no profile jane\.example") as caught,
    ):
        list(source(crawl).read())
    assert caught.value.outcome == "gone"


@pytest.mark.parametrize(
    "url",
    ["https://bsky.app", "https://bsky.app/profile/a.b/post/1", "https://bsky.app/profile/a.b/rss", "https://example.com/profile/a.b"],
)
def test_other_addresses_are_left_to_others(url: str) -> None:
    assert bluesky.from_address(Address(url, Web())) is None


def test_a_handle_that_is_none_is_named() -> None:
    with pytest.raises(SourceError, match="names no handle"):
        bluesky.from_address(Address("https://bsky.app/profile/jane", Web()))


_NAMES = (
    "post uri author did handle record text createdAt facets reply parent embed record media images alt external reason $type indexedAt "
    "index byteStart byteEnd features"
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10)
_KNOWN = st.sampled_from([uri("1"), uri("2"), uri("1", BOB), ME, "app.bsky.feed.defs#reasonRepost", "\ud800", "2024-03-05T10:00:00Z"])
_JSON = st.recursive(
    _LEAVES | _KNOWN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_NAMES.split(" ")), inner, max_size=8),
    max_leaves=20,
)
_POST = st.fixed_dictionaries({"uri": st.just(uri("1")) | _JSON, "record": _JSON}, optional={"author": _JSON, "indexedAt": _JSON})


@given(st.lists(st.fixed_dictionaries({"post": _POST}, optional={"reason": _JSON, "reply": _JSON}) | _JSON, max_size=4))
def test_json_of_any_shape_is_survived_and_every_item_accounted_for(feed: list[Any]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        answer = {"did": ME} if request.url.path.endswith("getProfile") else {"feed": feed}
        return httpx.Response(200, content=json.dumps(answer))

    with web(handler) as crawl:
        posts = collect(source(crawl))
    assert len(posts) == len(feed)
    for post in posts:
        assert post.state == "kept" or post.reason
        repr(post).encode()


@given(st.binary() | st.sampled_from([b"[" * 100_000, b"null", b"[]", b'{"feed": {}}', b'{"did": 1}', b'{"did": "did:x", "feed": 1}']))
def test_answers_of_any_content_are_read_or_a_source_error(content: bytes) -> None:
    with web(lambda request: httpx.Response(200, content=content)) as crawl, pytest.raises(SourceError):
        list(source(crawl).read())
