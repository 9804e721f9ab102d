"""Training jobs of SageMaker: one for a plan, found again by its name, and never two at once.

A job's name can be used once. After a failure or a stop the next attempt has a number behind the name, and goes on from the checkpoints of the
one before.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.aws import ScarceError, log_lines, patiently, required, speaking
from twin_assets.training.budget import Bill
from twin_assets.training.place import Place
from twin_assets.training.recipes import Recipe
from twin_assets.training.remote import environment, job_name
from twin_assets.training.trainer import Plan
from twin_assets.training.trainer_main import MODULE

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
POLL_SECONDS = 15.0
SPOT_WAIT_SECONDS = 12 * 3600
"""Longest wait for spare capacity, beside the training itself."""
VOLUME_GB = 400
LONGEST_VALUE = 512
"""Characters of an environment variable's value (SageMaker API reference, CreateTrainingJob)."""
_SCARCE = ("CapacityError", "InsufficientInstanceCapacity")


@dataclass(frozen=True, slots=True)
class Job:
    """A training job as SageMaker describes it.

    Attributes:
        name: Its own.
        status: InProgress, Completed, Failed, Stopping or Stopped.
        step: What it is at: Starting, Downloading, Training, Interrupted and so on.
        reason: Why it failed.
        billed: Seconds that are paid at the price on demand; a spot job's are fewer than it took.
    """

    name: str
    status: str
    step: str
    reason: str
    billed: int

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in {"Completed", "Failed", "Stopped"}


class Jobs:
    """The jobs of one training.

    Args:
        plan: The training.
        client: A client of SageMaker.
        logs: A client of CloudWatch Logs.
        say: Takes what changes, line by line.
        sleep: Waits so many seconds.
    """

    def __init__(self, plan: Plan, client: Any, logs: Any, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = job_name(plan)
        self.client = client
        self.logs = logs
        self.say = say
        self.sleep = sleep

    def attempts(self) -> list[Job]:
        """All jobs of this training, the newest last.

        Raises:
            TwinError: When SageMaker cannot be asked.
        """
        found: list[Job] = []
        while job := self._describe(self._name(len(found) + 1)):
            found.append(job)
        return found

    def running(self) -> Job | None:
        """The job that is at it now; one that is being stopped is waited for.

        Raises:
            TwinError: When SageMaker cannot be asked.
        """
        newest = next(reversed(self.attempts()), None)
        if newest and newest.status == "Stopping":
            newest = self.follow(newest)
        return None if newest is None or newest.ended else newest

    def create(self, request: Mapping[str, Any]) -> Job:
        """Starts the next attempt; where a quota is used up, it waits and asks again.

        Raises:
            TwinError: When SageMaker refuses.
        """
        name = self._name(len(self.attempts()) + 1)

        def ask() -> None:
            with speaking(f"starting {name}"):
                self.client.create_training_job(TrainingJobName=name, **request)

        patiently(ask, self.sleep)
        job = self._describe(name)
        if job is None:
            raise TwinError(f"SageMaker took the training job {name} and does not know it. Look at its console, and run again.")
        return job

    def follow(self, job: Job, bill: Bill | None = None) -> Job:
        """Waits for a job's end, and says what it is at.

        Raises:
            TwinError: When SageMaker cannot be asked; the job itself goes on.
        """
        said = ""
        while True:
            now = f"{job.name}: {job.status}, {job.step}"
            if now != said:
                self.say(now)
                said = now
            if job.ended:
                if bill is not None:
                    bill.seconds = float(sum(one.billed for one in self.attempts()))
                return job
            self.sleep(POLL_SECONDS)
            job = self._describe(job.name) or job

    def stop(self, job: Job) -> None:
        """Ends a job; what it has cost is paid, and its checkpoints stay.

        Raises:
            TwinError: When SageMaker refuses.
        """
        with speaking(f"stopping {job.name}"):
            self.client.stop_training_job(TrainingJobName=job.name)

    def require_completed(self, job: Job) -> None:
        """Checks how a job has ended.

        Raises:
            ScarceError: When there was no machine for it.
            TwinError: When it failed, or somebody stopped it.
        """
        if job.status == "Completed":
            return
        if job.status == "Stopped":
            raise TwinError(f"The training job {job.name} was stopped ({job.step}). Run again: it goes on from its last checkpoint.")
        if any(word in job.reason for word in _SCARCE):
            raise ScarceError(f"The training job {job.name} found no machine: {job.reason}")
        lines = log_lines(self.logs, LOG_GROUP, f"{job.name}/")
        raise TwinError(f"The training job {job.name} failed: {job.reason or 'SageMaker says no reason'}\nLast lines of its log:\n{lines}")

    def _name(self, attempt: int) -> str:
        return self.name if attempt == 1 else f"{self.name}-{attempt}"

    def _describe(self, name: str) -> Job | None:
        from botocore.exceptions import ClientError

        with speaking(f"looking at {name}"):
            try:
                found = self.client.describe_training_job(TrainingJobName=name)
            except ClientError as error:
                if "not found" in str(error).lower():
                    return None
                raise
        return Job(
            name,
            found["TrainingJobStatus"],
            found["SecondaryStatus"],
            found.get("FailureReason", ""),
            found.get("BillableTimeInSeconds", 0),
        )


def request(plan: Plan, recipe: Recipe, place: Place, pipes: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """What SageMaker is asked for, without the name (SageMaker API reference, CreateTrainingJob).

    Args:
        plan: The training.
        recipe: Says on which instance.
        place: Where everything lies in S3.
        pipes: The variables with which the trainer finds the run.
        settings: Image, role, network, spot and bounds.

    Raises:
        TwinError: When a setting is missing, the recipe is for no instance of SageMaker, or a variable would be too long.
    """
    required(settings, "training_image", "training_role")
    instance = recipe.expected.instance if recipe.expected else ""
    if not instance.startswith("ml."):
        raise TwinError(
            f"The recipe {recipe.name} names no instance of SageMaker (twin.instance, such as ml.g5.2xlarge), but {instance or 'none'}. "
            "Choose another one with TWIN_TRAINING_CONFIG."
        )
    variables = {**environment(plan, place, settings), **pipes}
    if long := [name for name, value in variables.items() if len(value) > LONGEST_VALUE]:
        raise TwinError(
            f"{long[0]} would be longer than the {LONGEST_VALUE} characters that SageMaker takes. Set a shorter TWIN_TRAINING_S3."
        )
    runtime = round(settings.training_max_hours * 3600)
    subnets, groups = settings.training_network
    if subnets:
        required(settings, "training_security_groups")
    return {
        "AlgorithmSpecification": {
            "TrainingImage": settings.training_image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", MODULE],
        },
        "RoleArn": settings.training_role,
        "OutputDataConfig": {"S3OutputPath": f"{place}/sagemaker"},  # asked for, and empty: the trainer stores what it makes
        "ResourceConfig": {"InstanceType": instance, "InstanceCount": 1, "VolumeSizeInGB": VOLUME_GB},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": runtime,
            **({"MaxWaitTimeInSeconds": runtime + SPOT_WAIT_SECONDS} if settings.training_spot else {}),
        },
        "EnableManagedSpotTraining": settings.training_spot,
        "Environment": variables,
        "Tags": [{"Key": "twin:author", "Value": plan.author}, {"Key": "twin:version", "Value": plan.version}],
        **({"VpcConfig": {"Subnets": subnets, "SecurityGroupIds": groups}} if subnets else {}),
    }
