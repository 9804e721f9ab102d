"""What a training is expected to take, and what it may cost."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import Artifact, Model, Registry
from twin_assets.training.budget import (
    COST,
    Bill,
    BudgetError,
    Estimate,
    allowance,
    billed,
    estimate,
    paid_for,
    pending,
    require_budget,
    taken,
    together,
)
from twin_assets.training.recipes import Expected, names, read

EXPECTED = Expected(instance="ml.x", gpus=1, memory_gb=1, tokens_per_second=1000, dollars_per_hour=3.6)
NOW = datetime(2026, 3, 8, tzinfo=UTC)


@pytest.fixture
def conversations(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    row = {"messages": [{"role": "user", "content": "word " * 40}, {"role": "assistant", "content": "word " * 60}]}
    path.write_text(f"{json.dumps(row)}\n" * 80)
    return path


def _spent(version: str, month: int = 3, **figures: Any) -> Artifact:
    return Artifact("ada", "training_cost", version, "", figures, datetime(2026, month, 1, tzinfo=UTC))


def test_tokens_hours_and_dollars_follow_from_the_words_and_the_epochs(conversations: Path) -> None:
    once = estimate(conversations, {"num_epochs": 1, "micro_batch_size": 4}, EXPECTED)
    assert once == Estimate(13_200, 0.0037, 0.0132, "ml.x")
    assert estimate(conversations, {"num_epochs": 3, "micro_batch_size": 4}, EXPECTED).tokens == 39_600
    assert estimate(conversations, {"num_epochs": 3, "micro_batch_size": 4, "max_steps": 20}, EXPECTED).tokens == 13_200
    assert estimate(conversations, {"sequence_len": 100}, None) == Estimate(8000)
    assert str(once) == "about 13,200 tokens, 0.00 h on ml.x, $0.01"
    assert once.figures == {"expected_tokens": 13_200, "expected_hours": 0.0037, "expected_dollars": 0.0132, "expected_instance": "ml.x"}


def test_packed_rows_and_gpus_make_fewer_steps_of_an_epoch(conversations: Path) -> None:
    packed = {"num_epochs": 2, "micro_batch_size": 2, "sequence_len": 1024, "sample_packing": True}
    assert estimate(conversations, {**packed, "max_steps": 14}, EXPECTED).tokens == 26_400
    assert estimate(conversations, {**packed, "max_steps": 7}, EXPECTED).tokens == 13_200
    eight = EXPECTED.model_copy(update={"gpus": 8})
    assert estimate(conversations, {**packed, "max_steps": 1}, eight).tokens == 13_200


def test_lines_end_where_json_lines_end(tmp_path: Path) -> None:
    row = {"messages": [{"role": "assistant", "content": "one\x85two\u2028three"}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert estimate(tmp_path / "train.jsonl", {}, None).tokens == 34


def test_both_answers_of_a_pair_count(tmp_path: Path) -> None:
    pair = {"messages": [], "chosen": {"content": "word " * 100}, "rejected": {"content": "word " * 100}}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))
    assert estimate(tmp_path / "pairs.jsonl", {}, None).tokens == 330


def test_the_prompt_of_a_pair_is_read_with_either_answer_and_each_text_is_cut_where_it_is_too_long(tmp_path: Path) -> None:
    pair = {"messages": [{"content": "word " * 100}], "chosen": {"content": "word " * 100}, "rejected": {"content": "word"}}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))
    assert estimate(tmp_path / "pairs.jsonl", {}, None).tokens == 300 + 166
    assert estimate(tmp_path / "pairs.jsonl", {"sequence_len": 200}, None).tokens == 200 + 166


def test_what_is_paid_before_the_first_step_counts(conversations: Path) -> None:
    slow = EXPECTED.model_copy(update={"start_minutes": 30})
    found = estimate(conversations, {}, slow)
    assert (found.hours, found.dollars) == (0.5037, 1.8132)
    assert all(read(name).expected.start_minutes for name in names() if "cpu" not in name)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("dollars", "spent", "said"),
    [
        (11.0, [], r"\$11.00; a run may cost \$10.00 .*TWIN_TRAINING_DOLLARS_RUN"),
        (9.0, [_spent("m1", dollars=25.0), _spent("m2", expected_dollars=7.0)], r"\$32.00 were spent .* \$40.00 is .*DOLLARS_MONTH"),
    ],
)
def test_what_costs_too_much_is_refused_with_the_figures(dollars: float, spent: list[Artifact], said: str) -> None:
    settings = Settings(training_dollars_run=10, training_dollars_month=40)
    with pytest.raises(BudgetError, match=said):
        require_budget(Estimate(1_000_000, 1.0, dollars, "ml.x"), spent, {"m9"}, settings, NOW, paid=True)


def test_last_month_and_the_trainings_own_attempts_are_not_counted_twice() -> None:
    settings = Settings(training_dollars_run=10, training_dollars_month=40)
    spent = [_spent("m1", month=2, dollars=500.0), _spent("m9", expected_dollars=35.0), _spent("m2", dollars=float("nan"))]
    require_budget(Estimate(1_000_000, 1.0, 9.0, "ml.x"), spent, {"m9"}, settings, NOW, paid=True)
    require_budget(
        Estimate(1_000_000, 1.0, 9e9, "ml.x"), spent, {"m9"}, Settings(training_dollars_run=0, training_dollars_month=0), NOW, paid=True
    )


def test_a_recipe_that_does_not_say_what_it_costs_is_refused_where_there_is_a_cap() -> None:
    with pytest.raises(BudgetError, match="`twin` block"):
        require_budget(Estimate(1000), [], {"m1"}, Settings(), NOW, paid=True)
    require_budget(Estimate(1000), [], {"m1"}, Settings(), NOW, paid=False)
    require_budget(Estimate(1000), [], {"m1"}, Settings(training_dollars_run=0, training_dollars_month=0), NOW, paid=True)


def test_what_the_trainings_own_attempts_cost_is_part_of_the_month() -> None:
    settings = Settings(training_dollars_run=25, training_dollars_month=100)
    for own in (_spent("m9", dollars=90.0, expected_dollars=20.0), _spent("m9", dollars=90.0, expected_dollars=20.0, open="2026-03")):
        with pytest.raises(BudgetError, match=r"\$90.00 were spent"):
            require_budget(Estimate(1, 1.0, 20.0, "ml.x"), [own], {"m9"}, settings, NOW, paid=True)


def test_trainings_of_one_run_are_held_against_the_caps_together() -> None:
    both = together([Estimate(1000, 1.0, 60.0, "ml.x"), Estimate(500, 0.5, 60.0, "ml.x")])
    assert both == Estimate(1500, 1.5, 120.0, "ml.x")
    assert together([both, Estimate(1)]) == Estimate(1501, None, None, "ml.x")
    for settings in (
        Settings(training_dollars_run=100, training_dollars_month=0),
        Settings(training_dollars_run=0, training_dollars_month=100),
    ):
        with pytest.raises(BudgetError, match=r"\$120\.00"):
            require_budget(both, [], {"m1", "m2"}, settings, NOW, paid=True)


def test_what_is_not_billed_yet_counts_as_it_was_estimated_and_each_month_has_its_part() -> None:
    assert billed(_spent("m1", dollars=2.5, expected_dollars=9.0), "2026-03") == 2.5
    assert pending(_spent("m1", dollars=2.5, expected_dollars=9.0), "2026-03") == 0.0
    assert pending(_spent("m1", expected_dollars=9.0), "2026-03") == 9.0
    attempted = _spent("m1", dollars=7.5, months={"2026-03": 2.5, "2026-04": 5.0}, expected_dollars=9.0, open="2026-04")
    assert [billed(attempted, month) for month in ("2026-03", "2026-04", "2026-05")] == [2.5, 5.0, 0.0]
    assert [pending(attempted, month) for month in ("2026-03", "2026-04", "2026-05")] == [0.0, 9.0, 0.0]


def test_a_laptop_costs_nothing() -> None:
    recipe = read("smollm2-135m-lora-cpu")
    assert recipe.expected and recipe.expected.dollars(1e9) == 0


def test_what_a_training_cost_is_noted_however_it_ends(database: Database) -> None:
    registry, expected, month = Registry(database), Estimate(1000, 0.5, 2.0, "ml.x"), f"{datetime.now(UTC):%Y-%m}"
    registry.add_author("ada")

    def noted() -> tuple[float, float]:
        (found,) = registry.artifacts("ada", COST)
        return billed(found, month), pending(found, month)

    with pytest.raises(KeyboardInterrupt), paid_for(registry, "ada", "m1", expected, 3.6) as bill:
        assert noted() == (0.0, 2.0)
        bill.seconds = 1000
        raise KeyboardInterrupt
    assert noted() == (1.0, 0.0)
    with paid_for(registry, "ada", "m1", expected, 3.6) as bill:
        assert noted() == (1.0, 2.0)
        assert bill.seconds == 1000
        bill.seconds = 1500
    assert noted() == (1.5, 0.0)


def test_an_attempt_that_nobody_saw_end_counts_as_it_was_estimated_until_somebody_knows(database: Database) -> None:
    registry, expected, month = Registry(database), Estimate(1000, 0.5, 2.0, "ml.x"), f"{datetime.now(UTC):%Y-%m}"
    registry.add_author("ada")
    registry.record_artifact("ada", COST, "m1", "", {**expected.figures, "seconds": 0.0, "dollars": 0.0, "months": {}, "open": month})
    with paid_for(registry, "ada", "m1", expected, 3.6) as bill:
        assert bill.open
        (attached,) = registry.artifacts("ada", COST)
        assert pending(attached, month) == 2.0
    (unknown,) = registry.artifacts("ada", COST)
    assert billed(unknown, month) + pending(unknown, month) == 2.0
    with paid_for(registry, "ada", "m1", expected, 3.6) as bill:
        bill.seconds, bill.open = 500, False
    (known,) = registry.artifacts("ada", COST)
    assert billed(known, month) + pending(known, month) == 0.5


def test_a_month_has_what_was_billed_in_it(database: Database) -> None:
    registry, expected, month = Registry(database), Estimate(1000, 0.5, 2.0, "ml.x"), f"{datetime.now(UTC):%Y-%m}"
    registry.add_author("ada")
    registry.record_artifact("ada", COST, "m1", "", {"seconds": 1000, "dollars": 1.0, "months": {"2020-01": 1.0}})
    with paid_for(registry, "ada", "m1", expected, 3.6) as bill:
        bill.seconds = 3000
    (found,) = registry.artifacts("ada", COST)
    assert found.figures["months"] == {"2020-01": 1.0, month: 2.0}
    assert found.figures["dollars"] == 3.0


def test_what_a_run_may_cost_bounds_what_all_attempts_may_take(database: Database) -> None:
    registry = Registry(database)
    registry.add_author("ada")
    with paid_for(registry, "ada", "m1", Estimate(1000, 0.5, 2.0, "ml.x"), 3.6, 25.0) as bill:
        assert bill.left == 25_000
        bill.seconds = 24_000
        assert bill.left == 1000
        bill.require_left()
        bill.seconds = 25_000
        with pytest.raises(BudgetError, match=r"billed 6\.94 h so far.*TWIN_TRAINING_DOLLARS_RUN"):
            bill.require_left()
    assert Bill().left == math.inf


def test_the_caps_leave_what_others_did_not_take() -> None:
    spent = [
        _spent("m1", dollars=20.0, months={"2026-02": 15.0, "2026-03": 5.0}, open="2026-03", expected_dollars=9.0),
        _spent("m2", dollars=4.0),
        _spent("m3", dollars=60.0),
        _spent("m4", expected_dollars=10.0),
    ]

    def left(run: float, month: float) -> float | None:
        settings = Settings(training_dollars_run=run, training_dollars_month=month)
        return allowance("m1", spent, {"m1", "m2"}, settings, NOW)

    assert left(0, 0) is None
    assert left(25, 0) == 21.0
    assert left(0, 100) == 20.0 + 100.0 - 79.0
    assert left(25, 80) == 21.0
    assert left(25, 79.5) == 20.5


def test_what_a_model_took_is_what_both_of_its_trainings_took() -> None:
    costs = [
        Artifact("ada", "training_cost", version, "", {"seconds": seconds, "dollars": 0.5, "expected_instance": "laptop"}, NOW)
        for version, seconds in (("second", 60), ("first", 600), ("another", 7))
    ]
    alone = Model("second", "ada", "d", "c", "base", "")
    assert taken(alone, costs) == {"seconds": 60, "dollars": 0.5, "expected_instance": "laptop"}
    both = replace(alone, figures={"first_training": {"version": "first"}})
    assert taken(both, costs) == {"seconds": 660, "dollars": 1.0, "expected_instance": "laptop"}
    assert taken(alone, []) == {}
