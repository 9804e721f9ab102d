import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address
from twin_assets.ingest.sources import github
from twin_assets.ingest.web import Limits, MemoryPages, Web
from twin_assets.settings import Settings

TOKEN = "ghp_secret"
PROFILE = "https://github.com/Jane"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    use_token(monkeypatch, None)


def use_token(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    settings = Settings(github_token=SecretStr(token) if token is not None else None)  # pyright: ignore[reportCallIssue]
    monkeypatch.setattr(github, "get_settings", lambda: settings)


def sha(content: str | bytes) -> str:
    return hashlib.sha1(content.encode() if isinstance(content, str) else content).hexdigest()


class Hub:
    """The API with these repositories and things written in them. Every request is counted by path."""

    def __init__(self) -> None:
        self.repositories: list[Any] = []
        self.trees: dict[str, Any] = {}
        self.blobs: dict[str, bytes] = {}
        self.issues: list[Any] = []
        self.listings: dict[str, list[Any]] = {}
        self.asked: list[httpx.Request] = []
        self.left = 10_000
        """Requests that are still allowed, beside searches."""
        self.fails: dict[str, httpx.Response] = {}

    def add(self, name: str, files: dict[str, str | bytes] | None = None, *, pushed: str = "2024-01-01T00:00:00Z", **fields: Any) -> None:
        full = f"Jane/{name}"
        self.repositories.append(
            {"full_name": full, "owner": {"login": "Jane", "type": "User"}, "default_branch": "main", "pushed_at": pushed, **fields}
        )
        entries: list[dict[str, Any]] = []
        for path, content in (files or {}).items():
            data = content.encode() if isinstance(content, str) else content
            self.blobs[sha(data)] = data
            entries.append({"path": path, "type": "blob", "mode": "100644", "sha": sha(data), "size": len(data)})
        self.trees[full] = {"sha": "0" * 40, "tree": entries, "truncated": False}

    def paths(self) -> Counter[str]:
        return Counter(request.url.path for request in self.asked)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "api.github.com"
        self.asked.append(request)
        path = request.url.path
        if path in self.fails:
            return self.fails[path]
        if path == "/search/issues":
            kind = request.url.params["q"]
            found = [issue for issue in self.issues if ("type:pr" in kind) == ("pull_request" in issue)]
            return httpx.Response(200, json={"total_count": len(found), "incomplete_results": False, "items": found})
        self.left -= 1
        if self.left < 0:
            return httpx.Response(403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"})
        return self.answer(request, path)

    def answer(self, request: httpx.Request, path: str) -> httpx.Response:
        first = int(request.url.params.get("page", "1")) - 1
        if path == "/users/Jane/repos":
            return httpx.Response(200, json=self.repositories[first * 100 :][:100])
        _, _, owner, name, *rest = path.split("/")
        full, what = f"{owner}/{name}", "/".join(rest)
        if not what:
            found = [repository for repository in self.repositories if repository["full_name"] == full]
            return httpx.Response(200, json=found[0]) if found else httpx.Response(404)
        if what.startswith("git/trees/"):
            return httpx.Response(200, json=self.trees[full]) if self.trees[full] else httpx.Response(409)
        if what.startswith("git/blobs/"):
            content = base64.encodebytes(self.blobs[rest[-1]]).decode()
            return httpx.Response(200, json={"encoding": "base64", "content": content})
        return httpx.Response(200, json=self.listings.get(path, [])[first * 100 :][:100])


def web(handler: Callable[[httpx.Request], httpx.Response], pages: MemoryPages | None = None) -> Web:
    return Web(Limits(pause=0, tries=2), pages, sleep=lambda seconds: None, transport=httpx.MockTransport(handler))


def source(web: Web, url: str = PROFILE) -> github.GitHub:
    found = github.from_address(Address(url, web))
    assert isinstance(found, github.GitHub)
    return found


def read(hub: Hub, url: str = PROFILE) -> dict[str, Post]:
    with web(hub) as crawl:
        return {post.origin: post for post in collect(source(crawl, url))}


def texts(post: Post) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in post.blocks]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Web, "_wait_for_turn", lambda *_: None)  # searches wait longer than tests should


def issue(number: int, body: str | None, *, repository: str = "Jane/boat", **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "html_url": f"https://github.com/{repository}/issues/{number}",
        "title": f"Issue {number}",
        "body": body,
        "user": {"login": "jane"},
        "created_at": "2024-03-05T10:00:00Z",
        "updated_at": "2024-04-05T10:00:00Z",
        **fields,
    }


def comment(id: int, body: str, login: str = "Jane", **fields: Any) -> dict[str, Any]:
    when = "2024-03-05T10:00:00Z"
    url = f"https://github.com/Jane/boat/issues/1#issuecomment-{id}"
    return {"id": id, "html_url": url, "body": body, "user": {"login": login}, "created_at": when, "updated_at": when, **fields}


def test_readmes_are_articles_without_badges() -> None:
    hub = Hub()
    badge = "[![Build](https://img.shields.io/x.svg)](https://ci.example)"
    hub.add("boat", {"README.md": f"# Boat\n\n{badge}\n\nIt floats, mostly.\n\nUse `{{{{ name }}}}` in texts.\n\n<!-- hidden -->\n"})
    post = read(hub)["Jane/boat/README.md"]
    assert (post.state, post.kind, post.title) == ("kept", "article", "Boat")
    assert post.key == "https://github.com/Jane/boat/blob/main/README.md"
    assert texts(post) == [("paragraph", "It floats, mostly."), ("paragraph", "Use `{{ name }}` in texts.")]


def test_code_is_verbatim_with_its_language() -> None:
    code = "def f(x):\n\n    return  x  # ’é\n\n"
    hub = Hub()
    hub.add("boat", {"src/a b.py": code, "Makefile": "all:\n\tgo\n", "lib.rs": "fn main() {}"})
    posts = read(hub)
    assert posts["Jane/boat/src/a b.py"].blocks[0].text == code
    assert posts["Jane/boat/src/a b.py"].url == "https://github.com/Jane/boat/blob/main/src/a%20b.py"
    found = {origin: (post.kind, post.blocks[0].language, post.state) for origin, post in posts.items()}
    assert found == {
        "Jane/boat/src/a b.py": ("code", "python", "kept"),
        "Jane/boat/Makefile": ("code", "makefile", "kept"),
        "Jane/boat/lib.rs": ("code", "rust", "kept"),
    }


@pytest.mark.parametrize(
    ("path", "size", "reason"),
    [
        ("node_modules/x/index.js", 10, "vendored files"),
        ("app/Vendor/x.go", 10, "vendored files"),
        ("dist/app.js", 10, "generated files"),
        ("api/x_pb2.py", 10, "generated files"),
        ("api/x.pb.go", 10, "generated files"),
        ("package-lock.json", 10, "lock files"),
        ("Cargo.lock", 10, "lock files"),
        ("go.sum", 10, "lock files"),
        ("js/jquery.min.js", 10, "minified files"),
        ("photo.png", 10, "files that are no code"),
        ("data.csv", 10, "files that are no code"),
        ("docs/page.md", 10, "files that are no code"),
        ("LICENSE", 10, "files that are no code"),
        ("big.py", 200_000, "files above 100 kB"),
        ("a/b.py", 10, ""),
        ("vendor.py", 10, ""),
        ("distance/a.py", 10, ""),
        ("block.py", 10, ""),
        ("admin.js", 10, ""),
    ],
)
def test_what_nobody_wrote_by_hand_is_left_out(path: str, size: int, reason: str) -> None:
    assert github.left_out(path, size) == reason


def test_files_that_are_left_out_are_not_fetched_and_are_counted() -> None:
    hub = Hub()
    hub.add("boat", {"a.py": "x = 1", "node_modules/b.js": "y", "c.png": b"\x89PNG", "d.csv": "1,2", "yarn.lock": "z"})
    link = {"path": "link.py", "type": "blob", "mode": "120000", "sha": sha("a.py"), "size": 4}
    folder = {"path": "src", "type": "tree", "mode": "040000", "sha": sha("src")}
    hub.trees["Jane/boat"]["tree"] += [link, folder]
    posts = read(hub)
    assert [path for path in hub.paths() if "/blobs/" in path] == [f"/repos/Jane/boat/git/blobs/{sha('x = 1')}"]
    assert (posts["Jane/boat"].state, posts["Jane/boat"].reason) == (
        "excluded",
        "left out of it: files that are no code (2), links (1), lock files (1), vendored files (1)",
    )


def test_generated_and_minified_code_is_told_by_its_text() -> None:
    hub = Hub()
    hub.add("boat", {"a.go": "// Code generated by x. DO NOT EDIT.\n", "b.js": "x=1;" * 600, "c.py": "# I do not edit this often\nx = 2"})
    posts = read(hub)
    assert [posts[f"Jane/boat/{name}"].state for name in ("a.go", "b.js")] == ["excluded", "excluded"]
    assert posts["Jane/boat/a.go"].blocks == ()


def test_forks_and_mirrors_are_foreign_and_not_asked_for() -> None:
    hub = Hub()
    hub.add("fork", {"a.py": "x"}, fork=True)
    hub.add("mirror", {"a.py": "x"}, mirror_url="https://example.com/x.git")
    hub.add("others", {"a.py": "x"}, owner={"login": "Bob", "type": "User"})
    posts = read(hub)
    assert {origin: (post.state, post.reason) for origin, post in posts.items()} == {
        "Jane/fork": ("foreign", "a fork of somebody else's repository"),
        "Jane/mirror": ("foreign", "a mirror of https://example.com/x.git"),
        "Jane/others": ("foreign", "belongs to Bob"),
    }
    assert not any(path.startswith("/repos/") for path in hub.paths())


def test_an_empty_repository_is_accounted_for() -> None:
    hub = Hub()
    hub.add("new")
    hub.trees["Jane/new"] = None
    with web(hub) as crawl:
        found = source(crawl)
        assert [(post.state, post.reason) for post in found.read()] == [("empty", "the repository is empty")]
    assert found.truncated == ""


def test_issues_keep_line_breaks_mark_quotes_and_lose_templates() -> None:
    body = (
        "<!-- Describe the bug -->\r\nIt sinks.\r\nSlowly.\r\n\r\n> You said it floats\r\n\r\nIt does not.\n"
        "```py\nx  =  1\n```\nOn Mon, Bob wrote:\n> words"
    )
    hub = Hub()
    hub.issues = [issue(1, body), issue(2, None), issue(3, "A pull.", repository="Bob/raft", pull_request={})]
    posts = read(hub)
    first = posts["Jane/boat/issues/1"]
    assert (first.kind, first.title, first.key) == ("note", "Issue 1", "https://github.com/Jane/boat/issues/1")
    assert texts(first) == [
        ("paragraph", "It sinks.\nSlowly."),
        ("quote", "You said it floats"),
        ("paragraph", "It does not."),
        ("code", "x  =  1"),
        ("quote", "words"),
    ]
    assert first.edited_at is None
    assert posts["Jane/boat/issues/2"].state == "empty"
    assert posts["Bob/raft/issues/3"].state == "kept"


def test_comments_are_mine_or_only_counted() -> None:
    hub = Hub()
    hub.add("boat")
    later = "2024-03-06T10:00:00Z"
    hub.listings["/repos/Jane/boat/issues/comments"] = [
        comment(11, "> you\n\nMe."),
        comment(12, "Bob's words.", "bob"),
        comment(13, "Other.", "JANE", updated_at=later),
    ]
    hub.listings["/repos/Jane/boat/pulls/comments"] = [comment(14, "Nice.", "bot[bot]")]
    posts = read(hub)
    assert "Bob's words" not in repr(posts)
    assert posts["Jane/boat"].reason == "left out of it: issue comments by others (1), review comments by others (1)"
    mine = posts["Jane/boat/issues/1#issuecomment-11"]
    assert (mine.key, mine.kind, texts(mine)) == ("urn:github:issue-comment:11", "comment", [("quote", "you"), ("paragraph", "Me.")])
    assert str(posts["Jane/boat/issues/1#issuecomment-13"].edited_at) == "2024-03-06 10:00:00+00:00"


def test_releases_lose_what_github_writes_into_them() -> None:
    body = (
        "Now with sails.\n\n## What's Changed\n* Fix mast by @jane in https://github.com/Jane/boat/pull/2\n\n"
        "**Full Changelog**: https://github.com/Jane/boat/compare/a...b"
    )
    url = "https://github.com/Jane/boat/releases/tag/v1"
    when = "2024-03-05T10:00:00Z"
    hub = Hub()
    hub.add("boat")
    hub.listings["/repos/Jane/boat/releases"] = [
        {"id": 1, "html_url": url, "name": "One", "body": body, "author": {"login": "Jane"}, "published_at": when},
        {"id": 2, "html_url": f"{url}2", "body": "x", "author": {"login": "Jane"}, "draft": True},
    ]
    posts = read(hub)
    assert texts(posts["Jane/boat/releases/tag/v1"]) == [("paragraph", "Now with sails.")]
    assert posts["Jane/boat/releases/tag/v12"].state == "draft"


def test_one_repository_can_be_named() -> None:
    hub = Hub()
    hub.add("boat", {"README.md": "Words."})
    hub.add("raft", {"README.md": "Others."})
    hub.issues = [issue(1, "Words here.")]
    assert sorted(read(hub, "https://github.com/Jane/boat.git")) == ["Jane/boat/README.md", "Jane/boat/issues/1"]
    assert all("repo:Jane/boat" in request.url.params["q"] for request in hub.asked if request.url.path == "/search/issues")


def test_an_organization_is_no_person() -> None:
    hub = Hub()
    hub.add("boat", owner={"login": "Jane", "type": "Organization"})
    with pytest.raises(SourceError, match="belongs to an organization"):
        read(hub)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com",
        "https://github.com/topics/boats",
        "https://github.com/jane/boat/blob/main/a.py",
        "https://gist.github.com/jane/1",
        "https://github.com/jane/..",
        "https://example.com/jane",
    ],
)
def test_other_addresses_are_left_to_others(url: str) -> None:
    assert github.from_address(Address(url, Web())) is None


def test_the_token_goes_to_the_api_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    use_token(monkeypatch, TOKEN)
    seen: list[tuple[str, str | None]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("authorization")))
        if request.url.host == "api.github.com":
            return httpx.Response(302, headers={"location": "https://elsewhere.example/"})
        return httpx.Response(200, json=[])

    with web(handler) as crawl:
        list(source(crawl).read())
    assert {host: sent for host, sent in seen} == {"api.github.com": f"Bearer {TOKEN}", "elsewhere.example": None}


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_none_is_sent(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    use_token(monkeypatch, token)
    hub = Hub()
    hub.add("boat", {"README.md": "Words."})
    read(hub)
    assert all("authorization" not in request.headers for request in hub.asked)


def test_a_refused_token_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    use_token(monkeypatch, TOKEN)
    with pytest.raises(SourceError, match="TWIN_GITHUB_TOKEN") as caught:
        read(_failing("/users/Jane/repos", httpx.Response(401)))
    assert TOKEN not in str(caught.value)


def _failing(path: str, response: httpx.Response) -> Hub:
    hub = Hub()
    hub.fails[path] = response
    return hub


def test_an_unknown_person_is_gone() -> None:
    with pytest.raises(FetchError) as caught:
        read(_failing("/users/Jane/repos", httpx.Response(404)))
    assert caught.value.outcome == "gone"


def test_what_is_not_pushed_to_is_not_asked_for_again() -> None:
    hub = Hub()
    hub.add("boat", {"README.md": "Words.", "a.py": "x = 1"})
    hub.add("raft", {"README.md": "Other words.", "b.py": "y = 1"})
    pages = MemoryPages()
    with web(hub, pages) as crawl:
        first = {post.key: post.content_hash for post in collect(source(crawl))}
    hub.asked.clear()
    with web(hub, pages) as crawl:
        assert {post.key: post.content_hash for post in collect(source(crawl))} == first
    assert not any("/git/" in path for path in hub.paths())
    hub.repositories[1]["pushed_at"] = "2024-02-02T00:00:00Z"
    hub.blobs[sha("y = 2")] = b"y = 2"
    hub.trees["Jane/raft"]["tree"][1]["sha"] = sha("y = 2")
    hub.asked.clear()
    with web(hub, pages) as crawl:
        changed = {post.key for post in collect(source(crawl)) if first.get(post.key) != post.content_hash}
    assert changed == {"https://github.com/Jane/raft/blob/main/b.py"}
    assert [path for path in hub.paths() if "/git/" in path] == [
        "/repos/Jane/raft/git/trees/main",
        f"/repos/Jane/raft/git/blobs/{sha('y = 2')}",
    ]


def test_a_read_that_is_out_of_requests_gets_readmes_of_the_newest_first_and_goes_on() -> None:
    hub = Hub()
    for number in range(30):
        hub.add(f"boat{number}", {"README.md": f"Words {number}.", "a.py": f"x = {number}"}, pushed=f"2024-01-{number + 1:02d}T00:00:00Z")
    hub.issues = [issue(1, "Words here.")]
    hub.left = 60
    pages = MemoryPages()
    crawl = web(hub, pages)
    with crawl:
        found = source(crawl)
        posts = [post for post in found.read() if post.state == "kept"]
    assert "TWIN_GITHUB_TOKEN" in found.truncated
    assert [post.origin for post in posts][:2] == ["Jane/boat29/README.md", "Jane/boat28/README.md"]
    assert len(posts) == 29
    for _ in range(4):
        hub.left = 60
        with Web(Limits(pause=0), pages, since=crawl.since, sleep=lambda seconds: None, transport=httpx.MockTransport(hub)) as again:
            found = source(again)
            posts = collect(found)
        if not found.truncated:
            break
    assert found.truncated == ""
    assert Counter((post.kind, post.state) for post in posts) == {("article", "kept"): 30, ("code", "kept"): 30, ("note", "kept"): 1}


def test_a_first_request_out_of_limit_is_an_error_with_advice() -> None:
    hub = Hub()
    hub.left = 0
    with pytest.raises(FetchError, match="TWIN_GITHUB_TOKEN") as caught:
        read(hub)
    assert caught.value.outcome == "rate_limited"


def test_a_limit_of_the_search_keeps_the_rest() -> None:
    hub = _failing("/search/issues", httpx.Response(403, headers={"retry-after": "9999"}))
    hub.add("boat", {"README.md": "Words.", "a.py": "x = 1"})
    with web(hub) as crawl:
        found = source(crawl)
        assert len(list(found.read())) == 2
    assert found.truncated


def test_what_one_repository_refuses_keeps_the_others() -> None:
    hub = _failing("/repos/Jane/bad/git/trees/main", httpx.Response(451))
    hub.fails["/repos/Jane/boat/issues/comments"] = httpx.Response(410)
    hub.add("bad")
    hub.add("boat", {"README.md": "Words."})
    with web(hub) as crawl:
        found = source(crawl)
        assert [post.origin for post in found.read() if post.state == "kept"] == ["Jane/boat/README.md"]
    assert "451" in found.truncated


def test_listings_that_fail_midway_are_cut_short() -> None:
    hub = Hub()
    for number in range(100):
        hub.add(f"boat{number}")

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500) if request.url.params.get("page") == "2" else hub(request)

    with web(handler) as crawl:
        found = source(crawl)
        list(found.read())
    assert "500" in found.truncated


def test_a_tree_that_is_cut_short_is_said() -> None:
    hub = Hub()
    hub.add("boat", {"README.md": "Words."})
    hub.trees["Jane/boat"]["truncated"] = True
    with web(hub) as crawl:
        found = source(crawl)
        list(found.read())
    assert found.truncated == "Jane/boat has more files than GitHub lists"


def test_more_files_than_the_caps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "MOST_FILES_OF_ONE", 3)
    monkeypatch.setattr(github, "MOST_FILES", 4)
    hub = Hub()
    hub.add("new", {f"a{number}.py": f"a = {number}" for number in range(5)}, pushed="2024-02-02T00:00:00Z")
    hub.add("old", {f"b{number}.py": f"b = {number}" for number in range(2)})
    posts = read(hub)
    assert sum(post.kind == "code" for post in posts.values()) == 4
    assert posts["Jane/new"].reason == "left out of it: files beyond the first 3 (2)"
    assert posts["Jane/old"].reason == "left out of it: files beyond the first 4 of all repositories (1)"


def test_a_search_goes_beyond_its_first_hundred() -> None:
    moments = [divmod(400 - number, 60) for number in range(250)]
    found = [issue(n, f"Words {n}.", created_at=f"2024-01-01T00:{m:02d}:{s:02d}Z") for n, (m, s) in enumerate(moments)]

    def handler(request: httpx.Request) -> httpx.Response:
        query = request.url.params.get("q", "")
        if request.url.path != "/search/issues" or "type:pr" in query:
            return httpx.Response(200, json=[] if request.url.path.startswith("/users") else {"items": []})
        before = query.partition("created:<=")[2]
        return httpx.Response(200, json={"items": [item for item in found if not before or item["created_at"] <= before][:100]})

    with web(handler) as crawl:
        assert len(collect(source(crawl))) == 250


def test_files_that_cannot_be_read_are_named() -> None:
    hub = Hub()
    hub.add("boat", {"README.md": b"\xff\xfe\x00", "a.py": b"caf\xe9", "README.rst": "Words", "b.py": "x"})
    hub.fails[f"/repos/Jane/boat/git/blobs/{sha('x')}"] = httpx.Response(404)
    posts = read(hub)
    assert {origin: post.state for origin, post in posts.items()} == {
        "Jane/boat/README.md": "unreadable",
        "Jane/boat/a.py": "unreadable",
        "Jane/boat/b.py": "unreadable",
        "Jane/boat": "excluded",
    }


_NAMES = (
    "full_name owner login type default_branch pushed_at fork mirror_url tree path sha size mode truncated items id html_url title body user "
    "created_at updated_at author draft name tag_name published_at content encoding incomplete_results"
)
_KNOWN = st.sampled_from(
    ["Jane", "Jane/boat", "blob", "README.md", "a.py", "0" * 40, "https://github.com/Jane/boat/issues/1", "\ud800", "base64"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10) | _KNOWN
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_NAMES.split(" ")), inner, max_size=10),
    max_leaves=20,
)
_REPOSITORY = st.fixed_dictionaries({"full_name": st.just("Jane/boat"), "owner": st.just({"login": "Jane"})}, optional={"pushed_at": _JSON})
_FILE = st.fixed_dictionaries({"path": st.sampled_from(["a.py", "README.md"]) | _JSON, "type": st.just("blob"), "sha": st.just("0" * 40)})


@given(
    st.lists(_REPOSITORY | _JSON, max_size=3),
    st.lists(_FILE | _JSON, max_size=3).map(lambda tree: {"tree": tree}) | _JSON,
    _JSON | st.text().map(lambda text: {"content": text, "encoding": "base64"}),
    _JSON | st.lists(_JSON, max_size=3).map(lambda found: {"items": found}),
    _JSON,
)
def test_json_of_any_shape_is_survived(repositories: list[Any], tree: Any, blob: Any, search: Any, listing: Any) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        answer = (
            repositories
            if path.startswith("/users/")
            else tree
            if "/git/trees/" in path
            else blob
            if "/git/blobs/" in path
            else search
            if path == "/search/issues"
            else listing
        )
        return httpx.Response(200, content=json.dumps(answer))

    with web(handler) as crawl:
        for post in collect(source(crawl)):
            assert post.state == "kept" or post.reason
            repr(post).encode()


@given(st.text(alphabet="> \n-*_`#<!->[]()@On wrote:"))
def test_markdown_of_any_shape_is_survived(body: str) -> None:
    github.written_blocks(body, release=True)
