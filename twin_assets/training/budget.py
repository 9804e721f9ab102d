"""What a training will take, before it starts: tokens, hours and dollars, held against the caps of a run and of a month."""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
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
    read = [_lengths(json.loads(line)) for line in training_file.read_text(encoding="utf-8").split("\n") if line]
    longest = int(axolotl.get("sequence_len", 2048))
    once = sum(min(length, longest) for lengths in read for length in lengths)
    tokens = once * float(axolotl.get("num_epochs", 1))
    rows = math.ceil(once / longest) if axolotl.get("sample_packing") else len(read)
    steps = _steps(axolotl, rows, max(expected.gpus, 1) if expected else 1)
    if "max_steps" in axolotl and axolotl["max_steps"] < steps:
        tokens *= axolotl["max_steps"] / steps
    if expected is None:
        return Estimate(round(tokens))
    hours = expected.start_minutes / 60 + expected.hours(tokens)
    return Estimate(round(tokens), round(hours, 4), round(hours * expected.dollars_per_hour, 4), expected.instance)


def together(estimates: Sequence[Estimate]) -> Estimate:
    """What several trainings take, one after the other; what one of them does not say, all of them do not."""
    hours, dollars = [one.hours for one in estimates], [one.dollars for one in estimates]
    return Estimate(
        sum(one.tokens for one in estimates),
        None if None in hours else sum(hour for hour in hours if hour),
        None if None in dollars else sum(price for price in dollars if price),
        ", ".join(dict.fromkeys(one.instance for one in estimates if one.instance)),
    )


def require_budget(
    expected: Estimate, spent: Iterable[Artifact], own: Collection[str], settings: Settings, now: datetime, *, paid: bool
) -> None:
    """Refuses trainings that would cost more than a run, or the month, may.

    Args:
        expected: Of all trainings of the run together.
        spent: What trainings have cost; what is not billed yet counts as it was estimated.
        own: Versions of the run's trainings: what they have cost so far is part of the month, what they were expected to cost is not.
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
    already = _in_month(_month(now), spent, own)
    if month and already + expected.dollars > month:
        raise BudgetError(
            f"This training would take {expected}, and ${already:.2f} were spent on trainings this month; ${month:.2f} is the month's "
            "cap (TWIN_TRAINING_DOLLARS_MONTH). Raise it, or wait for the next month."
        )


def allowance(version: str, spent: Sequence[Artifact], own: Collection[str], settings: Settings, now: datetime) -> float | None:
    """Dollars that all attempts at a training may cost: what the caps of a run and of the month leave; None is any price.

    Args:
        version: Of the training.
        spent: What trainings have cost.
        own: Versions of the run's trainings.
        settings: The caps.
        now: The time.
    """
    run, month = settings.training_dollars_run, settings.training_dollars_month
    before, others = (sum(_dollars(one) for one in spent if one.version in of) for of in ({version}, {*own} - {version}))
    left = [run - others] if run else []
    if month:
        left.append(before + month - _in_month(_month(now), spent, own))
    return min(left, default=None)


@dataclass(slots=True)
class Bill:
    """What is paid for a training.

    Attributes:
        seconds: What all of its attempts were billed, as far as is known.
        open: Whether there is an attempt that is not in ``seconds``: one that runs, or one that nobody saw end. It counts as it was estimated.
        most: Seconds that may be billed for all attempts together; None is without a bound.
    """

    seconds: float = 0.0
    open: bool = False
    most: float | None = None

    @property
    def left(self) -> float:
        """Seconds that may be billed yet."""
        return math.inf if self.most is None else max(0.0, self.most - self.seconds)

    def require_left(self) -> None:
        """Checks that another attempt may begin.

        Raises:
            BudgetError: When the cap is used up.
        """
        if self.left < 1:
            raise BudgetError(
                f"This training was billed {self.seconds / 3600:.2f} h so far, which is all that the caps leave (TWIN_TRAINING_DOLLARS_RUN, "
                "TWIN_TRAINING_DOLLARS_MONTH). Raise them, and run again: it goes on from its last checkpoint."
            )


@contextmanager
def paid_for(
    registry: Registry, author: str, version: str, expected: Estimate, dollars_per_hour: float, most: float | None = None
) -> Iterator[Bill]:
    """Notes what a training is expected to cost, and when it has ended, well or not, what it cost in all, and in which months.

    Args:
        registry: Keeps it.
        author: Whose voice.
        version: Of the training.
        expected: What it will take.
        dollars_per_hour: Price of the instance.
        most: Dollars that all of its attempts may cost; None is any price.
    """
    known = registry.artifact(author, COST, version)
    months = _months(known) if known else {}
    seconds = float(known.figures.get("seconds", 0)) if known else 0.0
    bill = Bill(seconds, bool(known and _open(known)), most / dollars_per_hour * 3600 if most is not None and dollars_per_hour else None)

    def note(opened: bool) -> None:
        this, dollars = _month(datetime.now(UTC)), bill.seconds / 3600 * dollars_per_hour
        if bill.seconds != seconds:
            months[this] = max(0.0, round(dollars - sum(cost for month, cost in months.items() if month != this), 4))
        figures = {"seconds": round(bill.seconds, 4), "dollars": round(sum(months.values()), 4), "months": months}
        registry.record_artifact(author, COST, version, "", {**expected.figures, **figures, **({"open": this} if opened else {})})

    note(True)
    try:
        yield bill
    finally:
        note(bill.open)


def billed(of: Artifact, month: str) -> float:
    """What a training was billed in a month, such as 2026-03."""
    found = _months(of).get(month, 0.0)
    return found if math.isfinite(found) else 0.0


def pending(of: Artifact, month: str) -> float:
    """What a training is expected to be billed beside that: of an attempt in that month that runs, or that nobody saw end."""
    found = of.figures.get("expected_dollars", 0.0)
    return float(found) if _open(of) == month and math.isfinite(found) else 0.0


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
            if name in {"months", "open"}:
                continue
            numbers = isinstance(value, int | float) and isinstance(total.get(name, 0), int | float)
            total[name] = total.get(name, 0) + value if numbers else value
    return total


def _lengths(row: Mapping[str, Any]) -> list[int]:
    """Tokens of each text that is read: of a pair, the prompt with either answer."""
    answers = [[row[side]] for side in ("chosen", "rejected") if side in row] or [[]]
    return [
        round(sum(len(turn["content"].split()) for turn in [*row["messages"], *answer]) * TOKENS_PER_WORD) + TOKENS_AROUND
        for answer in answers
    ]


def _month(of: datetime) -> str:
    return f"{of:%Y-%m}"


def _months(of: Artifact) -> dict[str, float]:
    """Dollars of each month; those of a record from before there were months are of the month in which it began."""
    return dict(of.figures.get("months") or {_month(of.created_at): float(of.figures.get("dollars", 0.0))})


def _dollars(of: Artifact) -> float:
    return sum(cost for cost in _months(of).values() if math.isfinite(cost))


def _in_month(month: str, spent: Iterable[Artifact], own: Collection[str]) -> float:
    """Dollars that a month has been charged with; what is expected of the run's own trainings is held against the caps by itself."""
    return sum(billed(one, month) + (0.0 if one.version in own else pending(one, month)) for one in spent)


def _open(of: Artifact) -> str:
    """The month of an attempt that is not billed yet; empty when there is none."""
    return of.figures.get("open", "" if "dollars" in of.figures else _month(of.created_at))


def _steps(axolotl: Mapping[str, Any], rows: int, gpus: int) -> int:
    batch = int(axolotl.get("micro_batch_size", 1)) * int(axolotl.get("gradient_accumulation_steps", 1)) * gpus
    return max(1, math.ceil(math.ceil(rows / batch) * float(axolotl.get("num_epochs", 1))))
