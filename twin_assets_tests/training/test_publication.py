"""When new writing makes a new dataset, and when it is pending."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import text

from twin_assets.cleaning.documents import load_documents
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder
from twin_assets.resources import PlatformResource
from twin_assets.settings import Settings, get_settings
from twin_assets.store.database import Database
from twin_assets.store.registry import Artifact, Registry
from twin_assets.store.thresholds import Thresholds
from twin_assets.training import assets
from twin_assets.training.assets import instruct_dataset, made_with
from twin_assets.training.dataset import Example, Note
from twin_assets.training.publication import pending
from twin_assets_tests.features.conftest import Clean, clean, minilm  # noqa: F401  # fixtures
from twin_assets_tests.training.test_dataset import document, prose

NOW = datetime(2026, 3, 8, tzinfo=UTC)
PUBLISHED = Artifact("ada", "instruct_dataset", "d1", "/d1", {"prose_words": 5000, "made_with": "s1"}, NOW - timedelta(days=2))
ANSWER = "I salted the jar, and it was good."
NOTE = Note(UUID(int=2), "Brine is not a drink, and salt is no food.")
EXAMPLE = Example(UUID(int=1), UUID(int=1), "train", "blog", None, None, [], ANSWER, 8, notes=(NOTE,))
OWN, NOTED = f"So. {ANSWER} Really.", "Listen: brine? Brine is not\na drink, and   salt is no food. Ever."
TEXTS = {UUID(int=1): OWN, UUID(int=2): NOTED}
STRICT = Thresholds(dataset_words=1000)


@pytest.mark.parametrize(
    ("changed", "waits"),
    [
        ({}, True),
        ({"published": None}, False),
        ({"thresholds": Thresholds()}, False),
        ({"prose_words": 5999}, True),
        ({"prose_words": 6000}, False),
        ({"thresholds": Thresholds(dataset_words=1000, dataset_days=3)}, True),
        ({"thresholds": Thresholds(dataset_words=1000, dataset_days=2)}, False),
        ({"thresholds": Thresholds(dataset_days=3)}, True),
        ({"thresholds": Thresholds(dataset_days=2)}, False),
        ({"thresholds": Thresholds(dataset_days=3), "prose_words": 60_000}, True),
        ({"made_with": "s2"}, False),
        ({"texts": {}}, False),
        ({"texts": {**TEXTS, UUID(int=1): "Corrected: I salted two jars."}}, False),
        ({"texts": {UUID(int=1): OWN}}, False),
        ({"texts": {**TEXTS, UUID(int=2): "Corrected: brine is a drink."}}, False),
        ({"texts": {**TEXTS, UUID(int=3): "Another one."}}, True),
    ],
)
def test_what_changed_little_waits_and_what_was_taken_back_does_not(changed: dict[str, object], waits: bool) -> None:
    usual = {
        "published": PUBLISHED,
        "examples": [EXAMPLE],
        "texts": TEXTS,
        "prose_words": 5300,
        "made_with": "s1",
        "thresholds": STRICT,
        "now": NOW,
    }
    why = pending(**{**usual, **changed})  # type: ignore[arg-type]
    assert (why is not None) is waits
    assert not why or ("new words since dataset d1" in why and "--set dataset_words=0 --set dataset_days=0" in why)


def test_the_message_counts_words_and_days() -> None:
    why = pending(PUBLISHED, [EXAMPLE], TEXTS, 5300, "s1", Thresholds(dataset_words=1000, dataset_days=7), NOW)
    assert why and "300 new words" in why and "from 1,000 on, or after 7 days, of which 2.0 are over" in why


@pytest.fixture
def made(database: Database, minilm: Embedder) -> Callable[[], tuple[dg.AssetMaterialization, Artifact]]:  # noqa: F811
    """Embeds what was cleaned, and makes the asset."""
    registry = Registry(database)
    registry.add_author("ada")

    def materialize() -> tuple[dg.AssetMaterialization, Artifact]:
        sync_chunks(database, "ada", load_documents(database, "ada"), minilm.count_tokens, minilm.max_tokens)
        sync_embeddings(database, "ada", minilm)
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("author", ["ada"])
            job = dg.Definitions([instruct_dataset], resources={"platform": PlatformResource()}).resolve_implicit_global_asset_job_def()
            result = job.execute_in_process(instance=instance, partition_key="ada")
        (event,) = result.asset_materializations_for_node("training__instruct_dataset")
        newest = registry.latest_artifact("ada", "instruct_dataset")
        assert newest
        return event, newest

    return materialize


def test_little_new_writing_is_pending_and_a_deleted_post_is_not(
    database: Database,
    clean: Clean,  # noqa: F811
    made: Callable[[], tuple[dg.AssetMaterialization, Artifact]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    documents = [document(number) for number in range(24)]
    clean(documents)
    _, first = made()
    Registry(database).change_thresholds("ada", {"dataset_words": 1000})
    clean([*documents, document(30)])
    event, still = made()
    assert still.version == first.version
    assert "Pending: 240 new words" in str(event.metadata["pending"].value)
    assert event.tags and event.tags["dagster/data_version"] == first.version
    with monkeypatch.context() as patch:
        patch.setattr(assets, "faults", lambda *_: ["held_out_is_unseen: once"])
        event, anew = made()
        assert "pending" not in event.metadata and anew.version != first.version
    with database.begin() as connection:
        connection.execute(text("delete from registry.artifacts where version = :version"), {"version": anew.version})
    clean([*documents, *(document(number) for number in range(30, 35))])
    event, second = made()
    assert second.version != first.version and "pending" not in event.metadata
    clean([*documents[1:], *(document(number) for number in range(30, 35))])
    _, third = made()
    assert third.version not in (first.version, second.version)
    monkeypatch.setenv("TWIN_MAX_PASSAGES", "30")
    get_settings.cache_clear()
    try:
        _, fourth = made()
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
    assert fourth.figures["train_examples"] == 30
    assert fourth.figures["documents_version"] == third.figures["documents_version"] != first.figures["documents_version"]


@pytest.mark.parametrize(("other", "anew"), [({"embedder": "a/b"}, True), ({"reranker": "a/b"}, True), ({"base_model": "a/b"}, False)])
def test_another_model_that_finds_notes_is_another_setting(settings: Settings, other: dict[str, str], anew: bool) -> None:
    assert (made_with(settings.model_copy(update=other)) != made_with(settings)) is anew


def test_what_the_training_would_fail_for_is_said_before_a_teacher_is_paid(
    database: Database,
    clean: Clean,  # noqa: F811
    made: Callable[[], tuple[dg.AssetMaterialization, Artifact]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clean([document(number) for number in range(24)])
    monkeypatch.setenv("TWIN_TRAINING_CONFIG", "nope")
    get_settings.cache_clear()
    try:
        assert made()
        monkeypatch.setenv("TWIN_TEACHER_URL", "http://127.0.0.1:9/v1")
        get_settings.cache_clear()
        with pytest.raises(dg.Failure, match="no training configuration 'nope'"):
            made()
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_made_again_from_nothing_it_is_the_same_bit_for_bit(
    database: Database,
    clean: Clean,  # noqa: F811
    made: Callable[[], tuple[dg.AssetMaterialization, Artifact]],
) -> None:
    documents = [document(number, prose(number, paragraphs=2, words=45)) for number in range(48)]
    clean(documents)
    event, first = made()
    assert event.metadata["prompts_rag"].value and event.metadata["prompts_brief"].value
    kept = {path.name: path.read_bytes() for path in Path(first.uri).iterdir()}
    with database.begin() as connection:
        connection.execute(text("delete from features.chunks"))
        connection.execute(text("delete from registry.artifacts"))
    shutil.rmtree(first.uri)
    clean(documents[::-1])
    _, again = made()
    assert {path.name: path.read_bytes() for path in Path(again.uri).iterdir()} == kept
