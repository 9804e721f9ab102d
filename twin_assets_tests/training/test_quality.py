"""The training stage's checks, each shown to fail."""

from uuid import UUID

from twin_assets.training.leaks import Leak
from twin_assets.training.quality import no_leaks, training_converged

LEAK = Leak(train=UUID(int=1), held_out=UUID(int=2), kind="near", containment=0.7)


def test_leaks_fail() -> None:
    assert no_leaks([], 5).passed
    assert not no_leaks([LEAK], 5).passed
    assert not no_leaks([], 0).passed


def test_only_a_falling_finite_loss_passes() -> None:
    def figures(*losses: float) -> dict[str, object]:
        return {"losses": list(enumerate(losses)), "loss_first": losses[0], "loss_last": losses[-1]}

    assert training_converged(figures(*[3.0] * 6, *[2.0] * 6)).passed
    assert not training_converged(figures(*[2.0] * 6, *[3.0] * 6)).passed
    assert not training_converged(figures(3.0, float("nan"), 2.0)).passed
    assert "Too few steps" in training_converged(figures(2.0, 3.0)).description
    assert not training_converged({}).passed
