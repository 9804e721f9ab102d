"""Three ways to run the trainer, all under Dagster Pipes: beside the run, as a training job of SageMaker, as a task of ECS.

Each finds a training again that an earlier run has started: it is never paid for twice. A run that is cancelled ends it.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterPipesExecutionError  # not exported; dagster is pinned

from twin_assets.resources import AwsResource
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.aws import patiently, speaking
from twin_assets.training.budget import Bill
from twin_assets.training.ecs import EcsTasks
from twin_assets.training.machine import gpus_for
from twin_assets.training.place import PIPES, Place
from twin_assets.training.recipes import Recipe
from twin_assets.training.remote import delivered, fetch, place_of, send
from twin_assets.training.sagemaker import Jobs, request
from twin_assets.training.trainer import Plan, log_tail, trainer_command, trainer_environment, write_config

Step = dict[str, Any]


class Launcher(Protocol):
    """Runs a training to its end."""

    def train(self, context: dg.AssetExecutionContext, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill) -> list[Step]:
        """Trains, or waits for a training that runs already; the adapter lies in ``plan.adapter`` afterwards.

        Args:
            context: Of the run; steps of the training are told to it.
            plan: What to train.
            recipe: Where it comes from.
            training_file: The conversations.
            bill: Takes what is billed, where the launcher knows.

        Returns:
            What the trainer reported at each step.

        Raises:
            TwinError: When it cannot be started, or fails.
        """
        ...


def launcher_of(settings: Settings, pipes: dg.PipesSubprocessClient, aws: AwsResource) -> Launcher:
    """The launcher that the settings name."""
    if settings.training_launcher == "sagemaker":
        return SageMakerLauncher(settings, aws)
    if settings.training_launcher == "ecs":
        return EcsLauncher(settings, aws)
    return LocalLauncher(settings, pipes)


class LocalLauncher:
    """A process of the trainer's environment on this machine; it ends with the run."""

    def __init__(self, settings: Settings, pipes: dg.PipesSubprocessClient) -> None:
        self.settings = settings
        self.pipes = pipes

    def train(self, context: dg.AssetExecutionContext, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill) -> list[Step]:
        """See ``Launcher``."""
        config = write_config(plan, training_file, self.settings)
        context.log.info(f"the trainer prints to {plan.log}")
        try:
            invocation = self.pipes.run(
                context=context.op_execution_context,
                command=trainer_command(plan, config, self.settings),
                env=trainer_environment(self.settings, dict(os.environ), gpus_for(recipe)),
            )
        except DagsterPipesExecutionError as error:
            raise TwinError(f"The trainer failed: {error}\nLast lines of {plan.log}:\n{log_tail(plan)}") from error
        return [dict(message) for message in invocation.get_custom_messages()]


class SageMakerLauncher:
    """A training job on a GPU instance of SageMaker, on spare capacity where the settings say so."""

    def __init__(self, settings: Settings, aws: AwsResource, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self.aws = aws
        self.sleep = sleep

    def train(self, context: dg.AssetExecutionContext, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill) -> list[Step]:
        """See ``Launcher``."""
        place = place_of(plan, self.settings, self.aws.client("s3"))
        jobs = Jobs(plan, self.aws.client("sagemaker"), self.aws.client("logs"), context.log.info, self.sleep)
        with speaking(f"training {plan.version}"):
            steps = (
                []
                if delivered(place)
                else patiently(lambda: self._attempt(context, jobs, place, plan, recipe, training_file, bill), self.sleep)
            )
            fetch(plan, training_file, place)
        return steps

    def _attempt(
        self, context: dg.AssetExecutionContext, jobs: Jobs, place: Place, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill
    ) -> list[Step]:
        job = jobs.running()
        if job is None:
            request(plan, recipe, place, {}, self.settings)  # what is missing is said before anything is sent
            send(plan, training_file, place, self.settings)
        else:
            context.log.info(f"{job.name} runs already: waiting for it")
        reader, injector = _through(place)
        with dg.open_pipes_session(context.op_execution_context, context_injector=injector, message_reader=reader) as session:
            job = job or jobs.create(request(plan, recipe, place, session.get_bootstrap_env_vars(), self.settings))
            try:
                job = jobs.follow(job, bill)
            except (DagsterExecutionInterruptedError, KeyboardInterrupt):
                context.log.warning(f"the run is cancelled: stopping {job.name}")
                jobs.stop(job)
                raise
        jobs.require_completed(job)
        return [dict(message) for message in session.get_custom_messages()]


class EcsLauncher:
    """A task of ECS on capacity with GPUs."""

    def __init__(self, settings: Settings, aws: AwsResource, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self.aws = aws
        self.sleep = sleep

    def train(self, context: dg.AssetExecutionContext, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill) -> list[Step]:
        """See ``Launcher``."""
        place = place_of(plan, self.settings, self.aws.client("s3"))
        tasks = EcsTasks(plan, self.aws.client("ecs"), self.aws.client("logs"), self.settings, self.sleep)
        with speaking(f"training {plan.version}"):
            steps = [] if delivered(place) else self._run(context, tasks, place, plan, training_file)
            fetch(plan, training_file, place)
        return steps

    def _run(self, context: dg.AssetExecutionContext, tasks: EcsTasks, place: Place, plan: Plan, training_file: Path) -> list[Step]:
        from dagster_aws.pipes import PipesECSClient

        asked = tasks.request(plan, place)
        if running := tasks.running():
            context.log.info(f"{running} runs already: waiting for it")
        else:
            send(plan, training_file, place, self.settings)
        reader, injector = _through(place)
        client = PipesECSClient(client=tasks, context_injector=injector, message_reader=reader)
        try:
            invocation = client.run(context=context.op_execution_context, run_task_params=asked)
        except (RuntimeError, DagsterPipesExecutionError) as error:
            raise TwinError(f"The training task {tasks.name} failed: {error}\n{tasks.why()}") from error
        tasks.require_completed()
        return [dict(message) for message in invocation.get_custom_messages()]


def _through(place: Place) -> tuple[Any, Any]:
    """What reads from a trainer on AWS, and what tells it of the run."""
    from dagster_aws.pipes import PipesS3ContextInjector

    from twin_assets.training.s3_messages import S3Messages

    return S3Messages(place), PipesS3ContextInjector(bucket=place.bucket, client=place.client, key_prefix=place.key(f"{PIPES}/"))
