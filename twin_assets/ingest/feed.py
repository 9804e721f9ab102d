"""RSS and Atom feeds, from a file or the web."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.posts import Block, Post, State, byline, canonical_url, count_words, mark_foreign, post_key, settle_all

_TEASER = re.compile(
    r"(\[?(…|\.\.\.)\]?|\bread (more|on)\b.{0,40}|continue reading\b.{0,80}|\bread the full (story|post|article)\b.{0,40})\W*$", re.I
)
_MEDIUM_END = re.compile(r" was originally published in .{1,120} on Medium, where people are continuing the conversation", re.S)
_FEW_WORDS = 60


class Feed:
    """Reads one feed.

    Args:
        location: Path or URL, for messages.
        content: The feed's bytes.
    """

    complete = False

    def __init__(self, location: str, content: bytes) -> None:
        self.location = location
        self._content = content
        self._parsed: Any = None

    @property
    def platform(self) -> str:
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
        platform = self.platform
        yield from settle_all(mark_foreign([_post(n, entry, platform) for n, entry in enumerate(parsed.entries, 1)]))

    def _feed(self) -> Any:
        if self._parsed is None:
            import feedparser

            # Its own sanitizer would drop what our walker reads: languages of code, embeds.
            self._parsed = feedparser.parse(self._content, sanitize_html=False, resolve_relative_uris=False)
        return self._parsed


def _post(number: int, entry: Any, platform: str) -> Post:
    link = entry.get("link") or ""
    identity = post_key(entry.get("id") or "") if platform == "medium" else None
    blocks, teaser = _body(entry)
    state: State = "partial" if teaser else "kept"
    return Post(
        key=identity or post_key(link) or entry.get("id") or f"entry:{entry.get('title') or entry.get('published') or number}",
        platform=platform,
        kind="article" if entry.get("title") else "note",
        origin=f"entry:{number}",
        state=state,
        reason="the feed holds only a teaser of it" if teaser else "",
        title=" ".join(html.unescape(entry.get("title") or "").split()) or None,
        url=canonical_url(link),
        byline=byline(entry.get("author")),
        published_at=_date(entry),
        blocks=tuple(blocks),
    )


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
    return blocks[-1].type == "paragraph" and bool(_TEASER.search(blocks[-1].text)) and len(blocks) < 8


def _without_platform_lines(blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if not _MEDIUM_END.search(block.text)]


def _date(entry: Any) -> datetime | None:
    when = entry.get("published_parsed") or entry.get("updated_parsed")
    try:
        return datetime(*when[:6], tzinfo=UTC) if when else None
    except (ValueError, TypeError):
        return None
