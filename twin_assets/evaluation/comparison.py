"""The author's trainings beside each other: what went in, what it took, how the twin writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from upath import UPath

from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Model, Registry
from twin_assets.training.budget import COST, taken
from twin_assets.training.hub import PUSHED

MEASURED = {
    "prompts": "held-out prompts",
    "voice_twin": "sounds like the author",
    "voice_twin_rag": "the same with retrieval",
    "voice_human": "the author's own texts do",
    "voice_gain": "over the prompted base model",
    "separable_twin": "told apart from the author (AUC)",
    "facts_twin_rag": "key points kept with retrieval",
    "content_twin_rag": "close in meaning with retrieval",
    "slop_twins": "marks of machine prose per 1,000 words",
    "verbatim_longest": "longest copy, words",
}
LEARNED = {"train_examples": "passages", "train_words": "words", "train_documents": "documents"}
TOOK = {
    "preference_pairs": "pairs",
    "reward_accuracy": "pairs told apart",
    "reward_margin": "margin between them",
    "steps": "steps",
    "loss_first": "loss at first",
    "loss_last": "loss at last",
    "held_out_loss_first": "held-out loss at first",
    "held_out_loss_last": "held-out loss at last",
    "tokens_per_second": "tokens per second",
}
PLACES = frozenset(
    {"base_model", "datasets", "dataset_prepared_path", "lora_model_dir", "output_dir", "test_datasets"}
    | {"wandb_name", "wandb_project", "plugins"}
)
"""What differs between two configurations that train the same way."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One training of an author's.

    Attributes:
        version: The model.
        status: Its stage.
        base_model: What it was trained on.
        dataset_version: What it learned from.
        figures: By what they mean, in the order of the work: what was learned, what it took, how it writes. What is not known is left out.
        recipe: What axolotl was told, but for places.
        pushed: Repositories on the hub that it was pushed to.
    """

    version: str
    status: str
    base_model: str
    dataset_version: str
    figures: dict[str, float]
    recipe: dict[str, Any] = field(default_factory=dict)
    pushed: tuple[str, ...] = ()


def experiments(author: str, registry: Registry) -> list[Experiment]:
    """All trainings of an author, the newest first."""
    reports: dict[str, Mapping[str, Any]] = {}
    for report in registry.artifacts(author, "eval_report"):
        reports.setdefault(str(report.figures.get("model_version")), report.figures)
    datasets = {one.version: one.figures for one in registry.artifacts(author, "instruct_dataset")}
    costs = registry.artifacts(author, COST)
    pushed = {one.version: tuple(one.figures) for one in registry.artifacts(author, PUSHED)}
    return [
        Experiment(
            version=model.version,
            status=model.status,
            base_model=model.base_model,
            dataset_version=model.dataset_version,
            figures={
                **_named(datasets.get(model.dataset_version, {}), LEARNED),
                **_named(model.figures, TOOK),
                **_named(taken(model, costs), {"seconds": "seconds", "dollars": "dollars"}),
                **_named(reports.get(model.version, {}), MEASURED),
            },
            recipe=_recipe(model),
            pushed=pushed.get(model.version, ()),
        )
        for model in registry.models(author)
    ]


def compare(found: Sequence[Experiment], first: str, second: str) -> list[tuple[str, str, str, str]]:
    """What two trainings have apart, row by row: what it is, the first, the second, and how much more the second has.

    Raises:
        TwinError: When there is no such training.
    """
    a, b = (_of(found, version) for version in (first, second))
    rows = [
        ("stage", a.status, b.status, ""),
        ("base model", a.base_model, b.base_model, ""),
        ("dataset", a.dataset_version, b.dataset_version, ""),
        ("pushed to", ", ".join(a.pushed) or "-", ", ".join(b.pushed) or "-", ""),
    ]
    for key in dict.fromkeys([*a.recipe, *b.recipe]):
        if a.recipe.get(key) != b.recipe.get(key):
            rows.append((f"recipe: {key}", str(a.recipe.get(key, "-")), str(b.recipe.get(key, "-")), ""))
    for name in dict.fromkeys([*a.figures, *b.figures]):
        x, y = a.figures.get(name), b.figures.get(name)
        more = f"{y - x:+.4g}" if x is not None and y is not None else ""
        rows.append((name, "-" if x is None else f"{x:.4g}", "-" if y is None else f"{y:.4g}", more))
    return rows


def _of(found: Sequence[Experiment], version: str) -> Experiment:
    matches = [one for one in found if one.version.startswith(version)]
    if len(matches) != 1:
        known = ", ".join(one.version for one in found) or "none"
        raise TwinError(f"{'No' if not matches else 'More than one'} model begins with {version!r}. Known: {known}.")
    return matches[0]


def _named(figures: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    return {said: float(figures[name]) for name, said in names.items() if isinstance(figures.get(name), int | float)}


def _recipe(model: Model) -> dict[str, Any]:
    file = UPath(model.adapter_uri) / "axolotl.yaml"
    if not model.adapter_uri or not file.exists():
        return {}
    found = yaml.safe_load(file.read_text())
    return {key: value for key, value in found.items() if key not in PLACES} if isinstance(found, dict) else {}
