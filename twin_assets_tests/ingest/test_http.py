import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from twin_assets.ingest import http
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.fingerprint import fingerprint
from twin_assets.ingest.registry import open_source

PAGE = b"<html><head><title>T</title></head><body><article><h1>T</h1><p>" + b"Words of a story. " * 20 + b"</p></article></body></html>"
FEED = (
    b'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><item><title>a</title>'
    b"<description>&lt;p>Full text.&lt;/p>&lt;p>More.&lt;/p></description></item></channel></rss>"
)


class Handler(BaseHTTPRequestHandler):
    busy = 0
    agents: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        type(self).agents.append(self.headers["user-agent"])
        if self.path == "/busy" and type(self).busy:
            type(self).busy -= 1
            return self.answer(503, b"", "text/plain", **{"Retry-After": "0"})
        known = {
            "/": (b'<link rel="alternate" type="application/rss+xml" href="/feed">' + PAGE, "text/html"),
            "/feed": (FEED, "application/rss+xml"),
            "/post": (PAGE, "text/html"),
            "/busy": (PAGE, "text/html"),
            "/binary": (b"\x00\x01", "image/png"),
            "/large": (b"x" * 5000, "text/html"),
        }
        content, kind = known.get(self.path, (b"", ""))
        return self.answer(200 if kind else 404, content, kind or "text/plain", ETag=f'"{len(content)}"')

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_pages_feeds_and_front_pages(site: str) -> None:
    page, feed, front = (list(open_source(f"{site}{path}").read()) for path in ("/post", "/feed", "/"))
    assert (page[0].key, page[0].state) == (f"{site}/post", "kept")
    assert feed[0].blocks == front[0].blocks
    assert feed[0].title == "a"
    assert Handler.agents[-1].startswith("llm-twin")


def test_a_busy_server_is_asked_again(site: str) -> None:
    Handler.busy = 2
    assert http.fetch(f"{site}/busy").content == PAGE
    Handler.busy = 9
    with pytest.raises(FetchError, match="503"):
        http.fetch(f"{site}/busy")
    assert Handler.busy == 9 - http.TRIES


def test_clear_errors(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match="404"):
        open_source(f"{site}/nothing")
    with pytest.raises(SourceError, match="image/png"):
        open_source(f"{site}/binary")
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    with pytest.raises(FetchError, match="larger than"):
        http.fetch(f"{site}/large")
    monkeypatch.setattr(http, "TRIES", 1)
    with pytest.raises(FetchError, match="No answer"):
        http.fetch("http://127.0.0.1:9/")


def test_fingerprints_of_the_web(site: str) -> None:
    assert fingerprint(f"{site}/post") == fingerprint(f"{site}/post") != fingerprint(f"{site}/feed")
    with pytest.raises(SourceError):
        fingerprint(f"{site}/nothing")
