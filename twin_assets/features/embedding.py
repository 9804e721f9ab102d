"""Keeps the vectors of chunks in step with their texts, computing only those of texts never embedded before."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from pgvector import HalfVector
from sqlalchemy import Connection, func, literal, select, text

from twin_assets.encoders import batches
from twin_assets.features.chunking import embedding_text
from twin_assets.features.embedders import register
from twin_assets.models import Embedder
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.tables import chunks, embeddings

if TYPE_CHECKING:
    import numpy as np

log = structlog.get_logger(__name__)

BATCH_CHARACTERS = 100_000
"""Of a transaction: some seconds of work, which a killed run loses."""
LOCK_POLL_SECONDS = 0.5

# Same text and model, same vector, whoever wrote it.
COPY_VECTORS = """
insert into features.embeddings (chunk_id, model, author, content_hash, embedding)
select distinct on (c.id) c.id, e.model, c.author, c.content_hash, e.embedding
from features.chunks c
join features.embeddings e on e.model = :model and e.content_hash = c.content_hash
where c.author = :author
  and not exists (select from features.embeddings held where held.chunk_id = c.id and held.model = :model)
on conflict do nothing
"""

MISSING = """
select c.content_hash, max(length(c.context) + length(c.text)) as size
from features.chunks c
where c.author = :author
  and not exists (select from features.embeddings e where e.chunk_id = c.id and e.model = :model)
group by c.content_hash
order by c.content_hash
"""

TEXTS = """
select distinct on (content_hash) content_hash, context, text
from features.chunks
where author = :author and content_hash = any(:hashes)
"""

# One vector serves every chunk of the same content; a chunk deleted meanwhile, or filled by another run, is passed over.
INSERT_VECTORS = """
insert into features.embeddings (chunk_id, model, author, content_hash, embedding)
select c.id, :model, c.author, c.content_hash, cast(v.embedding as halfvec)
from unnest(cast(:hashes as text[]), cast(:vectors as text[])) as v (content_hash, embedding)
join features.chunks c on c.author = :author and c.content_hash = v.content_hash
on conflict do nothing
"""

INDEX_IS_VALID = "select indisvalid from pg_index where indexrelid = to_regclass(:name)"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sync is: texts given to the model of those that have to be, and the time that the rest will take at this pace."""

    done: int
    total: int
    seconds_left: float

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,} texts embedded, about {self.seconds_left:,.0f} s left"


@dataclass(frozen=True, slots=True)
class EmbeddingReport:
    """What a sync of embeddings did: texts given to the model, chunks that needed no computing, and all chunks."""

    embedded: int
    reused: int
    total: int


def sync_embeddings(
    database: Database,
    author: str,
    embedder: Embedder,
    batch_characters: int = BATCH_CHARACTERS,
    progress: Callable[[Progress], None] | None = None,
) -> EmbeddingReport:
    """Gives each chunk of the author a vector of this embedder, and the vectors their index.

    Each batch is committed by itself, so a killed run continues where it stopped.

    Args:
        database: The warehouse.
        author: Whose chunks.
        embedder: The embedding model; its name keys the vectors.
        batch_characters: Characters per transaction, about.
        progress: Called after each batch.

    Raises:
        TwinError: When the vectors do not go with those that are stored, or are no vectors. What is wrong is never written.
    """
    report = embed(database, author, embedder, batch_characters, progress)
    ensure_index(database, embedder)
    return report


def embed(
    database: Database,
    author: str,
    embedder: Embedder,
    batch_characters: int = BATCH_CHARACTERS,
    progress: Callable[[Progress], None] | None = None,
) -> EmbeddingReport:
    """The same without the index, for which it is quicker to be built after all vectors are there."""
    values = {"author": author, "model": embedder.name}
    with database.begin() as connection:
        register(connection, embedder)
        connection.execute(text(COPY_VECTORS), values)
        missing = connection.execute(text(MISSING), values).all()
    began, done, characters, all_characters = time.monotonic(), 0, 0, sum(row.size for row in missing)
    for rows in batches([row.size for row in missing], batch_characters):
        _embed_batch(database, author, embedder, [missing[row].content_hash for row in rows])
        done += len(rows)
        characters += sum(missing[row].size for row in rows)
        left = (time.monotonic() - began) * (all_characters - characters) / max(characters, 1)
        if progress:
            progress(Progress(done, len(missing), left))
    with database.begin() as connection:
        total = connection.scalar(select(func.count()).where(chunks.c.author == author)) or 0
    log.info("embeddings_synced", author=author, model=embedder.name, embedded=done, total=total)
    return EmbeddingReport(embedded=done, reused=total - done, total=total)


def _embed_batch(database: Database, author: str, embedder: Embedder, hashes: Sequence[str]) -> None:
    with database.begin() as connection:
        rows = connection.execute(text(TEXTS), {"author": author, "hashes": list(hashes)}).all()
    if not rows:  # all deleted meanwhile
        return
    vectors = checked(embedder.encode([embedding_text(row.context, row.text) for row in rows]), len(rows), embedder)
    values = [HalfVector(vector).to_text() for vector in vectors]
    hashes = [row.content_hash for row in rows]
    with database.begin() as connection:
        connection.execute(text(INSERT_VECTORS), {"author": author, "model": embedder.name, "hashes": hashes, "vectors": values})


def vectors_version(database: Database, author: str, model: str) -> str:
    """Hash of the texts that the author has vectors of, and of the model's name."""
    held = embeddings.c
    query = select(held.chunk_id, held.content_hash).where(held.author == author, held.model == model).order_by(held.chunk_id)
    digest = hashlib.sha256(model.encode())
    with database.begin() as connection:
        for row in connection.execute(query):
            digest.update(f"\n{row.chunk_id} {row.content_hash}".encode())
    return digest.hexdigest()[:16]


def checked(vectors: "np.ndarray", count: int, embedder: Embedder) -> "np.ndarray":
    """The same vectors, if they are vectors of unit length, one per text.

    Raises:
        TwinError: If not.
    """
    import numpy as np

    if vectors.shape != (count, embedder.dimension):
        wrong = f"an array of shape {vectors.shape} instead of {(count, embedder.dimension)}"
    elif not np.isfinite(vectors).all():
        wrong = "vectors with values that are no numbers"
    elif abs(np.linalg.norm(vectors.astype(np.float32), axis=1) - 1).max() > 0.01:
        wrong = "vectors that are not of unit length"
    else:
        return vectors
    raise TwinError(
        f"{embedder.name} gave {wrong}. They were not written. Try TWIN_EMBEDDER_BACKEND=torch; if it stays so, choose another TWIN_EMBEDDER."
    )


def ensure_index(database: Database, embedder: Embedder) -> None:
    """The HNSW index over this embedder's vectors, made once, while others read and write.

    A build that was killed leaves an invalid index, which is built anew.
    """
    name = index_name(embedder.name)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not _index_is_valid(connection, name):
            # Tried again and again, for whoever waits inside of a statement would be waited for by the build.
            if connection.scalar(select(func.pg_try_advisory_lock(func.hashtext("features.embeddings")))):
                try:
                    _build_index(connection, name, embedder)
                finally:
                    connection.execute(select(func.pg_advisory_unlock(func.hashtext("features.embeddings"))))
            else:
                time.sleep(LOCK_POLL_SECONDS)


def index_name(model: str) -> str:
    """Name of the index over the vectors of a model."""
    return "embeddings_hnsw_" + hashlib.sha256(model.encode()).hexdigest()[:16]


def _build_index(connection: Connection, name: str, embedder: Embedder) -> None:
    if _index_is_valid(connection, name):
        return
    connection.exec_driver_sql(f"drop index if exists features.{name}")
    model = str(literal(embedder.name).compile(connection, compile_kwargs={"literal_binds": True}))
    connection.exec_driver_sql(
        f"create index concurrently {name} on features.embeddings"
        f" using hnsw ((embedding::halfvec({embedder.dimension})) halfvec_cosine_ops) where model = {model}"
    )


def _index_is_valid(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(text(INDEX_IS_VALID), {"name": f"features.{name}"}))
