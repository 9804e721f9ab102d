"""The asset of the evaluation stage: the report on an author's newest model."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

from twin_assets.evaluation.ladder import climb, contestants, make_tasks
from twin_assets.evaluation.report import plots, table, to_html, to_markdown
from twin_assets.evaluation.rungs import Ladder, Yardsticks
from twin_assets.features.retrieval import Retriever
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Model
from twin_assets.training.dataset import load_dataset
from twin_assets.training.gguf import base_gguf, merged_gguf
from twin_assets.voice.memorisation import VerbatimIndex
from twin_assets.voice.profile import VoiceProfile, load_profile

REPORT = "eval_report"
MEASURES = "2"  # goes up when texts are written or measured in another way: old reports are made again
RETRIEVAL = ("context_passages", "embedder", "reranker", "query_rules", "query_url", "query_model")
SETTINGS = ("eval_prompts", "temperature", "top_p", "repetition_penalty", *RETRIEVAL)


@dg.asset(
    key_prefix="evaluation",
    partitions_def=authors,
    deps=[
        dg.AssetKey(["training", "adapter_weights"]),
        dg.AssetKey(["training", "instruct_dataset"]),
        dg.AssetKey(["voice", "voice_profile"]),
        dg.AssetKey(["features", "golden_set"]),
    ],
    group_name="evaluation",
    kinds={"python", "huggingface"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version=MEASURES,
)
def eval_report(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """How well the newest twin writes, on prompts from documents that it never saw.

    A ladder of four ways to write (base model, base model with examples and retrieval, twin, twin with retrieval) and the
    author's own passages as the ceiling: whose voice it is, how much reads like machine prose, what is copied from the
    training texts, and how close it comes to what was asked for. The same model, dataset, profile and settings are evaluated once.
    """
    author, registry = context.partition_key, platform.registry()
    try:
        model = registry.latest_model(author)
        if model is None:
            raise TwinError(f"{author} has no trained model to evaluate. Materialize training/adapter_weights first.")
        profile = load_profile(registry, platform.artifacts(), author)
        version = report_version(model, profile, platform.settings())
        report = registry.artifact(author, REPORT, version)
        if report is None or not UPath(report.uri).exists():
            _evaluate(context, platform, model, profile, version)
        else:
            context.log.info(f"model {model.version} was evaluated before as {version}: nothing to do")
            registry.record_artifact(author, REPORT, version, report.uri, report.figures)
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    registry.set_status(model.version, "evaluated")
    report = registry.artifact(author, REPORT, version)
    assert report is not None
    return dg.MaterializeResult(metadata=_metadata(report, platform.artifacts()), data_version=dg.DataVersion(version))


def report_version(model: Model, profile: VoiceProfile, settings: Settings) -> str:
    """Hash of everything that a report depends on."""
    parts = [MEASURES, model.version, model.dataset_version, profile.version, *(str(getattr(settings, name)) for name in SETTINGS)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _evaluate(context: dg.AssetExecutionContext, platform: PlatformResource, model: Model, profile: VoiceProfile, version: str) -> None:
    registry, artifacts, settings = platform.registry(), platform.artifacts(), platform.settings()
    stored = registry.artifact(model.author, "instruct_dataset", model.dataset_version)
    if stored is None:
        raise TwinError(f"The dataset {model.dataset_version} of model {model.version} is not registered. Train again.")
    dataset = load_dataset(artifacts.local(stored.uri))
    retriever = Retriever(platform.database(), settings)
    twin = merged_gguf(model.version, artifacts.local(model.adapter_uri), model.base_model, settings)
    ladder = climb(
        model.author,
        model.version,
        make_tasks(retriever, dataset, settings),
        contestants(base_gguf(settings), twin),
        Yardsticks(profile, VerbatimIndex([example.answer for example in dataset.train]), retriever.embedder),
        settings,
        progress=lambda done, total: context.log.info(f"{done} of {total} texts written") if done % 8 == 0 else None,
    )
    with _written(ladder) as folder:
        uri = artifacts.put_directory(model.author, REPORT, version, folder)
    figures = json.loads(artifacts.read_bytes(f"{uri}/figures.json"))
    registry.record_artifact(model.author, REPORT, version, uri, figures)


@contextmanager
def _written(ladder: Ladder) -> Iterator[Path]:
    """A folder with the report: for a browser, for a terminal, for a program, and every text."""
    with tempfile.TemporaryDirectory() as name:
        folder, images = Path(name), plots(ladder)
        for file, data in images.items():
            (folder / file).write_bytes(data)
        (folder / "report.html").write_text(to_html(ladder, images), encoding="utf-8")
        (folder / "report.md").write_text(to_markdown(ladder), encoding="utf-8")
        (folder / "ladder.md").write_text(table(ladder), encoding="utf-8")
        (folder / "figures.json").write_text(json.dumps(_figures(ladder), indent=1), encoding="utf-8")
        (folder / "texts.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(ladder)), encoding="utf-8")
        yield folder


def _figures(ladder: Ladder) -> dict[str, Any]:
    return {"model_version": ladder.model_version, **ladder.figures}


def _rows(ladder: Ladder) -> Iterator[dict[str, Any]]:
    for rung in ladder.rungs:
        for task, text, voice in zip(ladder.tasks, rung.texts, rung.voices, strict=True):
            yield {"rung": rung.name, "example": str(task.id), "prompt": task.request, "text": text, "voice": voice.score, "own": voice.own}


def _metadata(report: Artifact, artifacts: ArtifactStore) -> dict[str, Any]:
    picture = base64.b64encode(artifacts.read_bytes(f"{report.uri}/voice.png")).decode()
    return {
        "ladder": dg.MetadataValue.md(artifacts.read_bytes(f"{report.uri}/ladder.md").decode()),
        "voice": dg.MetadataValue.md(f"![texts that sound like the author, per rung](data:image/png;base64,{picture})"),
        "report": dg.MetadataValue.path(f"{report.uri}/report.html"),
        "texts": dg.MetadataValue.path(f"{report.uri}/texts.jsonl"),
        **report.figures,
    }
