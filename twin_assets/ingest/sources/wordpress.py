"""WordPress: the export (WXR), and sites by the REST API that their pages name."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring, iterparse

from twin_assets.ingest import shapes
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import Files, UnreadableTextError, not_read
from twin_assets.ingest.html import html_blocks, parse
from twin_assets.ingest.pages import decode_html
from twin_assets.ingest.posts import Block, Kind, Post, State, bylines, canonical_url, not_a_text, parse_date, post_key
from twin_assets.ingest.source import DETECTED, Address, Coverage, Source
from twin_assets.ingest.web import Response, Web

RANK = DETECTED
_MOST_LOOKED_AT = 20
_SIGN = b"wordpress.org/export/"
_API = "https://api.w.org/"
_PER_PAGE = 100
_TEXTS = frozenset({"post", "page"})
_NOTE_FORMATS = frozenset({"status", "aside", "link", "quote"})
_STATES: dict[str, tuple[State, str]] = {
    "publish": ("kept", ""),
    "private": ("draft", "private: never published"),
    "future": ("draft", "scheduled: not published yet"),
    "trash": ("deleted", "in the trash"),
}
_CONTROL = dict.fromkeys(set(range(32)) - {9, 10, 13})
_ROOT = re.compile(r"<rss\b[^<>]*>")
_MARK = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<item(?:\s[^<>]*)?>|</item\s*>", re.S)
_STRAY = re.compile(r"(<!\[CDATA\[.*?(?:\]\]>|\Z))|&(?!(?:#\d+|#x[0-9a-fA-F]+|amp|lt|gt|quot|apos);)", re.S)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")

_CODE = re.compile(r"\[(code|sourcecode)\b([^\[\]]*)\](.*?)\[/\1\]", re.S | re.I)
_CAPTION = re.compile(r"\[(?:wp_)?caption\b[^\[\]]*\](.*?)\[/(?:wp_)?caption\]", re.S | re.I)
_EMBED = re.compile(r"\[embed\b[^\[\]]*\]\s*([^\s\[\]]+)\s*\[/embed\]", re.I)
_SHORTCODE = re.compile(r"\[(/?)([a-z][\w-]{1,60})((?:\s[^\[\]<>]*|\s[^\[\]]*=\s*[\"'][^\[\]]*)?)/?\](?!\()", re.I)
_ATTRIBUTE = re.compile(r"[\w-]+\s*=\s*[\"'\w&]")
_KNOWN = frozenset(
    {"gallery", "audio", "video", "playlist", "embed", "more", "caption", "googlemaps", "youtube", "vimeo", "tweet", "gist", "toc"}
    | {"contact-form", "subscribe_form"}
)
_VERBATIM = re.compile(r"(<(pre|script|style|textarea)\b.*?</\2\s*>)", re.S | re.I)
_BLOCK = re.compile(
    r"\s*</?(?:p|div|h[1-6]|ul|ol|li|dl|dt|dd|blockquote|pre|table|thead|tbody|tfoot|tr|td|th|figure|figcaption|hr|section|article|aside|"
    r"header|footer|form|iframe|address|details|summary|style|script|video|audio|!--)\b",
    re.I,
)
_INLINE_CODE = re.compile(r"(<code\b[^<>]*>)(.*?)(?=</code)", re.S | re.I)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.I)


def from_files(files: Files) -> Source | None:
    """An export: an XML file that names WordPress's format, or a folder or ZIP with one or several."""
    names = [name for name in files.names if name.lower().endswith(".xml")]
    found: list[str] = []
    for name in names if len(names) <= _MOST_LOOKED_AT else []:
        with suppress(UnreadableTextError):
            if _SIGN in files.read(name)[:8192]:
                found.append(name)
    return WordPressExport(files, found) if found else None


def from_address(address: Address) -> Source | None:
    """The front page of a site that names its API, where that answers."""
    if not address.is_front_page:
        return None
    api = api_link(address.page())
    if api is None:
        return None
    try:
        first = address.web.get(_route(api, "posts", 1), robots=False).json()
    except FetchError as error:
        if error.outcome == "truncated":
            raise
        return None  # switched off, as security plugins do: the site is read like any other
    return WordPressSite(address.url, address.web, api) if isinstance(first, list) else None


def api_link(response: Response) -> str | None:
    """Where a page says that its REST API is (https://developer.wordpress.org/rest-api/using-the-rest-api/discovery/)."""
    if b"api.w.org" not in response.content and _API not in response.headers.get("link", ""):
        return None
    header = re.search(rf"<([^<>\s]+)>;\s*rel=\"?{re.escape(_API)}", response.headers.get("link", ""))
    node = parse(decode_html(response.content)).css_first(f"link[rel='{_API}']")
    link = node.attributes.get("href") if node else header and header[1]
    return urljoin(response.url, link) if link and canonical_url(urljoin(response.url, link)) else None


class WordPressExport(Source):
    """Reads the files of ``Tools > Export``. Of the comments only those of the site's own authors are read."""

    platform = "wordpress"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, names: list[str]) -> None:
        self.location = files.location
        self.files = files
        self._names = names

    def read(self) -> Iterator[Post]:
        """One post per item, and one per file that is no part of the export.

        Raises:
            SourceError: When no part can be read.
        """
        read = False
        for name in self._names:
            part = _Part(name)
            try:
                yield from part.posts(decode_html(self.files.read(name)))
                problem = part.problem
            except (UnreadableTextError, DefusedXmlException) as error:
                problem = f"{name} cannot be read: {error}. Export again."
                yield not_a_text(name, self.platform, problem, "unreadable")
            read |= part.read
            self.truncated = self.truncated or problem
        if self.truncated and not read:
            raise SourceError(f"{self.location}: {self.truncated}")
        yield from not_read(self.files, set(self._names), self.platform)


class _Part:
    """One WXR file: RSS with WordPress's own elements (wp-admin/includes/export.php).

    Plugins and other platforms write this format by hand, and not always well: so each item is parsed by itself.
    """

    def __init__(self, name: str) -> None:
        self.read = False
        self.problem = ""
        self._name = name
        self._site = ""
        self._authors: dict[str, str] = {}
        self._author_ids: dict[str, str] = {}

    def posts(self, text: str) -> Iterator[Post]:
        text = _STRAY.sub(lambda found: found[1] or "&amp;", text.translate(_CONTROL))
        root = _ROOT.search(text)
        opening = root[0] if root else "<rss>"
        first = next(_items(text), None)
        self._head(text[: text.find(first)] if first else text)
        for number, item in enumerate(_items(text), 1):
            try:
                element = fromstring(f"{opening}{item}</rss>").find("item")
            except ParseError as error:
                self.problem = self.problem or f"{self._name} is broken from item {number} on: {error}. Export again."
                yield not_a_text(f"{self._name}:{number}", "wordpress", f"broken XML: {error}", "unreadable")
                continue
            if element is not None:
                self.read = True
                yield from self._item(number, _fields(element), element)
        if "</rss>" not in text[-1000:]:
            self.problem = f"{self._name} breaks off before its end. Export again."

    def _head(self, text: str) -> None:
        """What stands before the items: the site and its authors."""
        try:
            for _, element in iterparse(io.BytesIO(_DECLARATION.sub("", text).encode())):
                if _local(element) == "author":
                    self._author(element)
                elif _local(element) in ("base_blog_url", "base_site_url") or (_local(element) == "link" and not self._site):
                    self._site = (element.text or "").strip() or self._site
        except ParseError:  # as must be: its end is missing
            return

    def _author(self, element: Element) -> None:
        fields = _fields(element)
        name = fields.get("author_display_name") or fields.get("author_login", "")
        self._authors[fields.get("author_login", "")] = name
        if fields.get("author_id"):
            self._author_ids[fields["author_id"]] = name

    def _item(self, number: int, fields: dict[str, str], element: Element) -> Iterator[Post]:
        origin = f"{self._name}:{number}"
        kind = fields.get("post_type", "")
        key, url = self._key(fields)
        if kind not in _TEXTS:
            what = f"of the type {kind!r}" if kind else "of no type"
            yield Post(key, "wordpress", "note", origin, "empty", f"not a post or a page: {what}")
            return
        state, reason = _STATES.get(fields.get("status", ""), ("draft", f"status: {fields.get('status') or 'none'}"))
        if state == "kept" and fields.get("post_password"):
            state, reason = "draft", "protected by a password: not for everyone"
        categories = [
            (child.get("domain"), child.get("nicename") or "", child.text or "") for child in element if _local(child) == "category"
        ]
        blocks = [] if state == "deleted" else blocks_of(fields.get("encoded", ""), raw=True)
        published = parse_date(fields.get("post_date_gmt")) or parse_date(fields.get("pubDate")) or parse_date(fields.get("post_date"))
        edited = parse_date(fields.get("post_modified_gmt"))
        yield Post(
            key=key,
            platform="wordpress",
            kind=_kind([name for domain, name, _ in categories if domain == "post_format"]),
            origin=origin,
            state=state,
            reason=reason,
            title=_plain(fields.get("title", "")) if state != "deleted" else None,
            url=url,
            bylines=self._bylines(fields, [(name, text) for domain, name, text in categories if domain == "author"]),
            published_at=published,
            edited_at=edited if edited and published and edited > published else None,
            blocks=tuple(blocks),
        )
        if state == "kept":
            yield from self._comments(origin, key, url, element)

    def _key(self, fields: dict[str, str]) -> tuple[str, str | None]:
        link = _joined(self._site, fields.get("link", "")) if fields.get("link") else ""
        key = post_key(link) or post_key(fields.get("guid", ""))
        number = fields.get("post_id") or fields.get("post_name") or fields.get("title", "")
        return key or f"urn:wordpress:{canonical_url(self._site) or self._name}:{number[:200]}", canonical_url(link)

    def _bylines(self, fields: dict[str, str], coauthors: list[tuple[str, str]]) -> tuple[str, ...]:
        """Co-Authors Plus keeps authors as categories; their short name is the login, with ``cap-`` before it."""
        names = [self._authors.get(name.removeprefix("cap-")) or self._authors.get(text) or text for name, text in coauthors]
        creator = fields.get("creator", "")
        return bylines(list(dict.fromkeys(names))) or bylines(self._authors.get(creator) or (creator if "@" not in creator else None))

    def _comments(self, origin: str, key: str, url: str | None, element: Element) -> Iterator[Post]:
        """What the site's authors themselves answered; what others wrote is theirs."""
        for child in element:
            if _local(child) != "comment":
                continue
            fields = _fields(child)
            author = self._author_ids.get(fields.get("comment_user_id", ""))
            if not author or fields.get("comment_approved") != "1" or fields.get("comment_type") not in (None, "", "comment"):
                continue
            number = fields.get("comment_id", "")
            yield Post(
                key=f"{key}#comment-{number}",
                platform="wordpress",
                kind="comment",
                origin=f"{origin}:comment:{number}",
                state="kept",
                url=f"{url}#comment-{number}" if url else None,
                bylines=(author,),
                published_at=parse_date(fields.get("comment_date_gmt")),
                blocks=tuple(blocks_of(fields.get("comment_content", ""), raw=True)),
            )


def _items(text: str) -> Iterator[str]:
    """The items in order, one that is cut off too; a post may hold markup of a feed in its text."""
    start = None
    for mark in _MARK.finditer(text):
        if mark[0].startswith("<item"):
            start = mark.start() if start is None else start
        elif mark[0].startswith("</") and start is not None:
            yield text[start : mark.end()]
            start = None
    if start is not None:
        yield text[start:]


class WordPressSite(Source):
    """Reads the posts and pages of a site through its public REST API."""

    platform = "wordpress"
    coverage: Coverage = "listing"

    def __init__(self, location: str, web: Web, api: str) -> None:
        self.location = location
        self._web = web
        self._api = api

    def read(self) -> Iterator[Post]:
        """One post per post and per page.

        Raises:
            FetchError: When not even the first answer can be read.
        """
        for what in ("posts", "pages"):
            number, last = 1, 1
            while number <= last:
                try:
                    response = self._web.get(_route(self._api, what, number), robots=False)
                    items = response.json()
                except FetchError as error:
                    if what == "posts" and number == 1:
                        raise
                    if number > 1 or error.outcome not in ("gone", "forbidden", "malformed"):  # pages may be switched off alone
                        self.truncated = str(error)
                        return
                    break
                if not isinstance(items, list) or not items:
                    break
                yield from (_listed(f"{what}:{number}:{index}", item) for index, item in enumerate(items, 1))
                last = _count(response.headers.get("x-wp-totalpages")) or (number + 1 if len(items) >= _PER_PAGE else number)
                number += 1


def _route(api: str, what: str, page: int) -> str:
    return f"{api.rstrip('/')}/wp/v2/{what}{'&' if '?' in api else '?'}per_page={_PER_PAGE}&page={page}&_embed"


def _count(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 7 else 0


def _listed(origin: str, item: Any) -> Post:
    """A post as the API lists it (https://developer.wordpress.org/rest-api/reference/posts/)."""
    if not isinstance(item, dict):
        return not_a_text(origin, "wordpress", "not a post, as the API describes one", "unreadable")
    link = shapes.text(item.get("link"))
    content = item.get("content")
    rendered = _rendered(content)
    protected = isinstance(content, dict) and bool(content.get("protected"))
    published = parse_date(item.get("date_gmt")) or parse_date(item.get("date"))
    edited = parse_date(item.get("modified_gmt"))
    url = canonical_url(link)
    status = shapes.text(item.get("status")) or "publish"
    state, reason = _STATES.get(status, ("draft", f"status: {status[:40]}"))
    if state == "kept" and (protected or "content" not in item):
        state, reason = "partial", "protected by a password" if protected else "the site's API does not show its text"
    return Post(
        key=post_key(link) or f"urn:wordpress:{_rendered(item.get('guid'))[:500] or origin}",
        platform="wordpress",
        kind=_kind([shapes.text(item.get("format"))]),
        origin=origin,
        state=state,
        reason=reason,
        title=_plain(_rendered(item.get("title"))),
        url=url,
        bylines=_embedded_authors(item.get("_embedded")),
        published_at=published,
        edited_at=edited if edited and published and edited > published else None,
        canonical_url=_elsewhere(item.get("yoast_head_json"), url),
        blocks=tuple(blocks_of(rendered)),
    )


def _elsewhere(seo: object, url: str | None) -> str | None:
    """The original's address, as the Yoast plugin tells it."""
    found = canonical_url(shapes.text(seo.get("canonical"))) if isinstance(seo, dict) else None
    return found if found and url and found != url else None


def _embedded_authors(embedded: object) -> tuple[str, ...]:
    if not isinstance(embedded, dict):
        return ()
    terms = embedded.get("wp:term")
    groups = [group for group in terms if isinstance(group, list)] if isinstance(terms, list) else []
    coauthors = [term for group in groups for term in group if isinstance(term, dict) and term.get("taxonomy") == "author"]
    return bylines(coauthors) or bylines(embedded.get("author") if isinstance(embedded.get("author"), list) else None)


def blocks_of(content: str, *, raw: bool = False) -> list[Block]:
    """The blocks of a post's HTML, shortcodes resolved or removed.

    Args:
        content: What the editor or the API holds.
        raw: Whether it is as the editor keeps it, where blank lines part paragraphs.
    """
    content = _CODE.sub(lambda found: f"<pre{_language(found[2])}>{_escaped(found[3])}</pre>", content)
    content = _INLINE_CODE.sub(lambda found: found[1] + found[2].replace("[", "&#91;"), content)
    pieces = _VERBATIM.split(content)
    texts = [_without_shortcodes(piece) for piece in pieces[::3]]
    if raw and "<!-- wp:" not in content:
        texts = [_paragraphs(text) for text in texts]
    kept = [*pieces[1::3], ""]
    return html_blocks("".join(text + verbatim for text, verbatim in zip(texts, kept, strict=True)))


def _language(attributes: str) -> str:
    found = re.search(r"\b(?:lang|language)\s*=\s*[\"']?([\w+#-]{1,30})", attributes)
    return f' class="language-{found[1]}"' if found else ""


def _escaped(code: str) -> str:
    return html.escape(html.unescape(code).strip("\r\n"), quote=False)


def _without_shortcodes(text: str) -> str:
    text = _CAPTION.sub(_figure, text)
    text = _EMBED.sub(lambda found: f'<iframe src="{html.escape(found[1])}"></iframe>', text)
    closed = {found[2].lower() for found in _SHORTCODE.finditer(text) if found[1]}
    return _SHORTCODE.sub(lambda found: "" if _is_shortcode(found, closed) else found[0], text)


def _is_shortcode(found: re.Match[str], closed: set[str]) -> bool:
    """Whether brackets are a shortcode: writers set words in them too."""
    name = found[2].lower()
    return bool(name in closed or name in _KNOWN or _ATTRIBUTE.search(found[3]) or ("_" in name and not found[3].strip()))


def _figure(found: re.Match[str]) -> str:
    words = _plain(found[1])
    return f"<figure><figcaption>{html.escape(words)}</figcaption></figure>" if words else ""


def _paragraphs(text: str) -> str:
    """Paragraphs as WordPress makes them of blank lines when it shows a post (its ``wpautop``)."""
    parts = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n\n".join(
        part if not part.strip() or _BLOCK.match(part) else f"<p>{part.strip().replace(chr(10), '<br>')}</p>" for part in parts
    )


def _plain(text: str) -> str | None:
    return " ".join(html.unescape(_TAG.sub("", text)).split()) or None


def _kind(formats: list[str]) -> Kind:
    return "note" if any(name.removeprefix("post-format-") in _NOTE_FORMATS for name in formats) else "article"


def _rendered(value: object) -> str:
    return shapes.text(value.get("rendered")) if isinstance(value, dict) else shapes.text(value)


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _fields(element: Element) -> dict[str, str]:
    """The text of each child; of ``content:encoded`` and ``excerpt:encoded`` the content."""
    fields: dict[str, str] = {}
    for child in element:
        if "excerpt" not in str(child.tag):
            fields.setdefault(_local(child), (child.text or "").strip())
    return fields


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:
        return link
