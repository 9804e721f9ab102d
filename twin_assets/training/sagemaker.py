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
from twin_assets.training.remote import environment
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
        name: Of the first one.
        client: A client of SageMaker.
        logs: A client of CloudWatch Logs.
        say: Takes what changes, line by line.
        sleep: Waits so many seconds.
    """

    def __init__(self, name: str, client: Any, logs: Any, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = name
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

    def busy(self) -> bool:
        """Whether one of them has not ended.

        Raises:
            TwinError: When SageMaker cannot be asked.
        """
        return any(not job.ended for job in self.attempts())

    def current(self) -> tuple[str, Job | None]:
        """The name of the attempt that is at it now, or comes next, and its job; one that is being stopped is waited for.

        Raises:
            TwinError: When SageMaker cannot be asked.
        """
        attempts = self.attempts()
        newest = next(reversed(attempts), None)
        if newest and newest.status == "Stopping":
            newest = self.follow(newest)
        return (self._name(len(attempts) + 1), None) if newest is None or newest.ended else (newest.name, newest)

    def settle(self, bill: Bill) -> None:
        """Notes what all attempts were billed, and whether one goes on.

        Raises:
            TwinError: When SageMaker cannot be asked.
        """
        attempts = self.attempts()
        bill.seconds = max(bill.seconds, float(sum(one.billed for one in attempts)))
        bill.open = any(not one.ended for one in attempts)

    def create(self, name: str, request: Mapping[str, Any]) -> Job:
        """Starts an attempt, or finds that it was started: by another run, or by a request whose answer was lost.

        Where a quota is used up, it waits and asks again.

        Raises:
            TwinError: When SageMaker refuses.
        """
        from botocore.exceptions import ClientError

        def ask() -> None:
            with speaking(f"starting {name}"):
                try:
                    self.client.create_training_job(TrainingJobName=name, **request)
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") != "ResourceInUse":
                        raise
                    self.say(f"{name} runs already: waiting for it")

        patiently(ask, self.sleep)
        job = self._describe(name)
        if job is None:
            raise TwinError(f"SageMaker took the training job {name} and does not know it. Look at its console, and run again.")
        return job

    def follow(self, job: Job) -> Job:
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
                return job
            self.sleep(POLL_SECONDS)
            try:
                job = self._describe(job.name) or job
            except ScarceError as error:  # AWS is busy, and the job goes on
                self.say(str(error))

    def stop(self, name: str) -> None:
        """Ends a job, where it was started and runs; what it has cost is paid, and its checkpoints stay.

        Raises:
            TwinError: When SageMaker refuses.
        """
        if not self._goes_on(name):
            return
        try:
            with speaking(f"stopping {name}"):
                self.client.stop_training_job(TrainingJobName=name)
        except TwinError:
            if self._goes_on(name):
                raise

    def require_completed(self, job: Job) -> None:
        """Checks how a job has ended.

        Raises:
            ScarceError: When there was no machine for it.
            TwinError: When it failed, or somebody stopped it.
        """
        if job.status == "Completed":
            return
        if job.step == "MaxRuntimeExceeded":
            raise TwinError(
                f"The training job {job.name} has reached its limit: TWIN_TRAINING_MAX_HOURS, or what the caps on dollars left. "
                "Raise it, and run again: it goes on from its last checkpoint."
            )
        if job.status == "Stopped":
            raise TwinError(f"The training job {job.name} was stopped ({job.step}). Run again: it goes on from its last checkpoint.")
        if any(word in job.reason for word in _SCARCE):
            raise ScarceError(f"The training job {job.name} found no machine: {job.reason}")
        lines = log_lines(self.logs, LOG_GROUP, f"{job.name}/")
        raise TwinError(f"The training job {job.name} failed: {job.reason or 'SageMaker says no reason'}\nLast lines of its log:\n{lines}")

    def _goes_on(self, name: str) -> bool:
        job = self._describe(name)
        return job is not None and not job.ended and job.status != "Stopping"

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


def request(plan: Plan, recipe: Recipe, place: Place, pipes: Mapping[str, str], settings: Settings, seconds: int) -> dict[str, Any]:
    """What SageMaker is asked for, without the name (SageMaker API reference, CreateTrainingJob).

    Args:
        plan: The training.
        recipe: Says on which instance.
        place: Where everything lies in S3.
        pipes: The variables with which the trainer finds the run.
        settings: Image, role, network and spot.
        seconds: How long it may run.

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
    variables = {**environment(plan, place, settings, seconds), **pipes}
    if long := [name for name, value in variables.items() if len(value) > LONGEST_VALUE]:
        raise TwinError(
            f"{long[0]} would be longer than the {LONGEST_VALUE} characters that SageMaker takes. Set a shorter TWIN_TRAINING_S3."
        )
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
            "MaxRuntimeInSeconds": seconds,
            **({"MaxWaitTimeInSeconds": seconds + SPOT_WAIT_SECONDS} if settings.training_spot else {}),
        },
        "EnableManagedSpotTraining": settings.training_spot,
        "Environment": variables,
        "Tags": [{"Key": "twin:author", "Value": plan.author}, {"Key": "twin:version", "Value": plan.version}],
        **({"VpcConfig": {"Subnets": subnets, "SecurityGroupIds": groups}} if subnets else {}),
    }
