from collections.abc import Iterator

import pytest
from pgvector import HalfVector
from sqlalchemy import text

from twin_assets.features.embedding import sync_chunks, sync_embeddings
from twin_assets.features.search import search
from twin_assets.models import Embedder
from twin_assets.store.database import Database
from twin_assets_tests.features.conftest import Clean
from twin_assets_tests.features.documents import document

DOCUMENTS = [
    document("Salt draws the water out of a cucumber, and the brine does the rest.", title="Pickles"),
    document("The night train to Vienna leaves at nine in the evening.", title="Trains"),
    document("Our database migration took the whole weekend.", title="Postgres"),
]


@pytest.fixture
def indexed(database: Database, clean: Clean, minilm: Embedder) -> Database:
    clean(DOCUMENTS)
    sync_chunks(database, "ada", DOCUMENTS, minilm.count_tokens, minilm.max_tokens)
    sync_embeddings(database, "ada", minilm)
    return database


def test_the_nearest_passage_comes_first_with_its_document(indexed: Database, minilm: Embedder) -> None:
    found = search(indexed, "ada", minilm, "fermenting vegetables", limit=3)
    assert found[0].title == "Pickles"
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    best = found[0]
    assert (best.document_id, best.text, best.url) == (DOCUMENTS[0].id, DOCUMENTS[0].text_for_rag, DOCUMENTS[0].url)
    expected = minilm.encode(["fermenting vegetables"])[0] @ minilm.encode([f"Pickles\n\n{best.text}"])[0]
    assert best.score == pytest.approx(expected, abs=2e-3)


def test_limit_exclusion_and_author_hold(indexed: Database, minilm: Embedder) -> None:
    assert len(search(indexed, "ada", minilm, "anything", limit=2)) == 2
    assert "Pickles" not in [passage.title for passage in search(indexed, "ada", minilm, "pickles", limit=3, exclude=[DOCUMENTS[0].id])]
    assert search(indexed, "bob", minilm, "pickles", limit=3) == []


CROWD_CHUNKS = """
insert into features.chunks (id, author, document_id, position, text, words, content_hash, chunker)
select gen_random_uuid(), 'crowd', :document, n, 'noise', 1, n::text, 'v1' from generate_series(1, 4000) as n
"""

CROWD_VECTORS = """
insert into features.embeddings (chunk_id, model, author, content_hash, embedding)
select id, :model, author, content_hash, cast(:vector as halfvec) from features.chunks where author = 'crowd'
"""


@pytest.fixture
def index_only(indexed: Database) -> Iterator[None]:
    """Leaves the planner no way but the vector index, as on a large table."""
    settings = ("enable_sort", "enable_bitmapscan", "enable_seqscan")
    with indexed.begin() as connection:
        for setting in settings:
            connection.execute(text(f"alter role current_user set {setting} = off"))
    indexed.engine.dispose()
    yield
    with indexed.begin() as connection:
        connection.execute(text("alter role current_user reset all"))
    indexed.engine.dispose()


def test_a_small_author_among_many_gets_all_that_was_asked_for(indexed: Database, index_only: None, clean: Clean, minilm: Embedder) -> None:
    query = "fermenting vegetables"
    crowd = document("noise", author="crowd")
    clean([*DOCUMENTS, crowd])
    with indexed.begin() as connection:  # 4,000 passages of another author, all nearer to the query than these three
        connection.execute(text(CROWD_CHUNKS), {"document": crowd.id})
        vector = HalfVector(minilm.encode([query])[0]).to_text()
        connection.execute(text(CROWD_VECTORS), {"model": minilm.name, "vector": vector})
        connection.execute(text("analyze features.embeddings"))
    found = search(indexed, "ada", minilm, query, limit=3)
    assert found[0].title == "Pickles"
    assert len(found) == 3
