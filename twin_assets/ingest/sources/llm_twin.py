"""Documents that another LLM twin crawled, as its warehouse dumps them to JSON: whole pages as text.

The format is that of the LLM Engineer's Handbook: ``ArticleDocument.json``, ``PostDocument.json`` and ``RepositoryDocument.json``, each a
list of ``{"link", "content", "author_full_name", "platform", ...}``. The text of a page holds all that stood on it: the interface of the
site, cards of other posts, comments of readers. And its author is who was to be crawled, not who wrote it. So the post is cut out here,
and the byline in the text says who wrote it.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from twin_assets.ingest.files import Files, UnreadableTextError, not_read, read_text
from twin_assets.ingest.posts import Block, Kind, Post, State, bylines, canonical_url, not_a_text, parse_date, post_key
from twin_assets.ingest.source import EXACT, Coverage, Source
from twin_assets.ingest.wrapped import wrapped_blocks

RANK = EXACT
_NAME = re.compile(r"(Article|Post|Repository)Document\.json$")
_TEXTS = ("Content", "content", "Text", "text", "body")
_REPEATED, _FEWEST = 0.3, 3
_HEAD = 40  # blocks among which the header of a page stands

_DAY = re.compile(r"^[A-Z][a-z]{2} \d{1,2}(?:, \d{4})?$")
_COUNT = re.compile(r"^[\d.,]+[KM]?$")
_AND = re.compile(r"^[,&\s]*(?:and\b)?[,\s]*$")
_SUBSTACK_LINES = re.compile(
    r"^(?:Subscribe ?Sign in|Subscribe|Subscribed|Share|Share this post|Copy link|Facebook|Email|Notes?|Other|More|Like|Listen|Previous|Next"
    r"|PreviousNext|Comments|Restacks|Leave a comment|Upgrade to paid|Read in app|Give a gift subscription|Refer a friend|Pledge your support"
    r"|Start Writing ?Get the app|Ready for more\?|Thanks for reading[^.!]{0,80}[.!] Subscribe .*"
    r"|[^.]{0,80}\bis a reader-supported publication\b.*|[^.]{0,80}This post is public so feel free to share it\.?)$"
)
_SUBSTACK_END = re.compile(r"^(?:Discussion about this post|Ready for more\?|Privacy ∙ Terms.*|This site requires JavaScript.*)$")
_SUBSTACK_WALL = re.compile(
    r"^(?:This post is for (?:paid|paying|founding) .*|Keep reading with a \d+-day free trial.*|Continue reading this post for free.*)$"
)
_CARD = re.compile(r"^[^\n]+\n[^\n]*_(?:[\w-]+\.)+[a-z]{2,}$")  # title, subtitle and site of another post, as Medium embeds them

_MEDIUM_HEAD = re.compile(r"·\s*\d+ min read·(?:Updated )?([A-Z][a-z]{2} \d{1,2}, \d{4})·?[\d.KM]*(?:Listen)?(?:Share)?(?:More)?")
_MEDIUM_END = re.compile(r"Sign up to discover human stories that deepen|To make Medium work, we log user data")
_MEDIUM_WALL = re.compile(r"(?:Create an account to read the full story|Read the full story with a free account)")
_MEDIUM_AUTHOR = re.compile(r"Written by (\D{1,80}?)\d[\d.,]*[KM]? Followers?\b")
_GLUED = re.compile(
    r"(?<=[\w)\]”’][.!?:])(?=[A-Z][\w’'-]*[ ,:]|\d+\.(?:\d+\.)? [A-Z]|[“→])"  # a sentence and the next paragraph
    r"|(?<=[a-z])(?=(?:The|This|Our|In|We|To|You|It|Let|Here|Why|How|What|Now|But|If|For|As|When|Because|Using|Image|Note|Also|There) )"
    r"|(?<=[.:↓])(?=(?:def|class|import|from|async) \w|@\w|[\[{] )|(?<=[)\]])(?=[A-Z][a-z’]+,? [a-z])|(?<=↓)(?=\w)"  # code
)

_PAGE_LABELS = re.compile(r"^(?:Author|Authors|Published|By|Date)$", re.IGNORECASE)
_COPYRIGHT = re.compile(r"^_*(?:Copyright\b|©)")


@dataclass(frozen=True, slots=True)
class Page:
    """What was cut out of the text of a page."""

    blocks: tuple[Block, ...]
    bylines: tuple[str, ...] = ()
    title: str | None = None
    published_at: datetime | None = None
    complete: bool = True


def from_files(files: Files) -> Source | None:
    """A dump: files of its names and shape among the files."""
    names = [name for name in files.names if _NAME.search(name)]
    source = CrawledDocuments(files, names)
    return source if any(_is_dump(source.records(name)) for name in names) else None


class CrawledDocuments(Source):
    """Reads the documents of another twin's warehouse."""

    platform = "llm_twin"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, names: Sequence[str]) -> None:
        self.location = files.location
        self.files = files
        self._names = names
        self._records: dict[str, object] = {}

    def records(self, name: str) -> object:
        """What a file holds, or the error for which it cannot be read."""
        if name not in self._records:
            try:
                self._records[name] = json.loads(read_text(self.files, name))
            except UnreadableTextError as error:
                self._records[name] = error
            except (ValueError, RecursionError) as error:
                self._records[name] = UnreadableTextError(f"it is no JSON: {error}")
        return self._records[name]

    def read(self) -> Iterator[Post]:
        """One post per document."""
        posts: list[Post] = []
        for name in self._names:
            posts += self._documents(name)
        yield from without_repeated(posts)
        yield from not_read(self.files, set(self._names), self.platform)

    def _documents(self, name: str) -> Iterator[Post]:
        records = self.records(name)
        if not isinstance(records, list):
            reason = str(records) if isinstance(records, UnreadableTextError) else "no list of documents"
            yield not_a_text(name, self.platform, reason, "unreadable")
            return
        for number, record in enumerate(records, 1):
            yield Document(f"{name}:{number}", record).post(self.platform)


def _is_dump(records: object) -> bool:
    return isinstance(records, list) and any(
        isinstance(record, dict) and {"content", "platform"} <= record.keys() and {"author_full_name", "author_id"} & record.keys()
        for record in records
    )


@dataclass(frozen=True)
class Document:
    """A document of the dump."""

    origin: str
    record: object

    def post(self, platform: str) -> Post:
        """The post in it."""
        if not isinstance(self.record, dict):
            return not_a_text(self.origin, platform, "no document but another value", "unreadable")
        if "RepositoryDocument" in self.origin:
            return not_a_text(self.origin, platform, "a repository's code, stored without its blanks: add the repository itself")
        text = self._text
        if text is None:
            return not_a_text(self.origin, platform, "a document without a text", "unreadable")
        where, cut = self._kind_of_page(text)
        page = cut(text)
        state: State = "kept" if page.complete else "partial"
        return Post(
            key=self._key,
            platform=where,
            kind=self._kind,
            origin=self.origin,
            state=state,
            reason="" if page.complete else "only the beginning: the rest is for subscribers",
            title=page.title or self._title,
            url=canonical_url(self._link),
            bylines=self._bylines(page),
            published_at=page.published_at,
            blocks=page.blocks,
        )

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return self.record if isinstance(self.record, dict) else {}

    @property
    def _text(self) -> str | None:
        content = self._fields.get("content")
        if isinstance(content, dict):
            content = next((content[name] for name in _TEXTS if isinstance(content.get(name), str)), None)
        return content if isinstance(content, str) else None

    @property
    def _title(self) -> str | None:
        content = self._fields.get("content")
        title = content.get("Title") or content.get("title") if isinstance(content, dict) else None
        return " ".join(title.split()) or None if isinstance(title, str) else None

    @property
    def _link(self) -> str:
        link = self._fields.get("link")
        return link if isinstance(link, str) else ""

    @property
    def _key(self) -> str:
        identity = self._fields.get("_id", self._fields.get("id"))
        return post_key(self._link) or (f"llm_twin:{identity}" if isinstance(identity, str) and identity else f"llm_twin:{self.origin}")

    @property
    def _kind(self) -> Kind:
        return "post" if "PostDocument" in self.origin else "article"

    def _bylines(self, page: Page) -> tuple[str, ...]:
        """The names in the text, or else whose the crawler took it for, which also tells a misspelt name."""
        crawled = bylines(self._fields.get("author_full_name"))
        return tuple(next((name for name in crawled if _nearly(name, found)), found) for found in page.bylines) or crawled

    def _kind_of_page(self, text: str) -> tuple[str, Callable[[str], Page]]:
        host = (urlsplit(canonical_url(self._link) or "").hostname or "").removeprefix("www.")
        if host.endswith("linkedin.com") or self._fields.get("platform") == "linkedin":
            return "linkedin", _plain_page
        if host.endswith("medium.com") or _MEDIUM_HEAD.search(text[:4000]):
            return "medium", medium_page
        if host.endswith("substack.com") or "Discussion about this post" in text:
            return "substack", substack_page
        return "web", web_page


def _nearly(one: str, other: str) -> bool:
    return SequenceMatcher(None, one.casefold()[:100], other.casefold()[:100]).ratio() >= 0.9


def without_repeated(posts: Sequence[Post]) -> Iterator[Post]:
    """Takes off what three of ten posts of a publication say in the same words: greetings, advertisements, menus.

    A post of which that would be the most is a copy of other posts rather than full of boilerplate, and stays whole.
    """
    different = {post.key: post for post in posts}.values()
    sizes = Counter(map(_publication, different))
    counts: dict[str, Counter[str]] = {}
    for post in different:
        counts.setdefault(_publication(post), Counter()).update({block.text for block in post.blocks if _can_repeat(block)})
    for post in posts:
        publication = _publication(post)
        least = max(_FEWEST, _REPEATED * sizes[publication])
        kept = replace(post, blocks=tuple(b for b in post.blocks if not _can_repeat(b) or counts[publication][b.text] < least))
        yield kept if 2 * kept.words >= post.words else post


def _can_repeat(block: Block) -> bool:
    return block.type in ("paragraph", "list", "quote", "embed", "table")


def _publication(post: Post) -> str:
    """Whose layout a page has: its site, or on Medium the first part of the path."""
    parts = urlsplit(post.url or "")
    return f"{parts.hostname}/{parts.path.split('/')[1:2]}" if post.platform == "medium" else parts.hostname or ""


def _plain_page(text: str) -> Page:
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", text))
    return Page(tuple(Block("paragraph", part) for part in paragraphs if part))


def substack_page(text: str) -> Page:
    """The post on a page of Substack: between its date and the discussion, without boxes and buttons in between."""
    blocks = wrapped_blocks(text)
    title, names, date, start = _header(blocks)
    end = next((i for i, block in enumerate(blocks) if i >= start and _SUBSTACK_END.match(block.text)), len(blocks))
    body = _without_cards(_without_share_boxes(blocks[start:end]))
    prose = [block for block in body if block.type == "code" or not _SUBSTACK_LINES.match(block.text)]
    kept = [block for block in prose if not _SUBSTACK_WALL.match(block.text)]
    return Page(tuple(_without_counts(kept)), names, title, parse_date(date), complete=len(kept) == len(prose))


def _header(blocks: Sequence[Block]) -> tuple[str | None, tuple[str, ...], str, int]:
    """Title, names, date and where the body starts: the names stand between the last heading and the date."""
    day = next((i for i, block in enumerate(blocks[:_HEAD]) if block.type == "paragraph" and _DAY.match(block.text)), None)
    if day is None:
        return None, (), "", 0
    names: list[str] = []
    index = day - 1
    while index >= 0 and blocks[index].type == "paragraph":
        if not _AND.match(blocks[index].text):
            names.insert(0, re.sub(r"^(?:,|and\b)\s*|(?:,|\band|,\s*and)\s*$", "", blocks[index].text).strip(" ,"))
        index -= 1
    title = next((block.text for block in reversed(blocks[:day]) if block.type == "heading" and block.level == 1), None)
    return title, bylines(names), blocks[day].text, day + 1


def _without_share_boxes(blocks: Sequence[Block]) -> list[Block]:
    """Drops each box that offers to share the post: it begins with these words and ends with ``Other``."""
    kept: list[Block] = []
    index = 0
    while index < len(blocks):
        box = [block.text for block in blocks[index : index + 9]]
        if box[0] == "Share this post" and "Copy link" in box and "Other" in box:
            index += box.index("Other") + 1
        else:
            kept.append(blocks[index])
            index += 1
    return kept


def _without_cards(blocks: Sequence[Block]) -> list[Block]:
    """Makes one embed of a card that shows another post: its title, who wrote it, when, and a link to it."""
    kept: list[Block] = []
    for block in blocks:
        if block.text == "Read full story":
            title = next((i for i in range(len(kept) - 1, max(-1, len(kept) - 8), -1) if kept[i].type == "heading"), len(kept))
            kept, card = kept[:title], kept[title : title + 1]
            kept += [Block("embed", found.text) for found in card]
        elif block.type == "paragraph" and _CARD.match(block.text):
            kept.append(Block("embed", block.text))
        elif not (block.type == "table" and "A guest post by" in block.text):
            kept.append(block)
    return kept


def _without_counts(blocks: list[Block]) -> list[Block]:
    """Drops likes and comments, which stand before and after the body."""
    start, end = 0, len(blocks)
    while start < end and _COUNT.match(blocks[start].text):
        start += 1
    while end > start and _COUNT.match(blocks[end - 1].text):
        end -= 1
    return blocks[start:end]


def medium_page(text: str) -> Page:
    """The post on a page of Medium, all of which came as one line: between the clap row and the invitation to sign up.

    Where sentences are glued together a paragraph ended; text with indents is code.
    """
    head = _MEDIUM_HEAD.search(text[:4000])
    end = _MEDIUM_END.search(text)
    author = _MEDIUM_AUTHOR.search(text)
    body = text[head.end() if head else 0 : end.start() if end else len(text)]
    pieces = (piece.strip("\n") for line in re.split(r"\n\s*\n", body) for piece in _GLUED.split(line))
    return Page(
        blocks=tuple(Block("code" if "    " in piece.strip() else "paragraph", piece.strip()) for piece in pieces if piece.strip()),
        bylines=bylines(author[1].strip() if author else None),
        published_at=parse_date(head[1]) if head else None,
        complete=not _MEDIUM_WALL.search(text),
    )


def web_page(text: str) -> Page:
    """The post on any other page: from the first paragraph after title, author and date on."""
    blocks = wrapped_blocks(text)
    index = next((i for i, block in enumerate(blocks) if block.type == "heading" and block.level == 1), None)
    if index is None:
        return Page(tuple(blocks))
    title, names, date = blocks[index].text, list[str](), ""
    start = index + 1
    for number, block in enumerate(blocks[index + 1 : index + _HEAD], index + 1):
        label = blocks[number - 1].text.lower()
        if block.type == "paragraph" and label.startswith(("author", "by")) and _PAGE_LABELS.match(label):
            names.append(block.text)
            start = number + 1
        elif block.type == "paragraph" and label in ("published", "date") and parse_date(block.text):
            date, start = block.text, number + 1
    if date or names:  # then menus stand between the header and the text
        start = next((i for i in range(start, len(blocks)) if blocks[i].type == "paragraph"), start)
    body = [_without_button(block) for block in blocks[start:] if not _COPYRIGHT.match(block.text)]
    return Page(tuple(body), bylines(names), title, parse_date(date))


def _without_button(block: Block) -> Block:
    """Code without the sign of the button that copies it."""
    return replace(block, text=block.text.removesuffix("__").rstrip()) if block.type == "code" else block
