"""Markdown files: a blog made by Hugo, Jekyll or Astro, a folder of notes, or a single file."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.markdown import Document, FrontMatterError, read_markdown, scalar
from twin_assets.ingest.posts import Kind, Post, State, byline, canonical_url, mark_foreign, not_a_text, parse_date, post_key, settle_all
from twin_assets.ingest.source import UnreadableTextError, files_below, read_text

SUFFIXES = frozenset({".md", ".mdx", ".markdown"})
_REPOSITORY_FILE = re.compile(
    r"^(_.*|[Rr]eadme\..*|(README|LICEN[CS]E|MANIFEST|CHANGELOG|CHANGES|HISTORY|CONTRIBUTING|CONTRIBUTORS|CODE_OF_CONDUCT|SECURITY|AUTHORS"
    r"|NOTICE|COPYING|MAINTAINERS|GOVERNANCE|SUPPORT|AGENTS|CLAUDE)([._-].*)?)$"
)
_JEKYLL_DATE = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})[-_]")
_DATE_FIELDS = ("date", "published", "published_at", "publishdate", "pubdate", "pubdatetime", "date_published", "created")
_URL_FIELDS = ("canonical_url", "canonicalurl", "canonical", "url", "permalink", "link")
_FALSE = ("false", "no", "0")
_TRUE = ("true", "yes", "1")
_NOTE_FOLDERS = frozenset({"notes", "note", "til", "microblog", "snippets"})
_DRAFT_FOLDERS = frozenset({"_drafts", "drafts"})


class MarkdownFolder:
    """Reads every Markdown file below a folder, or one file; all other files are accounted for and not opened."""

    platform = "blog"
    complete = True

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.path = path
        self.root = path if path.is_dir() else path.parent

    def read(self) -> Iterator[Post]:
        """One post per file."""
        files = files_below(self.path) if self.path.is_dir() else [self.path]
        if not files:
            raise SourceError(f"The folder {self.path} is empty: put Markdown files into it, or name another folder.")
        if not any(file.suffix.lower() in SUFFIXES for file in files):
            raise SourceError(
                f"None of the {len(files)} files in {self.path} is Markdown, and it is no export of LinkedIn or Substack itself: "
                "name the folder that the export was unpacked to, each export as a source of its own."
            )
        yield from settle_all(mark_foreign([self._post(file) for file in files]))

    def _post(self, file: Path) -> Post:
        origin = printable(file.relative_to(self.root).as_posix())
        if file.suffix.lower() not in SUFFIXES:
            return not_a_text(origin, self.platform)
        if file != self.path and _REPOSITORY_FILE.match(file.name):
            return not_a_text(origin, self.platform, "not a post: a section page or a file about the repository")
        try:
            document = read_markdown(read_text(file), mdx=file.suffix.lower() == ".mdx")
        except UnreadableTextError as error:
            return replace(not_a_text(origin, self.platform, str(error)), state="unreadable")
        except FrontMatterError as error:
            return replace(not_a_text(origin, self.platform, f"its front matter cannot be read: {error}"), state="unreadable")
        return self._read(origin, file, document)

    def _read(self, origin: str, file: Path, document: Document) -> Post:
        meta = document.meta
        url = next((found for name in _URL_FIELDS if isinstance(meta.get(name), str) and (found := canonical_url(meta[name]))), None)
        state, reason = _state(origin, meta)
        return Post(
            key=(post_key(url) if url else None) or origin,
            platform=self.platform,
            kind=_kind(origin, meta),
            origin=origin,
            state=state,
            reason=reason,
            title=document.title,
            url=url,
            byline=byline(meta.get("author") or meta.get("authors")),
            published_at=_date(file, meta),
            blocks=document.blocks,
        )


def printable(name: str) -> str:
    """A file name that can be stored: bytes that are no UTF-8 are shown as escapes."""
    return name.encode("utf-8", errors="backslashreplace").decode()


def _state(origin: str, meta: dict[str, Any]) -> tuple[State, str]:
    if scalar(meta.get("draft")).lower() in _TRUE:
        return "draft", "draft: true"
    if scalar(meta.get("published")).lower() in _FALSE:
        return "draft", "published: false"
    if scalar(meta.get("status")).lower() == "draft":
        return "draft", "status: draft"
    if _DRAFT_FOLDERS.intersection(origin.lower().split("/")[:-1]):
        return "draft", "in a folder of drafts"
    return "kept", ""


def _kind(origin: str, meta: dict[str, Any]) -> Kind:
    folders = origin.lower().split("/")[:-1]
    return "note" if _NOTE_FOLDERS.intersection(folders) or scalar(meta.get("type")).lower() == "note" else "article"


def _date(file: Path, meta: dict[str, Any]) -> datetime | None:
    for name in _DATE_FIELDS:
        if found := parse_date(meta.get(name)):
            return found
    for name in (file.name, file.parent.name):
        if found := _JEKYLL_DATE.match(f"{name}-"):
            try:
                return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
            except ValueError:
                continue
    return None
