"""Cleaned documents as the later stages see them, and which of them are held out of all learning."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg.errors import UndefinedTable
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError

COUNTED_KINDS = frozenset({"post", "article", "note"})
MIN_HELD_OUT_WORDS = 40  # shorter ones say too little to be written again or scored
MIN_DOCUMENTS = 5  # from here on at least one is held out

_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Document:
    """One cleaned document: the author's prose to learn from, and everything worth finding."""

    id: UUID
    author: str
    platform: str
    kind: str
    title: str | None
    url: str | None
    published_at: datetime | None
    text_for_voice: str
    text_for_rag: str
    voice_words: int
    content_hash: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """The two sides of an author's documents; no document is on both."""

    train: list[Document]
    held_out: list[Document]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the mart holds of one author; ``version`` changes with any document's content."""

    documents: int
    voice_words: int
    rag_words: int
    boilerplate_lines: int
    version: str


def load_documents(database: Database, author: str) -> list[Document]:
    """The author's cleaned documents, the undated first, then by date.

    Raises:
        TwinError: When nothing was cleaned yet.
    """
    rows = _query(
        database,
        """
        select document_id, author, platform, kind, title, url, published_at, text_for_voice, text_for_rag, voice_words, content_hash,
               language
        from cleaning.cleaned_documents
        where author = :author
        order by published_at nulls first, document_id
        """,
        author,
    )
    return [Document(*row) for row in rows]


def summarise(database: Database, author: str) -> Summary:
    """Counts and content version of the author's cleaned documents.

    Raises:
        TwinError: When nothing was cleaned yet.
    """
    rows = _query(
        database,
        """
        select
            count(*), coalesce(sum(voice_words), 0), coalesce(sum(rag_words), 0), coalesce(sum(boilerplate_lines), 0),
            md5(coalesce(string_agg(document_id::text || content_hash, ',' order by document_id), ''))
        from cleaning.cleaned_documents
        where author = :author
        """,
        author,
    )
    return Summary(*rows[0])


def same_text(database: Database, author: str) -> dict[str, float]:
    """Other authors who have prose of this author word for word, with its share of this author's documents.

    Who took one post of somebody who wrote a hundred does not stop the one who wrote them.

    Raises:
        TwinError: When nothing was cleaned yet.
    """
    rows = _query(
        database,
        """
        with prose as (select author, md5(text_for_voice) as prose from cleaning.cleaned_documents where voice_words >= :words)
        select
            theirs.author,
            count(distinct theirs.prose)::float / (select count(distinct prose) from prose where author = :author)
        from (select distinct prose from prose where author = :author) as own
        inner join prose as theirs on own.prose = theirs.prose and theirs.author != :author
        group by theirs.author
        order by theirs.author
        """,
        author,
        words=MIN_HELD_OUT_WORDS,
    )
    return {name: float(share) for name, share in rows}


def split(documents: Sequence[Document], held_out_share: float) -> Split:
    """Splits by document and date: the newest share of those with own prose is held out, all others are trained on.

    Undated documents count as the oldest and are trained on; only where no document has a date does the order of the ids
    choose. Comments, code and very short pieces do not count and are never held out.

    Args:
        documents: All of one author's.
        held_out_share: Between 0 and 1; rounded down to whole documents, but at least one where there are five or more.

    Returns:
        Both sides in the order of date, ties by id.
    """
    ordered = sorted(documents, key=_date_and_id)
    counted = [document for document in ordered if _counts(document)]
    pool = [document for document in counted if document.published_at] or counted
    size = math.floor(held_out_share * len(pool) + 1e-9)
    if len(counted) >= MIN_DOCUMENTS:
        size = max(size, 1)
    held_out = pool[len(pool) - size :]
    ids = {document.id for document in held_out}
    return Split([document for document in ordered if document.id not in ids], held_out)


def _counts(document: Document) -> bool:
    return document.kind in COUNTED_KINDS and document.voice_words >= MIN_HELD_OUT_WORDS


def _date_and_id(document: Document) -> tuple[datetime, UUID]:
    return document.published_at or _OLDEST, document.id


@contextmanager
def corpus(database: Database, author: str) -> Iterator[Connection]:
    """A transaction that reads the cleaned documents, whose table dbt makes with its first run.

    Raises:
        TwinError: If nothing was ever cleaned.
    """
    try:
        with database.begin() as connection:
            yield connection
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable) or "cleaned_documents" not in str(error.orig):
            raise
        raise TwinError(f"Nothing has been cleaned yet. Run: twin run {author} --to cleaned_documents") from error


def _query(database: Database, statement: str, author: str, **more: int) -> Sequence[tuple]:
    with corpus(database, author) as connection:
        return [tuple(row) for row in connection.execute(text(statement), {"author": author, **more})]
