"""The assets of the evaluation stage: what an author's newest model writes, and the report on it."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

from twin_assets.cleaning.documents import load_documents
from twin_assets.evaluation.judge import JUDGE, Judgement, endpoint_of, judge_by_model
from twin_assets.evaluation.judge_content import ask_for_content
from twin_assets.evaluation.ladder import Written, contestants, judge_texts, make_tasks, write_texts
from twin_assets.evaluation.report import plots, table, to_html, to_markdown
from twin_assets.evaluation.rungs import Ladder, Yardsticks
from twin_assets.evaluation.tracking import track
from twin_assets.features.retrieval import Retriever
from twin_assets.models import embedder
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.sample import control_texts
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Model, Registry
from twin_assets.training.dataset import Dataset, load_dataset
from twin_assets.training.gguf import base_gguf, merged_gguf
from twin_assets.training.lineage import Traced, adapter
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.memorisation import VerbatimIndex
from twin_assets.voice.profile import VoiceProfile, load_profile
from twin_assets.voice.quality import instrument_knows_people_apart
from twin_assets.voice.score import attribution_rate
from twin_assets.voice.slop import terms

TEXTS, REPORT = "eval_texts", "eval_report"
WRITING = "1"  # goes up when texts are written in another way: old ones are written again
MEASURES = "6"  # goes up when texts are measured in another way: old reports are made again
RETRIEVAL = ("context_passages", "embedder", "reranker", "query_rules", "query_url", "query_model")
SETTINGS = ("eval_prompts", "temperature", "top_p", "repetition_penalty", "copy_penalty", *RETRIEVAL)


@dg.asset(
    key_prefix="evaluation",
    partitions_def=authors,
    deps=[
        dg.AssetKey(["training", "adapter_weights"]),
        dg.AssetKey(["training", "instruct_dataset"]),
        dg.AssetKey(["features", "golden_set"]),
    ],
    group_name="evaluation",
    kinds={"huggingface"},
    owners=["team:twin"],
    tags={"cost": "gpu"},
    code_version=WRITING,
)
def eval_texts(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """What the newest twin writes on prompts from documents that it never saw, and what others write on the same prompts.

    The base model alone, with examples, and with examples and retrieval; the twin, and the twin with retrieval; another author's twin
    where TWIN_CONTROL_AUTHORS names one; and the author's own passages. Same prompts, same seeds. Nothing is judged here, so that a
    GPU never waits for a judge. The same model, dataset and settings write once.
    """
    author, registry = context.partition_key, platform.registry()
    try:
        model = _model(author, registry)
        other = _other_twin(model, registry, platform.settings())
        version = texts_version(model, other, platform.settings())
        stored = registry.artifact(author, TEXTS, version)
        if stored is None or not UPath(stored.uri).exists():
            written = _write(context, platform, model, other)
            uri = platform.artifacts().put_bytes(author, TEXTS, f"{version}.jsonl", written.to_lines().encode())
        else:
            context.log.info(f"model {model.version} wrote these texts before as {version}: nothing to do")
            uri = stored.uri
        written = Written.from_lines(platform.artifacts().read_bytes(uri).decode())
        registry.record_artifact(author, TEXTS, version, uri, {"model_version": model.version, "prompts": len(written.tasks)})
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    examples = [
        dg.TableRecord({"prompt": task.request[:200], "twin": written.texts["twin"][place][:300], "author": task.real[:300]})
        for place, task in enumerate(written.tasks[:5])
    ]
    return dg.MaterializeResult(
        metadata={
            "prompts": len(written.tasks),
            "rungs": ", ".join(written.texts),
            "texts": sum(len(texts) for texts in written.texts.values()),
            "examples": dg.MetadataValue.table(examples),
            "path": dg.MetadataValue.path(uri),
        },
        data_version=dg.DataVersion(version),
    )


@dg.asset(
    key_prefix="evaluation",
    partitions_def=authors,
    deps=[eval_texts, dg.AssetKey(["training", "instruct_dataset"]), dg.AssetKey(["voice", "voice_profile"])],
    group_name="evaluation",
    kinds={"python"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version=MEASURES,
)
def eval_report(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """How well the newest twin writes: the ladder, from the base model up to the author's own passages.

    Whose voice it is and how sure that is, how well a classifier tells it from the author, how much reads like machine prose, what is
    copied from the training texts, how close it comes to what was asked for; differences with paired bootstrap intervals. The same
    texts, profile and instruments give the same report. The blocking checks on it are the gate to the deployment.
    """
    author, registry = context.partition_key, platform.registry()
    try:
        model = _model(author, registry)
        texts = registry.latest_artifact(author, TEXTS)
        if texts is None or texts.figures.get("model_version") != model.version:
            raise TwinError(f"Nothing was written by {author}'s newest model yet. Materialize evaluation/{TEXTS} first.")
        profile = load_profile(registry, platform.artifacts(), author)
        trusted, why = instrument_knows_people_apart(author, profile.figures)
        if not trusted:
            raise TwinError(why)
        version = report_version(texts, profile, platform.settings())
        report = registry.artifact(author, REPORT, version)
        if report is None or not UPath(report.uri).exists():
            uri, figures, version = _judge(platform, model, texts, profile, version)
        else:
            context.log.info(f"these texts were judged before as {version}: nothing to do")
            uri, figures = report.uri, report.figures
        registry.record_artifact(author, REPORT, version, uri, {**figures, **_deployed(model, platform, profile)})
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    report = registry.artifact(author, REPORT, version)
    assert report is not None
    return dg.MaterializeResult(metadata=_metadata(report, platform.artifacts()), data_version=dg.DataVersion(version))


def texts_version(model: Model, other: Model | None, settings: Settings) -> str:
    """Hash of everything that the texts depend on."""
    parts = [
        WRITING,
        model.version,
        model.dataset_version,
        other.version if other else "",
        *(str(getattr(settings, name)) for name in SETTINGS),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def report_version(texts: Artifact, profile: VoiceProfile, settings: Settings) -> str:
    """Hash of everything that a report depends on: the texts, the voice, the instruments."""
    slop = "\n".join(terms(settings.slop_terms)) if settings.slop_terms else ""
    judge = [JUDGE, settings.judge_url, settings.judge_model] if settings.judge_url else []
    parts = [MEASURES, texts.version, profile.version, settings.embedder, settings.style_encoder, slop, *judge]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _model(author: str, registry: Registry) -> Model:
    model = registry.latest_model(author)
    if model is None:
        raise TwinError(f"{author} has no trained model to evaluate. Materialize training/adapter_weights first.")
    return model


def _other_twin(model: Model, registry: Registry, settings: Settings) -> Model | None:
    """The newest twin of the first of the control authors that has one on the same base model."""
    others = (registry.latest_model(name) for name in settings.controls if name != model.author)
    return next((other for other in others if other and other.base_model == model.base_model), None)


def _deployed(model: Model, platform: PlatformResource, profile: VoiceProfile) -> dict[str, Any]:
    """Which other twin serves now, and the share of its stored texts that sound like the author, by today's profile.

    By its own report it would be held against a voice that was measured otherwise.
    """
    registry = platform.registry()
    deployment = registry.deployment(model.author)
    if deployment is None or deployment.model_version == model.version:
        return {"deployed_voice": None, "deployed_version": None}
    served = deployment.model_version
    stored = [
        one for one in registry.artifacts(model.author, TEXTS) if one.figures.get("model_version") == served and UPath(one.uri).exists()
    ]
    if not stored:
        return {"deployed_voice": None, "deployed_version": served}
    written = Written.from_lines(platform.artifacts().read_bytes(stored[0].uri).decode())
    return {"deployed_voice": attribution_rate(profile, written.texts["twin"]), "deployed_version": served}


def _dataset(model: Model, platform: PlatformResource) -> Dataset:
    stored = platform.registry().artifact(model.author, "instruct_dataset", model.dataset_version)
    if stored is None:
        raise TwinError(f"The dataset {model.dataset_version} of model {model.version} is not registered. Train again.")
    return load_dataset(platform.artifacts().local(stored.uri))


def _write(context: dg.AssetExecutionContext, platform: PlatformResource, model: Model, other: Model | None) -> Written:
    settings, artifacts = platform.settings(), platform.artifacts()

    def file(of: Model) -> Path:
        return merged_gguf(of.version, artifacts.local(of.adapter_uri), of.base_model, settings)

    return write_texts(
        model.author,
        model.version,
        make_tasks(Retriever(platform.database(), settings), _dataset(model, platform), settings),
        contestants(base_gguf(settings, model.base_model), file(model), file(other) if other else None),
        settings,
        progress=lambda done, total: context.log.info(f"{done} of {total} texts written") if done % 8 == 0 else None,
    )


def _judge(
    platform: PlatformResource, model: Model, texts: Artifact, profile: VoiceProfile, version: str
) -> tuple[str, dict[str, Any], str]:
    """Where the report is, its figures and its version: another one where the judge was not there, so that it is asked again."""
    settings, artifacts = platform.settings(), platform.artifacts()
    own = tuple(example.answer for example in _dataset(model, platform).train)
    style = embedder(settings.style_encoder, settings).encode if settings.style_encoder else None
    yardsticks = Yardsticks(profile, VerbatimIndex(own), embedder(settings.embedder, settings), settings.slop_terms, own, style)
    written = Written.from_lines(artifacts.read_bytes(texts.uri).decode())
    versions = {
        "dataset_version": model.dataset_version,
        "texts_version": texts.version,
        "profile_version": profile.version,
        "instruments_version": MEASURES,
    }
    ladder = replace(judge_texts(written, yardsticks), versions=versions)
    judgement = judge_by_model(written.tasks, written.texts, endpoint_of(settings), _others(model.author, platform), ask_for_content)
    if judgement.status == "down":
        version = hashlib.sha256(f"{version}\n{judgement.reason}".encode()).hexdigest()[:16]
    with _written(ladder, judgement) as folder:
        uri = artifacts.put_directory(model.author, REPORT, version, folder)
    figures = json.loads(artifacts.read_bytes(f"{uri}/figures.json"))
    track(model.author, version, figures, artifacts.read_bytes(f"{uri}/report.html").decode(), settings, _adapter(model))
    return uri, figures, version


def _adapter(model: Model) -> Traced | None:
    digest = model.figures.get("adapter_sha256")
    return adapter(model.author, model.version, digest, model.base_model, model.dataset_version) if digest else None


def _others(author: str, platform: PlatformResource) -> dict[str, list[str]]:
    """Who a judge must tell the author from: the real people that TWIN_CONTROL_AUTHORS names, or else the invented voices."""
    database, names = platform.database(), [name for name in platform.settings().controls if name != author]
    real = {name: [document.text_for_voice for document in load_documents(database, name)] for name in names}
    return {name: texts for name, texts in real.items() if texts} or control_texts()


@contextmanager
def _written(ladder: Ladder, judgement: Judgement) -> Iterator[Path]:
    """A folder with the report: for a browser, for a terminal, for a program, and every text, and every answer of a judge."""
    with tempfile.TemporaryDirectory() as name:
        folder, images = Path(name), plots(ladder)
        for file, data in images.items():
            (folder / file).write_bytes(data)
        (folder / "report.html").write_text(to_html(ladder, images, judgement), encoding="utf-8")
        (folder / "report.md").write_text(to_markdown(ladder, judgement), encoding="utf-8")
        (folder / "ladder.md").write_text(table(ladder), encoding="utf-8")
        (folder / "figures.json").write_text(json.dumps(_figures(ladder) | judgement.figures, indent=1), encoding="utf-8")
        (folder / "texts.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(ladder)), encoding="utf-8")
        if judgement.rows:
            (folder / "judge.jsonl").write_text(judgement.to_lines(), encoding="utf-8")
        yield folder


def _figures(ladder: Ladder) -> dict[str, Any]:
    return {"model_version": ladder.model_version, **ladder.versions, **ladder.figures}


def _rows(ladder: Ladder) -> Iterator[dict[str, Any]]:
    for rung in ladder.rungs:
        for task, text, voice in zip(ladder.tasks, rung.texts, rung.voices, strict=True):
            row = {"rung": rung.name, "example": str(task.id), "prompt": task.request, "text": text}
            if isinstance(voice, NotEnough):
                yield {**row, "not_enough": voice.reason}
            else:
                yield {**row, "voice": voice.score, "low": voice.low, "high": voice.high, "own": voice.own, "like": voice.attributed_to}


def _metadata(report: Artifact, artifacts: ArtifactStore) -> dict[str, Any]:
    picture = base64.b64encode(artifacts.read_bytes(f"{report.uri}/voice.png")).decode()
    return {
        "ladder": dg.MetadataValue.md(artifacts.read_bytes(f"{report.uri}/ladder.md").decode()),
        "voice": dg.MetadataValue.md(f"![texts that sound like the author, per rung](data:image/png;base64,{picture})"),
        "report": dg.MetadataValue.path(f"{report.uri}/report.html"),
        "texts": dg.MetadataValue.path(f"{report.uri}/texts.jsonl"),
        **report.figures,
    }
