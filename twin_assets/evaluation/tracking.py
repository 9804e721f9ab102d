"""Logs an evaluation to Weights & Biases: offline, in files under TWIN_HOME, unless there is a key.

W&B runs in a process of its own, so that neither its output, its background service, nor a network that hangs is the asset's.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import structlog

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.training.lineage import QUIET_WANDB, Traced, use, wandb_folders

log = structlog.get_logger(__name__)

PROJECT = "llm-twin"  # the trainer's
JOB = "evaluation"
SECONDS = 120.0
_KEEP = frozenset({"WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_MODE"})


def track(author: str, version: str, figures: Mapping[str, Any], html: str, settings: Settings, adapter: Traced | None = None) -> bool:
    """Log the figures and the page of a report as a run.

    Args:
        author: Whose twin was evaluated.
        version: The report's.
        figures: Its figures.
        html: Its page.
        settings: For the home.
        adapter: The one that was evaluated; the run is linked to it.

    Returns:
        Whether it was logged. Never an error: a warning names the reason.
    """
    environment = tracking_environment(settings, dict(os.environ))
    if environment["WANDB_MODE"] == "disabled":
        return False
    about = {"author": author, "version": version, "figures": dict(figures), "html": html, "folder": str(settings.home)}
    about["adapter"] = asdict(adapter) if adapter else None
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        why = _run(json.dumps(about), environment)
    except (OSError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
    if why:
        key = environment.get("WANDB_API_KEY", "")
        log.warning("report not logged to W&B", why=why.replace(key, "***") if key else why, report=version)
    return not why


def tracking_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """W&B's variables: offline unless asked for, all files under the home, and nothing that is this platform's."""
    kept = {name: value for name, value in inherited.items() if name in _KEEP or not name.startswith(("WANDB_", "TWIN_"))}
    return {
        **kept,
        "PYTHONPATH": str(PROJECT_ROOT),
        "WANDB_MODE": inherited.get("WANDB_MODE") or ("online" if inherited.get("WANDB_API_KEY") else "offline"),
        **wandb_folders(settings.home),
        **QUIET_WANDB,
        "WANDB_SILENT": "true",
        "WANDB_X_DISABLE_STATS": "true",
    }


def _run(message: str, environment: Mapping[str, str]) -> str:
    """Why it failed; empty when it did not."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        _, said = process.communicate(message, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS:.0f} seconds"
    finally:
        _end(process)
    return "" if process.returncode == 0 else ([*said.strip().splitlines()][-1:] or [f"status {process.returncode}"])[0][:500]


def _end(process: subprocess.Popen[str]) -> None:
    """Ends the process and W&B's service, which has a session of its own."""
    if process.poll() is not None:
        return
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def log_run(about: Mapping[str, Any]) -> None:
    """Log one report; runs in the process of its own.

    Args:
        about: What ``track`` was given.
    """
    import wandb

    figures = about["figures"]
    numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    others = {name: value for name, value in figures.items() if isinstance(value, str)}
    try:
        with wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=f"{about['author']}-{about['version']}",
            job_type=JOB,
            dir=Path(about["folder"]),
            config={"author": about["author"], "report_version": about["version"], **others},
        ) as run:
            if about["adapter"]:
                use(run, Traced(**about["adapter"]))
            run.log({**numbers, "report": wandb.Html(about["html"], inject=False)})
    finally:
        wandb.teardown()


if __name__ == "__main__":
    try:
        log_run(json.load(sys.stdin))
    except Exception as error:  # whatever it is, it goes into one line
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
