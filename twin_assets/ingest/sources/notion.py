"""Notion's export, as Markdown or HTML: pages under names that end in their ids, with properties, in folders and in parts."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import unquote

from selectolax.lexbor import LexborNode

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Archive, Files, Joined, UnreadableTextError, not_read, read_text
from twin_assets.ingest.html import node_blocks, parse
from twin_assets.ingest.markdown import markdown_blocks
from twin_assets.ingest.pages import decode_html
from twin_assets.ingest.posts import Block, Post, State, bylines, not_a_text, parse_date
from twin_assets.ingest.source import EXACT, Coverage, Source

RANK = EXACT
_PAGE = re.compile(r"(?:^|[ _-])([0-9a-f]{32})\.(md|html)$")
_TABLE = re.compile(r"[0-9a-f]{32}(_all)?\.csv$")
_PART = re.compile(r"(?:^|/)[^/]*Part-\d+\.zip$")
_PROPERTY = re.compile(r"^([^\W\d_][^:\n.!?]{0,60}): ?(.*)$")
_LINK_TO_PAGE = re.compile(r"^\s*\[[^\]]*\]\([^)\s]*[0-9a-f]{32}[^)\s]*\.(?:md|csv)\)\s*$", re.MULTILINE)
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
_CREATED = (
    "published",
    "publish date",
    "published at",
    "publication date",
    "date",
    "created",
    "created time",
    "created at",
    "date created",
)
_EDITED = ("last edited time", "last edited", "edited", "updated", "updated at", "last updated")
_AUTHORS = ("author", "authors", "created by", "written by", "writer")
_COMMON = frozenset(
    {*_CREATED, *_EDITED, *_AUTHORS, "tags", "tag", "status", "type", "category", "categories", "url", "topic", "topics", "last edited by"}
    | {"owner", "assign", "assignee", "priority", "due", "due date", "summary", "slug", "archived", "property", "files", "verification"}
)
_UNPUBLISHED = frozenset({"draft", "drafting", "idea", "ideas", "not started", "to do", "todo", "in progress", "backlog"})
_DATE_FORMATS = ("%B %d, %Y %I:%M %p", "%b %d, %Y %I:%M %p", "%B %d, %Y %H:%M", "%b %d, %Y %H:%M", "%Y/%m/%d %H:%M", "%Y/%m/%d %I:%M %p")
_NAVIGATION = "figure.link-to-page, .collection-content, .table_of_contents, nav, .link-to-page, header .page-header-icon"


def from_files(files: Files) -> Source | None:
    """An export: most of its pages bear an id in their names; or the parts of one."""
    if any(_PART.search(name) for name in files.names) and not any(name.lower().endswith((".md", ".html")) for name in files.names):
        files = _joined(files)
    pages = [name for name in files.names if name.lower().endswith((".md", ".html"))]
    found = [name for name in pages if _PAGE.search(name)]
    return NotionExport(files) if found and 2 * len(found) >= len(pages) else None


class NotionExport(Source):
    """Reads every page; databases and attachments are accounted for and not opened."""

    platform = "notion"
    coverage: Coverage = "everything"

    def __init__(self, files: Files) -> None:
        self.location = files.location
        self.files = files
        self._in_parts = isinstance(files, Joined)
        self._databases = {name.removesuffix("_all.csv").removesuffix(".csv") for name in files.names if _TABLE.search(name)}

    def read(self) -> Iterator[Post]:
        """One post per page, one per file that is none."""
        used: set[str] = set()
        for name in self.files.names:
            found = _PAGE.search(name)
            if found:
                used.add(name)
                yield self._post(name, f"notion:{found[1]}")
            elif _PART.search(name) and self._in_parts:
                used.add(name)
                yield not_a_text(name, self.platform, "a part of the export: what is in it is listed by itself")
            elif _TABLE.search(name):
                used.add(name)
                yield not_a_text(name, self.platform, "a database: its pages are read, its table was not opened")
        yield from not_read(self.files, used, self.platform)

    def _post(self, name: str, key: str) -> Post:
        try:
            title, properties, blocks = self._page(name)
        except UnreadableTextError as error:
            return Post(key=key, platform=self.platform, kind="article", origin=name, state="unreadable", reason=str(error))
        state, reason = _state(properties)
        return Post(
            key=key,
            platform=self.platform,
            kind="article",
            origin=name,
            state=state,
            reason=reason,
            title=title,
            bylines=bylines([part.strip() for part in _first(properties, _AUTHORS).split(",")]),
            published_at=_first_date(properties, _CREATED),
            edited_at=_first_date(properties, _EDITED),
            blocks=tuple(blocks),
        )

    def _page(self, name: str) -> tuple[str | None, dict[str, str], list[Block]]:
        if name.endswith(".html"):
            return _read_html(self.files.read(name))
        return _read_markdown(read_text(self.files, name), str(PurePosixPath(name).parent) in self._databases)


def _joined(files: Files) -> Files:
    """The parts of an export as one, beside what else lies there.

    Raises:
        SourceError: When a part cannot be read: what is in it must not count as gone.
    """
    parts = {"": files}
    for name in filter(_PART.search, files.names):
        path = files.path(name)
        try:
            parts[name] = files.inner(name) if isinstance(files, Archive) else Archive(path or name)
        except UnreadableTextError as error:
            raise SourceError(f"{name} in {files.location} cannot be read: {error}. Download the export again.") from error
    return Joined(files.location, parts)


def _read_markdown(text: str, in_database: bool) -> tuple[str | None, dict[str, str], list[Block]]:
    title, _, body = text.lstrip("\ufeff\n\r ").replace("\r\n", "\n").partition("\n")
    if not title.startswith("# "):
        title, body = "", f"{title}\n{body}"
    properties, body = _properties(body.lstrip("\n"), in_database)
    body = _LINK_TO_PAGE.sub("", body)
    body = _IMAGE.sub(_named_image, body)
    return " ".join(title[2:].split()) or None, properties, markdown_blocks(body)


def _properties(body: str, in_database: bool) -> tuple[dict[str, str], str]:
    """Parts the properties, the lines ``Key: value`` below the title, from the text.

    A sentence may look like one: a page that lies in no database has properties only when their names are common.
    """
    head, _, rest = body.partition("\n\n")
    found = [_PROPERTY.match(line) for line in head.split("\n")]
    pairs = [(line[1].strip().lower(), line[2].strip()) for line in found if line]
    if not pairs or len(pairs) < len(found) or not (in_database or any(name in _COMMON for name, _ in pairs)):
        return {}, body
    return dict(pairs), rest


def _named_image(found: re.Match[str]) -> str:
    """An image without its alternative text where that is only the name of its file."""
    file = PurePosixPath(unquote(found[2])).name
    return f"![]({found[2]})" if file.startswith(found[1]) else found[0]


def _read_html(content: bytes) -> tuple[str | None, dict[str, str], list[Block]]:
    tree = parse(decode_html(content))
    heading = tree.css_first("h1.page-title")
    title = " ".join(heading.text(deep=True).split()) if heading else ""
    properties = {
        _cell(row, "th").lower(): _cell(row, "td")
        for row in tree.css("table.properties tr.property-row")
        if row.css_first("th") is not None
    }
    body = tree.css_first(".page-body") or tree.body
    if body is None:
        return title or None, properties, []
    for node in body.css(_NAVIGATION):
        node.decompose()
    for node in body.css("img"):
        if "alt" in node.attributes and _is_file_name(node):
            node.decompose()
    return title or None, properties, node_blocks(body)


def _is_file_name(image: LexborNode) -> bool:
    return PurePosixPath(unquote(image.attributes.get("src") or "")).name.startswith(image.attributes.get("alt") or "")


def _cell(row: LexborNode, tag: str) -> str:
    node = row.css_first(tag)
    return " ".join(node.text(deep=True).split()) if node else ""


def _first(properties: dict[str, str], names: tuple[str, ...]) -> str:
    return next((properties[name] for name in names if properties.get(name)), "")


def _first_date(properties: dict[str, str], names: tuple[str, ...]) -> datetime | None:
    return next((found for name in names if (found := _date(properties.get(name, "")))), None)


def _state(properties: dict[str, str]) -> tuple[State, str]:
    for name in ("status", "state", "stage"):
        if properties.get(name, "").lower() in _UNPUBLISHED:
            return "draft", f"{name}: {properties[name]}"
    for name in ("published", "publish"):
        if properties.get(name, "").lower() in ("no", "false"):
            return "draft", f"{name}: {properties[name]}"
    return "kept", ""


def _date(value: str) -> datetime | None:
    """A date as Notion writes it; of a span the first."""
    value = re.split(r" ?→ ?", value.lstrip("@").strip())[0].split(" (")[0]
    for form in _DATE_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(value, form).replace(tzinfo=UTC)
    return parse_date(value)
