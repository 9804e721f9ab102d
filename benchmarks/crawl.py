"""A crawl of a site that fails in every way, by a crawler that is killed again and again.

A local site of ``--pages`` articles answers a share of its first requests with timeouts, 429, 500, resets, half bodies and a byte at a
time. The crawler is a process of its own, killed with SIGKILL at random moments and started again until it is done. Figures: posts lost
and doubled (both must be 0), pages fetched again after a kill, and seconds beside a crawl of the same site without faults and kills.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.frame import ROOT, Result, run, say

FAULTS = ("hang", "429", "500", "reset", "half", "drip")
SHARE_OF_FAULTS = 0.2
PAGE_SECONDS = 2.0
WORDS = ["harbour", "tide", "rope", "crew", "lamp", "chart", "engine", "market", "winter", "bread", "ladder", "signal"]


class Site:
    """What the site has, and whom it treated how."""

    def __init__(self, pages: int, seed: int, *, faults: bool) -> None:
        choose = random.Random(seed)
        self.pages = [f"/posts/{number:04}" for number in range(pages)]
        self.faults = {page: [choose.choice(FAULTS)] for page in self.pages if faults and choose.random() < SHARE_OF_FAULTS}
        self.served: Counter[str] = Counter()
        self.requests = 0
        self.url = ""
        self.lock = threading.Lock()

    def body(self, path: str) -> tuple[bytes, str]:
        """A page, the sitemap, or nothing."""
        if path == "/sitemap.xml":
            places = "".join(f"<url><loc>{self.url}{page}</loc></url>" for page in self.pages)
            return (
                f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>'.encode(),
                "text/xml",
            )
        if path == "/":
            return b"<html><head><title>A blog</title></head><body><h1>A blog</h1></body></html>", "text/html"
        if path not in self.pages:
            return b"", ""
        choose = random.Random(path)
        text = " ".join(choose.choice(WORDS) for _ in range(120))
        title = f"Post {path[-4:]}"
        article = f"<article><h1>{title}</h1><p>{title} begins here. {text}.</p></article>"
        return f"<html><head><title>{title}</title></head><body>{article}</body></html>".encode(), "text/html"


@contextmanager
def serving(site: Site) -> Iterator[None]:
    """The site on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with site.lock:
                site.requests += 1
                faults = site.faults.get(self.path)
                fault = faults.pop() if faults else ""
            if fault:
                self.close_connection = True
                getattr(self, f"_{fault}")()
                return
            body, kind = site.body(self.path)
            self._answer(200 if kind else 404, body, kind or "text/plain")
            if kind:
                with site.lock:
                    site.served[self.path] += 1

        def _answer(self, status: int, body: bytes, kind: str = "text/plain", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _429(self) -> None:
            self._answer(429, b"", **{"Retry-After": "1"})

        def _500(self) -> None:
            self._answer(500, b"")

        def _hang(self) -> None:
            time.sleep(PAGE_SECONDS * 2)

        def _half(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n<html><title>Half")

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        def _drip(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for number in range(100):
                self.wfile.write(f"X-{number}: y\r\n".encode())
                self.wfile.flush()
                time.sleep(0.2)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def crawl(url: str, author: str) -> None:
    """What the killed process does: one read of the site."""
    from twin_assets.ingest.errors import SourceError
    from twin_assets.ingest.read import read_source
    from twin_assets.settings import get_settings
    from twin_assets.store.database import open_database
    from twin_assets.store.registry import SourceConfig
    from twin_assets.store.roles import Role

    settings = get_settings()
    done = read_source(settings, open_database(settings, Role.INGEST), author, SourceConfig(url))
    if isinstance(done, SourceError):
        raise SystemExit(f"{done.outcome}: {done}")


def measure(arguments: argparse.Namespace) -> Result:
    """Crawls a good site once, and a bad one with kills."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="twin-crawl-", dir=arguments.work))
    home.chmod(0o755)
    os.environ.update(TWIN_HOME=str(home), DAGSTER_HOME="", TWIN_CRAWL_PAGE_SECONDS=str(PAGE_SECONDS))
    try:
        good = Site(arguments.pages, arguments.seed, faults=False)
        with serving(good):
            clean, _ = _crawl_until_done(good, "good", None)
        bad = Site(arguments.pages, arguments.seed, faults=True)
        faults = sum(map(len, bad.faults.values()))
        with serving(bad):
            seconds, kills = _crawl_until_done(bad, "bad", random.Random(arguments.seed))
        lost, doubled = _compare(bad)
        figures = {
            "pages": len(bad.pages),
            "injected_faults": faults,
            "kills": kills,
            "lost": lost,
            "doubled": doubled,
            "fetched_again": sum(count - 1 for count in bad.served.values() if count > 1),
            "requests": bad.requests,
            "seconds": round(seconds, 1),
        }
        return Result(figures, {"seconds_without_faults_and_kills": round(clean, 1), "requests": good.requests})
    finally:
        subprocess.run([sys.executable, "-m", "twin_assets.cli", "down"], cwd=ROOT, stdout=sys.stderr, check=False)
        if not arguments.keep:
            shutil.rmtree(home, ignore_errors=True)


def _crawl_until_done(site: Site, author: str, choose: random.Random | None) -> tuple[float, int]:
    """Seconds, and how often the crawler was killed; with nothing to choose by it is left alone."""
    start, kills = time.monotonic(), 0
    while True:
        command = [sys.executable, "-m", "benchmarks.crawl", "--crawl", site.url, author]
        process = subprocess.Popen(command, cwd=ROOT, stdout=sys.stderr, stderr=subprocess.DEVNULL, start_new_session=True)
        until = site.requests + choose.randint(5, 80) if choose else None
        while process.poll() is None and (until is None or site.requests < until):
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            say(f"killed after {site.requests} requests; {len(site.served)} addresses served so far")
            continue
        code = process.returncode
        if code:
            raise SystemExit(f"the crawler ended with {code}")
        return time.monotonic() - start, kills


def _compare(site: Site) -> tuple[int, int]:
    """Posts of the bad site that are not there, and those that are there more than once."""
    from sqlalchemy import text

    from twin_assets.settings import get_settings
    from twin_assets.store.database import open_database
    from twin_assets.store.roles import Role

    query = "select url from ingest.raw_posts where author = 'bad' and state = 'kept' and deleted_at is null"
    with open_database(get_settings(), Role.INGEST).begin() as connection:
        found = Counter(connection.scalars(text(query)))
    expected = {site.url + page for page in site.pages}
    return len(expected - found.keys()), sum(count - 1 for count in found.values()) + len(found.keys() - expected)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()), help="where the data home is made")
    parser.add_argument("--keep", action="store_true", help="keep the data home")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--crawl"]:
        crawl(sys.argv[2], sys.argv[3])
    else:
        run("crawl", measure, _arguments)
