"""The figures of ``benchmarks.training``."""

from benchmarks.training import speed


def test_the_speed_is_of_the_steps_after_the_warm_up_and_not_of_what_is_held_out() -> None:
    steps = [{"step": float(step), "tokens": 100.0 * step, "seconds": 2.0 * step + (step > 1)} for step in range(1, 6)]
    told = [{"step": 0.0, "held_out_loss": 4.0}, *steps, {"step": 5.0, "held_out_loss": 3.0}]
    assert speed(told) == 50.0
    assert speed(steps, warm_up=1) == 400 / 9
