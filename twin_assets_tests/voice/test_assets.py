from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import dagster as dg
import pytest
from sqlalchemy import text

from twin_assets.resources import PlatformResource
from twin_assets.sample import control_texts
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry
from twin_assets.voice.assets import voice_profile
from twin_assets.voice.checks import author_is_recognised
from twin_assets.voice.profile import VoiceProfile, load_profile
from twin_assets_tests.voice.voices import texts

# The columns of the mart that are read here; dbt makes the real one.
_CLEANED = """
create table if not exists cleaning.cleaned_documents (
    document_id uuid, author text, platform text, kind text, title text, url text, published_at timestamptz,
    text_for_voice text, text_for_rag text, voice_words int, rag_words int, content_hash text, boilerplate_lines int,
    language text
);
grant select on cleaning.cleaned_documents to twin_downstream
"""
_INSERT = """
insert into cleaning.cleaned_documents
    (document_id, author, platform, kind, published_at, text_for_voice, text_for_rag, voice_words, rag_words, content_hash, boilerplate_lines)
values (:id, :author, 'blog', 'post', :date, :text, :text, 90, 90, :id, 0)
"""
AUTHOR, OTHER = "wry", "manual"


@pytest.fixture
def warehouse(database: Database) -> Iterator[Database]:
    """Two authors; the newest fifth of the first is by somebody else where a test says so."""
    with database.begin() as connection:
        existed = connection.scalar(text("select to_regclass('cleaning.cleaned_documents')")) is not None
        connection.execute(text(_CLEANED))
    for author in (AUTHOR, OTHER):
        Registry(database).add_author(author)
        _write(database, author, texts(author, 20, 1))
    yield database
    with database.begin() as connection:
        connection.execute(text("drop table cleaning.cleaned_documents" if not existed else "delete from cleaning.cleaned_documents"))


def _write(database: Database, author: str, documents: list[str], after: int = 0) -> None:
    with database.begin() as connection:
        for number, document in enumerate(documents, after):
            row = {"id": uuid5(NAMESPACE_URL, f"{author}{number}"), "author": author, "text": document}
            connection.execute(text(_INSERT), {**row, "date": datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)})


def _materialize(*, author: str = AUTHOR) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("author", [AUTHOR, OTHER])
        definitions = dg.Definitions([voice_profile], asset_checks=[author_is_recognised], resources={"platform": PlatformResource()})
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(instance=instance, partition_key=author)


def _materialization(result: dg.ExecuteInProcessResult) -> dg.AssetMaterialization:
    (event,) = result.asset_materializations_for_node("voice__voice_profile")
    return event


def test_the_profile_is_stored_and_registered(warehouse: Database, settings: Settings) -> None:
    result = _materialize()
    profile = load_profile(Registry(warehouse), ArtifactStore(settings.artifacts_url), AUTHOR)
    (check,) = result.get_asset_check_evaluations()
    event = _materialization(result)
    assert profile.voices == (AUTHOR, *sorted([*control_texts(), OTHER]))
    assert event.tags is not None
    assert event.tags["dagster/data_version"] == profile.version
    assert event.metadata["ceiling"].value == 1
    assert "data:image/png;base64," in str(event.metadata["plot"].value)
    assert "| `(` |" in str(event.metadata["traits"].value)  # wry writes asides, no control does
    assert check.passed


def test_the_held_out_documents_are_not_learned_from(warehouse: Database, settings: Settings) -> None:
    _materialize()
    artifacts = ArtifactStore(settings.artifacts_url)
    before = load_profile(Registry(warehouse), artifacts, AUTHOR)
    newest = uuid5(NAMESPACE_URL, f"{AUTHOR}19")
    with warehouse.begin() as connection:
        statement = "update cleaning.cleaned_documents set text_for_voice = :text where document_id = :id"
        connection.execute(text(statement), {"text": texts("coach", 1, 1, words=400)[0], "id": newest})
    _materialize()
    after = load_profile(Registry(warehouse), artifacts, AUTHOR)
    assert _recorded(warehouse, before)["ceiling"] < 1
    assert after.version == before.version


def test_other_peoples_text_in_the_newest_documents_is_warned_of(warehouse: Database) -> None:
    with warehouse.begin() as connection:
        statement = "update cleaning.cleaned_documents set text_for_voice = :text where author = :author and published_at >= '2025-01-17'"
        connection.execute(text(statement), {"text": texts("manual", 1, 5, words=160)[0], "author": AUTHOR})
    (check,) = _materialize().get_asset_check_evaluations()
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "0% of 4 unseen passages" in (check.description or "")


def _recorded(database: Database, profile: VoiceProfile) -> dict[str, float]:
    artifact = Registry(database).artifact(AUTHOR, "voice_profile", profile.version)
    assert artifact is not None
    return artifact.figures
