"""DEV (dev.to): a member's articles by the public API, or all of one's own by the export."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from twin_assets.ingest import shapes
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.failures import Failures
from twin_assets.ingest.files import Files, UnreadableTextError, not_read, read_text
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.markdown import FrontMatterError, markdown_blocks, split_front_matter
from twin_assets.ingest.posts import Block, Post, State, bylines, canonical_url, not_a_text, parse_date, post_key
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.web import Web

RANK = EXACT
_SITE = "https://dev.to"
_HEADERS = {"Accept": "application/vnd.forem.api-v1+json"}
_PER_PAGE = 100
_MOST_PAGES = 100
_NO_MEMBERS = frozenset({"about", "api", "badge", "code-of-conduct", "contact", "faq", "latest", "listings", "pod", "privacy", "search"})
_NO_MEMBERS |= {"settings", "t", "tags", "terms", "top", "videos", "readinglist", "new", "feed", "enter", "challenges"}


def from_files(files: Files) -> Source | None:
    """The export that DEV sends by mail: ``articles.json`` and ``comments.json``."""
    found = next((name for name in files.names if name.rpartition("/")[2] == "articles.json"), None)
    if found is None:
        return None
    try:
        content = files.read(found)
    except UnreadableTextError:
        return None
    return DevExport(files, found) if (b'"body_markdown"' in content and b'"cached_user' in content) or content.strip() == b"[]" else None


def from_address(address: Address) -> Source | None:
    """A member's profile."""
    if address.host != "dev.to" or len(address.parts) != 1 or address.parts[0].lower() in _NO_MEMBERS:
        return None
    return DevMember(address.url, address.web, address.parts[0].removeprefix("@"))


class DevMember(Source):
    """Reads every published article of a member (https://developers.forem.com/api/v1)."""

    platform = "devto"
    coverage: Coverage = "listing"

    def __init__(self, location: str, web: Web, member: str) -> None:
        self.location = location
        self._web = web
        self._member = member

    def read(self) -> Iterator[Post]:
        """One post per article.

        Raises:
            FetchError: When the list, or every single article, cannot be read.
        """
        failures, read = Failures(), False
        for origin, item in self._listed():
            try:
                article = self._article(item)
            except FetchError as error:
                if failures.ends_reading(error):
                    if not read:
                        raise
                    self.truncated = str(error)
                    return
                yield not_a_text(origin, self.platform, str(error), "unreadable")
                continue
            failures.succeeded()
            read = True
            yield _post(article if isinstance(article, dict) else item, origin, self._member)

    def _listed(self) -> Iterator[tuple[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            url = f"{_SITE}/api/articles?username={self._member}&per_page={_PER_PAGE}&page={page}"
            try:
                items = self._web.get(url, headers=_HEADERS, robots=False).json()
            except FetchError as error:
                if page == 1:
                    raise
                self.truncated = str(error)
                return
            if not isinstance(items, list):
                raise FetchError(f"{url} answered with something that is no list of articles. Try again later.", "malformed")
            yield from ((f"{page}:{index}", item) for index, item in enumerate(items, 1))
            if len(items) < _PER_PAGE:
                return
        self.truncated = f"{self.location} lists more than {_MOST_PAGES * _PER_PAGE:,} articles."

    def _article(self, item: Any) -> Any:
        id = item.get("id") if isinstance(item, dict) else None
        if not isinstance(id, int):
            return item
        changed = _latest(item, "edited_at", "published_at", "crossposted_at", "published_timestamp")
        return self._web.get(f"{_SITE}/api/articles/{id}", headers=_HEADERS, robots=False, changed=changed).json()


class DevExport(Source):
    """Reads articles and comments, drafts told apart."""

    platform = "devto"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, articles: str) -> None:
        self.location = files.location
        self.files = files
        self._articles = articles
        self._comments = articles.removesuffix("articles.json") + "comments.json"

    def read(self) -> Iterator[Post]:
        """One post per article and comment, and one per file that is neither.

        Raises:
            SourceError: When the articles cannot be read.
        """
        try:
            articles = _records(self.files, self._articles)
        except (UnreadableTextError, ValueError, RecursionError) as error:
            raise SourceError(f"{self._articles} in {self.location} cannot be read: {error}. Ask DEV for the export again.") from error
        yield from (_post(item, f"{self._articles}:{number}", None) for number, item in enumerate(articles, 1))
        if self._comments in self.files.names:
            try:
                comments = _records(self.files, self._comments)
            except (UnreadableTextError, ValueError, RecursionError) as error:
                self.truncated = f"{self._comments} cannot be read: {error}"
                yield not_a_text(self._comments, self.platform, self.truncated, "unreadable")
            else:
                yield from (_comment(item, f"{self._comments}:{number}") for number, item in enumerate(comments, 1))
        yield from not_read(self.files, {self._articles, self._comments}, self.platform)


def _records(files: Files, name: str) -> list[Any]:
    records = json.loads(read_text(files, name))
    if not isinstance(records, list):
        raise ValueError("it holds no list")
    return records


def _post(item: Any, origin: str, member: str | None) -> Post:
    """An article, as the API or the export gives it."""
    if not isinstance(item, dict):
        return not_a_text(origin, "devto", "not an article, as DEV gives one", "unreadable")
    path = shapes.text(item.get("path"))
    url = canonical_url(shapes.text(item.get("url")) or (_SITE + path if path.startswith("/") else ""))
    published, edited = _latest(item, "published_at", "published_timestamp"), _latest(item, "edited_at")
    elsewhere = canonical_url(shapes.text(item.get("canonical_url")))
    state, reason, blocks = _read(item)
    id = item.get("id")
    return Post(
        key=(post_key(url) if url else None) or (f"urn:devto:{id}" if isinstance(id, int) else f"devto:{origin}"),
        platform="devto",
        kind="article",
        origin=origin,
        state=state,
        reason=reason,
        title=" ".join(shapes.text(item.get("title")).split()) or None,
        url=url,
        bylines=_others(item.get("user"), member),
        published_at=published,
        edited_at=edited if edited and published and edited > published else None,
        canonical_url=elsewhere if elsewhere != url else None,
        blocks=tuple(blocks),
    )


def _read(item: dict[str, Any]) -> tuple[State, str, list[Block]]:
    markdown = item.get("body_markdown")
    page = shapes.text(item.get("body_html")) or shapes.text(item.get("processed_html"))
    state: State = "draft" if item.get("published") is False else "kept"
    reason = "not published" if state == "draft" else ""
    if not isinstance(markdown, str) and not page:
        return "partial", "the list holds only a teaser of it", html_blocks(shapes.text(item.get("description")))
    try:
        return state, reason, markdown_blocks(split_front_matter(shapes.text(markdown))[1]) if markdown else html_blocks(page)
    except FrontMatterError as error:
        return (state, reason, html_blocks(page)) if page else ("unreadable", f"its front matter cannot be read: {error}", [])


def _comment(item: Any, origin: str) -> Post:
    if not isinstance(item, dict):
        return not_a_text(origin, "devto", "not a comment, as DEV gives one", "unreadable")
    code = shapes.text(item.get("id_code"))[:100]
    gone = bool(item.get("deleted"))
    under = shapes.text(item.get("commentable_path"))
    member = under.split("/")[1] if under.count("/") > 1 else ""
    return Post(
        key=f"urn:devto:comment:{code}" if code else f"devto:{origin}",
        platform="devto",
        kind="comment",
        origin=origin,
        state="deleted" if gone else "kept",
        reason="deleted" if gone else "",
        url=canonical_url(f"{_SITE}/{member}/comment/{code}") if code and member else None,
        published_at=parse_date(item.get("created_at")),
        edited_at=parse_date(item.get("edited_at")),
        blocks=() if gone else tuple(markdown_blocks(shapes.text(item.get("body_markdown")))),
    )


def _others(user: object, member: str | None) -> tuple[str, ...]:
    """The name of who wrote it, unless that is the member whose profile it stands in."""
    if not isinstance(user, dict) or (member and shapes.text(user.get("username")).casefold() == member.casefold()):
        return ()
    return bylines(user)


def _latest(item: dict[str, Any], *fields: str) -> datetime | None:
    return max((found for field in fields if (found := parse_date(item.get(field)))), default=None)
