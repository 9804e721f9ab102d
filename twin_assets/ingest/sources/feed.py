"""RSS and Atom feeds, from a file or the web."""

import codecs
import html
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.failures import Failures
from twin_assets.ingest.files import Files, UnreadableTextError
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.posts import Block, Post, State, bylines, canonical_url, count_words, post_key
from twin_assets.ingest.source import DETECTED, Address, Coverage, Source
from twin_assets.ingest.sources.page import Page
from twin_assets.ingest.web import Web

RANK = DETECTED + 10
_SUFFIXES = (".xml", ".rss", ".atom")
_TEASER = re.compile(
    r"(\[?(…|\.\.\.)\]?|\bread (more|on)\b.{0,40}|continue reading\b.{0,80}|\bread the full (story|post|article)\b.{0,40})\W*$", re.I
)
_MEDIUM_END = re.compile(r" was originally published in .{1,120} on Medium, where people are continuing the conversation", re.S)
_FEW_WORDS = 60
_MOST_PAGES = 200
_MOST_COMPLETED = 500
_END = re.compile(rb"</\s*([\w.-]+:)?(rss|feed|rdf)\s*>\s*(<!--.{0,2000}?-->\s*)*$", re.I | re.S)
_ENTITY = re.compile(rb"<!ENTITY\s[^>]*?(&(?!#)|[\"'][^\"'>]{200})", re.I | re.S)
_ENCODING = re.compile(rb"""^<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})""", re.I)
_EBCDIC = b"\x4c\x6f\xa7\x94"


def from_files(files: Files) -> Source | None:
    """A single file that holds a feed."""
    if len(files.names) != 1 or not files.names[0].lower().endswith(_SUFFIXES):
        return None
    try:
        content = files.read(files.names[0])
    except UnreadableTextError as error:
        raise SourceError(f"{files.location} cannot be read: {error}.") from error
    return Feed(files.location, content)


def from_address(address: Address) -> Source | None:
    """A feed. The front page of a blog that offers one is for ``site`` to decide about."""
    response = address.page()
    if not is_feed(response.content, response.content_type):
        return None
    return Feed(address.url, response.content, web=address.web, url=response.url)


def is_feed(content: bytes, content_type: str = "") -> bool:
    """Whether an answer is RSS or Atom."""
    head = content[:2048].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if b"<!doctype html" in head or b"<html" in head:
        return False
    return any(mark in head for mark in (b"<rss", b"<feed", b"<rdf:rdf")) or "rss+xml" in content_type or "atom+xml" in content_type


class Feed(Source):
    """Reads one feed, with the further pages that it names, and completes teasers from their own pages when it is on the web.

    Args:
        location: Path or URL, for messages.
        content: The feed's bytes.
        web: What further pages are read through; None for a file.
        url: Where the content came from.
    """

    coverage: Coverage = "newest"

    def __init__(self, location: str, content: bytes, *, web: Web | None = None, url: str = "") -> None:
        self.location = location
        self._content = content
        self._web = web
        self._url = url
        self._parsed: Any = None
        self._failures = Failures()
        self._completed = 0

    @property
    def platform(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The publishing platform, as far as the feed tells."""
        channel = self._feed().feed
        signs = f"{channel.get('generator', '')} {channel.get('link', '')}".lower()
        return next((name for name in ("substack", "medium") if name in signs), "feed")

    def read(self) -> Iterator[Post]:
        """One post per entry."""
        parsed = self._feed()
        if not parsed.get("version") or (parsed.bozo and not parsed.entries):
            raise SourceError(
                f"{self.location} is no RSS or Atom feed: {parsed.get('bozo_exception', 'no entries in it')}. Name the feed's own address."
            )
        platform, base = self.platform, self._url or str(parsed.feed.get("link") or "")
        number = 0
        for entries, cut in self._pages():
            for index, entry in enumerate(entries, 1):
                number += 1
                post = _post(number, entry, platform, base)
                if cut and index == len(entries):
                    post = replace(post, state="partial", reason="the feed breaks off in the midst of it")
                yield self._complete(post)

    def _feed(self) -> Any:
        if self._parsed is None:
            self._parsed = _parse(self._content, self.location)
        return self._parsed

    def _pages(self) -> Iterator[tuple[list[Any], bool]]:
        """The entries of the feed and of the pages that it goes on with (RFC 5005), each with whether it was cut off."""
        parsed, content, asked, known = self._feed(), self._content, {self._url}, set[str]()
        for _ in range(_MOST_PAGES):
            cut = _is_cut(content)
            if cut:
                self.truncated = f"{self.location} breaks off before its end. What it held until there was read; try again later."
            yield parsed.entries, cut
            links = {str(entry.get("id") or entry.get("link") or "") for entry in parsed.entries}
            following = _next_page(parsed, self._url)
            # A feed may go on for ever: with addresses that were there before, or with entries that were.
            if self._web is None or not following or following in asked or links <= known:
                return
            asked.add(following)
            known |= links
            try:
                content = self._web.get(following, listing=True).content
                parsed = _parse(content, following)
            except SourceError as error:
                self.truncated = str(error)
                return

    def _complete(self, post: Post) -> Post:
        """The whole text of a teaser, from its page on the feed's own site."""
        if post.state != "partial" or self._web is None or not post.url or not self._is_own(post.url) or self._completed >= _MOST_COMPLETED:
            return post
        self._completed += 1
        try:
            response = self._web.get(post.url, changed=post.edited_at or post.published_at)
        except FetchError as error:
            if self._failures.ends_reading(error):
                self._completed = _MOST_COMPLETED
                self.truncated = self.truncated or str(error)
            return post
        self._failures.succeeded()
        if response.content_type and "html" not in response.content_type:
            return post
        [found] = Page(post.url, response.content, url=response.url).read()
        if found.state not in ("kept", "partial") or found.words <= post.words:
            return post
        return replace(post, state=found.state, reason=found.reason, blocks=found.blocks, bylines=post.bylines or found.bylines)

    def _is_own(self, url: str) -> bool:
        host = host_of(url)
        return bool(host) and any(
            host == own or host.endswith(f".{own}") for own in {host_of(self._url), host_of(self._channel_link())} - {""}
        )

    def _channel_link(self) -> str:
        return str(self._feed().feed.get("link") or "")


def _parse(content: bytes, location: str) -> Any:
    import feedparser

    _refuse_bombs(content, location)
    # Its own sanitizer would drop what our walker reads: languages of code, embeds. And bare bytes it would take for the name of a file.
    return feedparser.parse(io.BytesIO(content), sanitize_html=False, resolve_relative_uris=False)


def _refuse_bombs(content: bytes, location: str) -> None:
    """Refuses entities that unfold to more than they are, in encodings too in which they could hide.

    Raises:
        SourceError: When there are any.
    """
    visible = content.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    named = _ENCODING.match(visible)
    try:
        hidden = content.startswith(_EBCDIC) or (
            named is not None and codecs.encode("<!ENTITY &", named[1].decode()).replace(b"\x00", b"").lstrip(b"\xff\xfe") != b"<!ENTITY &"
        )
    except (LookupError, UnicodeError):
        hidden = False
    if hidden or _ENTITY.search(re.split(rb"<\w", visible, maxsplit=1)[0]):
        raise SourceError(f"{location} declares entities that no feed needs, as attacks do. It was not read.", "malformed")


def _is_cut(content: bytes) -> bool:
    return bool(content.strip()) and not _END.search(content[-4096:].replace(b"\x00", b""))


def _next_page(parsed: Any, base: str) -> str | None:
    for link in parsed.feed.get("links") or []:
        if link.get("rel") in ("next", "prev-archive") and link.get("href"):
            found = _joined(base, link["href"])
            return found if host_of(found) == host_of(base) else None
    return None


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:
        return link


def host_of(url: str) -> str:
    """The host without ``www.``; empty when there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _post(number: int, entry: Any, platform: str, base: str) -> Post:
    link = _joined(base, entry.get("link") or "") if entry.get("link") else ""
    identity = post_key(entry.get("id") or "") if platform == "medium" else None
    blocks, teaser = _body(entry)
    state: State = "partial" if teaser else "kept"
    published, updated = _date(entry, "published_parsed"), _date(entry, "updated_parsed")
    return Post(
        key=identity or post_key(link) or entry.get("id") or f"entry:{entry.get('title') or entry.get('published') or number}",
        platform=platform,
        kind="article" if entry.get("title") else "note",
        origin=f"entry:{number}",
        state=state,
        reason="the feed holds only a teaser of it" if teaser else "",
        title=" ".join(html.unescape(entry.get("title") or "").split()) or None,
        url=canonical_url(link),
        bylines=_bylines(entry),
        published_at=published or updated,
        edited_at=updated if published and updated and updated > published else None,
        blocks=tuple(blocks),
    )


def _bylines(entry: Any) -> tuple[str, ...]:
    """The names; an e-mail address, which RSS wants instead of one, is none."""
    found = bylines(list(entry.get("authors") or [])) or bylines(entry.get("author"))
    return tuple(dict.fromkeys(name for name in found if "@" not in name[1:]))


def _body(entry: Any) -> tuple[list[Block], bool]:
    content = max((part.get("value") or "" for part in entry.get("content") or []), key=len, default="")
    summary = entry.get("summary") or ""
    if content.strip():
        blocks = html_blocks(content)
        return _without_platform_lines(blocks), bool(blocks) and _ends_early(blocks)
    blocks = html_blocks(summary)
    words = sum(count_words(block.text) for block in blocks)
    only_teaser = len(blocks) < 2 and words < _FEW_WORDS and bool(entry.get("title"))
    return _without_platform_lines(blocks), bool(blocks) and (only_teaser or _ends_early(blocks))


def _ends_early(blocks: list[Block]) -> bool:
    last = blocks[-1]
    return (
        last.type == "paragraph" and bool(_TEASER.search(last.text)) and (len(blocks) < 8 or last.text == "Read more")
    )  # so ends Substack


def _without_platform_lines(blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if not _MEDIUM_END.search(block.text)]


def _date(entry: Any, field: str) -> datetime | None:
    when = dict.get(entry, field)  # its own get answers with the other date where this one is missing
    try:
        return datetime(*when[:6], tzinfo=UTC) if when else None
    except (ValueError, TypeError):
        return None
