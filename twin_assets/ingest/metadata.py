"""What a web page says about itself: title, address, authors, date, and whether it may be read by all."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from twin_assets.ingest.posts import bylines, canonical_url, parse_date

_ARTICLE_TYPES = frozenset(
    {"Article", "NewsArticle", "BlogPosting", "SocialMediaPosting", "DiscussionForumPosting", "TechArticle", "Report", "ScholarlyArticle"}
)
_MOST_PARENTS = 200
_CDATA = re.compile(r"^\s*(//)?\s*<!\[CDATA\[|(//)?\s*\]\]>\s*$")
_MEDIUM_TAIL = re.compile(r" \| by [^|]+( \| [^|]+)?$")
_TITLE_CLASS = re.compile(r"(^|\s)(p-name|post-title|entry-title|pw-post-title|article-title)(\s|$)")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Read once, before the body is looked for."""

    title: str | None
    document_title: str
    """What a browser's tab shows."""
    url: str | None
    bylines: tuple[str, ...]
    published_at: datetime | None
    free: bool
    """False where the page says that it is for those who pay."""
    article: bool
    """Whether the page calls itself an article."""
    app: str
    """The application that the page belongs to, by its own word, as ``Medium``."""


def read_metadata(tree: LexborHTMLParser, url: str | None) -> Metadata:
    """Everything a page says about itself.

    Args:
        tree: The page.
        url: Where it came from; the page's own canonical address wins.
    """
    linked = _linked_data(tree)
    meta, canonical, document = _head(tree)
    return Metadata(
        title=_title(tree, linked, meta, document),
        document_title=document.strip(),
        url=_address(linked, meta, canonical or (_exported_address(tree) if "og:url" not in meta else ""), url),
        bylines=bylines(linked.get("author")) or _authors(tree, meta),
        published_at=_published(tree, linked, meta),
        free=str(linked.get("isAccessibleForFree", True)).lower() != "false",
        article=bool(linked) or meta.get("og:type") == "article",
        app=meta.get("al:android:app_name", ""),
    )


def _head(tree: LexborHTMLParser) -> tuple[dict[str, str], str, str]:
    """The named values, the canonical address and the title of the document."""
    meta: dict[str, str] = {}
    canonical = title = ""
    for node in _head_nodes(tree):
        tag, attributes = node.tag, node.attributes
        if tag == "title":
            title = title or node.text(deep=True)
        elif tag == "link":
            canonical = canonical or attributes.get("href") or ""
        elif name := attributes.get("property") or attributes.get("name") or attributes.get("itemprop"):
            meta.setdefault(name.lower(), (attributes.get("content") or "").strip())
    return meta, canonical, title


def _head_nodes(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    selector = "meta[content], link[rel=canonical], title"
    yield from tree.head.css(selector) if tree.head else ()
    if tree.head is None or tree.head.css_first("meta[property^='og:'], link[rel=canonical]") is None:
        yield from tree.css("body meta[content], body link[rel=canonical]")  # an image in the head ends it for a parser


def _linked_data(tree: LexborHTMLParser) -> dict[str, Any]:
    """The first article of the page's JSON-LD, with its authors' names where it only points at them."""
    for script in tree.css("script[type='application/ld+json']"):
        raw = script.text(deep=True)
        if "CDATA" in raw:
            raw = _CDATA.sub("", raw)
        try:
            items = list(_items(json.loads(raw, strict=False)))
        except (ValueError, RecursionError):
            continue
        article = next((item for item in items if _ARTICLE_TYPES.intersection(_types(item))), None)
        if article is not None:
            return {**article, "author": _named(article.get("author"), items)}
    return {}


def _items(data: object) -> Iterator[dict[str, Any]]:
    if isinstance(data, list):
        for item in data:
            yield from _items(item)
    elif isinstance(data, dict):
        yield data
        yield from _items(data.get("@graph"))


def _types(item: dict[str, Any]) -> list[str]:
    kinds = item.get("@type")
    return [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]


def _named(author: object, items: list[dict[str, Any]]) -> object:
    if not isinstance(author, dict) or "name" in author or not isinstance(author.get("@id"), str):
        return author
    return next((item for item in items if item.get("@id") == author["@id"] and "name" in item), None)


def _title(tree: LexborHTMLParser, linked: dict[str, Any], meta: dict[str, str], document: str) -> str | None:
    candidates = (_heading(tree), linked.get("headline"), meta.get("og:title"), document)
    title = next((" ".join(text.split()) for text in candidates if isinstance(text, str) and text.strip()), None)
    return _MEDIUM_TAIL.sub("", title) if title else None


def _heading(tree: LexborHTMLParser) -> str:
    """The page's main heading, unless several could be it."""
    headings = tree.css("h1")
    marked = [node for node in headings if _TITLE_CLASS.search(node.attributes.get("class") or "")]
    texts = {node.text(deep=True).strip() for node in marked or headings}
    if len(texts) > 1 and not marked:
        texts = {node.text(deep=True).strip() for node in tree.css("article h1")}
    return texts.pop() if len(texts) == 1 else ""


def _address(linked: dict[str, Any], meta: dict[str, str], canonical: str, url: str | None) -> str | None:
    named = linked.get("mainEntityOfPage")
    named = named.get("@id") if isinstance(named, dict) else named
    for candidate in (canonical, meta.get("og:url"), linked.get("url"), named, url):
        if isinstance(candidate, str) and candidate and (found := _absolute(candidate, url)):
            return found
    return None


def _exported_address(tree: LexborHTMLParser) -> str:
    """Where a post stands, by a page of Medium's export."""
    link = tree.css_first("a.p-canonical")
    return (link.attributes.get("href") if link else None) or ""


def _absolute(candidate: str, url: str | None) -> str | None:
    try:
        return canonical_url(urljoin(url, candidate) if url else candidate)
    except ValueError:  # an address with brackets in the wrong place
        return None


def _authors(tree: LexborHTMLParser, meta: dict[str, str]) -> tuple[str, ...]:
    if "author" in meta:
        return bylines(meta["author"])
    node = tree.css_first(".p-author") or tree.css_first("a[rel=author], [itemprop=author] [itemprop=name]")
    return bylines(node.text(deep=True) if node else None)


def _published(tree: LexborHTMLParser, linked: dict[str, Any], meta: dict[str, str]) -> datetime | None:
    named = (linked.get("datePublished"), meta.get("article:published_time"), meta.get("datepublished"), meta.get("date"))
    for value in (*named, meta.get("og:published_time")):
        if found := parse_date(value):
            return found
    return parse_date(_time(tree))


def _time(tree: LexborHTMLParser) -> str | None:
    nodes = tree.css("time[datetime]")
    marked = next((node for node in nodes if "dt-published" in (node.attributes.get("class") or "")), None)
    node = marked or tree.css_first("article time[datetime]") or (nodes[0] if nodes else None)
    return node.attributes.get("datetime") if node else None


def outermost(nodes: list[LexborNode]) -> list[LexborNode]:
    """Those of the nodes that stand in none of the others."""
    ids = {node.mem_id for node in nodes}
    return [node for node in nodes if not _has_parent(node, ids)]


def _has_parent(node: LexborNode, ids: set[int]) -> bool:
    parent = node.parent
    for _ in range(_MOST_PARENTS):
        if parent is None:
            break
        if parent.mem_id in ids:
            return True
        parent = parent.parent
    return False
