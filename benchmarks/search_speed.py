"""How fast an author's passages are found, and how many of the best are missed: hybrid search under row-level security.

Chunks and questions are invented: words by Zipf's law, vectors in clusters. The time that the embedder takes for a question is not in the
figures. A graph index in memory (faiss, the same parameters, the same vectors, no words, no fusion, no rows) is the physical reference.

``recall_at_10`` compares with the same search over all vectors, ``recall_by_meaning`` does so without the words. ``filtered`` asks for the one
kind that a tenth of the chunks is of.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid5

import numpy as np
import psutil
import psycopg
from sqlalchemy import text

from benchmarks import frame
from twin_assets.features import search as searching
from twin_assets.features.embedding import ensure_index
from twin_assets.features.search import Filters, Options, search
from twin_assets.features.sync import Row, write
from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.postgres import EmbeddedPostgres

NAMESPACE = UUID("8a6f6a0e-55d4-4a53-9a5c-0d8b8e9a7c11")
VOCABULARY = 50_000
CLUSTERS = 500
BATCH = 5_000
CLIENTS = 8
LIMIT = 10


@dataclass
class Known:
    """An embedder that looks its vectors up."""

    vectors: dict[str, np.ndarray]
    dimension: int
    name: str = "invented@1"
    max_tokens: int = 256

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts that were made beforehand."""
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


@dataclass(frozen=True)
class Corpus:
    """Invented chunks and the questions to them."""

    words: list[str]
    chances: np.ndarray
    centres: np.ndarray

    def vectors(self, count: int, seed: int) -> np.ndarray:
        """Unit vectors around centres, float32 of shape (count, dimension)."""
        generator = np.random.default_rng(seed)
        around = self.centres[generator.integers(len(self.centres), size=count)]
        raw = around + generator.normal(scale=0.7 / np.sqrt(self.centres.shape[1]), size=around.shape)
        return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)

    def texts(self, count: int, length: int, seed: int) -> Iterator[str]:
        """Texts of about ``length`` words, common ones often."""
        generator = np.random.default_rng(seed)
        for size in generator.integers(length // 2, length * 3 // 2, size=count):
            yield " ".join(self.words[at] for at in generator.choice(len(self.words), size=size, p=self.chances))


def corpus(dimension: int) -> Corpus:
    """Words, how likely each is (Zipf), and centres of meaning."""
    generator = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = sorted({"".join(generator.choices(letters, k=generator.randint(4, 9))) for _ in range(VOCABULARY)})
    generator.shuffle(words)
    chances = 1 / (np.arange(len(words)) + 2.7)
    centres = np.random.default_rng(7).normal(size=(CLUSTERS, dimension)) / np.sqrt(dimension)
    return Corpus(words, chances / chances.sum(), centres)


def fill(database: Database, corpus: Corpus, author: str, count: int, length: int, seed: int, embedder: Known) -> np.ndarray:
    """Writes an author's chunks and vectors; returns the vectors in the order of the chunks."""
    from pgvector.psycopg import register_vector

    vectors = corpus.vectors(count, seed)
    texts = corpus.texts(count, length, seed)
    with database.begin() as connection:
        connection.execute(
            text(
                "insert into features.models (name, spec, dimension, active) values (:name, 'invented', :dimension, true) on conflict do nothing"
            ),
            {"name": embedder.name, "dimension": embedder.dimension},
        )
    for start in range(0, count, BATCH):
        rows = [_row(author, at, next(texts)) for at in range(start, min(start + BATCH, count))]
        with database.begin() as connection:
            write(connection, author, rows)
            raw = connection.connection.driver_connection
            assert raw is not None
            register_vector(raw)
            copy_in = "copy features.embeddings (chunk_id, model, author, content_hash, embedding) from stdin with (format binary)"
            with raw.cursor().copy(copy_in) as copy:
                copy.set_types(["uuid", "text", "text", "text", "halfvec"])
                from pgvector import HalfVector

                for row, vector in zip(rows, vectors[start : start + len(rows)], strict=True):
                    copy.write_row((row.id, embedder.name, author, row.content_hash, HalfVector(vector)))
        frame.say(f"{author}: {start + len(rows):,} of {count:,}")
    return vectors


def _row(author: str, at: int, words: str) -> Row:
    id = uuid5(NAMESPACE, f"{author}/{at}")
    return Row(
        id=id, author=author, document_id=uuid5(id, "document"), position=0, starts=0, ends=len(words), text=words, headings=[], context="",
        words=words.count(" ") + 1, content_hash=id.hex, chunker="invented", title=None, url=None,
        kind="article" if at % 10 else "note", platform="blog",
        language="en", published_at=None, configuration="simple",
    )  # fmt: skip


def questions(database: Database, corpus: Corpus, author: str, vectors: np.ndarray, count: int, embedder: Known) -> list[str]:
    """Some words of a chunk, with a vector near that of the chunk."""
    generator = np.random.default_rng(11)
    asked = []
    with database.begin() as connection:
        for at in generator.choice(len(vectors), size=count, replace=False):
            words = connection.scalar(text("select text from features.chunks where id = :id"), {"id": uuid5(NAMESPACE, f"{author}/{at}")})
            question = " ".join(generator.choice(str(words).split(), size=int(generator.integers(3, 8))))
            near = vectors[at] + generator.normal(scale=0.4 / np.sqrt(vectors.shape[1]), size=vectors.shape[1])
            embedder.vectors[question] = (near / np.linalg.norm(near)).astype(np.float32)
            asked.append(question)
    return asked


def timed(ask: Callable[[str], object], asked: Sequence[str]) -> list[float]:
    """Milliseconds of each question, after a warm-up."""
    for question in asked[:20]:
        ask(question)
    spent = []
    for question in asked:
        began = time.perf_counter()
        ask(question)
        spent.append((time.perf_counter() - began) * 1000)
    return spent


def per_second(ask: Callable[[str], object], asked: Sequence[str]) -> float:
    """Questions answered in a second with eight clients at once."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(ask, asked[: 2 * CLIENTS]))
        began = time.perf_counter()
        list(clients.map(ask, asked))
        return len(asked) / (time.perf_counter() - began)


@contextmanager
def exactly() -> Iterator[None]:
    """All vectors are compared."""
    before = searching.EXACT
    searching.EXACT = 10**12
    try:
        yield
    finally:
        searching.EXACT = before


def measure(arguments: argparse.Namespace) -> frame.Result:
    """Fills a database of its own and asks it."""
    figures: dict[str, float | int | None] = {"chunks": arguments.chunks}
    reference: dict[str, object] = {}
    dimension = arguments.dimension
    with TemporaryDirectory(dir=arguments.work) as home:
        Path(home).chmod(0o755)
        settings = Settings(home=Path(home))
        server = EmbeddedPostgres(settings.postgres_home)
        try:
            database = open_database(settings)
            embedder = Known({}, dimension)
            words = corpus(dimension)
            began = time.perf_counter()
            all_vectors = fill(database, words, "all", arguments.chunks, arguments.words, 1, embedder)
            few_vectors = fill(database, words, "few", max(arguments.chunks // 100, 100), arguments.words, 2, embedder)
            figures["load_seconds"] = round(time.perf_counter() - began, 1)
            began = time.perf_counter()
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("alter database twin set maintenance_work_mem = '2GB'")
            database.engine.dispose()
            with frame.PeakMemory(lambda: _processes(server)).watching() as memory:
                ensure_index(database, embedder)  # pyright: ignore[reportArgumentType]
            figures |= {"index_seconds": round(time.perf_counter() - began, 1), "index_peak_gb": round(memory.peak_gb(), 2)}
            with database.begin() as connection:
                connection.execute(text("analyze features.chunks, features.embeddings, features.terms"))
            figures |= _sizes(database)
            frame.say(str(figures))
            for author, vectors in (("all", all_vectors), ("few", few_vectors)):
                found = _author(database, words, author, vectors, arguments.questions, embedder)
                suffix = "" if author == "all" else "_one_percent"
                figures |= {f"{name}{suffix}": value for name, value in found.items()}
                frame.say(f"{author}: {found}")
            asked = questions(database, words, "all", all_vectors, arguments.questions, embedder)
        finally:
            server.stop()
    reference |= _faiss(all_vectors, np.array([embedder.vectors[question] for question in asked]))
    figures["reference_p50_ms"] = reference["faiss_p50_ms"]  # pyright: ignore[reportArgumentType]
    reference |= {"p95_ms": 20, "recall_at_10": 0.98}
    return frame.Result(figures, reference)


def _author(database: Database, words: Corpus, author: str, vectors: np.ndarray, count: int, embedder: Known) -> dict[str, float | int]:
    asked = questions(database, words, author, vectors, min(count, len(vectors)), embedder)

    def ask(question: str, filters: Filters = Filters(), options: Options = Options()) -> list[UUID]:
        found = search(database, author, embedder, question, LIMIT, filters, options)  # pyright: ignore[reportArgumentType]
        return [passage.chunk_id for passage in found]

    def by_meaning(question: str) -> list[UUID]:
        return ask(question, options=Options(word_weight=0))

    def filtered(question: str) -> list[UUID]:
        return ask(question, Filters(kinds=frozenset({"note"})))

    spent, of_filtered = timed(ask, asked), timed(filtered, asked)
    recall, fewest = _recall(ask, asked)
    return {
        "p50_ms": round(statistics.median(spent), 1),
        "p95_ms": round(float(np.percentile(spent, 95)), 1),
        "recall_at_10": recall,
        "fewest_rows": fewest,
        "recall_by_meaning": _recall(by_meaning, asked)[0],
        "filtered_p50_ms": round(statistics.median(of_filtered), 1),
        "filtered_p95_ms": round(float(np.percentile(of_filtered, 95)), 1),
        "filtered_recall_at_10": _recall(filtered, asked)[0],
        "qps": round(per_second(ask, asked), 1),
    }


def _recall(ask: Callable[[str], list[UUID]], asked: Sequence[str]) -> tuple[float, int]:
    """Share of the best ten that the index finds, too, and the fewest rows of an answer."""
    with exactly():
        best = {question: ask(question) for question in asked}
    answers = {question: ask(question) for question in asked}
    recall = statistics.mean(len(set(answers[question]) & set(best[question])) / len(best[question]) for question in asked)
    return round(recall, 4), min(map(len, answers.values()))


def _processes(server: EmbeddedPostgres) -> list[psutil.Process]:
    found = [process for process in psutil.process_iter(["name", "cwd"]) if process.info["name"] == "postgres"]
    return [process for process in found if process.info["cwd"] == str(server.data)]


def _sizes(database: Database) -> dict[str, float]:
    query = """
        select relname, pg_total_relation_size(c.oid) / 1e6 as megabytes, pg_indexes_size(c.oid) / 1e6 as of_indexes
        from pg_class c where relnamespace = 'features'::regnamespace and relname in ('chunks', 'embeddings', 'terms')
    """
    with database.begin() as connection:
        rows = connection.execute(text(query)).all()
    return {f"{row.relname}_mb": round(float(row.megabytes), 1) for row in rows} | {
        f"{row.relname}_indexes_mb": round(float(row.of_indexes), 1) for row in rows
    }


def _faiss(vectors: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    import faiss

    faiss.omp_set_num_threads(2)
    began = time.perf_counter()
    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 64
    index.add(vectors)  # pyright: ignore[reportCallIssue]
    built = time.perf_counter() - began
    index.hnsw.efSearch = 200
    faiss.omp_set_num_threads(1)
    spent, shared = [], 0
    for vector in asked:
        began = time.perf_counter()
        _, found = index.search(vector[None], 100)  # pyright: ignore[reportCallIssue]
        spent.append((time.perf_counter() - began) * 1000)
        shared += len(set(found[0][:LIMIT]) & set(np.argpartition(-(vectors @ vector), LIMIT)[:LIMIT]))
    return {
        "faiss_recall_at_10": round(shared / LIMIT / len(asked), 4),
        "faiss_index_seconds": round(built, 1),
        "faiss_p50_ms": round(statistics.median(spent), 2),
        "faiss_p95_ms": round(float(np.percentile(spent, 95)), 2),
    }


def describe(parser: argparse.ArgumentParser) -> None:
    """Arguments of this benchmark."""
    parser.add_argument("--chunks", type=int, default=100_000, help="chunks of the author who owns nearly all")
    parser.add_argument("--words", type=int, default=120, help="words of a chunk, about")
    parser.add_argument("--dimension", type=int, default=384, help="length of a vector")
    parser.add_argument("--questions", type=int, default=300, help="questions per author")
    parser.add_argument("--work", type=Path, help="where the data home is made")


if __name__ == "__main__":
    frame.run("search_speed", measure, describe)
