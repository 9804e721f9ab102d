"""The review of an author's documents for a terminal."""

import re
from itertools import groupby, islice

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from twin_assets.cleaning.review import Block, Piece, Review, Reviewed, label, mask_name

DETAILED = 10
"""Documents whose removed lines are shown."""

_LINES = 5
_LONGEST_LINE = 160
_LONGEST_TITLE = 60
_LISTED = 20
# Signs that would steer the terminal, or turn the line around.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_STYLES = {"none": "red strike", "search": "blue", "both": ""}
_MARKS = {"none": ("[-", "-]"), "search": ("[~", "~]")}


def overview(review: Review, heading: str) -> RenderableType:
    """All documents in figures, what the first few lost, and why documents were dropped.

    Args:
        review: What to show.
        heading: The author's name or a source's location.
    """
    words = review.words
    figures = (
        f"{review.kept:,} documents kept, {review.all_dropped:,} dropped. {words.collected:,} words collected in those kept: "
        f"{words.search:,} are searched, {words.voice:,} are learned from as the voice."
    )
    parts: list[RenderableType] = [Text.assemble((visible(heading), "bold"), "\n", figures), Text()]
    parts += [_removals(review), Text()] if review.removals or review.masked else []
    for document in [document for document in review.documents if document.removed()][:DETAILED]:
        parts += [_title(document), Padding(_removed(document), (0, 0, 0, 2))]
    if review.listed:
        parts += [Text(), _dropped(review)]
    parts.append(Text("\nOne document in full: --document with its id or title. All of it for the browser: --html FILE.", "dim"))
    return Group(*parts)


def document_in_full(document: Reviewed, plain: bool) -> RenderableType:
    """One document with everything that was removed marked in its place.

    Args:
        document: What to show.
        plain: Whether marks are written, for want of colours.
    """
    parts: list[RenderableType] = [_title(document), _key(plain), Rule(style="dim")]
    if document.reason:
        parts.append(Text(visible(f"Dropped ({document.reason.replace('_', ' ')}): {document.detail}"), "red"))
    blocks = Table.grid(padding=(0, 2, 0, 0))
    for block in document.blocks:
        blocks.add_row(Text(block.type, "dim"), _text(block, plain))
        blocks.add_row()
    parts.append(blocks)
    if not document.blocks:
        parts.append(Text("Nothing of its text was cleaned.", "dim"))
    return Group(*parts)


def visible(text: str) -> str:
    """Text that cannot steer a terminal."""
    return _STEERING.sub("�", text)


def _removals(review: Review) -> Table:
    table = Table("removed", "times", "from", box=None, header_style="bold", pad_edge=False)
    table.columns[1].justify = "right"
    for removal in review.removals:
        table.add_row(_cell(removal.what), f"{removal.times:,}", "the voice" if removal.searched else "both texts")
    for kind, times in review.masked.items():
        table.add_row(_cell(f"masked: {mask_name(kind)}"), f"{times:,}", "both texts")
    return table


def _title(document: Reviewed) -> Text:
    day = document.published_at.date().isoformat() if document.published_at else "no date"
    words = document.words
    figures = f"{words.collected:,} words, {words.search:,} searched, {words.voice:,} in the voice"
    return Text.assemble((visible(_short(document.name, _LONGEST_TITLE)), "bold"), (f"\n{document.id}  {day}  {figures}", "dim"))


def _removed(document: Reviewed) -> Text:
    removed = document.removed()
    lines = [
        Text.assemble((visible(_short(text, _LONGEST_LINE)), _STYLES["none"]), (f"  {visible(why)}{_times(times)}", "dim"))
        for (text, why), times in islice(removed.items(), _LINES)
    ]
    if len(removed) > _LINES:
        lines.append(Text(f"and {len(removed) - _LINES} more", "dim"))
    return Text("\n").join(lines)


def _times(times: int) -> str:
    return f", {times} times" if times > 1 else ""


def _dropped(review: Review) -> Table:
    table = Table("dropped", "document", "why", box=None, header_style="bold", pad_edge=False)
    for document in review.listed[:_LISTED]:
        name = _short(document.name.removeprefix("https://"), _LONGEST_TITLE)
        table.add_row(_cell(document.reason.replace("_", " ")), _cell(name), _cell(document.detail or "", "dim"))
    more = review.all_dropped - min(len(review.listed), _LISTED)
    if more > 0:
        reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in review.dropped.items())
        table.add_row("", f"and {more:,} more", _cell(f"all of them: {reasons}", "dim"))
    return table


def _cell(text: str, style: str = "") -> Text:
    return Text(visible(text), style)  # a plain string would be taken for markup


def _key(plain: bool) -> Text:
    pieces = (Piece("in neither text", "none"), Piece("searched, not learned from", "search"), Piece("[email 1]", masked="email"))
    key = Text("  ").join(_piece(piece, plain) for piece in pieces)
    return key.append(" stands for something private; all else is in both texts", "dim")


def _text(block: Block, plain: bool) -> Text:
    text = Text()
    for (lane, reason), run in groupby(block.pieces, key=lambda piece: (piece.lane, piece.reason)):
        pieces = list(run)
        text.append_text(Text().join(_piece(piece, plain) for piece in pieces))
        if lane != "both" and (reason != "not_prose" or len(pieces) < len(block.pieces)):  # its type stands beside it
            text.append(f" ({visible(label(pieces[0], block))}) ", "dim")
    if block.searched_as:
        text.append(f" (searched as: {visible(_short(block.searched_as, _LONGEST_LINE))})", "dim")
    return text


def _piece(piece: Piece, plain: bool) -> Text:
    opening, closing = _MARKS.get(piece.lane, ("", "")) if plain else ("", "")
    style = "black on yellow" if piece.masked else _STYLES[piece.lane]
    return Text(f"{opening}{visible(piece.text)}{closing}", style)


def _short(text: str, most: int) -> str:
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[:most]}…"
