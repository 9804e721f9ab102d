from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from twin_assets.cleaning.documents import Document
from twin_assets.features.sync import ChunkReport, sync_chunks
from twin_assets.store.database import Database
from twin_assets_tests.features.documents import document

PICKLES = replace(
    document(" ".join(f"Salt draws {number} spoons of water." for number in range(40)), title="Pickles", key=UUID(int=1)), language="en"
)
TRAINS = replace(
    document(" ".join(f"Night train {number} leaves early." for number in range(40)), title="Trains", key=UUID(int=2)), language="de"
)
SHORT = document("Brevity.", kind="post", title=None, key=UUID(int=3))


def words(text: str) -> int:
    return len(text.split())


def sync(database: Database, documents: Sequence[Document], author: str = "ada") -> ChunkReport:
    return sync_chunks(database, author, documents, words, max_tokens=64)


def rows(database: Database, query: str) -> list[tuple]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def assert_counts_are_right(database: Database) -> None:
    counted = rows(
        database,
        "select author, term, count(*) from features.chunks, unnest(tsvector_to_array(lexemes)) as term group by 1, 2 order by 1, 2",
    )
    assert rows(database, "select author, term, chunks from features.terms order by 1, 2") == counted
    weighed = rows(database, "select author, count(*) from features.chunks group by 1 order by 1")
    assert rows(database, "select author, chunks from features.corpora order by 1") == weighed


def test_the_same_again_writes_nothing(database: Database) -> None:
    first = sync(database, [PICKLES, TRAINS, SHORT])
    assert (first.kept, first.deleted) == (0, 0) and first.written > 4
    state = "select 'chunk', id::text, xmin::text from features.chunks union all select 'term', term, xmin::text from features.terms order by 1, 2"
    before = rows(database, state)
    assert sync(database, [SHORT, TRAINS, PICKLES]) == replace(first, written=0, kept=first.written)
    assert rows(database, state) == before


def test_a_chunk_is_found_in_its_document_and_carries_what_is_filtered(database: Database) -> None:
    sync(database, [PICKLES, SHORT])
    stored = rows(
        database, "select document_id, starts, ends, text, title, url, kind, platform, language, published_at from features.chunks"
    )
    by_id = {document.id: document for document in (PICKLES, SHORT)}
    for id, starts, ends, piece, *attributes in stored:
        held = by_id[id]
        assert held.text_for_rag[starts:ends] == piece
        assert attributes == [held.title, held.url, held.kind, held.platform, held.language, held.published_at]


def test_a_change_beside_the_text_is_written_in_place(database: Database) -> None:
    first = sync(database, [PICKLES, SHORT])
    moved = replace(SHORT, url="https://example.org/moved", published_at=datetime(2026, 2, 1, tzinfo=UTC))
    report = sync(database, [PICKLES, moved])
    assert (report.written, report.kept, report.deleted) == (1, first.written - 1, 0)
    assert rows(database, "select url from features.chunks where kind = 'post'") == [("https://example.org/moved",)]
    assert_counts_are_right(database)


def test_another_language_makes_other_words(database: Database) -> None:
    sync(database, [TRAINS])
    assert ("early",) in rows(database, "select term from features.terms")
    sync(database, [replace(TRAINS, language="en")])
    terms = rows(database, "select term from features.terms")
    assert ("earli",) in terms and ("early",) not in terms
    assert rows(database, "select configurations from features.corpora") == [(["english"],)]


def test_the_common_language_stands_in_for_an_unknown_one(database: Database) -> None:
    sync(database, [PICKLES, SHORT])
    assert rows(database, "select distinct configuration from features.chunks") == [("english",)]


def test_authors_are_counted_apart_and_the_last_chunk_takes_all_along(database: Database) -> None:
    sync(database, [PICKLES])
    sync(database, [replace(PICKLES, id=UUID(int=9), author="bob")], author="bob")
    assert_counts_are_right(database)
    sync(database, [], author="bob")
    assert_counts_are_right(database)
    assert rows(database, "select author from features.corpora") == [("ada",)]
    sync(database, [])
    assert (
        rows(database, "select 1 from features.terms union all select 1 from features.corpora union all select 1 from features.chunks")
        == []
    )


texts = st.sampled_from(["One day.", "Two nights " * 70, "def readFile(): pass", "🙂", "", "It's a_b."])
edits = st.lists(st.dictionaries(st.integers(1, 4), st.tuples(texts, st.sampled_from(["en", "de", None]))), min_size=1, max_size=4)


@given(edits)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_edited_words_are_counted_as_if_anew(database: Database, edits: list[dict[int, tuple[str, str | None]]]) -> None:
    for states in edits:
        sync(database, [replace(document(text, key=UUID(int=number)), language=language) for number, (text, language) in states.items()])
        assert_counts_are_right(database)
    held = Counter(id for (id,) in rows(database, "select document_id from features.chunks"))
    assert set(held) == {UUID(int=number) for number, (text, _) in edits[-1].items() if text.strip()}


@pytest.mark.parametrize("hostile", ["'); drop table features.chunks; --", "\\N\t\\.", "tab\tand\nline", "naïve “quotes” \\ '", "x" * 5000])
def test_any_text_goes_in_as_it_is(database: Database, hostile: str) -> None:
    sync(database, [document(hostile, kind="post", title=hostile)])
    assert "".join(piece for (piece,) in rows(database, "select text from features.chunks order by position")).split() == hostile.split()
