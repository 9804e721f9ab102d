"""Chromium, for pages that are built by a script, and for those that are shown to nobody who has not logged in.

A person logs in by hand, in a window that everything can be seen in; only that somebody is logged in is kept, never a password.
"""

import asyncio
import json
import os
import random
import re
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twin_assets.ingest.errors import FetchError, Outcome, SourceError
from twin_assets.ingest.web import is_local, user_agent
from twin_assets.settings import Settings

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, Response, Route

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_NOT_LOADED = frozenset({"image", "media", "font"})
_LOGIN_PATH = re.compile(r"/(authwall|(uas/|m/|accounts?/)?(log-?in|sign-?in)(-submit)?|sign-?up)/?$", re.IGNORECASE)
_CHALLENGE_PATH = re.compile(r"/(checkpoint|challenge|captcha)(/|$)", re.IGNORECASE)
_CHALLENGE = re.compile(
    r"<title>\s*(just a moment|attention required|verify you are human|are you a robot|security (check|verification))"
    r"|cf-challenge|px-captcha|id=\"captcha-internal\"",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(r"ERR_(NAME_|CONNECTION_|ADDRESS_|INTERNET_|NETWORK_|CERT_|SSL_|EMPTY_|PROXY_|TUNNEL_)")
_QUIET_SECONDS = 5.0
# Pages hear of a scroll at the next frame; a frame may never come on a page that is not painted.
_TO_THE_END = """new Promise((heard) => {
  window.scrollTo(0, document.documentElement.scrollHeight);
  requestAnimationFrame(() => requestAnimationFrame(heard));
  setTimeout(heard, 1000);
})"""
_WAIT_SECONDS = 15.0
_CLOSE_SECONDS = 10.0
_MOST_CHARACTERS = 32 * 1024 * 1024

_last_look: dict[str, float] = {}  # by host, for all reads of this process
_last_look_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page as its scripts have built it."""

    html: str
    url: str
    """The address after all redirects."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a person logs in to a platform."""

    page: str
    """Where."""
    cookie: str
    """Set once somebody is logged in."""
    domain: str
    """Whose cookies are kept; those of others, such as of a service that vouches for the person, are not."""


LOGINS = {"linkedin": Login("https://www.linkedin.com/login", "li_at", "linkedin.com")}
"""The platforms that one can log in to."""


def session_file(platform: str, settings: Settings) -> Path:
    """Where it is kept that somebody is logged in."""
    return settings.home / "sessions" / f"{platform}.json"


def render(
    url: str,
    settings: Settings,
    *,
    session: Path | None = None,
    wait_for: str = "",
    scrolls: int = 0,
    pause: tuple[float, float] = (0.0, 0.0),
) -> RenderedPage:
    """Opens a page in Chromium, without pictures, media and fonts, and lets its scripts build it.

    Args:
        url: The address.
        settings: Where the browser is, and how long a page may take.
        session: A file that ``log_in`` has saved: the page is opened as the person who is logged in.
        wait_for: A CSS selector of what the page is opened for; it is waited for, not insisted on.
        scrolls: How often to scroll on to what the page loads later.
        pause: The least and the most seconds between two looks at this host; one's own machine is not spared.

    Raises:
        SourceError: When there is no browser (outcome ``missing``), or no page that can be read: the outcome says why. A login wall is
            ``needs_login``, a question whether a human reads it ``challenge``; nothing more is asked of the site then.
    """
    host = urlsplit(url).hostname or ""
    pause = (0.0, 0.0) if is_local(host) else pause
    _wait_for_turn(host, random.uniform(*pause))  # noqa: S311
    with ThreadPoolExecutor(1, "browser") as thread:  # callers may have an event loop or none
        return thread.submit(asyncio.run, _render(url, settings, session, wait_for, scrolls, pause)).result()


def log_in(
    platform: str, settings: Settings, *, seconds: float = 600.0, visible: bool = True, on_open: Callable[[], None] = lambda: None
) -> Path:
    """Opens a window in which a person logs in by hand, and keeps that somebody is logged in, readable by this account alone.

    Args:
        platform: A key of ``LOGINS``.
        settings: Where the browser is, and where the session is kept.
        seconds: How long to wait for the person.
        visible: Off in tests, where nobody looks.
        on_open: Called just before the window opens.

    Returns:
        The file that ``render`` takes as ``session``.

    Raises:
        SourceError: When the platform is not known, there is no browser or no screen, or nobody has logged in.
    """
    if platform not in LOGINS:
        raise SourceError(f"twin login knows no {platform!r}, only {', '.join(LOGINS)}.", "missing")
    if visible and sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise SourceError(
            "There is no screen to open a browser window on. Run `twin login` on a machine with a desktop, then copy the file "
            f"sessions/{platform}.json from its data home to {session_file(platform, settings)}, readable by you alone (chmod 600).",
            "missing",
        )
    on_open()
    state = asyncio.run(_log_in(LOGINS[platform], settings, seconds, visible=visible))
    path = session_file(platform, settings)
    _save(path, json.dumps(state))
    return path


async def _render(
    url: str, settings: Settings, session: Path | None, wait_for: str, scrolls: int, pause: tuple[float, float]
) -> RenderedPage:
    from playwright.async_api import Error

    state: Any = _read_session(session) if session else None
    seconds = settings.crawl_page_seconds
    async with _chromium(settings) as browser:
        # A session belongs to the browser that somebody has logged in with; anything else says who asks.
        agent = None if session else user_agent(settings.crawl_contact)
        try:
            context = await browser.new_context(storage_state=state, user_agent=agent, accept_downloads=False, service_workers="block")
        except Error as error:
            raise _not_a_session(session, _first_line(error)) if session else _named(error, url, seconds) from error
        local = _is_internal(urlsplit(url).hostname or "")
        await context.route("**/*", lambda route: _load(route, local=local))
        page = await context.new_page()
        page.set_default_timeout(seconds * 1000)
        try:
            async with asyncio.timeout(seconds + scrolls * (pause[1] + _QUIET_SECONDS)):
                _check_status(await page.goto(url, wait_until="domcontentloaded"), url)
                await _settle(page, wait_for)
                await _scroll(page, url, scrolls, pause)
                html = await page.content()
        except (TimeoutError, Error) as error:
            raise _named(error, url, seconds) from error
        _check_page(page.url, html, url)
        return RenderedPage(html, page.url)


@asynccontextmanager
async def _chromium(settings: Settings, *, visible: bool = False) -> "AsyncIterator[Browser]":
    from playwright.async_api import Error, async_playwright

    async with async_playwright() as playwright:
        program = _program(settings, Path(playwright.chromium.executable_path))
        try:
            root = os.geteuid() == 0  # Chromium's sandbox refuses to run as root
            browser = await playwright.chromium.launch(executable_path=program, headless=not visible, chromium_sandbox=not root)
        except Error as error:
            raise SourceError(f"The browser {program} does not start: {_first_line(error)}. {_INSTALL}", "missing") from error
        try:
            yield browser
        finally:
            with suppress(Error, TimeoutError):
                await asyncio.wait_for(browser.close(), _CLOSE_SECONDS)


_INSTALL = (
    "Install one by `apt-get install chromium` or `playwright install chromium`, or name one in TWIN_CHROMIUM. Or save the page from your "
    "own browser and add the file."
)


def _program(settings: Settings, own: Path) -> Path:
    """The browser: the one that is set, else Playwright's own, else the system's."""
    if settings.chromium is not None:
        if settings.chromium.is_file():
            return settings.chromium
        raise SourceError(f"TWIN_CHROMIUM names {settings.chromium}, where there is no browser. {_INSTALL}", "missing")
    if own.is_file():
        return own
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        raise SourceError(f"This page needs a browser, and there is none. {_INSTALL}", "missing")
    return Path(found)


async def _load(route: "Route", *, local: bool) -> None:
    """Loads what makes up the words of a page. A page on the web may not look around on this machine and in its network."""
    from playwright.async_api import Error

    host = urlsplit(route.request.url).hostname or ""
    with suppress(Error):  # the page is closed already
        if route.request.resource_type in _NOT_LOADED or (not local and _is_internal(host)):
            await route.abort()
        else:
            await route.continue_()


def _is_internal(host: str) -> bool:
    """Whether a host is this machine or, given as a number, one that the web does not reach."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return is_local(host)


async def _settle(page: "Page", wait_for: str) -> None:
    """Waits until a page seems to be built: nothing more is loaded, and what is waited for is there."""
    from playwright.async_api import TimeoutError as NotYet

    with suppress(NotYet):
        await page.wait_for_load_state("networkidle", timeout=_QUIET_SECONDS * 1000)
    if wait_for:
        with suppress(NotYet):
            await page.wait_for_selector(wait_for, state="attached", timeout=_WAIT_SECONDS * 1000)


async def _scroll(page: "Page", url: str, scrolls: int, pause: tuple[float, float]) -> None:
    from playwright.async_api import TimeoutError as NotYet

    height = 0
    for _ in range(scrolls):
        _check_address(page.url, url)
        grown = await page.evaluate("document.documentElement.scrollHeight")
        if grown == height:
            return
        height = grown
        await page.evaluate(_TO_THE_END)
        await asyncio.sleep(random.uniform(*pause))  # noqa: S311
        with suppress(NotYet):
            await page.wait_for_load_state("networkidle", timeout=_QUIET_SECONDS * 1000)


def _check_status(response: "Response | None", url: str) -> None:
    if response is None:
        return
    _check_address(response.url, url)
    status = response.status
    if status < 400:
        return
    outcomes: dict[int, Outcome] = {401: "needs_login", 403: "forbidden", 404: "gone", 410: "gone", 429: "rate_limited", 999: "challenge"}
    outcome = outcomes.get(status, "server_error" if 500 <= status < 600 else "malformed")
    raise FetchError(f"{url} answered {status} in the browser. Use the platform's export, or try again later.", outcome, status)


def _check_page(address: str, html: str, url: str) -> None:
    _check_address(address, url)
    if len(html) > _MOST_CHARACTERS:
        raise FetchError(f"{url} is larger than {_MOST_CHARACTERS // 2**20} MB in the browser.", "too_large")
    if _CHALLENGE.search(html[:50_000]):
        raise FetchError(f"{url} asks whether a human reads it. Nothing more was asked of it; use the platform's export.", "challenge")


def _check_address(address: str, url: str) -> None:
    path, asked = urlsplit(address).path, urlsplit(url).path
    if path == asked:
        return
    if _CHALLENGE_PATH.search(path):
        raise FetchError(f"{url} asks whether a human reads it. Nothing more was asked of it; use the platform's export.", "challenge")
    if _LOGIN_PATH.search(path):
        raise FetchError(f"{url} asks for a login: nobody is logged in, or not any more. See `twin login`.", "needs_login")


def _named(error: Exception, url: str, seconds: float) -> FetchError:
    """What went wrong in the browser, as an error of a page."""
    from playwright.async_api import TimeoutError as TookTooLong

    if isinstance(error, TimeoutError | TookTooLong):
        return FetchError(f"{url} took longer than {seconds:.0f} s in the browser. Try again later.", "timeout")
    outcome: Outcome = "unreachable" if _UNREACHABLE.search(str(error)) else "malformed"
    return FetchError(f"{url} cannot be opened in the browser: {_first_line(error)}.", outcome)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _wait_for_turn(host: str, pause: float) -> None:
    with _last_look_lock:
        turn = max(time.monotonic(), _last_look.get(host, float("-inf")) + pause)
        _last_look[host] = turn
    if (wait := turn - time.monotonic()) > 0:
        time.sleep(wait)


async def _log_in(login: Login, settings: Settings, seconds: float, *, visible: bool) -> dict[str, Any]:
    from playwright.async_api import Error

    async with _chromium(settings, visible=visible) as browser:
        context = await browser.new_context(accept_downloads=False, no_viewport=True)
        page = await context.new_page()
        try:
            await page.goto(login.page, wait_until="domcontentloaded")
            return await _logged_in(context, login, time.monotonic() + seconds)
        except Error as error:
            if not context.pages or not browser.is_connected():
                raise SourceError("The window was closed before anybody had logged in; nothing was kept.", "needs_login") from error
            raise _named(error, login.page, seconds) from error


async def _logged_in(context: "BrowserContext", login: Login, until: float) -> dict[str, Any]:
    while time.monotonic() < until:
        if not context.pages:
            raise SourceError("The window was closed before anybody had logged in; nothing was kept.", "needs_login")
        if any(cookie.get("name") == login.cookie and cookie.get("value") for cookie in await context.cookies()):
            state = await context.storage_state()
            return {
                "cookies": [cookie for cookie in state.get("cookies", []) if _belongs(cookie.get("domain", ""), login)],
                "origins": [origin for origin in state.get("origins", []) if _belongs(urlsplit(origin["origin"]).hostname or "", login)],
            }
        await asyncio.sleep(0.5)
    raise SourceError("Nobody logged in within the time; nothing was kept. Run it again, with a longer --timeout.", "needs_login")


def _belongs(host: str, login: Login) -> bool:
    host = host.lstrip(".")
    return host == login.domain or host.endswith(f".{login.domain}")


def _read_session(path: Path) -> Any:
    try:
        state = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _not_a_session(path, str(error)) from error
    if not isinstance(state, dict):
        raise _not_a_session(path, "no object")
    return state


def _not_a_session(path: Path, why: str) -> SourceError:
    return SourceError(f"{path} holds nothing that `twin login` has kept: {why}. Run `twin login {path.stem}` again.", "needs_login")


def _save(path: Path, content: str) -> None:
    """Writes a file that nobody else may read, at no moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    part.replace(path)
