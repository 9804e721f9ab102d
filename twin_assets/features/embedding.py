"""Keeps chunks and their vectors in step with the documents, writing only what changed."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import structlog
from pgvector import HalfVector
from sqlalchemy import Connection, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from twin_assets.cleaning.documents import Document
from twin_assets.features.chunking import CHUNKER, MAX_TOKENS, Chunk, chunk_document, embedding_text
from twin_assets.models import Embedder
from twin_assets.store.database import Database
from twin_assets.store.tables import chunks

if TYPE_CHECKING:
    import numpy as np

log = structlog.get_logger(__name__)

COPY_VECTORS = """
insert into features.embeddings (chunk_id, model, author, content_hash, embedding)
select distinct on (c.id, e.model) c.id, e.model, c.author, c.content_hash, e.embedding
from features.chunks c
join features.embeddings e using (content_hash)
where c.author = :author
  and e.{source} = :value
  and not exists (select from features.embeddings held where held.chunk_id = c.id and held.model = e.model)
on conflict do nothing
"""

MISSING = """
select c.content_hash, d.title, c.text
from features.chunks c
left join cleaning.cleaned_documents d using (document_id)
where c.author = :author
  and not exists (select from features.embeddings e where e.chunk_id = c.id and e.model = :model)
"""

# One vector serves every chunk of the same content; a chunk deleted meanwhile, or filled by another run, is passed over.
INSERT_VECTORS = """
insert into features.embeddings (chunk_id, model, author, content_hash, embedding)
select c.id, :model, c.author, c.content_hash, cast(v.embedding as halfvec)
from unnest(cast(:hashes as text[]), cast(:vectors as text[])) as v (content_hash, embedding)
join features.chunks c on c.author = :author and c.content_hash = v.content_hash
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
class EmbeddingReport:
    """What a sync of embeddings did: texts given to the model, chunks that needed no computing, and all chunks."""

    embedded: int
    reused: int
    total: int


def sync_chunks(
    database: Database,
    author: str,
    documents: Sequence[Document],
    count_tokens: Callable[[str], int],
    max_tokens: int = MAX_TOKENS,
) -> ChunkReport:
    """Makes the author's chunks those of ``documents``, in one transaction.

    Chunks of unchanged text stay untouched; chunks that only moved inside their document take their vectors along;
    chunks of vanished documents go, and their vectors with them.
    """
    wanted = {chunk.id: chunk for document in documents for chunk in chunk_document(document, count_tokens, max_tokens)}
    with database.begin() as connection:
        stored = set(connection.scalars(select(chunks.c.id).where(chunks.c.author == author)))
        new = [wanted[key] for key in wanted.keys() - stored]
        if new:
            rows = [{"author": author, "chunker": CHUNKER, **asdict(chunk)} for chunk in new]
            connection.execute(insert(chunks).on_conflict_do_nothing(), rows)
            _copy_vectors(connection, author, "author", author)
        gone = list(stored - wanted.keys())
        if gone:
            connection.execute(delete(chunks).where(chunks.c.id == func.any(gone)))
    report = ChunkReport(written=len(new), kept=len(stored) - len(gone), deleted=len(gone), version=_version(wanted.values()))
    log.info("chunks_synced", author=author, documents=len(documents), written=report.written, kept=report.kept, deleted=report.deleted)
    return report


def sync_embeddings(
    database: Database,
    author: str,
    embedder: Embedder,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> EmbeddingReport:
    """Gives each chunk of the author a vector of this embedder, computing only those of text not embedded before.

    Each batch is committed by itself, so a killed run continues where it stopped.

    Args:
        database: The warehouse.
        author: Whose chunks.
        embedder: The embedding model; its name keys the vectors.
        batch: Texts per call of the model and per transaction.
        progress: Called with (done, to do) after each batch.
    """
    with database.begin() as connection:
        _copy_vectors(connection, author, "model", embedder.name)
        missing = _missing(connection, author, embedder.name)
    todo = sorted(missing.items(), key=lambda item: -len(item[1]))  # alike lengths pad less
    for start in range(0, len(todo), batch):
        hashes, texts = zip(*todo[start : start + batch], strict=True)
        vectors = embedder.encode(list(texts))
        with database.begin() as connection:
            _insert(connection, author, embedder.name, hashes, vectors)
        if progress:
            progress(min(start + batch, len(todo)), len(todo))
    with database.begin() as connection:
        ensure_index(connection, embedder)
        total = connection.scalar(select(func.count()).where(chunks.c.author == author)) or 0
    log.info("embeddings_synced", author=author, model=embedder.name, embedded=len(todo), total=total)
    return EmbeddingReport(embedded=len(todo), reused=total - len(todo), total=total)


def ensure_index(connection: Connection, embedder: Embedder) -> None:
    """The HNSW index over this embedder's vectors, made once; building it after the first load is the fast order."""
    name = "embeddings_hnsw_" + hashlib.sha256(embedder.name.encode()).hexdigest()[:16]
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))
    if connection.scalar(select(func.to_regclass(f"features.{name}"))) is not None:
        return
    model = str(literal(embedder.name).compile(connection, compile_kwargs={"literal_binds": True}))
    connection.exec_driver_sql(
        f"create index {name} on features.embeddings"
        f" using hnsw ((embedding::halfvec({embedder.dimension})) halfvec_cosine_ops) where model = {model}"
    )


def _version(wanted: Iterable[Chunk]) -> str:
    digest = hashlib.sha256()
    for line in sorted(f"{chunk.id} {chunk.content_hash}" for chunk in wanted):
        digest.update(line.encode())
    return digest.hexdigest()[:16]


def _copy_vectors(connection: Connection, author: str, column: Literal["author", "model"], value: str) -> None:
    # Same text and model, same vector: a chunk without one takes it from any chunk of equal content. The column
    # keeps the search inside one index: the author's own vectors, or those of one model.
    connection.execute(text(COPY_VECTORS.format(source=column)), {"author": author, "value": value})


def _missing(connection: Connection, author: str, model: str) -> dict[str, str]:
    rows = connection.execute(text(MISSING), {"author": author, "model": model})
    return {row.content_hash: embedding_text(row.title, row.text) for row in rows}


def _insert(connection: Connection, author: str, model: str, hashes: Sequence[str], vectors: "np.ndarray") -> None:
    values = [HalfVector(vector).to_text() for vector in vectors]
    connection.execute(text(INSERT_VECTORS), {"author": author, "model": model, "hashes": list(hashes), "vectors": values})
