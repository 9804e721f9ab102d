"""Keeps an author's chunks, and how common their words are, in step with the documents, writing only what changed."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import Connection, func, select, text

from twin_assets.cleaning.documents import Document
from twin_assets.features.chunking import CHUNKER, MAX_TOKENS, chunk_document
from twin_assets.features.lexical import configuration, definitions, searchable
from twin_assets.store.database import Database
from twin_assets.store.tables import chunks

log = structlog.get_logger(__name__)

COUNT_WORDS = """
insert into features.terms (author, term, chunks)
select cast(:author as text), term, :sign * count(*)
from features.chunks c
cross join lateral unnest(tsvector_to_array(c.lexemes)) as term
where c.id = any(:ids)
group by term
on conflict (author, term) do update set chunks = terms.chunks + excluded.chunks
"""

FORGET_WORDS = "delete from features.terms where author = :author and chunks <= 0"

WEIGH = """
insert into features.corpora (author, chunks, configurations)
select author, count(*), array_agg(distinct configuration order by configuration)
from features.chunks
where author = :author
group by author
on conflict (author) do update
    set chunks = excluded.chunks, configurations = excluded.configurations
"""

FORGET_CORPUS = "delete from features.corpora where author = :author and not exists (select from features.chunks where author = :author)"

# Same text, same vector, whoever wrote it and wherever it moved: nothing is embedded twice.
COPY_VECTORS = """
insert into features.embeddings (chunk_id, model, author, content_hash, embedding)
select distinct on (c.id, e.model) c.id, e.model, c.author, c.content_hash, e.embedding
from features.chunks c
cross join features.models m
join features.embeddings e on e.model = m.name and e.content_hash = c.content_hash
where c.id = any(:ids)
on conflict do nothing
"""


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """What a sync of chunks did; ``version`` is the hash of all chunks of the author."""

    written: int
    kept: int
    deleted: int
    version: str


@dataclass(frozen=True, slots=True)
class Row:
    """A chunk as it is stored, in the order of its columns, without its lexemes."""

    id: UUID
    author: str
    document_id: UUID
    position: int
    starts: int
    ends: int
    text: str
    headings: list[str]
    context: str
    words: int
    content_hash: str
    chunker: str
    title: str | None
    url: str | None
    kind: str
    platform: str
    language: str | None
    published_at: datetime | None
    configuration: str


COLUMNS = tuple(field.name for field in fields(Row))
# Two chunks of one id differ in nothing else.
ATTRIBUTES = ("starts", "ends", "title", "url", "kind", "platform", "language", "published_at", "configuration")

UPSERT = f"""
insert into features.chunks ({", ".join(COLUMNS)}, lexemes)
select {", ".join(COLUMNS)},
       setweight(to_tsvector(configuration::regconfig, context_words), 'A')
       || setweight(to_tsvector(configuration::regconfig, defined_words), 'B')
       || to_tsvector(configuration::regconfig, text_words)
from new_chunks
on conflict (id) do update set lexemes = excluded.lexemes, {", ".join(f"{name} = excluded.{name}" for name in ATTRIBUTES)}
"""  # noqa: S608  # names of columns

STAGE = """
create temporary table new_chunks on commit drop as
select {columns}, ''::text as context_words, ''::text as defined_words, ''::text as text_words from features.chunks limit 0
"""


def sync_chunks(
    database: Database,
    author: str,
    documents: Sequence[Document],
    count_tokens: Callable[[str], int],
    max_tokens: int = MAX_TOKENS,
) -> ChunkReport:
    """Makes the author's chunks those of ``documents``, in one transaction.

    Chunks of unchanged text stay untouched; chunks that only moved inside their document take their vectors along;
    chunks of vanished documents go, and their vectors with them. What is counted of the words goes along with the chunks.
    """
    wanted = {row.id: row for row in rows_of(author, documents, count_tokens, max_tokens)}
    with database.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("features.chunks"), func.hashtext(author))))
        stored = _stored(connection, author)
        gone = list(stored.keys() - wanted.keys())
        changed = [row for row in wanted.values() if stored.get(row.id) != _attributes(row)]
        if gone or changed:
            _replace(connection, author, [*gone, *(row.id for row in changed if row.id in stored)], gone, changed)
    new = sum(row.id not in stored for row in changed)
    report = ChunkReport(written=len(changed), kept=len(wanted) - len(changed), deleted=len(gone), version=_version(wanted.values()))
    log.info(
        "chunks_synced", author=author, documents=len(documents), new=new, changed=len(changed) - new, kept=report.kept, deleted=len(gone)
    )
    return report


def rows_of(author: str, documents: Sequence[Document], count_tokens: Callable[[str], int], max_tokens: int) -> list[Row]:
    """The chunks of documents as they are stored.

    Words of a document whose language is not known are read as those of the author's most common one, and code as English.
    """
    languages = Counter(document.language for document in documents if document.language)
    common = min(languages, key=lambda language: (-languages[language], language), default="")
    return [
        Row(
            author=author,
            chunker=CHUNKER,
            title=document.title,
            url=document.url,
            kind=document.kind,
            platform=document.platform,
            language=document.language,
            published_at=document.published_at,
            configuration=configuration(document.language or common or ("en" if document.kind == "code" else "")),
            id=chunk.id,
            document_id=chunk.document_id,
            position=chunk.position,
            starts=chunk.starts,
            ends=chunk.ends,
            text=chunk.text,
            headings=list(chunk.headings),
            context=chunk.context,
            words=chunk.words,
            content_hash=chunk.content_hash,
        )
        for document in documents
        for chunk in chunk_document(document, count_tokens, max_tokens)
    ]


def write(connection: Connection, author: str, rows: Sequence[Row]) -> None:
    """Puts chunks in, or in place of those of the same id, and counts their words.

    Args:
        connection: Inside of a transaction.
        author: Whose chunks they all are.
        rows: Ids of which no words are counted any more.
    """
    connection.exec_driver_sql(STAGE.format(columns=", ".join(COLUMNS)))
    cursor = connection.connection.cursor()
    with cursor.copy(f"copy new_chunks ({', '.join(COLUMNS)}, context_words, defined_words, text_words) from stdin") as copy:  # pyright: ignore[reportAttributeAccessIssue]
        for row in rows:
            defined = definitions(row.text) if row.kind == "code" else ""
            copy.write_row((*astuple(row), searchable(row.context), searchable(defined), searchable(row.text)))
    connection.exec_driver_sql(UPSERT)
    connection.exec_driver_sql("drop table new_chunks")
    ids = [row.id for row in rows]
    connection.execute(text(COUNT_WORDS), {"author": author, "sign": 1, "ids": ids})
    connection.execute(text(COPY_VECTORS), {"ids": ids})
    connection.execute(text(WEIGH), {"author": author})


def _replace(connection: Connection, author: str, counted: Sequence[UUID], gone: Sequence[UUID], changed: Sequence[Row]) -> None:
    connection.execute(text(COUNT_WORDS), {"author": author, "sign": -1, "ids": list(counted)})
    write(connection, author, changed)
    if gone:  # after their vectors were taken over
        connection.execute(chunks.delete().where(chunks.c.id == func.any(list(gone))))
        connection.execute(text(WEIGH), {"author": author})
    connection.execute(text(FORGET_WORDS), {"author": author})
    connection.execute(text(FORGET_CORPUS), {"author": author})


def _stored(connection: Connection, author: str) -> dict[UUID, tuple[object, ...]]:
    columns = [chunks.c[name] for name in ATTRIBUTES]
    return {id: tuple(row) for id, *row in connection.execute(select(chunks.c.id, *columns).where(chunks.c.author == author))}


def _attributes(row: Row) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in ATTRIBUTES)


def _version(wanted: Iterable[Row]) -> str:
    digest = hashlib.sha256()
    for line in sorted(f"{row.id} {row.content_hash}" for row in wanted):
        digest.update(line.encode())
    return digest.hexdigest()[:16]
