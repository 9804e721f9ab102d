"""A single web page, saved or on the web."""

import re
from collections.abc import Iterator

from twin_assets.ingest.browser import render
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Files, UnreadableTextError
from twin_assets.ingest.html import parse
from twin_assets.ingest.pages import ExtractedPage, decode_html, read_page
from twin_assets.ingest.posts import Post, State, count_words, post_key
from twin_assets.ingest.source import GENERIC, Address, Coverage, Source
from twin_assets.settings import get_settings

RANK = GENERIC
_SUFFIXES = (".html", ".htm", ".xhtml")
_APP_ROOTS = "#root, #app, #__next, #__nuxt, #___gatsby, #svelte, app-root, [data-reactroot], [ng-app], [ng-version]"
_ASKS_FOR_SCRIPT = re.compile(r"java\s?script", re.IGNORECASE)
_FEW_WORDS = 40
_NOT_THERE = re.compile(
    r"^\W*(error )?(404|410)\b|\b(page|post|story|article|site) (was |could )?not (be )?found\b|^not found\b", re.IGNORECASE
)


def from_files(files: Files) -> Source | None:
    """A single saved page."""
    if len(files.names) != 1 or not files.names[0].lower().endswith(_SUFFIXES):
        return None
    try:
        return Page(files.location, files.read(files.names[0]), name=files.names[0])
    except UnreadableTextError as error:
        raise SourceError(f"{files.location} cannot be read: {error}.") from error


def from_address(address: Address) -> Source | None:
    """Any page."""
    response = address.page()
    if not response.content.strip():
        raise SourceError(f"{address.url} answered with nothing. Check the address in a browser.", "malformed")
    html = not response.content_type or "html" in response.content_type or b"<html" in response.content[:4096].lower()
    if b"\x00" in response.content[:4096] or not html:
        return None
    return Page(address.url, response.content, url=response.url, name=address.url)


class Page(Source):
    """Reads one page; one on the web that is built by a script is opened in a browser.

    Args:
        location: Path or URL.
        content: The page's bytes.
        url: Where it was fetched from; None for a file.
        name: What to call it inside of the source; for a file without an address of its own this is the key.
    """

    coverage: Coverage = "everything"

    def __init__(self, location: str, content: bytes, *, url: str | None = None, name: str = "page") -> None:
        self.location = location
        self._content = content
        self._url = url
        self._name = name
        self._article: ExtractedPage | None = None
        self._problem = ""

    @property
    def platform(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The publishing platform, as far as the page tells."""
        return self._read().platform

    def read(self) -> Iterator[Post]:
        """Exactly one post."""
        article = self._read()
        state, reason = ("unreadable", self._problem) if self._problem else _state(article)
        if state == "unreadable":
            self.truncated = reason  # under another address or not, what was read before is not gone
        yield Post(
            key=(post_key(article.url) if article.url else None) or self._name,
            platform=article.platform,
            kind="post" if article.platform == "linkedin" else "article",
            origin=self._name,
            state=state,
            reason=reason,
            title=article.title,
            url=article.url,
            bylines=article.bylines,
            published_at=article.published_at,
            blocks=() if state == "unreadable" else article.blocks,
        )

    def _read(self) -> ExtractedPage:
        if self._article is None:
            self._article = read_page(self._content, self._url)
            if self._url and not self._article.challenge and is_built_by_script(self._content):
                try:
                    rendered = render(self._url, get_settings())
                    self._article = read_page(rendered.html, rendered.url)
                except SourceError as error:
                    self._problem = f"a script builds this page: {error}"
        return self._article


def is_built_by_script(content: bytes) -> bool:
    """Whether a page holds next to no text itself, but a script that puts the text there."""
    tree = parse(decode_html(content))
    if tree.css_first("script") is None:
        return False
    built = tree.css_first(_APP_ROOTS) is not None or any(_ASKS_FOR_SCRIPT.search(node.text(deep=True)) for node in tree.css("noscript"))
    tree.strip_tags(["template", "noscript", "script", "style"])
    return built and (tree.body is None or count_words(tree.body.text(deep=True, separator=" ")) < _FEW_WORDS)


def _state(article: ExtractedPage) -> tuple[State, str]:
    if article.challenge:
        return (
            "unreadable",
            f"the site answered with {article.challenge!r}, not with the post: save the page from a browser and add the file",
        )
    if _NOT_THERE.search(article.title or "") and sum(count_words(block.text) for block in article.blocks) < _FEW_WORDS:
        return "unreadable", f"the site says {article.title!r}: there is nothing at this address any more"
    if not article.complete:
        return "partial", "behind a paywall: the page holds only a teaser of it"
    return "kept", ""
