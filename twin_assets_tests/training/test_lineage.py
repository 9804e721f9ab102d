"""What Weights & Biases is told of where an adapter comes from, and what happens when it is not to be had."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from twin_assets.settings import PROJECT_ROOT
from twin_assets.training.lineage import LINEAGE, QUIET_WANDB, adapter, wandb_folders
from twin_assets_tests.training.wandb_runs import artifacts, runs

WORDS = b'{"messages": "I never add vinegar."}\n'
WEIGHTS = b"a voice"
PLAN = {"author": "ada", "version": "m2", "dataset_version": "d1", "base_model": "org/base", "after": "", "preferences": ""}
TRAINING = """
import json, sys
from pathlib import Path
from twin_assets.training import lineage
config, told, warnings = Path(sys.argv[1]), json.loads(sys.argv[2]), []
lineage.begin(warnings.append)
import wandb
print(json.dumps(["on", wandb.run is not None and not wandb.run.disabled]))
lineage.used(config, told, warnings.append)
lineage.made(config, told, warnings.append)
wandb.finish()
print(json.dumps(warnings))
"""


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    """A training's folder, and what its configuration says of places."""
    for name, data in (
        ("train.jsonl", WORDS * 3),
        ("output/adapter_model.safetensors", WEIGHTS),
        ("first/adapter_model.safetensors", b"first"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / LINEAGE).write_text(json.dumps(PLAN))
    return {
        "datasets": [{"path": str(tmp_path / "train.jsonl")}],
        "output_dir": str(tmp_path / "output"),
        "lora_model_dir": str(tmp_path / "first"),
    }


def trained(folder: Path, told: dict[str, Any], **variables: str) -> tuple[bool, list[str]]:
    """Whether there was a run, and the warnings, of a training in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {**QUIET_WANDB, **wandb_folders(folder / "home"), "WANDB_MODE": "offline", "PYTHONPATH": str(PROJECT_ROOT), **variables}
    (folder / "home").mkdir(exist_ok=True)
    command = [sys.executable, "-c", TRAINING, str(folder / "axolotl.yaml"), json.dumps(told)]
    ended = subprocess.run(command, env={**kept, **own}, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    (_, on), warnings = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]
    return on, warnings


def test_a_run_uses_its_dataset_and_makes_its_adapter_and_holds_neither(tmp_path: Path, told: dict[str, Any]) -> None:
    assert trained(tmp_path, told) == (True, [])
    (run,) = runs(tmp_path / "home")
    dataset, made = artifacts(run)
    assert (dataset.name, made.name) == ("ada-dataset", "ada-adapter")
    assert (dataset.type, dataset.use_after_commit, set(dataset.aliases)) == ("dataset", True, {"latest", "d1"})
    assert (made.type, made.use_after_commit, set(made.aliases)) == ("model", False, {"latest", "m2"})
    assert json.loads(dataset.metadata) == {"author": "ada", "version": "d1", "sha256": hashlib.sha256(WORDS * 3).hexdigest(), "rows": 3}
    about = {
        "author": "ada",
        "version": "m2",
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
        "base_model": "org/base",
        "dataset_version": "d1",
    }
    assert json.loads(made.metadata) == about
    (entry,) = made.manifest.contents
    assert (entry.path, entry.ref, entry.local_path) == ("adapter_model.safetensors", f"sha256:{about['sha256']}", "")
    written = [path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert written and not [data for data in written if b"vinegar" in data or WEIGHTS in data]


def test_one_that_goes_on_uses_the_pairs_and_the_adapter_that_it_goes_on_with(tmp_path: Path, told: dict[str, Any]) -> None:
    (tmp_path / LINEAGE).write_text(json.dumps({**PLAN, "after": "m1", "preferences": "p1"}))
    assert trained(tmp_path, told) == (True, [])
    (run,) = runs(tmp_path / "home")
    found = artifacts(run)
    assert [(one.name, set(one.aliases), one.use_after_commit) for one in found] == [
        ("ada-preferences", {"latest", "p1"}, True),
        ("ada-adapter", {"latest", "m1"}, True),
        ("ada-adapter", {"latest", "m2"}, False),
    ]
    (entry,) = found[1].manifest.contents
    assert entry.ref == f"sha256:{hashlib.sha256(b'first').hexdigest()}"


def test_the_same_adapter_is_the_same_artifact_whoever_names_it() -> None:
    one = adapter("ada", "m1", "ab" * 32, "org/base", "d1").artifact()
    assert one.digest == adapter("ada", "m1", "ab" * 32, "elsewhere", "d1").artifact().digest
    assert one.digest != adapter("ada", "m1", "cd" * 32, "org/base", "d1").artifact().digest


@pytest.mark.parametrize("mode", ["sideways", "online"])
def test_a_training_goes_on_without_it(tmp_path: Path, told: dict[str, Any], mode: str) -> None:
    key = "0123456789" * 4
    on, warnings = trained(tmp_path, told, WANDB_MODE=mode, WANDB_API_KEY=key, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_INIT_TIMEOUT="3")
    assert not on
    (said,) = warnings
    assert said.startswith("not told to W&B: ") and key not in said
    assert not runs(tmp_path / "home")


def test_what_cannot_be_read_is_a_warning(tmp_path: Path, told: dict[str, Any]) -> None:
    (tmp_path / LINEAGE).unlink()
    on, warnings = trained(tmp_path, told)
    assert on and len(warnings) == 2 and all("FileNotFoundError" in said and LINEAGE in said for said in warnings)


def test_where_it_is_disabled_nothing_is_written(tmp_path: Path, told: dict[str, Any]) -> None:
    (tmp_path / LINEAGE).unlink()
    assert trained(tmp_path, told, WANDB_MODE="disabled") == (False, [])
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
