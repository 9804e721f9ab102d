"""How long a dataset takes to make of an author's documents, and whether making it again gives the same bytes.

``--data DIR`` is a folder of Markdown posts; each file is a document, dated by its place in the order of names. Measured is everything between
documents and files: split, passages, near copies, leaks, prompts by rule, parquet. Passages from the author's other documents beside the prompts
(kind ``rag``) need the database: ``benchmarks.graph`` measures the whole asset. Figures: seconds of both times, words, and whether every
file is the same.
"""

import argparse
import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.embedding import read
from benchmarks.frame import Result, run, say
from twin_assets.cleaning.documents import Document, split
from twin_assets.settings import Settings
from twin_assets.training.dataset import write_dataset
from twin_assets.training.examples import build_dataset

FIRST = datetime(2016, 1, 1, tzinfo=UTC)


def measure(arguments: argparse.Namespace) -> Result:
    """Makes the dataset twice."""
    if not arguments.data:
        raise SystemExit("--data DIR: a folder of Markdown posts")
    documents = [replace(one, published_at=FIRST + timedelta(days=at)) for at, one in enumerate(read(arguments.data))]
    words = sum(one.voice_words for one in documents)
    say(f"{len(documents)} documents, {words:,} words")
    settings = Settings(prompt_kinds="brief=6,continue")
    seconds, first, passages = _made(documents, settings)
    again, second, _ = _made(documents, settings)
    return Result(
        {
            "seconds": round(seconds, 2),
            "seconds_again": round(again, 2),
            "documents": len(documents),
            "words": words,
            "passages": passages,
            "files": len(first),
            "identical": int(first == second),
        }
    )


def _made(documents: Sequence[Document], settings: Settings) -> tuple[float, dict[str, str], int]:
    """Seconds, the hash of every file, and the number of passages to learn from."""
    began = time.perf_counter()
    dataset = build_dataset("ada", split(documents, settings.held_out_share), settings)
    with TemporaryDirectory() as folder:
        write_dataset(dataset, Path(folder))
        seconds = time.perf_counter() - began
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(folder).iterdir())}
    return seconds, files, len(dataset.train)


if __name__ == "__main__":
    run("dataset", measure)
