from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text

from twin_assets.features.embedding import EmbeddingReport, sync_chunks, sync_embeddings
from twin_assets.features.quality import chunks_cover_documents, every_chunk_embedded, uncovered_documents, vector_counts
from twin_assets.models import Embedder
from twin_assets.store.database import Database
from twin_assets_tests.features.conftest import Clean
from twin_assets_tests.features.documents import document

PICKLES = document(" ".join(f"Salt draws {number} spoons of water out of a cucumber." for number in range(20)), title="Pickles")
TRAINS = document(" ".join(f"Night train {number} to Vienna leaves without any breakfast." for number in range(20)), title="Trains")


class Counting:
    """The real embedder, which remembers what it was asked to read."""

    def __init__(self, inner: Embedder) -> None:
        self.name, self.dimension, self.count_tokens, self.inner = inner.name, inner.dimension, inner.count_tokens, inner
        self.read: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.read += texts
        return self.inner.encode(texts)


@pytest.fixture
def counting(minilm: Embedder) -> Counting:
    return Counting(minilm)


def sync(database: Database, embedder: Counting, documents: list, author: str = "ada", **options) -> EmbeddingReport:
    sync_chunks(database, author, documents, embedder.count_tokens, max_tokens=64)
    return sync_embeddings(database, author, embedder, **options)  # pyright: ignore[reportArgumentType]


def count(database: Database, table: str) -> int:
    with database.begin() as connection:
        return connection.scalar(text(f"select count(*) from features.{table}")) or 0


def test_a_second_sync_writes_and_embeds_nothing(database: Database, clean: Clean, counting: Counting) -> None:
    clean([PICKLES, TRAINS])
    seen: list[tuple[int, int]] = []
    first = sync(database, counting, [PICKLES, TRAINS], batch=3, progress=lambda done, all_: seen.append((done, all_)))
    assert first.embedded == first.total == count(database, "chunks") == count(database, "embeddings") > 6
    assert seen[0] == (3, first.total) and seen[-1] == (first.total, first.total)
    counting.read.clear()
    with database.begin() as connection:
        before = connection.execute(text("select id, xmin::text from features.chunks order by id")).all()
    again = sync_chunks(database, "ada", [PICKLES, TRAINS], counting.count_tokens, max_tokens=64)
    assert (again.written, again.deleted, again.kept) == (0, 0, first.total)
    assert sync(database, counting, [PICKLES, TRAINS]) == EmbeddingReport(embedded=0, reused=first.total, total=first.total)
    assert counting.read == []
    with database.begin() as connection:
        assert connection.execute(text("select id, xmin::text from features.chunks order by id")).all() == before


def test_an_edit_embeds_only_what_changed_even_when_all_else_moves(database: Database, clean: Clean, counting: Counting) -> None:
    paragraphs = [f"Paragraph {number}. " + f"It is about jar {number} and nothing else. " * 4 for number in range(5)]
    before = document("\n\n".join(paragraphs))
    after = replace(before, text_for_rag="\n\n".join(["A new beginning. " + "Nobody has read this one yet. " * 5, *paragraphs]))
    clean([before])
    sync(database, counting, [before])
    counting.read.clear()
    clean([after])
    report = sync(database, counting, [after])
    assert report.embedded == len(counting.read) == 1
    assert "A new beginning." in counting.read[0]
    assert report.total == count(database, "chunks") == count(database, "embeddings")
    assert_vectors_belong(database, counting)


def assert_vectors_belong(database: Database, counting: Counting) -> None:
    with database.begin() as connection:
        rows = connection.execute(
            text(
                "select d.title, c.text, e.embedding::text as vector from features.chunks c join features.embeddings e on e.chunk_id = c.id"
                " join cleaning.cleaned_documents d using (document_id)"
            )
        ).all()
    for row in rows:
        fresh = counting.inner.encode([f"{row.title}\n\n{row.text}"])[0]
        stored = np.array([float(value) for value in row.vector.strip("[]").split(",")])
        assert fresh @ stored > 0.999


def test_a_vanished_document_goes_with_its_vectors(database: Database, clean: Clean, counting: Counting) -> None:
    clean([PICKLES, TRAINS])
    both = sync(database, counting, [PICKLES, TRAINS])
    one = sync(database, counting, [TRAINS])
    assert 0 < one.total < both.total
    assert one.embedded == 0
    assert one.total == count(database, "embeddings")
    assert sync(database, counting, []).total == count(database, "chunks") == count(database, "embeddings") == 0


def test_another_author_is_left_alone_and_the_same_text_is_not_computed_twice(database: Database, clean: Clean, counting: Counting) -> None:
    copy = replace(PICKLES, id=UUID(int=1), author="bob")
    clean([PICKLES, copy])
    first = sync(database, counting, [PICKLES])
    counting.read.clear()
    second = sync(database, counting, [copy], author="bob")
    assert (second.embedded, second.total) == (0, first.total) and counting.read == []
    sync(database, counting, [], author="bob")
    assert count(database, "chunks") == count(database, "embeddings") == first.total


def test_a_killed_run_keeps_its_batches(database: Database, clean: Clean, counting: Counting) -> None:
    clean([PICKLES, TRAINS])

    def die(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(database, counting, [PICKLES, TRAINS], batch=2, progress=die)
    assert count(database, "embeddings") == 4
    report = sync(database, counting, [PICKLES, TRAINS])
    assert (report.embedded, report.reused) == (report.total - 4, 4)


def test_two_models_live_side_by_side(database: Database, clean: Clean, counting: Counting, minilm: Embedder) -> None:
    clean([TRAINS])
    total = sync(database, counting, [TRAINS]).total
    counting.name = 'another\'s "model"'
    assert sync(database, counting, [TRAINS]).embedded == total
    assert count(database, "embeddings") == 2 * total
    with database.begin() as connection:
        indexes = connection.scalars(
            text("select indexdef from pg_indexes where tablename = 'embeddings' and indexdef like '%hnsw%'")
        ).all()
    assert any("another''s" in index and "halfvec_cosine_ops" in index for index in indexes)


def test_the_coverage_check_fails_on_a_document_without_chunks(database: Database, clean: Clean, counting: Counting) -> None:
    clean([PICKLES, TRAINS, document(" ", title="Empty")])
    sync(database, counting, [PICKLES, TRAINS])
    assert chunks_cover_documents(uncovered_documents(database, "ada")).passed
    sync(database, counting, [TRAINS])
    finding = chunks_cover_documents(uncovered_documents(database, "ada"))
    assert not finding.passed and "Pickles" in finding.description and "Empty" not in finding.description


def test_the_vector_check_fails_on_a_missing_and_on_a_stretched_vector(database: Database, clean: Clean, counting: Counting) -> None:
    clean([PICKLES, TRAINS])
    total = sync(database, counting, [PICKLES, TRAINS]).total
    sound = every_chunk_embedded(vector_counts(database, "ada", counting.name))
    assert sound.passed and sound.figures == {"chunks": total, "vectors": total, "not_of_unit_length": 0}
    one = "chunk_id = (select chunk_id from features.embeddings order by chunk_id limit 1)"
    for damage in (
        f"update features.embeddings set embedding = embedding + embedding where {one}",
        f"delete from features.embeddings where {one}",
    ):
        with database.begin() as connection:
            connection.execute(text(damage))
        assert not every_chunk_embedded(vector_counts(database, "ada", counting.name)).passed
