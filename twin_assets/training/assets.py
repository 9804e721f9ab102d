"""Assets of the training stage: the dataset and the adapter."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from twin_assets.cleaning.annotate import parse_regions
from twin_assets.cleaning.documents import Document, load_documents, split
from twin_assets.partitions import authors
from twin_assets.resources import AwsResource, PlatformResource
from twin_assets.settings import Settings
from twin_assets.store.edits import edits_of
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Model, Registry
from twin_assets.training.budget import COST, Estimate, allowance, estimate, paid_for, require_budget, taken, together
from twin_assets.training.card import model_card
from twin_assets.training.dataset import load_dataset, write_dataset
from twin_assets.training.examples import build_dataset
from twin_assets.training.gguf import base_gguf
from twin_assets.training.launchers import Launcher, launcher_of
from twin_assets.training.machine import gpus_for, require_known_keys, require_ready
from twin_assets.training.notes import retrieved
from twin_assets.training.pairs import Rival, build_preferences, candidates
from twin_assets.training.preferences import write_preferences
from twin_assets.training.publication import pending
from twin_assets.training.quality import faults, own_words
from twin_assets.training.recipes import Recipe, chosen, preferred
from twin_assets.training.teacher import teacher_of
from twin_assets.training.trainer import Plan, finished, finished_figures, go_on, loss_plot, make_plan, mark_finished, restore
from twin_assets.writing.batch import Progress

DATASET, ADAPTER, TEACHER = "instruct_dataset", "adapter_weights", "teacher"
PREFERENCES, REJECTED = "preference_dataset", "rejected"
NO_PREFERENCES = "No preferences are learned: TWIN_PREFERENCE_CONFIG names no training configuration."
DATASET_SETTINGS = (
    *("held_out_share", "passage_min_words", "passage_max_words", "max_passages", "prompt_kinds", "context_passages"),
    *("teacher_url", "teacher_model", "embedder", "reranker"),
)


@dg.asset(
    key_prefix="training",
    partitions_def=authors,
    deps=[dg.AssetKey(["cleaning", "cleaned_documents"]), dg.AssetKey(["features", "embeddings"])],
    group_name="training",
    kinds={"python", "parquet"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version="5",
)
def instruct_dataset(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """Prompts made for the author's **verbatim** passages: what the twin learns from.

    Every answer is copied from a cleaned document, letter by letter; only the prompts are made, from the title, key
    phrases, platform and length, some with notes that search finds in the author's other documents. The newest
    documents are held out for the evaluation; a training passage that is an exact or near copy of a held-out one is
    dropped, and no prompt shows one. Fails, saying how much is missing, when the author has too little text. Where the author's thresholds
    ask for more new words than there are, the last dataset stays and the new words are pending.
    """
    author, settings, registry = context.partition_key, platform.settings(), platform.registry()
    try:
        documents = load_documents(platform.database(), author)
        published = registry.latest_artifact(author, DATASET)
        if published and (why := _pending(published, documents, platform)):
            context.log.info(why)
            return dg.MaterializeResult(metadata={"pending": why, **published.figures}, data_version=dg.DataVersion(published.version))
        parts = split(documents, settings.held_out_share)
        teacher = teacher_of(settings, platform.artifacts().root / author / TEACHER)
        if teacher:
            require_ready(settings, registry.overrides(author))  # before it is paid
        with retrieved(platform.database(), settings, author) as notes:
            dataset = build_dataset(author, parts, settings, notes, teacher)
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(dataset, Path(folder))
        card = (Path(folder) / "README.md").read_text()
        uri = platform.artifacts().put_directory(author, DATASET, dataset.version, Path(folder))
    figures = {**dataset.figures, **(teacher.figures if teacher else {})}
    kept = {"prose_words": _prose_words(documents), "made_with": made_with(settings), "documents_version": _version(documents)}
    registry.record_artifact(author, DATASET, dataset.version, uri, {**figures, **kept})
    examples = [
        dg.TableRecord({"prompt": example.messages[-2]["content"][:200], "answer": example.answer[:200], "words": example.words})
        for example in dataset.train[:5]
    ]
    return dg.MaterializeResult(
        metadata={
            **figures,
            "card": dg.MetadataValue.md(card),
            "examples": dg.MetadataValue.table(examples),
            "path": dg.MetadataValue.path(uri),
        },
        data_version=dg.DataVersion(dataset.version),
    )


@dg.asset(
    key_prefix="training",
    partitions_def=authors,
    deps=[dg.AssetKey(["training", DATASET])],
    group_name="training",
    kinds={"python", "parquet"},
    owners=["team:twin"],
    tags={"cost": "gpu"},
    code_version="1",
)
def preference_dataset(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """Pairs of what the author wrote and what the base model answers to the same prompt, or what a draft said: what DPO learns from.

    The prompts and the chosen words are those of the newest dataset's training split. The base model answers on this machine, once for
    each prompt: a run that was killed goes on, and a second one asks nothing. Without TWIN_PREFERENCE_CONFIG nothing is made.
    """
    author, settings, registry = context.partition_key, platform.settings(), platform.registry()
    if not settings.preference_config:
        return dg.MaterializeResult(metadata={"off": NO_PREFERENCES}, data_version=dg.DataVersion("off"))
    try:
        own = registry.overrides(author)
        require_ready(settings, own)  # before the base model is asked for hours
        newest = _newest(author, registry)
        _require_sound(newest, platform)
        dataset = load_dataset(platform.artifacts().local(newest.uri))
        base = chosen(settings, own).base_model
        rival = Rival(base, base_gguf(settings, base), platform.artifacts().root / author / REJECTED, settings)
        said = rival.answers(author, candidates(dataset, settings), _progress(context))
        documents, edits = load_documents(platform.database(), author), edits_of(platform.database(), author)
        preferences = build_preferences(dataset, said, rival.spec, documents, edits, parse_regions(settings.phone_regions))
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    with tempfile.TemporaryDirectory() as folder:
        write_preferences(preferences, Path(folder))
        card = (Path(folder) / "README.md").read_text()
        uri = platform.artifacts().put_directory(author, PREFERENCES, preferences.version, Path(folder))
    figures = {**preferences.figures, **rival.figures, "dataset_version": dataset.version, "base_model": rival.spec}
    registry.record_artifact(author, PREFERENCES, preferences.version, uri, figures)
    examples = [
        dg.TableRecord({"prompt": pair.messages[-1]["content"][:200], "chosen": pair.chosen[:200], "rejected": pair.rejected[:200]})
        for pair in preferences.pairs[:5]
    ]
    return dg.MaterializeResult(
        metadata={
            **figures,
            "card": dg.MetadataValue.md(card),
            "examples": dg.MetadataValue.table(examples),
            "path": dg.MetadataValue.path(uri),
        },
        data_version=dg.DataVersion(preferences.version),
    )


@dg.asset(
    key_prefix="training",
    partitions_def=authors,
    deps=[dg.AssetKey(["training", DATASET]), preference_dataset],
    group_name="training",
    kinds={"axolotl", "huggingface"},
    owners=["team:twin"],
    tags={"cost": "gpu"},
    pool="gpu",
    code_version="1",
)
def adapter_weights(
    context: dg.AssetExecutionContext, platform: PlatformResource, pipes: dg.PipesSubprocessClient, aws: AwsResource
) -> dg.MaterializeResult:
    """The LoRA adapter that carries the author's voice, trained by axolotl: on this machine, on SageMaker or on ECS.

    It learns from the author's passages, and then, with TWIN_PREFERENCE_CONFIG, from pairs: the same adapter goes on.

    Loss, tokens per second and the time left stream into this run's log. A training that was killed goes on from its
    last checkpoint; one that runs already on AWS is waited for and not started twice; one that was finished before with the
    same dataset, recipe and base model is not repeated. Cancelling this run ends the training.
    """
    author, settings, registry = context.partition_key, platform.settings(), platform.registry()
    try:
        dataset = _newest(author, registry)
        _require_sound(dataset, platform)
        lessons = _lessons(dataset, platform)
        if model := _known(lessons[-1].plan, platform):
            context.log.info(f"model {model.version} was trained before: nothing to do")
            registry.record_model(model)  # the newest again
        else:
            _known(lessons[0].plan, platform)
            due = [lesson for lesson in lessons if not finished(lesson.plan)]
            _require_allowed(due, registry, settings)
            launcher = launcher_of(settings, pipes, aws)
            own = {lesson.plan.version for lesson in due}
            taught = [_train(context, launcher, registry, lesson, own, settings) for lesson in lessons]
            model = _register(platform, registry, lessons[-1].plan, _figures(lessons, taught, registry), dataset.figures)
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    figures = {**model.figures, **taken(model, registry.artifacts(author, COST))}
    return dg.MaterializeResult(metadata=_metadata(model, figures), data_version=dg.DataVersion(model.version))


def made_with(settings: Settings) -> str:
    """Hash of the settings that a dataset depends on."""
    values = [getattr(settings, name) for name in DATASET_SETTINGS]
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]


def _pending(published: Artifact, documents: Sequence[Document], platform: PlatformResource) -> str | None:
    thresholds = platform.registry().thresholds(published.author)
    if not (thresholds.dataset_words or thresholds.dataset_days):
        return None
    found = load_dataset(platform.artifacts().local(published.uri))
    settings, examples, now = platform.settings(), [*found.train, *found.held_out], datetime.now(UTC)
    why = pending(published, examples, own_words(documents), _prose_words(documents), made_with(settings), thresholds, now)
    return None if faults(found, documents, settings) else why  # nothing learns from it: a new one does not wait


def _progress(context: dg.AssetExecutionContext) -> Progress:
    return lambda done, total: context.log.info(f"{done} of {total} texts written") if done % 8 == 0 else None


def _newest(author: str, registry: Registry) -> Artifact:
    dataset = registry.latest_artifact(author, DATASET)
    if dataset is None:
        raise TwinError(f"{author} has no dataset yet. Materialize training/{DATASET} first.")
    return dataset


def _require_sound(dataset: Artifact, platform: PlatformResource) -> None:
    """Also where the asset is materialized alone, without the checks before it."""
    documents = load_documents(platform.database(), dataset.author)
    found = faults(load_dataset(platform.artifacts().local(dataset.uri)), documents, platform.settings())
    if found:
        raise TwinError(
            f"Nothing may learn from dataset {dataset.version} of {dataset.author}. {' '.join(found)} Materialize training/{DATASET} again; "
            "its checks say what to do where that does not help."
        )


def _prose_words(documents: Sequence[Document]) -> int:
    return sum(document.voice_words for document in documents)


def _version(documents: Sequence[Document]) -> str:
    """Hash of the documents that a dataset was made from: its lineage."""
    return hashlib.sha256("\n".join(sorted(f"{one.id} {one.content_hash}" for one in documents)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A training that is to be: its plan, its recipe, and the file that it learns from."""

    plan: Plan
    recipe: Recipe
    training_file: Path


def _lessons(dataset: Artifact, platform: PlatformResource) -> list[_Lesson]:
    """The training on the author's passages, and where the settings name one, the training on pairs that goes on with its adapter."""
    settings, artifacts, own = platform.settings(), platform.artifacts(), platform.registry().overrides(dataset.author)
    plan = make_plan(dataset.author, dataset.version, settings, own)
    first = _Lesson(plan, chosen(settings, own).launched(settings), artifacts.local(dataset.uri) / "train.jsonl")
    if (going_on := preferred(settings, own)) is None:
        return [first]
    pairs = platform.registry().latest_artifact(dataset.author, PREFERENCES)
    if pairs is None:
        raise TwinError(f"{dataset.author} has no preference dataset yet. Materialize training/{PREFERENCES} first.")
    made_for = (pairs.figures.get("dataset_version"), pairs.figures.get("base_model"))
    if made_for != (dataset.version, first.recipe.base_model):
        raise TwinError(
            f"The newest pairs of {dataset.author} were made for dataset {made_for[0]} and base model {made_for[1]}, and not for "
            f"{dataset.version} and {first.recipe.base_model}. Materialize training/{PREFERENCES} again."
        )
    plan = go_on(first.plan, going_on, pairs.version, settings, own)
    return [first, _Lesson(plan, going_on.launched(settings), artifacts.local(pairs.uri) / "train.jsonl")]


def _known(plan: Plan, platform: PlatformResource) -> Model | None:
    """The model that was made before; its training's folder is put back where it is gone."""
    model = platform.registry().model(plan.version)
    if model and not finished(plan):
        restore(plan, platform.artifacts().local(model.adapter_uri), model.figures)
    return model


def _expected(lesson: _Lesson) -> Estimate:
    return estimate(lesson.training_file, lesson.plan.recipe, lesson.recipe.expected)


def _require_allowed(due: Sequence[_Lesson], registry: Registry, settings: Settings) -> None:
    """Before the first is paid for, refuses trainings that cost too much together, are too big for this machine, or not known to axolotl."""
    if not due:
        return
    own = {lesson.plan.version for lesson in due}
    paid = settings.training_launcher != "local" or any(_price(lesson.recipe) > 0 for lesson in due)
    require_budget(together([_expected(lesson) for lesson in due]), _spent(registry), own, settings, datetime.now(UTC), paid=paid)
    for lesson in due:
        if settings.training_launcher == "local":
            gpus_for(lesson.recipe)
        require_known_keys(lesson.recipe, settings)


def _spent(registry: Registry) -> list[Artifact]:
    return [one for author in registry.authors() for one in registry.artifacts(author, COST)]


def _train(
    context: dg.AssetExecutionContext, launcher: Launcher, registry: Registry, lesson: _Lesson, own: set[str], settings: Settings
) -> dict[str, Any]:
    plan, recipe = lesson.plan, lesson.recipe
    if finished(plan):
        context.log.info(f"model {plan.version} was trained before: nothing to do")
        return finished_figures(plan)
    expected, most = _expected(lesson), allowance(plan.version, _spent(registry), own, settings, datetime.now(UTC))
    context.log.info(f"training model {plan.version} with {recipe.name}: {expected}")
    with paid_for(registry, plan.author, plan.version, expected, _price(recipe), most) as bill:
        steps = launcher.train(context, plan, recipe, lesson.training_file, bill)
    return mark_finished(plan, steps)


def _price(recipe: Recipe) -> float:
    return recipe.expected.dollars_per_hour if recipe.expected else 0.0


def _figures(lessons: Sequence[_Lesson], taught: Sequence[dict[str, Any]], registry: Registry) -> dict[str, Any]:
    """Those of the last training, with what it learned from and what it went on with."""
    plan = lessons[-1].plan
    if not plan.after:
        return taught[-1]
    pairs = registry.artifact(plan.author, PREFERENCES, plan.preferences)
    kept = ("steps", "loss_first", "loss_last", "held_out_loss_first", "held_out_loss_last", "losses")
    first = {name: taught[0].get(name) for name in kept}
    learned = {"preference_version": plan.preferences, "preference_pairs": pairs.figures.get("pairs") if pairs else None}
    return {**taught[-1], **learned, "first_training": {"version": plan.after, **first}}


def _register(platform: PlatformResource, registry: Registry, plan: Plan, figures: dict[str, Any], dataset: Mapping[str, Any]) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        for file in plan.adapter.iterdir():
            if file.is_file() and file.suffix in {".safetensors", ".json", ".jinja"}:
                (Path(folder) / file.name).write_bytes(file.read_bytes())
        (Path(folder) / "axolotl.yaml").write_bytes((plan.folder / "axolotl.yaml").read_bytes())
        model = Model(plan.version, plan.author, plan.dataset_version, plan.config_hash, plan.base_model, "", figures=figures)
        (Path(folder) / "README.md").write_text(model_card(model, dataset, plan.recipe), encoding="utf-8")
        uri = platform.artifacts().put_directory(plan.author, ADAPTER, plan.version, Path(folder))
    model = replace(model, adapter_uri=uri)
    registry.record_model(model)
    return model


def _metadata(model: Model, figures: dict[str, Any]) -> dict[str, Any]:
    held_out = figures.get("held_out_loss_first"), figures.get("held_out_loss_last")
    first = figures.pop("first_training", {})
    picture = base64.b64encode(loss_plot(figures.pop("losses", []), held_out)).decode()
    return {
        "model_version": model.version,
        "dataset_version": model.dataset_version,
        "base_model": model.base_model,
        "config_hash": model.config_hash,
        "adapter": dg.MetadataValue.path(model.adapter_uri),
        "loss": dg.MetadataValue.md(f"![loss over the steps](data:image/png;base64,{picture})"),
        **{name: value for name, value in figures.items() if value is not None},
        **{f"first_{name}": value for name, value in first.items() if name != "losses" and value is not None},
    }
