"""Finds the passages of an author that are nearest in meaning to a query."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pgvector import HalfVector
from sqlalchemy import Text, TextClause, bindparam, text

from twin_assets.cleaning.documents import corpus
from twin_assets.models import Embedder
from twin_assets.store.database import Database

# The model is written into the statement as a literal: only then does every plan, a cached one too, match the partial index.
# A scan in relaxed order may swap neighbours, so the rows are put in order once more.
SEARCH = """
select * from (
    select c.id as chunk_id, c.document_id, d.title, d.url, d.published_at, c.text,
           1 - ({distance}) as score
    from features.embeddings e
    join features.chunks c on c.id = e.chunk_id
    join cleaning.cleaned_documents d on d.document_id = c.document_id
    where e.author = :author and e.model = :model and c.document_id <> all(cast(:exclude as uuid[]))
    order by {order}
    limit :limit
) as nearest
order by score desc, chunk_id
"""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the author's own writing; ``score`` is its cosine similarity with the query."""

    chunk_id: UUID
    document_id: UUID
    title: str | None
    url: str | None
    published_at: datetime | None
    text: str
    score: float


def search(
    database: Database,
    author: str,
    embedder: Embedder,
    query: str,
    limit: int,
    exclude: Collection[UUID] = (),
) -> list[Passage]:
    """The author's passages nearest to a query, best first.

    Args:
        database: The warehouse.
        author: Whose writing is searched; nobody else's is ever returned.
        embedder: The model that the passages were embedded with.
        query: What to look for.
        limit: How many passages at most.
        exclude: Documents to leave out, such as those held out for evaluation.

    Raises:
        TwinError: If nothing was ever cleaned.
    """
    values = {
        "author": author,
        "model": embedder.name,
        "exclude": list(exclude),
        "limit": limit,
        "query": HalfVector(embedder.encode([query])[0]).to_text(),
    }
    distance = f"(e.embedding::halfvec({embedder.dimension})) <=> cast(:query as halfvec({embedder.dimension}))"
    indexed, exact = (_statement(distance, order) for order in (distance, f"({distance}) + 0"))
    with corpus(database, author) as connection:
        connection.execute(text("set local hnsw.iterative_scan = relaxed_order"))
        rows = connection.execute(indexed, values).all()
        if len(rows) < limit:  # the scan may give up before it meets an author who has few among many
            rows = connection.execute(exact, values).all()
    return [Passage(**row._mapping) for row in rows]


def _statement(distance: str, order: str) -> TextClause:
    statement = text(SEARCH.format(distance=distance, order=order))
    return statement.bindparams(bindparam("model", type_=Text, literal_execute=True))
