"""Trainings as tasks of ECS, through the client of dagster-aws."""

import json
from pathlib import Path
from typing import Any

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.place import CHECKPOINTS, INPUT, Place
from twin_assets.training.remote import fetch, job_name, place_of
from twin_assets.training.trainer import Plan, mark_finished
from twin_assets_tests.training.aws_fakes import Contract, FakeEcs
from twin_assets_tests.training.runs import Run


@pytest.fixture
def settings(aws_settings: Settings) -> Settings:
    return aws_settings.model_copy(
        update={"training_launcher": "ecs", "training_ecs_cluster": "gpus", "training_ecs_task": "trainer:3", "training_ecs_capacity": "g5"}
    )


@pytest.fixture
def fake(s3: Any, no_delay: None, tmp_path: Path) -> FakeEcs:
    return FakeEcs(tmp_path / "tasks")


@pytest.fixture
def run(settings: Settings, plan: Plan, training_file: Path, fake: FakeEcs) -> Run:
    return Run(settings, plan, training_file, fake)


@pytest.fixture
def place(plan: Plan, settings: Settings, s3: Any) -> Place:
    return place_of(plan, settings, s3)


def test_a_training_from_task_to_adapter(run: Run, plan: Plan, fake: FakeEcs, place: Place) -> None:
    run.settings = run.settings.model_copy(update={"training_subnets": "subnet-1", "training_security_groups": "sg-1"})
    run()
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]
    assert mark_finished(plan, run.steps)["steps"] == 6
    asked = fake.request("1")
    assert (asked["cluster"], asked["taskDefinition"], asked["startedBy"]) == ("gpus", "trainer:3", job_name(plan))
    assert asked["capacityProviderStrategy"] == [{"capacityProvider": "g5", "weight": 1}]
    assert asked["networkConfiguration"]["awsvpcConfiguration"] == {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}
    assert place.names(INPUT) == []


def test_a_task_that_runs_already_is_waited_for(run: Run, plan: Plan, fake: FakeEcs, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    fake.variables["STAND_IN_HOLD"] = str(hold)

    class DiedError(Exception):
        pass

    def die() -> None:
        raise DiedError

    fake.look = die  # type: ignore[method-assign]
    with pytest.raises(DiedError):
        run()
    fake.look = lambda: hold.unlink(missing_ok=True)  # type: ignore[method-assign]
    run()
    assert fake.names() == ["1"]
    assert "runs already: waiting for it" in run.log
    assert mark_finished(plan, run.steps)["steps"] == 6


def test_a_task_that_fails_shows_why_and_the_next_run_goes_on(run: Run, plan: Plan, fake: FakeEcs) -> None:
    fake.variables["STAND_IN_FAILS"] = "3"
    with pytest.raises(TwinError, match=r"non-zero exit code[\s\S]*Essential container in task exited[\s\S]*log"):
        run()
    del fake.variables["STAND_IN_FAILS"]
    run()
    assert [step["step"] for step in run.steps] == [4, 5, 6]


def test_a_task_whose_machine_disappears_has_failed_and_keeps_its_checkpoints(
    run: Run, fake: FakeEcs, plan: Plan, place: Place, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    fake.variables["STAND_IN_HOLD"] = str(hold)

    def lose() -> None:
        if any("checkpoint-3/trainer_state" in name for name in place.names(CHECKPOINTS)) and not (fake.folder / "1/lost").exists():
            fake.lose("1")

    fake.look = lose  # type: ignore[method-assign]
    with pytest.raises(TwinError, match=r"without an exit code[\s\S]*Host EC2 \(instance i-1\) terminated"):
        run()
    assert any("checkpoint-3" in name for name in place.names(CHECKPOINTS))
    with pytest.raises(TwinError, match=r"ended without .*done\.json"):
        fetch(plan, run.training_file, place)
    assert place.names(CHECKPOINTS)


def test_cancelling_the_run_stops_the_task(run: Run, fake: FakeEcs, place: Place, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    fake.variables["STAND_IN_HOLD"] = str(hold)

    def cancel() -> None:
        if any("checkpoint-3/trainer_state" in name for name in place.names(CHECKPOINTS)):
            raise DagsterExecutionInterruptedError

    fake.look = cancel  # type: ignore[method-assign]
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert (fake.folder / "1" / "stopping").exists()


def test_a_cluster_without_a_free_gpu_is_waited_for(run: Run, fake: FakeEcs) -> None:
    fake.failures = ["RESOURCE:GPU", "RESOURCE:GPU"]
    run()
    assert fake.names() == ["1"]
    assert [wait for wait in run.slept if wait >= 30] == [30.0, 60.0]


def test_what_waiting_does_not_help_is_said_at_once(run: Run, fake: FakeEcs) -> None:
    fake.failures = ["MISSING"]
    with pytest.raises(TwinError, match=r"ECS does not start .*MISSING"):
        run()
    assert run.slept == []


def test_what_is_missing_is_said(run: Run, fake: FakeEcs) -> None:
    run.settings = run.settings.model_copy(update={"training_ecs_cluster": "", "training_ecs_task": ""})
    with pytest.raises(TwinError, match="needs TWIN_TRAINING_ECS_CLUSTER, TWIN_TRAINING_ECS_TASK as well"):
        run()
    assert fake.names() == []


def test_the_task_definition_that_comes_with_the_project_is_one() -> None:
    Contract("ecs").asked("RegisterTaskDefinition", json.loads((PROJECT_ROOT / "deploy/trainer/task-definition.json").read_text()))
