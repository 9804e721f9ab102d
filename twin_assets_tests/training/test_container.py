"""What the trainer's container is made of."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from botocore.session import Session

from twin_assets.settings import PROJECT_ROOT, get_settings

DEPLOY = PROJECT_ROOT / "deploy" / "trainer"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COPIED = [match["source"] for match in re.finditer(r"^COPY (?!--from)(?P<source>\S+)", DOCKERFILE, re.MULTILINE)]
# Rights that no call has by their name.
OTHER_RIGHTS = {"s3:ListBucket", "s3:AbortMultipartUpload", "iam:PassRole", "ec2:CreateNetworkInterfacePermission"}


def test_what_is_copied_is_there_and_let_in() -> None:
    let_in = [line[1:] for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert let_in == COPIED
    assert all((PROJECT_ROOT / name).exists() for name in COPIED)


def test_the_trainer_needs_no_more_of_the_project_than_is_copied(tmp_path: Path) -> None:
    python = get_settings().trainer_python
    if not python.exists():
        pytest.skip("no trainer environment: make setup")
    for name in COPIED:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (PROJECT_ROOT / name).is_dir() else shutil.copy)(PROJECT_ROOT / name, target)
    code = "import twin_assets.training.axolotl_plugin, twin_assets.training.trainer_main as one; print(one.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == [str(tmp_path / "twin_assets" / "training" / "trainer_main.py")], done.stderr


@pytest.mark.parametrize("name", ["policy-dagster.json", "policy-trainer.json"])
def test_rights_are_those_of_calls_that_exist(name: str) -> None:
    session = Session()
    for statement in json.loads((DEPLOY / name).read_text())["Statement"]:
        for action in set(statement["Action"]) - OTHER_RIGHTS:
            service, call = action.split(":")
            assert call in session.get_service_model(service).operation_names, action


def test_every_call_that_is_made_is_a_right() -> None:
    allowed = {
        action for statement in json.loads((DEPLOY / "policy-dagster.json").read_text())["Statement"] for action in statement["Action"]
    }
    for service in ("sagemaker", "ecs"):
        called = re.findall(r"client\.([a-z]+_[a-z_]+)\(", (PROJECT_ROOT / "twin_assets" / "training" / f"{service}.py").read_text())
        assert called
        assert {f"{service}:{''.join(part.title() for part in name.split('_'))}" for name in called} <= allowed
