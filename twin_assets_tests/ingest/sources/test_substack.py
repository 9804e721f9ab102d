import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import select

from twin_assets.ingest.collect import Rules, collect
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import Folder, open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address, Source
from twin_assets.ingest.sources import substack, substack_notes, substack_web
from twin_assets.ingest.sources.substack_web import read_post
from twin_assets.ingest.sync import sync_source
from twin_assets.ingest.web import Limits, MemoryPages, Web
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

UI = re.compile(
    r"Subscribe|Sign up|Leave a comment|Share this post|Thanks for reading|Download|Refer a friend|Read more$|Restack|View image", re.I
)
HEADER = "post_id,post_date,is_published,email_sent_at,inbox_sent_at,type,audience,title,subtitle,podcast_url\n"
JANE = "https://jane.substack.com"
OWN = "https://www.jane.example"

WEBS: list[Web] = []

Answer = str | bytes | int | list[Any] | dict[str, Any] | Callable[[httpx.Request], httpx.Response]


def export(folder: Path, rows: list[str], **pages: str) -> Path:
    (folder / "posts").mkdir(exist_ok=True, parents=True)
    (folder / "posts.csv").write_text(HEADER + "\n".join(rows))
    for name, content in pages.items():
        (folder / "posts" / f"{name.replace('_', '.')}.html").write_text(content)
    return folder


def row(id: str, *, published: str = "true", type: str = "newsletter", audience: str = "everyone", title: str = "") -> str:
    return f"{id},2024-01-01T00:00:00.000Z,{published},,,{type},{audience},{title or id},,"


def read_export(folder: Path) -> dict[str, Post]:
    source = substack.from_files(open_files(folder))
    assert source is not None
    return {post.origin: post for post in collect(source)}


def shape(post: Post) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in post.blocks]


class Site:
    """Answers by address, and remembers what was asked with which cookie."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.cookies: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url.copy_with(fragment=None))
        self.asked.append(url)
        if "cookie" in request.headers:
            self.cookies[url] = request.headers["cookie"]
        answer = self.answers.get(url, 404)
        if isinstance(answer, int):
            return httpx.Response(answer)
        if isinstance(answer, list | dict):
            return httpx.Response(200, json=answer)
        return answer(request) if callable(answer) else httpx.Response(200, content=answer)

    def web(self, pages: MemoryPages | None = None, since: datetime | None = None) -> Web:
        web = Web(Limits(pause=0, tries=1), pages, since=since, transport=httpx.MockTransport(self), sleep=lambda _: None)
        WEBS.append(web)
        return web


def archive(offset: int = 0, *, base: str = JANE) -> str:
    return f"{base}/api/v1/archive?sort=new&search=&offset={offset}&limit=12"


def api(slug: str, *, base: str = JANE) -> str:
    return f"{base}/api/v1/posts/{slug}"


def person(name: str = "Jane Doe", *, guest: bool = False) -> dict[str, Any]:
    publication = {"id": 7, "subdomain": "jane", "custom_domain": "www.jane.example"}
    return {"id": 1, "name": name, "is_guest": guest, "publicationUsers": [{"publication": publication}]}


def post(id: int, **fields: Any) -> dict[str, Any]:
    words = f"<p>Eight words of the post with number {id}.</p>"
    made = {"id": id, "slug": f"s{id}", "type": "newsletter", "audience": "everyone", "title": f"T{id}", "body_html": words, "wordcount": 8}
    made |= {
        "canonical_url": f"{JANE}/p/s{id}",
        "post_date": f"2024-01-{id % 28 + 1:02}T10:00:00.000Z",
        "updated_at": "2024-03-01T00:00:00Z",
    }
    return made | {"publishedBylines": [person()], "publication_id": 7, "restacked_post_id": None} | fields


def listed(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"body_html": None, "updated_at": None}


def publication(*posts: dict[str, Any], base: str = JANE) -> dict[str, Answer]:
    pages: dict[str, Answer] = {archive(n, base=base): [listed(item) for item in posts[n : n + 12]] for n in range(0, len(posts), 12)}
    return pages | {archive(len(posts), base=base): []} | {api(item["slug"], base=base): item for item in posts}


def source_at(address: str, site: Site, **options: Any) -> Source:
    web = site.web(**options)
    for module in (substack, substack_notes, substack_web):
        if source := module.from_address(Address(address, web)):
            return source
    raise AssertionError(f"nothing reads {address}")


@pytest.fixture
def cookie(monkeypatch: pytest.MonkeyPatch) -> str:
    own = Settings(substack_cookie=SecretStr("substack.sid=s%3Asecret"))  # pyright: ignore[reportCallIssue]
    monkeypatch.setattr(substack_web, "get_settings", lambda: own)
    return "substack.sid=s%3Asecret; connect.sid=s%3Asecret"


@pytest.fixture(autouse=True)
def closed_webs() -> Iterator[None]:
    yield
    while WEBS:
        WEBS.pop().close()


@pytest.fixture(autouse=True)
def no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(substack_web, "get_settings", lambda: Settings(substack_cookie=None))  # pyright: ignore[reportCallIssue]


# The export


def test_every_row_of_an_export_is_in_one_state(tmp_path: Path) -> None:
    rows = [
        row("1.a"),
        row("2.b", published="FALSE"),
        row("3.c", type="thread"),
        row("4.d", type="podcast"),
        row("5.e", audience="only_paid"),
    ]
    rows += [row("6.f", type="page"), row("7.g"), row("../secret"), row("8.h", title="&#x201C;Quoted&#x201D;"), row("")]
    pages = {f"{n}_{slug}": f"<p>Words of {slug}.</p>" for n, slug in enumerate("abcdef", 1)}
    posts = read_export(export(tmp_path, rows, **pages, **{"8_h": "<p>Last words.</p>"}))
    states = ["kept", "draft", "kept", "kept", "kept", "empty", "partial", "partial", "kept", "partial"]
    assert {f"posts.csv:{n}": state for n, state in enumerate(states, 1)} == {name: post.state for name, post in posts.items()}
    assert all(post.reason for post in posts.values() if post.state != "kept")
    assert posts["posts.csv:9"].title == "“Quoted”"
    assert (posts["posts.csv:1"].key, posts["posts.csv:1"].known_everywhere) == ("substack:1", True)
    assert not posts["posts.csv:10"].known_everywhere
    assert posts["posts.csv:1"].published_at == datetime(2024, 1, 1, tzinfo=UTC)


def test_lists_of_readers_are_accounted_for_and_never_opened(tmp_path: Path) -> None:
    export(tmp_path, [row("1.a")], **{"1_a": "<p>Words.</p>"})
    private = ["posts/1.a.opens.csv", "posts/1.a.delivers.csv", "email_list.jane.csv", "email_list.csv", "subscribers.csv"]
    for name in private:
        (tmp_path / name).write_text("reader@reader.example")
    files = Folder(tmp_path)
    source = substack.from_files(files)
    assert source is not None
    posts = {post.origin: post for post in collect(source)}
    assert posts.keys() == {"posts.csv:1", *private}
    assert files.opened == {"posts.csv", "posts/1.a.html"}
    assert all(posts[name].state == "empty" and not posts[name].blocks for name in private)


def test_an_export_as_it_comes_in_its_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as file:
        file.writestr("export/posts.csv", "\ufeff" + HEADER + row("1.a"))
        file.writestr("export/posts/1.a.html", "<p>Words.</p>")
    assert [post.state for post in read_export(tmp_path / "e.zip").values()] == ["kept"]


def test_an_export_without_a_column_says_which(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("post_id,title\n1,x\n")
    with pytest.raises(SourceError, match="lacks the columns post_date"):
        read_export(tmp_path)


def test_a_damaged_export_is_not_taken_for_a_folder_of_pages(tmp_path: Path) -> None:
    export(tmp_path, [], **{"1_a": "<p>Words.</p>"})
    (tmp_path / "posts.csv").write_bytes(b"post_id\xff\x00")
    with pytest.raises(SourceError, match="Download the export again"):
        read_export(tmp_path)


def test_a_blog_with_a_table_of_its_own_is_none_of_substacks(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("name,likes\nx,1\n")
    (tmp_path / "a.md").write_text("x")
    assert substack.from_files(Folder(tmp_path)) is None


def test_what_the_editor_adds_is_no_text_and_what_others_said_is_quoted() -> None:
    html = (
        "<p>It’s mine.</p>"
        '<div class="subscription-widget-wrap-editor"><p>Thanks for reading! Subscribe for free.</p><form><input></form></div>'
        '<p class="button-wrapper"><a class="button primary" href="x"><span>Share this post</span></a></p>'
        '<div class="file-embed-wrapper"><div>Notes.pdf</div><div>1MB ∙ PDF file</div><a><span>Download</span></a></div>'
        '<div class="embedded-post-wrap"><p>Read more</p></div><div class="twitter-embed"><p>A tweet of theirs</p></div>'
        '<blockquote><p>Theirs.</p></blockquote><div class="pullquote"><p>Said once more.</p></div>'
        '<pre><code class="language-python">x = 1</code></pre>'
        '<div class="footnote"><a class="footnote-number">1</a><div class="footnote-content"><p>My footnote.</p></div></div>'
    )
    blocks = substack_web.body_blocks(html)
    assert [(block.type, block.text) for block in blocks] == [
        ("paragraph", "It’s mine."),
        ("quote", "Theirs."),
        ("quote", "Said once more."),
        ("code", "x = 1"),
        ("paragraph", "My footnote."),
    ]


# The web


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("https://jane.substack.com", archive()),
        ("https://jane.substack.com/", archive()),
        ("https://jane.substack.com/archive?sort=new", archive()),
        ("https://jane.substack.com/feed", archive()),
        ("https://jane.substack.com/about", archive()),
        ("https://jane.substack.com/p/s1?r=abc", api("s1")),
        ("https://jane.substack.com/p/s1/comments", api("s1")),
        ("https://open.substack.com/pub/jane", archive()),
        ("https://open.substack.com/pub/jane/p/s1?r=1", api("s1")),
        ("https://substack.com/home/post/p-12", "https://substack.com/api/v1/posts/by-id/12"),
        ("https://substack.com/@jane/p-12", "https://substack.com/api/v1/posts/by-id/12"),
        ("https://substack.com/inbox/post/12", "https://substack.com/api/v1/posts/by-id/12"),
        ("https://substack.com/@jane", "https://substack.com/api/v1/user/jane/public_profile"),
        ("https://substack.com/@jane/notes", "https://substack.com/api/v1/user/jane/public_profile"),
        ("https://jane.substack.com/notes", "https://jane.substack.com/api/v1/notes"),
    ],
)
def test_addresses(address: str, read: str) -> None:
    site = Site(dict.fromkeys([read], 503))
    with pytest.raises(FetchError):
        list(source_at(address, site).read())
    assert next(url for url in site.asked if not url.endswith("/robots.txt")) == read


@pytest.mark.parametrize(
    "address", ["https://substack.com", "https://notsubstack.com/p/x", "https://support.substack.com/hc", "https://a.example"]
)
def test_addresses_that_no_name_gives_away(address: str) -> None:
    address_ = Address(address, Web(transport=httpx.MockTransport(lambda _: pytest.fail("nothing is asked"))))
    assert substack.from_address(address_) is None
    assert substack_notes.from_address(address_) is None


def test_a_publication_is_read_to_its_end() -> None:
    posts = [post(n) for n in range(1, 31)]
    site = Site(publication(*posts))
    source = source_at(JANE, site)
    read = collect(source)
    assert [post.key for post in read] == [f"substack:{n}" for n in range(1, 31)]
    assert {post.state for post in read} == {"kept"}
    assert (source.coverage, source.truncated) == ("listing", "")
    first = read[0]
    assert (first.title, first.url, first.bylines) == ("T1", f"{JANE}/p/s1", ("Jane Doe",))
    assert first.published_at == datetime(2024, 1, 2, 10, tzinfo=UTC)
    assert first.edited_at == datetime(2024, 3, 1, tzinfo=UTC)


def test_the_export_and_the_api_say_the_same_of_a_post(tmp_path: Path) -> None:
    body = "<p>Eight words of the post with number 12.</p>"
    exported = read_export(export(tmp_path, [row("12.s12", title="T12")], **{"12_s12": body}))["posts.csv:1"]
    [read] = collect(source_at(f"{JANE}/p/s12", Site(publication(post(12)))))
    [by_id] = collect(
        source_at("https://substack.com/@jane/p-12", Site({"https://substack.com/api/v1/posts/by-id/12": {"post": post(12)}}))
    )
    assert exported.key == read.key == by_id.key == "substack:12"
    assert exported.blocks == read.blocks == by_id.blocks


def test_the_export_completes_a_paid_post_and_the_web_does_not_undo_it(tmp_path: Path, database: Database) -> None:
    preview = post(12, audience="only_paid", wordcount=900)
    export(tmp_path, [row("12.s12", audience="only_paid")], **{"12_s12": "<p>All the words that were paid for.</p>"})
    exported = substack.from_files(open_files(tmp_path))
    assert exported is not None
    states = []
    for source in (source_at(JANE, Site(publication(preview))), exported, source_at(JANE, Site(publication(preview)))):
        sync_source(database, "jane", source)
        with database.begin() as connection:
            [found] = connection.execute(select(raw_posts.c.state, raw_posts.c.words))
            states.append(tuple(found))
    assert states == [("partial", 8), ("kept", 7), ("kept", 7)]


def test_a_post_published_while_the_archive_is_read_is_not_read_twice() -> None:
    posts = [post(n) for n in range(1, 13)]
    answers = publication(*posts) | {archive(12): [listed(posts[11]), listed(post(13))], archive(14): []}
    read = collect(source_at(JANE, Site(answers | {api("s13"): post(13)})))
    assert [post.key for post in read] == [f"substack:{n}" for n in range(1, 14)]


def test_an_archive_that_repeats_itself_ends() -> None:
    posts = [post(n) for n in range(1, 13)]
    answers = publication(*posts) | {archive(12): [listed(post) for post in posts]}
    source = source_at(JANE, Site(answers))
    assert len(collect(source)) == 12
    assert "repeats itself" in source.truncated


def test_an_archive_that_breaks_off_is_truncated_and_none_that_answers_is_an_error() -> None:
    posts = [post(n) for n in range(1, 13)]
    source = source_at(JANE, Site(publication(*posts) | {archive(12): 503}))
    assert len(collect(source)) == 12
    assert "503" in source.truncated
    with pytest.raises(FetchError):
        collect(source_at(JANE, Site({archive(): 503})))


def test_a_post_that_cannot_be_read_is_unreadable_and_the_others_are_read() -> None:
    source = source_at(JANE, Site(publication(post(1), post(2), post(3)) | {api("s2"): 404}))
    read = collect(source)
    assert [(post.key, post.state) for post in read] == [("substack:1", "kept"), ("substack:2", "unreadable"), ("substack:3", "kept")]
    assert "404" in read[1].reason
    assert source.truncated == ""


def test_a_limit_in_the_midst_ends_reading() -> None:
    source = source_at(JANE, Site(publication(post(1), post(2), post(3)) | {api("s2"): 429}))
    assert [post.key for post in collect(source)] == ["substack:1"]
    assert "429" in source.truncated


def test_paid_posts_are_partial_without_a_cookie() -> None:
    preview = post(1, audience="only_paid", wordcount=900)
    nothing = post(2, audience="only_paid", wordcount=900, body_html=None)
    short = post(3, audience="only_paid", wordcount=8)
    read = collect(source_at(JANE, Site(publication(preview, nothing, short))))
    assert [post.state for post in read] == ["partial"] * 3
    assert read[0].reason == "for paying readers: 8 of 900 words are free, the export holds them all"


def test_a_post_that_came_short_is_partial() -> None:
    read = collect(source_at(JANE, Site(publication(post(1, wordcount=100), post(2, body_html=None), post(3, wordcount="many")))))
    assert [post.state for post in read] == ["partial", "partial", "kept"]


def whole_for(cookie: str, item: dict[str, Any], preview: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(200, json=item if request.headers.get("cookie") == cookie else preview)


def test_own_paid_posts_are_read_with_the_cookie(no_cookie: None, cookie: str) -> None:
    whole = post(1, audience="only_paid", wordcount=8)
    preview = whole | {"body_html": "<p>Two words.</p>"}
    site = Site(publication(preview, post(2)) | {api("s1"): whole_for(cookie, whole, preview)})
    read = collect(source_at(JANE, site))
    assert [(post.state, post.words) for post in read] == [("kept", 8), ("kept", 8)]
    assert set(site.cookies.values()) == {cookie}
    assert {urlsplit(url).path for url in site.cookies} == {"/api/v1/posts/s1"}  # only where it is needed


@pytest.mark.parametrize("answer", [httpx.Response(401), httpx.Response(200, content="<html>"), httpx.Response(200, json={})])
def test_a_cookie_that_no_longer_works_leaves_the_post_partial(no_cookie: None, cookie: str, answer: httpx.Response) -> None:
    preview = post(1, audience="only_paid", wordcount=900)
    site = Site(publication(preview))
    site.answers[api("s1")] = lambda request: answer if "cookie" in request.headers else httpx.Response(200, json=preview)
    assert [post.state for post in collect(source_at(JANE, site))] == ["partial"]
    assert len(site.cookies) == 1


def redirect() -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(301, headers={"Location": f"{OWN}{request.url.raw_path.decode()}"})


FRONT = '<html><head><script src="https://substackcdn.com/bundle/assets/main.js"></script></head><body></body></html>'


def test_the_cookie_goes_to_the_publications_own_domain_when_substack_leads_there(no_cookie: None, cookie: str) -> None:
    whole = post(1, audience="only_paid", canonical_url=f"{OWN}/p/s1")
    preview = whole | {"body_html": "<p>Two words.</p>"}
    for address in (JANE, OWN):
        site = Site(publication(preview, base=OWN) | {f"{OWN}/": FRONT, OWN: FRONT, api("s1", base=OWN): whole_for(cookie, whole, preview)})
        site.answers |= {archive(): redirect(), f"{JANE}/api/v1/archive?sort=new&search=&offset=0&limit=1": redirect()}
        site.answers |= {f"{OWN}/api/v1/archive?sort=new&search=&offset=0&limit=1": []}
        assert [post.state for post in collect(source_at(address, site))] == ["kept"]
        assert {urlsplit(url).hostname for url in site.cookies} == {"www.jane.example"}


def test_the_cookie_never_goes_to_a_site_that_only_claims_to_be_substacks(no_cookie: None, cookie: str) -> None:
    paid = post(1, audience="only_paid", wordcount=900)
    claims = [person(), {"publicationUsers": [{"publication": {"id": 7, "subdomain": "evil.example/x?"}}]}, {"publicationUsers": 1}]
    for claim in claims:
        evil = "https://evil.example"
        site = Site(publication(paid | {"publishedBylines": [claim]}, base=evil) | {evil: FRONT})
        site.answers[f"{JANE}/api/v1/archive?sort=new&search=&offset=0&limit=1"] = []  # Substack leads nowhere else
        assert [post.state for post in collect(source_at(evil, site))] == ["partial"]
        assert site.cookies == {}
    plain = Site(publication(paid, base="http://jane.substack.com") | {api("s1"): paid})
    assert [post.state for post in collect(substack_web.SubstackPublication("x", "http://jane.substack.com", plain.web()))] == ["partial"]
    assert plain.cookies == {}


def test_the_cookie_is_not_carried_along_a_redirect(no_cookie: None, cookie: str) -> None:
    paid = post(1, audience="only_paid", wordcount=900)

    def answer(request: httpx.Request) -> httpx.Response:
        away = "cookie" in request.headers
        return httpx.Response(302, headers={"Location": "https://evil.example/x"}) if away else httpx.Response(200, json=paid)

    site = Site(publication(paid) | {api("s1"): answer, "https://evil.example/x": paid})
    collect(source_at(JANE, site))
    assert "https://evil.example/x" in site.asked
    assert {urlsplit(url).hostname for url in site.cookies} == {"jane.substack.com"}


def test_a_domain_of_its_own_is_known_by_its_pages_and_its_feed() -> None:
    feed = "<?xml version='1.0'?><rss version='2.0'><channel><generator>Substack</generator></channel></rss>"
    posts = publication(post(1, canonical_url=f"{OWN}/p/s1"), base=OWN)
    for address, answer in {f"{OWN}/archive": FRONT, f"{OWN}/feed": feed, f"{OWN}/p/s1": FRONT}.items():
        [read] = collect(source_at(address, Site(posts | {address: answer})))
        assert (read.key, read.url, read.state) == ("substack:1", f"{OWN}/p/s1", "kept")
    other = '<html><img src="https://substackcdn.com/image/fetch/x.png">I moved my Substack here.</html>'
    assert substack_web.from_address(Address(OWN, Site({OWN: other}).web())) is None


def test_guests_and_co_authors_are_foreign() -> None:
    guest = post(3, publishedBylines=[person("Guest", guest=True)])
    both = post(4, publishedBylines=[person(), person("Guest", guest=True)])
    unnamed = post(5, publishedBylines=[])
    read = collect(source_at(JANE, Site(publication(post(1), post(2), guest, both, unnamed))))
    assert [post.state for post in read] == ["kept", "kept", "foreign", "foreign", "kept"]
    assert read[2].reason == "written by Guest, not by jane doe"
    named = collect(source_at(JANE, Site(publication(guest, both))), Rules(names=("Jane Doe",)))
    assert [post.reason for post in named] == ["written by Guest, not by Jane Doe", "written together with Guest"]


def test_restacks_podcasts_and_threads_are_not_asked_for() -> None:
    shared = post(1, restacked_post_id=99, restacked_pub_name="Theirs")
    site = Site(publication(shared, post(2, type="podcast"), post(3, type="thread"), post(4)))
    read = collect(source_at(JANE, site))
    assert [(post.state, bool(post.blocks)) for post in read] == [("shared", False), ("empty", False), ("empty", False), ("kept", True)]
    assert read[0].reason == "restacked from Theirs"
    assert read[1].reason == "not a written post: its type is podcast"
    assert not {api("s1"), api("s2"), api("s3")} & set(site.asked)


def test_what_the_sitemap_calls_unchanged_is_not_asked_for_again() -> None:
    day = datetime.now(UTC).date()
    site = Site(publication(post(1), post(2), post(3, audience="only_paid")))
    entries = [(1, day - timedelta(days=400)), (2, day), (3, day - timedelta(days=400))]
    urls = "".join(f"<url><loc>{JANE}/p/s{n}</loc><lastmod>{changed}</lastmod></url>" for n, changed in entries)
    site.answers[f"{JANE}/sitemap.xml"] = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'
    pages = MemoryPages()
    collect(source_at(JANE, site, pages=pages))
    site.asked.clear()
    read = collect(source_at(JANE, site, pages=pages, since=datetime.now(UTC)))
    assert [post.state for post in read] == ["kept", "kept", "partial"]
    assert [urlsplit(url).path for url in site.asked if "/posts/" in url] == ["/api/v1/posts/s2"]


def feed(*items: str) -> str:
    names = 'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    channel = f"<title>t</title><link>{JANE}</link><generator>Substack</generator>{''.join(items)}"
    return f'<?xml version="1.0"?><rss version="2.0" {names}><channel>{channel}</channel></rss>'


def item(n: int, body: str) -> str:
    return (
        f"<item><title>T{n}</title><link>{JANE}/p/s{n}</link><guid isPermaLink='false'>{JANE}/p/s{n}</guid>"
        f"<dc:creator>Jane Doe</dc:creator><content:encoded><![CDATA[{body}]]></content:encoded></item>"
    )


@pytest.mark.parametrize("refusal", [403, 404, "<html>no list</html>", {"error": "no"}])
def test_the_feed_is_read_when_the_api_is_refused(refusal: Answer) -> None:
    paragraphs = "".join(f"<p>Paragraph {n} of what is free to read.</p>" for n in range(12))
    cut = f'{paragraphs}<p>\n <a href="{JANE}/p/s2">Read more</a>\n</p>'
    site = Site({archive(): refusal, f"{JANE}/feed": feed(item(1, "<p>All the words.</p>"), item(2, cut))})
    source = source_at(JANE, site)
    read = collect(source)
    assert (source.coverage, [post.state for post in read]) == ("newest", ["kept", "partial"])
    assert read[0].key == f"{JANE}/p/s1"
    assert len(read[1].blocks) == 12
    assert {post.platform for post in read} == {"substack"}


def test_the_feed_has_the_keys_of_what_the_api_answered_before() -> None:
    pages = MemoryPages()
    collect(source_at(JANE, Site(publication(post(1))), pages=pages))
    refused = Site({archive(): 403, f"{JANE}/feed": feed(item(1, "<p>All the words.</p>"))})
    [read] = collect(source_at(JANE, refused, pages=pages, since=datetime.now(UTC)))
    assert read.key == "substack:1"


def test_neither_api_nor_feed_is_an_error() -> None:
    with pytest.raises(FetchError):
        collect(source_at(JANE, Site({archive(): 403, f"{JANE}/feed": 403})))


def preloads(item: dict[str, Any]) -> str:
    return f"<html><script>window._preloads        = JSON.parse({json.dumps(json.dumps({'post': item}))})</script></html>"


def test_the_page_of_a_post_holds_the_post_when_the_api_is_refused() -> None:
    site = Site({api("s1"): 403, f"{JANE}/p/s1": preloads(post(1, body_html='<p>It\'s "mine" — </p>', wordcount=3))})
    [read] = collect(source_at(f"{JANE}/p/s1", site))
    assert (read.key, read.state, shape(read)) == ("substack:1", "kept", [("paragraph", 'It\'s "mine" —')])


def test_a_page_without_its_json_is_read_as_a_page() -> None:
    body = "<p>These are words of the post, more than a few of them.</p>" * 5
    page = f'<link rel=canonical href="{JANE}/p/s1"><h1>T1</h1><div class="available-content"><div class="body markup">{body}</div></div>'
    [read] = collect(source_at(f"{JANE}/p/s1", Site({api("s1"): 403, f"{JANE}/p/s1": f"<html><body>{page}</body></html>"})))
    assert (read.key, read.state, read.platform, len(read.blocks)) == (f"{JANE}/p/s1", "kept", "substack", 5)


def test_a_post_that_is_gone_is_no_empty_source() -> None:
    with pytest.raises(FetchError) as raised:
        collect(source_at(f"{JANE}/p/s1", Site({})))
    assert raised.value.outcome == "gone"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = list(post(1))


@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=len(FIELDS)))
def test_any_post_of_the_api_is_one_post(fields: dict[str, Any]) -> None:
    read = read_post(post(1) | fields, "x")
    assert read.state == "kept" or read.reason


@settings(deadline=None, max_examples=50)
@given(st.lists(json_values | st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5), max_size=4))
def test_any_archive_is_read_or_refused(items: list[Any]) -> None:
    site = Site({archive(): items, archive(len(items)): []})
    try:
        collect(source_at(JANE, site))
    except SourceError:
        return


def test_deep_json_is_refused() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(FetchError):
        collect(source_at(JANE, Site({archive(): deep})))
    assert substack_web.preloaded_post(f"window._preloads = JSON.parse({json.dumps(deep)})".encode()) is None


# Notes


def note(id: int, body: str = "", *, why: str = "note", user: int = 5, **fields: Any) -> dict[str, Any]:
    comment = {"id": id, "user_id": user, "name": "Jane Doe" if user == 5 else "Other", "handle": "jane", "body": body, "ancestor_path": ""}
    comment |= {"date": "2024-05-06T07:08:09.000Z", "edited_at": None} | fields
    return {"entity_key": f"c-{id}", "type": "comment", "context": {"type": why}, "comment": comment}


PROFILE = "https://substack.com/api/v1/user/jane/public_profile"
NOTES = "https://substack.com/api/v1/reader/feed/profile/5?types=note"


def test_the_notes_of_a_person() -> None:
    doc = {"type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "Mine, <b> & all."}]}]}
    doc["content"] += [{"type": "blockquote", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "Theirs."}]}]}]
    first = [note(1, "Mine.\n\nTwo paragraphs."), note(2, "x", body_json=doc), note(3, "Theirs", why="comment_restack", user=6)]
    restack = {"entity_key": "p-6", "context": {"type": "post_restack"}, "post": {}}
    second = [note(4, "Mine too", ancestor_path="9"), note(5, "gone", deleted=True), restack]
    site = Site({PROFILE: {"id": 5}, NOTES: {"items": first, "nextCursor": "a b"}, f"{NOTES}&cursor=a%20b": {"items": second}})
    source = source_at("https://substack.com/@jane", site)
    read = collect(source)
    assert [post.state for post in read] == ["kept", "kept", "shared", "kept", "deleted", "shared"]
    assert [post.kind for post in read if post.state == "kept"] == ["post", "post", "comment"]
    assert shape(read[0]) == [("paragraph", "Mine."), ("paragraph", "Two paragraphs.")]
    assert shape(read[1]) == [("paragraph", "Mine, <b> & all."), ("quote", "Theirs.")]
    assert not any(post.blocks for post in read if post.state in ("shared", "deleted"))
    assert (read[0].key, read[0].url) == ("urn:substack:note:1", "https://substack.com/@jane/note/c-1")
    assert read[0].published_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert source.truncated == ""


def test_the_notes_of_a_publication_keep_its_people_apart() -> None:
    items = [note(1, "Mine."), note(2, "Mine again."), note(3, "Theirs.", user=6)]
    read = collect(source_at(f"{JANE}/notes", Site({f"{JANE}/api/v1/notes": {"items": items}})))
    assert [post.state for post in read] == ["kept", "kept", "foreign"]


def test_notes_that_break_off_or_never_end() -> None:
    page = {"items": [note(1, "Mine.")], "nextCursor": "c"}
    broken = source_at("https://substack.com/@jane", Site({PROFILE: {"id": 5}, NOTES: page, f"{NOTES}&cursor=c": 503}))
    assert len(collect(broken)) == 1
    assert "503" in broken.truncated
    endless = source_at("https://substack.com/@jane", Site({PROFILE: {"id": 5}, NOTES: page, f"{NOTES}&cursor=c": page}))
    assert len(collect(endless)) == 2
    assert "do not come to an end" in endless.truncated
    with pytest.raises(FetchError):
        collect(source_at("https://substack.com/@jane", Site({PROFILE: {"id": 5}, NOTES: {"error": 1}})))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(json_values | st.fixed_dictionaries({"comment": st.dictionaries(st.sampled_from(["id", "body", "body_json"]), json_values)}))
)
def test_any_notes_are_read_or_refused(items: list[Any]) -> None:
    read = list(source_at("https://substack.com/@jane", Site({PROFILE: {"id": 5}, NOTES: {"items": items}})).read())
    assert len(read) == len(items)


# Real inputs


def test_the_fixtures_of_an_importer(test_data: Path) -> None:
    files = Folder(test_data / "ghost_migrate_fixtures/packages/mg-substack/test/fixtures")
    source = substack.from_files(files)
    assert source is not None
    posts = collect(source)
    assert Counter(post.state for post in posts) == {"kept": 3, "draft": 1, "empty": 1}
    assert not [block for post in posts for block in post.blocks if UI.search(block.text)]


def test_a_real_post_of_the_api(test_data: Path) -> None:
    answer = (test_data / "substack_api_samples/samples/api/v1/posts/by-id/167180194").read_bytes()
    site = Site({"https://substack.com/api/v1/posts/by-id/167180194": answer})
    [read] = collect(source_at("https://substack.com/home/post/p-167180194", site))
    assert (read.key, read.state, read.title) == ("substack:167180194", "kept", "Week of June 24, 2025: Build SaaS Without Code")
    assert abs(sum(len(block.text.split()) for block in read.blocks) / json.loads(answer)["post"]["wordcount"] - 1) < 0.15
    assert not [block.text for block in read.blocks if UI.search(block.text)]
