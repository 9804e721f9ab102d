"""A small web site on a real port, with answers and faults that tests script."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Answer:
    """What the site says."""

    body: bytes = b""
    content_type: str = "text/html"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    write: Callable[[BaseHTTPRequestHandler], None] | None = None
    """Takes over after the request was read, to misbehave on the socket itself."""


Route = Answer | Callable[[BaseHTTPRequestHandler], Answer]


@dataclass
class Site:
    """Answers by path; what is not there is 404. Every request is counted, and its headers are kept."""

    routes: dict[str, Route] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(routes: Mapping[str, Route]) -> Iterator[Site]:
    """A running site."""
    site = Site(dict(routes))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.requests[self.path] += 1
            site.headers.append({name.lower(): value for name, value in self.headers.items()})
            length = int(self.headers.get("content-length") or 0)
            if length:
                self.rfile.read(length)
            route = site.routes.get(self.path, Answer(b"nothing here", "text/plain", 404))
            answer = route(self) if callable(route) else route
            if answer.write is not None:
                self.close_connection = True
                answer.write(self)
                return
            etag = answer.headers.get("ETag")
            unchanged = etag is not None and self.headers.get("if-none-match") == etag
            self.send_response(304 if unchanged else answer.status)
            body = b"" if unchanged else answer.body
            for name, value in {"Content-Type": answer.content_type, "Content-Length": str(len(body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
