"""Pages in a real Chromium, against local sites: what scripts build, login walls, sessions, and what is not loaded."""

import asyncio
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from twin_assets.cli import app
from twin_assets.ingest import browser
from twin_assets.ingest.browser import LOGINS, Login, log_in, render, session_file
from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sources.linkedin_activity import LinkedInActivity
from twin_assets.ingest.sources.page import Page, is_built_by_script
from twin_assets.ingest.web import Limits, Web
from twin_assets.settings import Settings, get_settings
from twin_assets_tests.ingest.site import Answer, Route, Site, serve

PROSE = "The loaf came out flat, so I wrote down what the oven said and what it did, and they did not agree at all. " * 3
SCRIPT = f"const p = document.createElement('p'); p.textContent = {json.dumps(PROSE)};"
APP = (
    "<html><head><title>On bread</title></head><body><noscript>You need to enable JavaScript to run this app.</noscript><div id='root'></div>"
    f"<script>{SCRIPT} const a = document.createElement('article'); a.append(p); document.querySelector('#root').append(a);</script>"
    "<img src='/cover.png'></body></html>"
).encode()
STYLE = "<style>@font-face {font-family: x; src: url(/x.woff2)} body {font-family: x}</style>"
ME = "/in/jane-doe/recent-activity/all/"
CARD = (
    "<div class='feed-shared-update-v2' data-urn='urn:li:activity:7345821826846990338'><a href='/in/jane-doe'>Jane</a>"
    "<div class='update-components-text'>Words of my own.</div></div>"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a data home of their own and little patience, for the whole process."""
    monkeypatch.setenv("TWIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TWIN_CRAWL_PAGE_SECONDS", "20")
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


@pytest.fixture
def chromium(home: Settings) -> Settings:
    """The same, where a Chromium is installed."""
    with serve({"/": Answer(b"<p>Hello</p>")}) as site:
        try:
            render(f"{site.url}/", home)
        except SourceError as error:
            if error.outcome == "missing":
                pytest.skip(f"no Chromium: {error}")
            raise
    return home


def with_settings(settings: Settings, **changed: object) -> Settings:
    return settings.model_copy(update=changed)


def test_a_page_that_a_script_builds_is_read(chromium: Settings) -> None:
    with serve(
        {"/a": Answer(APP + STYLE.encode()), "/cover.png": Answer(b"x", "image/png"), "/x.woff2": Answer(b"x", "font/woff2")}
    ) as site:
        with Web(Limits(pause=0)) as web:
            (post,) = collect(open_source(f"{site.url}/a", web))
        assert (post.state, post.title) == ("kept", "On bread")
        assert post.blocks[0].text == PROSE.strip()
        assert site.requests["/cover.png"] == site.requests["/x.woff2"] == 0, "pictures and fonts are no words"
        assert {headers["user-agent"].partition("/")[0] for headers in site.headers} == {"llm-twin"}


def test_without_a_browser_the_post_is_unreadable_and_nothing_is_gone(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_CHROMIUM", "/nowhere/chromium")
    get_settings.cache_clear()
    with serve({"/a": Answer(APP)}) as site, Web(Limits(pause=0)) as web:
        source = open_source(f"{site.url}/a", web)
        (post,) = collect(source)
    assert (post.state, post.blocks) == ("unreadable", ())
    assert "/nowhere/chromium" in post.reason and "apt-get install chromium" in post.reason
    assert source.truncated


def test_no_browser_anywhere_is_said_with_how_to_get_one(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SourceError, match=r"there is none.*apt-get install chromium.*playwright install chromium") as failed:
        browser._program(home, Path("/nowhere/own"))
    assert failed.value.outcome == "missing"


def test_the_browser_that_is_set_comes_first_then_playwrights_then_the_systems(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, named = tmp_path / "own", tmp_path / "named"
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name == "google-chrome" else None)
    assert browser._program(home, own) == Path("/usr/bin/google-chrome")
    own.touch()
    assert browser._program(home, own) == own
    named.touch()
    assert browser._program(with_settings(home, chromium=named), own) == named


@pytest.mark.parametrize(
    ("html", "built"),
    [
        (APP, True),
        (b"<div id='__next'></div><script src='a.js'></script>", True),
        (b"<body><noscript>Please enable JavaScript.</noscript><script></script></body>", True),
        (f"<div id='root'><p>{PROSE}</p></div><script></script>".encode(), False),
        (b"<div id='root'></div>", False),
        (b"<p>A short page</p><script></script>", False),
        (b"", False),
    ],
)
def test_what_is_built_by_a_script(html: bytes, built: bool) -> None:
    assert is_built_by_script(html) is built


def test_saved_pages_and_questions_for_humans_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin_assets.ingest.sources.page.render", lambda *_: pytest.fail("opened in a browser"))
    assert [post.state for post in collect(Page("a.html", APP, name="a.html"))] == ["empty"]
    challenge = APP.replace(b"On bread", b"Just a moment...")
    assert [post.state for post in collect(Page("https://x.test/a", challenge, url="https://x.test/a"))] == ["unreadable"]


def redirect(to: str) -> Answer:
    return Answer(status=302, headers={"Location": to})


@pytest.mark.parametrize(
    ("routes", "outcome"),
    [
        ({"/a": redirect("/authwall?x=1"), "/authwall?x=1": Answer(b"<p>Join</p>")}, "needs_login"),
        ({"/a": redirect("/uas/login"), "/uas/login": Answer(b"<p>Sign in</p>")}, "needs_login"),
        ({"/a": redirect("/checkpoint/challenge/1"), "/checkpoint/challenge/1": Answer(b"<p>Puzzle</p>")}, "challenge"),
        ({"/a": Answer(b"<script>location.href = '/login'</script>"), "/login": Answer(b"<p>Sign in</p>")}, "needs_login"),
        ({"/a": Answer(b"<title>Just a moment...</title>")}, "challenge"),
        ({"/a": Answer(b"no", status=999)}, "challenge"),
        ({"/a": Answer(b"no", status=403)}, "forbidden"),
        ({"/a": Answer(b"no", status=429)}, "rate_limited"),
        ({"/a": Answer(b"no", status=503)}, "server_error"),
        ({}, "gone"),
        ({"/a": Answer(b"PK", "application/zip", headers={"Content-Disposition": "attachment"})}, "malformed"),
        ({"/a": redirect("/a")}, "malformed"),
    ],
)
def test_what_is_no_page_has_an_outcome(chromium: Settings, routes: dict[str, Route], outcome: str) -> None:
    with serve(routes) as site:
        with pytest.raises(SourceError) as failed:
            render(f"{site.url}/a", chromium)
        assert failed.value.outcome == outcome
        assert failed.value.__class__.__name__ == "FetchError"


def test_a_site_that_is_not_there_is_unreachable(chromium: Settings) -> None:
    with pytest.raises(SourceError) as failed:
        render("http://127.0.0.1:9/", chromium)
    assert failed.value.outcome in ("unreachable", "malformed")  # port 9 is one that Chromium refuses by itself
    with serve({}) as site:
        url = site.url
    with pytest.raises(SourceError) as failed:
        render(f"{url}/", chromium)
    assert failed.value.outcome == "unreachable"


@pytest.mark.parametrize(
    "html", [b"<script>while (true) {}</script>", b"<p>x</p><script>setTimeout(() => {while (true) {}}, 100)</script>"]
)
def test_a_page_that_never_ends_is_given_up(chromium: Settings, html: bytes) -> None:
    began = time.monotonic()
    with serve({"/a": Answer(html)}) as site, pytest.raises(SourceError) as failed:
        render(f"{site.url}/a", with_settings(chromium, crawl_page_seconds=2.0))
    assert failed.value.outcome == "timeout"
    assert time.monotonic() - began < 25


def test_a_page_opens_where_an_event_loop_runs(chromium: Settings) -> None:
    async def inside(url: str) -> str:
        return render(url, chromium).html

    with serve({"/a": Answer(b"<p>Hello</p>")}) as site:
        assert "Hello" in asyncio.run(inside(f"{site.url}/a"))


def test_looks_at_a_host_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(browser, "_last_look", {})
    monkeypatch.setattr("time.sleep", slept.append)
    for _ in range(3):
        browser._wait_for_turn("linkedin.example", 5.0)
    assert [round(wait) for wait in slept] == [5, 10]


def test_a_saved_page_is_served_and_read(chromium: Settings, test_data: Path) -> None:
    saved = (test_data / "pages_postlight" / "fixtures" / "www.linkedin.com.html").read_bytes()
    with serve({"/pulse/a": Answer(saved)}) as site:
        rendered = render(f"{site.url}/pulse/a", chromium)
        (post,) = collect(Page(f"{site.url}/pulse/a", rendered.html.encode(), url=rendered.url))
        (unrendered,) = collect(Page(f"{site.url}/pulse/a", saved, url=f"{site.url}/pulse/a"))
    assert post.state == unrendered.state == "kept"
    assert post.words > 100
    assert post.key == unrendered.key


# -- logging in


def logs_in(then: str = "") -> Callable[[BaseHTTPRequestHandler], Answer]:
    """A page on which, a moment later, somebody has logged in."""
    script = f"<script>setTimeout(() => {{document.cookie = 'li_at=secret; path=/; max-age=9999'; {then}}}, 300)</script>"
    return lambda request: Answer(f"<p>Log in</p>{script}".encode())


def only_for_members(request: BaseHTTPRequestHandler) -> Answer:
    if "li_at=secret" not in request.headers.get("cookie", ""):
        return redirect("/authwall")
    return Answer(f"<main>{CARD}</main>".encode())


@pytest.fixture
def linkedin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site that shows activity to nobody who has not logged in."""
    with serve({"/login": logs_in(), "/authwall": Answer(b"<p>Join</p>"), ME: only_for_members}) as site:
        monkeypatch.setitem(LOGINS, "linkedin", Login(f"{site.url}/login", "li_at", urlsplit(site.url).hostname or ""))
        yield site


def activity(site: Site, settings: Settings) -> LinkedInActivity:
    return LinkedInActivity(f"{site.url}/in/jane-doe/", f"{site.url}{ME}", "jane-doe", settings, session_file("linkedin", settings))


def test_a_session_is_saved_for_its_owner_alone_and_restored(chromium: Settings, linkedin: Site) -> None:
    path = log_in("linkedin", chromium, seconds=20, visible=False)
    assert path == session_file("linkedin", chromium) == chromium.home / "sessions" / "linkedin.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [cookie["name"] for cookie in json.loads(path.read_text())["cookies"]] == ["li_at"]
    source = activity(linkedin, chromium)
    (post,) = collect(source)
    assert (source.coverage, post.state, post.key) == ("newest", "kept", "urn:li:activity:7345821826846990338")
    log_in("linkedin", chromium, seconds=20, visible=False)  # again, over the old one
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_session_that_has_ended_needs_a_login_and_nothing_more_is_asked(chromium: Settings, linkedin: Site) -> None:
    path = log_in("linkedin", chromium, seconds=20, visible=False)
    path.write_text(path.read_text().replace("secret", "ended"))
    linkedin.requests.clear()
    with pytest.raises(SourceError) as failed:
        collect(activity(linkedin, chromium))
    assert failed.value.outcome == "needs_login"
    assert {path: count for path, count in linkedin.requests.items() if path != "/favicon.ico"} == {ME: 1, "/authwall": 1}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"cookies": 1}'])
def test_a_broken_session_needs_a_login(chromium: Settings, linkedin: Site, content: str) -> None:
    path = session_file("linkedin", chromium)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(SourceError) as failed:
        collect(activity(linkedin, chromium))
    assert failed.value.outcome == "needs_login"


def test_what_is_loaded_by_scrolling_is_read(chromium: Settings, linkedin: Site) -> None:
    more = json.dumps(CARD.replace("990338", "990339").replace("Words of my own.", "Older words."))
    grow = f"document.querySelector('main').insertAdjacentHTML('beforeend', {more})"
    script = f"<div style='height: 3000px'></div><script>addEventListener('scroll', () => {grow}, {{once: true}})</script>"
    linkedin.routes[ME] = Answer(f"<main>{CARD}</main>{script}".encode())
    log_in("linkedin", chromium, seconds=20, visible=False)
    assert [post.blocks[0].text for post in collect(activity(linkedin, chromium))] == ["Words of my own.", "Older words."]


def test_nobody_logs_in(chromium: Settings, linkedin: Site) -> None:
    linkedin.routes["/login"] = Answer(b"<p>Log in</p>")
    with pytest.raises(SourceError, match="Nobody logged in"):
        log_in("linkedin", chromium, seconds=1, visible=False)
    assert not session_file("linkedin", chromium).exists()


def test_the_window_is_closed_before_anybody_logs_in(chromium: Settings, linkedin: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = browser._logged_in

    async def close_and_wait(context: Any, login: Login, until: float) -> dict[str, Any]:
        await context.pages[0].close()
        return await wait(context, login, until)

    monkeypatch.setattr(browser, "_logged_in", close_and_wait)
    with pytest.raises(SourceError, match="window was closed"):
        log_in("linkedin", chromium, seconds=20, visible=False)


def test_cookies_of_others_are_not_kept(chromium: Settings, linkedin: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOGINS, "linkedin", Login(LOGINS["linkedin"].page, "li_at", "linkedin.com"))
    path = log_in("linkedin", chromium, seconds=20, visible=False)
    assert json.loads(path.read_text()) == {"cookies": [], "origins": []}


def test_without_a_screen_it_is_said_what_to_do(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SourceError, match=r"no screen.*sessions/linkedin\.json.*chmod 600"):
        log_in("linkedin", home)


def test_a_platform_that_cannot_be_logged_in_to_is_refused(home: Settings) -> None:
    with pytest.raises(SourceError, match="no 'myspace', only linkedin"):
        log_in("myspace", home)


def test_the_sandbox_is_off_only_for_root(chromium: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root here")
    asked: list[bool] = []

    async def launch(self: object, **options: object) -> object:
        asked.append(bool(options["chromium_sandbox"]))
        raise SourceError("enough")

    from playwright.async_api import BrowserType

    monkeypatch.setattr(BrowserType, "launch", launch)
    for user in (0, 1000):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        with pytest.raises(SourceError, match="enough"):
            render("http://127.0.0.1:1/", chromium)
    assert asked == [False, True]


def test_the_command_says_what_is_wrong_before_anything_opens(home: Settings) -> None:
    result = CliRunner().invoke(app, ["login", "myspace"])
    assert isinstance(result.exception, SourceError)
    assert result.output == ""


@pytest.mark.parametrize(
    ("url", "kind", "local", "loaded"),
    [
        ("https://example.com/a.js", "script", False, True),
        ("https://example.com/a.png", "image", False, False),
        ("http://127.0.0.1:8000/secret", "fetch", False, False),
        ("http://localhost/secret", "fetch", False, False),
        ("http://169.254.169.254/latest/meta-data", "fetch", False, False),
        ("http://192.168.1.1/", "xhr", False, False),
        ("http://[::1]/", "xhr", False, False),
        ("http://127.0.0.1:8000/a.js", "script", True, True),
    ],
)
def test_a_page_on_the_web_may_not_look_around_here(url: str, kind: str, local: bool, loaded: bool) -> None:
    done: list[bool] = []

    class Asked:
        request = SimpleNamespace(url=url, resource_type=kind)

        async def abort(self) -> None:
            done.append(False)

        async def continue_(self) -> None:
            done.append(True)

    asyncio.run(browser._load(cast("Any", Asked()), local=local))
    assert done == [loaded]
