"""How fast chunks are embedded, beside plain ``SentenceTransformer(...).encode(texts)`` in the same run, and what of the quality is kept.

Both take turns on the same texts; the figures are those of the median round. The texts are the chunks of the Markdown files under
``--data``, split as an author's articles are; without it, those of the invented authors that come with the project.

* ``speedup``: chunks per second of ours, divided by those of the reference.
* ``neighbours_kept``: share of the ten exact nearest neighbours by the reference's vectors that are so by ours, too.
* ``mean_cosine``: between both vectors of a text.
* ``noop_writes``, ``noop_encodes``: rows that a second sync of the same chunks touches, and texts that it gives to the model.
* ``load_seconds``, ``peak_mb``: a fresh process until its first vector, imports included, and its memory after all texts; the export
  that OpenVINO needs once is made before.
"""

import argparse
import multiprocessing
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
from sqlalchemy import text

from benchmarks.frame import ROOT, Result, run, say
from twin_assets.cleaning.documents import Document
from twin_assets.encoders import Backend
from twin_assets.features.chunking import MAX_TOKENS, chunk_document, embedding_text
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder, embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.postgres import EmbeddedPostgres

NAMESPACE = UUID("5b0b7f3e-7a55-4f0c-9d0e-0d1b6f0e7c42")
NEIGHBOURS = 10
SAMPLE = ROOT / "twin_assets" / "sample"

WRITES = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) from pg_stat_all_tables where schemaname = 'features'"


@dataclass(frozen=True)
class Cold:
    """A fresh process: seconds until its first vector, and its peak memory in MB of 10^6 bytes."""

    load_seconds: float
    peak_mb: float


class Counting:
    """An embedder that counts the texts it is given."""

    def __init__(self, inner: Embedder) -> None:
        self.name, self.spec, self.dimension, self.inner = inner.name, inner.spec, inner.dimension, inner
        self.encoded = 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts."""
        self.encoded += len(texts)
        return self.inner.encode(texts)


def measure(arguments: argparse.Namespace) -> Result:
    """Measures speed, what is kept of the quality, a second sync, and fresh processes."""
    with tempfile.TemporaryDirectory(prefix="twin-embedding-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # Postgres works as another account where root runs this
        settings = Settings(home=home, database_url=None, embedder_backend=arguments.backend, _env_file=None)  # pyright: ignore
        model = embedder(arguments.model or settings.embedder, settings)
        began = time.perf_counter()
        model.encode(["ready"])
        say(f"{model.name} is ready after {time.perf_counter() - began:.1f} s")
        documents = read(arguments.data or SAMPLE)
        texts = shuffled(texts_of(documents, model))[: arguments.chunks]
        if len(texts) <= NEIGHBOURS:
            raise SystemExit(f"{len(texts)} chunks are too few: name a folder with more Markdown files by --data")
        figures = compare(model, texts, arguments.rounds)
        figures |= sync_twice(settings, model, documents, len(texts))
        colds = {"": cold(settings, model.spec, texts), "reference_": cold(None, str(model.folder), texts)}
    for prefix, one in colds.items():
        figures |= {f"{prefix}load_seconds": round(one.load_seconds, 2), f"{prefix}peak_mb": round(one.peak_mb)}
    reference = {"plain": "SentenceTransformer(model).encode(texts)", "model": model.name, "backend": type(model._encoder).__name__}
    return Result(figures, reference)


def compare(model: Embedder, texts: Sequence[str], rounds: int) -> dict[str, float | int | None]:
    """Speed of both on the same texts in turns, and how much alike their vectors are."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model.folder))
    readers: dict[str, Callable[[], np.ndarray]] = {"ours": lambda: model.encode(texts), "plain": lambda: plain.encode(list(texts))}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    vectors: dict[str, np.ndarray] = {}
    for encode in (lambda: model.encode(texts[:32]), lambda: plain.encode(list(texts[:32]))):
        encode()  # warms up
    for number in range(rounds):
        for name, encode in readers.items():
            began = time.perf_counter()
            vectors[name] = encode()
            seconds[name].append(time.perf_counter() - began)
            say(f"round {number + 1}, {name}: {len(texts) / seconds[name][-1]:.1f} chunks/s")
    pace = {name: len(texts) / statistics.median(taken) for name, taken in seconds.items()}
    return {
        "chunks": len(texts),
        "mean_tokens": round(statistics.mean(min(model.count_tokens(one), model.max_tokens) for one in texts), 1),
        "chunks_per_second": round(pace["ours"], 1),
        "reference_chunks_per_second": round(pace["plain"], 1),
        "speedup": round(pace["ours"] / pace["plain"], 2),
        "neighbours_kept": round(neighbours_kept(vectors["plain"], vectors["ours"]), 4),
        "mean_cosine": round(float(cosines(vectors["plain"], vectors["ours"]).mean()), 6),
        "worst_cosine": round(float(cosines(vectors["plain"], vectors["ours"]).min()), 6),
    }


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of each row of one with the same row of the other."""
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def neighbours_kept(expected: np.ndarray, found: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Mean share of the k nearest rows to each row by the expected vectors that are so by the found ones, too."""
    true, others = (_nearest(vectors, k) for vectors in (expected, found))
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(true, others, strict=True)]))


def _nearest(vectors: np.ndarray, k: int) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    return np.argsort(-likeness, axis=1)[:, :k]


def sync_twice(settings: Settings, model: Embedder, documents: Sequence[Document], chunks: int) -> dict[str, float | int | None]:
    """Chunks and vectors of the documents into Postgres, and the same again."""
    server = EmbeddedPostgres(settings.postgres_home)
    database = open_database(settings)
    try:
        counting = Counting(model)
        few = documents[: max(1, len(documents) * min(chunks, 200) // max(chunks, 1))]
        began = time.perf_counter()
        embedded = _sync(database, few, counting)
        taken = time.perf_counter() - began
        written, encoded = writes(database), counting.encoded
        began = time.perf_counter()
        _sync(database, few, counting)
        again = time.perf_counter() - began
        return {
            "sync_chunks_per_second": round(embedded / taken, 1),
            "noop_writes": writes(database) - written,
            "noop_encodes": counting.encoded - encoded,
            "noop_seconds": round(again, 3),
        }
    finally:
        database.engine.dispose()
        server.stop()


def _sync(database: Database, documents: Sequence[Document], model: Counting) -> int:
    count_tokens = model.inner.count_tokens
    sync_chunks(database, "ada", documents, count_tokens, min(MAX_TOKENS, model.inner.max_tokens))
    return sync_embeddings(database, "ada", model, progress=lambda state: say(str(state))).embedded  # pyright: ignore[reportArgumentType]


def writes(database: Database) -> int:
    """Rows of the features that were inserted, updated or deleted since the server started."""
    with database.begin() as connection:
        connection.execute(text("select pg_stat_force_next_flush()"))
    database.engine.dispose()  # a connection tells what it wrote at its end at the latest
    with database.begin() as connection:
        return int(connection.scalar(text(WRITES)) or 0)


def cold(settings: Settings | None, model: str, texts: Sequence[str]) -> Cold:
    """What a process needs that has loaded nothing yet; without settings, plain sentence-transformers."""
    context = multiprocessing.get_context("spawn")
    home, backend = (settings.home, settings.embedder_backend) if settings else (None, "torch")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_cold, home, backend, model, texts).result()


def _cold(home: Path | None, backend: Backend, model: str, texts: Sequence[str]) -> Cold:
    began = time.perf_counter()
    if home:
        encode = embedder(model, Settings(home=home, embedder_backend=backend, _env_file=None)).encode  # pyright: ignore
    else:
        from sentence_transformers import SentenceTransformer

        encode = SentenceTransformer(model).encode
    encode([texts[0]])
    loaded = time.perf_counter() - began
    encode(list(texts))
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return Cold(loaded, int(peak[1]) * 1024 / 1e6 if peak else 0.0)


def texts_of(documents: Sequence[Document], model: Embedder) -> list[str]:
    """What the embedder reads of the documents."""
    most = min(MAX_TOKENS, model.max_tokens)
    return [embedding_text(chunk.context, chunk.text) for one in documents for chunk in chunk_document(one, model.count_tokens, most)]


def shuffled(texts: Sequence[str]) -> list[str]:
    """In an order that has nothing to do with the lengths."""
    mixed = list(dict.fromkeys(texts))
    random.Random(1).shuffle(mixed)
    return mixed


def read(folder: Path) -> list[Document]:
    """The Markdown files of a folder as articles."""
    return [
        _document(str(path.relative_to(folder)), content)
        for path in sorted(folder.rglob("*.md"))
        if (content := path.read_text("utf-8", errors="replace").strip())
    ]


def _document(name: str, content: str) -> Document:
    return Document(
        id=uuid5(NAMESPACE, name),
        author="ada",
        platform="blog",
        kind="article",
        title=None,
        url=None,
        published_at=None,
        text_for_voice=content,
        text_for_rag=content,
        voice_words=len(content.split()),
        content_hash="",
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chunks", type=int, default=500, help="chunks to embed at most")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the speed measurement")
    parser.add_argument("--backend", default="auto", choices=["auto", "torch", "openvino"], help="what runs our embedder")
    parser.add_argument("--model", default="", help="another embedder than the setting's default")


if __name__ == "__main__":
    run("embedding", measure, _arguments)
