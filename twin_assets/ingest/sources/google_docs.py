"""A document out of Google Docs, as its "Web page" download, Drive and Takeout write it."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

from selectolax.lexbor import LexborNode

from twin_assets.ingest.html import parse
from twin_assets.ingest.pages import decode_html
from twin_assets.ingest.texts import Text, titled_blocks

_WRAPPER = re.compile(r"https?://(?:www\.)?google\.com/url\?[^\s<>\"']+")
_NOTE_MARKS = "a[href^='#ftnt']"
_COMMENT_MARKS = "a[href^='#cmnt']"
_MARKS = (b"doc-content", b"themes.googleusercontent.com/fonts", b"lst-kix_", b"google.com/url?q=")


def is_google_doc(content: bytes) -> bool:
    """Whether a page was written by Google Docs: its styles and classes tell."""
    return b"<article" not in content and sum(mark in content for mark in _MARKS) >= 2


def read_google_doc(content: bytes) -> Text:
    """Reads a document: links by their words, without the comments of those who read along, which stand at its end."""
    body = parse(decode_html(content)).body
    if body is None:
        return Text(())
    for comment in body.css("a[id^=cmnt]:not([id^=cmnt_ref])"):
        _box(comment).decompose()
    for mark in body.css(f"{_NOTE_MARKS}, {_COMMENT_MARKS}"):
        mark.decompose()
    for link in body.css("a"):
        if _WRAPPER.fullmatch(link.text(deep=True).strip()):
            link.replace_with(_unwrapped(link.text(deep=True).strip()))
    title, blocks = titled_blocks(body, "p.title")
    return Text(tuple(blocks), title)


def _box(node: LexborNode) -> LexborNode:
    """The frame around a comment: the paragraph, and the box that holds nothing but it."""
    box = node
    while (parent := box.parent) is not None and parent.tag not in ("body", "html") and (parent.tag != "div" or box.tag == "p"):
        box = parent
    return box


def _unwrapped(url: str) -> str:
    """Where a link leads that Google counts the clicks of."""
    return (parse_qs(urlsplit(unescape(url)).query).get("q") or [url])[0]
