"""Tasks of ECS: one for a plan, found again by who started it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.aws import ScarceError, log_lines, patiently, required, speaking
from twin_assets.training.place import Place
from twin_assets.training.remote import environment, job_name
from twin_assets.training.trainer import Plan


class EcsTasks:
    """A client of ECS in whose hands starting a plan's task a second time finds the first one.

    Everything else it hands on to the client that it holds. For ``PipesECSClient`` of dagster-aws.

    Args:
        plan: The training.
        client: A client of ECS.
        logs: A client of CloudWatch Logs.
        settings: For cluster and task definition.
        sleep: Waits so many seconds.
    """

    def __init__(self, plan: Plan, client: Any, logs: Any, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = job_name(plan)
        self.client = client
        self.logs = logs
        self.settings = settings
        self.sleep = sleep
        self.task = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def running(self) -> str:
        """The task that is at this training now; empty when none is.

        Raises:
            TwinError: When ECS cannot be asked.
        """
        with speaking(f"looking for {self.name}"):
            found = self.client.list_tasks(cluster=self.settings.training_ecs_cluster, startedBy=self.name)
        return next(iter(found["taskArns"]), "")

    def run_task(self, **request: Any) -> dict[str, Any]:
        """Starts the task, or finds it; where there is no machine for it, waits and asks again.

        Raises:
            TwinError: When ECS refuses.
        """
        self.task = self.running()
        if self.task:
            with speaking(f"looking at {self.task}"):
                return self.client.describe_tasks(cluster=self.settings.training_ecs_cluster, tasks=[self.task])
        started = patiently(lambda: self._start(request), self.sleep)
        self.task = started["tasks"][0]["taskArn"]
        return started

    def require_completed(self) -> None:
        """Checks how the task has ended; a container whose machine disappeared has no exit code, and dagster-aws takes that for success.

        Raises:
            TwinError: When a container did not end well, or ECS cannot be asked.
        """
        containers = [container for task in self._described() for container in task.get("containers", [])]
        if not containers or any(container.get("exitCode") != 0 for container in containers):
            raise TwinError(f"The training task {self.name} failed: a container ended without an exit code\n{self.why()}")

    def why(self) -> str:
        """Why the task ended, and the last lines of its log.

        Raises:
            TwinError: When ECS cannot be asked.
        """
        if not self.task:
            return ""
        tasks = self._described()
        with speaking(f"looking at {self.task}"):
            defined = self._containers()
        reasons = [tasks[0].get("stoppedReason", "")] if tasks else []
        reasons += [container.get("reason", "") for task in tasks for container in task.get("containers", [])]
        options = defined[0].get("logConfiguration", {}).get("options", {})
        said = "; ".join(reason for reason in reasons if reason)
        if "awslogs-group" not in options:
            return said
        stream = f"{options.get('awslogs-stream-prefix', '')}/{defined[0]['name']}/{self.task.rsplit('/', 1)[-1]}"
        return f"{said}\nLast lines of its log:\n{log_lines(self.logs, options['awslogs-group'], stream)}"

    def request(self, plan: Plan, place: Place) -> dict[str, Any]:
        """What ECS is asked for (Amazon ECS API reference, RunTask).

        Raises:
            TwinError: When a setting is missing, or the task definition cannot be read.
        """
        settings = self.settings
        required(settings, "training_ecs_cluster", "training_ecs_task")
        with speaking(f"looking at {settings.training_ecs_task}"):
            container = self._containers()[0]["name"]
        variables = [{"name": name, "value": value} for name, value in environment(plan, place, settings).items()]
        subnets, groups = settings.training_network
        network = {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups}}
        return {
            "cluster": settings.training_ecs_cluster,
            "taskDefinition": settings.training_ecs_task,
            "startedBy": self.name,
            "overrides": {"containerOverrides": [{"name": container, "environment": variables}]},
            **({"networkConfiguration": network} if subnets else {}),
            **(
                {"capacityProviderStrategy": [{"capacityProvider": settings.training_ecs_capacity, "weight": 1}]}
                if settings.training_ecs_capacity
                else {}
            ),
        }

    def _start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with speaking(f"starting {self.name}"):
            started = self.client.run_task(**request)
        if started["tasks"]:
            return started
        reasons = "; ".join(str(failure.get("reason", failure)) for failure in started.get("failures", [])) or "no reason is given"
        raise (ScarceError if "RESOURCE" in reasons or "CAPACITY" in reasons.upper() else TwinError)(
            f"ECS does not start {self.name}: {reasons}"
        )

    def _described(self) -> list[dict[str, Any]]:
        with speaking(f"looking at {self.task}"):
            return self.client.describe_tasks(cluster=self.settings.training_ecs_cluster, tasks=[self.task])["tasks"]

    def _containers(self) -> list[dict[str, Any]]:
        found = self.client.describe_task_definition(taskDefinition=self.settings.training_ecs_task)
        return found["taskDefinition"]["containerDefinitions"]
