"""LinkedIn's export, its API, and the page of one's own activity, on invented samples; the real ones where they are offered."""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.posts import Post, post_key
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.source import Address
from twin_assets.ingest.sources.linkedin import (
    LinkedInExport,
    comment_blocks,
    from_address,
    from_files,
    moment,
    read_article,
    written_at,
)
from twin_assets.ingest.sources.linkedin_activity import LinkedInActivity, read_activity
from twin_assets.ingest.sources.linkedin_api import LinkedInApi
from twin_assets.ingest.web import Limits, MemoryPages, Web
from twin_assets.settings import get_settings
from twin_assets_tests.ingest.inputs import read, write

SHARES = "Date,ShareLink,ShareCommentary,SharedUrl,MediaUrl,Visibility\n"
COMMENTS = "Date,Link,Message\n"
UPDATE = "https://www.linkedin.com/feed/update/urn%3Ali%3A"
PRIVATE = ("messages.csv", "Connections.csv", "Phone Numbers.csv", "Email Addresses.csv", "Logins.csv", "Ad_Targeting.csv", "Profile.csv")


def article(
    published: str, *, link: str = "https://www.linkedin.com/pulse/on-bread-jane-doe", body: str = "<p>Bread needs time.</p>"
) -> str:
    return (
        "<html><head><title>On bread</title><style>p {color: red}</style></head><body><img src='https://media.example/cover.png' alt='Cover'>"
        f"<h1><a href='{link}'>On   bread</a></h1><p class='created'>Created on 2021-02-03 04:05</p>"
        f"<p class='published'>{published}</p><div>{body}</div></body></html>"
    )


# -- the export


@pytest.mark.parametrize("folder", ["Articles/", "Articles/Articles/"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_export_as_folder_and_zip(tmp_path: Path, folder: str, packed: bool) -> None:
    files: dict[str, str | bytes] = {
        "Shares.csv": f'\ufeff{SHARES}2024-05-06 07:08:09,{UPDATE}share%3A11,"One.""\n""""\n""Two.",,,PUBLIC\n',
        "Comments.csv": f"{COMMENTS}2024-05-07 07:08:09,{UPDATE}activity%3A12,Well said\n",
        f"{folder}a.html": article("Published on 2021-02-04 05:06"),
        f"{folder}b.html": article("Not published yet"),
        f"{folder}c.html": article("Published on ---", body="<p>Another unfinished one.</p>"),
        **dict.fromkeys(PRIVATE, b"private \xff"),
    }
    location = write(tmp_path / "export", files)
    if packed:
        location = tmp_path / "Complete_LinkedInDataExport.zip"
        with zipfile.ZipFile(location, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    posts = read(location)
    assert Counter(post.state for post in posts.values()) == {"kept": 3, "draft": 2, "empty": len(PRIVATE)}
    assert posts["Shares.csv:1"].key == "urn:li:share:11"
    assert [block.text for block in posts["Shares.csv:1"].blocks] == ["One.", "Two."]
    assert posts["Comments.csv:1"].key == "urn:li:activity:12#comment-2024-05-07 07:08:09"
    published = posts[f"{folder}a.html"]
    assert (published.key, published.kind, published.title) == ("https://www.linkedin.com/pulse/on-bread-jane-doe", "article", "On bread")
    assert published.published_at == datetime(2021, 2, 4, 5, 6, tzinfo=UTC)
    assert [block.text for block in published.blocks] == ["Bread needs time."]


def test_private_files_are_never_opened(tmp_path: Path) -> None:
    write(tmp_path, {"Shares.csv": SHARES, "Comments.csv": COMMENTS, "Articles/a.html": article("Not published yet")})
    write(tmp_path, {f"{folder}{name}": "private" for folder in ("", "Jobs/") for name in PRIVATE})
    files = open_files(tmp_path)
    source = from_files(files)
    assert source is not None
    posts = list(source.read())
    assert files.opened == {"Shares.csv", "Comments.csv", "Articles/a.html"}
    assert {post.origin for post in posts if post.state == "empty"} >= {*PRIVATE, *(f"Jobs/{name}" for name in PRIVATE)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Shares.csv", f"{SHARES}2024-05-06 07:08:09,{UPDATE}share%3A1,Words,,,\n"),
        ("Shares_1234.csv", f"{SHARES}2024-05-06 07:08:09,{UPDATE}share%3A1,Words,,,\n"),
        ("Shares (1).csv", f"{SHARES}2024-05-06 07:08:09,{UPDATE}share%3A1,Words,,,\n"),
        ("Shares.csv", f"Date,ShareLink,ShareCommentary,SharedUrl\n2016-05-06 07:08:09,{UPDATE}share%3A1,Words,\n"),
        ("Comments.csv", f"{COMMENTS}2024-05-06 07:08:09,{UPDATE}activity%3A1,Words\n"),
    ],
)
def test_a_single_table(tmp_path: Path, name: str, content: str) -> None:
    (post,) = read(write(tmp_path, {name: content}) / name).values()
    assert (post.state, [block.text for block in post.blocks]) == ("kept", ["Words"])


def test_two_parts_in_one_folder_are_one_source(tmp_path: Path) -> None:
    row = f"2024-05-06 07:08:09,{UPDATE}share%3A1,Words,,,\n"
    said = f"{COMMENTS}2024-05-06 07:08:09,{UPDATE}activity%3A1,A remark\n"
    write(tmp_path, {"part1/Shares.csv": SHARES + row, "part2/Shares.csv": SHARES + row + row.replace("A1", "A2").replace("Words", "More")})
    write(tmp_path, {"part1/Comments.csv": said, "part2/Comments.csv": said})
    posts = read(tmp_path)
    assert {origin: post.state for origin, post in posts.items()} == {
        "part1/Comments.csv:1": "kept",
        "part1/Shares.csv:1": "kept",
        "part2/Comments.csv:1": "duplicate",
        "part2/Shares.csv:1": "duplicate",
        "part2/Shares.csv:2": "kept",
    }


@pytest.mark.parametrize("broken", [b"\x00\xff\xfe binary", b"Nothing,Known\n1,2\n", "caf\xe9".encode("latin-1")])
def test_one_broken_table_keeps_the_rest_and_deletes_nothing(tmp_path: Path, broken: bytes) -> None:
    write(tmp_path, {"Shares.csv": f"{SHARES}2024-05-06 07:08:09,{UPDATE}share%3A1,Words,,,\n", "Comments.csv": broken})
    source = open_source(str(tmp_path), Web())
    posts = {post.origin: post for post in collect(source)}
    assert {origin: post.state for origin, post in posts.items()} == {"Shares.csv:1": "kept", "Comments.csv": "unreadable"}
    assert "Comments.csv" in source.truncated


def test_an_export_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"Shares.csv": b"\x00", "Connections.csv": "private"})
    with pytest.raises(SourceError, match=r"Shares\.csv .* binary"):
        read(tmp_path)


def test_quotes_that_are_escaped_by_a_backslash(tmp_path: Path) -> None:
    rows = [
        f'2024-05-06 07:08:09,{UPDATE}activity%3A1,"He says \\"no, never\\".\n\nI say \\"yes, always\\""',
        f'2024-05-06 07:08:10,{UPDATE}activity%3A1,"\\"Well,\\"\nhe said"',
    ]
    posts = read(write(tmp_path, {"Comments.csv": COMMENTS + "\n".join(rows)}))
    assert [[block.text for block in post.blocks] for post in posts.values()] == [
        ['He says "no, never".', 'I say "yes, always"'],
        ['"Well,"\nhe said'],
    ]


def test_a_backslash_that_escapes_nothing_stays(tmp_path: Path) -> None:
    post = read(write(tmp_path, {"Shares.csv": f'{SHARES}2024-05-06 07:08:09,{UPDATE}share%3A1,"Under C:\\",,,\n'}))["Shares.csv:1"]
    assert [block.text for block in post.blocks] == ["Under C:\\"]


def test_what_merely_has_comments_is_not_an_export(tmp_path: Path) -> None:
    write(tmp_path / "blog", {"a.md": "Words of a post.", "Comments.csv": f"{COMMENTS}2024-05-06 07:08:09,{UPDATE}activity%3A1,x\n"})
    assert read(tmp_path / "blog")["a.md"].state == "kept"
    write(tmp_path / "shop", {"Comments.csv": "Customer,Stars\nx,5\n", "Articles/index.html": "<p>Buy this</p>", "a.txt": "x"})
    assert from_files(open_files(tmp_path / "shop")) is None


def test_articles_alone_are_an_export(tmp_path: Path) -> None:
    write(tmp_path, {"Articles/Articles/a.html": article("Published on 2021-02-04 05:06"), "Connections.csv": "private"})
    assert {origin: post.state for origin, post in read(tmp_path).items()} == {
        "Articles/Articles/a.html": "kept",
        "Connections.csv": "empty",
    }


def test_an_article_without_an_address_is_named_after_its_file() -> None:
    keys = [
        read_article(article("Published on 2021-02-04", link=link), "Articles/a.html").key
        for link in ("", "https://www.linkedin.com/pulse/")
    ]
    assert set(keys) == {"linkedin:Articles/a.html"}
    assert read_article(article("Not published yet"), "Articles/b.html").key == "linkedin:Articles/b.html", (
        "a draft's address means nothing"
    )


def test_what_a_comment_quotes_is_not_its_authors() -> None:
    blocks = list(comment_blocks("Jane Doe Not quite.\n> You said this\n>> and that\n\nBut this is mine.\n>50 of them, >= 3"))
    assert [(block.type, block.text) for block in blocks] == [
        ("paragraph", "Jane Doe Not quite."),
        ("quote", "You said this\nand that"),
        ("paragraph", "But this is mine.\n>50 of them, >= 3"),
    ]


def test_two_comments_in_one_second_are_two(tmp_path: Path) -> None:
    rows = "".join(f"2024-05-06 07:08:09,{UPDATE}activity%3A1,{text}\n" for text in ("First", "Second", "Second"))
    assert [post.state for post in read(write(tmp_path, {"Comments.csv": COMMENTS + rows})).values()] == ["kept", "kept", "duplicate"]


def test_numbers_tell_when_something_was_written() -> None:
    assert written_at("urn:li:activity:7345821826846990338") == datetime(2025, 7, 1, 14, 33, 22, 290000, tzinfo=UTC)
    assert written_at("urn:li:share:12") is None
    assert [moment(value) for value in (None, True, "1", -1, 1.5, 10**30, 1)] == [None] * 7


@pytest.mark.parametrize(
    "url",
    [
        "https://www.linkedin.com/posts/jane-doe_bread-activity-7345821826846990338-AbCd?utm_source=share",
        "https://www.linkedin.com/feed/update/urn:li:activity:7345821826846990338/",
        "https://de.linkedin.com/feed/update/urn%3Ali%3Aactivity%3A7345821826846990338",
    ],
)
def test_a_post_has_one_key_under_all_its_addresses(url: str) -> None:
    assert post_key(url) == "urn:li:activity:7345821826846990338"


@settings(deadline=None, max_examples=60)
@given(shares=st.binary(max_size=200), comments=st.text(max_size=200), html=st.binary(max_size=200))
def test_any_export_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, shares: bytes, comments: str, html: bytes) -> None:
    folder = tmp_path_factory.mktemp("export")
    texts = comments.encode("utf-8", errors="replace")
    write(folder, {"Shares.csv": SHARES.encode() + shares, "Comments.csv": COMMENTS.encode() + texts, "Articles/a.html": html})
    try:
        posts = collect(LinkedInExport(open_files(folder)))
    except SourceError:
        return
    assert {post.origin.partition(":")[0] for post in posts} <= {"Shares.csv", "Comments.csv", "Articles/a.html"}
    assert all(post.reason for post in posts if post.state != "kept")


def test_the_real_export_is_accounted_for_without_artifacts(test_data: Path) -> None:
    folder = test_data / "linkedin_sanand0"
    posts = read(folder)
    rows = Counter(origin.partition(":")[0] for origin in posts)
    begin = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,http", re.MULTILINE)  # counted without a CSV reader
    assert rows["Shares.csv"] == len(begin.findall((folder / "Shares.csv").read_text("utf-8"))) == 202
    assert rows["Comments.csv"] == len(begin.findall((folder / "Comments.csv").read_text("utf-8"))) == 323
    assert all(post.published_at and post.key.startswith("urn:li:") for origin, post in posts.items() if ":" in origin)
    texts = [block.text for post in posts.values() for block in post.blocks]
    assert not [text for text in texts if re.search(r'"\r?\n"|\\"', text)]
    own = {(post.kind, post.state): 0 for post in posts.values()}
    assert {("post", "kept"), ("post", "shared"), ("comment", "kept")} <= own.keys()


# -- the API

API_URL = "https://www.linkedin.com/in/jane-doe/"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def event(number: int, resource: str, method: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "resourceName": resource,
        "method": method,
        "actor": "urn:li:person:me",
        "owner": "urn:li:person:me",
        "capturedAt": ms("2026-10-10T10:00:00"),
        "processedAt": ms("2026-10-10T10:00:01"),
        **fields,
    }


def post_event(number: int, method: str, urn: str, text: str | None, **fields: Any) -> dict[str, Any]:
    content = {"specificContent": {"com.linkedin.ugc.ShareContent": {"shareCommentary": {"text": text}}}} if text is not None else {}
    return event(number, "ugcPosts", method, resourceId=urn, activity={"id": urn, **content}, **fields)


class Member:
    """LinkedIn's API for one member: snapshots by domain, as pages of rows, and a change log."""

    def __init__(self, snapshots: dict[str, list[list[dict[str, Any]]]], events: list[Any] | None = None) -> None:
        self.snapshots = snapshots
        self.events = events or []
        self.requests: list[httpx.Request] = []
        self.fails: Callable[[str, dict[str, str]], int | None] = lambda resource, query: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        parts = urlsplit(str(request.url))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        resource = parts.path.rpartition("/")[2]
        if status := self.fails(resource, query):
            return httpx.Response(status, json={"message": "no", "status": status})
        start = int(query["start"])
        if resource == "memberChangeLogs":
            return httpx.Response(200, json={"elements": self.events[start : start + 2], "paging": {"total": 0}})
        pages = self.snapshots.get(query["domain"], [])
        if start >= len(pages):
            return httpx.Response(404, json={"message": "No data found for this domain and memberId."})
        element = {"snapshotDomain": query["domain"], "snapshotData": pages[start]}
        return httpx.Response(200, json={"elements": [element], "paging": {"total": 1}})

    def source(self, pages: MemoryPages | None = None) -> LinkedInApi:
        web = Web(Limits(pause=0, tries=1), pages, transport=httpx.MockTransport(self))
        return LinkedInApi(API_URL, web, "secret-token")

    def read(self) -> dict[str, Post]:
        return {post.key: post for post in collect(self.source())}


def share_row(number: int, text: str, date: str = "2026-09-01 08:00:00") -> dict[str, str]:
    return {"Date": date, "ShareLink": f"{UPDATE}share%3A{number}", "ShareCommentary": text, "SharedUrl": ""}


def test_the_api_reads_what_the_export_reads(tmp_path: Path) -> None:
    row = share_row(1, 'One."\n""\n"Two.')
    said = {"Date": "2026-09-02 08:00:00", "Link": f"{UPDATE}activity%3A5", "Message": "Agreed."}
    member = Member({"MEMBER_SHARE_INFO": [[row], [share_row(2, ""), share_row(3, "Three.")]], "ALL_COMMENTS": [[said]]})
    posts = member.read()
    assert {key: post.state for key, post in posts.items()} == {
        "urn:li:share:1": "kept",
        "urn:li:share:2": "shared",
        "urn:li:share:3": "kept",
        "urn:li:activity:5#comment-2026-09-02 08:00:00": "kept",
    }
    csv = f'{SHARES}2026-09-01 08:00:00,{UPDATE}share%3A1,"One.""\n""""\n""Two.",,,\n'
    exported = read(write(tmp_path, {"Shares.csv": csv, "Comments.csv": f"{COMMENTS}2026-09-02 08:00:00,{UPDATE}activity%3A5,Agreed.\n"}))
    assert exported["Shares.csv:1"].content_hash == posts["urn:li:share:1"].content_hash
    assert {post.key for post in exported.values()} < posts.keys()
    assert {request.url.host for request in member.requests} == {"api.linkedin.com"}
    assert {(request.headers["authorization"], request.headers["linkedin-version"]) for request in member.requests} == {
        ("Bearer secret-token", "202312")
    }


def test_the_change_log_creates_edits_and_deletes() -> None:
    member = Member(
        {"MEMBER_SHARE_INFO": [[share_row(1, "Old words."), share_row(2, "To be deleted."), share_row(3, "Untouched.")]]},
        [
            post_event(1, "CREATE", "urn:li:share:9", "Brand new."),
            post_event(2, "UPDATE", "urn:li:share:1", "New words."),
            post_event(3, "DELETE", "urn:li:share:2", None),
            post_event(4, "PARTIAL_UPDATE", "urn:li:share:3", None),
            post_event(5, "DELETE", "urn:li:ugcPost:77", None),
            post_event(6, "CREATE", "urn:li:share:10", "It failed.", activityStatus="FAILURE"),
            post_event(7, "CREATE", "urn:li:share:11", "Somebody else's.", actor="urn:li:person:other"),
            event(8, "socialActions/likes", "CREATE", activity={"object": "urn:li:share:1"}),
            event(9, "messages", "CREATE", activity={"content": {"text": "A private message"}}),
            event(10, "instantReposts", "CREATE", activity={"repostedContent": {"share": "urn:li:share:555"}}),
            post_event(11, "PARTIAL_UPDATE", "urn:li:share:12", None),
        ],
    )
    posts = member.read()
    assert {key: post.state for key, post in posts.items()} == {
        "urn:li:share:1": "kept",
        "urn:li:share:2": "deleted",
        "urn:li:share:3": "kept",
        "urn:li:share:9": "kept",
        "urn:li:ugcPost:77": "deleted",
        "linkedin:change log:7": "foreign",
        "linkedin:change log:10": "shared",
        "urn:li:share:12": "unreadable",
    }
    edited = posts["urn:li:share:1"]
    assert [block.text for block in edited.blocks] == ["New words."]
    assert (edited.edited_at, edited.published_at) == (datetime(2026, 10, 10, 10, tzinfo=UTC), datetime(2026, 9, 1, 8, tzinfo=UTC))
    assert posts["urn:li:share:3"].blocks[0].text == "Untouched."
    for post in posts.values():
        if post.state in ("deleted", "foreign", "unreadable", "shared"):
            assert (post.blocks, post.title) == ((), None)
            assert post.reason
    assert not any(word in repr(posts) for word in ("private message", "Somebody", "To be deleted"))


def comment_event(number: int, method: str, written: str, text: str | None, **fields: Any) -> dict[str, Any]:
    activity: dict[str, Any] = {"id": "700", "object": "urn:li:ugcPost:5", "created": {"time": ms(written)}}
    activity |= {"message": {"text": text}} if text is not None else {}
    uri = "/socialActions/urn:li:ugcPost:5/comments/700"
    return event(number, "socialActions/comments", method, activity=activity, resourceUri=uri, **fields)


def test_comments_of_the_change_log_are_those_of_the_snapshot() -> None:
    rows = [
        {"Date": "2026-10-01 08:00:00", "Link": f"{UPDATE}activity%3A5", "Message": "Old remark."},
        {"Date": "2026-10-02 08:00:00", "Link": f"{UPDATE}activity%3A6", "Message": "A remark to be deleted."},
    ]
    events = [
        comment_event(1, "UPDATE", "2026-10-01T08:00:01", "New remark."),
        comment_event(2, "DELETE", "2026-10-02T07:59:59", None) | {"resourceUri": "/socialActions/urn:li:activity:6/comments/701"},
        comment_event(3, "CREATE", "2026-10-03T08:00:00", "Brand new.\n> quoted", capturedAt=ms("2026-10-03T08:00:01")),
    ]
    for number, item in enumerate(events):
        item["activity"]["id"] = str(700 + number)
    posts = Member({"ALL_COMMENTS": [rows]}, events).read()
    assert {key: post.state for key, post in posts.items()} == {
        "urn:li:activity:5#comment-2026-10-01 08:00:00": "kept",
        "urn:li:activity:6#comment-2026-10-02 08:00:00": "deleted",
        "urn:li:ugcPost:5#comment-2026-10-03 08:00:01": "kept",
    }
    first, _, last = posts.values()
    assert first.blocks[0].text == "New remark." and first.edited_at
    assert [block.type for block in last.blocks] == ["paragraph", "quote"]


def test_a_comment_that_was_written_and_deleted_within_the_log_is_deleted() -> None:
    deleted = event(2, "socialActions/comments", "DELETE", resourceUri="/socialActions/urn:li:ugcPost:5/comments/700", activity={})
    posts = Member({}, [comment_event(1, "CREATE", "2026-10-03T08:00:00", "Hasty words."), deleted]).read()
    assert [(post.state, post.blocks) for post in posts.values()] == [("deleted", ())]


def test_the_change_log_is_not_kept_since_it_holds_messages() -> None:
    stored: dict[str, Any] = {}

    class Pages(MemoryPages):
        def save(self, url: str, response: Any) -> None:
            stored[url] = response
            super().save(url, response)

    member = Member({"MEMBER_SHARE_INFO": [[share_row(1, "Words.")]]}, [event(1, "messages", "CREATE", activity={"text": "private"})])
    list(member.source(Pages()).read())
    assert [urlsplit(url).path for url in stored] == ["/rest/memberSnapshotData"]


def test_a_snapshot_that_breaks_off_deletes_nothing() -> None:
    member = Member({"MEMBER_SHARE_INFO": [[share_row(1, "Words.")]], "ALL_COMMENTS": [[{"Date": "x"}]]})
    member.fails = lambda resource, query: 500 if query.get("domain") == "ALL_COMMENTS" else None
    source = member.source()
    assert [post.key for post in source.read()] == ["urn:li:share:1"]
    assert "500" in source.truncated


def test_without_the_change_log_nothing_is_read_since_what_was_deleted_would_come_back() -> None:
    member = Member({"MEMBER_SHARE_INFO": [[share_row(1, "Words.")]]})
    member.fails = lambda resource, query: 500 if resource == "memberChangeLogs" else None
    with pytest.raises(SourceError, match="500"):
        list(member.source().read())


@pytest.mark.parametrize(("status", "outcome", "said"), [(401, "needs_login", "TWIN_LINKEDIN_TOKEN"), (403, "forbidden", "consented")])
def test_a_token_that_is_not_taken_is_named_and_never_shown(status: int, outcome: str, said: str) -> None:
    member = Member({})
    member.fails = lambda resource, query: status
    with pytest.raises(SourceError, match=said) as failed:
        list(member.source().read())
    assert failed.value.outcome == outcome
    assert "secret-token" not in str(failed.value)


def test_no_data_at_all_is_not_an_empty_source() -> None:
    with pytest.raises(SourceError, match="up to a day"):
        list(Member({}).source().read())


def test_a_page_that_repeats_itself_ends_the_snapshot() -> None:
    pages = [[share_row(1, "Words.")]] * 50
    assert list(Member({"MEMBER_SHARE_INFO": pages}).read()) == ["urn:li:share:1"]


def test_articles_of_the_api() -> None:
    rows = [
        {
            "Title": "On bread",
            "Link": "https://www.linkedin.com/pulse/on-bread",
            "Content": "<p>Time.</p>",
            "Published Date": "2024-01-02 03:04:05",
        },
        {"Title": "No text", "Link": "https://www.linkedin.com/pulse/no-text", "Published Date": "2024-01-02"},
        {"Title": "Unfinished", "Content": "Words."},
    ]
    posts = list(Member({"ARTICLES": [rows]}).read().values())
    assert [(post.state, post.kind) for post in posts] == [("kept", "article"), ("partial", "article"), ("draft", "article")]
    assert (posts[0].key, posts[0].title) == ("https://www.linkedin.com/pulse/on-bread", "On bread")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ("Date", "ShareLink", "ShareCommentary", "Link", "Message", "Title", "Content")


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)), max_size=3),
    events=st.lists(
        JSON
        | st.fixed_dictionaries(
            {"resourceName": st.sampled_from(["ugcPosts", "socialActions/comments", "instantReposts"])},
            optional={
                "method": st.sampled_from(["CREATE", "UPDATE", "DELETE"]) | JSON,
                "resourceId": st.just("urn:li:share:1") | JSON,
                "resourceUri": JSON,
                "capturedAt": st.integers() | JSON,
                "activity": JSON
                | st.fixed_dictionaries({"id": JSON, "object": st.just("urn:li:share:1"), "message": JSON, "created": JSON}),
            },
        ),
        max_size=4,
    ),
    answer=st.none() | JSON,
)
def test_any_answer_of_the_api_is_read_or_refused(rows: list[Any], events: list[Any], answer: Any) -> None:
    member = Member({domain: [rows] for domain in ("MEMBER_SHARE_INFO", "ALL_COMMENTS", "ARTICLES")}, events)
    handler: Any = member
    if answer is not None:
        handler = lambda request: httpx.Response(200, content=json.dumps(answer))  # noqa: E731
    source = LinkedInApi(API_URL, Web(Limits(pause=0, tries=1), transport=httpx.MockTransport(handler)), "t")
    try:
        posts = collect(source)
    except SourceError:
        return
    assert all(post.reason for post in posts if post.state != "kept")


# -- which way


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data home of its own, without token and session."""
    monkeypatch.setenv("TWIN_HOME", str(tmp_path))
    monkeypatch.delenv("TWIN_LINKEDIN_TOKEN", raising=False)
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


def address(url: str) -> Address:
    return Address(url, Web())


def test_a_token_comes_before_a_session(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, {"sessions/linkedin.json": "{}"})
    assert isinstance(from_address(address("https://www.linkedin.com/in/jane-doe")), LinkedInActivity)
    monkeypatch.setenv("TWIN_LINKEDIN_TOKEN", "t")
    get_settings.cache_clear()
    assert isinstance(from_address(address("https://www.linkedin.com/in/jane-doe")), LinkedInApi)


def test_with_neither_the_three_ways_are_told(home: Path) -> None:
    with pytest.raises(SourceError, match=r"export.*TWIN_LINKEDIN_TOKEN.*twin login linkedin") as failed:
        from_address(address("https://de.linkedin.com/in/jane-doe/"))
    assert failed.value.outcome == "needs_login"


@pytest.mark.parametrize(
    "url",
    ["https://www.linkedin.com/pulse/x", "https://example.com/in/jane", "https://notlinkedin.com/in/jane", "https://www.linkedin.com/in/"],
)
def test_other_addresses_are_not_its(home: Path, url: str) -> None:
    assert from_address(address(url)) is None


# -- the page of one's own activity

ACTIVITY = 7345821826846990338


def card(number: int, text: str, *, actor: str = "/in/jane-doe?x=1", header: str = "", nested: str = "") -> str:
    shown = f"<div class='update-components-text'><span><span dir='ltr'>{text}</span></span></div>" if text else ""
    return (
        f"<div class='feed-shared-update-v2' data-urn='urn:li:activity:{ACTIVITY + number}'>{header}"
        f"<div class='update-components-actor'><a href='https://www.linkedin.com{actor}'>Somebody</a></div>{shown}{nested}"
        "<div class='comments-comments-list'><a href='/in/other'>O</a><div class='update-components-text'>A comment of another</div></div></div>"
    )


def new_card(key: str, text: str, *, people: str = "<a href='/in/Jane-Doe'>Jane</a>", urn: str = "") -> str:
    return (
        f"<div role='listitem' componentkey='update-card-focus{key}FeedType_X'><button>Menu</button>{people}"
        f"<p><span data-testid='expandable-text-box'>{text}<span>… more</span></span></p><i data-testid='ReactionFacepileCollection-{urn}'></i></div>"
    )


def test_the_page_of_ones_own_activity() -> None:
    repost = "<div class='update-components-header'><a href='/in/jane-doe'>Jane reposted this</a></div>"
    embedded = (
        "<div class='feed-shared-update-v2__update-content-wrapper'><a href='/in/other'>O</a>"
        "<div class='update-components-text'>The words of another</div></div>"
    )
    tag = "<a href='/feed/hashtag/x'><span class='visually-hidden'>hashtag</span>#bread</a>"
    cards = [
        card(0, f"First line<br>second line<br><br>Third {tag} &amp; <a href='/in/friend'>A Friend</a>"),
        card(1, "Written by another", actor="/in/other", header=repost),
        card(2, "My view of it", nested=embedded),
        card(3, "An advertisement", actor="/company/shop"),
        card(4, ""),
        card(5, "", actor="/in/other", header=repost, nested=embedded),
        card(6, "https://example.com/a"),
    ]
    posts = read_activity(f"<html><body><main>{''.join(cards)}</main></body></html>", "jane-doe")
    assert [post.state for post in posts] == ["kept", "shared", "kept", "foreign", "kept", "shared", "shared"]
    assert [block.text for block in posts[0].blocks] == ["First line\nsecond line", "Third #bread & A Friend"]
    assert [block.text for block in posts[2].blocks] == ["My view of it"]
    assert all(post.blocks == () for post in posts if post.state != "kept")
    assert posts[0].key == f"urn:li:activity:{ACTIVITY}" == post_key(str(posts[0].url))
    assert posts[0].published_at == datetime(2025, 7, 1, 14, 33, 22, 290000, tzinfo=UTC)
    assert not any("another" in repr(post.blocks) for post in posts)


def test_the_new_layout_of_the_page() -> None:
    both = "<a href='/in/jane-doe'>Jane reposted this</a><a href='/in/other'>O</a>"
    cards = [
        new_card("a", "My words<br>go on", urn=f"urn:li:activity:{ACTIVITY}"),
        new_card("b", "Nameless words"),
        new_card("c", "Of another", people=both),
        new_card("d", "Of nobody", people=""),
    ]
    posts = read_activity(f"<main>{''.join(cards)}</main>", "jane-doe")
    assert [post.state for post in posts] == ["kept", "kept", "shared", "unreadable"]
    assert [block.text for post in posts[:2] for block in post.blocks] == ["My words\ngo on", "Nameless words"]
    assert posts[0].key == f"urn:li:activity:{ACTIVITY}"
    assert posts[1].key.startswith("linkedin:jane-doe:")
    again = read_activity(new_card("other-key", "Nameless words"), "jane-doe")
    assert again[0].key == posts[1].key, "where LinkedIn names no post its words do"


@pytest.mark.parametrize(
    ("html", "outcome"),
    [
        ("<form action='/checkpoint/lg/login-submit'><input name='session_password'></form>", "needs_login"),
        ("<main>New look</main>", "malformed"),
    ],
)
def test_a_page_without_posts_is_an_error(html: str, outcome: str) -> None:
    with pytest.raises(SourceError) as failed:
        read_activity(html, "jane-doe")
    assert failed.value.outcome == outcome


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            [
                "<div class='feed-shared-update-v2'>",
                "</div>",
                "<a href='/in/a'>",
                "<p>",
                "<button>",
                "words",
                "<div class='update-components-text'>",
            ]
        )
        | st.text(max_size=9)
    )
)
def test_any_page_of_activity_is_read_or_refused(parts: list[str]) -> None:
    try:
        posts = read_activity("".join(parts), "a")
    except SourceError:
        return
    assert all(post.reason for post in posts if post.state != "kept")


def synced(location: Path) -> LinkedInExport:
    source = open_source(str(location), Web())
    assert isinstance(source, LinkedInExport)
    assert list(source.read())
    return source


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"Comments.csv": COMMENTS}, "no Shares.csv,"),
        ({"Shares.csv": SHARES}, "no Comments.csv,"),
        ({"Articles/a.html": article("Published on 2021-02-03 04:05")}, "no Shares.csv and no Comments.csv,"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_part_of_an_export_deletes_nothing(tmp_path: Path, files: dict[str, str], missing: str, packed: bool) -> None:
    location = write(tmp_path / "export", {**files, "Connections.csv": "x"})
    if packed:
        location = tmp_path / "Basic_LinkedInDataExport.zip"
        with zipfile.ZipFile(location, "w") as archive:
            for name, content in {**files, "Connections.csv": "x"}.items():
                archive.writestr(name, content)
    source = synced(location)
    assert missing in source.truncated
    assert not any("Connections" in name for name in source.files.opened)


def test_a_whole_export_and_a_table_alone_are_complete(tmp_path: Path) -> None:
    row = "2024-05-06 07:08:09,,Bread needs time.\n"
    write(tmp_path, {"Shares.csv": SHARES + row, "Comments.csv": COMMENTS + row})
    assert not synced(tmp_path).truncated
    assert not synced(tmp_path / "Comments.csv").truncated
    assert not synced(tmp_path / "Shares.csv").truncated


@pytest.mark.parametrize(("name", "header"), [("Shares.csv", SHARES), ("Comments.csv", COMMENTS)])
def test_a_row_without_a_link_keeps_its_key_when_the_next_export_has_more_rows(tmp_path: Path, name: str, header: str) -> None:
    old, new = "2024-05-06 07:08:09,,Bread needs time.\n", "2024-06-07 08:09:10,,So does dough.\n2024-05-06 07:08:09,,Other words.\n"
    path = write(tmp_path, {name: header + old}) / name
    (before,) = synced(path).read()
    path.write_text(header + new + old, "utf-8")
    after = [post.key for post in synced(path).read()]
    assert after[2] == before.key
    assert len(set(after)) == 3
