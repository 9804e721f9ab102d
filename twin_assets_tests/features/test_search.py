import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pgvector import HalfVector
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from twin_assets.features import search as searching
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.search import Filters, Options, Passage, search
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.roles import Role
from twin_assets_tests.features.conftest import Clean
from twin_assets_tests.features.documents import document

PICKLES = replace(document("Salt draws the water out of a cucumber, and the brine does the rest.", title="Pickles"), language="en")
TRAINS = replace(
    document("The night train to Vienna leaves at nine in the evening.", kind="post", title="Trains"),
    platform="linkedin",
    published_at=datetime(2024, 5, 1, tzinfo=UTC),
    language="en",
)
POSTGRES = replace(
    document("Our migration took the whole weekend, because parseHttpHeader was slow.", title="Work"), published_at=None, language="de"
)
OF_BOB = replace(document("Bob salts his cucumbers and pickles them, too.", title="Of Bob", author="bob"), language="en")
SECTIONS = document(
    "\n\n".join(
        f"## Jar {jar}\n\n" + "\n\n".join(f"Jar {jar} has the lid {lid}. " + f"It is closed well, says {jar}. " * 9 for lid in range(4))
        for jar in range(3)
    ),
    title="Jars",
    author="eve",
)


def index(database: Database, embedder: Embedder, author: str, *documents) -> None:
    sync_chunks(database, author, documents, embedder.count_tokens, embedder.max_tokens)
    sync_embeddings(database, author, embedder)


@pytest.fixture
def indexed(database: Database, clean: Clean, minilm: Embedder) -> Database:
    clean([PICKLES, TRAINS, POSTGRES, OF_BOB, SECTIONS])
    index(database, minilm, "ada", PICKLES, TRAINS, POSTGRES)
    index(database, minilm, "bob", OF_BOB)
    return database


@pytest.fixture
def downstream(indexed: Database) -> Iterator[Database]:
    """The same, as the stages after cleaning see it."""
    database = Database(indexed.url, Role.DOWNSTREAM)
    yield database
    database.engine.dispose()


def titles(passages: list[Passage]) -> list[str | None]:
    return [passage.title for passage in passages]


def test_meaning_leads_to_a_passage_and_says_where_it_stands(indexed: Database, minilm: Embedder) -> None:
    best, *others = search(indexed, "ada", minilm, "fermenting vegetables", limit=3)
    assert (best.document_id, best.text, best.url, best.kind) == (PICKLES.id, PICKLES.text_for_rag, PICKLES.url, "article")
    assert PICKLES.text_for_rag[best.starts : best.ends] == best.text
    assert best.lexical is None
    assert best.similarity is not None and best.similarity > max(other.similarity or 0 for other in others)
    assert [best.score, *(other.score for other in others)] == sorted([best.score, *(other.score for other in others)], reverse=True)


def test_words_lead_to_a_passage_also_by_part_of_an_identifier_and_another_form(indexed: Database, minilm: Embedder) -> None:
    for query in ("parseHttpHeader", "http header", "headers"):
        best = search(indexed, "ada", minilm, query, limit=1)[0]
        assert (best.title, best.lexical is not None) == ("Work", True), query
    leaving = [passage.title for passage in search(indexed, "ada", minilm, "leaving", limit=3) if passage.lexical is not None]
    assert leaving == ["Trains"]


def test_a_word_that_stands_nowhere_else_decides(database: Database, clean: Clean, minilm: Embedder) -> None:
    jars = [document(f"Jar number {n} stands in the cellar.", title=f"Jar {n}", kind="post") for n in range(12)]
    odd = document("Nothing is said about it here but zzyx7, and the ferry leaves late.", title="Ferry", kind="post")
    clean([*jars, odd])
    index(database, minilm, "ada", *jars, odd)
    assert titles(search(database, "ada", minilm, "jar zzyx7", 1)) == ["Ferry"]
    by_ranks = search(database, "ada", minilm, "jar zzyx7", 13, options=Options(fusion="ranks"))
    assert "Ferry" in titles(by_ranks)
    assert len(by_ranks) == 13


def test_nobody_elses_rows_are_found_nor_seen(downstream: Database, minilm: Embedder) -> None:
    assert set(titles(search(downstream, "ada", minilm, "Bob pickles", limit=10))) == {"Pickles", "Trains", "Work"}
    assert titles(search(downstream, "bob", minilm, "Vienna", limit=10)) == ["Of Bob"]
    with pytest.raises(TwinError, match="nothing of nobody to search yet"):
        search(downstream, "nobody", minilm, "pickles", limit=3)
    with downstream.begin() as connection:
        connection.execute(text("select set_config('role', 'twin_reader', true), set_config('twin.author', 'bob', true)"))
        for table in ("chunks", "embeddings", "terms", "corpora"):
            assert connection.scalars(text(f"select distinct author from features.{table}")).all() == ["bob"], table
        assert (
            connection.scalar(
                text("select count(*) from features.find_words('vienna', null, null, null, null, null, null, '{1,1,1,1}', 0.5, 9)")
            )
            == 0
        )
        connection.execute(text("select set_config('twin.author', '', true)"))
        assert connection.scalar(text("select count(*) from features.chunks")) == 0


@pytest.mark.parametrize(
    "statement", ["delete from features.chunks", "select from cleaning.cleaned_documents", "select from ingest.raw_posts"]
)
def test_a_search_may_do_nothing_else(downstream: Database, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), downstream.begin() as connection:
        connection.execute(text("select set_config('role', 'twin_reader', true)"))
        connection.execute(text(statement))


def test_the_role_ends_with_the_search(downstream: Database, minilm: Embedder) -> None:
    search(downstream, "ada", minilm, "pickles", limit=1)
    with downstream.begin() as connection:
        assert connection.scalar(text("select current_user")) == Role.DOWNSTREAM
        assert not connection.scalar(text("select current_setting('twin.author', true)"))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"Pickles", "Trains", "Work"}),
        (Filters(kinds=frozenset({"post"})), {"Trains"}),
        (Filters(platforms=frozenset({"blog", "linkedin"}), languages=frozenset({"en"})), {"Pickles", "Trains"}),
        (Filters(since=datetime(2024, 5, 1, tzinfo=UTC), until=datetime(2026, 1, 1, tzinfo=UTC)), {"Trains"}),
        (Filters(exclude=frozenset({PICKLES.id, POSTGRES.id})), {"Trains"}),
        (Filters(kinds=frozenset({"code"})), set()),
    ],
)
def test_filters_hold_for_both_ways_of_searching(indexed: Database, minilm: Embedder, filters: Filters, expected: set[str]) -> None:
    for query in ("salt night parseHttpHeader", "anything at all"):
        assert set(titles(search(indexed, "ada", minilm, query, 10, filters))) == expected


def test_the_limit_holds(indexed: Database, minilm: Embedder) -> None:
    assert [len(search(indexed, "ada", minilm, "salt", limit)) for limit in (1, 2, 3, 9)] == [1, 2, 3, 3]


def test_old_passages_fall_back_when_age_counts(indexed: Database, minilm: Embedder) -> None:
    query = "The night train to Vienna"
    assert titles(search(indexed, "ada", minilm, query, 1)) == ["Trains"]
    assert titles(search(indexed, "ada", minilm, query, 3, options=Options(half_life_days=30)))[-1] == "Trains"


def test_the_oldest_passage_does_not_fail_the_shortest_half_life(indexed: Database, minilm: Embedder) -> None:
    with indexed.begin() as connection:
        connection.execute(text("update features.chunks set published_at = '1970-01-01' where title = 'Trains'"))
    assert len(search(indexed, "ada", minilm, "train", limit=3, options=Options(half_life_days=0.01))) == 3


def test_diversity_passes_over_what_says_the_same(database: Database, clean: Clean, minilm: Embedder) -> None:
    twice = [document("Salt draws water out of cucumbers.", title=f"Pickles {number}") for number in range(2)]
    other = document("Salt roads crossed the Alps in the middle ages.", title="Roads")
    clean([*twice, other])
    index(database, minilm, "ada", *twice, other)
    query = "salt and cucumbers"
    assert set(titles(search(database, "ada", minilm, query, 2))) == {"Pickles 0", "Pickles 1"}
    assert "Roads" in titles(search(database, "ada", minilm, query, 2, options=Options(diversity=0.7)))
    assert search(database, "ada", minilm, query, 2, Filters(kinds=frozenset({"code"})), Options(diversity=0.7)) == []


def test_a_passage_grows_within_its_heading_and_what_meets_becomes_one(database: Database, clean: Clean, minilm: Embedder) -> None:
    clean([SECTIONS])
    sync_chunks(database, "eve", [SECTIONS], minilm.count_tokens, 100)
    sync_embeddings(database, "eve", minilm)
    bare = search(database, "eve", minilm, "the lid 2 of jar 1", 3)
    grown = search(database, "eve", minilm, "the lid 2 of jar 1", 3, options=Options(expand=1200))
    assert len({(passage.document_id, passage.starts) for passage in grown}) == len(grown) <= len(bare)
    assert len(grown[0].text) > len(bare[0].text)
    assert all(passage.ends - passage.starts <= 1200 * len(bare) for passage in grown)
    for passage in [*bare, *grown]:
        assert "".join(passage.text.split()) == "".join(SECTIONS.text_for_rag[passage.starts : passage.ends].split())
        assert len(set(re.findall(r"says (\d)", passage.text))) == 1


@pytest.fixture
def index_only(indexed: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leaves the planner no way but the vector index, as on a large table."""
    monkeypatch.setattr(searching, "EXACT", 0)
    settings = ("enable_sort", "enable_bitmapscan", "enable_seqscan")
    with indexed.begin() as connection:
        for setting in settings:
            connection.execute(text(f"alter role current_user set {setting} = off"))
    indexed.engine.dispose()
    yield
    with indexed.begin() as connection:
        connection.execute(text("alter role current_user reset all"))
    indexed.engine.dispose()


CROWD = """
with crowd as (
    insert into features.chunks (id, author, document_id, position, starts, ends, text, headings, context, words, content_hash, chunker, kind,
                                 platform, configuration, lexemes)
    select gen_random_uuid(), 'crowd', :document, n, 0, 5, 'noise', '{}', '', 1, n::text, 'v2', 'post', 'blog', 'simple', 'noise'
    from generate_series(1, 4000) as n
    returning id, author, content_hash
)
insert into features.embeddings (chunk_id, model, author, content_hash, embedding)
select id, :model, author, content_hash, cast(:vector as halfvec) from crowd
"""


def test_a_small_author_among_many_gets_all_that_was_asked_for(indexed: Database, index_only: None, minilm: Embedder) -> None:
    query = "fermenting vegetables"
    with indexed.begin() as connection:  # 4,000 passages of another author, all nearer to the query than these three
        vector = HalfVector(minilm.encode([query])[0]).to_text()
        connection.execute(text(CROWD), {"document": uuid4(), "model": minilm.name, "vector": vector})
        connection.execute(text("analyze features.embeddings"))
    found = search(indexed, "ada", minilm, query, limit=3)
    assert titles(found)[0] == "Pickles"
    assert len(found) == 3


def test_an_exact_search_takes_of_those_that_are_alike_always_the_same(
    database: Database, clean: Clean, minilm: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "EXACT", 0)
    same = [document("The brine does the rest.", kind="comment", title=None) for _ in range(150)]  # more than are looked at
    clean(same)
    for part in (same[::2], same):
        index(database, minilm, "ada", *part)
    found = search(database, "ada", minilm, "fermenting vegetables", limit=5, options=Options(exact=True))
    with database.begin() as connection:
        first = connection.scalars(text("select id from features.chunks order by id limit 5")).all()
    assert [passage.chunk_id for passage in found] == first


def test_words_of_half_of_all_passages_lead_to_none_and_rare_ones_do(database: Database, clean: Clean, minilm: Embedder) -> None:
    texts = [f"Harbour news of day number{n}, and of the {'ferry' if n % 2 else 'railing'}." for n in range(2500)]
    rare = " ".join(f"rareword{n}" for n in range(300))
    documents = [document(one, kind="post", title=None) for one in (*texts, rare)]
    sync_chunks(database, "ada", documents, lambda text: len(text.split()), 400)
    with database.begin() as connection:
        connection.execute(text("select set_config('twin.author', 'ada', true)"))

        def led_to(words: str) -> int:
            asked = "select count(*) from features.find_words(:words, null, null, null, null, null, null, '{1,1,1,1}', 0.5, 100)"
            return connection.scalar(text(asked), {"words": words}) or 0

        assert led_to("ferry") == led_to("news harbour") == 0
        assert led_to("news harbour number7") == 1
        assert led_to("news ferry railing") == 0
        assert led_to(rare) >= 1  # so many words meet in less than any number can say


class Still:
    """An embedder that reads nothing: what is asked must do no harm, whatever it means."""

    def __init__(self, inner: Embedder) -> None:
        self.name, self.dimension = inner.name, inner.dimension

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.full((len(texts), self.dimension), self.dimension**-0.5, dtype=np.float32)


@given(
    st.text(max_size=60)
    | st.text(st.characters(categories=["Cs", "Ll"]), max_size=10)
    | st.text(alphabet="'\"\\;:&|!()<->*%_$:=--/@ ab\0\n", max_size=40)
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_in_a_query_is_an_operator(indexed: Database, minilm: Embedder, query: str) -> None:
    assert len(search(indexed, "ada", Still(minilm), query, limit=3)) == 3  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "query", ["", " ", "'; drop table features.chunks; --", "a & ! | (b <-> ", "word " * 2000, "🙂" * 10_000, "x" * 10_000, "\0"]
)
def test_odd_queries_are_only_queries(indexed: Database, minilm: Embedder, query: str) -> None:
    assert len(search(indexed, "ada", minilm, query, limit=3)) == 3
