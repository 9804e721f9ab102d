"""What every source yields: a post of typed blocks, and the rules that all sources share."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import NAMESPACE_URL, UUID, uuid5

BlockType = Literal["paragraph", "heading", "list", "quote", "code", "table", "caption", "embed"]
Kind = Literal["post", "article", "note", "comment", "code"]
State = Literal["kept", "shared", "draft", "partial", "foreign", "empty", "duplicate", "unreadable"]

OWN_WORDS: frozenset[BlockType] = frozenset({"paragraph", "heading", "list", "caption"})
"""Blocks that hold the author's running words: not code, tables, embeds or what others said."""

_TRACKING = re.compile(
    r"^(utm_.*|mc_[ce]id|fbclid|gclid|dclid|igshid|mkt_tok|ref|ref_src|referrer|r|source|sk|trk|isfreemail|showwelcome|triedredirect)$"
)
_MEDIUM_ID = re.compile(r"(?:^|[-/])([0-9a-f]{10,12})$")
_GLOBAL_KEY = re.compile(r"https?://|urn:|tag:|substack:\d+(#|$)")
_LONGEST_URL = 2000
_LONGEST_NAME = 200
_LONGEST_DATE = 100
_MOST_NAMES = 20
_WORD = re.compile(r"\S*\w\S*")
_DATE_FORMATS = (
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a post in reading order: plain text with inline marks resolved, or code verbatim."""

    type: BlockType
    text: str
    language: str | None = None
    level: int | None = None

    def to_json(self) -> dict[str, str | int]:
        """The block as the warehouse keeps it: absent fields are left out."""
        block: dict[str, str | int] = {"type": self.type, "text": self.text}
        if self.language is not None:
            block["language"] = self.language
        if self.level is not None:
            block["level"] = self.level
        return block


@dataclass(frozen=True, slots=True)
class Post:
    """One row or file of a source: kept, or not kept with the reason."""

    key: str
    platform: str
    kind: Kind
    origin: str
    state: State
    reason: str = ""
    title: str | None = None
    url: str | None = None
    byline: str | None = None
    published_at: datetime | None = None
    blocks: tuple[Block, ...] = ()

    @property
    def words(self) -> int:
        """Words of the author's own prose."""
        return sum(count_words(block.text) for block in self.blocks if block.type in OWN_WORDS)

    @property
    def content_hash(self) -> str:
        """SHA-256 over what later stages can see; equal content means no work downstream."""
        when = self.published_at.astimezone(UTC).isoformat() if self.published_at else None
        content = [self.title, when, self.kind, self.state, [block.to_json() for block in self.blocks]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def known_everywhere(self) -> bool:
        """Whether the key means the same post in any source: a web address or a platform's id, not the name of a file or row."""
        return bool(_GLOBAL_KEY.match(self.key))

    def id(self, author: str, *inside: str) -> UUID:
        """The same for the same author and key, on every machine and in every run.

        Args:
            author: Whose post it is.
            inside: The source's location, where another source holds a different post under the same key.
        """
        return uuid5(NAMESPACE_URL, json.dumps(["twin", author, self.key, *inside]))


def count_words(text: str) -> int:
    """Words of a text: runs without blanks that hold a letter or a digit."""
    return sum(1 for _ in _WORD.finditer(text))


def not_a_text(origin: str, platform: str, reason: str = "not a text this source reads") -> Post:
    """The post that stands for a file which is only accounted for; it is never opened."""
    return Post(key=f"{platform}:{origin}", platform=platform, kind="note", origin=origin, state="empty", reason=reason)


def settle(post: Post) -> Post:
    """Turns a kept post without any words of its own into an empty one."""
    if post.state != "kept" or post.words:
        return post
    reason = "no words of the author's own" if post.blocks else "no text"
    return replace(post, state="empty", reason=reason)


def settle_all(posts: Iterable[Post]) -> Iterator[Post]:
    """Applies what holds for every source: empty posts are told apart, and a post that comes twice is kept once.

    A repeated key gets a number, so that every row and file stays accounted for under an id of its own.
    """
    keys: Counter[str] = Counter()
    origins: dict[str, str] = {}
    contents: dict[object, str] = {}
    seen: set[object] = set()
    for post in map(settle, posts):
        keys[post.key] += 1
        content = (post.kind == "comment", post.title, post.blocks)
        key = post.key if keys[post.key] == 1 else f"{post.key}#{keys[post.key]}"
        same_key = keys[post.key] > 1 and (post.kind != "comment" or (post.key, content) in seen)  # two comments can share a second
        if same_key:
            yield replace(post, key=key, state="duplicate", reason=f"same post as {origins[post.key]}")
        elif post.state == "kept" and content in contents:
            yield replace(post, key=key, state="duplicate", reason=f"same text as {contents[content]}")
        else:
            if post.state == "kept":
                contents[content] = post.origin
            yield replace(post, key=key)
        seen.add((post.key, content))
        origins.setdefault(post.key, post.origin)


def mark_foreign(posts: Sequence[Post]) -> list[Post]:
    """Marks posts whose byline is not the main author's.

    The main author is the most frequent byline. Where most posts bear none, a name still counts as the main author's from a quarter of
    all posts on; a post without a byline is always the main author's.
    """
    readable = [post for post in posts if post.state in ("kept", "draft", "partial")]
    names = Counter(post.byline for post in readable if post.byline)
    main, count = names.most_common(1)[0] if names else (None, 0)
    if count * 4 < len(readable):
        main = None
    return [
        replace(post, state="foreign", reason=f"written by {post.byline}, not by {main or 'the author of this source'}")
        if post.state == "kept" and post.byline and not _same_name(post.byline, main)
        else post
        for post in posts
    ]


def _same_name(name: str, other: str | None) -> bool:
    return other is not None and name.casefold().split() == other.casefold().split()


def byline(value: object) -> str | None:
    """A byline out of the shapes that front matter and JSON-LD use: text, a list, or an object with a name."""
    names = map(_name, value[:_MOST_NAMES] if isinstance(value, list) else [value])
    return ", ".join(name for name in names if name) or None


def _name(value: object) -> str | None:
    name = value.get("name") if isinstance(value, dict) else value
    return " ".join(name[:_LONGEST_NAME].split()) if isinstance(name, str) else None


def canonical_url(url: str) -> str | None:
    """The one spelling of a web address: no tracking, fragment or trailing slash; None when it is not one."""
    if len(url) > _LONGEST_URL:
        return None
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host:
        return None
    query = urlencode([(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.match(k.lower())])
    netloc = host if port in (None, 80, 443) else f"{host}:{port}"
    return urlunsplit((parts.scheme.lower(), netloc, parts.path.rstrip("/"), query, ""))


def post_key(url: str) -> str | None:
    """The key of a post on the web: its canonical URL, or for Medium, which has several per post, the platform's id."""
    canonical = canonical_url(url)
    if canonical is None:
        return None
    parts = urlsplit(canonical)
    found = _MEDIUM_ID.search(parts.path)
    if found and (parts.hostname == "medium.com" or (parts.hostname or "").endswith(".medium.com")):
        return f"https://medium.com/p/{found[1]}"
    return canonical


def parse_date(value: object) -> datetime | None:
    """A date out of front matter, JSON or a header, in UTC; a time without a zone is taken as UTC."""
    match value:
        case datetime(tzinfo=None):
            return value.replace(tzinfo=UTC)
        case datetime():
            try:
                return value.astimezone(UTC)
            except OverflowError:  # the first or last day of the calendar, in another zone
                return None
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case str() if len(value) <= _LONGEST_DATE:
            return _parse_text_date(value.strip())
        case _:
            return None


def _parse_text_date(text: str) -> datetime | None:
    attempts: list[Any] = [lambda: datetime.fromisoformat(text), lambda: parsedate_to_datetime(text)]
    attempts += [lambda form=form: datetime.strptime(text, form) for form in _DATE_FORMATS]
    for attempt in attempts:
        try:
            return parse_date(attempt())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
