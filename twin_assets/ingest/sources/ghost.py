"""Ghost's export: one JSON file with everything that the site holds."""

import html
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from twin_assets.ingest import shapes
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Files, UnreadableTextError, decode_text, not_read
from twin_assets.ingest.html import node_blocks, parse
from twin_assets.ingest.markdown import markdown_blocks, markdown_html
from twin_assets.ingest.posts import Block, Post, State, bylines, canonical_url, not_a_text, parse_date, post_key
from twin_assets.ingest.source import DETECTED, Coverage, Source

RANK = DETECTED
_MOST_LOOKED_AT = 20
_SIGNS = (b'"exported_on"', b'"mobiledoc"', b'"lexical"')
_STATES: dict[str, tuple[State, str]] = {
    "published": ("kept", ""),
    "sent": ("kept", ""),
    "draft": ("draft", "a draft"),
    "scheduled": ("draft", "scheduled: not published yet"),
}
_NOT_WRITING = (
    ".kg-signup-card, .kg-button-card, .kg-cta-card, .kg-file-card, .kg-audio-card, .kg-video-player-container, "
    ".kg-product-card-rating, .kg-toggle-card-icon"
)
_MAX_DEPTH = 60
_CODE_FORMAT = 16  # a bit of Lexical's text format


def from_files(files: Files) -> Source | None:
    """A JSON file, or a folder or ZIP with one, that holds posts as Ghost keeps them."""
    names = [name for name in files.names if name.lower().endswith(".json")]
    found: list[str] = []
    for name in names if len(names) <= _MOST_LOOKED_AT else []:
        with suppress(UnreadableTextError):
            content = files.read(name)
            if b'"posts"' in content and any(sign in content for sign in _SIGNS):
                found.append(name)
    return GhostExport(files, found) if found else None


class GhostExport(Source):
    """Reads posts and pages. Members and their addresses, in files of their own, are never opened."""

    platform = "ghost"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, names: list[str]) -> None:
        self.location = files.location
        self.files = files
        self._names = names

    def read(self) -> Iterator[Post]:
        """One post per post and page, and one per file that is no part of the export.

        Raises:
            SourceError: When no file can be read.
        """
        problems: list[str] = []
        for name in self._names:
            try:
                tables = list(_tables(decode_text(self.files.read(name))))
            except (UnreadableTextError, ValueError, RecursionError) as error:
                problems.append(f"{name} cannot be read: {error}. Export again.")
                yield not_a_text(name, self.platform, problems[-1], "unreadable")
                continue
            for part, data in enumerate(tables):
                yield from _posts(data, name if len(tables) == 1 else f"{name}:{part}")
        if problems:
            if len(problems) == len(self._names):
                raise SourceError(f"{self.location}: {problems[0]}")
            self.truncated = problems[0]
        yield from not_read(self.files, set(self._names), self.platform)


def _tables(text: str) -> Iterator[dict[str, Any]]:
    """The tables of an export (https://docs.ghost.org/migration/custom), in the wrapper ``db`` or bare, or the posts as the API lists them."""
    document = json.loads(text)
    wrapped = document.get("db") if isinstance(document, dict) else document
    for part in wrapped if isinstance(wrapped, list) else [document]:
        if isinstance(part, dict):
            data = part.get("data")
            yield data if isinstance(data, dict) else part


def _posts(data: dict[str, Any], name: str) -> Iterator[Post]:
    users = {str(user.get("id")): user.get("name") for user in _rows(data, "users")}
    authors: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
    for row in _rows(data, "posts_authors"):
        order = row.get("sort_order")
        authors[str(row.get("post_id"))].append((order if isinstance(order, int) else 0, users.get(str(row.get("author_id")))))
    more = {str(row.get("post_id")): row for row in _rows(data, "posts_meta")}
    posts = data.get("posts")
    for number, post in enumerate(posts if isinstance(posts, list) else [], 1):
        origin = f"{name}:{number}"
        if not isinstance(post, dict):
            yield not_a_text(origin, "ghost", "not a post, as Ghost keeps one", "unreadable")
            continue
        id = str(post.get("id"))
        names = [author for _, author in sorted(authors[id], key=lambda pair: pair[0])] or [users.get(str(post.get("author_id")))]
        yield _post({**more.get(id, {}), **post}, origin, names)


def _post(post: dict[str, Any], origin: str, authors: list[Any]) -> Post:
    status = shapes.text(post.get("status")) or "none"
    state, reason = _STATES.get(status, ("draft", f"status: {status[:40]}"))
    blocks = _blocks(post)
    if blocks is None:
        state, reason = "unreadable", "its text is in a form that cannot be read"
    published, edited = _when(post.get("published_at")), _when(post.get("updated_at"))
    url = canonical_url(shapes.text(post.get("url")))
    elsewhere = canonical_url(shapes.text(post.get("canonical_url")))
    identity = shapes.text(post.get("uuid")) or str(post.get("id") or "") or shapes.text(post.get("slug"))
    return Post(
        key=(post_key(url) if url else None) or (f"urn:ghost:{identity[:200]}" if identity else f"ghost:{origin}"),
        platform="ghost",
        kind="article",
        origin=origin,
        state=state,
        reason=reason,
        title=" ".join(shapes.text(post.get("title")).split()) or None,
        url=url,
        bylines=bylines(post.get("authors")) or bylines(authors),
        published_at=published or _when(post.get("created_at")),
        edited_at=edited if edited and published and edited > published else None,
        canonical_url=elsewhere if elsewhere != url else None,
        blocks=tuple(blocks or ()),
    )


def _blocks(post: dict[str, Any]) -> list[Block] | None:
    """The body: HTML where there is any, or what the editor keeps; None when that cannot be read."""
    if text := shapes.text(post.get("html")).strip():
        return html_of_cards(text)
    try:
        if text := shapes.text(post.get("lexical")):
            return html_of_cards(lexical_html(json.loads(text)))
        if text := shapes.text(post.get("mobiledoc")):
            return html_of_cards(mobiledoc_html(json.loads(text)))
    except (ValueError, RecursionError):
        return None
    return markdown_blocks(shapes.text(post.get("markdown")))


def html_of_cards(text: str) -> list[Block]:
    """The blocks of Ghost's HTML: its cards for links hold what others wrote, and its cards for signing up what nobody did."""
    body = parse(text.replace("__GHOST_URL__", "")).body
    if body is None:
        return []
    for card in body.css(".kg-bookmark-card"):
        link = card.css_first("a[href]")
        frame = parse(f'<iframe src="{html.escape(link.attributes.get("href") or "" if link else "")}"></iframe>')
        inner = frame.css_first("iframe")
        if inner is not None:
            card.insert_before(inner)
        card.decompose()
    for card in body.css(_NOT_WRITING):
        card.decompose()
    return node_blocks(body)


def lexical_html(document: object) -> str:
    """The HTML of a Lexical document, Ghost's editor since version 5."""
    root = document.get("root") if isinstance(document, dict) else None
    return _lexical(root, 0)


def _lexical(node: object, depth: int) -> str:
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
        return ""
    kind = shapes.text(node.get("type"))
    inside = "".join(_lexical(child, depth + 1) for child in shapes.items(node.get("children")))
    match kind:
        case "text" | "extended-text":
            written = html.escape(shapes.text(node.get("text")))
            form = node.get("format")
            return f"<code>{written}</code>" if isinstance(form, int) and form & _CODE_FORMAT else written
        case "linebreak":
            return "<br>"
        case "link" | "at-link":
            return inside
        case "heading" | "extended-heading":
            tag = shapes.text(node.get("tag"))
            return _element(tag if tag in ("h1", "h2", "h3", "h4", "h5", "h6") else "h2", inside)
        case "list":
            return _element("ol" if node.get("listType") == "number" else "ul", inside)
        case "listitem":
            return _element("li", inside)
        case "quote" | "extended-quote" | "aside":
            return _element("blockquote", _element("p", inside))
        case "paragraph":
            return _element("p", inside)
        case "root":
            return inside
        case _:
            return _card(kind, node) + inside


def _card(kind: str, card: dict[str, Any]) -> str:
    """What an author wrote on a card; of embeds the address."""
    match kind:
        case "codeblock" | "code":
            return (
                f'<pre class="language-{html.escape(shapes.text(card.get("language")))}">{html.escape(shapes.text(card.get("code")))}</pre>'
            )
        case "html":
            return shapes.text(card.get("html"))
        case "markdown" | "card-markdown":
            return markdown_html(shapes.text(card.get("markdown")))
        case "image" | "gallery":
            return f"<figure><figcaption>{shapes.text(card.get('caption'))}</figcaption></figure>" if card.get("caption") else ""
        case "callout":
            return _element("p", shapes.text(card.get("calloutText")))
        case "toggle":
            return _element("h4", shapes.text(card.get("heading"))) + shapes.text(card.get("content"))
        case "header":
            return _element("h2", shapes.text(card.get("header"))) + _element("p", shapes.text(card.get("subheader")))
        case "bookmark" | "embed" | "video" | "audio":
            source = shapes.text(card.get("url")) or shapes.text(card.get("src"))
            return f'<iframe src="{html.escape(source)}"></iframe>' if source.startswith("http") else ""
        case _:
            return ""


def mobiledoc_html(document: object) -> str:
    """The HTML of a Mobiledoc document (https://github.com/bustle/mobiledoc-kit/blob/master/MOBILEDOC.md), the editor until version 5."""
    if not isinstance(document, dict):
        return ""
    cards = shapes.items(document.get("cards"))
    parts = []
    for section in shapes.items(document.get("sections")):
        match section:
            case [1, str(tag), list(markers), *_]:
                kind = tag if tag in ("h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "aside") else "p"
                parts.append(_element("blockquote" if kind == "aside" else kind, _markers(markers, document)))
            case [3, str(tag), list(items), *_]:
                inside = "".join(_element("li", _markers(item, document)) for item in items if isinstance(item, list))
                parts.append(_element("ol" if tag == "ol" else "ul", inside))
            case [10, int(index), *_] if 0 <= index < len(cards):
                match cards[index]:
                    case [str(kind), dict(card), *_]:
                        parts.append(_card(kind, card))
    return "\n".join(parts)


def _markers(markers: list[Any], document: dict[str, Any]) -> str:
    """Inline text: ``[is an atom, opened markups, closed markups, text]``."""
    markups = shapes.items(document.get("markups"))
    atoms = shapes.items(document.get("atoms"))
    text, in_code = "", 0
    for marker in markers:
        match marker:
            case [int(atom), list(opened), int(closed), value, *_]:
                names = [_first(markups[index]) for index in opened if isinstance(index, int) and 0 <= index < len(markups)]
                in_code += "code" in names
                if atom == 0 and isinstance(value, str):
                    text += f"<code>{html.escape(shapes.text(value))}</code>" if in_code else html.escape(shapes.text(value))
                elif isinstance(value, int) and 0 <= value < len(atoms):
                    text += "<br>" if _first(atoms[value]) == "soft-return" else ""
                in_code = 0 if closed else in_code
    return text


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _element(tag: str, inside: str) -> str:
    return f"<{tag}>{inside}</{tag}>\n"


def _rows(data: dict[str, Any], table: str) -> list[dict[str, Any]]:
    return [row for row in shapes.items(data.get(table)) if isinstance(row, dict)]


def _when(value: object) -> datetime | None:
    """A date as text, or as old exports have it, in milliseconds."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**13 * 25:
        return datetime.fromtimestamp(value / 1000, UTC)
    return parse_date(value)
