"""Substack: the export of a publication, and addresses on Substack's own hosts.

In the export, ``posts.csv`` lists the posts and ``posts/ID.SLUG.html`` holds their bodies. The lists of readers in it are never opened.
"""

import html
import re
from collections.abc import Iterator

from twin_assets.ingest.files import Files, UnreadableTextError, not_read, read_text
from twin_assets.ingest.pages import decode_html
from twin_assets.ingest.posts import Post, State, parse_date
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.sources.substack_web import SubstackPost, body_blocks, publication_or_post
from twin_assets.ingest.tables import read_csv

RANK = EXACT
_COLUMNS = ("post_id", "post_date", "is_published", "type", "title")
_TABLE = "posts.csv"
_WRITTEN = frozenset({"newsletter", "podcast", "thread", "video"})
_POST_ID = re.compile(r"/(?:@[\w.-]+|home/post|inbox/post|profile/[\w.-]+)/(?:p-)?(\d{1,20})/?$", re.ASCII)
_SERVICES = frozenset({"api", "cdn", "support", "email", "images", "media"})


def from_files(files: Files) -> Source | None:
    """An export: a ``posts.csv`` with the columns of Substack."""
    tables = sorted((name for name in files.names if name.rpartition("/")[2] == _TABLE), key=lambda name: name.count("/"))
    found = next((name for name in tables if _is_export(files, name)), None)
    return SubstackExport(files, found) if found else None


def from_address(address: Address) -> Source | None:
    """``https://NAME.substack.com`` and the posts below it, by whichever of Substack's addresses for them."""
    host, parts, web = address.host, address.parts, address.web
    if host == "open.substack.com" and parts[:1] == ["pub"] and len(parts) > 1:
        return publication_or_post(address.url, f"https://{parts[1]}.substack.com", parts[2:], web)
    if host == "substack.com":
        found = _POST_ID.search("/" + "/".join(parts))
        return SubstackPost(address.url, f"https://substack.com/api/v1/posts/by-id/{found[1]}", web) if found else None
    if not host.endswith(".substack.com") or host.split(".")[0] in _SERVICES or parts[:1] == ["notes"]:
        return None
    return publication_or_post(address.url, f"https://{host}", parts, web)


class SubstackExport(Source):
    """Reads an export of a Substack publication, unpacked or not.

    Args:
        files: The export.
        table: The name of its ``posts.csv``.
    """

    platform = "substack"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, table: str) -> None:
        self.location = files.location
        self.files = files
        self._table = table
        self._base = table.removesuffix(_TABLE)

    def read(self) -> Iterator[Post]:
        """One post per row of ``posts.csv``, and one per file that belongs to no row."""
        rows = read_csv(self.files, self._table, _COLUMNS)
        names = set(self.files.names)
        for number, row in enumerate(rows, 1):
            yield self._post(f"{_TABLE}:{number}", row, names)
        yield from not_read(self.files, {self._table, *(self._page(row["post_id"]) for row in rows)}, self.platform)

    def _post(self, origin: str, row: dict[str, str], names: set[str]) -> Post:
        body, problem = self._body(row["post_id"], names)
        state, reason = _state(row, body, problem)
        return Post(
            key=f"substack:{row['post_id'].split('.')[0] or origin}",
            platform=self.platform,
            kind="article",
            origin=origin,
            state=state,
            reason=reason,
            title=" ".join(html.unescape(row["title"]).split()) or None,
            published_at=parse_date(row["post_date"]),
            blocks=tuple(body_blocks(body or "")),
        )

    def _page(self, post_id: str) -> str:
        return f"{self._base}posts/{post_id}.html"

    def _body(self, post_id: str, names: set[str]) -> tuple[str | None, str]:
        """The body of a post, or why there is none."""
        name = self._page(post_id)
        if "/" in post_id or name not in names:
            return None, ""
        try:
            return decode_html(self.files.read(name)), ""
        except UnreadableTextError as error:
            return None, f"posts/{post_id}.html cannot be read: {error}"


def _is_export(files: Files, table: str) -> bool:
    try:
        return "post_id" in read_text(files, table)[:1000]
    except UnreadableTextError:  # what belongs to an export that is damaged is not to be taken for something else
        return any(name.startswith(f"{table.removesuffix(_TABLE)}posts/") and name.endswith(".html") for name in files.names)


def _state(row: dict[str, str], body: str | None, problem: str) -> tuple[State, str]:
    kind = row["type"].strip().lower()
    if row["is_published"].strip().lower() != "true":
        return "draft", "not published"
    if kind not in _WRITTEN:
        return "empty", f"not a post: its type is {kind or 'not given'}"
    if problem:
        return "unreadable", problem
    if body is None:
        return "partial", f"its text is missing: there is no posts/{row['post_id']}.html"
    return "kept", ""
