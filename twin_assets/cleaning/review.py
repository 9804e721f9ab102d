"""What cleaning made of an author's documents: what was collected, what of it each text kept, and why the rest was removed.

Read from what the dbt models have left, so private things are placeholders here already, and the marks are those of the very texts that are
learned from: they are found by laying a block beside its two cleaned texts, not by applying the rules again.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from twin_assets.cleaning import review_queries as queries
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError

Lane = Literal["both", "search", "none"]
"""Which of the two texts a piece is in: both, only the one that is searched, or none."""

MOST = 150
"""Documents of which most was removed, at most as many as are shown."""
SAMPLE = 30
"""Of the others."""
DROPPED_TEXTS = 20
"""Dropped documents that are shown with their text."""
LONGEST_SHOWN = 12_000
"""Bytes of a document of many, from which on no further block of it is shown."""
LISTED = 300
"""Dropped documents that are listed."""

_PROSE = frozenset({"paragraph", "list"})
# As url_pattern() in dbt_cleaning/macros/text.sql.
_BARE_URL = r"""(?:https?://|www\.)(?:[^\s<>()`"“”]|\([^\s<>()`"“”]*\))*(?:[^\s<>()`"“”.,;:!?'’…]|\([^\s<>()`"“”]*\))"""
_URL = re.compile(rf"<{_BARE_URL}>|`{_BARE_URL}`|{_BARE_URL}", re.IGNORECASE)
_LINK = "[link]"
_MANY = 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a block, and what became of it."""

    text: str
    lane: Lane = "both"
    reason: str = ""
    """Why it is not in both: ``repeated``, ``interface_line``, ``embed``, ``url``, ``not_prose``; ``changed`` where it cannot be told."""
    masked: str = ""
    """``email``, ``phone``, ``secret`` or ``unread`` where this is a placeholder for one."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it was collected, in pieces that together are its text."""

    type: str
    pieces: tuple[Piece, ...]
    language: str = ""
    repeated: str = ""
    """In how many documents it stands, in words; empty where it is not removed for that."""
    searched_as: str = ""
    """Its text for search, where letters were made plain or accents composed."""
    unshown: int = 0
    """Characters that are left out here at its end."""

    @property
    def untouched(self) -> bool:
        """Whether all of it is in both texts as it was collected."""
        return not self.searched_as and all(piece.lane == "both" and not piece.masked and not piece.reason for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Words:
    """Words as collected, and how many of them each text has."""

    collected: int
    search: int
    voice: int


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One document for review; ``reason`` and ``detail`` say why it was dropped, and are empty where it was kept."""

    id: UUID
    title: str
    url: str | None
    platform: str
    kind: str
    published_at: datetime | None
    reason: str
    detail: str
    words: Words
    blocks: tuple[Block, ...]
    unshown: int = 0
    """Blocks that are left out here for their length."""

    @property
    def name(self) -> str:
        """What a person may know it by."""
        return self.title or self.url or f"untitled {self.kind}"

    def removed(self) -> dict[tuple[str, str], int]:
        """What is in neither text, as text and reason, and how often."""
        pieces = ((piece, block) for block in self.blocks for piece in block.pieces if piece.lane == "none" and piece.text.strip())
        return dict(Counter((piece.text.strip(), label(piece, block)) for piece, block in pieces))


@dataclass(frozen=True, slots=True)
class Dropped:
    """A line in the list of dropped documents."""

    id: UUID
    title: str | None
    url: str | None
    origin: str | None
    kind: str
    published_at: datetime | None
    reason: str
    detail: str

    @property
    def name(self) -> str:
        """What a person may know it by."""
        return self.title or self.url or self.origin or f"untitled {self.kind}"


@dataclass(frozen=True, slots=True)
class Removal:
    """How often something was removed, and whether the text for search has it still."""

    what: str
    times: int
    searched: bool


@dataclass(frozen=True, slots=True)
class Review:
    """One author's documents for review: figures of all of them, and some of them in full."""

    kept: int
    touched: int
    """Kept documents of which something was removed from at least one text."""
    dropped: dict[str, int]
    words: Words
    removals: tuple[Removal, ...]
    masked: dict[str, int]
    documents: tuple[Reviewed, ...]
    """Kept ones, those of which most was removed first: lines that no text has, then words that only search has."""
    sample: tuple[Reviewed, ...] = ()
    """Of the other kept ones."""
    dropped_texts: tuple[Reviewed, ...] = ()
    """Dropped ones whose text is known."""
    listed: tuple[Dropped, ...] = field(default=())
    """Dropped ones, those with rare reasons first."""

    @property
    def all_dropped(self) -> int:
        """How many documents were dropped."""
        return sum(self.dropped.values())


_NOT_PROSE = {"heading": "headings", "code": "code blocks", "quote": "quotations", "table": "tables", "caption": "captions"}
_LABELS = {"interface_line": "line of the page", "embed": "embed", "url": "URL", "changed": "as collected; as cleaned it follows"}
_MASKS = {"email": "e-mail address", "phone": "phone number", "secret": "password or key", "unread": "text too long to be looked through"}


def label(piece: Piece, block: Block) -> str:
    """Why a piece is not in both texts, in a few words."""
    if piece.reason == "repeated":
        return block.repeated
    return block.type if piece.reason == "not_prose" else _LABELS.get(piece.reason, piece.reason)


def mask_name(kind: str) -> str:
    """What a placeholder stands for, in words."""
    return _MASKS.get(kind, kind)


# -- reading


def read_review(
    database: Database, author: str, most: int = MOST, sample: int = SAMPLE, dropped: int = DROPPED_TEXTS, listed: int = LISTED
) -> Review:
    """One author's documents for review. Only what is shown is read in full, and of long documents the beginning.

    Args:
        database: The warehouse.
        author: Whose documents.
        most: Kept documents of which most was removed.
        sample: Other kept documents.
        dropped: Dropped documents that are shown with their text.
        listed: Dropped documents that are listed.

    Raises:
        TwinError: When nothing of the author was cleaned yet.
    """
    with _cleaned(database, author) as connection:
        kept, voice, search, touched = connection.execute(text(queries.KEPT), {"author": author}).one()
        reasons = {reason: count for reason, count in connection.execute(text(queries.DROPPED), {"author": author})}
        removals, lost = _removals(connection, author)
        masked = {kind: count for kind, count in connection.execute(text(queries.MASKED), {"author": author})}
        ranked = _ids(connection, queries.RANKED, author, most)
        sampled = _ids(connection, queries.SAMPLED, author, sample, without=ranked)
        with_text = _ids(connection, queries.DROPPED_WITH_TEXT, author, dropped)
        found = _documents(connection, author, [*ranked, *sampled, *with_text], LONGEST_SHOWN)
        rows = connection.execute(text(queries.LISTED), {"author": author, "most": listed})
        return Review(
            kept=kept,
            touched=touched,
            dropped=reasons,
            words=Words(search + lost, search, voice),
            removals=removals,
            masked=masked,
            documents=tuple(found[id] for id in ranked),
            sample=tuple(found[id] for id in sampled),
            dropped_texts=tuple(found[id] for id in with_text),
            listed=tuple(Dropped(*row) for row in rows),
        )


def read_ranked(database: Database, author: str, most: int) -> tuple[Reviewed, ...]:
    """The kept documents of which most was removed, and nothing else of a review.

    Raises:
        TwinError: When nothing of the author was cleaned yet.
    """
    with _cleaned(database, author) as connection:
        ranked = _ids(connection, queries.RANKED, author, most)
        found = _documents(connection, author, ranked, LONGEST_SHOWN)
        return tuple(found[id] for id in ranked)


def read_document(database: Database, author: str, wanted: str) -> Reviewed:
    """One document in full, named by its id, its URL, its title or a part of the title.

    Raises:
        TwinError: When there is no such document, or more than one; the message names them.
    """
    with _cleaned(database, author) as connection:
        found: Sequence[Any] = ()
        for anywhere in (False, True):
            parameters = {"author": author, "wanted": wanted, "anywhere": anywhere, "most": _MANY + 1}
            found = found or connection.execute(text(queries.FOUND), parameters).all()
        if not found:
            raise TwinError(f"No document is called {wanted!r}. Give its id, its URL, its title or a part of the title.")
        if len(found) > 1:
            lines = [f"  {id}  {when.date() if when else '':10}  {title or ''}" for id, title, when in found[:_MANY]]
            more = "\n  ..." if len(found) > _MANY else ""
            raise TwinError(f"{wanted!r} may be one of these documents. Name one by its id:\n" + "\n".join(lines) + more)
        return _documents(connection, author, [found[0].document_id], None)[found[0].document_id]


def review_version(database: Database, author: str) -> str:
    """Changes with anything that cleaning sees of the author's posts.

    Raises:
        TwinError: When nothing of the author was cleaned yet.
    """
    with _cleaned(database, author) as connection:
        return connection.scalar(text(queries.VERSION), {"author": author}) or "none"


@contextmanager
def _cleaned(database: Database, author: str) -> Iterator[Connection]:
    """A transaction that sees one state of the tables, which dbt makes with its first run."""
    hint = f"Run: twin run {author} --to cleaned_documents"
    try:
        with database.begin() as connection:
            connection.execute(text("set transaction isolation level repeatable read, read only"))
            if connection.scalar(text("select 1 from cleaning.int_posts where author = :author limit 1"), {"author": author}) is None:
                raise TwinError(f"Nothing of {author} has been cleaned yet. {hint}")
            yield connection
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") not in ("42P01", "42703"):  # a table or a column that dbt has not made yet
            raise
        raise TwinError(f"Nothing has been cleaned yet by this version. {hint}") from error


def _ids(connection: Connection, query: str, author: str, most: int, without: Collection[UUID] = ()) -> list[UUID]:
    parameters = {"author": author, "most": most} | ({"without": list(without)} if query is queries.SAMPLED else {})
    return list(connection.scalars(text(query), parameters))


def _removals(connection: Connection, author: str) -> tuple[tuple[Removal, ...], int]:
    """What was removed how often, and how many words no text has any more."""
    rows = {what: rest for what, *rest in connection.execute(text(queries.REMOVED), {"author": author})}
    nothing = (0, 0, 0, 0)
    found = [
        Removal("repeated passages", rows.get("repeated", nothing)[0], False),
        Removal("lines of the platform's page", sum(row[2] for what, row in rows.items() if what not in ("repeated", "embed")), False),
        Removal("embeds", rows.get("embed", nothing)[0], False),
        Removal("paragraphs and lists with URLs", rows.get("prose", nothing)[1], True),
        *(Removal(name, rows.get(kind, nothing)[0], True) for kind, name in _NOT_PROSE.items()),
    ]
    return tuple(removal for removal in found if removal.times), int(sum(row[3] for row in rows.values()))


def _documents(connection: Connection, author: str, ids: Sequence[UUID], most_bytes: int | None) -> dict[UUID, Reviewed]:
    publications = {name: count for name, count in connection.execute(text(queries.PUBLICATIONS), {"author": author})}
    rows = {row.document_id: row for row in connection.execute(text(queries.DOCUMENTS), {"ids": list(ids)})}
    blocks: dict[UUID, list[Block]] = {}
    for block in connection.execute(text(queries.BLOCKS), {"ids": list(ids), "bytes": most_bytes}):
        document = rows[block.document_id]
        placeholders = {mask["placeholder"] for mask in document.masks if mask["block"] == block.position}
        of_all = publications.get(document.publication, block.documents)
        found = _block(block, placeholders, of_all, document.publication)
        blocks.setdefault(block.document_id, []).append(found if most_bytes is None else _beginning(found, most_bytes))
    return {id: _reviewed(row, blocks.get(id, [])) for id, row in rows.items()}


def _reviewed(row: Any, blocks: Sequence[Block]) -> Reviewed:
    search = row.words - row.lost_words
    return Reviewed(
        id=row.document_id,
        title=row.title or "",
        url=row.url,
        platform=row.platform,
        kind=row.kind,
        published_at=row.published_at,
        reason=row.reason or "",
        detail=row.detail or "",
        words=Words(row.words, search, min(row.voice_words, search)),
        blocks=tuple(blocks),
        unshown=row.blocks - len(blocks),
    )


def _block(row: Any, placeholders: Collection[str], of_all: int, publication: str) -> Block:
    pieces = marked(row.block_type, row.block_text, row.voice_text, row.rag_text, row.interface_lines, row.documents is not None)
    return Block(
        type=row.block_type,
        pieces=tuple(with_placeholders(pieces, placeholders)),
        language=row.code_language or "",
        repeated=f"in {row.documents} of {of_all} documents of {publication}" if row.documents is not None else "",
        searched_as=_searched_as(row.block_type, pieces, row.rag_text),
    )


def _beginning(block: Block, most: int) -> Block:
    """A block without what is behind so many characters."""
    left = most
    pieces = []
    for piece in block.pieces:
        if left > 0:
            pieces.append(replace(piece, text=piece.text[:left]))
        left -= len(piece.text)
    return block if left >= 0 else replace(block, pieces=tuple(pieces), searched_as=block.searched_as[:most], unshown=-left)


# -- marks


def marked(block_type: str, block_text: str, voice_text: str, rag_text: str, interface_lines: int, repeated: bool) -> list[Piece]:
    """A block in pieces that together are its text, each with what became of it. Takes time in proportion to the text.

    Where a cleaned text cannot be laid beside the block, as after a change of the rules, the block is one piece that says so, and is
    followed by the cleaned text.

    Args:
        block_type: As ``ingest`` names it.
        block_text: The block, with placeholders.
        voice_text: Its share of the text that the voice is learned from.
        rag_text: Its share of the text that is searched.
        interface_lines: How many of its lines belong to the platform's page.
        repeated: Whether it is left out as boilerplate.
    """
    if repeated or block_type == "embed":
        return [Piece(block_text, "none", "repeated" if repeated else "embed")]
    lines = _lines(block_text)
    own = _own_lines(block_type, lines, rag_text, interface_lines)
    pieces = None if own is None else _own_pieces(lines, own, voice_text, block_type in _PROSE)
    if pieces is None:
        cleaned = voice_text if block_type in _PROSE else rag_text
        return [Piece(block_text, "none", "changed"), *([Piece(cleaned)] if cleaned else [])]
    return _joined(pieces)


def with_placeholders(pieces: Iterable[Piece], placeholders: Collection[str]) -> Iterator[Piece]:
    """The pieces, with each placeholder as a piece of its own."""
    if not placeholders:
        yield from pieces
        return
    pattern = re.compile("(" + "|".join(map(re.escape, sorted(placeholders, key=len, reverse=True))) + ")")
    for piece in pieces:
        for place, part in enumerate(pattern.split(piece.text)):
            if part:
                yield replace(piece, text=part, masked=part.strip("[").split(" ")[0] if place % 2 else "")


def _lines(block_text: str) -> list[str]:
    """The lines, each but the last with its end."""
    *ended, last = block_text.split("\n")
    return [*(f"{line}\n" for line in ended), last]


def _own_lines(block_type: str, lines: Sequence[str], rag_text: str, interface_lines: int) -> list[bool] | None:
    """Which lines are the author's: those that the text for search has too. None where the two do not go together."""
    if not interface_lines:
        return [True] * len(lines)
    if interface_lines == len(lines):
        return [False] * len(lines)
    if not rag_text:  # what is left is blank
        return [not line.strip() for line in lines]
    searched = [_plain(line) for line in _unmarked(block_type, rag_text).split("\n")]
    own, place = [], 0
    for line in lines:
        is_own = place < len(searched) and _plain(line.removesuffix("\n")) == searched[place]
        own.append(is_own)
        place += is_own
    return own if place == len(searched) else None


def _own_pieces(lines: Sequence[str], own: Sequence[bool], voice_text: str, is_prose: bool) -> list[Piece] | None:
    spoken = voice_text.split("\n")
    pieces, place = [], 0
    for line, is_own in zip(lines, own, strict=True):
        bare = line.removesuffix("\n")
        if not is_own:
            pieces.append(Piece(line, "none", "interface_line"))
        elif not is_prose:
            pieces.append(Piece(line, "search", "not_prose"))
        elif place < len(spoken) and spoken[place] == bare:
            pieces.append(Piece(line))
            place += 1
        elif place < len(spoken) and (found := _with_links(bare, spoken[place])):
            pieces += [*found, Piece(line[len(bare) :])]
            place += 1
        elif _URL.search(bare):
            pieces.append(Piece(line, "search", "url"))
        else:
            return None
    return pieces if place == len(spoken) or not is_prose or not voice_text else None


def _with_links(line: str, spoken: str) -> list[Piece] | None:
    """A line beside the same with a placeholder for each URL; None where that is not how the two differ."""
    if _URL.sub(_LINK, line) != spoken:
        return None
    pieces, end = [], 0
    for url in _URL.finditer(line):
        pieces += [Piece(line[end : url.start()]), Piece(url[0], "search", "url")]
        end = url.end()
    return [*pieces, Piece(line[end:])]


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours with the same fate as one piece."""
    joined: list[Piece] = []
    texts: list[str] = []
    for piece in pieces:
        if not piece.text:
            continue
        if joined and (joined[-1].lane, joined[-1].reason) == (piece.lane, piece.reason):
            texts.append(piece.text)
            continue
        if joined:
            joined[-1] = replace(joined[-1], text="".join(texts))
        joined.append(piece)
        texts = [piece.text]
    if joined:
        joined[-1] = replace(joined[-1], text="".join(texts))
    return joined


def _searched_as(block_type: str, pieces: Sequence[Piece], rag_text: str) -> str:
    if block_type == "code" or not rag_text or all(piece.lane == "none" for piece in pieces):
        return ""
    searched = _unmarked(block_type, rag_text)
    own = "".join(piece.text for piece in pieces if piece.lane != "none")
    return searched if searched != own.removesuffix("\n") and searched != own else ""


def _unmarked(block_type: str, rag_text: str) -> str:
    """A text for search without the marks of Markdown that cleaning put before it."""
    if block_type == "heading":
        return rag_text.removeprefix("## ")
    return "\n".join(line.removeprefix("> ") for line in rag_text.split("\n")) if block_type == "quote" else rag_text


def _plain(line: str) -> str:
    return unicodedata.normalize("NFKC", line)
