"""What a training will take, before it starts: tokens, hours and dollars, held against the caps of a run and of a month."""

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Model, Registry
from twin_assets.training.recipes import Expected

COST = "training_cost"
TOKENS_PER_WORD = 1.35
TOKENS_AROUND = 30
"""Of a conversation's frame: roles and marks of the chat template."""


class BudgetError(TwinError):
    """A training would cost more than is allowed."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training is expected to take.

    Attributes:
        tokens: That are read, over all epochs.
        hours: Of the whole instance; None where the recipe does not say how fast it is.
        dollars: Their price on demand; None where the recipe does not say.
        instance: What it runs on.
    """

    tokens: int
    hours: float | None = None
    dollars: float | None = None
    instance: str = ""

    @property
    def figures(self) -> dict[str, Any]:
        """For the run's metadata and the registry."""
        return {f"expected_{name}": value for name, value in asdict(self).items() if value not in (None, "")}

    def __str__(self) -> str:
        """For a person."""
        said = f"about {self.tokens:,} tokens"
        if self.hours is not None:
            said += f", {self.hours:.2f} h on {self.instance}"
        return said if self.dollars is None else f"{said}, ${self.dollars:.2f}"


def estimate(training_file: Path, axolotl: Mapping[str, Any], expected: Expected | None) -> Estimate:
    """What a training on a file of conversations takes.

    Args:
        training_file: JSON lines with ``messages``, and with ``chosen`` and ``rejected`` where it learns from pairs.
        axolotl: The recipe, with the bound on the steps.
        expected: What the recipe says of its speed and price.
    """
    lengths = [_tokens(json.loads(line)) for line in training_file.read_text(encoding="utf-8").split("\n") if line]
    longest = int(axolotl.get("sequence_len", 2048))
    once = sum(min(length, longest) for length in lengths)
    tokens = once * float(axolotl.get("num_epochs", 1))
    rows = math.ceil(once / longest) if axolotl.get("sample_packing") else len(lengths)
    steps = _steps(axolotl, rows, max(expected.gpus, 1) if expected else 1)
    if "max_steps" in axolotl and axolotl["max_steps"] < steps:
        tokens *= axolotl["max_steps"] / steps
    if expected is None:
        return Estimate(round(tokens))
    return Estimate(round(tokens), round(expected.hours(tokens), 4), round(expected.dollars(tokens), 4), expected.instance)


def require_budget(expected: Estimate, spent: Iterable[Artifact], version: str, settings: Settings, now: datetime, *, paid: bool) -> None:
    """Refuses a training that would cost more than a run, or the month, may.

    Args:
        expected: Of the training.
        spent: What trainings have cost; one that has not ended counts as it was estimated.
        version: The training's own: what it has cost so far is part of the month.
        settings: The caps.
        now: The time.
        paid: Whether it runs where time costs money.

    Raises:
        BudgetError: When a cap would be passed, or when nothing says what the training costs while there is a cap.
    """
    run, month = settings.training_dollars_run, settings.training_dollars_month
    if expected.dollars is None:
        if paid and (run or month):
            raise BudgetError(
                "The training configuration does not say what it costs, and there is a cap on that. Give it a `twin` block with instance, gpus, "
                "memory_gb, tokens_per_second and dollars_per_hour (docs/training.md), or set both caps to 0."
            )
        return
    if run and expected.dollars > run:
        raise BudgetError(
            f"This training would take {expected}; a run may cost ${run:.2f} (TWIN_TRAINING_DOLLARS_RUN). Raise it, or take a smaller recipe, "
            "fewer passages (TWIN_MAX_PASSAGES) or fewer steps (TWIN_TRAINING_MAX_STEPS)."
        )
    already = sum(
        cost(one) for one in spent if (one.created_at.year, one.created_at.month) == (now.year, now.month) and one.version != version
    )
    if month and already + expected.dollars > month:
        raise BudgetError(
            f"This training would take {expected}, and ${already:.2f} were spent on trainings this month; ${month:.2f} is the month's "
            "cap (TWIN_TRAINING_DOLLARS_MONTH). Raise it, or wait for the next month."
        )


@dataclass(slots=True)
class Bill:
    """What is paid for.

    Attributes:
        seconds: What was billed for a training in all, where somebody counts that; else the time that the run waits counts.
    """

    seconds: float | None = None


@contextmanager
def paid_for(registry: Registry, author: str, version: str, expected: Estimate, dollars_per_hour: float) -> Iterator[Bill]:
    """Notes what a training is expected to cost, and when it has ended, well or not, what it cost with all that it cost before."""
    known = registry.artifact(author, COST, version)
    before = {name: float(known.figures.get(name, 0)) if known else 0.0 for name in ("dollars", "seconds")}
    registry.record_artifact(author, COST, version, "", {**expected.figures, **(before if known else {})})
    started, bill = time.monotonic(), Bill()
    try:
        yield bill
    finally:
        seconds = time.monotonic() - started
        total = {"seconds": before["seconds"] + seconds, "dollars": before["dollars"] + seconds / 3600 * dollars_per_hour}
        if bill.seconds is not None:
            total = {"seconds": bill.seconds, "dollars": bill.seconds / 3600 * dollars_per_hour}
        registry.record_artifact(
            author, COST, version, "", {**expected.figures, **{name: round(value, 4) for name, value in total.items()}}
        )


def cost(of: Artifact) -> float:
    """What a training has cost, or is expected to while it runs for the first time."""
    found = of.figures.get("dollars", of.figures.get("expected_dollars"))
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else 0.0


def taken(model: Model, costs: Iterable[Artifact]) -> dict[str, Any]:
    """What making a model took and was expected to take: of its training, and of the one that it went on with.

    Args:
        model: The model.
        costs: What the author's trainings have cost.
    """
    first = model.figures.get("first_training") or {}
    total: dict[str, Any] = {}
    for figures in (one.figures for one in costs if one.version in (model.version, first.get("version"))):
        for name, value in figures.items():
            numbers = isinstance(value, int | float) and isinstance(total.get(name, 0), int | float)
            total[name] = total.get(name, 0) + value if numbers else value
    return total


def _tokens(row: Mapping[str, Any]) -> int:
    turns = [*row["messages"], *(row[side] for side in ("chosen", "rejected") if side in row)]
    return round(sum(len(turn["content"].split()) for turn in turns) * TOKENS_PER_WORD) + TOKENS_AROUND


def _steps(axolotl: Mapping[str, Any], rows: int, gpus: int) -> int:
    batch = int(axolotl.get("micro_batch_size", 1)) * int(axolotl.get("gradient_accumulation_steps", 1)) * gpus
    return max(1, math.ceil(math.ceil(rows / batch) * float(axolotl.get("num_epochs", 1))))
