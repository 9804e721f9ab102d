import gzip
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from twin_assets.ingest import web as module
from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import FetchError, Outcome, SourceError
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.web import Limits, MemoryPages, Web
from twin_assets_tests.ingest.site import Answer, Site, serve

PAGE = b"<html><head><title>T</title></head><body><article><h1>T</h1><p>" + b"Words of a story. " * 20 + b"</p></article></body></html>"
FEED = (
    b'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><item><title>a</title>'
    b"<description>&lt;p>Full text.&lt;/p>&lt;p>More.&lt;/p></description></item></channel></rss>"
)
FAST = Limits(page_seconds=1.0, tries=2, longest_wait=5)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Slow loris: a header line now and then, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for n in range(100):
        handler.wfile.write(f"X-{n}: y\r\n".encode())
        handler.wfile.flush()
        time.sleep(0.1)


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")


def broken_gzip(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf")


ROUTES = {
    "/": Answer(b'<link rel="alternate" type="application/rss+xml" href="/feed">' + PAGE),
    "/feed": Answer(FEED, "application/rss+xml"),
    "/post": Answer(PAGE, headers={"ETag": '"1"'}),
    "/binary": Answer(b"\x00\x01", "image/png"),
    "/large": Answer(b"x" * 5000),
    "/gone": Answer(status=410),
    "/private": Answer(status=403),
    "/challenge": Answer(b"<title>Just a moment...</title>", status=403),
    "/linkedin": Answer(status=999),
    "/down": Answer(status=503, headers={"Retry-After": "0"}),
    "/busy": Answer(status=429, headers={"Retry-After": "0"}),
    "/patience": Answer(status=429, headers={"Retry-After": "3600"}),
    "/loop": Answer(status=302, headers={"Location": "/loop2"}),
    "/loop2": Answer(status=302, headers={"Location": "/loop"}),
    "/moved": Answer(status=301, headers={"Location": "/post"}),
    "/walled": Answer(status=302, headers={"Location": "/authwall?next=1"}),
    "/elsewhere": Answer(status=302, headers={"Location": "ftp://x/y"}),
    "/drip": Answer(write=drip),
    "/reset": Answer(write=reset),
    "/cut": Answer(write=cut),
    "/gzip": Answer(write=broken_gzip),
    "/packed": Answer(gzip.compress(PAGE), headers={"Content-Encoding": "gzip"}),
    "/bomb": Answer(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}),
    "/bomb-in-bomb": Answer(gzip.compress(gzip.compress(b" " * 50_000_000)), headers={"Content-Encoding": "gzip, gzip"}),
    "/zstd": Answer(b"x", headers={"Content-Encoding": "zstd"}),
    "/robots.txt": Answer(b"User-agent: llm-twin\nDisallow: /secret\n", "text/plain"),
    "/secret/post": Answer(PAGE),
}


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(ROUTES) as site:
        yield site


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(FAST, sleep=lambda seconds: None) as web:
        yield web


def test_pages_feeds_and_front_pages(site: Site, web: Web) -> None:
    page, feed, front = (collect(open_source(f"{site.url}{path}", web)) for path in ("/post", "/feed", "/"))
    assert (page[0].key, page[0].state) == (f"{site.url}/post", "kept")
    assert feed[0].blocks == front[0].blocks
    assert feed[0].title == "a"
    assert all(headers["user-agent"].startswith("llm-twin/") for headers in site.headers)


@pytest.mark.parametrize(
    ("path", "outcome", "requests"),
    [
        ("/nothing", "gone", 1),
        ("/gone", "gone", 1),
        ("/private", "forbidden", 1),
        ("/challenge", "challenge", 1),
        ("/linkedin", "challenge", 1),
        ("/down", "server_error", 2),
        ("/busy", "rate_limited", 2),
        ("/patience", "rate_limited", 1),
        ("/loop", "refused", 1),
        ("/walled", "needs_login", 1),
        ("/elsewhere", "refused", 1),
        ("/drip", "timeout", 2),
        ("/reset", "unreachable", 2),
        ("/cut", "unreachable", 2),
        ("/gzip", "truncated", 2),
        ("/bomb", "too_large", 1),
        ("/bomb-in-bomb", "malformed", 1),
        ("/zstd", "malformed", 1),
        ("/secret/post", "refused", 0),
    ],
)
def test_every_failure_has_a_type(site: Site, web: Web, path: str, outcome: Outcome, requests: int) -> None:
    with pytest.raises(FetchError) as caught:
        web.get(site.url + path)
    assert (caught.value.outcome, site.requests[path]) == (outcome, requests)
    assert str(caught.value).endswith(".")


def test_what_is_packed_as_asked_is_unpacked(site: Site, web: Web) -> None:
    assert web.get(site.url + "/packed").content == PAGE
    assert {headers["accept-encoding"] for headers in site.headers} == {"gzip"}


def test_addresses_that_are_none(site: Site, web: Web) -> None:
    with pytest.raises(SourceError, match="image/png"):
        open_source(f"{site.url}/binary", web)
    for url in ("http://", "http://\u2028", "ftp://x", "http://[", "http://[::1"):
        with pytest.raises(FetchError):
            web.get(url)
    with pytest.raises(FetchError, match="No answer"):
        web.get("http://127.0.0.1:9/", robots=False)


def test_limits_of_a_page_and_of_a_crawl(site: Site) -> None:
    with Web(replace(FAST, page_bytes=1000)) as web, pytest.raises(FetchError) as caught:
        web.get(f"{site.url}/large")
    assert caught.value.outcome == "too_large"
    for limits in (replace(FAST, requests=2), replace(FAST, total_bytes=1), replace(FAST, total_seconds=0)):
        with Web(limits) as web, pytest.raises(FetchError) as caught:
            web.get(f"{site.url}/post")
            web.get(f"{site.url}/feed")
        assert caught.value.outcome == "truncated"


def test_a_page_is_asked_once_in_a_crawl_and_by_etag_in_the_next(site: Site) -> None:
    pages = MemoryPages()
    with Web(FAST, pages) as web:
        assert [web.get(f"{site.url}/post").stored for _ in range(3)] == [False, True, True]
    assert site.requests["/post"] == 1
    with Web(FAST, pages, since=web.since) as resumed:
        assert resumed.get(f"{site.url}/post").content == PAGE
    assert site.requests["/post"] == 1
    with Web(FAST, pages, since=datetime.now(UTC) + timedelta(seconds=1)) as later:
        answer = later.get(f"{site.url}/post")
    assert (answer.content, answer.stored, answer.status) == (PAGE, True, 200)
    assert site.headers[-1]["if-none-match"] == '"1"'
    assert later.get(f"{site.url}/post", immutable=True).stored and site.requests["/post"] == 2


def test_hosts_are_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_last_request", {})
    waits: list[float] = []
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="x"))
    with Web(Limits(pause=2.0), sleep=waits.append, transport=transport) as web:
        for url in ("https://a.example/1", "https://a.example/2", "https://b.example/1"):
            web.get(url, robots=False)
    assert len(waits) == 1 and 1.5 < waits[0] <= 2.0


def test_secrets_stay_with_their_host(site: Site) -> None:
    seen: dict[str, str | None] = {}

    def handle(request: httpx.Request) -> httpx.Response:
        seen[str(request.url)] = request.headers.get("authorization")
        return httpx.Response(302, headers={"location": "https://b.example/"}) if request.url.host == "a.example" else httpx.Response(200)

    with Web(Limits(pause=0), transport=httpx.MockTransport(handle)) as web:
        web.get("https://a.example/", headers={"Authorization": "Bearer s"}, robots=False)
    assert seen == {"https://a.example/": "Bearer s", "https://b.example/": None}


def test_redirects_are_asked_about_one_by_one(site: Site) -> None:
    asked: list[str] = []
    with Web(FAST, allow=asked.append) as web:
        web.get(f"{site.url}/moved")
    assert [url.removeprefix(site.url) for url in asked if "robots" not in url] == ["/moved", "/post"]


def test_a_robots_txt_that_is_down_is_waited_for(site: Site, web: Web) -> None:
    site.routes["/robots.txt"] = Answer(status=500)
    with pytest.raises(FetchError) as caught:
        web.get(f"{site.url}/post")
    assert caught.value.outcome == "server_error" and site.requests["/post"] == 0
    assert web.get(f"{site.url}/post", robots=False).content == PAGE


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("https://a.example/", "https://a.example/2", True),
        ("https://a.example/", "https://a.example:443/2", True),
        ("http://a.example/", "https://a.example/", True),
        ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "https://a.example:8443/", False),
        ("http://a.example:8080/", "https://a.example/", False),
        ("https://a.example/", "https://b.a.example/", False),
    ],
)
def test_secrets_stay_with_their_origin(before: str, after: str, kept: bool) -> None:
    seen: list[tuple[bool, bool]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(("authorization" in request.headers, "cookie" in request.headers))
        return httpx.Response(302, headers={"location": after}) if len(seen) == 1 else httpx.Response(200)

    with Web(Limits(pause=0), transport=httpx.MockTransport(handle)) as web:
        web.get(before, headers={"Authorization": "Bearer s", "Cookie": "sid=1"}, robots=False)
    assert seen == [(True, True), (kept, kept)]


def test_cookies_that_sites_set_are_neither_sent_nor_stored() -> None:
    sent: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, json={}, headers={"set-cookie": "sid=secret; Domain=example.com; Path=/", "etag": "1"})

    pages = MemoryPages()
    with Web(Limits(pause=0), pages, transport=httpx.MockTransport(handle)) as web:
        web.get("https://a.example.com/", robots=False)
        web.get("https://b.example.com/", robots=False, headers={"Cookie": "own=1"})
        web.post("https://a.example.com/", {})
    assert sent == [None, "own=1", None]
    stored = pages.load("https://a.example.com/#{}")
    assert stored is not None and "set-cookie" not in stored.headers and stored.headers["etag"] == "1"


PRIVATE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://localhost:5432/",
    "http://x.localhost/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0.0.0.0/",
    "http://240.0.0.1/",
    "http://[::1]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[::ffff:10.0.0.1]/",
]


@pytest.mark.parametrize("private", PRIVATE)
def test_the_web_does_not_lead_into_a_private_network(private: str) -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": private})

    with Web(Limits(pause=0), transport=httpx.MockTransport(handle)) as web:
        with pytest.raises(FetchError, match="private network") as caught:
            web.get("https://a.example/", robots=False)
        assert not web.same_network("https://a.example/", private)
        assert web.same_network("http://192.168.1.5/", private), "what its owner named there may lead on within"
    assert (caught.value.outcome, asked) == ("refused", ["https://a.example/"])


def test_names_are_resolved_to_tell_a_private_network(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "public.example": ["93.184.216.34"],
        "inner.example": ["10.0.0.7"],
        "intranet": ["10.0.0.8"],
        "both.example": ["93.184.216.34", "10.0.0.9"],
    }

    def resolve(host: str, port: object, *, flags: int = 0) -> list[tuple[object, ...]]:
        if host not in names:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in names[host]]

    monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
    web = Web()
    assert not web.same_network("https://public.example/", "https://inner.example/")
    assert not web.same_network("https://public.example/", "https://both.example/")
    assert not web.same_network("https://both.example/", "https://inner.example/")
    assert not web.same_network("https://public.example/", "http://[")
    assert web.same_network("https://intranet/", "https://inner.example/")
    assert web.same_network("https://intranet/", "https://public.example/")
    assert web.same_network("https://public.example/", "https://unknown.example/")


def test_a_redirect_to_nothing_like_an_address_is_refused(site: Site, web: Web) -> None:
    for target in ("//[", "mailto:jane@x.example"):
        site.routes["/odd"] = Answer(status=302, headers={"Location": target})
        with pytest.raises(FetchError) as caught:
            web.get(f"{site.url}/odd")
        assert caught.value.outcome == "refused" and "no web address" in str(caught.value)


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("86400", 30.0), ("0.5", 2.0), ("nan", 2.0)])
def test_a_crawl_delay_is_kept_within_reason(monkeypatch: pytest.MonkeyPatch, asked: str, waited: float) -> None:
    monkeypatch.setattr(module, "_last_request", {})
    waits: list[float] = []
    robots = f"User-agent: *\nCrawl-delay: {asked}\n"
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=robots if request.url.path == "/robots.txt" else "x"))
    with Web(Limits(pause=2.0), sleep=waits.append, transport=transport) as web:
        web.get("https://a.example/1")
    assert len(waits) == 1 and waited - 0.5 < waits[0] <= waited


def test_ones_own_machine_waits_only_when_its_robots_txt_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_last_request", {})
    for delay in ("", "Crawl-delay: 3"):
        site.routes["/robots.txt"] = Answer(f"User-agent: *\n{delay}\n".encode(), "text/plain")
        waits: list[float] = []
        with Web(Limits(pause=2.0), sleep=waits.append) as web:
            web.get(f"{site.url}/post")
            web.get(f"{site.url}/feed")
        assert [round(wait) for wait in waits] == ([3] if delay else [])


def test_a_listing_is_asked_again_by_a_crawl_that_is_gone_on_with(site: Site) -> None:
    pages = MemoryPages()
    with Web(FAST, pages) as broken_off:
        broken_off.get(f"{site.url}/post", listing=True)
        assert broken_off.get(f"{site.url}/post", listing=True).stored
    assert site.requests["/post"] == 1
    with Web(FAST, pages, since=broken_off.since) as resumed:
        assert resumed.get(f"{site.url}/post").stored and site.requests["/post"] == 1
        assert [resumed.get(f"{site.url}/post", listing=True).content for _ in range(2)] == [PAGE, PAGE]
    assert site.requests["/post"] == 2
    assert site.headers[-1]["if-none-match"] == '"1"'


def test_a_long_crawl_says_how_far_it_is(site: Site) -> None:
    said: list[str] = []
    with Web(FAST, say=said.append) as web:
        for number in range(30):
            site.routes[f"/post?{number}"] = Answer(PAGE)
            web.get(f"{site.url}/post?{number}", robots=False)
    assert len(said) == 1 and said[0].startswith("25 requests, 0.0 MB so far, now ")
