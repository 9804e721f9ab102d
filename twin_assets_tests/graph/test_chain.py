"""The whole graph on real parts: Postgres, dbt, embedder, axolotl for two steps, llama.cpp. Run in order, each test building on the last.

Two steps teach no voice, so that the gate must hold; the deployment is then tried with a report that would pass, which a person approves.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psutil
import pytest
from huggingface_hub import InferenceClient
from sqlalchemy import text

from twin_assets.runs import RunReport, materialize
from twin_assets.sample import SAMPLE_AUTHOR, sample_sources
from twin_assets.serving.deploy import deploy, revive, stop
from twin_assets.serving.gate import waiting
from twin_assets.settings import Settings, get_settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Model, Registry
from twin_assets.training.recipes import FOLDER
from twin_assets.training.trainer import make_plan
from twin_assets.voice.profile import KIND, VoiceProfile, latest
from twin_assets.writing import model_server
from twin_assets.writing.drafts import Writer
from twin_assets.writing.request import DraftRequest
from twin_assets_tests.serving.figures import GOOD

SMALL = {
    "TWIN_TRAINING_MAX_STEPS": "2",
    "TWIN_MIN_TRAINING_WORDS": "500",
    "TWIN_MAX_PASSAGES": "40",
    "TWIN_PASSAGE_MAX_WORDS": "90",
    "TWIN_EVAL_PROMPTS": "2",
    "TWIN_MODEL_PORT": "18181",
}

pytestmark = [
    pytest.mark.skipif(not Settings().trainer_python.exists(), reason="no trainer environment: run `make setup`"),
    pytest.mark.filterwarnings("default"),  # what dagster-dbt, peft and transformers deprecate is not ours to mend
]


@pytest.fixture(scope="module")
def small(settings: Settings) -> Iterator[Settings]:
    """The session's settings, with a training of two steps."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        yield get_settings()
    get_settings.cache_clear()


@pytest.fixture(scope="module")
def posts(small: Settings) -> Path:
    """A folder of the sample author's own, so that a test may change it."""
    folder = small.home / "posts"
    shutil.copytree(sample_sources()[0] / "posts", folder)
    return folder


@pytest.fixture(scope="module")
def registry(session_database: Database) -> Registry:
    with session_database.begin() as connection:
        connection.execute(text("truncate registry.authors, registry.models, registry.artifacts, registry.deployments cascade"))
    return Registry(session_database)


@pytest.fixture(scope="module")
def first_run(small: Settings, posts: Path, registry: Registry) -> RunReport:
    registry.add_author(SAMPLE_AUTHOR)
    registry.add_source(SAMPLE_AUTHOR, str(posts))
    return _run(small)


def _run(settings: Settings, to: str | None = None, alone: bool = False) -> RunReport:
    return materialize(SAMPLE_AUTHOR, to, settings, lambda steps: None, alone)


def _approve_in_dagster(settings: Settings) -> dg.ExecuteInProcessResult:
    """The deployment alone, materialized as a person does it in the UI."""
    from twin_assets.definitions import defs
    from twin_assets.runs import dagster_instance

    config = {"approve": True, "by": "jo", "reason": "Read two of them."}
    with dagster_instance(settings) as instance:
        return defs.resolve_job_def("twin").execute_in_process(
            instance=instance,
            partition_key=SAMPLE_AUTHOR,
            asset_selection=[dg.AssetKey(["serving", "tgi_deployment"])],
            raise_on_error=False,
            run_config={"ops": {"serving__tgi_deployment": {"config": config}}},
        )


def _model(registry: Registry) -> Model:
    model = registry.latest_model(SAMPLE_AUTHOR)
    assert model is not None
    return model


def _vectors(database: Database) -> int:
    with database.begin() as connection:
        return connection.execute(
            text("select count(*) from features.embeddings where author = :author"), {"author": SAMPLE_AUTHOR}
        ).scalar_one()


def test_every_stage_up_to_the_evaluation_is_made(first_run: RunReport, registry: Registry) -> None:
    states = {step.name: step.state for step in first_run.steps}
    made = {"ingest/raw_posts", "cleaning", "features/chunks", "features/embeddings", "voice/voice_profile"}
    made |= {"training/instruct_dataset", "training/adapter_weights", "evaluation/eval_texts", "evaluation/eval_report"}
    assert {name for name, state in states.items() if state == "done"} >= made, (states, first_run.error)
    assert "data:image/png" in str(first_run.metadata["training/adapter_weights"]["loss"])
    assert _model(registry).figures["steps"] == 2
    assert _model(registry).figures["held_out_loss_first"] > 0 and _model(registry).figures["held_out_loss_last"] > 0
    report = registry.latest_artifact(SAMPLE_AUTHOR, "eval_report")
    assert report is not None
    measured = {"voice_base", "voice_base_few_shot_rag", "voice_twin", "voice_twin_rag", "voice_human"}
    assert measured | {"voice_gain_low", "verbatim_longest", "slop_twins", "slop_author", "content_twin_rag"} <= set(report.figures)
    assert (Path(report.uri) / "report.html").stat().st_size > 10_000


def test_a_twin_that_learned_nothing_is_not_deployed(first_run: RunReport, registry: Registry) -> None:
    assert not first_run.success
    assert any("twin_beats_base" in failed for failed in first_run.failed_checks)
    assert registry.deployment(SAMPLE_AUTHOR) is None


def test_materializing_the_deployment_alone_does_not_go_around_the_gate(first_run: RunReport, small: Settings, registry: Registry) -> None:
    report = _run(small, "tgi_deployment", alone=True)
    assert not report.success
    assert [step.name for step in report.steps] == ["serving/tgi_deployment"]
    assert registry.deployment(SAMPLE_AUTHOR) is None
    assert not _approve_in_dagster(small).success
    assert _model(registry).status == "candidate"


def test_running_again_trains_embeds_and_writes_nothing(
    first_run: RunReport, small: Settings, registry: Registry, session_database: Database
) -> None:
    vectors, models = _vectors(session_database), len(registry.models(SAMPLE_AUTHOR))
    log = make_plan(SAMPLE_AUTHOR, _model(registry).dataset_version, small).log
    texts = registry.latest_artifact(SAMPLE_AUTHOR, "eval_texts")
    assert texts is not None
    kept = {file: file.stat().st_mtime_ns for file in (log, Path(texts.uri), small.logs / "evaluation-model.log")}
    again = _run(small, "eval_report")
    assert again.metadata["ingest/raw_posts"]["updated"] == 0
    assert again.metadata["features/embeddings"]["embedded"] == 0
    assert (_vectors(session_database), len(registry.models(SAMPLE_AUTHOR))) == (vectors, models)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_an_instrument_that_failed_its_own_gate_judges_no_twin(first_run: RunReport, small: Settings, registry: Registry) -> None:
    known, artifacts = latest(registry, SAMPLE_AUTHOR), ArtifactStore(small.artifacts_url)
    guessing = VoiceProfile.from_bytes(artifacts.read_bytes(known.uri))
    guessing = replace(guessing, figures=guessing.figures | {"auc": 0.6})
    uri = artifacts.put_bytes(SAMPLE_AUTHOR, KIND, "guessing.npz", guessing.to_bytes())
    registry.record_artifact(SAMPLE_AUTHOR, KIND, guessing.version, uri, guessing.figures)
    refused = _run(small, "eval_report", alone=True)
    assert not refused.success
    assert "in 60% of the cases" in refused.error and "before the instrument may judge a twin" in refused.error
    registry.record_artifact(SAMPLE_AUTHOR, KIND, known.version, known.uri, known.figures)
    assert _run(small, "eval_report", alone=True).errors == {}


def test_a_proven_model_waits_for_a_person_where_the_policy_is_manual(first_run: RunReport, small: Settings, registry: Registry) -> None:
    registry.record_artifact(SAMPLE_AUTHOR, "eval_report", "proven", "/nowhere", {**GOOD, "model_version": _model(registry).version})
    registry.change_thresholds(SAMPLE_AUTHOR, {"policy": "manual"})
    assert _run(small, "tgi_deployment", alone=True).success
    assert registry.deployment(SAMPLE_AUTHOR) is None
    assert [model for model, _ in waiting(registry)] == [_model(registry)]


def test_an_approved_model_is_served_and_outlives_the_run(first_run: RunReport, small: Settings, registry: Registry) -> None:
    assert _approve_in_dagster(small).success
    assert _model(registry).status == "deployed"
    assert [(step.after, step.actor) for step in registry.transitions(SAMPLE_AUTHOR)[:2]] == [
        ("deployed", "deployment"),
        ("accepted", "jo"),
    ]
    deployment = registry.deployment(SAMPLE_AUTHOR)
    assert deployment is not None
    assert deployment.pid is not None
    assert os.getsid(deployment.pid) != os.getsid(0)
    answer = InferenceClient(base_url=deployment.url).chat_completion(
        [{"role": "user", "content": "Write one sentence about rain."}], model=deployment.model_version, max_tokens=12
    )
    assert answer.choices[0].message.content
    again = deploy(_model(registry), registry, ArtifactStore(small.artifacts_url), small)
    assert not again.changed
    assert again.smoke_text
    assert again.deployment.pid == deployment.pid


def test_the_twin_writes_a_draft_with_citations_and_a_voice_score(small: Settings, registry: Registry) -> None:
    writer = Writer(registry.database, registry, ArtifactStore(small.artifacts_url), small)
    asked = (DraftRequest(author=SAMPLE_AUTHOR, prompt="a tide gauge that lied", words=120, seed=seed) for seed in range(1, 9))
    draft = next(draft for draft in map(writer.write, asked) if len(draft.text.split()) > 60)  # so little training, and it may stop early
    assert draft.model_version == _model(registry).version
    assert draft.voice is not None
    assert 0 <= draft.voice.score <= 1
    assert len(draft.citations) == small.context_passages


def test_a_model_that_does_not_come_up_leaves_the_old_one_serving(small: Settings, registry: Registry, tmp_path: Path) -> None:
    before = registry.deployment(SAMPLE_AUTHOR)
    assert before is not None
    good = _model(registry)
    broken = Model("broken-model", SAMPLE_AUTHOR, good.dataset_version, "recipe", good.base_model, good.adapter_uri)
    gguf = small.home / "models" / "gguf" / "broken-model-f16.gguf"
    gguf.write_bytes(b"GGUF, but not really")
    registry.record_model(broken)
    try:
        with pytest.raises(TwinError, match="did not come up"):
            deploy(broken, registry, ArtifactStore(small.artifacts_url), small)
        assert registry.deployment(SAMPLE_AUTHOR) == before
        assert model_server.healthy(before.url, before.model_version)
    finally:
        gguf.unlink()
        registry.record_model(good)


def test_a_crashing_trainer_shows_its_last_lines_and_the_old_twin_serves(
    small: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = registry.deployment(SAMPLE_AUTHOR)
    broken, whole = tmp_path / "broken.yaml", (FOLDER / f"{small.training_config}.yaml").read_text()
    broken.write_text(whole.replace("lora_target_linear: true", "lora_target_modules: [no_such_module]"))
    monkeypatch.setenv("TWIN_TRAINING_CONFIG", str(broken))
    get_settings.cache_clear()
    try:
        report = _run(get_settings(), "adapter_weights")
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
    assert not report.success
    assert "The trainer failed" in report.error and "no_such_module" in report.error
    assert {step.name: step.state for step in report.steps}["training/adapter_weights"] == "failed"
    assert registry.deployment(SAMPLE_AUTHOR) == before


def test_a_killed_server_is_revived(small: Settings, registry: Registry) -> None:
    before = registry.deployment(SAMPLE_AUTHOR)
    assert before is not None
    assert before.pid is not None
    psutil.Process(before.pid).kill()
    psutil.wait_procs([psutil.Process(before.pid)] if psutil.pid_exists(before.pid) else [], timeout=10)
    after = revive(before, registry, small)
    assert model_server.healthy(after.url, before.model_version)
    assert after.pid != before.pid


def test_a_new_post_goes_through_to_a_new_dataset_and_a_deleted_one_leaves(
    small: Settings, posts: Path, registry: Registry, session_database: Database
) -> None:
    old = registry.latest_artifact(SAMPLE_AUTHOR, "instruct_dataset")
    victim = sorted(posts.glob("*.md"))[0]
    body = victim.read_text()
    victim.unlink()
    report = _run(small, "instruct_dataset")
    assert report.metadata["ingest/raw_posts"]["deleted"] == 1
    new = registry.latest_artifact(SAMPLE_AUTHOR, "instruct_dataset")
    assert old is not None
    assert new is not None
    assert new.version != old.version
    victim.write_text(body)
    _run(small, "instruct_dataset")
    back = registry.latest_artifact(SAMPLE_AUTHOR, "instruct_dataset")
    assert back is not None
    assert back.version == old.version


def test_the_servers_stop(registry: Registry) -> None:
    deployment = registry.deployment(SAMPLE_AUTHOR)
    assert deployment is not None
    assert stop(deployment)
    assert not model_server.healthy(deployment.url, deployment.model_version)
    assert not stop(deployment)
