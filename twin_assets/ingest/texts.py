"""What is common to documents of all formats: the text with what its file says of it, and who can have written it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from selectolax.lexbor import LexborNode

from twin_assets.ingest.html import node_blocks
from twin_assets.ingest.posts import Block, count_words

_DATE_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.])(\d{2})\2(\d{2})(?!\d)")
_NAME_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]*)*")
_LONGEST_TITLE = 300
_MOST_NAMES = 10


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PARTICLES = _words("van von der den de del della di da dos du la le el al bin ibn ben ter ten zu y e")
_NO_NAMES = _words(
    "admin administrator author user users owner guest unknown anonymous default office microsoft google apple adobe word libreoffice "
    "openoffice python docx pdf latex tex pandoc inc ltd llc gmbh corp corporation company university institute department team group "
    "association foundation ministry press publishing editor editors the my home laptop desktop computer pc mac test template"
)
_FILE_TITLE = re.compile(r"^(microsoft (word|powerpoint) - |untitled|document ?\d*$|title$|pdf$|no title|unbenannt|dokument ?\d*$)", re.I)
_SUFFIX = re.compile(r"\.(docx?|pdf|odt|rtf|tex|txt|indd|pages|html?|md|dvi|ps)$", re.I)
_CHINESE_NAME = re.compile(r"[\u4e00-\u9fff\u3040-\u30ff\uac00-\ud7af]{2,5}")


@dataclass(frozen=True, slots=True)
class Text:
    """A document, read."""

    blocks: tuple[Block, ...]
    title: str | None = None
    bylines: tuple[str, ...] = ()
    published_at: datetime | None = None
    edited_at: datetime | None = None
    note: str = ""
    """What a person should know of how it was read."""


def titled_blocks(body: LexborNode, title_style: str) -> tuple[str | None, list[Block]]:
    """The title of a document made by a word processor, and its blocks without it.

    Args:
        body: The document as HTML; it is changed by that.
        title_style: Selector of what is styled as title; where there is nothing, a first heading of level 1 is it.
    """
    styled = body.css_first(title_style)
    title = " ".join(styled.text(deep=True).split()) if styled else ""
    if styled is not None:
        styled.decompose()
    blocks = node_blocks(body)
    if not title and blocks and blocks[0].type == "heading" and blocks[0].level == 1:
        title = blocks.pop(0).text
    return title or None, blocks


def persons(value: str) -> tuple[str, ...]:
    """The names in a document's author field when they look like those of persons: not a program, a company, or a login."""
    value = " ".join(value[:1000].replace("\x00", "").split())
    turned = re.fullmatch(r"([^,;&]+), ([^,;&\s]+)", value)
    if turned and " " not in turned[1]:  # Doe, Jane
        value = f"{turned[2]} {turned[1]}"
    names = [name.strip() for name in re.split(r"[,;&]| and | und ", value) if name.strip()]
    return tuple(names) if names and len(names) <= _MOST_NAMES and all(map(_is_person, names)) else ()


def _is_person(name: str) -> bool:
    if _CHINESE_NAME.fullmatch(name):
        return True
    words = name.split()
    if not 2 <= len(words) <= 6 or any(word.lower().strip(".") in _NO_NAMES for word in words):
        return False
    capital = [word for word in words if word.lower() not in _PARTICLES]
    return len(capital) >= 2 and all(_NAME_WORD.fullmatch(word) and not word[0].islower() for word in capital)


def sane_title(value: str) -> str | None:
    """The title out of a document's properties, unless a program made it up: a file name, or what a new document is called."""
    title = " ".join(value.replace("\x00", "").split())
    if not count_words(title) or len(title) > _LONGEST_TITLE or _FILE_TITLE.match(title) or _SUFFIX.search(title):
        return None
    return title


def date_in_name(name: str) -> datetime | None:
    """The day that a file's name gives, as in ``2021-03-04 On walking.txt``."""
    found = _DATE_IN_NAME.search(PurePosixPath(name).name)
    try:
        return datetime(int(found[1]), int(found[3]), int(found[4]), tzinfo=UTC) if found else None
    except ValueError:
        return None
