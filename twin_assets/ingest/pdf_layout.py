"""From the places of words on pages to running text: columns, lines, paragraphs and headings, without what repeats on every page."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from statistics import median

from twin_assets.ingest.posts import Block, BlockType, count_words

_BOLD = re.compile(r"bold|black|heavy|semibd|demi(?!r)|cmbx", re.I)
_MONO = re.compile(r"mono|courier|consol|menlo|monaco|typewriter|cmtt|fixed|code", re.I)
_BULLET = re.compile(r"^(?:[•‣▪●◦∙·*–—-]|\(?(?:\d{1,3}|[a-z])[.)])\s+(?=\S)")
_SIGN = re.compile(r"^[•‣▪●◦∙·*–—-]\s+")
_CAPTION = re.compile(r"^(fig(ure|\.)?|table|abb(ildung|\.)|tab(elle|\.)|illustration|figura|tableau)\s*\d+", re.I)
_PAGE_NUMBER = re.compile(
    r"^\W*(?:(?:page|seite|p\.|pág\.?|página)\s*)?(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:/|of|von|de|sur)\s*\d{1,4})?\W*$", re.I
)
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_KEPT_PREFIXES = frozenset({"self", "well", "half", "ex", "non", "cross", "all"})
_JOINED_SCRIPTS = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uff60]")
_ENDS = (".", "!", "?", ":", "…", '"', "”", "»", ")", "’")
_EDGE_LINES = 2
_WIDEST = 200
_HEADING = 1.12
"""How much larger than the running text a heading is at least."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word where it stands; places in points from the top left of the page."""

    text: str
    x0: float
    x1: float
    top: float
    bottom: float
    size: float
    font: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Words on one height of one column."""

    words: tuple[Word, ...]
    page: int
    column: str = "page"
    left: float = 0.0
    right: float = 0.0
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _line_text(self.words))

    @property
    def x0(self) -> float:
        """Where it begins."""
        return self.words[0].x0

    @property
    def x1(self) -> float:
        """Where it ends."""
        return max(word.x1 for word in self.words)

    @property
    def top(self) -> float:
        """The height of its largest word."""
        return max(self.words, key=lambda word: word.size).top

    @property
    def size(self) -> float:
        """That of most of its letters."""
        sizes: Counter[float] = Counter()
        for word in self.words:
            sizes[_rounded(word.size)] += len(word.text)
        return sizes.most_common(1)[0][0]

    def all_in(self, font: re.Pattern[str]) -> bool:
        """Whether all of it is set in such a font."""
        return all(font.search(word.font) for word in self.words)

    @property
    def cells(self) -> list[str]:
        """Its parts with wide gaps between them."""
        parts = [[self.words[0]]]
        for before, word in pairwise(self.words):
            if word.x0 - before.x1 > 2 * word.size:
                parts.append([])
            parts[-1].append(word)
        return [_line_text(part) for part in parts]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the pages hold."""

    title: str | None
    blocks: tuple[Block, ...]


def read_pages(pages: Sequence[Sequence[Word]]) -> Layout:
    """The running text of pages, each given by its words in any order."""
    lines = [_lines(words, number) for number, words in enumerate(pages, 1)]
    lines = _without_repetition(lines, _body_size(lines))
    body = _body_size(lines)
    text, notes = _without_notes(lines, body)
    flow = [line for page in _with_margins(text, body) for line in page]
    vocabulary = Counter(word.lower() for line in flow for word in _WORD.findall(line.text)[:-1])
    title, flow = _title(flow, body)
    blocks = list(_blocks(flow, body, vocabulary))
    blocks += _blocks([line for page in _with_margins(notes, body) for line in page], body, vocabulary)
    return Layout(title, tuple(block for block in blocks if block.text))


# Words to lines


def _lines(words: Sequence[Word], page: int) -> list[Line]:
    """The lines of a page in reading order: columns from left to right between lines that cross them."""
    rows = _rows(words)
    gutter = _gutter([segment for row in rows for segment in _segments(row)])
    if gutter is None:
        return [Line(tuple(row), page) for row in rows]
    lines: list[Line] = []
    waiting: dict[str, list[Line]] = {"left": [], "right": []}
    for row in rows:
        if any(segment[0].x0 < gutter < segment[-1].x1 for segment in _segments(row)):
            lines += [*waiting["left"], *waiting["right"], Line(tuple(row), page)]
            waiting = {"left": [], "right": []}
            continue
        for side in waiting:
            if part := [word for word in row if (word.x0 < gutter) == (side == "left")]:
                waiting[side].append(Line(tuple(part), page, side))
    return [*lines, *waiting["left"], *waiting["right"]]


def _rows(words: Sequence[Word]) -> list[list[Word]]:
    """Words on one height, from left to right. Those of a raised or lowered one are near enough."""
    rows: list[list[Word]] = []
    middle = 0.0
    for word in sorted(words, key=lambda word: (word.top + word.bottom, word.x0)):
        height = (word.top + word.bottom) / 2
        if not rows or height - middle > 0.4 * max(word.bottom - word.top, 1):
            rows.append([])
            middle = height
        rows[-1].append(word)
    return [sorted(row, key=lambda word: word.x0) for row in rows]


def _segments(row: Sequence[Word]) -> list[list[Word]]:
    segments = [[row[0]]]
    for before, word in pairwise(row):
        if word.x0 - before.x1 > word.size:
            segments.append([])
        segments[-1].append(word)
    return segments


def _gutter(segments: Sequence[Sequence[Word]]) -> float | None:
    """Where two columns part: a place near the middle that few lines cross, with wide ones on both sides."""
    if len(segments) < 8:
        return None
    spans = [(segment[0].x0, segment[-1].x1) for segment in segments]
    start, end = min(x0 for x0, _ in spans), max(x1 for _, x1 in spans)
    width = end - start
    places = [start + width * (0.3 + 0.005 * step) for step in range(81)]
    crossing = [sum(x0 < place < x1 for x0, x1 in spans) for place in places]
    fewest = min(crossing)
    best = [place for place, count in zip(places, crossing, strict=True) if count == fewest]
    place = best[len(best) // 2]
    left = [x1 - x0 for x0, x1 in spans if x1 <= place]
    right = [x1 - x0 for x0, x1 in spans if x0 >= place]
    if min(len(left), len(right)) < 4 or fewest > 0.35 * len(spans):
        return None
    return place if min(median(left), median(right)) > 0.22 * width else None


def _line_text(words: Sequence[Word]) -> str:
    """The words with blanks where there are gaps, without raised numbers of notes."""
    largest = max(words, key=lambda word: (len(word.text), word.size))
    text = ""
    before: Word | None = None
    for word in words:
        raised = word.size < 0.8 * largest.size and word.bottom < largest.bottom - 0.15 * largest.size
        if raised and before and re.fullmatch(r"[\d,*†‡]{1,5}", word.text):
            continue
        text += (" " if before and word.x0 - before.x1 > 0.1 * word.size else "") + word.text
        before = word
    return text


# What repeats


def _without_repetition(pages: Sequence[list[Line]], body: float) -> list[list[Line]]:
    """Drops headers, footers and page numbers: lines at the edge of a page that come back at the same height of others."""
    edges = [_edges(page) for page in pages]
    seen = Counter(key for page in edges for key in {_repeated(line, body) for line in page})
    enough = 2 if len(pages) <= 5 else 3
    dropped = {id(line) for page in edges for line in page if seen[_repeated(line, body)] >= enough}
    dropped |= {id(line) for page in pages for line in _page_numbers(page)}
    return [[line for line in page if id(line) not in dropped] for page in pages]


def _edges(page: Sequence[Line]) -> list[Line]:
    heights = sorted({round(line.top) for line in page})
    if not heights:
        return []
    count = min(_EDGE_LINES, max(len(heights) // 4, 1))
    return [line for line in page if round(line.top) <= heights[count - 1] or round(line.top) >= heights[-count]]


def _repeated(line: Line, body: float) -> tuple[str, int]:
    """The line without its numbers, which count pages; not so in a heading, where they count chapters."""
    text = line.text.lower()
    return text if line.size > body * _HEADING else re.sub(r"\d+", "#", text), round(line.top / 4)


def _page_numbers(page: Sequence[Line]) -> list[Line]:
    """Numbers that stand alone above or below everything else."""
    order = sorted(page, key=lambda line: line.top)
    pairs = [(order[0], order[1]), (order[-1], order[-2])] if len(order) > 1 else []
    return [line for line, next_one in pairs if abs(line.top - next_one.top) > 2 * line.size and _PAGE_NUMBER.match(line.text)]


# Sizes and margins


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _body_size(pages: Iterable[Sequence[Line]]) -> float:
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page:
            sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _without_notes(pages: Sequence[list[Line]], body: float) -> tuple[list[list[Line]], list[list[Line]]]:
    """Parts footnotes, which stand in smaller letters at the end of a page, from the text that goes on over them."""
    text: list[list[Line]] = []
    notes: list[list[Line]] = []
    for page in pages:
        larger = max((line.top for line in page if line.size > 0.9 * body), default=0.0)
        small = [line for line in page if line.size <= 0.9 * body and line.top > larger] if larger else []
        text.append([line for line in page if line not in small])
        notes.append(small)
    return text, notes


def _with_margins(pages: Sequence[list[Line]], body: float) -> list[list[Line]]:
    """Says of each line where its column begins and ends. A page of short lines is as wide as the others."""
    widths: dict[str, list[float]] = {}
    for page in pages:
        for column, left in _lefts(page).items():
            widths.setdefault(column, []).extend(line.x1 - left for line in page if line.column == column and line.size <= body * _HEADING)
    usual = {column: sorted(found)[int(0.95 * (len(found) - 1))] for column, found in widths.items() if found}
    return [
        [replace(line, left=lefts[line.column], right=lefts[line.column] + usual.get(line.column, line.x1)) for line in page]
        for page in pages
        for lefts in [_lefts(page)]
    ]


def _lefts(page: Sequence[Line]) -> dict[str, float]:
    return {column: min(line.x0 for line in page if line.column == column) for column in {line.column for line in page}}


# Lines to blocks


def _title(flow: list[Line], body: float) -> tuple[str | None, list[Line]]:
    """The largest letters in the upper part of the first page, if they are larger than anything there."""
    first = [line for line in flow if line.page == 1][:15]
    largest = max((line.size for line in first), default=0.0)
    if not first or largest < 1.25 * body:
        return None, flow
    start = next(index for index, line in enumerate(first) if line.size == largest)
    end = start + len(_by_gaps([line for line in first[start:] if line.size == largest])[0])
    title = " ".join(line.text for line in first[start:end])
    if count_words(title) > 30 or any(line.size == largest for line in flow[end:] if line.page == 1):
        return None, flow
    return title, flow[:start] + flow[end:]


def _kind(line: Line, body: float, bold: bool, mono: bool) -> str:
    """What a line is by its letters; the more that stands in the name, the larger the heading."""
    if line.size > body * _HEADING:
        return f"heading {line.size}"
    if not mono and line.all_in(_MONO):
        return "code"
    return "heading bold" if not bold and line.all_in(_BOLD) else "text"


def _blocks(flow: Sequence[Line], body: float, vocabulary: Counter[str]) -> Iterator[Block]:
    bold, mono = _is_mostly(flow, _BOLD), _is_mostly(flow, _MONO)
    leading = _leading(flow)
    sizes = sorted({line.size for line in flow if line.size > body * _HEADING}, reverse=True)
    items: list[tuple[str, int]] = []
    for kind, run in groupby(flow, key=lambda line: _kind(line, body, bold, mono)):
        lines = list(run)
        large = kind.startswith("heading")
        parts = [lines] if kind == "code" else _by_gaps(lines) if large else _paragraphs(lines, leading)
        for part in parts:
            heading = large and _is_heading(part)
            text = _joined(part, vocabulary)
            item = not heading and kind != "code" and bool(_BULLET.match(text)) and len(text) > 2
            if items and not item:
                yield _list(items)
                items = []
            if item:
                items.append((_SIGN.sub("- ", text), part[0].page))
            elif kind == "code":
                yield Block("code", _verbatim(part), page=part[0].page)
            elif heading:
                level = sizes.index(lines[0].size) + 1 if lines[0].size in sizes else len(sizes) + 1
                yield Block("heading", text, level=min(level, 6), page=part[0].page)
            else:
                yield Block(_type(part, text), _table(part) if _is_table(part) else text, page=part[0].page)
    if items:
        yield _list(items)


def _list(items: Sequence[tuple[str, int]]) -> Block:
    return Block("list", "\n".join(text for text, _ in items), page=items[0][1])


def _is_mostly(flow: Sequence[Line], font: re.Pattern[str]) -> bool:
    return sum(line.all_in(font) for line in flow) > 0.5 * len(flow)


def _is_heading(lines: Sequence[Line]) -> bool:
    text = " ".join(line.text for line in lines)
    return len(lines) <= 4 and 0 < count_words(text) <= 25 and not text.endswith((",", ";")) and (len(text) < 80 or not text.endswith("."))


def _by_gaps(lines: Sequence[Line]) -> list[list[Line]]:
    """Headings one below the other; in one of several lines they may end anywhere."""
    parts = [[lines[0]]]
    for before, line in pairwise(lines):
        if not _follows(before, line) or line.top - before.top > 1.6 * line.size:
            parts.append([])
        parts[-1].append(line)
    return parts


def _leading(flow: Sequence[Line]) -> float:
    """The usual distance of one line to the next."""
    gaps = [round(line.top - before.top, 1) for before, line in pairwise(flow) if _follows(before, line) and line.top > before.top]
    return Counter(gaps).most_common(1)[0][0] if gaps else 0.0


def _follows(before: Line, line: Line) -> bool:
    return (before.page, before.column) == (line.page, line.column)


def _paragraphs(lines: Sequence[Line], leading: float) -> list[list[Line]]:
    parts: list[list[Line]] = []
    for line in lines:
        if not parts or _begins(parts[-1], line, leading):
            parts.append([])
        parts[-1].append(line)
    return parts


def _begins(part: Sequence[Line], line: Line, leading: float) -> bool:
    """Whether a line begins a paragraph: by the gap above it, its indent, a bullet, or because the line before ended early."""
    before = part[-1]
    if len(line.cells) >= 3 and len(before.cells) >= 3:
        return False
    if _BULLET.match(line.text) and (before.x1 < before.right - 2 * line.size or _BULLET.match(part[0].text) or _SIGN.match(line.text)):
        return True
    if _follows(before, line) and leading and line.top - before.top > 1.35 * max(leading, line.size):
        return True
    if _BULLET.match(part[0].text):  # the lines of an item stand below its words, or below its sign
        return line.x0 < part[0].x0 - 1 or (_ended_early(before, line) and line.x0 <= part[0].x0 + 1)
    indent, indent_before = line.x0 - line.left, before.x0 - before.left
    if 0.6 * line.size <= indent - indent_before <= 6 * line.size and indent_before < 0.6 * line.size:
        return True
    return _ended_early(before, line)


def _ended_early(before: Line, line: Line) -> bool:
    """Whether the first word of a line would still have fitted into the one before."""
    if before.column != line.column:
        return before.text.endswith(_ENDS) and not line.text[:1].islower()
    first = line.words[0]
    room = before.right - before.x1 - 0.3 * before.size
    if room > 0.4 * (before.right - before.left):
        return True
    return room > first.x1 - first.x0 + 0.5 * before.size and (before.text.endswith(_ENDS) or not line.text[:1].islower())


def _joined(lines: Sequence[Line], vocabulary: Counter[str]) -> str:
    text = lines[0].text
    for line in lines[1:]:
        text = _join(text, line.text, vocabulary)
    return text.replace("\u00ad", "").strip()


def _join(text: str, following: str, vocabulary: Counter[str]) -> str:
    """Two lines as one: a word that was parted is put together, unless it is known with its hyphen."""
    if text.endswith("\u00ad"):
        return text[:-1] + following
    head = re.search(r"([^\W\d_]+(?:-[^\W\d_]+)*)[-‐]$", text)
    tail = re.match(r"[^\W\d_]+", following)
    if head and tail:
        whole = (head[1] + tail[0]).lower()
        hyphenated = f"{head[1]}-{tail[0]}".lower()
        parts = head[1].lower(), tail[0].lower()
        words = parts[0] in _KEPT_PREFIXES or all(len(part) > 2 and vocabulary[part] for part in parts)
        kept = vocabulary[hyphenated] > vocabulary[whole] or (not vocabulary[whole] and words)
        return text + following if kept or tail[0][0].isupper() else text[:-1] + following
    if text.endswith(("-", "‐", "–", "—", "/")) and text[-2:-1].strip() and not following[:1].isspace():
        return text + following if text[-1] in "-‐/" or text[-2:-1] != " " else f"{text} {following}"
    tight = text[-1:] and following and _JOINED_SCRIPTS.match(text[-1]) and _JOINED_SCRIPTS.match(following[0])
    return text + following if tight else f"{text} {following}"


def _type(part: Sequence[Line], text: str) -> BlockType:
    if _is_table(part):
        return "table"
    if _CAPTION.match(text) and len(part) <= 6:
        return "caption"
    return "quote" if _is_quote(part) else "paragraph"


def _is_table(part: Sequence[Line]) -> bool:
    return len(part) >= 2 and all(len(line.cells) >= 3 for line in part)


def _table(part: Sequence[Line]) -> str:
    return "\n".join(" | ".join(line.cells) for line in part)


def _is_quote(part: Sequence[Line]) -> bool:
    """Several lines that stand in from both margins."""
    inside = [line for line in part if line.x0 - line.left >= 1.4 * line.size and line.right - line.x1 >= 1.4 * line.size]
    same = max(line.x0 for line in part) - min(line.x0 for line in part) < part[0].size
    return len(part) >= 2 and len(inside) == len(part) and same and part[0].right - part[0].left > 25 * part[0].size


def _verbatim(part: Sequence[Line]) -> str:
    """Lines of code with their indents."""
    left = min(line.x0 for line in part)
    letter = median((word.x1 - word.x0) / max(len(word.text), 1) for line in part for word in line.words) or 1
    return "\n".join(_blank(line.x0 - left, letter) + _spaced(line, letter) for line in part)


def _spaced(line: Line, letter: float) -> str:
    text = line.words[0].text
    for before, word in pairwise(line.words):
        text += (_blank(word.x0 - before.x1, letter) or " ") + word.text
    return text


def _blank(width: float, letter: float) -> str:
    """Spaces as wide; a file may say that letters have next to no width, and fill the memory with spaces."""
    return " " * round(min(max(width, 0) / max(letter, 0.1), _WIDEST))
