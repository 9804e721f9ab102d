"""The one way to the web: bounded, polite, honest about who asks, and able to go on where a killed crawl stopped."""

import asyncio
import json
import random
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from ipaddress import IPv6Address, ip_address
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import structlog
from protego import Protego

from twin_assets.ingest.errors import FetchError, Outcome

log = structlog.get_logger(__name__)

T = TypeVar("T")

AGENT = "llm-twin"
_MAX_REDIRECTS = 6
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_LOGIN_PATHS = ("/authwall", "/checkpoint", "/login", "/signin", "/sign-in", "/uas/login", "/m/signin", "/account/login", "/accounts/login")
_KEPT_HEADERS = frozenset({"content-type", "etag", "last-modified", "link", "x-wp-total", "x-wp-totalpages"})
_LOG_EVERY = 25
_LONGEST_CRAWL_DELAY = 30.0
_TRUSTED_FOR = timedelta(days=30)

_last_request: dict[str, float] = {}  # by host, for all crawls of this process
_last_request_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken, how fast, and when to give up."""

    pause: float = 1.0
    """Seconds between two requests to one host; one's own machine is not made to wait."""
    page_seconds: float = 60.0
    page_bytes: int = 32 * 1024 * 1024
    total_seconds: float = 4 * 3600.0
    total_bytes: int = 2 * 1024**3
    requests: int = 10_000
    tries: int = 5
    longest_wait: float = 120.0
    """Seconds; a server that asks for more patience is asked again in the next run."""


@dataclass(frozen=True, slots=True)
class Response:
    """What an address answered with."""

    url: str
    """The address after redirects."""
    status: int
    content: bytes
    headers: Mapping[str, str]
    """Lower-case names; of a stored page only those that matter later."""
    fetched_at: datetime
    stored: bool = False
    """Whether it was not asked for again, or had not changed."""

    @property
    def content_type(self) -> str:
        """The type, lower-case, empty when the server names none."""
        return self.headers.get("content-type", "").lower()

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            FetchError: When it is none.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise FetchError(f"{self.url} answered with something that is no JSON: {error}. Try again later.", "malformed") from error


class PageStore(Protocol):
    """Keeps what was fetched, so that it is asked for only when it changed, and not twice in one crawl."""

    def load(self, url: str) -> Response | None:
        """What this address answered with last."""
        ...

    def save(self, url: str, response: Response) -> None:
        """Keeps an answer in place of the last one."""
        ...


class MemoryPages:
    """A store that forgets with the process."""

    def __init__(self) -> None:
        self._pages: dict[str, Response] = {}

    def load(self, url: str) -> Response | None:
        """What this address answered with last."""
        return self._pages.get(url)

    def save(self, url: str, response: Response) -> None:
        """Keeps an answer in place of the last one."""
        self._pages[url] = response


def user_agent(contact: str = "") -> str:
    """Says what asks, and whom to write to about it."""
    try:
        release = version("llm-twin")
    except PackageNotFoundError:
        release = "0"
    return f"{AGENT}/{release} (reads its user's own posts{'; ' + contact if contact else ''})"


class Web:
    """A crawl: requests that share limits, a store and a start.

    Args:
        limits: How much, how fast.
        pages: Where answers are kept.
        since: When the crawl began: what was stored from then on is not asked for again.
        contact: An e-mail or web address for the user agent.
        allow: Called with every address before it is asked, redirects too; raises to refuse it.
        say: Told now and then how far the crawl is.
        sleep: How to wait.
        transport: What carries the requests, in tests.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        pages: PageStore | None = None,
        *,
        since: datetime | None = None,
        contact: str = "",
        allow: Callable[[str], None] | None = None,
        say: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.pages = pages or MemoryPages()
        self.since = since or datetime.now(UTC)
        self.requests = 0
        self.received = 0
        self._agent = user_agent(contact)
        self._allow = allow
        self._say = say or log.info
        self._sleep = sleep
        self._transport = transport
        self._began = time.monotonic()
        self._robots: dict[str, Protego | None] = {}
        self._delays: dict[str, float] = {}  # by host, as their robots.txt ask for
        self._fetched: set[str] = set()
        self._private: dict[str, set[bool]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: httpx.AsyncClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Gives its connections back."""
        if self._loop is not None and self._client is not None:
            self._run(self._client.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop = self._client = None

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        robots: bool = True,
        pause: float | None = None,
        immutable: bool = False,
        changed: datetime | None = None,
        keep: bool = True,
        listing: bool = False,
    ) -> Response:
        """Reads an address, or what is stored of it in this crawl.

        Args:
            url: The address.
            headers: Beside the usual ones.
            robots: Whether the site's robots.txt has a say; an API that was asked for by its documentation has none.
            pause: Seconds between requests to this host, where its owner wants more than ``limits.pause``.
            immutable: Whether the address names content that never changes, such as a hash: what is stored is never asked for again.
            changed: When the content changed last, where a sitemap or a list says so: what was stored after that is not asked for again,
                for a month, since not every site is right about it.
            keep: Whether the answer is kept; one that can hold what others wrote in private is not.
            listing: Whether it lists what there is: then a crawl that is gone on with asks again, whether it changed, so that nothing new
                is overlooked.

        Raises:
            FetchError: When there is no readable answer; its ``outcome`` says why.
        """
        stored = self.pages.load(url)
        current = stored is not None and stored.fetched_at >= self.since and (not listing or url in self._fetched)
        if stored is not None and (immutable or current or self._unchanged(stored, changed)):
            return replace(stored, stored=True)
        asked = dict(headers or {})
        if stored is not None:
            if etag := stored.headers.get("etag"):
                asked.setdefault("If-None-Match", etag)
            if modified := stored.headers.get("last-modified"):
                asked.setdefault("If-Modified-Since", modified)
        response = self._patiently("GET", url, asked, None, robots=robots, pause=pause)
        if response.status == 304 and stored is not None:
            response = replace(stored, fetched_at=response.fetched_at, stored=True)
        if keep:
            self._save(url, response)
        return response

    def post(self, url: str, body: object, *, headers: Mapping[str, str] | None = None) -> Response:
        """Sends JSON to an API that reads by POST, such as GraphQL. The answer is kept under the address and the body.

        Raises:
            FetchError: When there is no readable answer.
        """
        sent = json.dumps(body, sort_keys=True)
        key = f"{url}#{sent}"
        stored = self.pages.load(key)
        if stored is not None and stored.fetched_at >= self.since:
            return replace(stored, stored=True)
        response = self._patiently("POST", url, {"Content-Type": "application/json", **(headers or {})}, sent.encode(), robots=False)
        self._save(key, response)
        return response

    def status(self, url: str) -> int:
        """The status that an address answers with now, whatever it is; the page itself is not kept.

        Raises:
            FetchError: When it does not answer, or says too often that it is busy.
        """
        try:
            return self._patiently("GET", url, {}, None, robots=True).status
        except FetchError as error:
            if error.status is None or error.status in _RETRIED:
                raise
            return error.status

    def same_network(self, owner_url: str, found_url: str) -> bool:
        """Whether an address that a site names may be asked, given the one that its owner named.

        What is on the web must not lead into a private network or to this machine. What its owner named there may lead on within.
        A name that does not resolve is left to the request itself.
        """
        try:
            (_, owner, _), (_, found, _) = _origin(owner_url), _origin(found_url)
        except (ValueError, httpx.InvalidURL):
            return False
        return owner == found or True not in self._networks(found) or self._networks(owner) == {True}

    def _networks(self, host: str) -> set[bool]:
        """For each address of a host whether it is private; a transport that was handed in resolves names itself."""
        if host not in self._private:
            self._private[host] = _networks(host, 0 if self._transport is None else socket.AI_NUMERICHOST)
        return self._private[host]

    def _save(self, key: str, response: Response) -> None:
        kept = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
        self.pages.save(key, replace(response, headers=kept, stored=False))
        self._fetched.add(key)

    def _unchanged(self, stored: Response, changed: datetime | None) -> bool:
        return changed is not None and changed < stored.fetched_at and self.since - stored.fetched_at < _TRUSTED_FOR

    def _patiently(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, *, robots: bool, pause: float | None = None
    ) -> Response:
        for attempt in range(1, self.limits.tries + 1):
            try:
                return self._follow(method, url, headers, body, robots=robots, pause=pause)
            except _TransientError as problem:
                wait = problem.wait if problem.wait is not None else random.uniform(0.5, 1.0) * min(0.5 * 2.0**attempt, 30.0)  # noqa: S311
                if attempt == self.limits.tries or wait > self.limits.longest_wait:
                    raise problem.error from problem
                log.info("fetch_again", url=url, attempt=attempt, wait=round(wait, 1), why=str(problem.error))
                self._sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    def _follow(self, method: str, url: str, headers: dict[str, str], body: bytes | None, *, robots: bool, pause: float | None) -> Response:
        try:
            urlsplit(url)
        except ValueError as error:
            raise FetchError(f"{url} is no web address: {error}.", "refused") from error
        address, seen = url, set[str]()
        while True:
            if self._allow is not None:
                self._allow(address)
            if robots:
                self._ask_robots(address)
            response = self._once(method, address, headers, body, pause)
            target = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or not target:
                return _checked(response)
            seen.add(address)
            try:
                address, before = urljoin(address, target), address
                secrets_go_along = _keeps_secrets(before, address)
            except (ValueError, httpx.InvalidURL) as error:
                raise FetchError(f"{url} leads to something that is no web address: {target[:200]}.", "refused") from error
            if urlsplit(address).path.rstrip("/").lower().endswith(_LOGIN_PATHS) and not urlsplit(url).path.lower().endswith(_LOGIN_PATHS):
                raise FetchError(f"{url} asks for a login. Use the platform's export, or a session of your own browser.", "needs_login")
            if address in seen or len(seen) > _MAX_REDIRECTS:
                raise FetchError(f"{url} leads in circles: {address}. Check the address in a browser.", "refused")
            if not self.same_network(url, address):
                raise FetchError(f"{url} leads into a private network, to {address}. It was not followed.", "refused")
            if not secrets_go_along:
                headers = {name: value for name, value in headers.items() if name.lower() not in ("authorization", "cookie")}
            if response.status == 303:
                method, body = "GET", None

    def _once(self, method: str, url: str, headers: dict[str, str], body: bytes | None, pause: float | None) -> Response:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FetchError(f"{url} is no web address.", "refused")
        self._spend(url)
        self._wait_for_turn(parts.hostname, self.limits.pause if pause is None else pause)
        self.requests += 1
        if self.requests % _LOG_EVERY == 0:
            self._say(f"{self.requests} requests, {self.received / 2**20:.1f} MB so far, now {url}")
        try:
            return self._run(self._exchange(method, url, headers, body))
        except TimeoutError as error:
            message = f"{url} took longer than {self.limits.page_seconds:.0f} s. Try again later, or download it and add the file."
            raise _TransientError(FetchError(message, "timeout")) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise FetchError(f"{url} is no web address: {error}.", "refused") from error
        except httpx.DecodingError as error:
            raise _TransientError(FetchError(f"{url} sent a broken body: {error}. Try again later.", "truncated")) from error
        except httpx.TransportError as error:
            outcome: Outcome = "timeout" if isinstance(error, httpx.TimeoutException) else "unreachable"
            what = error or type(error).__name__
            raise _TransientError(FetchError(f"No answer from {url}: {what}. Check the address and the network.", outcome)) from error

    async def _exchange(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Response:
        if self._client is None:
            no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # only those that a caller sends, and only where it sends them
            headers_of_all = {"User-Agent": self._agent, "Accept-Encoding": "gzip"}
            self._client = httpx.AsyncClient(timeout=20.0, headers=headers_of_all, cookies=no_cookies, transport=self._transport)
        async with asyncio.timeout(self.limits.page_seconds):  # of the whole exchange: a server may send a byte a second for ever
            async with self._client.stream(method, url, headers=headers, content=body) as response:
                content = bytearray()
                async for part in _unpacked(response, self.limits.page_bytes):
                    content += part
                    if len(content) > self.limits.page_bytes:
                        limit = self.limits.page_bytes // 2**20
                        raise FetchError(f"{url} is larger than {limit} MB: download it and add the file's parts.", "too_large")
        self.received += len(content)
        found = {name.lower(): value for name, value in response.headers.items()}
        return Response(str(response.url), response.status_code, bytes(content), found, datetime.now(UTC))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """In a thread of its own, so that callers may have an event loop or none."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(self._loop,), name="web", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _spend(self, url: str) -> None:
        limits = self.limits
        what = (
            f"{limits.requests:,} requests"
            if self.requests >= limits.requests
            else f"{limits.total_bytes / 2**30:.1f} GB"
            if self.received >= limits.total_bytes
            else f"{limits.total_seconds / 3600:.1f} hours"
            if time.monotonic() - self._began >= limits.total_seconds
            else ""
        )
        if what:
            raise FetchError(
                f"The crawl stopped before {url}: {what} are the limit of one run. The next run goes on from here.", "truncated"
            )

    def _wait_for_turn(self, host: str, pause: float) -> None:
        asked_for = self._delays.get(host, 0.0)
        if is_local(host) and not asked_for:
            return
        pause = asked_for if is_local(host) else max(pause, asked_for)
        with _last_request_lock:
            turn = max(time.monotonic(), _last_request.get(host, float("-inf")) + pause)
            _last_request[host] = turn
        if (wait := turn - time.monotonic()) > 0:
            self._sleep(wait)

    def _ask_robots(self, url: str) -> None:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._robots:
            self._robots[site] = rules = self._read_robots(site)
            if rules is not None and parts.hostname and (delay := rules.crawl_delay(AGENT)):
                self._delays[parts.hostname] = min(delay, _LONGEST_CRAWL_DELAY, self.limits.longest_wait)
        rules = self._robots[site]
        if rules is not None and not rules.can_fetch(url, AGENT):
            raise FetchError(
                f"The robots.txt of {parts.netloc} asks to stay away from {url}. If it is your site, allow the agent {AGENT!r} there, "
                "or use the platform's export.",
                "refused",
            )

    def _read_robots(self, site: str) -> Protego | None:
        url = f"{site}/robots.txt"
        try:
            response = self._follow("GET", url, {}, None, robots=False, pause=None)
        except FetchError as error:
            if error.status in (401, 403, 404, 410) or error.status is None:  # RFC 9309, 2.3.1.3: no rules
                return None
            raise
        return Protego.parse(response.content[: 512 * 1024].decode("utf-8", errors="replace"))


async def _unpacked(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """The body without the one encoding that was asked for; no part is larger than a page may be: a few bytes can stand for very many."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if response.is_stream_consumed:  # by a transport that has it in memory
        yield response.content
    elif encoding in ("", "identity"):
        async for part in response.aiter_raw():
            yield part
    elif encoding in ("gzip", "x-gzip"):
        unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            async for part in response.aiter_raw():
                yield unpack.decompress(part, limit + 1)
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error
        if not unpack.eof:
            raise httpx.DecodingError("the body ends too early")
    else:
        raise FetchError(
            f"{response.url} is packed as {encoding[:40]!r}, which nobody asked for. Download it and add the file.", "malformed"
        )


class _TransientError(Exception):
    """Worth another try."""

    def __init__(self, error: FetchError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def is_local(host: str) -> bool:
    """Whether a host is one's own machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, which is None where it is the scheme's own; as httpx reads them, since it is what asks."""
    found = httpx.URL(url)
    if not urlsplit(url).hostname:
        raise httpx.InvalidURL(f"{url} names no host")
    return found.scheme, found.raw_host.decode("ascii"), found.port


def _keeps_secrets(before: str, after: str) -> bool:
    """Whether secrets that were given for an address may go along to another: to its own origin, or from HTTP to its HTTPS."""
    old, new = _origin(before), _origin(after)
    return old == new or ((old[0], *new) == ("http", "https", old[1], None) and old[2] is None)


def _networks(host: str, flags: int) -> set[bool]:
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return {True}
    try:
        found = {ip_address(address[0]) for *_, address in socket.getaddrinfo(host, None, flags=flags)}
    except (OSError, ValueError):
        return set()
    plain = {ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip for ip in found}
    return {not ip.is_global or ip.is_multicast for ip in plain}


def _checked(response: Response) -> Response:
    status, url = response.status, response.url
    if status < 300 or status == 304:
        return response
    if _is_challenge(response):
        raise FetchError(f"{url} asks whether a human reads it. Use the platform's export or its feed.", "challenge", status)
    if status in _RETRIED:
        outcome: Outcome = "rate_limited" if status == 429 else "server_error"
        message = f"{url} answered {status} again and again. Try later; nothing that was read before is lost."
        raise _TransientError(FetchError(message, outcome, status), _retry_after(response))
    if status in (404, 410):
        raise FetchError(f"{url} answered {status}: there is nothing. Check the address in a browser.", "gone", status)
    if status in (401, 402, 403, 407, 451):
        # GitHub says 403 where others say 429; its second limit, against haste, names only when to come back.
        if response.headers.get("x-ratelimit-remaining") == "0" or (status == 403 and "retry-after" in response.headers):
            raise _TransientError(FetchError(f"{url} counts too many requests.", "rate_limited", status), _retry_after(response))
        raise FetchError(f"{url} answered {status}: it is not for everyone. Use the platform's export.", "forbidden", status)
    outcome = "server_error" if status >= 500 else "malformed"
    raise FetchError(f"{url} answered {status}. Check the address in a browser.", outcome, status)


def _is_challenge(response: Response) -> bool:
    if response.headers.get("cf-mitigated") == "challenge" or response.status == 999:  # Cloudflare; LinkedIn
        return True
    head = response.content[:20_000].lower()
    return response.status in (403, 429, 503) and any(
        sign in head for sign in (b"cf-challenge", b"challenge-platform", b"just a moment...", b"captcha", b"px-captcha", b"datadome")
    )


def _retry_after(response: Response) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal() and len(value) < 10:
        return float(value)
    until = response.headers.get("x-ratelimit-reset", "") if response.headers.get("x-ratelimit-remaining") == "0" else ""
    if until.isdecimal() and len(until) < 12:
        return max(0.0, float(until) - time.time())
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time()) if value else None
    except (ValueError, OverflowError, TypeError):
        return None
