"""Plans, configurations and traces of a training, without training."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.overrides import Overrides
from twin_assets.training import trainer
from twin_assets.training.checkpoints import checkpoints, seal
from twin_assets.training.recipes import read
from twin_assets.training.trainer import PLUGIN, Plan, finished, go_on, log_tail, make_plan, mark_finished, trainer_environment
from twin_assets_tests.training.aws_fakes import STANDING_IN


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    plan = make_plan("jane", "dataset-1", Settings(home=tmp_path))
    plan.folder.mkdir(parents=True)
    return plan


@pytest.fixture
def training_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with which a configuration can be written without preparing a model."""
    monkeypatch.setattr(trainer, "trainable", lambda spec, settings: tmp_path / "model")
    (tmp_path / "train.jsonl").write_text("{}\n")
    return Settings(home=tmp_path, trainer_python=Path(sys.executable))


@pytest.fixture
def trainer_process(plan: Plan, tmp_path: Path) -> list[str]:
    """The trainer's command line, with a training in place of axolotl's that does nothing for half a minute."""
    package = tmp_path / "stand-in" / "axolotl" / "cli"
    package.mkdir(parents=True)
    (package / "train.py").write_text(
        "import time\ndef do_cli(config):\n    print('training', flush=True)\n    time.sleep(30)\n    print('finished')\n"
    )
    paths = f"PYTHONPATH={tmp_path / 'stand-in'}{os.pathsep}{PROJECT_ROOT}"
    settings = Settings(home=tmp_path, trainer_python=Path(sys.executable))
    return ["env", paths, "PYTHONWARNINGS=ignore", *trainer.trainer_command(plan, plan.folder / "axolotl.yaml", settings)]


def _wait_for_training(plan: Plan, process: subprocess.Popen[str]) -> None:
    while "training\n" not in (plan.log.read_text() if plan.log.exists() else ""):
        assert process.poll() is None, log_tail(plan)
        time.sleep(0.1)


def _is_held(plan: Plan) -> bool:
    try:
        with trainer.alone_in(plan.folder):
            return False
    except BlockingIOError:
        return True


def _adapter(plan: Plan) -> None:
    plan.adapter.mkdir(parents=True, exist_ok=True)
    for name in trainer.ADAPTER_FILES:
        (plan.adapter / name).write_text("{}")


def test_the_same_training_has_the_same_version_wherever_it_runs(tmp_path: Path) -> None:
    here = make_plan("jane", "dataset-1", Settings(home=tmp_path / "here"))
    there = make_plan("jane", "dataset-1", Settings(home=tmp_path / "there"))
    assert here.version == there.version
    assert here.folder != there.folder


@pytest.mark.parametrize("change", [{"training_max_steps": 3}, {"base_model": "some/model"}])
def test_what_changes_the_result_changes_the_version(tmp_path: Path, change: dict[str, object]) -> None:
    usual = make_plan("jane", "dataset-1", Settings(home=tmp_path))
    other = make_plan("jane", "dataset-1", Settings(home=tmp_path, **change))  # type: ignore[arg-type]
    assert other.version != usual.version
    assert make_plan("jane", "dataset-2", Settings(home=tmp_path)).version != usual.version
    assert make_plan("joe", "dataset-1", Settings(home=tmp_path)).version != usual.version


@pytest.mark.parametrize(
    ("own", "same"),
    [
        ({"lora_r": 8}, False),
        ({"max_steps": 3}, False),
        ({"max_steps": 0}, False),
        ({"num_epochs": "2", "max_steps": 120}, True),
        ({}, True),
    ],
)
def test_an_override_makes_another_model_unless_it_says_what_holds_anyway(tmp_path: Path, own: dict[str, object], same: bool) -> None:
    usual = make_plan("jane", "dataset-1", Settings(home=tmp_path))
    found = make_plan("jane", "dataset-1", Settings(home=tmp_path), Overrides.model_validate(own))
    assert (found.version == usual.version) is same
    assert found.recipe.get("max_steps") == {3: 3, 0: None}.get(own.get("max_steps", 120), 120)  # type: ignore[arg-type]


def test_no_trainer_environment_is_said_before_anything_starts(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="make setup"):
        trainer.write_config(plan, tmp_path / "train.jsonl", Settings(home=tmp_path, trainer_python=tmp_path / "python"))


def test_a_training_is_finished_only_with_its_record_and_its_files(plan: Plan) -> None:
    _adapter(plan)
    assert not finished(plan)
    mark_finished(plan, [{"step": 1, "loss": 3.0, "tokens": 50, "seconds": 1.0}])
    assert finished(plan)
    (plan.adapter / "adapter_model.safetensors").unlink()
    assert not finished(plan)


def test_a_finished_training_whose_folder_is_gone_is_put_back_from_what_was_stored(plan: Plan, tmp_path: Path) -> None:
    _adapter(plan)
    (plan.folder / "axolotl.yaml").write_text("seed: 7\n")
    figures = mark_finished(plan, [{"step": 1, "loss": 3.0, "tokens": 10.0, "seconds": 1.0}])
    stored = tmp_path / "stored"
    shutil.copytree(plan.adapter, stored)
    shutil.copy(plan.folder / "axolotl.yaml", stored)
    (stored / "README.md").write_text("card")
    shutil.rmtree(plan.folder)
    trainer.restore(plan, stored, figures)
    assert finished(plan) and trainer.finished_figures(plan) == figures
    assert (plan.folder / "axolotl.yaml").read_text() == "seed: 7\n"
    assert sorted(path.name for path in plan.adapter.iterdir()) == sorted(["README.md", *trainer.ADAPTER_FILES])
    shutil.rmtree(plan.folder)
    (stored / trainer.ADAPTER_FILES[0]).write_text("{ }")
    with pytest.raises(TwinError, match="are not those that were trained"):
        trainer.restore(plan, stored, figures)
    assert not finished(plan)


def test_a_trainer_that_ended_without_an_adapter_shows_its_last_lines(plan: Plan) -> None:
    plan.log.write_text("\n".join(["early"] * 40 + ["CUDA? no: the disk was full"]))
    with pytest.raises(TwinError, match=r"without adapter_model\.safetensors[\s\S]*the disk was full") as caught:
        mark_finished(plan, [])
    assert str(caught.value).count("early") < 20


def test_figures_cover_a_resumed_training_as_a_whole(plan: Plan) -> None:
    _adapter(plan)
    for step, losses in ((9, [4.0] * 5 + [2.0] * 4), (10, [4.0] * 5 + [2.0] * 5)):
        checkpoint = plan.adapter / f"checkpoint-{step}"
        checkpoint.mkdir()
        history = [{"step": number, "loss": loss} for number, loss in enumerate(losses, 1)]
        (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": [*history, {"step": step, "train_runtime": 1.0}]}))
    figures = mark_finished(plan, [{"step": 10, "loss": 2.0, "tokens": 300, "seconds": 2.0}])
    assert (figures["steps"], figures["loss_first"], figures["loss_last"]) == (10, 4.0, 2.0)
    assert figures["tokens_per_second"] == 150


def test_the_loss_on_what_is_held_out_is_of_before_the_first_and_after_the_last_step(plan: Plan) -> None:
    _adapter(plan)
    told = [{"step": 0, "held_out_loss": 4.0}, {"step": 1, "loss": 3.5, "tokens": 50, "seconds": 1.0}, {"step": 1, "held_out_loss": 3.8}]
    figures = mark_finished(plan, told)
    assert (figures["held_out_loss_first"], figures["held_out_loss_last"], figures["tokens_per_second"]) == (4.0, 3.8, 50)
    checkpoint = plan.adapter / "checkpoint-2"
    checkpoint.mkdir()
    history = [{"step": 0, "eval_loss": 4.0}, {"step": 1, "loss": 3.5}, {"step": 2, "loss": 3.4}, {"step": 2, "eval_loss": 3.7}]
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    assert mark_finished(plan, told)["held_out_loss_last"] == 3.7
    begun_before = [{"step": 1, "loss": 3.5, "tokens": 50, "seconds": 1.0}]
    (checkpoint / "trainer_state.json").unlink()
    assert mark_finished(plan, begun_before)["held_out_loss_first"] is None


def test_what_is_held_out_lies_beside_what_is_trained_on(plan: Plan, training_settings: Settings, tmp_path: Path) -> None:
    def config(of: Plan) -> dict[str, Any]:
        return yaml.safe_load(trainer.write_config(of, tmp_path / "train.jsonl", training_settings).read_text())

    assert "test_datasets" not in config(plan)
    (tmp_path / "held_out.jsonl").touch()
    assert "test_datasets" not in config(plan)
    (tmp_path / "held_out.jsonl").write_text("{}\n")
    assert [one["path"] for one in config(plan)["test_datasets"]] == [str(tmp_path / "held_out.jsonl")]
    remote = yaml.safe_load(trainer.write_remote_config(plan, tmp_path / "train.jsonl", "model").read_text())
    assert [one["path"] for one in remote["test_datasets"]] == ["held_out.jsonl"]
    for own in ({"rl": "dpo"}, {"val_set_size": 0.1}):
        assert "test_datasets" not in {name for name in config(replace(plan, recipe={**plan.recipe, **own})) if name not in own}


def test_the_plot_shows_what_was_measured(plan: Plan) -> None:
    drawn = {trainer.loss_plot([[1, 3.0], [2, 2.0]], held_out) for held_out in ((None, None), (3.5, None), (3.5, 3.1))}
    assert len(drawn) == 3
    assert trainer.loss_plot([])


@pytest.mark.parametrize("state", [None, "", '{"log_history": [{"st', "[]"], ids=["missing", "empty", "cut off", "something else"])
def test_a_checkpoint_that_a_kill_left_half_written_is_not_resumed_from(
    plan: Plan, training_settings: Settings, tmp_path: Path, state: str | None
) -> None:
    complete, broken, other = (plan.adapter / name for name in ("checkpoint-9", "checkpoint-10", "checkpoint-notes"))
    for folder in (complete, broken, other):
        folder.mkdir(parents=True)
    (complete / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": 1, "loss": 3.0}]}))
    if state is not None:
        (broken / "trainer_state.json").write_text(state)
    for folder in (complete, broken):
        seal(folder)
    (plan.folder / "prepared-1").mkdir()
    (plan.folder / "prepared-1" / "data-00000-of-00001.arrow").touch()
    assert trainer._history(plan, "loss") == [[1, 3.0]]
    trainer.write_config(plan, tmp_path / "train.jsonl", training_settings)
    assert sorted(path.name for path in plan.adapter.iterdir()) == ["checkpoint-9", "checkpoint-notes"]
    assert not list(plan.folder.glob("prepared-*"))


def test_a_checkpoint_with_damaged_weights_falls_back_to_the_one_before(plan: Plan, training_settings: Settings, tmp_path: Path) -> None:
    before, newest = (plan.adapter / name for name in ("checkpoint-20", "checkpoint-40"))
    for folder in (before, newest):
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": []}))
        (folder / "adapter_model.safetensors").write_bytes(b"cut" if folder == newest else struct.pack("<Q", 2) + b"{}")
        seal(folder)
    trainer.write_config(plan, tmp_path / "train.jsonl", training_settings)
    assert [folder.name for folder in plan.adapter.iterdir()] == ["checkpoint-20"]


def test_a_second_trainer_says_who_trains_and_touches_nothing(
    plan: Plan, training_settings: Settings, trainer_process: list[str], tmp_path: Path
) -> None:
    being_written = plan.adapter / "checkpoint-10"
    with subprocess.Popen(trainer_process, text=True) as first:
        try:
            _wait_for_training(plan, first)
            being_written.mkdir(parents=True)
            with pytest.raises(TwinError, match=rf"Process {first.pid} is training in .*kill {first.pid}.*run again"):
                trainer.write_config(plan, tmp_path / "train.jsonl", training_settings)
            assert being_written.exists()
            second = subprocess.run(trainer_process, check=False)
            assert second.returncode != 0
            assert f"Process {first.pid} is training" in log_tail(plan).splitlines()[0]
        finally:
            first.kill()
    trainer.write_config(plan, tmp_path / "train.jsonl", training_settings)
    assert not being_written.exists()


def test_a_trainer_ends_with_the_process_that_started_it(plan: Plan, trainer_process: list[str]) -> None:
    run = f"import subprocess; subprocess.run({trainer_process!r})"
    with subprocess.Popen([sys.executable, "-c", run], text=True) as parent:
        _wait_for_training(plan, parent)
        assert _is_held(plan)
        parent.kill()
    while _is_held(plan):
        time.sleep(0.1)
    assert "finished" not in plan.log.read_text()


def test_each_of_several_trainers_ends_with_the_one_that_started_it(plan: Plan, tmp_path: Path) -> None:
    """One for each GPU: torchrun starts them in sessions of their own, so nothing else would end them."""
    (tmp_path / "hold").touch()
    (tmp_path / "train.jsonl").write_text("{}\n")
    config = {"datasets": [{"path": str(tmp_path / "train.jsonl")}], "base_model": "a/b", "output_dir": str(plan.adapter)}
    (plan.folder / "axolotl.yaml").write_text(yaml.safe_dump(config))
    command = trainer.trainer_command(plan, plan.folder / "axolotl.yaml", Settings(home=tmp_path, trainer_python=Path(sys.executable)))
    environment = {**os.environ, **STANDING_IN, "STAND_IN_GPUS": "2", "STAND_IN_HOLD": str(tmp_path / "hold")}
    with subprocess.Popen(command, env=environment, text=True) as first:
        while len(checkpoints(plan.adapter)) < 2:  # the second of them is at work
            assert first.poll() is None, log_tail(plan)
            time.sleep(0.1)
        workers = psutil.Process(first.pid).children(recursive=True)
        first.kill()
    try:
        assert workers and not psutil.wait_procs(workers, timeout=60)[1]
    finally:
        (tmp_path / "hold").unlink()


def test_progress_bars_do_not_hide_the_last_lines(plan: Plan) -> None:
    plan.log.write_text("one\n" + "\r".join(f"{percent}%" for percent in range(100)) + "\nValueError: broken\n")
    assert log_tail(plan).splitlines()[0] == "ValueError: broken"


def test_the_error_comes_first_and_what_others_advertise_is_left_out(plan: Plan) -> None:
    plan.log.write_text(
        "step\nTraceback (most recent call last):\n  File x\nFloatingPointError: \x1b[1mthe loss is nan\x1b[0m\n"
        "\x1b[34mwandb\x1b[0m: run `wandb sync`\nbye\n"
    )
    assert log_tail(plan).splitlines() == [
        "FloatingPointError: the loss is nan",
        "step",
        "Traceback (most recent call last):",
        "  File x",
        "bye",
    ]
    plan.log.write_text("Killed\n")
    assert log_tail(plan) == "Killed"


def test_a_file_of_ones_own_keeps_its_plugins_and_its_project_and_every_loss_is_told(training_settings: Settings, tmp_path: Path) -> None:
    own = {"plugins": ["a.B"], "wandb_project": "mine", "logging_steps": 10}
    plan = make_plan("jane", "dataset-1", Settings(home=tmp_path))
    for changed, plugins, project in (({}, [PLUGIN], "llm-twin"), (own, ["a.B", PLUGIN], "mine")):
        one = replace(plan, recipe={**plan.recipe, **changed})
        config = yaml.safe_load(trainer.write_config(one, tmp_path / "train.jsonl", training_settings).read_text())
        assert (config["plugins"], config["wandb_project"], config["logging_steps"]) == (plugins, project, 1)


def test_bfloat16_is_of_the_gpus_that_are_given_or_of_the_processor(
    training_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "bf16_is_fast", lambda: False)
    plan = make_plan("jane", "dataset-1", Settings(home=tmp_path))
    for gpus, bf16 in (([], False), (["GPU-1"], True)):
        config = yaml.safe_load(trainer.write_config(plan, tmp_path / "train.jsonl", training_settings, gpus).read_text())
        assert config["bf16"] is bf16


def test_the_trainer_is_offline_and_on_the_cpu_unless_asked(tmp_path: Path) -> None:
    local = trainer_environment(Settings(home=tmp_path), {})
    assert (local["WANDB_MODE"], local["CUDA_VISIBLE_DEVICES"], local["HF_HUB_OFFLINE"]) == ("offline", "", "1")
    assert trainer_environment(Settings(home=tmp_path), {"WANDB_API_KEY": "k"})["WANDB_MODE"] == "online"
    assert trainer_environment(Settings(home=tmp_path), {}, ["GPU-1", "GPU-2"])["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"


def test_a_full_disk_is_said_before_anything_starts(plan: Plan, training_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    with pytest.raises(TwinError, match=r"1.0 GiB free .*needs 2.*TWIN_HOME"):
        trainer.write_config(plan, training_settings.home / "train.jsonl", training_settings)


def test_the_adapter_is_known_by_its_hash(plan: Plan) -> None:
    _adapter(plan)
    figures = mark_finished(plan, [{"step": 1, "loss": 3.0, "tokens": 50, "seconds": 1.0}])
    assert figures["adapter_sha256"] == hashlib.sha256(b"{}").hexdigest()


def test_a_training_that_goes_on_is_another_one_for_other_pairs_or_another_beginning(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first, other, recipe = (
        make_plan("jane", "dataset-1", settings),
        make_plan("jane", "dataset-2", settings),
        read("smollm2-135m-dpo-cpu"),
    )
    second = go_on(first, recipe, "pairs-1", settings)
    versions = [first, second, go_on(first, recipe, "pairs-2", settings), go_on(other, recipe, "pairs-1", settings)]
    assert len({plan.version for plan in versions}) == 4
    assert go_on(first, recipe, "pairs-1", settings).version == second.version
    assert (second.dataset_version, second.base_model, second.begins_with) == ("dataset-1", first.base_model, first.adapter)
    assert first.begins_with is None


def test_the_adapter_keeps_its_shape_and_the_recipe_says_the_rest(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, training_max_steps=7)
    own = Overrides.model_validate({"lora_r": 8, "learning_rate": 0.1, "max_steps": 99})
    recipe = read("smollm2-135m-dpo-cpu")
    second = go_on(make_plan("jane", "dataset-1", settings, own), recipe, "pairs-1", settings, own)
    assert (second.recipe["lora_r"], second.recipe["lora_alpha"], second.recipe["lora_target_linear"]) == (8, 64, True)
    assert second.recipe["rl"] == "dpo"
    assert (second.recipe["learning_rate"], second.recipe["max_steps"]) == (recipe.axolotl["learning_rate"], 99)
    unbound = Overrides.model_validate({"max_steps": 0})
    assert "max_steps" not in go_on(make_plan("jane", "dataset-1", settings, unbound), recipe, "pairs-1", settings, unbound).recipe
    assert go_on(make_plan("jane", "dataset-1", settings), recipe, "pairs-1", settings).recipe["max_steps"] == 7


def test_what_it_goes_on_with_is_told_to_the_trainer_here_and_in_a_container(training_settings: Settings, tmp_path: Path) -> None:
    first = make_plan("jane", "dataset-1", training_settings)
    second = go_on(first, read("smollm2-135m-dpo-cpu"), "pairs-1", training_settings)
    file = tmp_path / "train.jsonl"
    assert "lora_model_dir" not in yaml.safe_load(trainer.write_config(first, file, training_settings).read_text())
    assert yaml.safe_load(trainer.write_config(second, file, training_settings).read_text())["lora_model_dir"] == str(first.adapter)
    there = yaml.safe_load(trainer.write_remote_config(second, file, "org/base").read_text())
    assert (there["lora_model_dir"], there["datasets"][0]["field_rejected"]) == ("first", "rejected")


def test_how_well_pairs_are_told_apart_is_kept(plan: Plan) -> None:
    _adapter(plan)
    rows = [{"step": step, "loss": 0.6, "rewards/accuracies": step / 10, "rewards/margins": step / 5} for step in range(1, 11)]
    checkpoint = plan.adapter / "checkpoint-10"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    figures = mark_finished(plan, [])
    assert (figures["reward_accuracy"], figures["reward_margin"]) == (0.8, 1.6)
