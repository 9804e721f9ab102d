"""SageMaker and ECS as scripts: what they are asked and what they answer is held against botocore's own models of the services.

A job is a process of the trainer's real entry point, with axolotl and torch replaced (``stand_in``); S3, logs and secrets are moto's server. What is
known of a job rests in files: another process that makes a fake of the same folder sees the same jobs.
"""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import botocore.session
from botocore.exceptions import ClientError
from botocore.model import OperationModel
from botocore.validate import ParamValidator

from twin_assets.settings import PROJECT_ROOT

STAND_IN = Path(__file__).parent / "stand_in"
STANDING_IN = {"PYTHONPATH": f"{STAND_IN}{os.pathsep}{PROJECT_ROOT}", "PYTHONWARNINGS": "ignore"}
GIVEN = ("PATH", "HOME", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED")
"""What a container has: not the region, which is told to none on a machine of ECS."""
STARTED = datetime.now(UTC)
"""When every task of ECS has started; each takes 100 seconds by the clock of ECS."""
ARN = "arn:aws:sagemaker:eu-central-1:123456789012:training-job"


class Contract:
    """What botocore's model of a service allows."""

    def __init__(self, service: str) -> None:
        self.model = botocore.session.get_session().get_service_model(service)

    def asked(self, operation: str, parameters: dict[str, Any]) -> None:
        """Fails for parameters that boto3 would not send."""
        self._valid(parameters, self._operation(operation).input_shape, operation)

    def answered(self, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Fails for an answer that the service could not give."""
        shape = self._operation(operation).output_shape
        self._valid(answer, shape, operation)
        return answer

    def error(self, operation: str, code: str, message: str, general: Sequence[str] = ()) -> ClientError:
        """An error of the service; one that its model does not know must be among the general ones of AWS."""
        known = {shape.name for shape in self._operation(operation).error_shapes} | set(general)
        assert code in known, f"{operation} never answers {code}"
        return ClientError({"Error": {"Code": code, "Message": message}}, operation)

    def _operation(self, name: str) -> OperationModel:
        return self.model.operation_model(name)

    @staticmethod
    def _valid(found: dict[str, Any], shape: Any, operation: str) -> None:
        report = ParamValidator().validate(found, shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        _in_enumerations(found, shape, operation)


def _in_enumerations(value: Any, shape: Any, where: str) -> None:
    """botocore leaves these to the service."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            _in_enumerations(inner, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            _in_enumerations(inner, shape.member, where)
    elif shape.type_name == "string" and shape.enum:
        assert value in shape.enum, f"{where}: {value}"


class FakeSageMaker:
    """Training jobs that run here.

    Args:
        folder: Where what is known of them rests.
        before: What each job is at before its process starts, one state a look.
        refusals: What starting a job answers, before it takes one.
        capacity: How many jobs find no machine.
    """

    def __init__(
        self, folder: Path, before: Sequence[str] = (), refusals: Sequence[tuple[str, str]] = (), capacity: int = 0, **variables: str
    ) -> None:
        self.folder = folder
        self.before = list(before)
        self.refusals = list(refusals)
        self.capacity = capacity
        self.variables = variables
        self.contract = Contract("sagemaker")

    def create_training_job(self, **asked: Any) -> dict[str, Any]:
        self.contract.asked("CreateTrainingJob", asked)
        job = self._job(asked["TrainingJobName"])
        if self.refusals:
            code, message = self.refusals.pop(0)
            raise self.contract.error(
                "CreateTrainingJob", code, message, ["ThrottlingException", "ExpiredTokenException", "AccessDeniedException"]
            )
        if job.exists():
            raise self.contract.error(
                "CreateTrainingJob", "ResourceInUse", "Training job names must be unique within an AWS account and region"
            )
        (job / "output").mkdir(parents=True)
        (job / "request.json").write_text(json.dumps(asked))
        if self.capacity:
            self.capacity -= 1
            (job / "reason").write_text(
                "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
            )
            (job / "rc").write_text("1")
        return self.contract.answered("CreateTrainingJob", {"TrainingJobArn": f"{ARN}/{asked['TrainingJobName']}"})

    def describe_training_job(self, **asked: Any) -> dict[str, Any]:
        self.contract.asked("DescribeTrainingJob", asked)
        job = self._job(asked["TrainingJobName"])
        if not job.exists():
            raise self.contract.error(
                "DescribeTrainingJob", "ValidationException", "Requested resource not found.", ["ValidationException"]
            )
        status, step = self._state(job)
        request = json.loads((job / "request.json").read_text())
        reason = job / "reason"
        ended = status in {"Completed", "Failed", "Stopped"}
        answer = {
            "TrainingJobName": asked["TrainingJobName"],
            "TrainingJobArn": f"{ARN}/{asked['TrainingJobName']}",
            "ModelArtifacts": {"S3ModelArtifacts": ""},
            "TrainingJobStatus": status,
            "SecondaryStatus": step,
            "AlgorithmSpecification": request["AlgorithmSpecification"],
            "ResourceConfig": request["ResourceConfig"],
            "StoppingCondition": request["StoppingCondition"],
            "CreationTime": datetime.now(UTC),
            **({"FailureReason": reason.read_text()} if reason.exists() and status == "Failed" else {}),
            **({"BillableTimeInSeconds": 100, "TrainingTimeInSeconds": 300} if ended and (job / "pid").exists() else {}),
        }
        return self.contract.answered("DescribeTrainingJob", answer)

    def stop_training_job(self, **asked: Any) -> None:
        self.contract.asked("StopTrainingJob", asked)
        job = self._job(asked["TrainingJobName"])
        if (job / "rc").exists():
            raise self.contract.error("StopTrainingJob", "ValidationException", "The job is not running.", ["ValidationException"])
        (job / "stopping").touch()
        self._kill(job)

    def interrupt(self, name: str) -> None:
        """Takes the machine away: the container starts again on another one, with nothing but what is in S3."""
        job = self._job(name)
        (job / "interrupted").touch()
        self._kill(job)

    def names(self) -> list[str]:
        """All jobs."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def request(self, name: str) -> dict[str, Any]:
        """What a job was asked for with."""
        return json.loads((self._job(name) / "request.json").read_text())

    def output(self, name: str) -> str:
        """What a job's container printed."""
        return (self._job(name) / "log").read_text()

    def _job(self, name: str) -> Path:
        return self.folder / name

    def _state(self, job: Path) -> tuple[str, str]:
        if (job / "rc").exists():
            if (job / "interrupted").exists():
                for file in ("rc", "interrupted"):
                    (job / file).unlink()
                self._start(job)
                return "InProgress", "Interrupted"
            if (job / "stopping").exists():
                return "Stopped", "Stopped"
            rc = int((job / "rc").read_text())
            if rc and not (job / "reason").exists():
                failure = job / "output" / "failure"
                said = failure.read_text() if failure.exists() else (job / "log").read_text().strip().splitlines()[-1]
                (job / "reason").write_text(f"AlgorithmError: {said}, exit code: {rc}")
                self._log(job)
            return ("Failed", "Failed") if rc else ("Completed", "Completed")
        if (job / "stopping").exists():
            return "Stopping", "Stopping"
        looks = len((job / "looks").read_text()) if (job / "looks").exists() else 0
        if looks < len(self.before):
            (job / "looks").write_text("." * (looks + 1))
            return "InProgress", self.before[looks]
        if not (job / "pid").exists():
            self._start(job)
        return "InProgress", "Training"

    def _start(self, job: Path) -> None:
        request = json.loads((job / "request.json").read_text())
        entry = request["AlgorithmSpecification"]["ContainerEntrypoint"]
        machine = job / f"machine-{time.monotonic_ns()}"
        run(entry, job, machine, {**request["Environment"], **self.variables})

    @staticmethod
    def _kill(job: Path) -> None:
        if (job / "pid").exists():
            os.kill(int((job / "pid").read_text()), signal.SIGTERM)
        else:
            (job / "rc").write_text("143")

    @staticmethod
    def _log(job: Path) -> None:
        logs = boto3.client("logs")
        group, stream = "/aws/sagemaker/TrainingJobs", f"{job.name}/algo-1-{time.time_ns()}"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        now = int(time.time() * 1000)
        lines = [{"timestamp": now, "message": line} for line in (job / "log").read_text().splitlines() if line]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=lines)


class FakeEcs:
    """Tasks of ECS that run here.

    Args:
        folder: Where what is known of them rests.
        failures: Why starting a task does not work, before it does.
    """

    meta = SimpleNamespace(region_name="us-east-1")
    defined: ClassVar[dict[str, Any]] = {
        "family": "trainer",
        "networkMode": "host",
        "containerDefinitions": [
            {
                "name": "trainer",
                "image": "llm-twin-trainer",
                "resourceRequirements": [{"type": "GPU", "value": "1"}],
                "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/twin", "awslogs-stream-prefix": "train"}},
            }
        ],
    }

    def __init__(self, folder: Path, failures: Sequence[str] = (), **variables: str) -> None:
        self.folder = folder
        self.failures = list(failures)
        self.variables = variables
        self.definition = copy.deepcopy(self.defined)
        self.contract = Contract("ecs")

    def describe_task_definition(self, **asked: Any) -> dict[str, Any]:
        self.contract.asked("DescribeTaskDefinition", asked)
        return self.contract.answered("DescribeTaskDefinition", {"taskDefinition": self.definition})

    def run_task(self, **asked: Any) -> dict[str, Any]:
        self.contract.asked("RunTask", asked)
        assert ("networkConfiguration" in asked) == (self.definition["networkMode"] == "awsvpc"), "only awsvpc has a network of its own"
        if self.failures:
            return self.contract.answered("RunTask", {"tasks": [], "failures": [{"reason": self.failures.pop(0)}]})
        for found in self._tasks():
            if self.request(found.name)["clientToken"] == asked["clientToken"]:
                if self.request(found.name) == asked:
                    return self.contract.answered("RunTask", {"tasks": [self._described(found)], "failures": []})
                raise self.contract.error("RunTask", "ConflictException", "The clientToken was used with other parameters")
        task = self.folder / str(len(self.names()) + 1)
        task.mkdir(parents=True)
        (task / "request.json").write_text(json.dumps(asked))
        variables = {pair["name"]: pair["value"] for pair in asked["overrides"]["containerOverrides"][0]["environment"]}
        run(["python", "-m", "twin_assets.training.trainer_main"], task, task / "machine", {**variables, **self.variables})
        return self.contract.answered("RunTask", {"tasks": [self._described(task)], "failures": []})

    def list_tasks(self, **asked: Any) -> dict[str, Any]:
        self.contract.asked("ListTasks", asked)
        assert set(asked) <= {"cluster", "startedBy"}, "startedBy must be the only filter (botocore's model of ListTasks)"
        found = [task for task in self._tasks() if self.request(task.name)["startedBy"] == asked["startedBy"]]
        running = [self._arn(task) for task in found if not (task / "rc").exists()]
        return self.contract.answered("ListTasks", {"taskArns": running})

    def describe_tasks(self, **asked: Any) -> dict[str, Any]:
        self.contract.asked("DescribeTasks", asked)
        found = [self._described(task) for task in self._tasks() if self._arn(task) in asked["tasks"] and not (task / "forgotten").exists()]
        return self.contract.answered("DescribeTasks", {"tasks": found, "failures": []})

    def stop_task(self, **asked: Any) -> dict[str, Any]:
        self.contract.asked("StopTask", asked)
        task = next(task for task in self._tasks() if self._arn(task) == asked["task"])
        if (task / "rc").exists():
            raise self.contract.error("StopTask", "InvalidParameterException", "The referenced task was not found.")
        (task / "stopping").write_text(asked["reason"])
        os.kill(int((task / "pid").read_text()), signal.SIGTERM)
        return self.contract.answered("StopTask", {"task": self._described(task)})

    def forget(self, name: str) -> None:
        """Lets an hour pass: of a task that has ended, nothing is known."""
        (self.folder / name / "forgotten").touch()

    def lose(self, name: str) -> None:
        """Takes the machine away: the task ends, and its container has no exit code."""
        (self.folder / name / "lost").touch()
        os.kill(int((self.folder / name / "pid").read_text()), signal.SIGTERM)

    def names(self) -> list[str]:
        """All tasks."""
        return [task.name for task in self._tasks()]

    def request(self, name: str) -> dict[str, Any]:
        """What a task was asked for with."""
        return json.loads((self.folder / name / "request.json").read_text())

    def _tasks(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.exists() else []

    @staticmethod
    def _arn(task: Path) -> str:
        return f"arn:aws:ecs:us-east-1:123456789012:task/gpus/{task.name}"

    def _described(self, task: Path) -> dict[str, Any]:
        ended, lost, stopping = ((task / name).exists() for name in ("rc", "lost", "stopping"))
        rc = int((task / "rc").read_text()) if ended and not lost else None
        container = {"name": "trainer", "runtimeId": task.name, **({} if rc is None else {"exitCode": rc})}
        why = (task / "stopping").read_text() if stopping else "Essential container in task exited"
        return {
            "taskArn": self._arn(task),
            "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/gpus",
            "lastStatus": "STOPPED" if ended else "RUNNING",
            "desiredStatus": "STOPPED" if ended or stopping else "RUNNING",
            "containers": [container],
            "startedAt": STARTED,
            **({"stoppedAt": STARTED + timedelta(seconds=100)} if ended else {}),
            **({"stoppedReason": "Host EC2 (instance i-1) terminated." if lost else why} if ended else {}),
        }


def run(command: Sequence[str], job: Path, machine: Path, variables: dict[str, str]) -> None:
    """A container: its process, its log, and its exit status when it has ended. With ``STAND_IN_PYTHON`` it is the real trainer's."""
    python = variables.get("STAND_IN_PYTHON", sys.executable)
    environment = {
        **{name: os.environ[name] for name in GIVEN if name in os.environ},
        "PYTHONPATH": str(PROJECT_ROOT),
        "TWIN_TRAINING_FOLDER": str(machine),
        **(STANDING_IN if python == sys.executable else {}),
        **variables,
    }
    ended = 'rc=$?; mv "$1/log.new" "$1/log"; echo $rc >"$1/rc.new"; mv "$1/rc.new" "$1/rc"'
    script = f'(exec >"$1/log.new" 2>&1; "${{@:2}}" & echo $! >"$1/pid"; wait $!; {ended}) &'
    shell = ["bash", "-c", script, "bash", str(job)]
    subprocess.run([*shell, python, *command[1:]], env=environment, cwd=job, start_new_session=True, check=True)
    until = time.monotonic() + 10
    while not (job / "pid").exists() and time.monotonic() < until:
        time.sleep(0.01)
