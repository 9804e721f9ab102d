"""What every source yields: a post of typed blocks, and the rules that all sources share."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit
from uuid import NAMESPACE_URL, UUID, uuid5

BlockType = Literal["paragraph", "heading", "list", "quote", "code", "table", "caption", "embed"]
Kind = Literal["post", "article", "note", "comment", "code"]
State = Literal["kept", "shared", "draft", "partial", "foreign", "excluded", "deleted", "empty", "duplicate", "unreadable"]

OWN_WORDS: frozenset[BlockType] = frozenset({"paragraph", "heading", "list", "caption"})
"""Blocks that hold the author's running words: not code, tables, embeds or what others said."""

_TRACKING = re.compile(
    r"^(utm_.*|mc_[ce]id|fbclid|gclid|dclid|igshid|mkt_tok|ref|ref_src|referrer|r|source|sk|trk|isfreemail|showwelcome|triedredirect)$"
)
_MEDIUM_ID = re.compile(r"(?:^|[-/])([0-9a-f]{10,12})$")
_LINKEDIN_ID = re.compile(r"[-:](activity|ugcPost|share)[-:](\d{15,20})(?!\d)")
_GLOBAL_KEY = re.compile(r"https?://|urn:|tag:|(substack:\d+|notion:[0-9a-f]{32})(#|$)")
_PAGE_VARIANT = re.compile(r"/(index\.(html?|php)|amp)$", re.I)
_SAME_HOST = {"twitter.com": "x.com", "mobile.twitter.com": "x.com"}
_PATH_END = re.compile(r"[\s/]+$")
_LONGEST_URL = 2000
_LONGEST_NAME = 200
_LONGEST_DATE = 100
_MOST_NAMES = 20
_SIGN_OF_A_WORD = re.compile(r"\w")
_HALF_DAY = re.compile(r"\d\s*[ap]m\b", re.I)
_DATE_FORMATS = (
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S UTC",
    "%a %b %d %Y %H:%M:%S GMT%z",  # JavaScript's own
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
    "%B %d, %Y %I:%M %p",
    "%b %d, %Y %I:%M %p",
    "%m/%d/%Y %I:%M %p",
)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a post in reading order: plain text with inline marks resolved, or code verbatim."""

    type: BlockType
    text: str
    language: str | None = None
    level: int | None = None
    page: int | None = None
    """Of a PDF."""

    def to_json(self) -> dict[str, str | int]:
        """The block as the warehouse keeps it: absent fields are left out."""
        fields = {"type": self.type, "text": self.text, "language": self.language, "level": self.level, "page": self.page}
        return {name: value for name, value in fields.items() if value is not None}


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
    bylines: tuple[str, ...] = ()
    """Names or handles, as the platform gives them; empty when it names nobody but the owner."""
    published_at: datetime | None = None
    edited_at: datetime | None = None
    canonical_url: str | None = None
    """Where the platform says the original stands, if not here: a cross-post."""
    blocks: tuple[Block, ...] = ()

    @property
    def byline(self) -> str | None:
        """The names as one line."""
        return ", ".join(self.bylines) or None

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
    return sum(1 for run in text.split() if _SIGN_OF_A_WORD.search(run))


def not_a_text(origin: str, platform: str, reason: str = "not a text this source reads", state: State = "empty") -> Post:
    """The post that stands for a file which is only accounted for."""
    return Post(key=f"{platform}:{origin}", platform=platform, kind="note", origin=origin, state=state, reason=reason)


def settle(post: Post) -> Post:
    """Turns a kept post without any words of its own into an empty one."""
    if post.state != "kept" or post.words or (post.kind == "code" and any(block.text.strip() for block in post.blocks)):
        return post
    reason = "no words of the author's own" if post.blocks else "no text"
    return replace(post, state="empty", reason=reason)


def bylines(value: object) -> tuple[str, ...]:
    """Names out of the shapes that front matter, JSON and JSON-LD use: text, a list, or objects with a name."""
    names = map(_name, value[:_MOST_NAMES] if isinstance(value, list) else [value])
    return tuple(name for name in names if name)


def _name(value: object) -> str | None:
    name = value.get("name") if isinstance(value, dict) else value
    if not isinstance(name, str):
        return None
    return " ".join(name[:_LONGEST_NAME].encode("utf-8", errors="replace").decode().split())  # JSON may hold halves of characters


def canonical_url(url: str) -> str | None:
    """The one spelling of a web address: no tracking, fragment or trailing slash; None when it is not one."""
    if len(url) > _LONGEST_URL:
        return None
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host or any(letter.isspace() for letter in host):
        return None
    pairs = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.match(k.lower())]
    query = urlencode(pairs, errors="replace")
    netloc = host if port in (None, 80, 443) else f"{host}:{port}"
    return urlunsplit((parts.scheme.lower(), netloc, _PATH_END.sub("", parts.path), query, ""))


def post_key(url: str) -> str | None:
    """The key of a post on the web, one for all spellings of its address: the platform's id, or the canonical URL.

    Whether it is http or https, with ``www.`` or without, ``/index.html`` or ``/amp`` at the end, makes no other post.
    """
    canonical = canonical_url(url)
    if canonical is None:
        return None
    parts = urlsplit(canonical)
    found = _MEDIUM_ID.search(parts.path)
    if found and (parts.hostname == "medium.com" or (parts.hostname or "").endswith(".medium.com")):
        return f"https://medium.com/p/{found[1]}"
    found = _LINKEDIN_ID.search(unquote(parts.path))
    if found and (parts.hostname or "").endswith("linkedin.com"):
        return f"urn:li:{found[1]}:{found[2]}"
    host = _SAME_HOST.get(parts.netloc.removeprefix("www."), parts.netloc.removeprefix("www."))
    public = "." in host and not host.rpartition(":")[0] and not host.replace(".", "").isdecimal()
    path = quote(unquote(_PAGE_VARIANT.sub("", parts.path)), safe="/:@!$&'()*+,;=~", errors="replace")
    query = urlencode(sorted(parse_qsl(parts.query, keep_blank_values=True)), errors="replace")
    return urlunsplit(("https" if public else parts.scheme, host, path, query, ""))


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
    attempts: list[Any] = [lambda: datetime.fromisoformat(text)]
    if not _HALF_DAY.search(text):  # e-mails have none, and their parser passes over it
        attempts.append(lambda: parsedate_to_datetime(text))
    attempts += [lambda form=form: datetime.strptime(text, form) for form in _DATE_FORMATS]
    for attempt in attempts:
        try:
            return parse_date(attempt())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
