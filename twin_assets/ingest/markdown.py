"""Markdown to blocks: front matter, shortcodes, raw HTML and MDX included."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin

from twin_assets.ingest import shortcodes
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.posts import Block

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)^\1[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TAG_OR_CODE_SPAN = re.compile(rf"{shortcodes.HUGO_TAG.pattern}|(?<!`)(?P<ticks>`++)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`)", re.DOTALL)
_MOST_ALIASES = 20
_LONGEST_VALUE = 500
_SWALLOWING = re.compile(
    r"<(?=/?(title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext|noscript|select|svg|math|template)\b)", re.I
)


class _Loader(yaml.SafeLoader):
    """Refuses more than a few aliases: merged into each other, they turn a handful of lines into gigabytes."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.aliases += self.check_event(yaml.AliasEvent)
        if self.aliases > _MOST_ALIASES:
            raise yaml.YAMLError(f"more than {_MOST_ALIASES} aliases: write out what they stand for")
        return super().compose_node(parent, index)


class FrontMatterError(Exception):
    """The front matter is neither YAML nor TOML; the message says why."""


@dataclass(frozen=True, slots=True)
class Document:
    """A Markdown file, read."""

    title: str | None
    blocks: tuple[Block, ...]
    meta: dict[str, Any] = field(default_factory=dict)


def read_markdown(text: str, *, mdx: bool = False) -> Document:
    """Reads front matter, title and blocks.

    The title is the front matter's, or else the first level-1 heading; that heading is then no block.

    Raises:
        FrontMatterError: When there is front matter that cannot be read.
    """
    meta, body = split_front_matter(text)
    blocks = markdown_blocks(body, mdx=mdx)
    title = " ".join(scalar(meta.get("title")).split()) or None
    first = next((index for index, block in enumerate(blocks) if block.type == "heading" and block.level == 1), None)
    if first is not None and title in (None, blocks[first].text):
        title = blocks.pop(first).text
    return Document(title=title, blocks=tuple(blocks), meta=meta)


def scalar(value: object) -> str:
    """A single value of front matter as text of a sane length; nothing for a list, a mapping or no value."""
    try:
        return str(value)[:_LONGEST_VALUE] if isinstance(value, str | int | float | date) else ""
    except ValueError:  # an integer of thousands of digits
        return ""


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Parts YAML (``---``) or TOML (``+++``) front matter from the text; without any, the whole text is body.

    Raises:
        FrontMatterError: When it cannot be parsed.
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = _FRONT_MATTER.match(text)
    if found is None:
        return {}, text
    try:
        meta = tomllib.loads(found[2]) if found[1] == "+++" else _Loader(found[2]).get_single_data()
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise FrontMatterError(" ".join(str(error).split())) from error
    if meta is None:
        return {}, text[found.end() :]
    if not isinstance(meta, dict):  # a text between two rules, not front matter
        return {}, text
    return {str(key).lower(): value for key, value in meta.items()}, text[found.end() :]


def markdown_blocks(text: str, *, mdx: bool = False) -> list[Block]:
    """The blocks of a Markdown body; raw HTML in it is read by the same walker as everything else."""
    return html_blocks(markdown_html(text, mdx=mdx))


def markdown_html(text: str, *, mdx: bool = False) -> str:
    """A Markdown body as HTML, shortcodes resolved or removed."""
    prepared = "".join(piece if code else _prepare(piece, mdx) for piece, code in _pieces(text))
    return _without_traps(_parser().render(prepared))


def plain_markdown_blocks(text: str, *, breaks: bool = False) -> list[Block]:
    """The blocks of Markdown that no site generator reads: what looks like a shortcode in it is meant as written.

    Args:
        text: The Markdown.
        breaks: Whether a line break is one, as in comments on most platforms, and not a blank.
    """
    return html_blocks(_without_traps(_parser(breaks).render(text)))


def without_tags(text: str) -> str:
    """A piece of HTML without the Hugo and Liquid tags in it."""
    return shortcodes.render(text, _parser().renderInline)


def _prepare(text: str, mdx: bool) -> str:
    text = shortcodes.render(text, _parser().renderInline)
    return shortcodes.strip_mdx(text) if mdx else text


@cache
def _parser(breaks: bool = False) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "breaks": breaks}).enable(["table", "strikethrough"])
    return parser.use(footnote_plugin)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in order, as (piece, is code); Markdown's own parser says which lines are code."""
    lines = text.splitlines(keepends=True)
    start = 0
    for first, last in _code_lines(text):
        yield from _inline_pieces("".join(lines[start:first]))
        yield "".join(lines[first:last]), True
        start = last
    yield from _inline_pieces("".join(lines[start:]))


def _code_lines(text: str) -> Iterable[tuple[int, int]]:
    tokens = _parser().parse(text)
    return [(token.map[0], token.map[1]) for token in tokens if token.type in ("fence", "code_block") and token.map]


def _inline_pieces(text: str) -> Iterator[tuple[str, bool]]:
    start = 0
    for found in _TAG_OR_CODE_SPAN.finditer(text):
        if not found["ticks"]:  # a code span inside of a tag belongs to the tag
            continue
        yield text[start : found.start()], False
        yield found[0], True
        start = found.end()
    yield text[start:], False


def _without_traps(html: str) -> str:
    """Escapes tags that would swallow the rest of the text because the writer meant them literally and never closed them."""
    unbalanced = {
        name
        for name in {found[1].lower() for found in _SWALLOWING.finditer(html)}
        if len(re.findall(rf"<{name}\b", html, re.I)) != len(re.findall(rf"</{name}\s*>", html, re.I))
    }
    return _SWALLOWING.sub(lambda found: "&lt;" if found[1].lower() in unbalanced else "<", html)
