"""A whole web page to one article: where the body stands, who wrote it and when, and whether it is all there."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from twin_assets.ingest.html import DROPPED, WIDGETS, html_blocks, node_blocks, parse
from twin_assets.ingest.metadata import Metadata, outermost, read_metadata
from twin_assets.ingest.posts import OWN_WORDS, Block, count_words
from twin_assets.ingest.walls import Wall, wall_of

_CHARSET = re.compile(rb"""<meta[^>]+charset=["']?\s*([\w-]+)""", re.I)
_NOT_SO = ("iso-8859-1", "iso8859-1", "latin1", "us-ascii", "ascii", "utf-8", "utf-16", "utf-32")
"""Charsets that a page may name, but that browsers read as Windows-1252, or that it cannot be in."""
_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힣]|[^\W぀-ヿ㐀-鿿가-힣]+")
_MIN_WORDS = 25
_FEW_WORDS = 60
_LONG_BLOCK = 8
_LEAD = 3
_AGREEMENT = 0.97
_FEWEST_ENTRIES = 3
_HEADING_LINKS = "h1 a[href], h2 a[href], h3 a[href], h4 a[href], a[href] h2, a[href] h3, a[href] h4"
_LONGEST_FURNITURE = 60
_DROPPED = DROPPED | {"aside", "footer"}


@dataclass(frozen=True, slots=True)
class _Route:
    """Where one platform puts a body."""

    body: str
    widgets: str = WIDGETS
    bare_text: bool = True
    first: bool = False
    """The first match is the post and further ones are other people's; otherwise several matches are a list of posts."""
    min_words: int = 0


_ROUTES: dict[str, tuple[_Route, ...]] = {
    "substack": (
        _Route(".body.markup"),
        _Route(".available-content .body.markup"),
        _Route("[class*=permalinkHeader] .FeedProseMirror", first=True),
        _Route("#entry .FeedProseMirror"),
    ),
    "medium": (
        _Route("section[data-field=body], .postArticle-content, .postField--body", widgets="", bare_text=False),
        _Route("article", widgets=".speechify-ignore", bare_text=False, min_words=_MIN_WORDS),
    ),
    "linkedin": (
        _Route("p[data-test-id=main-feed-activity-card__commentary]", widgets="", first=True),
        _Route(".article-content__body, .reader-article-content, [data-test-id=article-content-blocks]", first=True),
    ),
    "web": (
        _Route(
            ".gh-content, .e-content, .crayons-article__body",
            widgets=f"{WIDGETS}, [role=complementary], .author-bio, .byline, .tags, .breadcrumb",
        ),
    ),
}
_PAYWALLS = {  # Medium says it in its JSON-LD
    "substack": ".paywall-title, .paywall, [data-testid=paywall]",
    "web": ".paywall, .paywall-content, .gh-post-upgrade-cta, .jetpack-subscribe-paywall, .wp-block-premium-content-logged-out-view",
}
_HOSTS = {"medium.com": "medium", "substack.com": "substack", "linkedin.com": "linkedin"}
_FURNITURE = re.compile(
    r"(listen|share|follow|following|unfollow|subscribe|sign up|sign in|open in app|write|save|more|reply|respond|responses?"
    r"|member-only story|top highlight|photo by .{1,60} on unsplash|\d+ min read|[\d.,]+k?( followers?| claps?)?"
    r"|press enter or click to view image in full size|get .{1,40} stories in your inbox|[-–—·]+)",
    re.I,
)
_TAIL = re.compile(r"more from (?P<whom>.{1,80})|recommended from medium|(\d+ )?responses( \(\d+\))?|written by .{1,80}", re.I)
_NEEDS_SCRIPT = re.compile(r"(enable|requires|turn on) javascript|javascript (is )?(not available|disabled|required)", re.I)


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """What a page holds."""

    platform: str
    title: str | None
    bylines: tuple[str, ...]
    url: str | None
    published_at: datetime | None
    blocks: tuple[Block, ...]
    complete: bool = True
    challenge: str = ""
    """What a page says of itself that is a wall, not an article."""
    wall: Wall = ""
    generic: bool = False
    """Whether the body was guessed, on a page of no known platform."""

    @property
    def author(self) -> str | None:
        """The bylines as one line."""
        return ", ".join(self.bylines) or None

    @property
    def text(self) -> str:
        """The body as plain text: blocks parted by blank lines, without marks of lists and without embeds."""
        return "\n\n".join(_plain(block) for block in self.blocks if block.type != "embed")


def read_page(content: bytes | str, url: str | None = None) -> ExtractedPage:
    """Reads a page.

    Args:
        content: The page; bytes are decoded by the charset that the page names.
        url: Where it came from; the page's own canonical address wins.
    """
    return extract(decode_html(content) if isinstance(content, bytes) else content, url)


def extract(html: str, url: str | None = None) -> ExtractedPage:
    """Reads a page that is already text: by the selectors of its platform, or else by the generic extractor.

    A page that holds several posts, or none, has no blocks; a wall has ``wall`` and ``challenge`` set.

    Args:
        html: The page.
        url: Where it came from; the page's own canonical address wins.
    """
    tree = parse(html)
    about = read_metadata(tree, url)
    platform = _platform(html, about, url)
    blocks = _platform_blocks(tree, platform, about)
    generic = blocks is None
    return _page(tree, html, url, about, platform, generic_blocks(tree, html, about) if blocks is None else blocks, generic=generic)


def extract_generic(html: str, url: str | None = None) -> ExtractedPage:
    """Reads a page as if it were of no known platform."""
    tree = parse(html)
    about = read_metadata(tree, url)
    return _page(tree, html, url, about, "web", generic_blocks(tree, html, about), generic=True)


def _page(
    tree: LexborHTMLParser, html: str, url: str | None, about: Metadata, platform: str, blocks: list[Block], *, generic: bool
) -> ExtractedPage:
    titles = (about.document_title, about.title or "")
    wall = wall_of(tree, html, titles, (url, about.url), blocks) if generic else ""
    return ExtractedPage(
        platform=platform,
        title=about.title,
        bylines=about.bylines,
        url=about.url,
        published_at=about.published_at,
        blocks=tuple(blocks),
        complete=about.free and (platform not in _PAYWALLS or tree.css_first(_PAYWALLS[platform]) is None),
        challenge=(about.document_title or about.title or wall) if wall else "",
        wall=wall,
        generic=generic,
    )


def decode_html(content: bytes) -> str:
    """A page as text, as UTF-8 or else in the charset that it names; what cannot be decoded is replaced."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")  # pages saved by tools are UTF-8 whatever they say of themselves
    except UnicodeDecodeError:
        found = _CHARSET.search(content[:4096])
    named = found[1].decode().lower() if found else "cp1252"
    try:
        return content.decode("cp1252" if named.startswith(_NOT_SO) else named, errors="replace")
    except (LookupError, UnicodeError):  # no such charset, or one that cannot replace
        return content.decode("cp1252", errors="replace")


def feed_link(content: bytes, url: str) -> str | None:
    """The feed that a page offers."""
    link = parse(decode_html(content)).css_first(
        "link[rel~=alternate][type='application/rss+xml'], link[rel~=alternate][type='application/atom+xml']"
    )
    href = link.attributes.get("href") if link else None
    try:
        return urljoin(url, href) if href else None
    except ValueError:  # brackets in the wrong place
        return None


def own_words(blocks: list[Block], enough: float = math.inf) -> int:
    """Words of running prose in the blocks, counted until they are enough."""
    words = 0
    for block in blocks:
        if words >= enough:
            break
        words += count_words(block.text) if block.type in OWN_WORDS else 0
    return words


def _platform(html: str, about: Metadata, url: str | None) -> str:
    for address in (url, about.url):
        if found := _HOSTS.get(_domain(address or "")):
            return found
    if about.app == "Medium" or "cdn-client.medium.com" in html:
        return "medium"
    if "substackcdn.com/bundle" in html or 'class="available-content"' in html:
        return "substack"
    return "linkedin" if 'content="d_public_post"' in html else "web"


def _domain(address: str) -> str:
    try:
        return ".".join((urlsplit(address).hostname or "").split(".")[-2:])
    except ValueError:  # brackets in the wrong place
        return ""


def _platform_blocks(tree: LexborHTMLParser, platform: str, about: Metadata) -> list[Block] | None:
    """The body, where the platform's selectors know it."""
    for route in _ROUTES[platform]:
        node = _the_one(tree, route)
        if node is None:
            continue
        blocks = node_blocks(node, bare_text=route.bare_text, alternatives=False, widgets=route.widgets, dropped=_DROPPED)
        if own_words(blocks, route.min_words) >= route.min_words:
            return _without_furniture(blocks, platform, about)
    return None


def _the_one(tree: LexborHTMLParser, route: _Route) -> LexborNode | None:
    if route.first:
        return tree.css_first(route.body)
    nodes = tree.css(route.body)
    if len(nodes) < 2:
        return nodes[0] if nodes else None
    outer = outermost(nodes)
    return outer[0] if len(outer) == 1 else None


def _without_furniture(blocks: list[Block], platform: str, about: Metadata) -> list[Block]:
    if platform == "medium":
        blocks = [block for block in blocks if not _is_furniture(block)]
        tail = next((i for i, block in enumerate(blocks) if block.type == "heading" and _is_tail(block.text, about)), len(blocks))
        blocks = blocks[:tail]
    return _without_header(blocks, about.title, about.bylines)


def _is_furniture(block: Block) -> bool:
    if block.type not in ("paragraph", "caption") or len(block.text) > _LONGEST_FURNITURE:
        return False
    return _FURNITURE.fullmatch(block.text) is not None


def _is_tail(heading: str, about: Metadata) -> bool:
    """Whether a heading begins what Medium puts under a post: its responses, and other posts."""
    found = _TAIL.fullmatch(heading)
    whom = found["whom"] if found else None
    return found is not None and (whom is None or any(name in whom for name in (*about.bylines, "Medium")))


def _without_header(blocks: list[Block], title: str | None, authors: tuple[str, ...]) -> list[Block]:
    """Drops what repeats the page's title and byline at the head of the body."""
    head, rest = blocks[:6], blocks[6:]
    index = next((i for i, block in enumerate(head) if block.type == "heading" and " ".join(block.text.split()) == title), None)
    if index is not None:
        head = [block for block in head[:index] if count_words(block.text) > 6] + head[index + 1 :]
    return [block for block in head if block.text not in authors] + rest


def generic_blocks(tree: LexborHTMLParser, html: str, about: Metadata) -> list[Block]:
    """The body of a page that no platform selector knows; empty when the page is a list of posts, or an application without text.

    Trafilatura tells what belongs to the body. It also tears paragraphs apart at inline code, and forgets the numbers of lists and the
    languages of code, so the blocks are the page's own ones that hold what it found, if they hold nearly the same words.
    """
    if tree.body is None or not tree.body.text(strip=True):
        return []
    blocks = node_blocks(tree.body, alternatives=False)
    if not about.article and _is_list(tree, blocks):
        return []
    found = _trafilatura(html, precise=True)
    if own_words(found) < _FEW_WORDS:  # a short note: better all of it and a line too much than none
        found = max(found, _trafilatura(html, precise=False), key=own_words)
    if own_words(found) < _MIN_WORDS and _NEEDS_SCRIPT.search(" ".join(block.text for block in found)):
        return []
    return _without_header(_agreeing(blocks, found) or found, about.title, about.bylines)


def _trafilatura(html: str, *, precise: bool) -> list[Block]:
    import trafilatura

    found = trafilatura.extract(html, output_format="html", include_comments=False, include_formatting=True, favor_precision=precise)
    return html_blocks(found) if found else []


def _agreeing(blocks: list[Block], found: list[Block]) -> list[Block]:
    """Those of the page's blocks that hold what was found; nothing when they do not come to nearly the same.

    Headings and code that stand alone between two such blocks are of the body too: trafilatura drops some.
    """
    words = _tokens(found)
    text, runs = f" {' '.join(words)} ", _runs(words)
    left = runs.copy()
    kept: list[tuple[Block, bool]] = []
    between: list[tuple[Block, bool]] = []
    for block in blocks:
        tokens = _tokens([block])
        inside = _runs(tokens)
        if len(tokens) >= _LONG_BLOCK and (inside & left).total() >= inside.total() / 2:
            left -= inside
            kept += [*_of_the_body(between, at_start=not kept), (block, True)]
            between = []
        elif tokens and block.type != "caption":
            between.append((block, len(tokens) < _LONG_BLOCK and f" {' '.join(tokens)} " in text))
    kept += [(block, known) for block, known in between if known]
    own = _runs(_tokens([block for block, known in kept if known]))
    agree = 2 * (own & runs).total() >= _AGREEMENT * (own.total() + runs.total())
    return [block for block, _ in kept] if agree else []


def _of_the_body(between: list[tuple[Block, bool]], *, at_start: bool) -> list[tuple[Block, bool]]:
    """Of the blocks before a long one of the body, with whether their words were found, those that are the body's as well."""
    known = [(block, known) for block, known in between if known]
    if at_start:
        return known[-_LEAD:]
    return between if all(known or block.type in ("heading", "code") for block, known in between) else known


def _tokens(blocks: list[Block]) -> list[str]:
    return _WORD.findall("\n".join(_plain(block) for block in blocks if block.type != "embed"))


def _runs(words: list[str]) -> Counter[tuple[str, ...]]:
    """Runs of four words."""
    return Counter(zip(words, words[1:], words[2:], words[3:], strict=False))


def _is_list(tree: LexborHTMLParser, blocks: list[Block]) -> bool:
    """Whether most of a page's words stand in several entries, each with a heading that leads elsewhere."""
    entries = tree.css("article, .h-entry, .hentry")
    outer = [node for node in outermost(entries) if node.css_first(_HEADING_LINKS) is not None]
    if len(outer) < _FEWEST_ENTRIES:
        return False
    sizes = [count_words(node.text(deep=True, separator=" ")) for node in outer]
    return max(sizes) < sum(sizes) / 2 and sum(sizes) > sum(count_words(block.text) for block in blocks) / 2


def _plain(block: Block) -> str:
    return "\n".join(map(_unmarked, block.text.split("\n"))) if block.type == "list" else block.text


def _unmarked(line: str) -> str:
    mark, _, rest = line.lstrip().partition(" ")
    return rest if mark == "-" or (mark.endswith(".") and mark[:-1].isdecimal()) else line
