"""Notes beside prompts, on real embeddings: the same documents give the same dataset, and what is not in step gives none."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from twin_assets.cleaning.documents import Document, Split
from twin_assets.features import search as searching
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.training.dataset import Dataset, write_dataset
from twin_assets.training.examples import build_dataset
from twin_assets.training.notes import retrieved
from twin_assets_tests.features.conftest import Clean, clean, minilm  # noqa: F401  # fixtures
from twin_assets_tests.features.embedders import Hashing
from twin_assets_tests.training.test_dataset import document, prose

SAME = [replace(document(1000 + number, "Salt it.", title=None), kind="comment") for number in range(130)]  # more than a search looks at
TRAIN = [*SAME, *(document(number, prose(number, 2 + number % 9, 40 + number)) for number in range(20))]
SPLIT = Split(TRAIN, [document(number) for number in range(100, 104)])
DOCUMENTS = [*SPLIT.train, *SPLIT.held_out]

Index = Callable[[Sequence[Document]], None]


@pytest.fixture
def index(database: Database, clean: Clean, minilm: Embedder) -> Index:  # noqa: F811
    """Brings the features in step with documents."""

    def sync(documents: Sequence[Document]) -> None:
        clean(list(documents))
        sync_chunks(database, "ada", documents, minilm.count_tokens, minilm.max_tokens)
        sync_embeddings(database, "ada", minilm)

    return sync


@pytest.fixture
def asked(settings: Settings) -> Settings:
    """Settings that ask for notes only."""
    return settings.model_copy(update={"prompt_kinds": "rag"})


def made(database: Database, settings: Settings) -> Dataset:
    with retrieved(database, settings, "ada") as notes:
        return build_dataset("ada", SPLIT, settings, notes)


def test_the_same_documents_give_the_same_bytes_however_they_were_embedded(
    database: Database, index: Index, asked: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "EXACT", 0)  # as of an author with very many passages
    for part in (DOCUMENTS[:60], DOCUMENTS[30:140], DOCUMENTS[::-1]):
        index(part)
    first = made(database, asked)
    write_dataset(first, tmp_path / "first")
    with database.begin() as connection:
        connection.execute(text("truncate features.chunks, features.embeddings, features.terms, features.corpora cascade"))
    index(DOCUMENTS)
    write_dataset(made(database, asked), tmp_path / "second")
    names = sorted(file.name for file in (tmp_path / "first").iterdir())
    assert {"train.parquet", "train.jsonl", "held_out.parquet", "held_out.jsonl", "README.md"} == set(names)
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    assert first.figures["prompts_rag"] > 20


def test_notes_are_of_other_documents_that_are_learned_from(database: Database, index: Index, asked: Settings) -> None:
    index(DOCUMENTS)
    learned = {one.id: one.text_for_rag for one in SPLIT.train}
    for example in made(database, asked).train:
        for note in example.notes:
            assert note.document_id != example.document_id
            assert note.text in " ".join(learned[note.document_id].split())


def test_a_query_is_taken_as_it_is(database: Database, index: Index, asked: Settings) -> None:
    index(DOCUMENTS)
    reading = asked.model_copy(update={"query_rules": True, "query_url": "http://127.0.0.1:9/v1"})
    with retrieved(database, asked, "ada") as plain, retrieved(database, reading, "ada") as read:
        assert plain and read
        found = plain(set(), "salt and brine this year")
        assert found and found == read(set(), "salt and brine this year")


@pytest.mark.parametrize("changed", [{"prompt_kinds": "brief,continue"}, {"context_passages": 0}])
def test_where_no_notes_are_asked_for_nothing_has_to_be_embedded(database: Database, asked: Settings, changed: dict[str, object]) -> None:
    with retrieved(database, asked.model_copy(update=changed), "ada") as notes:
        assert notes is None


def test_features_that_are_behind_make_no_dataset(database: Database, clean: Clean, index: Index, asked: Settings) -> None:  # noqa: F811
    clean(DOCUMENTS)
    with pytest.raises(TwinError, match=r"No chunks of.*Materialize features/chunks and features/embeddings first"):
        made(database, asked)
    index(DOCUMENTS)
    clean([replace(DOCUMENTS[0], text_for_rag="Sugar it."), *DOCUMENTS[1:]])
    with pytest.raises(TwinError, match=r": 1 chunks are of documents that are gone or were changed"):
        made(database, asked)
    clean(DOCUMENTS[1:])
    with pytest.raises(TwinError, match=r": 1 chunks are of documents that are gone or were changed"):
        made(database, asked)
    clean(DOCUMENTS)
    assert made(database, asked).figures["prompts_rag"]
    with database.begin() as connection:
        connection.execute(text("delete from features.embeddings where chunk_id = (select min(id::text)::uuid from features.chunks)"))
    with pytest.raises(TwinError, match=r"1 chunks have no vector"):
        made(database, asked)


def test_a_search_that_changes_while_the_dataset_is_made_makes_none(
    database: Database, index: Index, asked: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(DOCUMENTS)
    other = Hashing("other@1", 384)
    with (
        pytest.raises(TwinError, match="changed while the dataset was made"),
        retrieved(database, asked, "ada") as notes,
    ):
        assert notes and notes(set(), "salt")
        sync_embeddings(database, "ada", other)
        with database.begin() as connection:  # as the last step of a migration
            connection.execute(text("update features.models set active = false where active"))
            connection.execute(text("update features.models set active = true where name = 'other@1'"))
        monkeypatch.setattr("twin_assets.training.notes.active_embedder", lambda database, settings: other)
