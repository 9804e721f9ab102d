"""The whole graph on a fresh data home: ``make demo``, then the same again with nothing changed.

``--data DIR`` learns from a folder instead of the sample author, and each ``--control DIR`` registers another author first, whose
writing joins the control voices that attribution must tell the author from. Figures: wall time of both runs in seconds, peak memory of
all processes together in GB, training tokens per second, losses, and the voice scores of base model and twin.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.frame import ROOT, PeakMemory, Result, run, say


def measure(arguments: argparse.Namespace) -> Result:
    """Runs the demo twice in a home of its own and reads what the runs recorded."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="twin-benchmark-", dir=arguments.work))
    home.chmod(0o755)
    os.environ.update(TWIN_HOME=str(home), DAGSTER_HOME="", TWIN_MODEL_PORT="18081")
    try:
        for folder in arguments.control:
            _twin(["add", folder.name.replace("_", "-"), "--source", str(folder)])
            _twin(["run", folder.name.replace("_", "-"), "--to", "cleaned_documents"])
        demo = [sys.executable, "-m", "twin_assets.cli", "demo", "--from", str(arguments.data)] if arguments.data else ["make", "demo"]
        with PeakMemory(lambda: _processes(home)).watching() as memory:
            first = _timed(demo)
        before = _counts()
        second = _timed(demo)
        rows = _steps(memory, len(arguments.control))
        figures = {
            "demo_seconds": round(first, 1),
            "rerun_seconds": round(second, 1),
            "peak_memory_gb": round(memory.peak_gb(), 2),
            **_recorded(),
            **{f"rerun_{name}": after - before[name] for name, after in _counts().items()},
        }
        return Result(figures, {"rerun": "the same command again, nothing changed"}, rows)
    finally:
        _twin(["down"])
        if not arguments.keep:
            shutil.rmtree(home, ignore_errors=True)


def _twin(arguments: list[str]) -> float:
    return _timed([sys.executable, "-m", "twin_assets.cli", *arguments])


def _timed(command: list[str]) -> float:
    say(" ".join(command))
    start = time.monotonic()
    subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=True)
    return time.monotonic() - start


def _processes(home: Path) -> list[psutil.Process]:
    """This benchmark's children, and the servers that outlive their parents."""
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        if str(home) in f"{process.info['cwd']} {' '.join(process.info['cmdline'] or [])}":
            found[process.pid] = process
    return list(found.values())


def _steps(memory: PeakMemory, controls: int) -> list[str]:
    from twin_assets.runs import dagster_instance
    from twin_assets.settings import get_settings

    rows = ["| asset | seconds | peak GB |", "|---|---|---|"]
    with dagster_instance(get_settings()) as instance:
        first = instance.get_run_records()[-1 - controls]
        for step in sorted(instance.get_run_step_stats(first.dagster_run.run_id), key=lambda step: step.start_time or 0):
            if step.start_time and step.end_time:
                peak = memory.peak_gb(step.start_time, step.end_time)
                rows.append(f"| {step.step_key.replace('__', '/')} | {step.end_time - step.start_time:.1f} | {peak:.2f} |")
    return rows


def _recorded() -> dict[str, float]:
    from twin_assets.settings import get_settings
    from twin_assets.store.database import open_database
    from twin_assets.store.registry import Registry

    registry = Registry(open_database(get_settings()))
    trained = [model for author in registry.authors() if (model := registry.latest_model(author))]
    model = trained[0] if len(trained) == 1 else None
    report = registry.latest_artifact(model.author, "eval_report") if model else None
    if model is None or report is None:
        raise SystemExit("the demo left no model or no report")
    return {
        "train_tokens_per_second": model.figures["tokens_per_second"],
        **{name: model.figures[name] for name in ("loss_first", "loss_last", "held_out_loss_first", "held_out_loss_last")},
        **{name: round(value, 3) for name, value in report.figures.items() if isinstance(value, int | float)},
    }


def _counts() -> dict[str, int]:
    """What must not grow in a run with nothing to do."""
    from sqlalchemy import text

    from twin_assets.settings import get_settings
    from twin_assets.store.database import open_database

    with open_database(get_settings()).begin() as connection:
        vectors = connection.execute(text("select count(*) from features.embeddings")).scalar_one()
        models = connection.execute(text("select count(*) from registry.models")).scalar_one()
    return {"new_embeddings": vectors, "new_models": models}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--control", type=Path, action="append", default=[], help="folder of another author, as a control voice")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()), help="where the data home is made")
    parser.add_argument("--keep", action="store_true", help="keep the data home")


if __name__ == "__main__":
    run("graph", measure, _arguments)
