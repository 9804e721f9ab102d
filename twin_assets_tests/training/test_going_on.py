"""A real training on pairs that goes on with the adapter of another real one: axolotl, trl and peft on the smallest model."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest
import torch
from safetensors.torch import load_file

from twin_assets.settings import Settings
from twin_assets.training.checkpoints import checkpoints, whole
from twin_assets.training.preferences import Pair, Preferences, write_preferences
from twin_assets.training.recipes import read
from twin_assets.training.trainer import Plan, go_on, log_tail, make_plan, mark_finished, trainer_command, trainer_environment, write_config
from twin_assets_tests.training.wandb_runs import artifacts, runs

pytestmark = pytest.mark.skipif(not Settings().trainer_python.exists(), reason="no trainer environment: run `make setup`")

STEPS = 2
PROMPT = [{"role": "user", "content": "Write a passage about salt."}]
OWN = "I never add vinegar, and I won't; salt does it all, you'll see."
SHORT = {"sequence_len": 64, "micro_batch_size": 1, "gradient_accumulation_steps": 1, "save_steps": 1}


@dataclass(frozen=True)
class Trained:
    """Both trainings, and the pairs."""

    settings: Settings
    first: Plan
    second: Plan
    pairs: Path

    def again(self) -> dict[str, torch.Tensor]:
        """The second training, as a run does it."""
        train(self.second, self.pairs, self.settings)
        return weights(self.second)


def train(plan: Plan, file: Path, settings: Settings, ends_with: int = 0) -> None:
    command = trainer_command(plan, write_config(plan, file, settings), settings)
    environment = {**os.environ, **trainer_environment(settings, {}), "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert ended.returncode == ends_with, log_tail(plan)


def weights(plan: Plan) -> dict[str, torch.Tensor]:
    return load_file(plan.adapter / "adapter_model.safetensors")


def farthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of any weight."""
    assert one.keys() == other.keys()
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)


@pytest.fixture(scope="module")
def trained(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "train.jsonl").write_text(json.dumps({"messages": [*PROMPT, {"role": "assistant", "content": OWN}]}) + "\n")
    few = settings.model_copy(update={"training_max_steps": STEPS})
    first = make_plan("ada", "passages", few)
    first = replace(first, recipe={**first.recipe, **SHORT, "num_epochs": STEPS})
    train(first, folder / "train.jsonl", few)
    rejected = "It is a versatile ingredient that can be used in many ways."
    pair = Pair(UUID(int=1), UUID(int=2), 0, PROMPT, OWN, rejected, "base_model", "base")
    write_preferences(Preferences("ada", "passages", [pair]), folder / "pairs")
    second = go_on(first, read("smollm2-135m-dpo-cpu"), "pairs", few)
    second = replace(second, recipe={**second.recipe, **SHORT, "num_epochs": STEPS})
    found = Trained(few, first, second, folder / "pairs" / "train.jsonl")
    found.again()
    yield found
    shutil.rmtree(settings.home / "training")


def test_it_begins_with_the_first_adapter_and_not_with_a_new_one(trained: Trained) -> None:
    """A step moves a weight by about the learning rate: far less than the first training has moved those that began at zero."""
    before, after = weights(trained.first), weights(trained.second)
    learned = max(float(value.abs().max()) for name, value in before.items() if "lora_B" in name)
    assert learned > 1e-4
    assert 0 < farthest(before, after) < 5 * STEPS * trained.second.recipe["learning_rate"] < learned


def test_it_is_held_against_the_first_adapter_and_learns_to_tell_the_pair_apart(trained: Trained) -> None:
    state = json.loads((trained.second.adapter / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())
    rows = [row for row in state["log_history"] if "rewards/margins" in row]
    assert [float(rows[0][name]) for name in ("rewards/chosen", "rewards/rejected")] == [0, 0]
    assert float(rows[0]["loss"]) == pytest.approx(0.6931, abs=1e-3)
    assert float(rows[-1]["rewards/margins"]) > 0
    figures = mark_finished(trained.second, [])
    assert figures["reward_margin"] > 0 and 0 <= figures["reward_accuracy"] <= 1


def test_nothing_but_the_adapter_is_written(trained: Trained) -> None:
    found = {path.name for path in trained.second.adapter.rglob("*.safetensors")}
    assert found == {"adapter_model.safetensors"}
    assert not list(trained.second.adapter.rglob("ref"))


def test_weights_and_biases_is_told_what_each_learned_from_and_made_and_none_of_the_words(trained: Trained) -> None:
    first, second = (runs(trained.settings.home, f"ada-{plan.version}")[0] for plan in (trained.first, trained.second))
    found = [[(one.name, set(one.aliases) - {"latest"}, one.use_after_commit) for one in artifacts(run)] for run in (first, second)]
    m1, m2 = trained.first.version, trained.second.version
    own = [[one for one in of_run if one[0].startswith("ada-")] for of_run in found]
    assert own[0] == [("ada-dataset", {"passages"}, True), ("ada-adapter", {m1}, False)]
    assert own[1] == [("ada-preferences", {"pairs"}, True), ("ada-adapter", {m1}, True), ("ada-adapter", {m2}, False)]
    assert all(any(name.startswith("config-") for name, *_ in of_run) for of_run in found)
    made, learned_on = artifacts(first)[-1], artifacts(second)[-2]
    digest = hashlib.sha256((trained.first.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()
    assert json.loads(made.metadata)["sha256"] == digest and made.digest == learned_on.digest
    told = {path: path.read_bytes() for path in (trained.settings.home / "wandb").rglob("*") if path.is_file()}
    words = [OWN[:20].encode(), PROMPT[0]["content"].encode(), b"versatile ingredient"]
    assert told and not [path for path, data in told.items() if any(said in data for said in words) or path.suffix == ".safetensors"]


def test_a_killed_one_goes_on_from_its_checkpoint_with_what_it_had_learned(trained: Trained) -> None:
    before = weights(trained.second)
    found = [*checkpoints(trained.first.adapter), *checkpoints(trained.second.adapter)]
    assert found and all(whole(folder) for folder in found)
    shutil.rmtree(trained.second.adapter / f"checkpoint-{STEPS}")
    (trained.second.adapter / "adapter_model.safetensors").unlink()
    resumed = trained.again()
    assert farthest(before, resumed) < 1e-6


def test_a_passage_that_is_longer_than_what_is_read_is_neither_cut_nor_left_out(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"messages": [*PROMPT, {"role": "assistant", "content": 20 * OWN}]}) + "\n")
    longer = replace(trained.first, dataset_version="longer")
    train(longer, tmp_path / "train.jsonl", trained.settings, ends_with=1)
    assert "tokens, which exceeds the maximum 64" in log_tail(longer)
