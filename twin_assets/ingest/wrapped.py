"""Text that ``html2text`` made of a page: Markdown of its own kind, wrapped at 78 columns.

It is not read as Markdown: headings go on over several lines, nothing is escaped, and marks of emphasis stand where no parser takes them
for such (``are**unfamiliar** with``, ``****``, ``**Food** ,``).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from twin_assets.ingest.posts import Block

_ITEM = re.compile(r"^( *)(\*|\d+\.)(?: (.*))?$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})(?:\s+(.*))?$", re.DOTALL)
_RULE = re.compile(r"^ *\* \* \*(?: \*)* *$")
_TABLE_RULE = re.compile(r"^[ |]*-{3}[- |]*$")
_CODE_SPAN = re.compile(r"(?<!`)(`++)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_ADDED = r"(?: (?=[,.;:!?)](?:\s|$)))?"  # the blank that html2text puts after a closing mark
_MARKS = re.compile(rf"[*_]{{0,8}}\*\*[*_]{{0,8}}{_ADDED}")  # bold, or bold and italic together
_ITALIC = re.compile(rf"(?<![\w_])_(?=[^\s_])|(?<=[^\s_])_(?![\w_]){_ADDED}|(?<![\w_])_$|^_(?![\w_])")
_ESCAPED = re.compile(r"\\([-+.#*_\\`()\[\]!])")
_HYPHEN = re.compile(r"(?<=\w)-\n(?=\w)(?!and\b|or\b)|(?<=--)\n(?=\w)")
_CLOSING = "”’\"')]}.,;:!?"


def wrapped_blocks(text: str) -> list[Block]:
    """The blocks of a text, its lines joined again and its marks of emphasis taken off; code as it stands."""
    blocks: list[Block] = []
    for lines in _parts(text.replace("\r\n", "\n").split("\n")):
        block = _block(lines)
        last = blocks[-1] if blocks else None
        if block is None:
            continue
        if last and last.type == block.type == "list":
            blocks[-1] = replace(last, text=f"{last.text}\n{block.text}")
        elif last and last.type == block.type == "quote":
            blocks[-1] = replace(last, text=f"{last.text}\n\n{block.text}")
        else:
            blocks.append(block)
    return blocks


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    """Lines that belong together; a blank one parts them, except in code, whose blank lines are indented too."""
    part: list[str] = []
    in_code = in_list = False
    for line in lines:
        indented = line.startswith("    ")
        starts_code = not part and indented and not (in_list and _ITEM.match(line))
        if in_code and not indented:
            yield part
            part, in_code, in_list = [], False, False
        if in_code or starts_code:
            part.append(line)
            in_code = True
        elif line.strip():
            part.append(line)
        elif part:
            yield part
            in_list = bool(_ITEM.match(part[0]))
            part = []
    if part:
        yield part


def _block(lines: list[str]) -> Block | None:
    first = lines[0]
    if first.startswith("    ") and not _ITEM.match(first):
        code = "\n".join(line[4:] for line in lines).strip("\n").rstrip()
        return Block("code", code) if code.strip() else None
    if _RULE.match(first):
        return None
    if heading := _HEADING.match("\n".join(lines)):
        text = emphasis_off(unwrapped((heading[2] or "").split("\n"))).replace("\n", " ").strip()
        return Block("heading", text, level=len(heading[1])) if text else None
    if first.lstrip(" ").startswith(">"):
        return _quote(lines)
    if any("|" in line and _TABLE_RULE.match(line) for line in lines[1:]):
        rows = "\n".join(row for line in lines if not _TABLE_RULE.match(line) and (row := emphasis_off(line).strip()))
        return Block("table", rows) if rows else None
    if _ITEM.match(first):
        return _list(lines)
    text = emphasis_off(unwrapped(lines)).strip()
    return Block("paragraph", text) if text else None


def _quote(lines: list[str]) -> Block | None:
    inside = "\n".join(re.sub(r"^ *(?:> ?)+", "", line) for line in lines)
    parts = (emphasis_off(unwrapped(part.split("\n"))).strip() for part in re.split(r"\n\s*\n", inside))
    text = "\n\n".join(re.sub(r"^\* ", "- ", part) for part in parts if part)
    return Block("quote", text) if text else None


def _list(lines: list[str]) -> Block | None:
    """A list; a rule between items and an item without words are none."""
    items: list[str] = []
    for line in lines:
        found = _ITEM.match(line)
        if found and _RULE.match((found[3] or "").strip()):
            continue
        if found:
            words = emphasis_off(found[3] or "").strip()
            mark = "-" if found[2] == "*" else found[2]
            if words.strip("_ "):
                items.append(f"{' ' * max(0, len(found[1]) - 2)}{mark} {words}")
        elif items:
            items[-1] = f"{items[-1]} {emphasis_off(line).strip()}"
    return Block("list", "\n".join(items)) if items else None


def unwrapped(lines: Sequence[str]) -> str:
    """Wrapped lines as one; two blanks at an end mark a line break of the writer's, and a word that was parted at its hyphen is whole again."""
    text = _HYPHEN.sub(lambda found: found[0].rstrip("\n"), "\n".join(lines))
    return re.sub(r"( *)\n[ \t]*", lambda found: "\n" if len(found[1]) > 1 else " ", text)


def emphasis_off(text: str) -> str:
    """Takes the marks of emphasis off, where they are no code, with the blanks that html2text lost before or put after them."""
    pieces, start = [], 0
    for span in _CODE_SPAN.finditer(text):
        pieces += [_prose(text[start : span.start()]), span[0]]
        start = span.end()
    return "".join([*pieces, _prose(text[start:])])


def _prose(text: str) -> str:
    return _ESCAPED.sub(r"\1", _ITALIC.sub("", _MARKS.sub(_mark, text)))


def _mark(found: re.Match[str]) -> str:
    """Nothing, or the blank that stood before an opening mark."""
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    opens = after.isalnum() and (before.isalnum() or (bool(before) and before in _CLOSING))
    return " " if opens else ""
