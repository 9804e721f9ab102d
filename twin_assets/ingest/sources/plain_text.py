"""Plain text: paragraphs out of lines that a program may have wrapped. Notes in Org and reStructuredText are read as far as they are text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise, takewhile

from twin_assets.ingest.files import UnreadableTextError, decode_text
from twin_assets.ingest.posts import Block, count_words, parse_date
from twin_assets.ingest.texts import Text, persons

_BULLET = re.compile(r"^\s*(?:[-*•‣▪–]|\d{1,3}[.)])\s+(?=\S)")
_RULE = re.compile(r"^\s*([-=*_~#^+.•·]\s*){3,}$")
_UNDERLINE = re.compile(r"^([=\-~^\"'#*+.:_`])\1{2,}$")
_ORG_HEADING = re.compile(r"^(\*+)\s+(?:(?:TODO|DONE|NEXT|WAITING)\s+)?(.+?)(?:\s+:[\w@:]+:)?$")
_ORG_KEYWORD = re.compile(r"^\s*#\+(\w+)(?::\s*|\s+|$)(.*)$")
_ORG_DRAWER = re.compile(r"^\s*:(PROPERTIES|LOGBOOK):\s*$")
_RST_OPTION = re.compile(r"^\s+:[\w-]+:")
_RST_DIRECTIVE = re.compile(r"^\.\. (?:(code-block|code|sourcecode)::\s*(\S*))?")
_GREETING = re.compile(r"^(hi|hello|hey|dear|hallo|liebe[rs]?|bonjour|cher|chère|hola|ciao)\b", re.I)
_WRAP_WIDTHS = range(45, 121)
"""How wide programs and people wrap lines; longer ones are whole paragraphs."""
_MOST_FOREIGN_LETTERS = 0.2
_LONGEST_TITLE = 100
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_JOINED_SCRIPTS = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uff60]")


def read_plain_text(content: bytes, suffix: str = ".txt") -> Text:
    """Reads a text.

    Args:
        content: The file; one that is neither UTF-8 nor UTF-16 is taken as Windows-1252 if it is a ``.txt`` and reads like one.
        suffix: ``.txt``, ``.rst`` or ``.org``.

    Raises:
        UnreadableTextError: When it is binary or in an encoding that cannot be told.
    """
    text, note = _decoded(content, suffix)
    lines = [line.expandtabs(4).rstrip() for line in re.sub(r"\r\n?|[\x0b\x0c\u2028\u2029\x85]", "\n", text).split("\n")]
    found = _Found()
    blocks = _merged_lists(list(_blocks(lines, suffix, found)))
    title = found.title
    if title is None and (title := _title(blocks)):
        blocks = blocks[1:]
    return Text(tuple(blocks), title, persons(found.author), found.date, note=note)


@dataclass(slots=True)
class _Found:
    """What the text says of itself, in Org."""

    title: str | None = None
    author: str = ""
    date: datetime | None = None


def _decoded(content: bytes, suffix: str) -> tuple[str, str]:
    try:
        return decode_text(content), ""
    except UnreadableTextError:
        if suffix != ".txt" or b"\x00" in content:
            raise
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        foreign = sum(character > "\x7f" for character in text)
        letters = sum(map(str.isalpha, text))
        if _CONTROL.search(text) or foreign > _MOST_FOREIGN_LETTERS * letters:
            raise
    return text, "it is not UTF-8 and was read as Windows-1252: save it as UTF-8 if letters are wrong"


def _blocks(lines: Sequence[str], suffix: str, found: _Found) -> Iterator[Block]:
    width = _wrap_width(lines)
    pieces = _org(lines, found) if suffix == ".org" else _rst(lines) if suffix == ".rst" else _stanzas(lines)
    for piece in pieces:
        for block in [piece] if isinstance(piece, Block) else _stanza_blocks(piece, width):
            if block.text.strip():
                yield block


def _stanzas(lines: Sequence[str]) -> Iterator[list[str]]:
    """Runs of lines between blank ones; rules that only part the text go."""
    stanza: list[str] = []
    for line in lines:
        underline = stanza and _UNDERLINE.match(line) and len(line) >= len(stanza[-1].strip()) * 0.6
        if line.strip() and (underline or not _RULE.match(line)):
            stanza.append(line)
        elif stanza:
            yield stanza
            stanza = []
    if stanza:
        yield stanza


def _org(lines: Sequence[str], found: _Found) -> Iterator[list[str] | Block]:
    """Takes headings, keywords, drawers and begin-end blocks out of a text in Org."""
    text: list[str] = []
    rest = iter(lines)
    for line in rest:
        heading, keyword = _ORG_HEADING.match(line), _ORG_KEYWORD.match(line)
        if not (heading or keyword or _ORG_DRAWER.match(line)):
            text.append(line)
            continue
        yield from _stanzas(text)
        text = []
        if heading:
            yield Block("heading", heading[2], level=len(heading[1]))
        elif keyword is None:
            _until(rest, ":end:")
        elif keyword[1].lower().startswith("begin_"):
            kind = keyword[1].lower().removeprefix("begin_")
            inside = _until(rest, f"#+end_{kind}")
            yield from _org_block(kind, keyword[2].strip(), inside)
        else:
            _note(found, keyword[1].lower(), keyword[2].strip())
    yield from _stanzas(text)


def _until(lines: Iterator[str], end: str) -> list[str]:
    return list(takewhile(lambda line: line.strip().lower() != end, lines))


def _org_block(kind: str, value: str, inside: list[str]) -> Iterator[list[str] | Block]:
    if kind in ("src", "example"):
        yield Block("code", _dedented(inside), language=value.split()[0].lower() if kind == "src" and value else None)
    elif kind == "quote":
        yield Block("quote", "\n".join(line.strip() for line in inside).strip())
    elif kind not in ("comment", "export"):
        yield from _stanzas(inside)


def _note(found: _Found, name: str, value: str) -> None:
    if name == "title":
        found.title = value or None
    elif name == "author":
        found.author = value
    elif name == "date":
        found.date = parse_date(value.strip("<>[]")[:10])


def _rst(lines: Sequence[str]) -> Iterator[list[str] | Block]:
    """Takes directives, with what is indented below them, and literal blocks out of a text in reStructuredText."""
    below = ""
    language = None
    for stanza in _stanzas(lines):
        if below and all(line.startswith(" ") for line in stanza):
            if below == "code":
                yield Block("code", _dedented(stanza), language=language)
            continue
        directive = _RST_DIRECTIVE.match(stanza[0])
        if directive:
            below, language = ("code", directive[2] or None) if directive[1] else ("nothing", None)
            if below == "code":
                yield Block("code", _dedented([line for line in stanza[1:] if not _RST_OPTION.match(line)]), language=language)
            continue
        below, language = "code" if stanza[-1].endswith("::") else "", None
        yield [*stanza[:-1], stanza[-1].removesuffix("::") + ":" * (below == "code" and stanza[-1] != "::")]


def _wrap_width(lines: Sequence[str]) -> int:
    """How wide the text is wrapped, as its widest lines tell that another one follows; 0 when lines are paragraphs."""
    inner = sorted(len(line) for line, following in pairwise(lines) if line.strip() and following.strip())
    if not inner:
        return 0
    width = inner[int(len(inner) * 0.9)] if len(inner) > 10 else inner[-1]
    return width if width in _WRAP_WIDTHS else 0


def _stanza_blocks(stanza: list[str], width: int) -> Iterator[Block]:
    stanza = [line for line in stanza if line]
    if not stanza:
        return
    if len(stanza) >= 2 and _UNDERLINE.match(stanza[1]) and not _BULLET.match(stanza[0]):
        yield Block("heading", stanza[0].strip(), level=1 if stanza[1][0] in "=#*" else 2)
        yield from _stanza_blocks(stanza[2:], width)
    elif len(stanza) >= 3 and _UNDERLINE.match(stanza[0]) and _UNDERLINE.match(stanza[2]):
        yield Block("heading", stanza[1].strip(), level=1)
        yield from _stanza_blocks(stanza[3:], width)
    elif all(line.lstrip().startswith(">") for line in stanza):
        yield Block("quote", _joined([line.lstrip().lstrip(">").strip() for line in stanza], width))
    elif any(_BULLET.match(line) for line in stanza[1:]) or (_BULLET.match(stanza[0]) and _is_item(stanza)):
        yield from _list(stanza, width)
    elif width == 0 and any(len(line) >= _WRAP_WIDTHS.stop for line in stanza):
        for line in stanza:
            yield Block("paragraph", line.strip())
    else:
        yield from _paragraphs(stanza, width)


def _is_item(stanza: list[str]) -> bool:
    return len(stanza) == 1 or stanza[1].startswith(" ") or stanza[0].lstrip()[0] in "-*•‣▪"


def _list(stanza: list[str], width: int) -> Iterator[Block]:
    first = next(index for index, line in enumerate(stanza) if _BULLET.match(line))
    if first:
        yield Block("paragraph", _joined(stanza[:first], width))
    items: list[list[str]] = []
    for line in stanza[first:]:
        if _BULLET.match(line):
            items.append([re.sub(r"^(\s*)[*•‣▪–](?=\s)", r"\1-", line)])
        else:
            items[-1].append(line.strip())
    indent = min(len(item[0]) - len(item[0].lstrip()) for item in items)
    yield Block("list", "\n".join(item[0][indent:] + "".join(f" {line}" for line in item[1:]) for item in items))


def _merged_lists(blocks: list[Block]) -> list[Block]:
    """Items with blank lines between them are one list."""
    merged: list[Block] = []
    for block in blocks:
        if block.type == "list" and merged and merged[-1].type == "list":
            merged[-1] = Block("list", f"{merged[-1].text}\n{block.text}")
        else:
            merged.append(block)
    return merged


def _paragraphs(stanza: list[str], width: int) -> Iterator[Block]:
    """One paragraph, or several where each begins with an indented line."""
    start = 0
    indents = [len(line) - len(line.lstrip()) for line in stanza]
    if width and len(stanza) > 2 and min(indents) == 0 and max(indents) >= 2 and indents[-1] == 0:
        for index in range(1, len(stanza)):
            if (indents[index] >= 2 and indents[index - 1] == 0) or (index > 1 and indents[index] >= 2 and indents[index - 1] >= 2):
                yield Block("paragraph", _joined(stanza[start:index], width))
                start = index
    yield Block("paragraph", _joined(stanza[start:], width))


def _joined(lines: Sequence[str], width: int) -> str:
    """Lines as running text, where the next word would not have fitted into most of them; otherwise their breaks are meant."""
    forced = [width > 0 and len(line) + 1 + len(following.split(maxsplit=1)[0]) > width for line, following in pairwise(lines) if following]
    lines = [line.strip() for line in lines]
    if not forced or sum(forced) < 0.8 * len(forced):
        return "\n".join(lines)
    text = lines[0]
    for line in lines[1:]:
        tight = text[-1:] and line and _JOINED_SCRIPTS.match(text[-1]) and _JOINED_SCRIPTS.match(line[0])
        text += line if tight else f" {line}"
    return text


def _dedented(lines: Sequence[str]) -> str:
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[indent:] for line in lines)


def _title(blocks: list[Block]) -> str | None:
    """The first line, when something follows and it looks like a title rather than like a sentence, a greeting or an address."""
    if len(blocks) < 2 or blocks[0].type not in ("paragraph", "heading"):
        return None
    line = blocks[0].text
    if blocks[0].type == "heading":
        return line if blocks[0].level == 1 else None
    plain = "\n" not in line and len(line) <= _LONGEST_TITLE and 0 < count_words(line) <= 15
    sentence = line.endswith((".", ",", ";", ":")) or "://" in line or "@" in line or _GREETING.match(line)
    return line if plain and not sentence and not line[0].islower() else None
