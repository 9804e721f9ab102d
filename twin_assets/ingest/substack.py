"""Substack's export: ``posts.csv`` and the bodies in ``posts/``. Lists of readers in it are never opened."""

from collections.abc import Iterator
from pathlib import Path

from twin_assets.ingest.article import decode_html
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.posts import Block, Post, State, not_a_text, parse_date, settle_all
from twin_assets.ingest.source import files_below
from twin_assets.ingest.tables import read_csv

_COLUMNS = ("post_id", "post_date", "is_published", "type", "title")


class SubstackExport:
    """Reads an unpacked export of a Substack publication."""

    platform = "substack"
    complete = True

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.path = path

    def read(self) -> Iterator[Post]:
        """One post per row of ``posts.csv``, and one per file that belongs to no row."""
        if not (self.path / "posts.csv").is_file():
            raise SourceError(f"No posts.csv in {self.path}: name the folder that Substack's export was unpacked to.")
        yield from settle_all(self._posts())

    def _posts(self) -> Iterator[Post]:
        rows = read_csv(self.path / "posts.csv", _COLUMNS)
        for number, row in enumerate(rows, 1):
            yield self._post(f"posts.csv:{number}", row)
        used = {"posts.csv", *(f"posts/{row['post_id']}.html" for row in rows)}
        for file in files_below(self.path):
            origin = file.relative_to(self.path).as_posix()
            if origin not in used:
                page = file.suffix == ".html" and origin.startswith("posts/")
                yield not_a_text(
                    origin, self.platform, "no row in posts.csv names it" if page else "not a text this source reads; it was not opened"
                )

    def _post(self, origin: str, row: dict[str, str]) -> Post:
        blocks = self._body(row["post_id"])
        state, reason = _state(row, blocks)
        return Post(
            key=f"substack:{row['post_id'].split('.')[0] or origin}",
            platform=self.platform,
            kind="article",
            origin=origin,
            state=state,
            reason=reason,
            title=" ".join(row["title"].split()) or None,
            published_at=parse_date(row["post_date"]),
            blocks=tuple(blocks or ()),
        )

    def _body(self, post_id: str) -> list[Block] | None:
        path = self.path / "posts" / f"{post_id}.html"
        inside = "/" not in post_id and "\\" not in post_id and bool(post_id)
        try:
            return html_blocks(decode_html(path.read_bytes())) if inside and path.is_file() else None
        except OSError:
            return None


def _state(row: dict[str, str], blocks: list[Block] | None) -> tuple[State, str]:
    if row["is_published"].strip().lower() != "true":
        return "draft", "not published"
    if row["type"].strip().lower() != "newsletter":
        return "empty", f"not a written post: its type is {row['type'] or 'not given'}"
    if blocks is None:
        return "partial", f"its text is missing: posts/{row['post_id']}.html cannot be read"
    return "kept", ""
