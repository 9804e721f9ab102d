"""Markdown files: a blog made by Hugo, Jekyll or Astro, a folder of notes, or a single file."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from twin_assets.ingest.files import Files, UnreadableTextError, not_read, read_text
from twin_assets.ingest.history import FileDates, file_dates
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.markdown import Document, FrontMatterError, read_markdown, scalar, split_front_matter, without_tags
from twin_assets.ingest.posts import Kind, Post, State, bylines, canonical_url, not_a_text, parse_date, post_key
from twin_assets.ingest.source import GENERIC, Coverage, Source

RANK = GENERIC - 1
SUFFIXES = (".md", ".mdx", ".markdown")
_REPOSITORY_FILE = re.compile(
    r"^(_.*|[Rr]eadme\..*|(README|LICEN[CS]E|MANIFEST|CHANGELOG|CHANGES|HISTORY|CONTRIBUTING|CONTRIBUTORS|CODE_OF_CONDUCT|SECURITY|AUTHORS"
    r"|NOTICE|COPYING|MAINTAINERS|GOVERNANCE|SUPPORT|AGENTS|CLAUDE)([._-].*)?)$"
)
_JEKYLL_DATE = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})[-_]")
_DATE_FIELDS = ("date", "published", "published_at", "publishdate", "pubdate", "pubdatetime", "date_published", "datepublished", "created")
_EDITED_FIELDS = ("lastmod", "updated", "updated_at", "modified", "last_modified_at", "date_modified", "updateddate", "moddatetime")
_URL_FIELDS = ("canonical_url", "canonicalurl", "canonical", "url", "permalink", "link")
_FALSE = ("false", "no", "0")
_TRUE = ("true", "yes", "1")
_NOTE_FOLDERS = frozenset({"notes", "note", "til", "microblog", "snippets"})
_DRAFT_FOLDERS = frozenset({"_drafts", "drafts"})
_JEKYLL_FOLDERS = frozenset({"_posts", "_drafts"})
_ZONE_NAME = re.compile(r"\s*\([^()]{1,60}\)$")


def from_files(files: Files) -> Source | None:
    """Any folder or ZIP with posts in Markdown in it, or one Markdown file. A README beside code is no post."""
    alone = len(files.names) == 1
    found = any(
        _JEKYLL_FOLDERS.intersection(name.split("/"))
        if _is_jekyll_page(name)
        else alone or not _REPOSITORY_FILE.match(name.rpartition("/")[2])
        for name in files.names
        if _is_text(name)
    )
    return MarkdownFolder(files) if found else None


def _is_text(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) or _is_jekyll_page(name)


def _is_jekyll_page(name: str) -> bool:
    """A post that was written in HTML, as Jekyll knows it: by its folder or by the date in its name."""
    *folders, file = name.split("/")
    return file.lower().endswith((".html", ".htm")) and bool(_JEKYLL_FOLDERS.intersection(folders) or _JEKYLL_DATE.match(file))


class MarkdownFolder(Source):
    """Reads every Markdown file; all other files are accounted for and not opened."""

    platform = "blog"
    coverage: Coverage = "everything"

    def __init__(self, files: Files) -> None:
        self.location = files.location
        self.files = files

    def read(self) -> Iterator[Post]:
        """One post per file."""
        for name in self.files.names:
            if _is_text(name):
                yield self._post(name)
        yield from not_read(self.files, {name for name in self.files.names if _is_text(name)}, self.platform)

    def _post(self, name: str) -> Post:
        file = name.rpartition("/")[2]
        if len(self.files.names) > 1 and _REPOSITORY_FILE.match(file):
            return not_a_text(name, self.platform, "not a post: a section page or a file about the repository")
        try:
            text = read_text(self.files, name)
            document = _read_page(text) if _is_jekyll_page(name) else read_markdown(text, mdx=file.lower().endswith(".mdx"))
        except UnreadableTextError as error:
            return not_a_text(name, self.platform, str(error), "unreadable")
        except FrontMatterError as error:
            return not_a_text(name, self.platform, f"its front matter cannot be read: {error}", "unreadable")
        if document is None:
            return not_a_text(name, self.platform, "not a post: a page without front matter")
        return self._read(name, document)

    def _read(self, origin: str, document: Document) -> Post:
        meta = document.meta
        url = next((found for name in _URL_FIELDS if isinstance(meta.get(name), str) and (found := canonical_url(meta[name]))), None)
        state, reason = _state(origin, meta)
        published, edited = _date(origin, meta), _first_date(meta, _EDITED_FIELDS)
        if published is None and (dates := self._history.get(origin)):
            published, edited = dates.added, edited or dates.changed
        return Post(
            key=(post_key(url) if url else None) or origin,
            platform=self.platform,
            kind=_kind(origin, meta),
            origin=origin,
            state=state,
            reason=reason,
            title=document.title,
            url=url,
            bylines=bylines(meta.get("author") or meta.get("authors")),
            published_at=published,
            edited_at=edited if edited and published and edited > published else None,
            blocks=document.blocks,
        )

    @cached_property
    def _history(self) -> dict[str, FileDates]:
        """When git says that files came and changed; asked only when a file itself does not say when it was written."""
        folder = Path(self.files.location)
        return file_dates(folder) if folder.is_dir() else {}


def _read_page(text: str) -> Document | None:
    """A post in HTML with front matter; a page without any is none."""
    meta, body = split_front_matter(text)
    title = " ".join(scalar(meta.get("title")).split()) or None
    return Document(title, tuple(html_blocks(without_tags(body))), meta) if meta else None


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


def _date(origin: str, meta: dict[str, Any]) -> datetime | None:
    if found := _first_date(meta, _DATE_FIELDS):
        return found
    for name in reversed(origin.split("/")[-2:]):
        if found := _JEKYLL_DATE.match(f"{name}-"):
            try:
                return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
            except ValueError:
                continue
    return None


def _first_date(meta: dict[str, Any], fields: tuple[str, ...]) -> datetime | None:
    values = (meta.get(name) for name in fields)
    return next((found for value in values if (found := parse_date(_ZONE_NAME.sub("", value) if isinstance(value, str) else value))), None)
