"""A profile on Bluesky, read through its public API: ``app.bsky.feed.getAuthorFeed`` of the AT protocol's lexicons."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.plain import paragraphs
from twin_assets.ingest.posts import Block, Post, parse_date
from twin_assets.ingest.shapes import at, items, text
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.threads import Entry, join_threads
from twin_assets.ingest.web import Web

RANK = EXACT
_API = "https://public.api.bsky.app/xrpc/"
_URI = re.compile(r"at://(did:[a-z]+:[\w.:%-]{1,200})/app\.bsky\.feed\.post/([\w.~:-]{1,512})", re.ASCII)
_ACTOR = re.compile(r"did:[a-z]+:[\w.:%-]{1,200}|[\w-]{1,63}(\.[\w-]{1,63})+", re.ASCII)
_MOST_PAGES = 2000


def from_address(address: Address) -> Source | None:
    """A profile: ``https://bsky.app/profile/HANDLE``."""
    if address.host != "bsky.app" or len(address.parts) != 2 or address.parts[0] != "profile":
        return None
    actor = address.parts[1].removeprefix("@")
    if not _ACTOR.fullmatch(actor):
        raise SourceError(f"{address.url} names no handle such as jane.bsky.social. Copy the address of your profile from the browser.")
    return BlueskyProfile(address.url, actor, address.web)


class BlueskyProfile(Source):
    """Reads all posts, replies and reposts of a profile, newest first.

    Args:
        location: The profile's address.
        actor: Its handle or DID.
        web: What to read through.
    """

    platform = "bluesky"
    coverage: Coverage = "listing"
    truncated = ""

    def __init__(self, location: str, actor: str, web: Web) -> None:
        self.location = location
        self.actor = actor
        self._web = web

    def read(self) -> Iterator[Post]:
        """One post per entry of the feed.

        Raises:
            SourceError: When there is no such profile, or its feed does not answer.
        """
        did = self._did()
        entries = [_entry(item, did, number) for number, item in enumerate(self._feed(did), 1)]
        yield from join_threads(entries)

    def _did(self) -> str:
        """The account behind the handle: handles change, this does not."""
        try:
            profile = self._get("app.bsky.actor.getProfile", actor=self.actor)
        except FetchError as error:
            if error.status != 400:
                raise
            raise SourceError(f"Bluesky knows no profile {self.actor}. Check {self.location} in a browser.", "gone") from error
        did = text(at(profile, "did"))
        if not did.startswith("did:"):
            raise SourceError(f"Bluesky's answer about {self.actor} names no account. Try again later.", "malformed")
        return did

    def _feed(self, did: str) -> Iterator[Any]:
        cursor, seen = "", set[str]()
        while len(seen) < _MOST_PAGES:
            try:
                page = self._page(did, cursor)
            except FetchError as error:
                if not seen:
                    raise
                self.truncated = str(error)
                return
            yield from items(at(page, "feed"))
            seen.add(cursor)
            cursor = text(at(page, "cursor"))
            if not cursor:
                return
            if cursor in seen:
                break
        self.truncated = f"the feed of {self.actor} does not come to an end"

    def _page(self, did: str, cursor: str) -> Any:
        asked = {"actor": did, "limit": "100", "filter": "posts_with_replies", "includePins": "false"}
        page = self._get("app.bsky.feed.getAuthorFeed", **asked, **({"cursor": cursor} if cursor else {}))
        if not isinstance(at(page, "feed"), list):
            raise FetchError(f"Bluesky's answer about {self.actor} holds no feed. Try again later.", "malformed")
        return page

    def _get(self, method: str, **parameters: str) -> Any:
        return self._web.get(f"{_API}{method}?{urlencode(parameters)}", robots=False).json()


@dataclass(frozen=True, slots=True)
class _Facet:
    """A link in a text: a range of its UTF-8 bytes."""

    start: int
    end: int
    uri: str


def _entry(item: object, did: str, number: int) -> Entry:
    """An entry of the feed. Only what the account itself wrote keeps its text: neither reposts nor what a wrong answer slips in."""
    uri = text(at(item, "post", "uri"))
    found = _URI.fullmatch(uri)
    record = at(item, "post", "record")
    if not found or not isinstance(record, dict):
        origin = f"feed:{number}"
        return Entry(Post(f"bluesky:{origin}", "bluesky", "post", origin, "unreadable", "not a post: it has no address or no text"), origin)
    url = f"https://bsky.app/profile/{found[1]}/post/{found[2]}"
    if text(at(item, "reason", "$type")).endswith("#reasonRepost"):
        key = f"urn:bluesky:repost:{did}:{found[1]}:{found[2]}"
        when = parse_date(at(item, "reason", "indexedAt"))
        return Entry(Post(key, "bluesky", "post", key, "shared", "a repost", url=url, published_at=when), key)
    when = _date(at(record, "createdAt"), at(item, "post", "indexedAt"))
    if found[1] != did or text(at(item, "post", "author", "did")) not in ("", did):
        writer = text(at(item, "post", "author", "handle")) or found[1]
        return Entry(Post(url, "bluesky", "post", uri, "foreign", f"written by {writer}", url=url, published_at=when), uri)
    post = Post(url, "bluesky", "post", uri, "kept", url=url, published_at=when, blocks=tuple(_blocks(record)))
    parent = text(at(record, "reply", "parent", "uri"))
    return Entry(post, uri, parent, to_self=parent.startswith(f"at://{did}/"))


def _date(created: object, indexed: object) -> datetime | None:
    """When it was written, as the writer's program says, unless that is after Bluesky had it."""
    written, seen = parse_date(created), parse_date(indexed)
    return min(written, seen) if written and seen else written or seen


def _blocks(record: dict[str, Any]) -> Iterator[Block]:
    yield from paragraphs(with_links(text(record.get("text")), record.get("facets")))
    embed = record.get("embed")
    media = at(embed, "media") if isinstance(at(embed, "media"), dict) else embed
    for image in (*items(at(media, "images")), media):
        if alt := text(at(image, "alt")).strip():
            yield Block("caption", alt)
    quoted = _link(text(at(embed, "record", "uri")) or text(at(embed, "record", "record", "uri")))
    for link in (quoted, text(at(media, "external", "uri"))):
        if link:
            yield Block("embed", link)


def with_links(written: str, facets: object) -> str:
    """A text with its links written out where the program that wrote it shortened them.

    Args:
        written: The text.
        facets: What ``app.bsky.richtext.facet`` says of it, if that is so.
    """
    content, parts, position = written.encode(), [], 0
    for facet in _facets(facets):
        try:
            shown = content[facet.start : facet.end].decode()
        except UnicodeDecodeError:  # a range that cuts a character
            continue
        if _shortens(shown, facet.uri):
            parts += [content[position : facet.start], facet.uri.encode()]
            position = facet.end
    return b"".join([*parts, content[position:]]).decode()


def _facets(facets: object) -> Iterator[_Facet]:
    """The links in the order of the text; of links that overlap, the first."""
    last = -1
    found: list[_Facet] = []
    for facet in items(facets):
        start, end = at(facet, "index", "byteStart"), at(facet, "index", "byteEnd")
        uri = next((link for feature in items(at(facet, "features")) if (link := text(at(feature, "uri")))), "")
        if isinstance(start, int) and isinstance(end, int) and 0 <= start < end and uri:
            found.append(_Facet(start, end, uri))
    for facet in sorted(found, key=lambda facet: facet.start):
        if facet.start >= last:
            yield facet
            last = facet.end


def _shortens(shown: str, uri: str) -> bool:
    """Whether the text is the address without its head or tail, and not words that somebody made a link."""
    bare = uri.split("://", 1)[-1].removeprefix("www.")
    start = shown.split("://", 1)[-1].removeprefix("www.").rstrip("….")
    return shown != uri and bool(start) and "." in start and bare.startswith(start)


def _link(uri: str) -> str | None:
    found = _URI.fullmatch(uri)
    return f"https://bsky.app/profile/{found[1]}/post/{found[2]}" if found else None
