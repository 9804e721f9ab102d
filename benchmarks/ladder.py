"""What moves voice and content: the ladder for several ways of training and writing, on one author's real writing.

``--data DIR`` is the author's writing, each ``--control DIR`` another author's: a control voice, and whose twin is trained as well for the
rung "another author's twin". ``--variants A,B`` are names in ``VARIANTS``; each is trained once and found again in ``--work``. All variants
write for the same held-out prompts, with the same seeds, and are judged by the same instruments. The reference, in the same run, is the
base model with all the help of a prompt, and the author's own held-out passages.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from upath import UPath

from benchmarks.frame import ROOT, Result, run, say
from twin_assets.cleaning.documents import load_documents, split
from twin_assets.evaluation.ladder import Contestant, Written, contestants, judge_texts, make_tasks, write_texts
from twin_assets.evaluation.report import plots, to_html, to_markdown
from twin_assets.evaluation.rungs import Ladder, RungName, Task, Yardsticks
from twin_assets.features.retrieval import Retriever
from twin_assets.sample import SAMPLE_AUTHOR
from twin_assets.settings import Settings, get_settings
from twin_assets.store.database import Database, open_database
from twin_assets.training import trainer
from twin_assets.training.dataset import Dataset, Example, write_dataset
from twin_assets.training.examples import build_dataset
from twin_assets.training.gguf import base_gguf, merged_gguf
from twin_assets.training.notes import retrieved
from twin_assets.training.pairs import Rival, build_preferences, candidates
from twin_assets.training.preferences import Preferences, write_preferences
from twin_assets.training.recipes import chosen, read
from twin_assets.voice.memorisation import VerbatimIndex
from twin_assets.writing.prompts import Brief

RECIPE = ROOT / "training_configs" / "smollm2-135m-lora-cpu.yaml"
DPO = "smollm2-135m-dpo-cpu"


@dataclass(frozen=True)
class Variant:
    """One way of training and writing.

    Attributes:
        passages: Training passages at most.
        steps: Optimizer steps; four passages are one.
        recipe: What differs from the configuration of the smallest model.
        prompt: What the prompt says: ``full`` is title, heading and key points, ``title`` is without key points.
        kinds: Kinds of prompts, as ``TWIN_PROMPT_KINDS`` has them.
        writing: Settings of the decoding.
        preferences: Pairs, at most, that DPO goes on with; 0 is none.
        means: For people.
    """

    means: str
    passages: int = 480
    steps: int = 120
    recipe: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = "full"
    kinds: str = "brief=6,rag=3,continue"
    writing: Mapping[str, Any] = field(default_factory=dict)
    preferences: int = 0


VARIANTS: dict[str, Variant] = {
    "default": Variant("480 passages, one epoch, rank 32"),
    "p120": Variant("120 passages", passages=120, steps=30),
    "p240": Variant("240 passages", passages=240, steps=60),
    "p240e2": Variant("240 passages, two epochs", passages=240),
    "p960": Variant("960 passages", passages=960, steps=240),
    "e2": Variant("two epochs", steps=240),
    "r8": Variant("rank 8", recipe={"lora_r": 8, "lora_alpha": 16}),
    "lr1e-4": Variant("learning rate 1e-4", recipe={"learning_rate": 1e-4}),
    "dpo": Variant("120 pairs against the base model, by DPO", preferences=120),
    "title": Variant("prompts without key points", prompt="title"),
    "rag": Variant("half of the prompts with notes", kinds="brief,rag"),
    "briefs": Variant("briefs alone as prompts", kinds="brief"),
    "t0.8": Variant("temperature 0.8", writing={"temperature": 0.8}),
    "t1.0": Variant("temperature 1.0", writing={"temperature": 1.0}),
    "copying": Variant("no copy penalty", writing={"copy_penalty": 0.0}),
    "no-repetition-penalty": Variant("no repetition penalty", writing={"repetition_penalty": 1.0}),
    "context4": Variant("four passages in the prompt", writing={"context_passages": 4}),
}


@dataclass(frozen=True)
class Author:
    """An author whose writing is collected, cleaned, embedded and profiled."""

    name: str
    database: Database
    settings: Settings


def measure(arguments: argparse.Namespace) -> Result:
    """Trains, writes and judges every variant."""
    if arguments.data is None:
        raise SystemExit("give the author's writing: --data DIR")
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.work.chmod(0o755)
    others = [_name(folder) for folder in arguments.control]
    os.environ.update(TWIN_HOME=str(arguments.work), DAGSTER_HOME="", TWIN_EVAL_PROMPTS=str(arguments.prompts))
    os.environ.update(TWIN_CONTROL_AUTHORS=",".join([*others, SAMPLE_AUTHOR]))
    get_settings.cache_clear()
    for folder in arguments.control:
        _prepare(_name(folder), [folder], "cleaned_documents")
    from twin_assets.sample import sample_sources

    _prepare(SAMPLE_AUTHOR, sample_sources(), "cleaned_documents")
    name = _name(arguments.data)
    _prepare(name, [arguments.data], "voice_profile")
    for one in (name, *others[:1]):  # whose twins are trained
        _prepare(one, [], "embeddings")
    author = Author(name, open_database(get_settings()), get_settings())
    other = _trained(replace(author, name=others[0]), VARIANTS["default"]) if others else None
    chosen = arguments.variants.split(",") if arguments.variants else list(VARIANTS)
    ladders = {variant: _climbed(author, variant, other if variant == "default" else None, arguments.work) for variant in chosen}
    return _result(ladders)


def _name(folder: Path) -> str:
    return folder.name.replace("_", "-").lower()


def _prepare(name: str, sources: Sequence[Path], to: str) -> None:
    twin = [sys.executable, "-m", "twin_assets.cli"]
    if sources:
        subprocess.run(
            [*twin, "add", name, *(part for source in sources for part in ("--source", str(source)))],
            cwd=ROOT,
            stdout=sys.stderr,
            check=True,
        )
    subprocess.run([*twin, "run", name, "--to", to], cwd=ROOT, stdout=sys.stderr, check=True)


def _dataset(author: Author, variant: Variant) -> Dataset:
    settings = author.settings.model_copy(update={"max_passages": variant.passages, "prompt_kinds": variant.kinds})
    parts = split(load_documents(author.database, author.name), settings.held_out_share)
    with retrieved(author.database, settings, author.name) as notes:
        found = build_dataset(author.name, parts, settings, notes)
    return replace(found, train=[_without_points(example) for example in found.train]) if variant.prompt == "title" else found


def _without_points(example: Example) -> Example:
    turns = [dict(turn) for turn in example.messages]
    turns[-2]["content"] = turns[-2]["content"].partition("\nKey points: ")[0]
    return replace(example, messages=turns)


def _trained(author: Author, variant: Variant) -> Path:
    """The served file of a variant, trained where it was not before."""
    recipe = author.settings.home / f"recipe-{os.getpid()}.yaml"
    recipe.write_text(yaml.safe_dump({**yaml.safe_load(RECIPE.read_text()), **variant.recipe}))
    settings = author.settings.model_copy(update={"training_config": str(recipe), "training_max_steps": variant.steps})
    dataset = _dataset(author, variant)
    plan = trainer.make_plan(author.name, f"{dataset.version}-{variant.prompt}", settings)
    folder = plan.folder.parent / f"{plan.version}-dataset"
    write_dataset(dataset, folder)
    say(f"training {author.name}: {variant.means}")
    _train(plan, folder / "train.jsonl", settings)
    if variant.preferences:
        pairs = _pairs(author, dataset, settings.model_copy(update={"max_preferences": variant.preferences}))
        plan = trainer.go_on(plan, read(DPO), pairs.version, settings)
        write_preferences(pairs, folder / "pairs")
        _train(plan, folder / "pairs" / "train.jsonl", settings)
    recipe.unlink()
    return merged_gguf(plan.version, plan.adapter, plan.base_model, settings)


def _train(plan: trainer.Plan, training_file: Path, settings: Settings) -> None:
    if trainer.finished(plan):
        return
    config = trainer.write_config(plan, training_file, settings)
    environment = {**os.environ, **trainer.trainer_environment(settings, dict(os.environ))}
    subprocess.run(trainer.trainer_command(plan, config, settings), env=environment, check=True)
    trainer.mark_finished(plan, [])


def _pairs(author: Author, dataset: Dataset, settings: Settings) -> Preferences:
    spec = chosen(settings).base_model
    rival = Rival(spec, base_gguf(settings, spec), UPath(settings.home / "rejected"), settings)
    answers = rival.answers(author.name, candidates(dataset, settings))
    return build_preferences(dataset, answers, spec, load_documents(author.database, author.name))


def _climbed(author: Author, name: str, other: Path | None, work: Path) -> Ladder:
    variant = VARIANTS[name]
    settings = author.settings.model_copy(update=dict(variant.writing))
    stored = work / "ladders" / f"{name}-{settings.eval_prompts}.jsonl"
    if not stored.exists():
        models: Sequence[Contestant] = contestants(base_gguf(settings), _trained(author, variant), other)
        if name != "default":
            first: tuple[tuple[RungName, bool, bool], ...] = (("base", False, False), ("base_few_shot_rag", True, True))
            models = (replace(models[0], rungs=first if variant.writing else ()), *models[1:])
        say(f"writing: {name} ({variant.means})")
        written = write_texts(author.name, name, _tasks(author, variant, settings), [model for model in models if model.rungs], settings)
        stored.parent.mkdir(exist_ok=True)
        stored.write_text(_with_base(written, work, settings).to_lines())
    return _judged(author, variant, Written.from_lines(stored.read_text()), work / "ladders" / name)


def _with_base(written: Written, work: Path, settings: Settings) -> Written:
    """Training changes nothing about what the base model writes: those texts are the default's."""
    if "base" in written.texts:
        return written
    default = Written.from_lines((work / "ladders" / f"default-{settings.eval_prompts}.jsonl").read_text())
    base = {name: default.texts[name] for name in ("base", "base_few_shot_rag")}
    return replace(written, texts={**base, **written.texts})


def _tasks(author: Author, variant: Variant, settings: Settings) -> list[tuple[Task, Brief]]:
    tasks = make_tasks(Retriever(author.database, settings), _dataset(author, VARIANTS["default"]), settings)
    if variant.prompt == "full":
        return tasks
    return [(replace(task, request=task.request.partition("\nKey points: ")[0]), replace(brief, phrases=())) for task, brief in tasks]


def _judged(author: Author, variant: Variant, written: Written, folder: Path) -> Ladder:
    from twin_assets.models import embedder
    from twin_assets.store.artifacts import ArtifactStore
    from twin_assets.store.registry import Registry
    from twin_assets.voice.profile import load_profile

    profile = load_profile(Registry(author.database), ArtifactStore(author.settings.artifacts_url), author.name)
    own = tuple(example.answer for example in _dataset(author, variant).train)
    ladder = judge_texts(written, Yardsticks(profile, VerbatimIndex(own), embedder(author.settings.embedder, author.settings), None, own))
    folder.mkdir(exist_ok=True)
    images = plots(ladder)
    (folder / "report.html").write_text(to_html(ladder, images))
    (folder / "report.md").write_text(to_markdown(ladder))
    (folder / "figures.json").write_text(json.dumps(ladder.figures, indent=1))
    return ladder


def _result(ladders: Mapping[str, Ladder]) -> Result:
    head = "| variant | attributed: twin, +RAG | voice score | told apart | key points: twin, +RAG | meaning +RAG | slop | longest copy | 8-grams |"
    rows = [head, "|---" * 9 + "|"]
    for name, ladder in ladders.items():
        f = ladder.figures
        rows.append(
            f"| {VARIANTS[name].means} | {f['voice_twin']:.2f}, {f['voice_twin_rag']:.2f} | {f['voice_score_twin']:.2f} | "
            f"{f.get('separable_twin', float('nan')):.2f} | {f.get('facts_twin', 0):.2f}, {f.get('facts_twin_rag', 0):.2f} | "
            f"{f['content_twin_rag']:.2f} | {f['slop_twin']:.1f} | {f['verbatim_longest']:.0f} | {f['overlap_twin']:.1%} |"
        )
    first = next(iter(ladders.values())).figures
    base = {name: first[name] for name in first if name.endswith(("base_few_shot_rag", "human"))}
    return Result({f"{name}.{key}": value for name, ladder in ladders.items() for key, value in ladder.figures.items()}, base, rows)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--control", type=Path, action="append", default=[], help="folder of another author: a control voice, the first a twin"
    )
    parser.add_argument("--variants", default="", help=f"names with commas, of {', '.join(VARIANTS)}; all of them when left out")
    parser.add_argument("--prompts", type=int, default=40, help="held-out prompts")
    parser.add_argument("--work", type=Path, required=True, help="a data home that is kept: trainings and texts are found again there")


if __name__ == "__main__":
    run("ladder", measure, _arguments)
