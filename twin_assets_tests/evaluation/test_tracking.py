import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from twin_assets.evaluation import tracking
from twin_assets.evaluation.tracking import track, tracking_environment
from twin_assets.settings import Settings
from twin_assets.training.lineage import adapter
from twin_assets_tests.training.wandb_runs import artifacts, runs

FIGURES = {"voice_twin": 0.4375, "model_version": "0123456789abcdef", "deployed_voice": None}
PAGE = "<!doctype html><h1>How well the twin of ana writes</h1>"


@pytest.fixture
def home(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with an empty home, and no W&B of whoever runs this."""
    for variable in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(variable)
    return settings.model_copy(update={"home": tmp_path / "a home"})


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of Python something that has a child of another session, and does not end; where the child says who it is."""
    program, pid = tmp_path / "slow", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\nsetsid sleep 60 &\necho $! > {pid}.part\nmv {pid}.part {pid}\nwait\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return pid


def wandb_processes() -> set[int]:
    return set(_wandb_processes())


def _wandb_processes() -> Iterator[int]:
    for process in psutil.process_iter():
        try:
            if any("wandb" in part or tracking.__name__ in part for part in process.cmdline()[:3]):
                yield process.pid
        except psutil.Error:
            continue


def logged(settings: Settings, **named: Any) -> tuple[bool, list[str]]:
    with capture_logs() as logs:
        done = track("ana", "v1", FIGURES, PAGE, settings, **named)
    assert all(entry["log_level"] == "warning" for entry in logs)
    return done, [entry["why"] for entry in logs]


def test_a_report_is_a_run_in_files_under_the_home(
    home: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_JUDGE_KEY", "sk-judge")
    before = wandb_processes()
    assert logged(home) == (True, [])
    assert wandb_processes() <= before
    assert capfd.readouterr() == ("", "")
    (run,) = (home.home / "wandb").glob("offline-run-*")
    (page,) = run.glob("files/media/html/report_*.html")
    assert PAGE in page.read_text()
    (log,) = run.glob("*.wandb")
    for said in (b"voice_twin", b"0.4375", b"evaluation", b"llm-twin", b"ana-v1", b"0123456789abcdef"):
        assert said in log.read_bytes()
    assert not [path for path in home.home.rglob("*") if path.is_file() and b"sk-judge" in path.read_bytes()]
    assert [path.name for path in home.home.iterdir()] == ["wandb"]


def test_a_report_is_linked_to_the_adapter_that_it_is_about(home: Settings) -> None:
    assert logged(home, adapter=adapter("ana", "m1", "ab" * 32, "org/base", "d1")) == (True, [])
    (linked,) = artifacts(runs(home.home)[0])
    assert (linked.name, linked.type, set(linked.aliases), linked.use_after_commit) == ("ana-adapter", "model", {"latest", "m1"}, True)
    (entry,) = linked.manifest.contents
    assert entry.ref == f"sha256:{'ab' * 32}"


def test_one_that_does_not_end_is_ended_with_all_that_it_started(home: Settings, slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "SECONDS", 2.0)
    started = time.monotonic()
    done, (why,) = logged(home)
    assert not done and why == "no end after 2 seconds"
    assert time.monotonic() - started < 30
    assert _ended(int(slow.read_text()))


def _ended(pid: int) -> bool:
    """Whether it is gone, which on a busy machine takes a moment after it was killed."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_failure_is_a_warning_with_its_reason_and_without_the_key(
    home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "fails"
    program.write_text('#!/bin/sh\ncat > /dev/null\necho "first" >&2\necho "no account for $WANDB_API_KEY" >&2\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("WANDB_API_KEY", "k-secret")
    assert logged(home) == (False, ["no account for ***"])


def test_wandb_itself_may_refuse(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "sideways")
    done, (why,) = logged(home)
    assert not done and "sideways" in why


def test_a_home_that_cannot_be_made_and_a_python_that_is_gone_are_warnings(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    done, (why,) = logged(home.model_copy(update={"home": tmp_path / "file" / "home"}))
    assert not done and "NotADirectoryError" in why
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    done, (why,) = logged(home)
    assert not done and "FileNotFoundError" in why


def test_where_it_is_disabled_nothing_starts(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert logged(home) == (False, [])
    assert not home.home.exists()


def test_it_is_offline_unless_there_is_a_key(home: Settings) -> None:
    def mode(**inherited: str) -> str:
        return tracking_environment(home, inherited)["WANDB_MODE"]

    assert mode() == "offline"
    assert mode(WANDB_API_KEY="k") == "online"
    assert mode(WANDB_API_KEY="k", WANDB_MODE="offline") == "offline"


def test_the_process_gets_no_secret_of_the_platform_and_writes_nowhere_else(home: Settings) -> None:
    found = tracking_environment(home, {"TWIN_JUDGE_KEY": "s", "WANDB_DIR": "/elsewhere", "WANDB_RUN_ID": "other", "PATH": "/bin"})
    assert "TWIN_JUDGE_KEY" not in found and "WANDB_RUN_ID" not in found and found["PATH"] == "/bin"
    folders = {name: value for name, value in found.items() if name.startswith("WANDB_") and name.endswith("DIR")}
    assert len(folders) == 5 and all(Path(value).is_relative_to(home.home) for value in folders.values())
