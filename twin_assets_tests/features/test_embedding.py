import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text

from twin_assets.features.chunking import embedding_text
from twin_assets.features.embedding import EmbeddingReport, Progress, embed, ensure_index, index_name, sync_embeddings
from twin_assets.features.quality import chunks_cover_documents, every_chunk_embedded, uncovered_documents, vector_counts
from twin_assets.features.sync import sync_chunks
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets_tests.features.conftest import Clean
from twin_assets_tests.features.documents import document
from twin_assets_tests.features.embedders import Hashing

PICKLES = document(" ".join(f"Salt draws {number} spoons of water out of a cucumber." for number in range(40)), title="Pickles")
TRAINS = document(" ".join(f"Night train {number} to Vienna leaves without any breakfast." for number in range(40)), title="Trains")
STATE = "select chunk_id, model, xmin::text from features.embeddings order by 1, 2"


@pytest.fixture
def hashing(database: Database) -> Iterator[Hashing]:
    yield Hashing()
    with database.begin() as connection:
        connection.execute(text(f"drop index if exists features.{index_name('hashing@1')}"))


def sync(database: Database, embedder: Hashing, documents: list, author: str = "ada", **options) -> EmbeddingReport:
    sync_chunks(database, author, documents, embedder.count_tokens, max_tokens=64)
    return sync_embeddings(database, author, embedder, **options)  # pyright: ignore[reportArgumentType]


def rows(database: Database, query: str) -> list:
    with database.begin() as connection:
        return list(connection.execute(text(query)).all())


def count(database: Database, table: str) -> int:
    return rows(database, f"select count(*) from features.{table}")[0][0]


def test_a_second_sync_writes_and_embeds_nothing(database: Database, hashing: Hashing) -> None:
    seen: list[Progress] = []
    first = sync(database, hashing, [PICKLES, TRAINS], batch_characters=700, progress=seen.append)
    assert first.embedded == first.total == count(database, "chunks") == count(database, "embeddings") > 6
    assert [state.done for state in seen] == sorted({state.done for state in seen}) and len(seen) > 2
    assert (seen[-1].done, seen[-1].total, seen[-1].seconds_left) == (first.total, first.total, 0)
    assert all(state.seconds_left > 0 for state in seen[:-1])
    hashing.read.clear()
    before = rows(database, STATE)
    assert sync(database, hashing, [PICKLES, TRAINS]) == EmbeddingReport(embedded=0, reused=first.total, total=first.total)
    assert hashing.read == [] and rows(database, STATE) == before


def test_texts_are_read_in_batches_of_like_length(database: Database, hashing: Hashing) -> None:
    short = [document(f"Note {number}.", kind="post", title=None) for number in range(30)]
    sizes: list[list[int]] = []
    encode = hashing.encode
    hashing.encode = lambda texts: sizes.append([len(one) for one in texts]) or encode(texts)  # type: ignore[method-assign]
    report = sync(database, hashing, [PICKLES, *short], batch_characters=1000)
    assert sum(map(len, sizes)) == report.embedded
    assert all(max(batch) * len(batch) <= 1000 or len(batch) == 1 for batch in sizes)
    assert max(map(len, sizes)) >= 20, "short texts share a batch"


def test_an_edit_embeds_only_what_changed(database: Database, hashing: Hashing) -> None:
    paragraphs = [f"Paragraph {number}. " + f"It is about jar {number} and nothing else. " * 6 for number in range(5)]
    before = document("\n\n".join(paragraphs))
    after = replace(before, text_for_rag="\n\n".join([*paragraphs[:4], "A new end. " + "Nobody has read this one yet. " * 6]))
    sync(database, hashing, [before])
    hashing.read.clear()
    report = sync(database, hashing, [after])
    assert 0 < report.embedded == len(hashing.read) < report.total
    assert any("A new end." in one for one in hashing.read)
    assert report.total == count(database, "chunks") == count(database, "embeddings")
    assert_vectors_belong(database, hashing)


def assert_vectors_belong(database: Database, hashing: Hashing) -> None:
    query = "select context, text, embedding::text as vector from features.chunks c join features.embeddings e on e.chunk_id = c.id"
    for row in rows(database, query):
        stored = np.array([float(value) for value in row.vector.strip("[]").split(",")])
        assert hashing.encode([embedding_text(row.context, row.text)])[0] @ stored > 0.999


def test_vectors_belong_to_their_texts(database: Database, hashing: Hashing) -> None:
    sync(database, hashing, [PICKLES, TRAINS], batch_characters=700)
    assert_vectors_belong(database, hashing)


def test_a_vanished_document_goes_with_its_vectors(database: Database, hashing: Hashing) -> None:
    both = sync(database, hashing, [PICKLES, TRAINS])
    one = sync(database, hashing, [TRAINS])
    assert 0 < one.total < both.total
    assert one.embedded == 0
    assert one.total == count(database, "embeddings")
    assert sync(database, hashing, []).total == count(database, "chunks") == count(database, "embeddings") == 0


def test_another_author_is_left_alone_and_the_same_text_is_not_computed_twice(database: Database, hashing: Hashing) -> None:
    copy = replace(PICKLES, id=UUID(int=1), author="bob")
    first = sync(database, hashing, [PICKLES])
    hashing.read.clear()
    second = sync(database, hashing, [copy], author="bob")
    assert (second.embedded, second.total) == (0, first.total) and hashing.read == []
    sync(database, hashing, [], author="bob")
    assert count(database, "chunks") == count(database, "embeddings") == first.total


def test_the_same_text_twice_is_read_once(database: Database, hashing: Hashing) -> None:
    copy = replace(PICKLES, id=UUID(int=1))
    report = sync(database, hashing, [PICKLES, copy])
    assert max(Counter(hashing.read).values()) == 1
    assert report.total == count(database, "embeddings") == 2 * len(hashing.read)


KILLED = """
import sys
from twin_assets.features.embedding import sync_embeddings
from twin_assets.store.database import Database
from twin_assets_tests.features.embedders import Hashing
sync_embeddings(Database(sys.argv[1]), "ada", Hashing(delay=0.3), batch_characters=700)
"""


def test_a_killed_process_keeps_its_batches_and_the_next_goes_on(database: Database, hashing: Hashing) -> None:
    sync_chunks(database, "ada", [PICKLES, TRAINS], hashing.count_tokens, max_tokens=64)
    process = subprocess.Popen([sys.executable, "-c", KILLED, database.url])
    while not (held := count(database, "embeddings")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    total = count(database, "chunks")
    held = count(database, "embeddings")
    assert 0 < held < total
    report = sync_embeddings(database, "ada", hashing, batch_characters=700)  # pyright: ignore[reportArgumentType]
    assert (report.embedded, report.reused, report.total) == (total - held, held, total)
    assert len(hashing.read) == total - held
    assert count(database, "embeddings") == total
    assert_vectors_belong(database, hashing)


def bad(vectors: np.ndarray) -> list[tuple[np.ndarray, str]]:
    broken = vectors.copy()
    broken[0, 0] = np.nan
    return [
        (broken, "no numbers"),
        (vectors * np.float32(np.inf), "no numbers"),
        (vectors * 0, "not of unit length"),
        (vectors[:, :-1], "shape"),
        (vectors[:-1], "shape"),
        (vectors[0], "shape"),
    ]


@pytest.mark.parametrize("number", range(6))
def test_what_is_no_vector_is_refused_before_it_is_written(database: Database, hashing: Hashing, number: int) -> None:
    encode = hashing.encode
    hashing.encode = lambda texts: bad(encode(texts))[number][0]  # type: ignore[method-assign]
    message = bad(np.ones((2, 2), dtype=np.float32))[number][1]
    with pytest.raises(TwinError, match=rf"hashing@1 gave .*{message}.*They were not written"):
        sync(database, hashing, [PICKLES])
    assert count(database, "embeddings") == 0


def test_a_model_of_another_dimension_is_refused_before_anything_is_written(database: Database, hashing: Hashing) -> None:
    sync(database, hashing, [PICKLES])
    before = rows(database, STATE)
    wider = Hashing(dimension=24)
    with pytest.raises(TwinError, match=r"vectors of 24 numbers now, the stored ones have 16\. Nothing was written"):
        sync(database, wider, [PICKLES, TRAINS])
    assert rows(database, STATE) == before and wider.read == []
    with database.begin() as connection:
        connection.execute(text("delete from features.models"))
    with pytest.raises(TwinError, match="vectors of 24 numbers"):  # the vectors themselves tell it, too
        sync(database, wider, [PICKLES, TRAINS])


def test_a_dimension_that_cannot_be_indexed_is_refused(database: Database) -> None:
    with pytest.raises(TwinError, match="indexes up to 4000"):
        sync(database, Hashing("huge@1", 4096), [PICKLES])
    assert count(database, "models") == 0


def test_two_models_live_side_by_side_and_one_is_active(database: Database, hashing: Hashing) -> None:
    total = sync(database, hashing, [TRAINS]).total
    other = Hashing('another\'s "model"@1', dimension=24)
    assert sync(database, other, [TRAINS]).embedded == total
    assert count(database, "embeddings") == 2 * total
    indexes = [row[0] for row in rows(database, "select indexdef from pg_indexes where indexname like 'embeddings_hnsw%'")]
    assert any("another''s" in index and "halfvec(24)" in index and "halfvec_cosine_ops" in index for index in indexes)
    assert rows(database, "select name, spec, dimension, active from features.models order by dimension") == [
        ("hashing@1", "hashing", 16, True),
        (other.name, other.spec, 24, False),
    ]
    with database.begin() as connection:
        connection.execute(text(f"drop index features.{index_name(other.name)}"))


def test_an_index_whose_build_was_killed_is_built_anew(database: Database, hashing: Hashing) -> None:
    sync_chunks(database, "ada", [PICKLES], hashing.count_tokens, max_tokens=64)
    embed(database, "ada", hashing)  # pyright: ignore[reportArgumentType]
    name = index_name(hashing.name)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create index {name} on features.embeddings (model)"))
        connection.execute(text(f"update pg_index set indisvalid = false where indexrelid = 'features.{name}'::regclass"))
    ensure_index(database, hashing)  # pyright: ignore[reportArgumentType]
    ((definition, valid),) = rows(
        database, f"select pg_get_indexdef(indexrelid), indisvalid from pg_index where indexrelid = 'features.{name}'::regclass"
    )
    assert "hnsw" in definition and valid
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from pg_locks where locktype = 'advisory'")) == 0


def test_two_processes_build_one_index(database: Database, hashing: Hashing) -> None:
    sync_chunks(database, "ada", [PICKLES], hashing.count_tokens, max_tokens=64)
    command = [sys.executable, "-c", KILLED.replace("delay=0.3", "delay=0"), database.url]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert count(database, "embeddings") == count(database, "chunks")


def test_the_coverage_check_fails_on_a_document_without_chunks(database: Database, clean: Clean, hashing: Hashing) -> None:
    clean([PICKLES, TRAINS, document(" ", title="Empty")])
    sync(database, hashing, [PICKLES, TRAINS])
    assert chunks_cover_documents(uncovered_documents(database, "ada")).passed
    sync(database, hashing, [TRAINS])
    finding = chunks_cover_documents(uncovered_documents(database, "ada"))
    assert not finding.passed and "Pickles" in finding.description and "Empty" not in finding.description


def test_the_vector_check_fails_on_a_missing_and_on_a_stretched_vector(database: Database, hashing: Hashing) -> None:
    total = sync(database, hashing, [PICKLES, TRAINS]).total
    sound = every_chunk_embedded(vector_counts(database, "ada", hashing.name))
    assert sound.passed and sound.figures == {"chunks": total, "vectors": total, "not_of_unit_length": 0}
    one = "chunk_id = (select chunk_id from features.embeddings order by chunk_id limit 1)"
    for damage in (
        f"update features.embeddings set embedding = embedding + embedding where {one}",
        f"delete from features.embeddings where {one}",
    ):
        with database.begin() as connection:
            connection.execute(text(damage))
        assert not every_chunk_embedded(vector_counts(database, "ada", hashing.name)).passed
