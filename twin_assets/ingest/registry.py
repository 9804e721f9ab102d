"""From a path or a URL to the source that can read it."""

from pathlib import Path
from urllib.parse import urlsplit

from twin_assets.ingest.article import feed_link
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.feed import Feed
from twin_assets.ingest.http import Response, fetch
from twin_assets.ingest.linkedin import LinkedInExport, is_linkedin_file
from twin_assets.ingest.markdown_folder import SUFFIXES, MarkdownFolder
from twin_assets.ingest.page import Page
from twin_assets.ingest.source import Source
from twin_assets.ingest.substack import SubstackExport

_FEEDS = frozenset({".xml", ".rss", ".atom"})
_PAGES = frozenset({".html", ".htm", ".xhtml"})


def is_url(location: str) -> bool:
    """Whether a location is on the web."""
    return location.lower().startswith(("http://", "https://"))


def normalized(location: str) -> str:
    """The location as it is registered: URLs as they are, paths absolute, so that it means the same from any folder."""
    return location if is_url(location) else str(Path(location).expanduser().absolute())


def open_source(location: str) -> Source:
    """The source for a location.

    Args:
        location: A folder (LinkedIn export, Substack export, or Markdown files), a file (Markdown, LinkedIn CSV, HTML page, feed), or
            the URL of a feed or page.

    Raises:
        SourceError: When there is nothing to read, or nothing that any source knows.
    """
    if is_url(location):
        return _web(location)
    path = Path(location).expanduser()
    try:
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return _file(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}. Check its name and permissions.") from error
    except ValueError as error:
        raise SourceError(f"{location!r} is no path: {error}.") from error
    raise SourceError(f"There is no file or folder {path}. Check the path, or give a URL that begins with http:// or https://.")


def _folder(path: Path) -> Source:
    entries = list(path.iterdir())
    if not entries:
        raise SourceError(f"The folder {path} is empty: put Markdown files or an unpacked export into it, or name another folder.")
    if any(is_linkedin_file(entry) for entry in entries):
        return LinkedInExport(path)
    if (path / "posts.csv").is_file():
        return SubstackExport(path)
    return MarkdownFolder(path)


def _file(path: Path) -> Source:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return MarkdownFolder(path)
    if is_linkedin_file(path):
        return LinkedInExport(path)
    if path.name == "posts.csv":
        return SubstackExport(path.parent)
    if suffix in _PAGES:
        return Page(str(path), path.read_bytes(), name=path.name)
    if suffix in _FEEDS:
        return Feed(str(path), path.read_bytes())
    known = "Markdown (.md, .mdx, .markdown), LinkedIn's Shares.csv, a page (.html) or a feed (.xml, .rss, .atom)"
    raise SourceError(f"{path} is none of the files that can be read: {known}. An export that comes as a ZIP is unpacked first.")


def _web(url: str) -> Source:
    response = fetch(url)
    if _is_feed(response):
        return Feed(url, response.content)
    if not response.content.strip():
        raise SourceError(f"{url} answered with nothing. Check the address in a browser.")
    if b"\x00" in response.content[:4096] or not _is_page(response):
        raise SourceError(f"{url} is neither a page nor a feed but {response.content_type or 'something binary'}. Name a feed or a post.")
    parts = urlsplit(response.url)
    offered = feed_link(response.content, response.url) if parts.path in ("", "/") and not parts.query else None
    if offered:  # the front page of a blog: its feed is what was meant
        return Feed(url, fetch(offered).content)
    return Page(url, response.content, url=response.url, name=url)


def _is_feed(response: Response) -> bool:
    head = response.content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<!doctype html" in head or b"<html" in head:
        return False
    return (
        any(mark in head for mark in (b"<rss", b"<feed", b"<rdf:rdf"))
        or "rss+xml" in response.content_type
        or "atom+xml" in response.content_type
    )


def _is_page(response: Response) -> bool:
    return not response.content_type or "html" in response.content_type or b"<html" in response.content[:4096].lower()
