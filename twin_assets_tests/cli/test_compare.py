"""``twin compare``: the author's trainings beside each other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.store.registry import Model, Registry
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, failed

pytestmark = DAGSTERS_OWN


@pytest.fixture
def trained(ada: Registry, tmp_path: Path) -> Registry:
    """A second model of ada's, with another rank, more passages and a report."""
    ada.record_artifact("ada", "instruct_dataset", "d2", "/d2", {"train_examples": 480, "train_words": 60_000})
    for version, rank in (("n1", 8), ("x2", 32)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "axolotl.yaml").write_text(f"lora_r: {rank}\noutput_dir: /{version}\nseed: 7\n")
    ada.record_model(Model("n1", "ada", "d1", "c1", "base", str(tmp_path / "n1"), figures={"loss_last": 3.0}))
    ada.record_model(Model("x2", "ada", "d2", "c2", "base", str(tmp_path / "x2"), figures={"loss_last": 2.5, "losses": [[1, 3.0]]}))
    ada.record_artifact("ada", "training_cost", "x2", "", {"dollars": 1.25, "expected_dollars": 1.5, "seconds": 90})
    ada.record_artifact("ada", "eval_report", "r2", "/report", {"model_version": "x2", "voice_twin": 0.8, "voice_twin_rag": 0.7})
    return ada


def test_all_trainings_stand_in_one_table_the_newest_first(twin: Callable[..., Result], trained: Registry) -> None:
    lines = twin("compare", "ada").out.splitlines()
    assert [line.split()[0] for line in lines if line.strip()][1:] == ["x2", "n1", "m1"]
    assert all(said in lines[1] for said in ("480", "2.5", "1.25", "0.8", "0.7"))
    assert "candidate" in lines[2] and "-" in lines[2]


def test_two_trainings_are_shown_with_all_that_they_have_apart(twin: Callable[..., Result], trained: Registry) -> None:
    rows = {line.split("  ")[0].strip(): line.split() for line in twin("compare", "ada", "n", "x2").out.splitlines()}
    assert rows["recipe: lora_r"][-2:] == ["8", "32"]
    assert rows["loss at last"][-3:] == ["3", "2.5", "-0.5"]
    assert rows["sounds like the author"][-2:] == ["-", "0.8"]
    assert not {"recipe: seed", "recipe: output_dir"} & rows.keys()


def test_programs_get_the_same(twin: Callable[..., Result], trained: Registry) -> None:
    newest, older, _ = json.loads(twin("compare", "ada", "--json").out)
    assert (newest["version"], newest["recipe"]["lora_r"], newest["figures"]["passages"]) == ("x2", 32, 480)
    assert "expected_dollars" not in newest["figures"] and older["dataset_version"] == "d1"
    (only,) = json.loads(twin("compare", "ada", "x2", "x2", "--json").out)
    assert only == newest


def test_a_version_that_is_none_is_named_with_those_that_are(twin: Callable[..., Result], trained: Registry) -> None:
    failed(twin("compare", "ada", "m1", "q9"), "No model begins with 'q9'", "x2, n1, m1")
    assert twin("compare", "ada", "m1").code == 2
    trained.add_author("bob")
    assert "bob has no trained model yet" in twin("compare", "bob").out
