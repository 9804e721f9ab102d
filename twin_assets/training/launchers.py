"""Three ways to run the trainer, all under Dagster Pipes: beside the run, as a training job of SageMaker, as a task of ECS.

Each finds a training again that an earlier run has started: it is never paid for twice. A run that is cancelled ends it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterPipesExecutionError  # not exported; dagster is pinned

from twin_assets.resources import AwsResource
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.aws import patiently, required, speaking
from twin_assets.training.budget import Bill
from twin_assets.training.ecs import EcsTasks
from twin_assets.training.machine import gpus_for
from twin_assets.training.place import PIPES, Place
from twin_assets.training.recipes import Recipe
from twin_assets.training.remote import allowed_seconds, delivered, fetch, job_name, place_of, send, withdraw, withdraw_others
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
        gpus = gpus_for(recipe)
        config = write_config(plan, training_file, self.settings, gpus)
        context.log.info(f"the trainer prints to {plan.log}")
        started = time.monotonic()
        try:
            invocation = self.pipes.run(
                context=context.op_execution_context,
                command=trainer_command(plan, config, self.settings),
                env=trainer_environment(self.settings, dict(os.environ), gpus),
            )
        except DagsterPipesExecutionError as error:
            raise TwinError(f"The trainer failed: {error}\nLast lines of {plan.log}:\n{log_tail(plan)}") from error
        finally:
            bill.seconds += time.monotonic() - started
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
        jobs = self._jobs(context, job_name(plan))
        with speaking(f"training {plan.version}"):
            steps = patiently(lambda: self._attempt(context, jobs, place, plan, recipe, training_file, bill), self.sleep)
            fetch(plan, training_file, place)
        return steps

    def _attempt(
        self, context: dg.AssetExecutionContext, jobs: Jobs, place: Place, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill
    ) -> list[Step]:
        name, job = jobs.current()
        jobs.settle(bill)
        if delivered(place):  # by a job that nobody watched to its end
            if job:
                jobs.follow(job)
                jobs.settle(bill)
            bill.open = bill.open or not bill.seconds
            return []
        seconds = allowed_seconds(bill, self.settings)
        if job is None:
            bill.require_left()
            request(plan, recipe, place, {}, self.settings, seconds)  # what is missing is said before anything is sent
            withdraw_others(plan, place, lambda other: self._jobs(context, other).busy())
        else:
            context.log.info(f"{name} runs already: waiting for it")
        bill.open = True
        with _ended(context, name, jobs, lambda: jobs.stop(name), bill, place), speaking(f"training {plan.version}"):
            if job is None:
                send(plan, training_file, place, self.settings)
            reader, injector = _through(place, name)
            with dg.open_pipes_session(context.op_execution_context, context_injector=injector, message_reader=reader) as session:
                pipes = session.get_bootstrap_env_vars()
                job = jobs.follow(job or jobs.create(name, request(plan, recipe, place, pipes, self.settings, seconds)))
        jobs.require_completed(job)
        return [dict(message) for message in session.get_custom_messages()]

    def _jobs(self, context: dg.AssetExecutionContext, name: str) -> Jobs:
        return Jobs(name, self.aws.client("sagemaker"), self.aws.client("logs"), context.log.info, self.sleep)


class EcsLauncher:
    """A task of ECS on capacity with GPUs."""

    def __init__(self, settings: Settings, aws: AwsResource, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self.aws = aws
        self.sleep = sleep

    def train(self, context: dg.AssetExecutionContext, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill) -> list[Step]:
        """See ``Launcher``."""
        place = place_of(plan, self.settings, self.aws.client("s3"))
        tasks = EcsTasks(job_name(plan), place, self.aws.client("ecs"), self.aws.client("logs"), self.settings, self.sleep)
        with speaking(f"training {plan.version}"):
            steps = patiently(lambda: self._attempt(context, tasks, place, plan, recipe, training_file, bill), self.sleep)
            fetch(plan, training_file, place)
        return steps

    def _attempt(
        self, context: dg.AssetExecutionContext, tasks: EcsTasks, place: Place, plan: Plan, recipe: Recipe, training_file: Path, bill: Bill
    ) -> list[Step]:
        from dagster_aws.pipes import PipesECSClient

        required(self.settings, "training_ecs_cluster", "training_ecs_task")
        name, running = tasks.current()
        tasks.settle(bill)
        if delivered(place):  # by a task that nobody watched to its end
            if running:
                tasks.follow(running)
                tasks.settle(bill)
            bill.open = bill.open or not bill.seconds
            return []
        asked = tasks.request(plan, recipe, allowed_seconds(bill, self.settings))
        if running:
            context.log.info(f"{running} runs already: waiting for it")
        else:
            bill.require_left()
            withdraw_others(plan, place, lambda other: bool(tasks.running(other)))
        bill.open = True
        reader, injector = _through(place, name)
        client = PipesECSClient(client=tasks, context_injector=injector, message_reader=reader, forward_termination=False)
        invocation, why = None, "a container ended without an exit code"
        with _ended(context, name, tasks, lambda: tasks.stop("The run was cancelled."), bill, place):
            try:
                with speaking(f"training {plan.version}"):
                    if not running:
                        send(plan, training_file, place, self.settings)
                    invocation = client.run(context=context.op_execution_context, run_task_params=asked)
            except (RuntimeError, DagsterPipesExecutionError) as error:
                why = str(error)
        if invocation is None or not tasks.completed():
            raise TwinError(f"The training task {name} failed: {why}\n{tasks.why()}")
        return [dict(message) for message in invocation.get_custom_messages()]


@contextmanager
def _ended(
    context: dg.AssetExecutionContext, name: str, attempts: Jobs | EcsTasks, stop: Callable[[], None], bill: Bill, place: Place
) -> Iterator[None]:
    """Ends an attempt with a run that is cancelled, and notes what it was billed; after a crash the next run does."""
    try:
        yield
    except (DagsterExecutionInterruptedError, KeyboardInterrupt):
        context.log.warning(f"the run is cancelled: stopping {name}")
        stop()
        withdraw(place)
        _settle(attempts, bill, place)
        raise
    except TwinError:
        _settle(attempts, bill, place)
        raise
    _settle(attempts, bill, place)


def _settle(attempts: Jobs | EcsTasks, bill: Bill, place: Place) -> None:
    """Notes what is billed, and leaves none of the author's texts in S3 where nothing runs and nothing was delivered.

    What AWS does not say stays open: this is not the place to fail.
    """
    with suppress(TwinError), speaking("looking at what was billed"):
        attempts.settle(bill)
        if not bill.open and not delivered(place):
            withdraw(place)


def _through(place: Place, attempt: str) -> tuple[Any, Any]:
    """What reads from a trainer on AWS, and what tells it of the run."""
    from dagster_aws.pipes import PipesS3ContextInjector

    from twin_assets.training.s3_messages import S3Messages

    prefix = place.key(f"{PIPES}/{attempt}/")
    return S3Messages(place, attempt), PipesS3ContextInjector(bucket=place.bucket, client=place.client, key_prefix=prefix)
