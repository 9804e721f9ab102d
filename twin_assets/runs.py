"""Materializing the chain of one author from the command line, in this process, with its progress reported."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import psutil

from twin_assets.definitions import defs
from twin_assets.partitions import authors
from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.database import open_database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Registry
from twin_assets.store.roles import Role
from twin_assets.training.machine import require_ready

JOB = "twin"
ADAPTER = dg.AssetKey(["training", "adapter_weights"])
MIN_FREE_BYTES = 2_000_000_000
PID_TAG, STARTED_TAG = "twin/pid", "twin/process_started"
CLOCK_SECONDS = 5  # a process's start is told in wall time, which moves a little when the clock is set
FAILED_CHECK = "DagsterAssetCheckFailedError"  # raised after a blocking check's evaluation
IN_PROGRESS = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_ASSETS = {key: defs.resolve_asset_graph().get(key).assets_def for key in defs.resolve_all_asset_keys()}
ASSET_STEPS = {"cleaning"} | {key.to_user_string() for key, asset in _ASSETS.items() if len(asset.keys) == 1}

StepState = Literal["waiting", "running", "done", "failed", "skipped"]


@dataclass
class Step:
    """One asset (or group of dbt models) of a run, as far as it has got."""

    name: str
    state: StepState = "waiting"
    note: str = ""
    started: float = 0.0
    seconds: float = 0.0


@dataclass
class RunReport:
    """How a run went.

    Attributes:
        run_id: Dagster's id of it.
        success: Whether every step and every check of severity ERROR passed.
        steps: The assets, as far as they got.
        error: Everything that went wrong, one problem after the other.
        errors: What went wrong in each step that failed, by its name.
        failed_checks: Those of the problems that are failed checks.
        metadata: What each materialized asset said about itself.
    """

    run_id: str
    success: bool
    steps: list[Step]
    error: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)


def dagster_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of these settings; its folder is made and configured on first use."""
    prepare_dagster_home(settings)
    return dg.DagsterInstance.from_config(str(settings.dagster_home))


def prepare_dagster_home(settings: Settings) -> Path:
    """Makes DAGSTER_HOME with the project's ``dagster.yaml`` and exports it to child processes."""
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    ours = (PROJECT_ROOT / "dagster.yaml").read_text()
    theirs = home / "dagster.yaml"
    if not theirs.exists() or (home.is_relative_to(settings.home) and theirs.read_text() != ours):
        theirs.write_text(ours)
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def add_partition(author: str, settings: Settings) -> None:
    """Makes an author a partition of the graph."""
    with dagster_instance(settings) as instance:
        instance.add_dynamic_partitions(str(authors.name), [author])


def materialize(author: str, to: str | None, settings: Settings, on_change: Callable[[list[Step]], None], alone: bool = False) -> RunReport:
    """Materializes the chain for one author, up to an asset when one is named.

    Args:
        author: A registered author.
        to: Name of the last asset, with or without its stage (``voice_profile``, ``voice/voice_profile``); None runs all.
        settings: For the data home.
        on_change: Called with the steps whenever one of them moves.
        alone: Makes that asset only, from what is there.

    Raises:
        TwinError: When there is no such asset, too little disk space, or something missing that the training among them needs.
        KeyboardInterrupt: When the run was stopped by Ctrl-C; Dagster's own name for that is known to nobody else.
    """
    _require_disk(settings)
    selection = _selection(to, alone)
    if ADAPTER in (selection or defs.resolve_all_asset_keys()):
        require_ready(settings, Registry(open_database(settings, Role.DOWNSTREAM)).overrides(author))
    job = defs.resolve_job_def(JOB)
    run_id = str(uuid.uuid4())
    tracker = _Tracker(on_change)
    end_dead_runs(settings)
    with dagster_instance(settings) as instance, _output_to(run_log(author, settings)):
        instance.add_dynamic_partitions(str(authors.name), [author])
        instance.add_event_listener(run_id, tracker)
        try:
            result = job.execute_in_process(
                instance=instance,
                partition_key=author,
                asset_selection=sorted(selection) if selection else None,
                run_id=run_id,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags={**_process_tags(), "dagster/max_retries": "0"},  # the daemon cannot repeat what it did not launch
            )
        except dg.DagsterExecutionInterruptedError as error:
            raise KeyboardInterrupt from error
    if tracker.interrupted:
        raise KeyboardInterrupt
    failed = [
        f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}. {evaluation.description or ''}".strip()
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR
    ]
    metadata = {
        event.asset_key.to_user_string(): {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    error = "\n".join([*(f"{name}: {message}" for name, message in tracker.errors.items()), *failed])
    return RunReport(run_id, result.success and not failed, list(tracker.steps.values()), error, tracker.errors, failed, metadata)


def end_dead_runs(settings: Settings, everything: bool = False) -> list[str]:
    """Reports runs whose process was killed as failed, and frees their pool slots, which others would wait for without end.

    Args:
        settings: Say which Dagster instance; all its runs are of this machine.
        everything: Also runs that no ``twin`` command executes. Nothing tells whether the worker of a launched run lives, so this
            is for a moment when no daemon or webserver runs here: the start of ``twin up``. A separate ``dagster dev`` on the same
            Dagster home would see its runs marked as failed.

    Returns:
        Short ids of the runs that were still in progress.
    """
    ended = []
    with dagster_instance(settings) as instance:
        storage = instance.event_log_storage
        runs = [*instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))]
        holders = storage.get_concurrency_run_ids() - {run.run_id for run in runs}
        if holders:
            runs += instance.get_runs(dg.RunsFilter(run_ids=[*holders]))
        for run in runs:
            if not (_process_gone(run.tags) if PID_TAG in run.tags else everything):
                continue
            last = instance.get_run_by_id(run.run_id)  # it may have ended well since, and its process with it
            if last is not None and not last.is_finished:
                instance.report_run_failed(last, "The process that executed this run is gone.")
                ended.append(run.run_id[:8])
            storage.free_concurrency_slots_for_run(run.run_id)
    return ended


def _process_tags() -> dict[str, str]:
    return {PID_TAG: str(os.getpid()), STARTED_TAG: str(psutil.Process().create_time())}


def _process_gone(tags: Mapping[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags[PID_TAG]))
        reused = abs(process.create_time() - float(tags[STARTED_TAG])) > CLOCK_SECONDS
        return reused or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def run_log(author: str, settings: Settings) -> Path:
    """Where the libraries' own output of an author's runs goes."""
    return settings.logs / f"run-{author}.log"


@contextmanager
def _output_to(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as log, redirect_stdout(log), redirect_stderr(log), _standard_error_to(log.fileno()):
        yield


@contextmanager
def _standard_error_to(target: int) -> Iterator[None]:
    """Also what child processes write, such as the helpers of Dagster, which die of Ctrl-C with a traceback each."""
    terminal = os.dup(2)
    os.dup2(target, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def asset_names() -> list[str]:
    """Every asset of the graph, as ``stage/name``."""
    return sorted(key.to_user_string() for key in defs.resolve_all_asset_keys())


class _Tracker:
    """Turns the events of a run into steps."""

    def __init__(self, on_change: Callable[[list[Step]], None]) -> None:
        self.steps: dict[str, Step] = {}
        self.errors: dict[str, str] = {}
        self.interrupted = False
        self.on_change = on_change

    def __call__(self, entry: Any) -> None:
        event, name = entry.dagster_event, (entry.step_key or "").replace("__", "/")
        if event is not None and event.is_step_failure:  # of an asset, or of a check, which is no step to show
            self._failed(name, event.step_failure_data)
        if name not in ASSET_STEPS:
            return
        step = self.steps.setdefault(name, Step(name, started=entry.timestamp))
        if event is None and step.state != "running":
            return
        if event is None:
            step.note = entry.user_message.splitlines()[0] if entry.user_message else step.note
        elif event.is_step_start:
            step.state, step.started = "running", entry.timestamp
        elif event.is_step_success:
            step.state, step.seconds, step.note = "done", entry.timestamp - step.started, ""
        elif event.is_step_skipped:
            step.state = "skipped"
        elif event.is_step_failure:
            step.state, step.seconds = "failed", entry.timestamp - step.started
            step.note = next(iter(_message(event.step_failure_data).splitlines()), "")
        else:
            return
        self.on_change(list(self.steps.values()))

    def _failed(self, name: str, failure: Any) -> None:
        self.interrupted |= _is_interrupt(failure.error)
        if failure.error is None or failure.error.cls_name != FAILED_CHECK:  # the check itself says it better
            self.errors[name] = _message(failure)


def _is_interrupt(error: Any) -> bool:
    """Whether Ctrl-C is the error or, as when it hits a library in the middle of its work, what led to it."""
    if error is None:
        return False
    return error.cls_name == dg.DagsterExecutionInterruptedError.__name__ or _is_interrupt(error.cause) or _is_interrupt(error.context)


def _message(failure: Any) -> str:
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "The step failed; its log is in the Dagster UI."
    kind, _, message = error.message.strip().partition(": ")
    return message if message and error.cls_name and kind.endswith("Error") and kind.startswith("twin_assets.") else error.message.strip()


def _selection(to: str | None, alone: bool) -> set[dg.AssetKey] | None:
    if to is None:
        return None
    keys = defs.resolve_all_asset_keys()
    found = [key for key in keys if to in {key.path[-1], key.to_user_string()}]
    if not found:
        raise TwinError(f"There is no asset {to!r}. Assets: {', '.join(asset_names())}.")
    graph = defs.resolve_asset_graph()
    wanted = dg.AssetSelection.assets(*found)
    chosen = (wanted if alone else wanted.upstream()).resolve(graph)
    return {key for one in chosen for key in graph.get(one).assets_def.keys}  # what is made together, such as the dbt models, whole


def _require_disk(settings: Settings) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    if free < MIN_FREE_BYTES:
        raise TwinError(
            f"Only {free / 1e9:.1f} GB of disk are free under {settings.home}, and a run needs {MIN_FREE_BYTES / 1e9:.0f} GB. "
            "Free some, or set TWIN_HOME to another disk."
        )
