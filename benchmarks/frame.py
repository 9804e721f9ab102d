"""The frame of every benchmark: arguments, progress for people, and one JSON object as the last line."""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import structlog

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Result:
    """Figures by name, what they are compared with, and tables for people."""

    figures: dict[str, float | int | None]
    reference: dict[str, Any] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)


def run(
    name: str, measure: Callable[[argparse.Namespace], Result], describe: Callable[[argparse.ArgumentParser], None] | None = None
) -> None:
    """Runs a benchmark from the command line.

    Args:
        name: The benchmark's name.
        measure: Does the work; everything it prints must go to standard error.
        describe: Adds arguments of its own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--data", type=Path, help="folder with real inputs")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    if describe:
        describe(parser)
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    result = measure(arguments)
    if arguments.json:
        print(json.dumps(report(name, result)))
        return
    for line in result.details:
        print(line)
    for key, value in result.figures.items():
        print(f"{key:28} {value}")


def report(name: str, result: Result) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    return {"benchmark": name, "figures": result.figures, "reference": result.reference, "machine": machine(), "commit": commit()}


def machine() -> str:
    """The machine in words."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.exists()
        else []
    )
    memory = psutil.virtual_memory().total / 2**30
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def commit() -> str:
    """The commit that was measured, marked when the tree differed from it."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    dirty = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return f"{head or 'unknown'}{'+' if dirty else ''}"


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


class PeakMemory:
    """Peak of the memory that a set of processes holds together (proportional set size), sampled twice a second."""

    def __init__(self, processes: Callable[[], list[psutil.Process]]) -> None:
        self.processes = processes
        self.samples: list[tuple[float, int]] = []
        self._stop = threading.Event()

    @contextmanager
    def watching(self) -> Iterator["PeakMemory"]:
        """Samples while the block runs."""
        thread = threading.Thread(target=self._sample, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def peak_gb(self, start: float = 0, end: float = float("inf")) -> float:
        """Peak between two times of ``time.time()``, in GB of 10^9 bytes."""
        return max((size for at, size in self.samples if start <= at <= end), default=0) / 1e9

    def _sample(self) -> None:
        while not self._stop.wait(0.5):
            self.samples.append((time.time(), sum(_size(process) for process in self.processes())))


def _size(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
