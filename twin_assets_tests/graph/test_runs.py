"""Runs that are killed and runs that fail, of a toy graph in a real Dagster instance with the project's ``dagster.yaml``."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from twin_assets import runs
from twin_assets.partitions import authors
from twin_assets.settings import PROJECT_ROOT, Settings

KILLED = """
import sys, time
from pathlib import Path
import dagster as dg
from twin_assets import runs
from twin_assets.partitions import authors
from twin_assets.settings import Settings

@dg.asset(partitions_def=authors, pool="gpu")
def trained() -> None:
    print("training", file=sys.__stdout__, flush=True)
    time.sleep(600)

runs.defs = dg.Definitions([trained], jobs=[dg.define_asset_job(runs.JOB)])
runs.materialize("jane", None, Settings(home=Path(sys.argv[1])), lambda _: None)
"""
MINE = {runs.PID_TAG: str(os.getpid()), runs.STARTED_TAG: str(psutil.Process().create_time())}
REUSED = {**MINE, runs.STARTED_TAG: str(psutil.Process().create_time() - 3600)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", "")
    return Settings(home=tmp_path / "twin home")


def _define(monkeypatch: pytest.MonkeyPatch, *parts: dg.AssetsDefinition | dg.AssetChecksDefinition) -> None:
    assets = [part for part in parts if not isinstance(part, dg.AssetChecksDefinition)]
    checks = [part for part in parts if isinstance(part, dg.AssetChecksDefinition)]
    definitions = dg.Definitions(assets, asset_checks=checks, jobs=[dg.define_asset_job(runs.JOB)])
    monkeypatch.setattr(runs, "defs", definitions)
    monkeypatch.setattr(runs, "ASSET_STEPS", {key.to_user_string() for key in definitions.resolve_all_asset_keys()})


def _materialize(home: Settings) -> runs.RunReport:
    return runs.materialize("jane", None, home, lambda _: None)


def test_a_killed_run_is_ended_and_the_next_one_gets_its_pool_slot(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", KILLED, str(home.home)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as process, runs.dagster_instance(home) as instance:
        assert process.stdout is not None
        try:
            assert "training\n" in iter(process.stdout.readline, ""), "it ended before its asset ran"  # logs may come first
            assert runs.end_dead_runs(home, everything=True) == [], "it lives"
        finally:
            process.kill()  # it stays a zombie until it is waited for
        process.stdout.read()
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 1
        assert runs.end_dead_runs(home) == [run.run_id[:8]]
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert ended.status == dg.DagsterRunStatus.FAILURE
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0

    @dg.asset(partitions_def=authors, pool="gpu")
    def trained() -> None: ...

    _define(monkeypatch, trained)
    assert _materialize(home).success


@pytest.mark.parametrize(
    ("tags", "status", "found", "found_by_up"),
    [
        (MINE, dg.DagsterRunStatus.STARTED, False, False),
        (REUSED, dg.DagsterRunStatus.STARTED, True, True),
        (REUSED, dg.DagsterRunStatus.CANCELING, True, True),
        (REUSED, dg.DagsterRunStatus.SUCCESS, False, False),
        ({}, dg.DagsterRunStatus.STARTED, False, True),
    ],
    ids=["alive", "process id used again", "cancelled, then killed", "ended well", "launched by the daemon"],
)
def test_only_runs_without_a_process_are_ended(
    home: Settings, tags: dict[str, str], status: dg.DagsterRunStatus, found: bool, found_by_up: bool
) -> None:
    with runs.dagster_instance(home) as instance:
        for everything, dead in ((False, found), (True, found_by_up)):
            run = instance.add_run(dg.DagsterRun(job_name=runs.JOB, run_id=str(uuid.uuid4()), status=status, tags=tags))
            assert (run.run_id[:8] in runs.end_dead_runs(home, everything)) == dead
            after = instance.get_run_by_id(run.run_id)
            assert after is not None
            assert after.status == (dg.DagsterRunStatus.FAILURE if dead else status)


def test_a_slot_is_freed_though_its_run_was_ended_before(home: Settings) -> None:
    with runs.dagster_instance(home) as instance:
        run = instance.add_run(dg.DagsterRun(job_name=runs.JOB, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.FAILURE, tags=REUSED))
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("gpu")
        assert storage.claim_concurrency_slot("gpu", run.run_id, "trained").is_claimed
        assert runs.end_dead_runs(home) == []
        assert storage.get_concurrency_info("gpu").active_slot_count == 0


def test_an_asset_can_be_made_alone_or_with_all_that_it_is_made_from(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    @dg.asset(partitions_def=authors)
    def posts() -> None:
        made.append("posts")

    @dg.asset(partitions_def=authors, deps=[posts])
    def voice() -> None:
        made.append("voice")

    @dg.asset(partitions_def=authors, deps=[voice])
    def model() -> None:
        made.append("model")

    _define(monkeypatch, posts, voice, model)
    assert runs.materialize("jane", "voice", home, lambda _: None).success
    assert made == ["posts", "voice"]
    assert runs.materialize("jane", "voice", home, lambda _: None, alone=True).success
    assert made == ["posts", "voice", "voice"]


def test_a_run_whose_last_asset_waits_is_a_success_and_its_check_does_not_look(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.asset(partitions_def=authors)
    def model() -> None: ...

    @dg.asset(partitions_def=authors, deps=[model], output_required=False)
    def deployment() -> Iterator[dg.MaterializeResult]:
        yield from ()

    @dg.asset_check(asset=deployment)
    def serves() -> dg.AssetCheckResult:
        raise OSError("nothing serves")

    _define(monkeypatch, model, deployment, serves)
    report = _materialize(home)
    assert report.success, report.error
    assert set(report.metadata) == {"model"}


def test_every_failure_is_told_once(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.asset(partitions_def=authors)
    def voice() -> None:
        raise dg.Failure("too few words", allow_retries=False)

    @dg.asset(partitions_def=authors)
    def chunks() -> None:
        raise ValueError("no such column")

    @dg.asset(partitions_def=authors)
    def posts() -> None: ...

    @dg.asset_check(asset=posts)
    def readable() -> dg.AssetCheckResult:
        raise OSError("disk is gone")

    @dg.asset_check(asset=posts, blocking=True)
    def dated() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="two posts have no date")

    _define(monkeypatch, voice, chunks, posts, readable, dated)
    report = _materialize(home)
    assert not report.success
    told = ["voice: too few words", "chunks: ValueError: no such column", "posts_readable: OSError: disk is gone"]
    assert sorted(report.error.splitlines()) == sorted([*told, "posts: dated. two posts have no date"])
    assert report.failed_checks == ["posts: dated. two posts have no date"]
    assert {step.name: (step.state, step.note) for step in report.steps} == {
        "voice": ("failed", "too few words"),
        "chunks": ("failed", "ValueError: no such column"),
        "posts": ("done", ""),
    }
