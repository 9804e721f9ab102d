"""What must hold for a dataset and a training, as plain functions: the asset checks are shells around them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from twin_assets.cleaning.quality import Finding
from twin_assets.training.leaks import Leak

MIN_STEPS = 10  # below, the first and the last losses are of different batches rather than of different models


def no_leaks(leaks: Sequence[Leak], held_out: int) -> Finding:
    """Something is held out, and none of it stands in the training split, exactly or nearly."""
    if not held_out:
        return Finding(False, "Nothing is held out: the twin could not be measured.", {"leaks": len(leaks), "held_out": 0})
    pairs = [f"{leak.kind}: {leak.train} repeats {leak.held_out}" for leak in leaks[:5]]
    description = (
        f"{len(leaks)} training passages repeat held-out ones." if leaks else f"None of {held_out} held-out passages was trained on."
    )
    return Finding(not leaks, description, {"leaks": len(leaks), "held_out": held_out, "pairs": pairs})


def training_converged(figures: Mapping[str, Any]) -> Finding:
    """Every loss is a number, and in a training long enough to tell the last ones lie below the first ones."""
    losses = [float(loss) for _, loss in figures.get("losses", [])]
    first, last = figures.get("loss_first"), figures.get("loss_last")
    if not losses or first is None or last is None:
        return Finding(False, "The training left no losses.", {"steps": 0})
    broken = sum(not math.isfinite(loss) for loss in losses)
    description = f"Loss {first} -> {last} over {len(losses)} steps" + (f", {broken} of them not a number." if broken else ".")
    if len(losses) < MIN_STEPS:
        return Finding(not broken, f"{description} Too few steps to tell whether it fell.", {"steps": len(losses), "broken": broken})
    return Finding(not broken and last < first, description, {"steps": len(losses), "broken": broken})
