"""What a person wrote on GitHub, read through its REST API: READMEs, code, issues, pull requests, releases and comments."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode

from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import UnreadableTextError, decode_text
from twin_assets.ingest.markdown import plain_markdown_blocks
from twin_assets.ingest.plain import paragraphs
from twin_assets.ingest.posts import Block, Kind, Post, State, parse_date, post_key
from twin_assets.ingest.shapes import at, items, number_id, text
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.web import Web
from twin_assets.settings import get_settings


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


RANK = EXACT
MOST_FILES = 2000
"""Files of code that are read of one source."""
MOST_FILES_OF_ONE = 200
"""Files of code that are read of one repository: those nearest to its root."""
LARGEST_FILE = 100_000
"""Bytes: what is larger was hardly written by hand."""

_API = "https://api.github.com"
_NAME = re.compile(r"(?!\.+$)[\w.-]{1,100}", re.ASCII)
_FULL_NAME = re.compile(r"[\w-]{1,100}/(?!\.+$)[\w.-]{1,100}", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40,64}")
_PAGE = 100
_MOST_PAGES = 50
_SEARCH_WINDOW = 100
_STOPPING = frozenset({"rate_limited", "timeout", "server_error", "unreachable", "truncated"})
"""Outcomes after which the next request would end the same."""
_NOT_PEOPLE = _words(
    "about apps blog codespaces collections contact copilot customer-stories dashboard enterprise events explore features gist issues join "
    "login logout marketplace models new notifications orgs organizations pricing pulls readme search security sessions settings signup "
    "site sponsors stars team topics trending users watching"
)
_SUFFIXES = {
    "bash": "sh bash",
    "batch": "bat",
    "c": "c h",
    "clojure": "clj cljs",
    "cpp": "cc cpp cxx hh hpp",
    "csharp": "cs",
    "cython": "pyx",
    "elisp": "el",
    "elixir": "ex exs",
    "erlang": "erl",
    "fsharp": "fs",
    "groovy": "groovy gradle",
    "haskell": "hs",
    "hcl": "tf",
    "javascript": "js mjs cjs",
    "julia": "jl",
    "kotlin": "kt kts",
    "objective-c": "m mm",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "powershell": "ps1",
    "protobuf": "proto",
    "python": "py pyi",
    "racket": "rkt",
    "ruby": "rb",
    "rust": "rs",
    "scheme": "scm",
    "solidity": "sol",
    "typescript": "ts mts cts",
}
_OWN_SUFFIX = (
    "awk css d dart fish glsl go graphql html java jsx less lisp lua nim nix php r sass scala scss sql svelte swift tsx v vim vue zig zsh"
)
"""Languages that are called as their files end."""
_LANGUAGES = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes.split()} | {n: n for n in _OWN_SUFFIX.split()}
_LANGUAGES_BY_NAME = {"dockerfile": "dockerfile", "makefile": "makefile", "rakefile": "ruby", "gemfile": "ruby", "justfile": "just"}
_VENDORED = _words(
    "node_modules vendor vendors vendored third_party third-party thirdparty 3rdparty external externals extern deps bower_components "
    "jspm_packages site-packages .venv venv virtualenv pods carthage godeps .yarn"
)
_GENERATED = _words("dist build out target generated gen __generated__ autogen _build coverage .next .nuxt __snapshots__ __pycache__")
_GENERATED_NAME = re.compile(
    r"(_pb2(_grpc)?\.pyi?|\.pb\.(go|cc|h)|\.g\.dart|\.freezed\.dart|[._-]generated\.\w+|\.designer\.cs|\.gen\.\w+)$"
)
_LOCK = re.compile(r"(\.lock|[.-]lock\.\w+|^go\.sum|^npm-shrinkwrap\.json)$")
_MINIFIED = re.compile(r"([.-]min\.\w+|\.bundle\.js|\.map)$")
_GENERATED_MARK = re.compile(r"@generated\b|\bdo not (edit|modify)\b|\bauto-?generated\b|\bautomatically generated\b", re.IGNORECASE)
_MARK_STANDS_IN = 600
_LONGEST_LINE = 2000
_README = re.compile(r"readme(\.(md|markdown|mdown|txt|rst|adoc|org))?", re.IGNORECASE)
_README_FOLDERS = (".github", "", "docs")
"""Where GitHub looks for one, in this order."""
_OTHER_MARKUP = (".rst", ".adoc", ".org")
_BADGE = re.compile(
    r"\[?!\[[^\]\n]{0,200}\]\([^)\n]{0,300}(?:badge|shields\.io|travis-ci|codecov|/workflows/)[^)\n]{0,300}\)(?:\]\([^)\n]{0,500}\))?"
    r"|<img\b[^>]{0,500}(?:badge|shields\.io)[^>]{0,500}>"
)
_MAILED_REPLY = re.compile(r"^On .{5,200} wrote:[ \t]*\n(?=\s*>)", re.MULTILINE)
_RELEASE_LINES = re.compile(
    r"^([*-] .{1,500} by @[\w\[\]-]+ in https://github\.com/\S+|[*-] @\S+ made their first contribution in \S+|\*\*Full Changelog\*\*:.{0,500}"
    r"|#+ (What's Changed|New Contributors)|<!-- Release notes generated .{0,300})[ \t]*$",
    re.MULTILINE,
)


def from_address(address: Address) -> Source | None:
    """A person's profile, ``https://github.com/USER``, or one repository, ``https://github.com/USER/REPO``."""
    if address.host != "github.com" or len(address.parts) not in (1, 2) or address.parts[0].lower() in _NOT_PEOPLE:
        return None
    names = [part.removesuffix(".git") for part in address.parts]
    if not all(_NAME.fullmatch(name) for name in names):
        return None
    token = get_settings().github_token
    return GitHub(address.url, names[0], names[1] if len(names) > 1 else "", address.web, token.get_secret_value() if token else "")


@dataclass(slots=True)
class _Repository:
    """A repository of the person's own, and what is known of its files."""

    name: str
    branch: str
    pushed_at: datetime | None
    tree: list["_File"] = field(default_factory=list)
    readme: "_File | None" = None
    empty: bool = False
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    sha: str
    size: int
    link: bool


class GitHub(Source):
    """Reads a person's own repositories, and what the person said in them and elsewhere.

    What costs requests is asked for in the order of its worth: READMEs, issues, releases and comments, then code, each of the repository
    that was pushed to last first. Trees and files are named by what is in them, so that each is asked for once.

    Args:
        location: The address.
        user: Whose profile or repository it is.
        repository: Its name; empty for all.
        web: What to read through.
        token: For 5,000 requests an hour instead of 60; it goes to the API alone.
    """

    platform = "github"
    coverage: Coverage = "listing"
    truncated = ""

    def __init__(self, location: str, user: str, repository: str, web: Web, token: str = "") -> None:
        self.location = location
        self.user = user
        self.repository = repository
        self._web = web
        self._headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def read(self) -> Iterator[Post]:
        """One post per README, file of code, issue, pull request, release and comment; one more per repository for what was left out.

        Raises:
            SourceError: When there is no such person or repository, or it is not a person.
        """
        own: list[_Repository] = []
        for found in sorted(self._repositories(), key=lambda found: text(at(found, "pushed_at")), reverse=True):
            if reason := self._not_own(found):
                yield _about_repository(text(at(found, "full_name")) or number_id(at(found, "id")), "foreign", reason)
            else:
                pushed_at = parse_date(at(found, "pushed_at"))
                own.append(_Repository(text(at(found, "full_name")), text(at(found, "default_branch")) or "HEAD", pushed_at))
        try:
            yield from self._readmes(own)
            yield from self._issues()
            for repository in own:
                yield from self._conversations(repository)
            yield from self._code(own)
        except FetchError as error:  # one after which nothing more would come
            self._cut_short(error)
        for repository in own:
            if repository.empty:
                yield _about_repository(repository.name, "empty", "the repository is empty")
            elif repository.left_out:
                yield _about_repository(repository.name, "excluded", f"left out of it: {_listed(repository.left_out)}")

    def _repositories(self) -> list[Any]:
        answers: list[Any] = []
        try:
            if self.repository:
                answers.append(self._get(f"/repos/{self.user}/{self.repository}"))
            else:
                for repository in self._pages(f"/users/{self.user}/repos?type=owner&sort=pushed"):
                    answers.append(repository)
        except FetchError as error:
            if error.status == 401:
                raise SourceError("GitHub does not accept TWIN_GITHUB_TOKEN. Make a new one, or remove it.", "forbidden") from error
            if not answers:
                raise FetchError(self._patience(error), error.outcome, error.status) from error
            self._cut_short(error)
        found = [repository for repository in answers if isinstance(repository, dict)]
        if self.repository and found:
            self.user = text(at(found[0], "owner", "login")) or self.user  # whoever renames the account is still led here
        if found and all(at(repository, "owner", "type") == "Organization" for repository in found):
            raise SourceError(
                f"{self.location} belongs to an organization: which of its words are whose cannot be told. Name a person's profile, or "
                "a repository of it."
            )
        return found

    def _not_own(self, found: Mapping[str, Any]) -> str:
        """Why nothing of a repository is read; empty when it is."""
        owner, mirrored = text(at(found, "owner", "login")), text(at(found, "mirror_url"))
        if not _FULL_NAME.fullmatch(text(at(found, "full_name"))):
            return "GitHub's answer gives it no name"
        if owner.lower() != self.user.lower():
            return f"belongs to {owner or 'nobody'}"
        if at(found, "fork"):
            return "a fork of somebody else's repository"
        return f"a mirror of {mirrored}" if mirrored else ""

    def _readmes(self, own: list[_Repository]) -> Iterator[Post]:
        for repository in own:
            self._read_tree(repository)
            if repository.readme:
                yield self._readme(repository, repository.readme)

    def _read_tree(self, repository: _Repository) -> None:
        """Lists the files of the default branch. What was last pushed names the answer: as long as nothing is, it is not asked for."""
        stamp = repository.pushed_at.isoformat() if repository.pushed_at else ""
        path = f"/repos/{repository.name}/git/trees/{quote(repository.branch, safe='')}?recursive=1#{stamp}"
        found = self._ask(path, immutable=bool(stamp))
        repository.empty = found is None
        if at(found, "truncated") is True:
            self.truncated = self.truncated or f"{repository.name} has more files than GitHub lists"
        files = [file for entry in items(at(found, "tree")) if (file := _file(entry))]
        repository.readme = _readme_of(files)
        for file in sorted(files, key=lambda file: (file.path.count("/"), file.path)):
            if file is repository.readme:
                continue
            if reason := left_out(file.path, file.size, link=file.link):
                repository.left_out[reason] += 1
            elif len(repository.tree) >= MOST_FILES_OF_ONE:
                repository.left_out[f"files beyond the first {MOST_FILES_OF_ONE}"] += 1
            else:
                repository.tree.append(file)

    def _readme(self, repository: _Repository, file: _File) -> Post:
        if file.path.lower().endswith(_OTHER_MARKUP):
            return _file_post(repository, file, "article", "empty", f"its markup is not read: {PurePosixPath(file.path).suffix}")
        try:
            content = self._blob(repository, file)
        except UnreadableTextError as error:
            return _file_post(repository, file, "article", "unreadable", str(error))
        blocks = list(paragraphs(content)) if file.path.lower().endswith(".txt") else plain_markdown_blocks(_BADGE.sub("", content))
        title = repository.name.partition("/")[2]
        first = next((index for index, block in enumerate(blocks) if block.type == "heading" and block.level == 1), None)
        if first is not None:
            title = blocks.pop(first).text
        return _file_post(repository, file, "article", "kept", title=title, blocks=blocks)

    def _code(self, own: list[_Repository]) -> Iterator[Post]:
        taken = 0
        for repository in own:
            for file in repository.tree:
                if taken >= MOST_FILES:
                    repository.left_out[f"files beyond the first {MOST_FILES} of all repositories"] += 1
                    continue
                taken += 1
                try:
                    content = self._blob(repository, file)
                except UnreadableTextError as error:
                    yield _file_post(repository, file, "code", "unreadable", str(error))
                    continue
                if reason := machine_made(content):
                    yield _file_post(repository, file, "code", "excluded", reason, title=file.path)
                else:
                    block = Block("code", content, language=language(file.path))
                    yield _file_post(repository, file, "code", "kept", title=file.path, blocks=[block])

    def _blob(self, repository: _Repository, file: _File) -> str:
        """The text of a file.

        Raises:
            UnreadableTextError: When it is none, or GitHub does not give it.
            FetchError: When GitHub gives nothing more now.
        """
        try:
            found = self._get(f"/repos/{repository.name}/git/blobs/{file.sha}", immutable=True)
        except FetchError as error:
            if error.outcome in _STOPPING:
                raise
            raise UnreadableTextError(str(error)) from error
        content = at(found, "content")
        if not isinstance(content, str):
            raise UnreadableTextError("GitHub's answer holds no content")
        if at(found, "encoding") == "utf-8":
            return text(content)
        try:
            return decode_text(base64.b64decode(content))
        except (binascii.Error, ValueError) as error:
            raise UnreadableTextError(f"GitHub's answer cannot be decoded: {error}") from error

    def _issues(self) -> Iterator[Post]:
        """Issues and pull requests that the person opened, wherever that was."""
        seen: set[str] = set()
        for type in ("issue", "pr"):
            try:
                for found in self._search(f"author:{self.user} type:{type} is:public"):
                    post = self._written(found, "note", "issue")
                    if post.key not in seen:
                        yield post
                    seen.add(post.key)
            except FetchError as error:  # the search counts by itself: the rest may still answer
                self._cut_short(error)

    def _search(self, query: str) -> Iterator[Any]:
        """Everything that is found, newest first. A search shows a thousand at most, so the next page begins where the last one ended."""
        if self.repository:
            query += f" repo:{self.user}/{self.repository}"
        before, oldest = "", ""
        for _ in range(_SEARCH_WINDOW):
            asked = {"q": query + before, "sort": "created", "order": "desc", "per_page": str(_PAGE)}
            pause = 2.1 if "Authorization" in self._headers else 6.1  # 30 and 10 a minute
            found = self._get(f"/search/issues?{urlencode(asked)}", pause=pause)
            if at(found, "incomplete_results") is True:
                self.truncated = self.truncated or "GitHub's search did not get to its end"
            page = items(at(found, "items"))
            yield from page
            last = text(at(page[-1], "created_at")) if page else ""
            if len(page) < _PAGE or not parse_date(last):
                return
            if last == oldest:
                break
            before, oldest = f" created:<={last}", last
        raise FetchError(f"GitHub's search for {query} does not come to an end.", "malformed")

    def _conversations(self, repository: _Repository) -> Iterator[Post]:
        """Releases and comments of a repository that are the person's; those of others are counted, not kept."""
        base = f"/repos/{repository.name}"
        listings: tuple[tuple[str, Kind, str], ...] = (
            (f"{base}/releases?", "note", "release"),
            (f"{base}/issues/comments?sort=created&direction=desc", "comment", "issue-comment"),
            (f"{base}/pulls/comments?sort=created&direction=desc", "comment", "review-comment"),
        )
        for path, kind, sort in listings:
            try:
                for found in self._pages(path):
                    if self._is_mine(found):
                        yield self._written(found, kind, sort)
                    else:
                        repository.left_out[f"{sort.replace('-', ' ')}s by others"] += 1
            except FetchError as error:
                if error.outcome in _STOPPING:
                    raise
                if error.outcome != "gone":  # issues are switched off
                    self._cut_short(error)

    def _is_mine(self, found: object) -> bool:
        author = text(at(found, "user", "login")) or text(at(found, "author", "login"))
        return author.lower() == self.user.lower()

    def _written(self, found: object, kind: Kind, sort: str) -> Post:
        """An issue, a pull request, a release or a comment."""
        url, id = text(at(found, "html_url")), number_id(at(found, "id"))
        own_page = sort in ("issue", "release")
        key = (
            post_key(url) if own_page and url.startswith("https://github.com/") else None
        ) or f"urn:github:{sort}:{id or url or 'unknown'}"
        when = parse_date(at(found, "published_at") if sort == "release" else at(found, "created_at")) or parse_date(
            at(found, "created_at")
        )
        edited = parse_date(at(found, "updated_at")) if kind == "comment" else None
        body = text(at(found, "body"))
        state: State = "kept"
        reason = ""
        if not id or not isinstance(found, dict):
            state, reason = "unreadable", f"GitHub's answer holds no {sort.replace('-', ' ')}"
        elif at(found, "draft") is True and sort == "release":
            state, reason = "draft", "not published"
        elif not self._is_mine(found):
            state, reason = "foreign", f"written by {text(at(found, 'user', 'login')) or 'somebody else'}"
        title = text(at(found, "title")) or text(at(found, "name")) or text(at(found, "tag_name"))
        return Post(
            key=key,
            platform="github",
            kind=kind,
            origin=url.removeprefix("https://github.com/") or key,
            state=state,
            reason=reason,
            title=" ".join(title.split()) or None,
            url=url if url.startswith("https://github.com/") else None,
            published_at=when,
            edited_at=edited if edited and when and edited > when else None,
            blocks=tuple(written_blocks(body, release=sort == "release")) if state in ("kept", "draft") else (),
        )

    def _pages(self, path: str) -> Iterator[Any]:
        for number in range(1, _MOST_PAGES + 1):
            page = self._get(f"{path}{'' if path.endswith('?') else '&'}per_page={_PAGE}&page={number}")
            if not isinstance(page, list):
                raise FetchError(f"GitHub's answer to {path} is no list. Try again later.", "malformed")
            yield from page
            if len(page) < _PAGE:
                return
        self.truncated = self.truncated or f"{path} lists more than {_MOST_PAGES * _PAGE:,}"

    def _ask(self, path: str, *, immutable: bool) -> Any:
        """An answer, or None where there is nothing. What one repository refuses does not keep others from being read."""
        try:
            return self._get(path, immutable=immutable)
        except FetchError as error:
            if error.outcome in _STOPPING:
                raise
            if error.outcome != "gone" and error.status != 409:  # 409: a repository without a commit
                self._cut_short(error)
            return None

    def _get(self, path: str, *, immutable: bool = False, pause: float | None = None) -> Any:
        return self._web.get(_API + path, headers=self._headers, robots=False, immutable=immutable, pause=pause).json()

    def _cut_short(self, error: FetchError) -> None:
        self.truncated = self.truncated or self._patience(error)

    def _patience(self, error: FetchError) -> str:
        if error.outcome != "rate_limited":
            return str(error)
        hint = "" if "Authorization" in self._headers else " Set TWIN_GITHUB_TOKEN to be allowed 5,000 an hour instead of 60."
        return f"{error} The next run goes on from here.{hint}"


def left_out(path: str, size: int, *, link: bool = False) -> str:
    """Why a file is not fetched, as its name and size tell; empty when it is code that a person may have written."""
    parts = [part.lower() for part in PurePosixPath(path).parts]
    name = parts[-1] if parts else ""
    if link:
        return "links"
    if _VENDORED.intersection(parts[:-1]):
        return "vendored files"
    if _GENERATED.intersection(parts[:-1]) or _GENERATED_NAME.search(name):
        return "generated files"
    if _LOCK.search(name):
        return "lock files"
    if _MINIFIED.search(name):
        return "minified files"
    if not language(path):
        return "files that are no code"
    return f"files above {LARGEST_FILE // 1000} kB" if size > LARGEST_FILE else ""


def language(path: str) -> str | None:
    """The programming language that a file's name tells of."""
    name = PurePosixPath(path).name.lower()
    return _LANGUAGES_BY_NAME.get(name) or _LANGUAGES.get(name.rpartition(".")[2] if "." in name else "")


def machine_made(content: str) -> str:
    """Why code was hardly written by a person; empty when it may have been."""
    if _GENERATED_MARK.search(content[:_MARK_STANDS_IN]):
        return "its head says that it is generated"
    lines = content.split("\n")
    return "minified or data: its lines are too long" if max(map(len, lines)) > _LONGEST_LINE else ""


def written_blocks(body: str, *, release: bool = False) -> list[Block]:
    """The blocks of an issue, a release or a comment: quotes marked, what templates and mail programs add taken off.

    Args:
        body: The Markdown.
        release: Whether lists of pull requests may stand in it that GitHub makes.
    """
    body = _MAILED_REPLY.sub("", body.replace("\r\n", "\n"))
    return plain_markdown_blocks(_RELEASE_LINES.sub("", body) if release else body, breaks=True)


def _file(entry: object) -> _File | None:
    """A file of a tree; folders and submodules are none."""
    path, sha, size = text(at(entry, "path")), text(at(entry, "sha")), at(entry, "size")
    if at(entry, "type") != "blob" or not path or not _SHA.fullmatch(sha):
        return None
    return _File(path, sha, size if isinstance(size, int) else 0, link=at(entry, "mode") == "120000")


def _readme_of(files: Iterable[_File]) -> _File | None:
    found = [
        (_README_FOLDERS.index(folder), not file.path.lower().endswith((".md", ".markdown")), file.path, file)
        for file in files
        if (folder := file.path.rpartition("/")[0]) in _README_FOLDERS and _README.fullmatch(file.path.rpartition("/")[2]) and not file.link
    ]
    return min(found, key=lambda entry: entry[:3])[-1] if found else None


def _file_post(
    repository: _Repository,
    file: _File,
    kind: Kind,
    state: State,
    reason: str = "",
    *,
    title: str | None = None,
    blocks: Iterable[Block] = (),
) -> Post:
    url = f"https://github.com/{repository.name}/blob/{quote(repository.branch)}/{quote(file.path)}"
    return Post(
        key=post_key(url) or f"urn:github:blob:{file.sha}",
        platform="github",
        kind=kind,
        origin=f"{repository.name}/{file.path}",
        state=state,
        reason=reason,
        title=title,
        url=url,
        blocks=tuple(blocks),
    )


def _about_repository(name: str, state: State, reason: str) -> Post:
    return Post(f"urn:github:repository:{name.lower() or 'unknown'}", "github", "note", name or "unknown", state, reason)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} ({count:,})" for what, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
