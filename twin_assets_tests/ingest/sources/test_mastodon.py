import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import UnreadableTextError, open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address
from twin_assets.ingest.sources import mastodon
from twin_assets.ingest.web import Limits, Web

ME = "https://example.social/users/jane"
BOB = "https://other.example/users/bob"
ALL = "https://www.w3.org/ns/activitystreams#Public"
MENTION = '<span class="h-card"><a href="https://other.example/@bob" class="u-url mention">@<span>bob</span></a></span>'


def create(id: int, content: str, *, minute: int = 0, to: object = ALL, cc: object = (), **note: Any) -> dict[str, Any]:
    when = f"2024-03-05T10:{minute:02d}:00Z"
    fields = {
        "id": f"{ME}/statuses/{id}",
        "type": "Note",
        "url": f"https://example.social/@jane/{id}",
        "attributedTo": ME,
        "published": when,
        "to": [to] if isinstance(to, str) else to,
        "cc": list(cc) if isinstance(cc, tuple) else cc,
        "content": content,
        **note,
    }
    return {"id": f"{ME}/statuses/{id}/activity", "type": "Create", "actor": ME, "published": when, "object": fields}


def announce(id: int) -> dict[str, Any]:
    return {
        "id": f"{ME}/statuses/{id}/activity",
        "type": "Announce",
        "actor": ME,
        "published": "2024-03-05T10:00:00Z",
        "object": f"{BOB}/statuses/5",
    }


def archive(folder: Path, *activities: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "outbox.json").write_text(json.dumps({"type": "OrderedCollection", "orderedItems": activities}))
    (folder / "actor.json").write_text(json.dumps({"id": ME, "preferredUsername": "jane"}))
    return folder


def source(folder: Path) -> mastodon.MastodonArchive:
    found = mastodon.from_files(open_files(folder))
    assert isinstance(found, mastodon.MastodonArchive)
    return found


def read(folder: Path, *activities: object) -> list[Post]:
    return collect(source(archive(folder, *activities)))[: len(activities)]


def texts(post: Post) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in post.blocks]


def test_paragraphs_breaks_and_hidden_parts_of_links(tmp_path: Path) -> None:
    shown = '<span class="invisible">https://</span><span class="ellipsis">example.com/a</span><span class="invisible">/long</span>'
    post = read(tmp_path, create(1, f'<p>It’s one.<br>Two 🎉</p><p>See <a href="https://example.com/a/long">{shown}</a></p>'))[0]
    assert texts(post) == [("paragraph", "It’s one.\nTwo 🎉"), ("paragraph", "See https://example.com/a/long")]
    assert (post.key, post.state, post.kind) == ("https://example.social/@jane/1", "kept", "post")


def test_boosts_are_shared(tmp_path: Path) -> None:
    posts = read(tmp_path, announce(1), create(2, "<p>Mine.</p>"))
    assert [(post.state, bool(post.blocks)) for post in posts] == [("shared", False), ("kept", True)]


@pytest.mark.parametrize(
    ("to", "cc", "state"),
    [
        (ALL, (), "kept"),
        (f"{ME}/followers", (ALL,), "kept"),
        ("as:Public", (), "kept"),
        (f"{ME}/followers", (), "excluded"),
        (BOB, (), "excluded"),
        ((), (), "excluded"),
        (None, {"a": ALL}, "excluded"),
    ],
)
def test_only_what_is_for_everyone_is_kept(tmp_path: Path, to: object, cc: object, state: str) -> None:
    post = read(tmp_path, create(1, "<p>Words.</p>", to=to, cc=cc, summary="warning"))[0]
    assert post.state == state
    if state == "excluded":
        assert post.reason.startswith("not public")
        assert (post.blocks, post.title) == ((), None)


def test_replies_are_comments_without_the_names_they_begin_with(tmp_path: Path) -> None:
    posts = read(
        tmp_path,
        create(1, f"<p>{MENTION} thanks to {MENTION}!</p>", inReplyTo=f"{BOB}/statuses/5"),
        create(2, f"<p>{MENTION} is right.</p>"),
        create(3, f"<p>{MENTION}</p><p>Indeed.</p>", inReplyTo=f"{BOB}/statuses/6"),
    )
    assert [(post.kind, texts(post)[0][1]) for post in posts] == [
        ("comment", "thanks to @bob!"),
        ("post", "@bob is right."),
        ("comment", "Indeed."),
    ]


def test_threads_are_one_post(tmp_path: Path) -> None:
    posts = read(
        tmp_path,
        create(1, "<p>One.</p>"),
        create(2, "<p>Two.</p>", minute=1, inReplyTo=f"{ME}/statuses/1"),
        create(3, "<p>On what is gone.</p>", minute=2, inReplyTo=f"{ME}/statuses/99"),
    )
    assert [(post.state, post.kind) for post in posts] == [("kept", "post"), ("duplicate", "post"), ("kept", "post")]
    assert [text for _, text in texts(posts[0])] == ["One.", "Two."]


def test_a_private_part_stays_out_of_its_thread(tmp_path: Path) -> None:
    posts = read(
        tmp_path,
        create(1, "<p>One.</p>"),
        create(2, "<p>Secret.</p>", minute=1, inReplyTo=f"{ME}/statuses/1", to=BOB),
        create(3, "<p>Three.</p>", minute=2, inReplyTo=f"{ME}/statuses/2"),
    )
    assert [post.state for post in posts] == ["kept", "excluded", "duplicate"]
    assert [text for _, text in texts(posts[0])] == ["One.", "Three."]


def test_warnings_polls_pictures_and_quotes(tmp_path: Path) -> None:
    quote = '<p class="quote-inline">RE: <a href="https://other.example/@bob/5">https://other.example/@bob/5</a></p>'
    posts = read(
        tmp_path,
        create(1, "<p>Spoilers.</p>", summary="On the film", sensitive=True, attachment=[{"name": "A red boat"}, {"name": None}]),
        create(2, "<p>Tea or coffee?</p>", type="Question", oneOf=[{"name": "Tea"}, {"name": "Coffee"}]),
        create(3, f"{quote}<p>Well said.</p>", quote=f"{BOB}/statuses/5"),
    )
    assert posts[0].title == "On the film"
    assert [texts(post) for post in posts] == [
        [("paragraph", "Spoilers."), ("caption", "A red boat")],
        [("paragraph", "Tea or coffee?"), ("list", "- Tea\n- Coffee")],
        [("paragraph", "Well said."), ("embed", f"{BOB}/statuses/5")],
    ]


def test_a_text_that_is_given_by_language_alone_is_read(tmp_path: Path) -> None:
    assert texts(read(tmp_path, create(1, "", contentMap={"de": "<p>Wörter.</p>"}))[0]) == [("paragraph", "Wörter.")]


def test_edits_other_writers_and_other_activities(tmp_path: Path) -> None:
    posts = read(
        tmp_path,
        create(1, "<p>a</p>", updated="2024-03-06T00:00:00Z"),
        create(2, "<p>b</p>", attributedTo=BOB),
        {"id": f"{ME}#delete", "type": "Delete", "actor": ME, "object": "x"},
        create(3, "c") | {"object": f"{ME}/statuses/3"},
        None,
    )
    assert [post.state for post in posts] == ["kept", "foreign", "empty", "unreadable", "unreadable"]
    assert str(posts[0].edited_at) == "2024-03-06 00:00:00+00:00"
    assert posts[1].blocks == ()
    assert all(post.reason for post in posts[1:])


@pytest.mark.parametrize("zipped", [False, True])
def test_likes_and_bookmarks_are_never_opened(tmp_path: Path, zipped: bool) -> None:
    location = archive(tmp_path / "archive", create(1, "<p>Mine.</p>"))
    private = {"likes.json", "bookmarks.json", "media_attachments/files/1/a.jpg", "avatar.png"}
    for name in private:
        path = location / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"orderedItems": ["secret"]}')
    if zipped:
        with zipfile.ZipFile(tmp_path / "archive.zip", "w") as file:
            for path in sorted(location.rglob("*")):
                file.write(path, path.relative_to(location))
        location = tmp_path / "archive.zip"
    found = source(location)
    posts = collect(found)
    assert found.files.opened == {"outbox.json"}
    assert {post.origin for post in posts if post.state == "empty"} == private | {"actor.json"}


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"orderedItems": {}}', "[" * 100_000, "\x00", "1" * 10_000])
def test_an_outbox_that_is_none_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "outbox.json").write_text(content)
    with pytest.raises(SourceError, match=r"outbox\.json"):
        list(source(tmp_path).read())


PROFILE = "https://example.social/@jane"


def status(id: int, content: str = "<p>Words.</p>", **fields: Any) -> dict[str, Any]:
    return {
        "id": str(id),
        "uri": f"{ME}/statuses/{id}",
        "url": f"https://example.social/@jane/{id}",
        "account": {"id": "7", "acct": "jane"},
        "created_at": f"2024-03-05T10:{id % 60:02d}:00.000Z",
        "content": content,
        "visibility": "public",
        "spoiler_text": "",
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "reblog": None,
        **fields,
    }


def web(handler: Callable[[httpx.Request], httpx.Response]) -> Web:
    return Web(Limits(pause=0, tries=2), sleep=lambda seconds: None, transport=httpx.MockTransport(handler))


def served(statuses: list[Any], *, size: int = 40, fails_after: int = 99, asked: list[httpx.Request] | None = None) -> Web:
    """A server with these statuses, newest first."""
    pages = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal pages
        if asked is not None:
            asked.append(request)
        if request.url.path == "/api/v1/accounts/lookup":
            return httpx.Response(200, json={"id": "7", "acct": "jane"})
        assert request.url.path == "/api/v1/accounts/7/statuses"
        pages += 1
        if pages > fails_after:
            return httpx.Response(500)
        before = request.url.params.get("max_id")
        older = [found for found in statuses if before is None or int(found["id"]) < int(before)]
        return httpx.Response(200, json=older[:size])

    return web(handler)


def profile(web: Web) -> mastodon.MastodonProfile:
    found = mastodon.from_address(Address(PROFILE, web))
    assert isinstance(found, mastodon.MastodonProfile)
    return found


def test_a_profile_is_read_to_its_end_boosts_included() -> None:
    asked: list[httpx.Request] = []
    statuses = [
        status(9, "<p>No.</p>", in_reply_to_id="x", in_reply_to_account_id="8"),
        status(8, reblog=status(1)),
        status(7, "<p>Two.</p>", in_reply_to_id="6", in_reply_to_account_id="7"),
        status(6, "<p>One.</p>", edited_at="2024-03-06T00:00:00Z", spoiler_text="On ships"),
        status(5, visibility="private"),
        status(4, account={"id": "8", "acct": "bob@other.example"}),
    ]
    with served(statuses, size=2, asked=asked) as crawl:
        found = profile(crawl)
        posts = collect(found)
    assert [(post.state, post.kind) for post in posts] == [
        ("kept", "comment"),
        ("shared", "post"),
        ("duplicate", "post"),
        ("kept", "post"),
        ("excluded", "post"),
        ("foreign", "post"),
    ]
    assert found.truncated == ""
    assert (posts[3].title, str(posts[3].edited_at)) == ("On ships", "2024-03-06 00:00:00+00:00")
    assert [text for _, text in texts(posts[3])] == ["One.", "Two."]
    assert all(request.url.params["exclude_reblogs"] == "false" for request in asked[1:])
    assert not any(request.url.path == "/robots.txt" for request in asked)


def test_archive_and_profile_agree_on_keys(tmp_path: Path) -> None:
    with served([status(2), status(1, reblog=status(9))]) as crawl:
        online = {post.key for post in collect(profile(crawl))}
    assert {post.key for post in read(tmp_path, create(2, "<p>Words.</p>"))} < online
    boost = status(1, uri=f"{ME}/statuses/1/activity", reblog=status(9))
    with served([boost]) as crawl:
        assert [post.key for post in collect(profile(crawl))] == [post.key for post in read(tmp_path, announce(1))]


def test_a_listing_that_fails_midway_is_cut_short_and_at_once_an_error() -> None:
    statuses = [status(id) for id in range(9, 0, -1)]
    with served(statuses, size=4, fails_after=1) as crawl:
        found = profile(crawl)
        assert len(list(found.read())) == 4
    assert "500" in found.truncated
    with served(statuses, fails_after=0) as crawl, pytest.raises(FetchError):
        list(profile(crawl).read())


def test_pages_that_lead_in_circles_end() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": "7"} if request.url.path.endswith("lookup") else [status(3)])

    with web(handler) as crawl:
        found = profile(crawl)
        assert len(list(found.read())) == 2
    assert "does not come to an end" in found.truncated


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/jane",
        "https://example.com/@jane/1",
        "https://medium.com/@jane",
        "https://jane.substack.com/@jane",
        "https://www.youtube.com/@jane",
        "https://example.com/@",
    ],
)
def test_other_addresses_are_not_asked(url: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    with web(handler) as crawl:
        assert mastodon.from_address(Address(url, crawl)) is None


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(401),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"id": "../x"}),
        httpx.Response(302, headers={"location": "/login"}),
    ],
)
def test_a_server_of_another_kind_is_left_to_others(answer: httpx.Response) -> None:
    with web(lambda request: answer) as crawl:
        assert mastodon.from_address(Address("https://example.com/@jane", crawl)) is None


def test_a_server_that_is_busy_is_not_taken_for_another_kind() -> None:
    with web(lambda request: httpx.Response(503)) as crawl, pytest.raises(FetchError):
        mastodon.from_address(Address(PROFILE, crawl))


_NAMES = (
    "id type actor object published to cc content contentMap summary inReplyTo attributedTo url updated oneOf name attachment quote uri "
    "account acct created_at edited_at reblog visibility spoiler_text in_reply_to_id poll options title media_attachments description"
)
_KNOWN = st.sampled_from(
    ["Create", "Announce", "Note", ME, ALL, f"{ME}/statuses/1", "<p>a", "\ud800", "7", "https://[", "2024-03-05T10:00:00Z"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10) | _KNOWN
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_NAMES.split(" ")), inner, max_size=10),
    max_leaves=20,
)
_ACTIVITY = st.fixed_dictionaries({"type": st.just("Create"), "object": _JSON}, optional={"actor": _JSON, "id": _JSON, "published": _JSON})


@given(st.lists(_ACTIVITY | _JSON, max_size=4))
def test_activities_of_any_shape_are_survived_and_accounted_for(activities: list[Any]) -> None:
    found = mastodon.parse_outbox(json.dumps({"orderedItems": activities}))
    posts = [mastodon._activity(activity, ME, f"outbox.json:{number}").post for number, activity in enumerate(found)]
    assert len(posts) == len(activities)
    for post in posts:
        assert post.state == "kept" or post.reason
        repr(post).encode()


_STATUS = st.fixed_dictionaries(
    {"content": st.text() | _JSON}, optional={"id": _JSON, "uri": _JSON, "reblog": _JSON, "account": _JSON, "media_attachments": _JSON}
)


@given(st.lists(_STATUS | _JSON, max_size=4))
def test_statuses_of_any_shape_are_survived_and_accounted_for(statuses: list[Any]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("lookup"):
            return httpx.Response(200, json={"id": 7})
        return httpx.Response(200, content=json.dumps([] if "max_id" in request.url.params else statuses))

    with web(handler) as crawl:
        posts = collect(profile(crawl))
    assert len(posts) == len(statuses)
    for post in posts:
        assert post.state == "kept" or post.reason
        repr(post).encode()


@given(st.text())
def test_an_outbox_of_any_text_is_read_or_unreadable(content: str) -> None:
    with pytest.raises(UnreadableTextError):
        mastodon.parse_outbox(content)
