from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import dagster as dg
import pytest
from dagster import AssetCheckEvaluation
from sqlalchemy import text

from twin_assets.resources import PlatformResource
from twin_assets.sample import control_texts
from twin_assets.settings import Settings, get_settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Artifact, Registry
from twin_assets.voice import assets, checks
from twin_assets.voice.assets import voice_profile
from twin_assets.voice.checks import author_is_recognised, instrument_knows_people_apart
from twin_assets.voice.controls import stored_voices
from twin_assets.voice.profile import VoiceProfile, load_profile
from twin_assets.voice.voices import Voice, voice
from twin_assets_tests.voice.voices import renamed, texts

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
WORDS = 140


STORED = (*stored_voices()[:3], stored_voices()[-1])


@pytest.fixture
def warehouse(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Two authors, and few of the stored voices, which is faster."""
    _these_strangers(STORED, monkeypatch)
    with database.begin() as connection:
        existed = connection.scalar(text("select to_regclass('cleaning.cleaned_documents')")) is not None
        connection.execute(text(_CLEANED))
    for author in (AUTHOR, OTHER):
        Registry(database).add_author(author)
        _write(database, author, texts(author, 20, 1, WORDS))
    yield database
    with database.begin() as connection:
        connection.execute(text("drop table cleaning.cleaned_documents" if not existed else "delete from cleaning.cleaned_documents"))


@pytest.fixture
def named_control(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings name the other author, the author and somebody who does not exist."""
    monkeypatch.setenv("TWIN_CONTROL_AUTHORS", f"{OTHER}, {AUTHOR},nobody")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def _these_strangers(voices: tuple[Voice, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "stored_voices", lambda: voices)


def _write(database: Database, author: str, documents: list[str], after: int = 0) -> None:
    with database.begin() as connection:
        for number, document in enumerate(documents, after):
            row = {"id": uuid5(NAMESPACE_URL, f"{author}{number}"), "author": author, "text": document}
            connection.execute(text(_INSERT), {**row, "date": datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)})


def _rewrite(database: Database, documents: list[str]) -> None:
    with database.begin() as connection:
        connection.execute(text("delete from cleaning.cleaned_documents where author = :author"), {"author": AUTHOR})
    _write(database, AUTHOR, documents)


def _materialize(*, author: str = AUTHOR, unless_it_fails: bool = False) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("author", [AUTHOR, OTHER])
        of_the_profile = [author_is_recognised, instrument_knows_people_apart]
        definitions = dg.Definitions([voice_profile], asset_checks=of_the_profile, resources={"platform": PlatformResource()})
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(instance=instance, partition_key=author, raise_on_error=not unless_it_fails)


def _materialization(result: dg.ExecuteInProcessResult) -> dg.AssetMaterialization:
    (event,) = result.asset_materializations_for_node("voice__voice_profile")
    return event


def _check(result: dg.ExecuteInProcessResult, name: str) -> AssetCheckEvaluation:
    (found,) = (check for check in result.get_asset_check_evaluations() if check.check_name == name)
    return found


def _recorded(database: Database, profile: VoiceProfile) -> dict[str, float]:
    artifact = Registry(database).artifact(AUTHOR, "voice_profile", profile.version)
    assert artifact is not None
    return artifact.figures


def _loaded(database: Database, settings: Settings) -> VoiceProfile:
    return load_profile(Registry(database), ArtifactStore(settings.artifacts_url), AUTHOR)


def test_the_profile_is_stored_and_registered(warehouse: Database, settings: Settings) -> None:
    result = _materialize()
    profile = _loaded(warehouse, settings)
    event = _materialization(result)
    assert profile.voices == (AUTHOR, *sorted(control_texts()), *(one.name for one in STORED))
    assert event.tags is not None
    assert event.tags["dagster/data_version"] == profile.version
    assert event.metadata["ceiling"].value == 1
    assert event.metadata["control_voices"].value == len(control_texts()) + len(STORED)
    assert event.metadata["registers"].value == AUTHOR
    assert "data:image/png;base64," in str(event.metadata["plot"].value)
    assert "| `this )` |" in str(event.metadata["traits"].value)  # wry writes asides, no control does
    assert _check(result, "author_is_recognised").passed
    recorded = _recorded(warehouse, profile)
    of_the_instrument = {"auc", "auc_low", "auc_300", "mistaken", "recognised", "judged", "strangers"}
    assert of_the_instrument | {"ceiling", "ceiling_pieces", "passages"} == set(recorded)
    assert recorded["auc"] == event.metadata["verification_auc"].value == profile.figures["auc"]


def test_other_registered_authors_are_controls_only_where_the_settings_name_them(
    warehouse: Database, settings: Settings, named_control: None
) -> None:
    _materialize()
    profile = _loaded(warehouse, settings)
    assert profile.voices == (AUTHOR, *sorted([*control_texts(), OTHER]), *(one.name for one in STORED))
    assert profile.passages[OTHER] > 8


def test_the_held_out_documents_are_not_learned_from(warehouse: Database, settings: Settings) -> None:
    _materialize()
    before = _loaded(warehouse, settings)
    newest = uuid5(NAMESPACE_URL, f"{AUTHOR}19")
    with warehouse.begin() as connection:
        statement = "update cleaning.cleaned_documents set text_for_voice = :text where document_id = :id"
        connection.execute(text(statement), {"text": texts("coach", 1, 1, words=400)[0], "id": newest})
    _materialize()
    after = _loaded(warehouse, settings)
    assert _recorded(warehouse, before)["ceiling"] < 1
    assert after.version == before.version


def test_other_peoples_text_in_the_newest_documents_is_warned_of(warehouse: Database) -> None:
    with warehouse.begin() as connection:
        statement = "update cleaning.cleaned_documents set text_for_voice = :text where author = :author and published_at >= '2025-01-17'"
        connection.execute(text(statement), {"text": _of_a_stranger(), "author": AUTHOR})
    check = _check(_materialize(), "author_is_recognised")
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "0% of" in (check.description or "")


def _of_a_stranger() -> str:
    return " ".join(control_texts()[sorted(control_texts())[0]])[:1200]


def test_the_instrument_passes_its_own_gate_where_it_knows_people_apart(warehouse: Database) -> None:
    check = _check(_materialize(), "instrument_knows_people_apart")
    assert check.passed
    assert check.blocking
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.metadata["auc"].value == 1
    assert "in 100% of the cases" in (check.description or "")


def test_an_author_who_is_a_mixture_of_strangers_does_not_pass_the_instruments_gate(
    warehouse: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("manual", "coach", "wry")
    _these_strangers(tuple(voice(f"{name} too", texts(name, 12, 2)) for name in names), monkeypatch)
    _rewrite(warehouse, [text for name in names for text in renamed(texts(name, 10, 3, WORDS))])
    result = _materialize(unless_it_fails=True)
    check = _check(result, "instrument_knows_people_apart")
    assert not check.passed
    assert "85% (at least 75%) are needed" in (check.description or "")
    assert not result.success  # the check blocks what comes after


@pytest.mark.parametrize(("figures", "said"), [({"auc": None}, "not measured"), ({"auc": 0.6, "mistaken": 0.5}, "in 60% of the cases (")])
def test_figures_that_are_missing_or_too_low_do_not_pass(
    warehouse: Database, monkeypatch: pytest.MonkeyPatch, figures: dict[str, float | None], said: str
) -> None:
    real = checks.latest

    def poisoned(registry: Registry, author: str) -> Artifact:
        found = real(registry, author)
        return replace(found, figures={name: value for name, value in (found.figures | figures).items() if value is not None})

    monkeypatch.setattr(checks, "latest", poisoned)
    check = _check(_materialize(unless_it_fails=True), "instrument_knows_people_apart")
    assert not check.passed
    assert said in (check.description or "")


def test_a_control_with_the_authors_own_text_fails_and_is_named(warehouse: Database, named_control: None) -> None:
    _write(warehouse, OTHER, texts(AUTHOR, 20, 1, WORDS), after=20)
    with pytest.raises(dg.Failure, match="wry and manual have the same text"):
        _materialize()


def test_another_author_with_the_same_documents_is_found_though_nobody_named_them(warehouse: Database) -> None:
    _write(warehouse, OTHER, texts(AUTHOR, 20, 1, WORDS)[:5], after=20)
    assert _check(_materialize(), "author_is_recognised").passed  # a few that both have do not make them one person
    _write(warehouse, OTHER, texts(AUTHOR, 20, 1, WORDS)[5:], after=25)
    with pytest.raises(dg.Failure, match=r"wry and manual have the same text \(100% of the documents"):
        _materialize()


def test_a_voice_that_changes_is_drawn_with_the_weights_of_its_periods(warehouse: Database) -> None:
    documents = [*texts("coach", 24, 1), *texts(AUTHOR, 24, 1)]
    _rewrite(warehouse, documents)
    with warehouse.begin() as connection:
        statement = (
            "update cleaning.cleaned_documents set published_at = published_at - interval '3 years' where text_for_voice = any(:old)"
        )
        connection.execute(text(statement), {"old": documents[:24]})
    metadata = _materialization(_materialize()).metadata
    assert "data:image/png;base64," in str(metadata["drift"].value)
    rows = str(metadata["drift_weights"].value).splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["2022", "2025"]
    assert [float(row.split("|")[4]) for row in rows[2:]] < [0.5, 1.1]


def test_one_period_has_no_drift(warehouse: Database) -> None:
    metadata = _materialization(_materialize()).metadata
    assert "Not enough evidence: fewer than two periods" in str(metadata["drift"].value)
    assert "drift_weights" not in metadata


def test_too_little_text_fails_for_good_and_says_what_is_needed(warehouse: Database) -> None:
    _rewrite(warehouse, texts(AUTHOR, 3, 1))
    with pytest.raises(dg.Failure, match=r"Not enough evidence: wry has .* words of own prose, a voice needs at least 600") as raised:
        _materialize()
    assert raised.value.allow_retries is False
