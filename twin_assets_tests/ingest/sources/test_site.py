import gzip
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import FetchError
from twin_assets.ingest.source import Address, Source
from twin_assets.ingest.sources import site as module
from twin_assets.ingest.sources.feed import Feed
from twin_assets.ingest.sources.site import Site, from_address, read_sitemap
from twin_assets.ingest.web import Limits, MemoryPages, Web
from twin_assets_tests.ingest.site import Answer, Route, serve
from twin_assets_tests.ingest.site import Site as Server

WORDS = "Words that somebody wrote on a long evening, one after the other. " * 6
NAMES = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'
FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><item><title>a</title>
<description>&lt;p&gt;Full text.&lt;/p&gt;&lt;p&gt;More.&lt;/p&gt;</description></item></channel></rss>"""
FRONT = Answer(b'<html><head><link rel="alternate" type="application/rss+xml" href="/feed"></head><body><p>Hello.</p></body></html>')


def page(n: int, canonical: str = "") -> Answer:
    link = f'<link rel="canonical" href="{canonical}">' if canonical else ""
    body = f"<article><h1>T{n}</h1><p>{n}. {WORDS}</p></article>"
    return Answer(f"<html><head><title>T{n}</title>{link}</head><body>{body}</body></html>".encode())


def sitemap(*urls: str, changed: str = "") -> str:
    dated = f"<lastmod>{changed}</lastmod>" if changed else ""
    image = "<image:image><image:loc>https://cdn.example/x.png</image:loc></image:image>"
    return f"<urlset {NAMES}>" + "".join(f"<url><loc>{url}</loc>{dated}{image}</url>" for url in urls) + "</urlset>"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve({"/": FRONT}) as site:
        yield site


def add(server: Server, path: str, body: str | bytes, kind: str = "application/xml") -> None:
    server.routes[path] = Answer(body if isinstance(body, bytes) else body.replace("HOST", server.url).encode(), kind)


def opened(server: Server, web: Web, path: str = "/") -> Source | None:
    return from_address(Address(server.url + path, web))


def read(server: Server, path: str = "/", limits: Limits | None = None) -> dict[str, str]:
    with Web(limits) as web:
        source = opened(server, web, path)
        assert source is not None
        return {post.origin.removeprefix(server.url): post.state for post in source.read()}


def test_every_article_is_read_and_everything_else_accounted_for(server: Server) -> None:
    listed = ["/", "/a/", "/b", "/tag/x/", "/blog/", "/page/2/", "/2024/05/", "/photo.jpg", "/gone", "https://other.example/c"]
    add(server, "/sitemap.xml", sitemap(*(path if path.startswith("http") else f"HOST{path}" for path in listed)))
    server.routes |= {"/a/": page(1), "/b": page(2)}
    assert read(server) == {
        "/": "empty",
        "/a/": "kept",
        "/b": "kept",
        "/tag/x/": "empty",
        "/blog/": "empty",
        "/page/2/": "empty",
        "/2024/05/": "empty",
        "/photo.jpg": "empty",
        "/gone": "unreadable",
    }


def test_sitemaps_are_found_by_robots_txt_through_indexes_and_packed(server: Server) -> None:
    server.routes["/robots.txt"] = Answer(f"User-agent: *\nDisallow: /secret\nsitemap: {server.url}/index.xml".encode(), "text/plain")
    inner = "".join(f"<sitemap><loc>HOST/{name}</loc></sitemap>" for name in ("posts.xml.gz", "tag-sitemap.xml", "index.xml", "lost.xml"))
    add(server, "/index.xml", f"<sitemapindex {NAMES}>{inner}</sitemapindex>")
    add(server, "/posts.xml.gz", gzip.compress(sitemap(f"{server.url}/a", f"{server.url}/secret/b").encode()), "application/gzip")
    add(server, "/tag-sitemap.xml", sitemap("HOST/thema/x"))
    server.routes |= {"/a": page(1), "/secret/b": page(2)}
    assert read(server) == {"/a": "kept", "/secret/b": "unreadable", "/thema/x": "empty"}


def test_only_what_lies_in_the_folder_is_read(server: Server) -> None:
    server.routes |= {"/blog/": FRONT, "/blog/a": page(1), "/about": page(2)}
    add(server, "/sitemap.xml", sitemap("HOST/blog/a", "HOST/about", "HOST/blogroll"))
    assert read(server, "/blog/") == {"/blog/a": "kept"}


def test_newest_first_and_unchanged_pages_are_not_fetched_again(server: Server) -> None:
    old, new = sitemap("HOST/old", changed="2020-01-01"), sitemap("HOST/new", changed="2024-01-01T00:00:00Z")
    add(server, "/sitemap.xml", old.replace("</urlset>", "") + new.partition(">")[2])
    server.routes |= {"/old": page(1), "/new": page(2)}
    pages = MemoryPages()
    for _ in range(2):
        with Web(pages=pages) as web:
            source = opened(server, web)
            assert source is not None and source.coverage == "listing"
            assert [post.origin for post in source.read()] == [f"{server.url}/new", f"{server.url}/old"]
    assert (server.requests["/old"], server.requests["/new"]) == (1, 1)
    add(server, "/sitemap.xml", sitemap("HOST/old", changed=datetime.now(UTC).isoformat()))
    with Web(pages=pages) as web:
        source = opened(server, web)
        assert source is not None and len(list(source.read())) == 1
    assert server.requests["/old"] == 2


def test_a_crawl_that_reaches_its_limit_says_so_and_goes_on_next_time(server: Server) -> None:
    add(server, "/sitemap.xml", sitemap(*(f"HOST/p{n}" for n in range(6))))
    server.routes |= {f"/p{n}": page(n) for n in range(6)}
    pages, began = MemoryPages(), datetime.now(UTC)
    with Web(Limits(requests=6), pages, since=began) as web:
        source = opened(server, web)
        assert source is not None
        first = len(list(source.read()))
        assert 0 < first < 6
        assert "limit of one run" in source.truncated
    with Web(pages=pages, since=began) as web:
        source = opened(server, web)
        assert source is not None
        assert (len(list(source.read())), source.truncated) == (6, "")
    assert max(server.requests[f"/p{n}"] for n in range(6)) == 1


def test_a_site_that_breaks_down_is_left_alone(server: Server) -> None:
    add(server, "/sitemap.xml", sitemap("HOST/ok", *(f"HOST/p{n}" for n in range(20))))
    server.routes |= {"/ok": page(1)} | {f"/p{n}": Answer(status=500) for n in range(20)}
    with Web(Limits(tries=1)) as web:
        source = opened(server, web)
        assert source is not None
        assert [post.state for post in source.read()] == ["kept"] + ["unreadable"] * 4
        assert source.truncated


def test_a_site_of_which_nothing_can_be_read_is_no_empty_site(server: Server) -> None:
    add(server, "/sitemap.xml", sitemap("HOST/a", "HOST/b"))
    with Web() as web:
        source = opened(server, web)
        assert source is not None
        with pytest.raises(FetchError, match="404"):
            collect(source)


def test_without_a_sitemap_the_feed_is_read(server: Server) -> None:
    add(server, "/feed", FEED, "application/rss+xml")
    with Web() as web:
        source = opened(server, web)
        assert isinstance(source, Feed)
        assert source.location == f"{server.url}/"
        assert len(list(source.read())) == 1


def test_a_sitemap_of_nothing_but_the_front_page_leaves_it_to_the_feed(server: Server) -> None:
    add(server, "/feed", FEED, "application/rss+xml")
    add(server, "/sitemap.xml", sitemap("HOST/"))
    with Web() as web:
        assert isinstance(opened(server, web), Feed)


@pytest.mark.parametrize("path", ["/2024/a-post", "/?p=12", "/about.html"])
def test_a_single_page_is_not_taken_for_a_site(server: Server, path: str) -> None:
    server.routes[path] = page(1)
    add(server, "/sitemap.xml", sitemap("HOST/a"))
    with Web() as web:
        assert opened(server, web, path) is None
    assert "/sitemap.xml" not in server.requests


def test_the_address_of_a_sitemap_is_read_too(server: Server) -> None:
    add(server, "/my-sitemap.xml", sitemap("HOST/a"))
    server.routes["/a"] = page(1)
    assert read(server, "/my-sitemap.xml") == {"/a": "kept"}


def test_a_theme_that_calls_the_front_page_canonical_does_not_make_all_posts_one(server: Server) -> None:
    add(server, "/sitemap.xml", sitemap("HOST/a", "HOST/b"))
    server.routes |= {"/a": page(1, f"{server.url}/"), "/b": page(2, f"{server.url}/")}
    with Web() as web:
        source = opened(server, web)
        assert source is not None
        assert {post.key for post in collect(source)} == {f"{server.url}/a", f"{server.url}/b"}


def test_what_leads_away_or_is_no_page_is_not_read(server: Server) -> None:
    add(server, "/sitemap.xml", sitemap("HOST/a", "HOST/pdf", "HOST/away"))
    with serve({"/there": page(3)}) as other:
        away: Route = Answer(status=302, headers={"Location": other.url.replace("127.0.0.1", "localhost") + "/there"})
        server.routes |= {"/a": page(1), "/pdf": Answer(b"%PDF", "application/pdf"), "/away": away}
        assert read(server) == {"/a": "kept", "/pdf": "empty", "/away": "empty"}


def test_a_sitemap_that_breaks_off_or_turns_in_circles(server: Server) -> None:
    whole = sitemap("HOST/a", "HOST/b")
    add(server, "/sitemap.xml", whole[: whole.index("HOST/b")])
    server.routes["/a"] = page(1)
    with Web() as web:
        source = opened(server, web)
        assert source is not None
        assert [post.state for post in source.read()] == ["kept"]
        assert "breaks off" in source.truncated


def test_bombs_are_not_unpacked() -> None:
    entities = '<!DOCTYPE urlset [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>' + sitemap("https://x.example/&c;")
    assert read_sitemap(entities.encode()) == ([], [], True)
    pages, _, cut = read_sitemap(gzip.compress(b"<urlset>" + b" " * (module._UNPACKED_BYTES + 10)))
    assert (pages, cut) == ([], True)


def test_a_sitemap_of_lines_and_a_page_in_its_place() -> None:
    assert [page.url for page in read_sitemap(b"https://x.example/a\nhttps://x.example/b\n")[0]] == [
        "https://x.example/a",
        "https://x.example/b",
    ]
    assert read_sitemap(b"<!doctype html><html><url><loc>https://x.example</loc></url></html>") == ([], [], False)


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"<urlset>", b"\x1f\x8b", sitemap("https://x.example/a").encode()[:90]]))
def test_any_bytes_are_survived(noise: bytes, head: bytes) -> None:
    pages, inner, _ = read_sitemap(head + noise)
    assert isinstance(pages, list) and isinstance(inner, list)


def test_the_class_is_what_front_pages_become(server: Server) -> None:
    add(server, "/sitemap.xml", sitemap("HOST/a"))
    with Web() as web:
        assert isinstance(opened(server, web), Site)


def test_sitemaps_and_feeds_do_not_lead_from_the_web_into_a_private_network() -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.path == "/robots.txt":
            return httpx.Response(200, text="Sitemap: http://169.254.169.254/sitemap.xml\nSitemap: https://cdn.example/s.xml\n")
        front = '<html><head><link rel="alternate" type="application/rss+xml" href="http://10.0.0.1/feed"></head><body>Hello.</body></html>'
        return httpx.Response(200, html=front) if request.url.path == "/" else httpx.Response(404)

    with Web(Limits(pause=0), transport=httpx.MockTransport(handle)) as web:
        assert from_address(Address("https://blog.example/", web)) is None
    assert set(asked) == {"blog.example", "cdn.example"}


def test_a_sitemap_on_another_host_is_read_as_its_robots_txt_allows(server: Server) -> None:
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    named = f"Sitemap: {elsewhere}/maps/s.xml\nSitemap: {elsewhere}/s.xml\n"
    server.routes["/robots.txt"] = Answer(f"User-agent: *\nDisallow: /maps/\n{named}".encode(), "text/plain")
    add(server, "/maps/s.xml", sitemap("HOST/a"))
    add(server, "/s.xml", sitemap("HOST/b"))
    server.routes |= {"/a": page(1), "/b": page(2)}
    assert read(server) == {"/b": "kept"}
    assert server.requests["/maps/s.xml"] == 0


def test_a_crawl_that_is_gone_on_with_sees_what_is_new(server: Server) -> None:
    add(server, "/sitemap.xml", sitemap("HOST/a"))
    server.routes |= {"/a": page(1), "/b": page(2)}
    pages, began = MemoryPages(), datetime.now(UTC)
    found: list[list[str]] = []
    for _ in range(2):
        with Web(pages=pages, since=began) as web:
            source = opened(server, web)
            assert source is not None
            found.append([post.origin.removeprefix(server.url) for post in source.read()])
        add(server, "/sitemap.xml", sitemap("HOST/a", "HOST/b"))
    assert found == [["/a"], ["/a", "/b"]]
    assert server.requests["/a"] == 1
