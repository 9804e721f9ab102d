"""Runs of Dagster that train on the fakes of AWS."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import dagster as dg

from twin_assets.settings import Settings
from twin_assets.training.budget import Bill
from twin_assets.training.launchers import EcsLauncher, SageMakerLauncher
from twin_assets.training.recipes import chosen
from twin_assets.training.trainer import Plan
from twin_assets_tests.training.aws_fakes import FakeEcs, FakeSageMaker


class Aws:
    """The resource, with the fakes in it."""

    def __init__(self, **fakes: Any) -> None:
        self.fakes = fakes

    def client(self, service: str) -> Any:
        return self.fakes.get(service) or boto3.client(service)


def _nap(seconds: float) -> None:
    time.sleep(min(seconds, 0.1))


class Run:
    """A run of Dagster that trains."""

    def __init__(self, settings: Settings, plan: Plan, training_file: Path, fake: FakeSageMaker | FakeEcs) -> None:
        self.settings, self.plan, self.training_file, self.fake = settings, plan, training_file, fake
        self.instance = dg.DagsterInstance.ephemeral(tempdir=str(fake.folder.parent))
        self.bill = Bill()
        self.steps: list[dict[str, Any]] = []
        self.slept: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> "Run":
        """Trains, with ``meanwhile`` at every look.

        Raises whatever the launcher raises.
        """

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.meanwhile()
            _nap(seconds)

        aws: Any = Aws(sagemaker=self.fake, ecs=self.fake)
        launcher = (EcsLauncher if isinstance(self.fake, FakeEcs) else SageMakerLauncher)(self.settings, aws, sleep)

        @dg.asset
        def trains(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            self.steps = launcher.train(context, self.plan, chosen(self.settings), self.training_file, self.bill)
            return dg.MaterializeResult()

        dg.materialize([trains], instance=self.instance)
        return self

    @property
    def log(self) -> str:
        """What the run showed."""
        events = [
            record.event_log_entry for run in self.instance.get_runs() for record in self.instance.get_records_for_run(run.run_id).records
        ]
        return "\n".join(entry.user_message or entry.message for entry in events)


def until(there: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something that is to come."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
