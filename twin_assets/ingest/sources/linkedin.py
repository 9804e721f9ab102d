r"""LinkedIn: the data export, and the ways to one's own posts on the web.

An export has ``Shares.csv`` (``Date,ShareLink,ShareCommentary,SharedUrl,MediaUrl,Visibility``, times in UTC), ``Comments.csv``
(``Date,Link,Message``) and ``Articles/*.html`` or ``Articles/Articles/*.html``. Two things in it are not what CSV says: line breaks in
``Shares.csv`` are written ``"\n"``, and quotes in ``Comments.csv`` are escaped by a backslash. Messages, connections, phone numbers and
whatever else lies in it are never opened.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from urllib.parse import unquote

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Files, OneFile, UnreadableTextError, not_read, read_text
from twin_assets.ingest.html import node_blocks, parse
from twin_assets.ingest.pages import decode_html
from twin_assets.ingest.plain import paragraphs
from twin_assets.ingest.posts import Block, Post, State, canonical_url, not_a_text, parse_date
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.tables import parse_csv
from twin_assets.settings import get_settings

RANK = EXACT
PLATFORM = "linkedin"

_SHARES = re.compile(r"(^|/)Shares([ _(-][^/]*)?\.csv$", re.IGNORECASE)
_COMMENTS = re.compile(r"(^|/)Comments([ _(-][^/]*)?\.csv$", re.IGNORECASE)
_ARTICLES = re.compile(r"(^|/)Articles/(Articles/)?[^/]+\.html?$", re.IGNORECASE)
_MARKDOWN = re.compile(r"\.(md|mdx|markdown)$", re.IGNORECASE)
_SHARE_COLUMNS = ("Date", "ShareLink", "ShareCommentary")
_COMMENT_COLUMNS = ("Date", "Link", "Message")
_URN = re.compile(r"urn:li:\w+:[\w-]+")
_NUMBERED = re.compile(r"urn:li:\w+:(\d{15,20})$")
_LINK = re.compile(r"https?://\S+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?")
_QUOTED = re.compile(r"\s*>+(?![\d=>])\s?")
_FOUNDED = datetime(2003, 1, 1, tzinfo=UTC)


def from_files(files: Files) -> Source | None:
    """An export, a part of one, or one of its tables."""
    return LinkedInExport(files) if _is_export(files) else None


def from_address(address: Address) -> Source | None:
    """One's own profile, by LinkedIn's API where there is a token, else in a browser where one has logged in.

    Raises:
        SourceError: When there is neither.
    """
    if not (address.host == "linkedin.com" or address.host.endswith(".linkedin.com")):
        return None
    if len(address.parts) < 2 or address.parts[0] != "in":
        return None
    from twin_assets.ingest.browser import session_file
    from twin_assets.ingest.sources.linkedin_activity import LinkedInActivity
    from twin_assets.ingest.sources.linkedin_api import LinkedInApi

    settings = get_settings()
    if settings.linkedin_token:
        return LinkedInApi(address.url, address.web, settings.linkedin_token.get_secret_value())
    session = session_file(PLATFORM, settings)
    if session.is_file():
        page = f"https://www.linkedin.com/in/{address.parts[1]}/recent-activity/all/"  # the session is of this host, not of de.linkedin.com
        return LinkedInActivity(address.url, page, unquote(address.parts[1]), settings, session)
    raise SourceError(
        f"LinkedIn shows {address.url} to nobody who is not logged in. There are three ways. The best is LinkedIn's export: Settings, Data "
        "privacy, Get a copy of your data; then `twin add NAME --source` with the ZIP. In the EEA and Switzerland LinkedIn's API can be read "
        "regularly: set TWIN_LINKEDIN_TOKEN. Or log in by hand with `twin login linkedin`; then your newest posts are read in a browser. "
        "docs/sources/linkedin.md tells each step by step.",
        "needs_login",
    )


class LinkedInExport(Source):
    """Reads posts, comments and articles of an export, unpacked or not; several parts in one folder are one source."""

    platform = PLATFORM
    coverage: Coverage = "everything"

    def __init__(self, files: Files) -> None:
        self.location = files.location
        self.files = files

    def read(self) -> Iterator[Post]:
        """One post per row and per article, and one per file that is not read. A file that is broken does not take the others with it."""
        parts = {name: self._part(name) for name in self.files.names if _kind(name)}
        problems = [part for part in parts.values() if isinstance(part, SourceError)]
        if problems and len(problems) == len(parts):
            raise problems[0]
        self.truncated = " ".join([*map(str, problems), *self._missing(parts)])  # what stood in a broken or missing file is not gone
        for name, part in parts.items():
            yield from part if isinstance(part, list) else [not_a_text(name, PLATFORM, str(part), "unreadable")]
        yield from not_read(self.files, set(parts), PLATFORM)

    def _missing(self, parts: Iterable[str]) -> list[str]:
        """What is said of an export without one of the tables: LinkedIn sends a first part after minutes, and the rest a day later."""
        kinds = set(map(_kind, parts))
        tables = [table for kind, table in (("shares", "Shares.csv"), ("comments", "Comments.csv")) if kind not in kinds]
        if not tables or isinstance(self.files, OneFile):
            return []
        return [
            f"{self.location} holds no {' and no '.join(tables)}, so it is taken for a part of an export, and nothing that it lacks counts as "
            "gone. LinkedIn sends the whole export within a day: put that in its place."
        ]

    def _part(self, name: str) -> list[Post] | SourceError:
        try:
            match _kind(name):
                case "shares":
                    return read_shares(_rows(self.files, name, _SHARE_COLUMNS), name)
                case "comments":
                    return read_comments(_rows(self.files, name, _COMMENT_COLUMNS), name)
                case _:
                    return [read_article(decode_html(self.files.read(name)), name)]
        except UnreadableTextError as error:
            return SourceError(f"{name} in {self.files.location} cannot be read: {error}. Download the export again.")
        except SourceError as error:
            return error


def read_shares(rows: Sequence[dict[str, str]], name: str) -> list[Post]:
    """Posts out of the rows of ``Shares.csv``, or of the API's ``MEMBER_SHARE_INFO``."""
    texts = repair([row.get("ShareCommentary", "") for row in rows])
    return [share(f"{name}:{n}", row, text) for n, (row, text) in enumerate(zip(rows, texts, strict=True), 1)]


def read_comments(rows: Sequence[dict[str, str]], name: str) -> list[Post]:
    """Comments out of the rows of ``Comments.csv``, or of the API's ``ALL_COMMENTS``."""
    texts = repair([row.get("Message", "") for row in rows])
    return [comment(f"{name}:{n}", row, text) for n, (row, text) in enumerate(zip(rows, texts, strict=True), 1)]


def repair(texts: Sequence[str]) -> list[str]:
    r"""Restores line breaks that LinkedIn writes as ``"\n"``: a quote, a newline, a quote.

    A file either has all its line breaks like that or none, so a writer's own quotes at the end and start of lines survive.
    """
    broken = [text for text in texts if "\n" in text]
    if not broken or any(re.sub(r'"\r?\n"', "", text).count("\n") for text in broken):
        return [text.replace("\r\n", "\n").strip() for text in texts]
    return [re.sub(r'"\r?\n"', "\n", text).strip() for text in texts]


def share(origin: str, row: dict[str, str], text: str) -> Post:
    """A post out of a row."""
    link, date = row.get("ShareLink", ""), row.get("Date", "")
    state, reason = share_state(text)
    return Post(
        key=key_of(link) or f"{_name_of(text)}#share-{date}",
        platform=PLATFORM,
        kind="post",
        origin=origin,
        state=state,
        reason=reason,
        url=canonical_url(link),
        published_at=parse_date(date),
        blocks=tuple(paragraphs(text)),
    )


def comment(origin: str, row: dict[str, str], text: str) -> Post:
    """A comment out of a row. LinkedIn names the post that it stands under, so the second of writing is what tells two apart."""
    link, date = row.get("Link", ""), row.get("Date", "")
    return Post(
        key=comment_key(key_of(link) or _name_of(text), date),
        platform=PLATFORM,
        kind="comment",
        origin=origin,
        state="kept",
        url=canonical_url(link),
        published_at=parse_date(date),
        blocks=tuple(comment_blocks(text)),
    )


def comment_key(post: str, date: str) -> str:
    """The key of a comment: that of the post it stands under, and when it was written (``2024-05-06 07:08:09``, in UTC)."""
    return f"{post}#comment-{date}"


def share_state(text: str) -> tuple[State, str]:
    """Whether a post has words of its author's own: commentary on a share has, a bare repost or a link alone has not."""
    if not text:
        return "shared", "bare repost: no words of the author's own"
    if not _LINK.sub("", text).strip():
        return "shared", "only a link: no words of the author's own"
    return "kept", ""


def read_article(html: str, name: str) -> Post:
    """An article as the export holds it: a cover, the linked title, when it was created and published, and the body.

    ``p.published`` says ``Published on 2021-02-03 04:05``, or for a draft ``Not published yet`` or ``Published on ---``.
    """
    tree = parse(html)
    heading, link, published = (tree.css_first(selector) for selector in ("h1", "h1 a[href]", "p.published"))
    head = tree.css_first("title")
    titles = [" ".join(node.text(deep=True).split()) for node in (heading, head) if node is not None]
    day = _DAY.search(published.text(deep=True)) if published else None
    url = canonical_url((link.attributes.get("href") or "") if link else "")
    for selector in ("h1", "p.created", "p.published", "body > img"):  # anew each time: one may stand in another
        if (node := tree.css_first(selector)) is not None:
            node.decompose()
    return Post(
        key=url if url and day and re.search(r"/pulse/[^/]", url) else f"{PLATFORM}:{name}",
        platform=PLATFORM,
        kind="article",
        origin=name,
        state="kept" if day else "draft",
        reason="" if day else "not published",
        title=next(filter(None, titles), None),
        url=url,
        published_at=parse_date(day[0]) if day else None,
        blocks=tuple(node_blocks(tree.body)) if tree.body else (),
    )


def key_of(link: str) -> str | None:
    """The key of a post: LinkedIn's own name for it where the link bears one, else the address."""
    urn = _URN.search(unquote(link))
    return urn[0] if urn else canonical_url(link)


def _name_of(text: str) -> str:
    """What stands for the address of a row without one: its text, as its place changes with every export."""
    return f"{PLATFORM}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def written_at(urn: str) -> datetime | None:
    """When a post or comment was written: the first bits of its number count milliseconds since 1970."""
    found = _NUMBERED.search(urn)
    return moment(int(found[1]) >> 22) if found else None


def moment(milliseconds: object) -> datetime | None:
    """A time of LinkedIn's: milliseconds since 1970. None when it is before LinkedIn or after tomorrow."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int) or not 0 < milliseconds < 10**14:
        return None
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return found if _FOUNDED < found < datetime.now(UTC) + timedelta(days=1) else None


def comment_blocks(text: str) -> Iterator[Block]:
    """Paragraphs of a comment; lines that begin with ``>`` are what somebody else said."""
    for quoted, lines in groupby(text.split("\n"), key=lambda line: bool(_QUOTED.match(line))):
        if quoted:
            words = "\n".join(_QUOTED.sub("", line, count=1).rstrip() for line in lines).strip()
            yield from [Block("quote", words)] if words else []
        else:
            yield from paragraphs("\n".join(lines))


def _kind(name: str) -> str:
    for kind, pattern in (("shares", _SHARES), ("comments", _COMMENTS), ("article", _ARTICLES)):
        if pattern.search(name):
            return kind
    return ""


def _is_export(files: Files) -> bool:
    """Whether these are LinkedIn's files. Other things too have comments and articles, so those are looked into."""
    kinds = {name: _kind(name) for name in files.names}
    if "shares" in kinds.values():
        return True
    if any(_MARKDOWN.search(name) for name in files.names):
        return False
    comments = [name for name, kind in kinds.items() if kind == "comments"]
    articles = [name for name, kind in kinds.items() if kind == "article"]
    return any(_has_columns(files, name) for name in comments) or any(_is_article(files, name) for name in articles[:1])


def _has_columns(files: Files, name: str) -> bool:
    try:
        header = read_text(files, name).lstrip("\ufeff").partition("\n")[0]
    except UnreadableTextError:
        return False
    return [column.strip().strip('"') for column in header.split(",")][:3] == list(_COMMENT_COLUMNS)


def _is_article(files: Files, name: str) -> bool:
    try:
        return parse(decode_html(files.read(name))).css_first("p.created, p.published") is not None
    except UnreadableTextError:
        return False


def _rows(files: Files, name: str, expected: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table, with quotes escaped as they are in it: doubled, as CSV has it, or by a backslash, as ``Comments.csv`` does."""
    text, what = read_text(files, name), f"{name} in {files.location}"
    rows = parse_csv(text, what, expected)
    if '\\"' not in text:
        return rows
    try:
        escaped = parse_csv(re.sub(r'\\(["\\])', lambda found: '""' if found[1] == '"' else "\\", text), what, expected)
    except SourceError:
        return rows
    readings = (escaped, rows) if expected is _COMMENT_COLUMNS else (rows, escaped)  # as such a table usually is, where both make sense
    return min(readings, key=lambda reading: sum(parse_date(row["Date"]) is None for row in reading))
