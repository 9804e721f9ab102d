"""Fetching from the web: bounded in time, size and tries, and honest about who asks."""

import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import httpx
import structlog

from twin_assets.ingest.errors import FetchError

log = structlog.get_logger(__name__)

MAX_BYTES = 20 * 1024 * 1024
TRIES = 3
TOTAL_SECONDS = 60.0
_MAX_WAIT = 10.0
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Response:
    """What an address answered with."""

    url: str
    content: bytes
    content_type: str
    etag: str
    last_modified: str


def user_agent() -> str:
    """Says what asks."""
    try:
        return f"llm-twin/{version('llm-twin')} (reads its user's own posts)"
    except PackageNotFoundError:
        return "llm-twin (reads its user's own posts)"


def fetch(url: str, *, method: str = "GET") -> Response:
    """Fetches a web address.

    Raises:
        FetchError: When there is no answer, the answer is an error, or it is too large or too slow.
    """
    deadline = time.monotonic() + TOTAL_SECONDS
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=True, max_redirects=5, headers={"User-Agent": user_agent()}) as client:
        for attempt in range(1, TRIES + 1):
            try:
                return _once(client, method, url, deadline)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status not in _RETRIED or attempt == TRIES:
                    raise FetchError(f"{url} answered {status} {error.response.reason_phrase}. Check the address in a browser.") from error
                wait = _wait(error.response.headers.get("retry-after"), attempt)
            except (httpx.TransportError, httpx.TooManyRedirects) as error:
                if attempt == TRIES or isinstance(error, (httpx.UnsupportedProtocol, httpx.TooManyRedirects)):
                    raise FetchError(
                        f"No answer from {url}: {error or type(error).__name__}. Check the address and the network."
                    ) from error
                wait = _wait(None, attempt)
            except httpx.InvalidURL as error:
                raise FetchError(f"{url} is no web address: {error}.") from error
            log.info("fetch_again", url=url, attempt=attempt, wait=wait)
            time.sleep(wait)
    raise AssertionError("unreachable: the last try returns or raises")


def _once(client: httpx.Client, method: str, url: str, deadline: float) -> Response:
    with client.stream(method, url) as response:
        response.raise_for_status()
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) > MAX_BYTES:
                raise FetchError(f"{url} is larger than {MAX_BYTES // 1024 // 1024} MB: download it and add the file's parts.")
            if time.monotonic() > deadline:
                raise FetchError(f"{url} took longer than {TOTAL_SECONDS:.0f} s. Try again later, or download it and add the file.")
        headers = response.headers
        return Response(
            url=str(response.url),
            content=bytes(content),
            content_type=headers.get("content-type", "").lower(),
            etag=headers.get("etag", ""),
            last_modified=headers.get("last-modified", ""),
        )


def _wait(retry_after: str | None, attempt: int) -> float:
    if retry_after and retry_after.strip().isdecimal():
        return min(float(retry_after), _MAX_WAIT)
    return min(0.5 * 2.0 ** (attempt - 1), _MAX_WAIT)
