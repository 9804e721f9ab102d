"""What a training is expected to take, and what it may cost."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import Artifact, Model, Registry
from twin_assets.training.budget import COST, BudgetError, Estimate, cost, estimate, paid_for, require_budget, taken
from twin_assets.training.recipes import Expected, read

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
    assert estimate(tmp_path / "pairs.jsonl", {}, None).tokens == 300


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
        require_budget(Estimate(1_000_000, 1.0, dollars, "ml.x"), spent, "m9", settings, NOW, paid=True)


def test_last_month_and_the_trainings_own_attempts_are_not_counted_twice() -> None:
    settings = Settings(training_dollars_run=10, training_dollars_month=40)
    spent = [_spent("m1", month=2, dollars=500.0), _spent("m9", expected_dollars=35.0), _spent("m2", dollars=float("nan"))]
    require_budget(Estimate(1_000_000, 1.0, 9.0, "ml.x"), spent, "m9", settings, NOW, paid=True)
    require_budget(
        Estimate(1_000_000, 1.0, 9e9, "ml.x"), spent, "m9", Settings(training_dollars_run=0, training_dollars_month=0), NOW, paid=True
    )


def test_a_recipe_that_does_not_say_what_it_costs_is_refused_where_there_is_a_cap() -> None:
    with pytest.raises(BudgetError, match="`twin` block"):
        require_budget(Estimate(1000), [], "m1", Settings(), NOW, paid=True)
    require_budget(Estimate(1000), [], "m1", Settings(), NOW, paid=False)
    require_budget(Estimate(1000), [], "m1", Settings(training_dollars_run=0, training_dollars_month=0), NOW, paid=True)


def test_what_ended_counts_as_it_cost() -> None:
    assert cost(_spent("m1", dollars=2.5, expected_dollars=9.0)) == 2.5
    assert cost(_spent("m1", expected_dollars=9.0)) == 9.0
    assert cost(_spent("m1")) == 0.0


def test_a_laptop_costs_nothing() -> None:
    recipe = read("smollm2-135m-lora-cpu")
    assert recipe.expected and recipe.expected.dollars(1e9) == 0


def test_what_a_training_cost_is_noted_however_it_ends(database: Database) -> None:
    registry, expected = Registry(database), Estimate(1000, 0.5, 2.0, "ml.x")
    registry.add_author("ada")
    with pytest.raises(KeyboardInterrupt), paid_for(registry, "ada", "m1", expected, 3.6e9):
        (running,) = registry.artifacts("ada", COST)
        assert cost(running) == 2.0
        raise KeyboardInterrupt
    (first,) = registry.artifacts("ada", COST)
    assert first.figures["expected_dollars"] == 2.0 and cost(first) > 0
    with paid_for(registry, "ada", "m1", expected, 3.6e9):
        (running,) = registry.artifacts("ada", COST)
        assert cost(running) == cost(first)
    (second,) = registry.artifacts("ada", COST)
    assert cost(second) > cost(first)


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
