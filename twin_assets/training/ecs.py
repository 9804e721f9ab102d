"""Tasks of ECS: one for a plan, found again by who started it."""

import json
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.aws import ScarceError, log_lines, patiently, speaking
from twin_assets.training.budget import Bill
from twin_assets.training.place import Place
from twin_assets.training.recipes import Recipe
from twin_assets.training.remote import environment
from twin_assets.training.trainer import Plan

log = structlog.get_logger(__name__)

ATTEMPTS = "attempts"
LOOKS = 10
"""How often a task is looked for that was just started: ECS may take a while to know it."""
POLL_SECONDS = 6.0
OWN_NETWORK = "awsvpc"
"""The network mode in which ECS asks for subnets; in the others it refuses them."""


class EcsTasks:
    """A client of ECS in whose hands starting a plan's task a second time finds the first one.

    Everything else it hands on to the client that it holds. For ``PipesECSClient`` of dagster-aws.

    Args:
        name: Of the training's job.
        place: Where it notes its attempts: ECS forgets a task within an hour after its end.
        client: A client of ECS.
        logs: A client of CloudWatch Logs.
        settings: For cluster and task definition.
        sleep: Waits so many seconds.
    """

    def __init__(
        self, name: str, place: Place, client: Any, logs: Any, settings: Settings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self.place = place
        self.client = client
        self.logs = logs
        self.settings = settings
        self.sleep = sleep
        self.task = ""
        self.attempt = 1
        self.seconds: float = math.inf

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def running(self, name: str) -> str:
        """The task that was started under a name and has not ended; empty when there is none.

        Raises:
            TwinError: When ECS cannot be asked.
        """
        with speaking(f"looking for {name}"):
            found = self.client.list_tasks(cluster=self.settings.training_ecs_cluster, startedBy=name)
        return next(iter(found["taskArns"]), "")

    def current(self) -> tuple[str, str]:
        """The name of the attempt that is at it now, or comes next, and its task, empty where there is none; one being ended is waited for.

        Raises:
            TwinError: When ECS cannot be asked.
        """
        notes = self._notes()
        self.task = self.running(self.name)
        if notes and not self.task:
            self.follow(notes[-1]["task"])
        self.attempt = next((number for number, note in enumerate(notes, 1) if self.task and note["task"] == self.task), len(notes) + 1)
        return self._attempt, self.task

    def settle(self, bill: Bill) -> None:
        """Notes how long the tasks ran that have ended, and whether there is one of which that is not known.

        Raises:
            TwinError: When ECS cannot be asked.
        """
        notes = self._notes()
        for number, note in enumerate(notes, 1):
            if note["seconds"] is None and (seconds := self._took(note["task"])) is not None:
                note["seconds"] = seconds
                self._note(number, note["task"], seconds)
        bill.seconds = max(bill.seconds, sum(note["seconds"] or 0.0 for note in notes))
        bill.open = any(note["seconds"] is None for note in notes)

    def run_task(self, **request: Any) -> dict[str, Any]:
        """Starts the task, or finds it; where there is no machine for it, waits and asks again.

        Raises:
            TwinError: When ECS refuses.
        """
        if not self.task:
            self.task = patiently(lambda: self._start({**request, "clientToken": self._attempt}), self.sleep)
        self._note(self.attempt, self.task)
        for _ in range(LOOKS):
            if found := self._described(self.task):
                return {"tasks": found}
            self.sleep(POLL_SECONDS)
        raise TwinError(f"ECS started the task {self.task} and does not know it. Look at its console, and run again.")

    def get_waiter(self, _: str) -> Any:
        """What waits for the task's end, and ends it when it has used up its time."""
        return SimpleNamespace(wait=lambda **_: self.follow(self.task))

    def follow(self, task: str) -> None:
        """Waits for a task's end, and ends it when it has used up its time.

        Raises:
            TwinError: When ECS cannot be asked; the task itself goes on.
        """
        while (found := self._looked(task)) is None or found["lastStatus"] != "STOPPED":
            started = found.get("startedAt") if found else None
            if found and started and found.get("desiredStatus") != "STOPPED" and _since(started) > self.seconds:
                self.stop(
                    f"It has reached its limit of {self.seconds / 3600:.2f} h: TWIN_TRAINING_MAX_HOURS, or what the caps on dollars leave"
                )
            self.sleep(POLL_SECONDS)

    def stop(self, why: str) -> None:
        """Ends the task, where it was started and runs.

        Raises:
            TwinError: When ECS refuses.
        """
        task = self.running(self.name)
        if not task:
            return
        try:
            with speaking(f"stopping {task}"):
                self.client.stop_task(cluster=self.settings.training_ecs_cluster, task=task, reason=why)
        except TwinError:
            if self.running(self.name):
                raise

    def completed(self) -> bool:
        """Whether the task has ended well: a container whose machine disappeared has no exit code, which dagster-aws takes for success.

        Raises:
            TwinError: When ECS cannot be asked.
        """
        containers = [container for task in self._described(self.task) for container in task.get("containers", [])]
        return bool(containers) and all(container.get("exitCode") == 0 for container in containers)

    def why(self) -> str:
        """Why the task ended, and the last lines of its log.

        Raises:
            TwinError: When ECS cannot be asked.
        """
        if not self.task:
            return ""
        tasks = self._described(self.task)
        with speaking(f"looking at {self.task}"):
            defined = self._definition()["containerDefinitions"]
        reasons = [tasks[0].get("stoppedReason", "")] if tasks else []
        reasons += [container.get("reason", "") for task in tasks for container in task.get("containers", [])]
        options = defined[0].get("logConfiguration", {}).get("options", {})
        said = "; ".join(reason for reason in reasons if reason)
        if "awslogs-group" not in options:
            return said
        stream = f"{options.get('awslogs-stream-prefix', '')}/{defined[0]['name']}/{self.task.rsplit('/', 1)[-1]}"
        return f"{said}\nLast lines of its log:\n{log_lines(self.logs, options['awslogs-group'], stream)}"

    def request(self, plan: Plan, recipe: Recipe, seconds: int) -> dict[str, Any]:
        """What ECS is asked for (Amazon ECS API reference, RunTask).

        Args:
            plan: The training.
            recipe: Says how many GPUs it needs.
            seconds: How long it may run.

        Raises:
            TwinError: When the task definition cannot be read, or is not for this training.
        """
        settings, self.seconds = self.settings, seconds
        with speaking(f"looking at {settings.training_ecs_task}"):
            defined = self._definition()
        container = defined["containerDefinitions"][0]
        gpus, needed = _gpus(container), recipe.expected.gpus if recipe.expected else 0
        if gpus < needed:
            raise TwinError(
                f"The recipe {recipe.name} needs {needed} GPU(s), and the container {container['name']} of {settings.training_ecs_task} has {gpus}. "
                "Name a task definition with as many (resourceRequirements) in TWIN_TRAINING_ECS_TASK, or another recipe in TWIN_TRAINING_CONFIG."
            )
        variables = [{"name": name, "value": value} for name, value in environment(plan, self.place, settings, seconds).items()]
        subnets, groups = settings.training_network
        own_network = defined.get("networkMode") == OWN_NETWORK
        if own_network and not subnets:
            raise TwinError(
                f"{settings.training_ecs_task} has the network mode {OWN_NETWORK}, for which ECS asks for subnets. Set TWIN_TRAINING_SUBNETS."
            )
        network = {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups}}
        return {
            "cluster": settings.training_ecs_cluster,
            "taskDefinition": settings.training_ecs_task,
            "startedBy": self.name,
            "overrides": {"containerOverrides": [{"name": container["name"], "environment": variables}]},
            **({"networkConfiguration": network} if own_network else {}),
            **(
                {"capacityProviderStrategy": [{"capacityProvider": settings.training_ecs_capacity, "weight": 1}]}
                if settings.training_ecs_capacity
                else {}
            ),
        }

    @property
    def _attempt(self) -> str:
        return self.name if self.attempt == 1 else f"{self.name}-{self.attempt}"

    def _start(self, request: Mapping[str, Any]) -> str:
        from botocore.exceptions import ClientError

        with speaking(f"starting {self._attempt}"):
            try:
                started = self.client.run_task(**request)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "ConflictException":
                    raise
                return self._started_before()
        if started["tasks"]:
            return started["tasks"][0]["taskArn"]
        reasons = "; ".join(str(failure.get("reason", failure)) for failure in started.get("failures", [])) or "no reason is given"
        raise (ScarceError if "RESOURCE" in reasons or "CAPACITY" in reasons.upper() else TwinError)(
            f"ECS does not start {self.name}: {reasons}"
        )

    def _started_before(self) -> str:
        """The task of this attempt, which another run has started."""
        if task := self.running(self.name):
            return task
        if len(self._notes()) < self.attempt:
            self._note(self.attempt, "")
        raise TwinError(
            f"The training task {self._attempt} was started before, and has ended. Run again: it goes on from its last checkpoint."
        )

    def _looked(self, task: str) -> dict[str, Any] | None:
        """What a task is at; None where ECS is too busy to say, and ended where ECS does not know it any more."""
        try:
            found = self._described(task)
        except ScarceError as error:
            log.warning("waiting for ECS", why=str(error))
            return None
        return next(iter(found), {"lastStatus": "STOPPED"})

    def _took(self, task: str) -> float | None:
        """Seconds between a task's start and its end; None while it runs, and when ECS has forgotten it."""
        found = next(iter(self._described(task)), None)
        if found is None or "stoppedAt" not in found:
            return None
        began = found.get("pullStartedAt") or found.get("startedAt") or found["stoppedAt"]
        return (found["stoppedAt"] - began).total_seconds()

    def _notes(self) -> list[dict[str, Any]]:
        names = sorted(self.place.names(ATTEMPTS), key=lambda name: int(Path(name).stem))
        return [json.loads(self.place.read(name) or b"{}") for name in names]

    def _note(self, number: int, task: str, seconds: float | None = None) -> None:
        self.place.write(f"{ATTEMPTS}/{number}.json", json.dumps({"task": task, "seconds": seconds}).encode())

    def _described(self, task: str) -> list[dict[str, Any]]:
        if not task:
            return []
        with speaking(f"looking at {task}"):
            return self.client.describe_tasks(cluster=self.settings.training_ecs_cluster, tasks=[task])["tasks"]

    def _definition(self) -> dict[str, Any]:
        return self.client.describe_task_definition(taskDefinition=self.settings.training_ecs_task)["taskDefinition"]


def _gpus(container: Mapping[str, Any]) -> int:
    return sum(int(one["value"]) for one in container.get("resourceRequirements", []) if one["type"] == "GPU")


def _since(then: datetime) -> float:
    return (datetime.now(UTC) - then).total_seconds()
