"""A whole web page to one article: where the body stands, who wrote it and when, and whether it is all there."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from twin_assets.ingest.html import html_blocks, node_blocks
from twin_assets.ingest.posts import OWN_WORDS, Block, byline, canonical_url, count_words, parse_date

_BODIES = (
    ("substack", ".available-content .body.markup, .single-post .body.markup"),
    ("medium", "section[data-field=body], .postArticle-content, .postField--body"),
    ("linkedin", "p[data-test-id=main-feed-activity-card__commentary]"),
    ("web", "[itemprop=articleBody]"),
    ("web", ".e-content, .post-content, .entry-content, .article-content, .post-body, .article-body, .gh-content, .blog-post-content"),
    ("web", "article"),
)
_ARTICLE_TYPES = frozenset({"Article", "NewsArticle", "BlogPosting", "SocialMediaPosting", "TechArticle", "Report", "ScholarlyArticle"})
_CHALLENGE = re.compile(
    r"^(just a moment|attention required|verify you are human|access denied|are you a robot|sign in|log in|login|authwall|security check)",
    re.I,
)
_PAYWALLS = "h2.paywall-title, .paywall, .paywall-content, .gh-post-upgrade-cta, .meteredContent ~ .paywall"
_MEDIUM_TAIL = re.compile(r" \| by [^|]+( \| [^|]+)?$")
_CHARSET = re.compile(rb"""<meta[^>]+charset=["']?\s*([\w-]+)""", re.I)
_MIN_WORDS = 25
_UI_LINES = re.compile(
    r"^(listen|share|follow|following|subscribe|sign up|sign in|open in app|write|member-only story|photo by .* on unsplash"
    r"|\d+ min read|--|·|press enter or click to view image in full size)$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Article:
    """What a page holds."""

    platform: str
    title: str | None
    byline: str | None
    url: str | None
    published_at: datetime | None
    blocks: tuple[Block, ...]
    complete: bool = True
    challenge: str = ""


def read_article(content: bytes | str, url: str | None = None) -> Article:
    """Reads a page.

    Args:
        content: The page; bytes are decoded by the charset that the page names.
        url: Where it came from; the page's own canonical address wins.
    """
    text = decode_html(content) if isinstance(content, bytes) else content
    tree = LexborHTMLParser(text)
    linked = _linked_data(tree)
    meta = _meta(tree)
    title = _title(tree, linked, meta)
    address = _address(tree, linked, meta, url)
    author = byline(linked.get("author")) or _author(tree, meta)
    when = linked.get("datePublished") or meta.get("article:published_time") or meta.get("date") or _time(tree)
    complete = str(linked.get("isAccessibleForFree", True)).lower() != "false" and tree.css_first(_PAYWALLS) is None
    challenge = title or "" if _CHALLENGE.match(title or "") else ""
    platform, blocks = _body(tree, text, _host_platform(address, meta, text))
    return Article(
        platform=platform,
        title=title,
        byline=author,
        url=address,
        published_at=parse_date(when),
        blocks=tuple(_without_header(blocks, title, author)),
        complete=complete,
        challenge=challenge,
    )


def decode_html(content: bytes) -> str:
    """A page as text, as UTF-8 or else in the charset that it names; what cannot be decoded is replaced."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")  # pages saved by tools are UTF-8 whatever they say of themselves
    except UnicodeDecodeError:
        found = _CHARSET.search(content[:4096])
    try:
        return content.decode(found[1].decode() if found else "cp1252", errors="replace")
    except LookupError:
        return content.decode("cp1252", errors="replace")


def feed_link(content: bytes, url: str) -> str | None:
    """The feed that a page offers."""
    link = LexborHTMLParser(decode_html(content)).css_first(
        "link[rel~=alternate][type='application/rss+xml'], link[rel~=alternate][type='application/atom+xml']"
    )
    href = link.attributes.get("href") if link else None
    return urljoin(url, href) if href else None


def _body(tree: LexborHTMLParser, text: str, host: str) -> tuple[str, list[Block]]:
    for platform, selector in _BODIES:
        node = _the_one(tree, selector)
        if node is None:
            continue
        found = host if platform == "web" else platform
        for clutter in node.css("aside, footer, [role=complementary], .author-bio, .byline, .tags, .breadcrumb"):
            clutter.decompose()
        blocks = node_blocks(node, bare_text=found != "medium")
        if found == "medium":
            blocks = [block for block in blocks if not _UI_LINES.match(block.text)]
        if own_words(blocks) >= _MIN_WORDS or platform in ("substack", "linkedin"):
            return found, blocks
    return host, _extracted(text)


def _the_one(tree: LexborHTMLParser, selector: str) -> LexborNode | None:
    """The outermost match when it is the only one; several articles on a page are a list, not a post."""
    nodes = tree.css(selector)
    if selector.startswith("p[") and nodes:  # further ones are other people's posts
        return nodes[0]
    outer = [node for node in nodes if not any(_inside(node, other) for other in nodes)]
    return outer[0] if len(outer) == 1 else None


def _inside(node: LexborNode, other: LexborNode) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.mem_id == other.mem_id:
            return True
        parent = parent.parent
    return False


def _extracted(text: str) -> list[Block]:
    import trafilatura

    html = trafilatura.extract(text, output_format="html", include_comments=False, include_formatting=True, favor_precision=True)
    return html_blocks(html) if html else []


def own_words(blocks: list[Block]) -> int:
    """Words of running prose in the blocks."""
    return sum(count_words(block.text) for block in blocks if block.type in OWN_WORDS)


def _without_header(blocks: list[Block], title: str | None, author: str | None) -> list[Block]:
    """Drops what repeats the page's title and byline at the head of the body."""
    head, rest = blocks[:6], blocks[6:]
    index = next((i for i, block in enumerate(head) if block.type == "heading" and " ".join(block.text.split()) == title), None)
    if index is not None:
        head = [block for block in head[:index] if count_words(block.text) > 6] + head[index + 1 :]
    return [block for block in head if block.text != author] + rest


def _linked_data(tree: LexborHTMLParser) -> dict[str, Any]:
    for script in tree.css("script[type='application/ld+json']"):
        raw = re.sub(r"^\s*(//)?\s*<!\[CDATA\[|(//)?\s*\]\]>\s*$", "", script.text(deep=True))
        try:
            items = list(_items(json.loads(raw, strict=False)))
        except (ValueError, RecursionError):
            continue
        for item in items:
            kind = item.get("@type")
            if _ARTICLE_TYPES.intersection([kind] if isinstance(kind, str) else kind if isinstance(kind, list) else []):
                return item
    return {}


def _items(data: object) -> Iterator[dict[str, Any]]:
    if isinstance(data, list):
        for item in data:
            yield from _items(item)
    elif isinstance(data, dict):
        yield data
        yield from _items(data.get("@graph"))


def _meta(tree: LexborHTMLParser) -> dict[str, str]:
    pairs = {}
    for node in tree.css("meta[content]"):
        name = node.attributes.get("property") or node.attributes.get("name") or node.attributes.get("itemprop")
        if name:
            pairs.setdefault(name.lower(), (node.attributes.get("content") or "").strip())
    return pairs


def _title(tree: LexborHTMLParser, linked: dict[str, Any], meta: dict[str, str]) -> str | None:
    headings = tree.css("h1.p-name, h1.post-title, h1.entry-title, article h1") or tree.css("h1")
    heading = headings[0].text(deep=True) if len({node.text(deep=True) for node in headings}) == 1 else ""
    document = tree.css_first("title")
    candidates = (heading, linked.get("headline"), meta.get("og:title"), document.text(deep=True) if document else "")
    title = next((" ".join(text.split()) for text in candidates if isinstance(text, str) and text.strip()), None)
    return _MEDIUM_TAIL.sub("", title) if title else None


def _address(tree: LexborHTMLParser, linked: dict[str, Any], meta: dict[str, str], url: str | None) -> str | None:
    link = tree.css_first("link[rel=canonical], a.p-canonical")
    named = linked.get("mainEntityOfPage")
    named = named.get("@id") if isinstance(named, dict) else named
    for candidate in (link.attributes.get("href") if link else None, meta.get("og:url"), linked.get("url"), named, url):
        if isinstance(candidate, str) and (found := canonical_url(urljoin(url, candidate) if url else candidate)):
            return found
    return None


def _author(tree: LexborHTMLParser, meta: dict[str, str]) -> str | None:
    node = tree.css_first("a.p-author, .p-author, a[rel=author], [itemprop=author] [itemprop=name]")
    return byline(node.text(deep=True) if node else None) or byline(meta.get("author"))


def _time(tree: LexborHTMLParser) -> str | None:
    nodes = tree.css("time.dt-published[datetime], article time[datetime]") or tree.css("time[datetime]")
    return nodes[0].attributes.get("datetime") if nodes else None


def _host_platform(url: str | None, meta: dict[str, str], text: str) -> str:
    host = urlsplit(url).hostname or "" if url else ""
    for name in ("medium.com", "substack.com", "linkedin.com"):
        if host == name or host.endswith(f".{name}"):
            return name.split(".")[0]
    if meta.get("al:android:app_name") == "Medium":
        return "medium"
    return "substack" if "https://substackcdn.com/" in text else "web"
