"""Which GPUs of this machine a training sees, and when it is refused; the driver's tool is a script."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.machine import Gpu, gpus, gpus_for, require_ready
from twin_assets.training.recipes import Recipe, read
from twin_assets_tests.training.aws_fakes import STANDING_IN

L40S = "46068"
T4 = "15360"
WITHOUT = Recipe("own", "a/b", {}, None)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this machine have GPUs of so many MiB."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def has(*memory: str) -> None:
        tool = tmp_path / "nvidia-smi"
        rows = "\n".join(f"{index}, GPU-{index}, {of}" for index, of in enumerate(memory))
        tool.write_text(f'#!/bin/sh\ntest "$1" = --query-gpu=index,uuid,memory.total && cat <<END\n{rows}\nEND\n')
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return has


def test_a_recipe_gets_as_many_as_it_needs_and_none_on_a_cpu(machine: Callable[..., None]) -> None:
    machine(T4, L40S, L40S)
    assert gpus()[1] == Gpu("GPU-1", pytest.approx(48.3, abs=0.1))
    assert gpus_for(read("llama-3.1-8b-lora")) == ["GPU-1"]
    assert gpus_for(read("smollm2-135m-lora-cpu")) == []
    assert gpus_for(WITHOUT) == ["GPU-0", "GPU-1", "GPU-2"]


def test_what_is_hidden_from_this_process_is_hidden_from_the_training(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(L40S, L40S, L40S)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-0")
    assert [one.uuid for one in gpus()] == ["GPU-0", "GPU-2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []


@pytest.mark.parametrize(
    ("memory", "name", "said"),
    [
        ((), "llama-3.1-8b-lora", r"needs 1 GPU\(s\) with 24 GB; this machine has 0 \(none\)\. Set TWIN_TRAINING_LAUNCHER"),
        ((T4,), "llama-3.1-8b-lora", r"this machine has 1 \(16 GB\)"),
        ((L40S,) * 4, "llama-3.1-70b-qlora-fsdp", r"needs 8 GPU\(s\) with 16 GB; this machine has 4"),
    ],
)
def test_too_few_or_too_small_ones_are_said_with_what_to_do(
    machine: Callable[..., None], memory: tuple[str, ...], name: str, said: str
) -> None:
    machine(*memory)
    with pytest.raises(TwinError, match=said):
        gpus_for(read(name))


def test_a_machine_without_the_drivers_tool_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []


def test_a_trainer_that_sees_fewer_than_it_was_given_does_not_train_on_the_cpu(tmp_path: Path) -> None:
    environment = {**os.environ, **STANDING_IN, "CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2", "STAND_IN_GPUS": "1"}
    code = "from pathlib import Path; from twin_assets.training.trainer_main import _on_every_gpu; _on_every_gpu(Path('x'))"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and "sees 1 of 2 GPUs" in ended.stderr


def test_ones_own_machine_costs_no_dollars_of_aws() -> None:
    expected = read("llama-3.1-8b-lora").at_home().expected
    assert expected and (expected.dollars(1e9), expected.instance, expected.gpus) == (0, "this machine", 1)
    laptop = read("smollm2-135m-lora-cpu")
    assert laptop.at_home() == laptop


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"training_config": "nope"}, "no training configuration 'nope'"),
        ({"preference_config": "nope"}, "TWIN_PREFERENCE_CONFIG"),
        ({"base_model": "package:nope"}, "The package nope is not installed"),
        ({"base_model": "/nowhere"}, "no base model at /nowhere"),
        ({"training_config": ""}, "TWIN_TRAINING_CONFIG is empty. It is one of .*smollm2-135m-lora-cpu"),
        ({"base_model": "nonsense/none"}, "The model nonsense/none is not to be had from the hub: .*Check the name"),
        ({"base_model": "no/sense/at/all"}, "The model no/sense/at/all is not to be had from the hub"),
        ({"trainer_python": Path("/nowhere")}, "trainer's environment is not at /nowhere"),
        ({"training_config": "llama-3.1-8b-lora"}, "needs 1 GPU"),
    ],
)
def test_what_a_training_would_fail_for_is_said_before_anything_starts(
    machine: Callable[..., None], wrong: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    settings = Settings(home=tmp_path, trainer_python=Path(sys.executable))
    assert [one.name for one in require_ready(settings)] == ["smollm2-135m-lora-cpu"]
    with pytest.raises(TwinError, match=said):
        require_ready(settings.model_copy(update=wrong))
    if wrong.get("training_config") == "llama-3.1-8b-lora" or "trainer_python" in wrong:
        assert require_ready(settings.model_copy(update={**wrong, "training_launcher": "sagemaker"}))


def test_of_a_model_on_the_hub_no_weights_are_fetched_to_look_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *said, **more: asked.append((said, more)))
    settings = Settings(home=tmp_path, trainer_python=Path(sys.executable), base_model="HuggingFaceTB/SmolLM2-135M-Instruct")
    require_ready(settings)
    require_ready(settings.model_copy(update={"training_launcher": "sagemaker"}))
    assert asked == [((settings.base_model, "config.json"), {"cache_dir": tmp_path / "models" / "hub"})]


def test_a_file_of_ones_own_is_held_against_axolotls_schema_and_a_shipped_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twin_assets.training.machine.problems", lambda asked, _: {name: ["unknown key x"] for name in asked})
    shipped = PROJECT_ROOT / "training_configs" / "smollm2-135m-lora-cpu.yaml"
    (tmp_path / "mine.yaml").write_text(shipped.read_text())
    settings = Settings(home=tmp_path, trainer_python=Path(sys.executable))
    assert require_ready(settings)
    with pytest.raises(TwinError, match="The training configuration mine cannot be used: unknown key x"):
        require_ready(settings.model_copy(update={"training_config": str(tmp_path / "mine.yaml")}))
