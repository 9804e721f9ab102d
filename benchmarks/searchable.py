"""How long a new document takes until it is found, while the services of ``twin up`` run and nobody does anything.

A file is put into the folder of an author; the sensor notices it, one run reads, cleans, chunks and embeds it, and a search for a word
that stands nowhere else has it among its first ten. Training is kept from starting.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks.frame import ROOT, Result, run, say

TEXT = """
A jar of old milk and a little flour rest in the warm oven until the dough has come up over them once more this morning then you
never slow so much on one hot day that bread with yeast would still be as good when we had it for her or his own salt water
which they made only the same week to make some sour too were not while she was at what I have there but under than every
"""
WORDS = TEXT.split()
POLL_SECONDS = 0.25
GIVE_UP_SECONDS = 300


def measure(arguments: argparse.Namespace) -> Result:
    """Starts the services on a home of its own and writes one document after the other."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="twin-searchable-", dir=arguments.work))
    home.chmod(0o755)
    writing = home / "writing"
    writing.mkdir()
    ports = {f"TWIN_{name}_PORT": str(port) for name, port in (("API", 18000), ("ASSISTANT", 18501), ("DAGSTER", 13000), ("MODEL", 18081))}
    os.environ.update(TWIN_HOME=str(home), DAGSTER_HOME="", TWIN_MIN_TRAINING_WORDS=str(10**9), **ports)
    generator = random.Random(3)
    for number in range(arguments.documents):
        _write(writing, f"old-{number}", f"beginning{number}", generator)
    twin = [sys.executable, "-m", "twin_assets.cli"]
    subprocess.run([*twin, "add", "jane", "--source", str(writing)], cwd=ROOT, stdout=sys.stderr, check=True)
    services = subprocess.Popen([*twin, "up"], cwd=ROOT, stdout=sys.stderr, start_new_session=True)
    try:
        first = _seconds_until_found("beginning0")
        say(f"the first {arguments.documents} documents: {first:.1f} s")
        seconds = []
        for number in range(arguments.times):
            time.sleep(generator.uniform(5, 15))  # so that documents come at any point between two ticks
            _write(writing, f"new-{number}", f"novelty{number}", generator)
            seconds.append(_seconds_until_found(f"novelty{number}"))
            say(f"document {number + 1}: {seconds[-1]:.1f} s")
        figures = {
            "first_seconds": round(first, 1),
            "p50_seconds": round(statistics.median(seconds), 1),
            "p95_seconds": round(float(np.percentile(seconds, 95)), 1),
            "slowest_seconds": round(max(seconds), 1),
            "times": len(seconds),
        }
        return Result(figures, {"p95_seconds": 30, "stretch_p95_seconds": 10})
    finally:
        services.send_signal(signal.SIGTERM)
        services.wait(60)
        subprocess.run([*twin, "down"], cwd=ROOT, stdout=sys.stderr, check=False)
        if not arguments.keep:
            shutil.rmtree(home, ignore_errors=True)


def _write(folder: Path, name: str, mark: str, generator: random.Random) -> None:
    sentences = [" ".join(generator.choices(WORDS, k=generator.randint(6, 18))).capitalize() + "." for _ in range(12)]
    sentences.insert(3, f"This time I call it {mark}.")
    text = f"# About {name}\n\n" + "\n\n".join(" ".join(sentences[at : at + 4]) for at in range(0, len(sentences), 4))
    staged = folder / f".{name}"
    staged.write_text(text)
    staged.rename(folder / f"{name}.md")


def _seconds_until_found(mark: str) -> float:
    from twin_assets.features.embedders import active_embedder
    from twin_assets.features.search import search
    from twin_assets.settings import get_settings
    from twin_assets.store.database import open_database
    from twin_assets.store.errors import TwinError

    began = time.monotonic()
    database = open_database(get_settings())
    while time.monotonic() - began < GIVE_UP_SECONDS:
        with suppress(TwinError):  # nothing is there to search yet
            found = search(database, "jane", active_embedder(database, get_settings()), mark, 10)
            if any(mark in passage.text and passage.similarity is not None for passage in found):
                return time.monotonic() - began
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"{mark} was not found within {GIVE_UP_SECONDS} seconds")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=20, help="documents that are added one by one")
    parser.add_argument("--documents", type=int, default=50, help="documents that are there before")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()), help="where the data home is made")
    parser.add_argument("--keep", action="store_true", help="keep the data home")


if __name__ == "__main__":
    run("searchable", measure, _arguments)
