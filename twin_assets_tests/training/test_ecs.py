"""Trainings as tasks of ECS, through the client of dagster-aws."""

import json
from pathlib import Path
from typing import Any

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.budget import Bill
from twin_assets.training.place import CHECKPOINTS, DONE, INPUT, PIPES, Place
from twin_assets.training.remote import fetch, job_name, place_of
from twin_assets.training.trainer import Plan, mark_finished
from twin_assets_tests.training.aws_fakes import Contract, FakeEcs
from twin_assets_tests.training.runs import Run, until


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
    fake.definition["networkMode"] = "awsvpc"
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

    run.meanwhile = die
    with pytest.raises(DiedError):
        run()
    run.meanwhile = lambda: hold.unlink(missing_ok=True)
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

    run.meanwhile = lose
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

    run.meanwhile = cancel
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert (fake.folder / "1" / "stopping").exists()
    assert _texts(place) == []


def test_all_attempts_at_a_training_are_paid(run: Run, fake: FakeEcs, place: Place) -> None:
    fake.variables["STAND_IN_FAILS"] = "3"
    with pytest.raises(TwinError):
        run()
    assert (run.bill.seconds, run.bill.open) == (100, False)
    assert _texts(place) == place.names(PIPES) == []
    del fake.variables["STAND_IN_FAILS"]
    run.bill = Bill()
    run()
    assert (run.bill.seconds, run.bill.open) == (200, False)
    assert len({fake.request(name)["clientToken"] for name in fake.names()}) == 2


def test_what_ecs_has_forgotten_counts_as_it_was_estimated(run: Run, fake: FakeEcs, place: Place) -> None:
    class DiedError(Exception):
        pass

    def die() -> None:
        if place.read(DONE) is not None:
            raise DiedError

    run.meanwhile = die
    with pytest.raises(DiedError):
        run()
    fake.forget("1")
    run.meanwhile, run.bill = lambda: None, Bill()
    run()
    assert (run.bill.seconds, run.bill.open) == (0, True)


def test_a_run_that_is_cancelled_before_there_is_a_machine_costs_nothing(run: Run, fake: FakeEcs, place: Place) -> None:
    fake.failures = ["RESOURCE:GPU"]

    def cancel() -> None:
        raise DagsterExecutionInterruptedError

    run.meanwhile = cancel
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert (fake.names(), run.bill.seconds, run.bill.open, _texts(place)) == ([], 0, False, [])


def test_a_run_that_is_cancelled_just_as_the_task_begins_stops_it(run: Run, fake: FakeEcs, place: Place, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    fake.variables["STAND_IN_HOLD"] = str(tmp_path / "hold")
    start = fake.run_task

    def cancelled(**asked: Any) -> Any:
        start(**asked)
        raise DagsterExecutionInterruptedError

    fake.run_task = cancelled  # type: ignore[method-assign]
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert (fake.folder / "1" / "stopping").read_text() == "The run was cancelled."


def test_two_runs_at_once_follow_one_task(run: Run, fake: FakeEcs) -> None:
    start = fake.run_task

    def another_was_faster(**asked: Any) -> Any:
        if not fake.names():
            start(**{**asked, "tags": [{"key": "dagster/run-id", "value": "another"}]})
        return start(**asked)

    fake.run_task = another_was_faster  # type: ignore[method-assign]
    run()
    assert fake.names() == ["1"]
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]


def test_a_task_that_ended_before_it_was_noted_is_fetched_and_not_started_again(run: Run, fake: FakeEcs, place: Place) -> None:
    start = fake.run_task

    def unnoticed(**asked: Any) -> Any:
        if not fake.names():
            start(**{**asked, "tags": [{"key": "dagster/run-id", "value": "another"}]})
            until((fake.folder / "1" / "rc").exists)
        return start(**asked)

    fake.run_task = unnoticed  # type: ignore[method-assign]
    with pytest.raises(TwinError, match="was started before, and has ended"):
        run()
    run()
    assert (fake.names(), place.names(INPUT), run.bill.open) == (["1"], [], True)


def test_a_task_that_is_being_ended_is_waited_for(run: Run, fake: FakeEcs, place: Place, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    fake.variables["STAND_IN_HOLD"] = str(tmp_path / "hold")

    def cancel() -> None:
        if any("checkpoint-3/trainer_state" in name for name in place.names(CHECKPOINTS)):
            raise DagsterExecutionInterruptedError

    run.meanwhile = cancel
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    (tmp_path / "hold").unlink()
    ended, looks = [], [True] * 3
    look, start = fake.describe_tasks, fake.run_task

    def ending(**asked: Any) -> Any:
        found = look(**asked)
        if looks and looks.pop():
            for task in found["tasks"]:
                task.pop("stoppedAt", None)
                task["lastStatus"] = "STOPPING"
        return found

    def then(**asked: Any) -> Any:
        ended.append(not looks)
        return start(**asked)

    fake.describe_tasks, fake.run_task, run.meanwhile = ending, then, lambda: None  # type: ignore[method-assign]
    run()
    assert (fake.names(), ended) == (["1", "2"], [True])
    assert [step["step"] for step in run.steps] == [4, 5, 6]


def test_a_task_that_has_used_up_its_time_is_stopped(run: Run, fake: FakeEcs, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    fake.variables.update(STAND_IN_HOLD=str(tmp_path / "hold"), TWIN_TRAINING_SECONDS="1000")
    run.bill = Bill(most=1.5)
    with pytest.raises(TwinError, match=r"It has reached its limit of 0\.00 h: TWIN_TRAINING_MAX_HOURS"):
        run()
    given = {one["name"]: one["value"] for one in fake.request("1")["overrides"]["containerOverrides"][0]["environment"]}
    assert (given["TWIN_TRAINING_SECONDS"], given["AWS_DEFAULT_REGION"]) == ("1", "us-east-1")


def test_a_look_at_a_busy_ecs_ends_nothing(run: Run, fake: FakeEcs) -> None:
    look, busy = fake.describe_tasks, [True] * 2

    def throttled(**asked: Any) -> Any:
        if busy and (fake.folder / "1" / "rc").exists():
            busy.pop()
            raise fake.contract.error("DescribeTasks", "ThrottlingException", "Rate exceeded", ["ThrottlingException"])
        return look(**asked)

    fake.describe_tasks = throttled  # type: ignore[method-assign]
    run()
    assert (fake.names(), busy) == (["1"], [])


def test_a_task_is_known_to_ecs_a_moment_after_it_began(run: Run, fake: FakeEcs) -> None:
    look, unknown = fake.describe_tasks, [True] * 2

    def late(**asked: Any) -> Any:
        return {"tasks": [], "failures": [{"reason": "MISSING"}]} if unknown and unknown.pop() else look(**asked)

    fake.describe_tasks = late  # type: ignore[method-assign]
    run()
    assert fake.names() == ["1"]


@pytest.mark.parametrize(
    ("mode", "gpus", "said"),
    [
        ("awsvpc", "1", "trainer:3 has the network mode awsvpc.*Set TWIN_TRAINING_SUBNETS"),
        ("host", "0", r"llama-3.1-8b-qlora needs 1 GPU\(s\), and the container trainer of trainer:3 has 0"),
    ],
)
def test_a_task_definition_that_is_not_for_the_recipe_is_refused(
    run: Run, fake: FakeEcs, place: Place, mode: str, gpus: str, said: str
) -> None:
    fake.definition["networkMode"] = mode
    fake.definition["containerDefinitions"][0]["resourceRequirements"] = [{"type": "GPU", "value": gpus}]
    with pytest.raises(TwinError, match=said):
        run()
    assert (fake.names(), place.names("")) == ([], [])


def test_subnets_are_not_named_where_the_task_has_the_network_of_its_machine(run: Run, fake: FakeEcs) -> None:
    run.settings = run.settings.model_copy(update={"training_subnets": "subnet-1", "training_security_groups": "sg-1"})
    run()
    assert "networkConfiguration" not in fake.request("1")


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


def _texts(place: Place) -> list[str]:
    return [name for name in place.names(INPUT) if name.endswith(".jsonl")]
