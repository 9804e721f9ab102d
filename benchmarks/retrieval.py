"""How many of the right passages are found: the real tables, the real search, no LLM and no paid service.

``--data DIR`` holds questions with known answers, as JSON or JSON lines in files of any name, in one of two formats:

* Documents cut into chunks (``original_uuid``, ``chunks``: ``original_index``, ``content``) and questions (``query``,
  ``golden_chunk_uuids``), as in Anthropic's cookbook on contextual retrieval. Figures ``pass_at_5``, ``pass_at_10``, ``pass_at_20``: in
  percent, the mean over questions of the share of the golden chunks whose text is among the first k.
* Chunks (``chunk_id``, ``text``) and questions (``question``, ``correct_chunks``). Figures ``recall_at_3``, ``recall_at_10``: the mean
  over questions of the share of correct chunks among the first k; ``mrr``: of one by the place of the first correct chunk.

Everything is synced, embedded and searched in an embedded Postgres of its own, as an author's documents are. The given chunks are what
is judged: the pieces that our splitter makes lie inside of them (each chunk of code stands in a code block of its own), and a piece
counts for the chunk that holds it.

References in the same run, each on the given chunks: the embedder alone, BM25 alone (identifiers whole and split, no stemming), and
both fused by plain RRF (k = 60).
"""

import argparse
import json
import math
import re
import shutil
import statistics
import tempfile
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np

from benchmarks.frame import Result, run, say
from twin_assets.cleaning.annotate import language
from twin_assets.cleaning.documents import Document
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.lexical import searchable
from twin_assets.features.search import search
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder, embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.postgres import EmbeddedPostgres

AUTHOR = "bench"
NAMESPACE = UUID("0f5a3c1e-6f0b-4b57-9f43-51a1d1f4c6a2")
PIECES = 200
"""How many pieces are asked for: several lie in one chunk."""
GOALS = {"pass_at_5": 82, "pass_at_10": 88, "pass_at_20": 92}
PUBLISHED = {"voyage_2": [80.9, 87.2, 90.1], "voyage_2_with_contexts_by_an_llm": [86.4, 92.8, 93.8]}
"""What the cookbook's authors report of their own set, at 5, 10 and 20."""
_CODE_LINE = re.compile(
    r"[{};]$|^(def|class|import|from|fn|pub|func|function|public|private|const|let|var|#include|package|return)\b.*[(:;{]?"
)

_RECORD_KEYS = {"original_uuid", "doc_id", "chunk_id", "query", "question"}

Ranking = list[str]


@dataclass(frozen=True)
class Group:
    """Chunks of one document, in order, each with its id."""

    id: str
    title: str | None
    chunks: dict[str, str]


@dataclass(frozen=True)
class Question:
    """A question and the ids of the chunks that answer it."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """What is searched and asked; ``kind`` is ``pass`` for the first format and ``recall`` for the second."""

    kind: str
    groups: list[Group]
    questions: list[Question]

    @property
    def chunks(self) -> dict[str, str]:
        """Text of every chunk by its id."""
        return {id: text for group in self.groups for id, text in group.chunks.items()}


# -- reading


def load(folder: Path) -> Task:
    """Reads a folder in either format.

    Raises:
        SystemExit: When there are no chunks, or no questions that they answer, or a file cannot be read.
    """
    records = [record for path in sorted(folder.rglob("*.json*")) for record in _records(path)]
    cut = [record for record in records if "chunks" in record]
    if cut:
        groups = [_cookbook_group(record) for record in cut]
        questions = [_cookbook_question(record) for record in records if "golden_chunk_uuids" in record]
    else:
        groups = [_group(record) for record in records if _first(record, "text", "content") and not _asked(record)]
        questions = [Question(_asked(record), _answers(record)) for record in records if _asked(record)]
    known = {id for group in groups for id in group.chunks}
    found = [Question(question.text, tuple(id for id in question.answers if id in known)) for question in questions]
    task = Task("pass" if cut else "recall", groups, [question for question in found if question.answers])
    if lost := sum(len(question.answers) for question in questions) - sum(len(question.answers) for question in found):
        say(f"{lost} answers are chunks that are not there; they are left out, as the cookbook does")
    if not known or not task.questions:
        raise SystemExit(
            f"{folder} holds {len(known)} chunks, and {len(task.questions)} questions that they answer, in the formats that are known."
        )
    return task


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a file: of a list, of a list inside of an object, or one a line."""
    if path.suffix not in {".json", ".jsonl", ".ndjson"}:
        return
    content = path.read_text("utf-8-sig")
    try:
        found = json.loads(content)
    except json.JSONDecodeError:
        try:
            found = [json.loads(line) for line in content.split("\n") if line.strip()]
        except json.JSONDecodeError as error:
            raise SystemExit(f"{path} is neither JSON nor JSON lines: {error}") from error
    if isinstance(found, dict):
        lists = [item for value in found.values() if isinstance(value, list) for item in value]
        found = [found] if _RECORD_KEYS & found.keys() else lists
    yield from (record for record in (found if isinstance(found, list) else []) if isinstance(record, dict))


def _first(record: Mapping[str, Any], *names: str) -> str:
    return next((str(record[name]) for name in names if record.get(name) not in (None, "")), "")


def _cookbook_group(record: Mapping[str, Any]) -> Group:
    id = _first(record, "original_uuid", "doc_id")
    chunks = {f"{id}/{chunk.get('original_index', at)}": chunk["content"] for at, chunk in enumerate(record["chunks"])}
    return Group(id, _first(record, "title", "path") or None, chunks)


def _cookbook_question(record: Mapping[str, Any]) -> Question:
    return Question(record["query"], tuple(dict.fromkeys(f"{uuid}/{index}" for uuid, index in record["golden_chunk_uuids"])))


def _group(record: Mapping[str, Any]) -> Group:
    id = _first(record, "chunk_id", "id", "_id")
    return Group(id, _first(record, "title") or None, {id: _first(record, "text", "content")})


def _asked(record: Mapping[str, Any]) -> str:
    return _first(record, "question", "query")


def _answers(record: Mapping[str, Any]) -> tuple[str, ...]:
    named = next((record[name] for name in ("correct_chunks", "correct_chunk_ids", "chunk_ids", "chunk_id") if name in record), [])
    several = named if isinstance(named, list) else [named]
    return tuple(dict.fromkeys(_first(one, "chunk_id", "id") if isinstance(one, dict) else str(one) for one in several))


# -- our own search


@dataclass(frozen=True)
class Placed:
    """A document as our pipeline takes it, and where its chunks are: starts in order, and ids beside them."""

    document: Document
    starts: list[int]
    ids: list[str]

    def chunk_at(self, position: int) -> str:
        """Id of the chunk that a character of the document's text lies in."""
        return self.ids[max(bisect_right(self.starts, position) - 1, 0)]


def placed(group: Group, spoken: str, is_code: bool) -> Placed:
    """One document of a group's chunks; those of code stand in code blocks, so that no piece reaches from one into another."""
    fence = "`" * (1 + max((len(run) for text in group.chunks.values() for run in re.findall("`{2,}", text)), default=2)) if is_code else ""
    parts, starts, length = [], [], 0
    for text in group.chunks.values():
        part = f"{fence}\n{text}\n{fence}\n" if is_code else f"{text}\n\n"
        parts.append(part)
        starts.append(length)
        length += len(part)
    document = Document(
        id=uuid5(NAMESPACE, group.id),
        author=AUTHOR,
        platform="github",
        kind="code" if is_code else "article",
        title=group.title,
        url=None,
        published_at=None,
        text_for_voice="",
        text_for_rag="".join(parts),
        voice_words=0,
        content_hash="",
        language=spoken,
    )
    return Placed(document, starts, list(group.chunks))


def looks_like_code(text: str) -> bool:
    """Whether at least a fifth of the lines begin or end as those of programs do."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return 5 * sum(_CODE_LINE.search(line) is not None for line in lines) >= len(lines) > 0


def by_search(database: Database, task: Task, model: Embedder) -> dict[str, Ranking]:
    """Chunks for each question, by the pipeline and the search that an author's documents get."""
    spoken = language([question.text for question in task.questions]) or "en"
    is_code = looks_like_code("\n".join(task.chunks.values()))
    documents = {document.document.id: document for document in (placed(group, spoken, is_code) for group in task.groups)}
    sync_chunks(database, AUTHOR, [document.document for document in documents.values()], model.count_tokens, model.max_tokens)
    sync_embeddings(database, AUTHOR, model, progress=lambda progress: say(str(progress)))

    def ask(question: str) -> Ranking:
        found = search(database, AUTHOR, model, question, PIECES)
        return list(dict.fromkeys(documents[passage.document_id].chunk_at(passage.starts) for passage in found))

    return {question.text: ask(question.text) for question in task.questions}


# -- references


def by_meaning(task: Task, model: Embedder) -> np.ndarray:
    """Cosine of every question with every whole chunk, of shape (questions, chunks)."""
    return model.encode([question.text for question in task.questions]) @ model.encode(list(task.chunks.values())).T


def by_words(task: Task, k1: float = 1.2, b: float = 0.75) -> np.ndarray:
    """BM25 of every question with every whole chunk, of shape (questions, chunks)."""
    counts = [Counter(searchable(text).split()) for text in task.chunks.values()]
    lengths = np.array([count.total() for count in counts], dtype=float)
    norms = k1 * (1 - b + b * lengths / max(lengths.mean(), 1))
    postings: dict[str, dict[int, int]] = defaultdict(dict)
    for at, count in enumerate(counts):
        for word, times in count.items():
            postings[word][at] = times
    scores = np.zeros((len(task.questions), len(counts)))
    for row, question in zip(scores, task.questions, strict=True):
        for word in searchable(question.text).split():
            for at, times in postings.get(word, {}).items():
                idf = math.log(1 + (len(counts) - len(postings[word]) + 0.5) / (len(postings[word]) + 0.5))
                row[at] += idf * times * (k1 + 1) / (times + norms[at])
    return scores


def fused(*scores: np.ndarray, constant: int = 60) -> np.ndarray:
    """Reciprocal rank fusion of scores of one shape."""
    places = [np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1, kind="stable") for score in scores]
    return sum((1 / (constant + 1 + place) for place in places), np.zeros(scores[0].shape))


def ranked(task: Task, scores: np.ndarray) -> dict[str, Ranking]:
    """Chunks for each question, best first."""
    ids = list(task.chunks)
    return {
        question.text: [ids[at] for at in np.argsort(-row, kind="stable")[:PIECES]]
        for question, row in zip(task.questions, scores, strict=True)
    }


# -- figures


def judged(task: Task, rankings: Mapping[str, Ranking]) -> dict[str, float]:
    """The figures of the task's format."""
    texts = {id: text.strip() for id, text in task.chunks.items()}
    if task.kind == "recall":
        figures = {f"recall_at_{k}": _mean(task, rankings, lambda right, found, k=k: _share(right, found[:k])) for k in (3, 10)}
        return {name: round(value, 4) for name, value in {**figures, "mrr": _mean(task, rankings, _reciprocal)}.items()}

    def passed(right: Sequence[str], found: Sequence[str], k: int) -> float:  # chunks of the same text are one
        return 100 * _share([texts[id] for id in right], [texts[id] for id in found[:k]])

    return {f"pass_at_{k}": round(_mean(task, rankings, lambda right, found, k=k: passed(right, found, k)), 2) for k in (5, 10, 20)}


def _mean(task: Task, rankings: Mapping[str, Ranking], score: Callable[[Sequence[str], Sequence[str]], float]) -> float:
    return statistics.mean(score(question.answers, rankings[question.text]) for question in task.questions)


def _share(right: Sequence[str], found: Iterable[str]) -> float:
    seen = set(found)
    return sum(one in seen for one in right) / len(right)


def _reciprocal(right: Sequence[str], found: Sequence[str]) -> float:
    return next((1 / place for place, id in enumerate(found, 1) if id in right), 0.0)


def measure(arguments: argparse.Namespace) -> Result:
    """Reads, searches and judges."""
    if arguments.data is None or not arguments.data.is_dir():
        raise SystemExit("name a folder with chunks and questions by --data")
    task = load(arguments.data)
    say(f"{len(task.groups)} documents, {len(task.chunks)} chunks, {len(task.questions)} questions")
    with warehouse(arguments.work) as (settings, database):
        model = embedder(settings.embedder, settings)
        started = time.perf_counter()
        rankings = by_search(database, task, model)
        seconds = time.perf_counter() - started
    figures: dict[str, float | int | None] = {**judged(task, rankings), "chunks": len(task.chunks), "questions": len(task.questions)}
    say(f"{figures} after {seconds:.0f} s; now the references")
    meaning, words = by_meaning(task, model), by_words(task)
    alone = {"minilm": meaning, "bm25": words, "rrf": fused(meaning, words)}
    reference: dict[str, Any] = {
        f"{name}_{key}": value for name, scores in alone.items() for key, value in judged(task, ranked(task, scores)).items()
    }
    reference |= {"embedder": model.name, **({"goals": GOALS, "published": PUBLISHED} if task.kind == "pass" else {})}
    details = [f"{name:8} {judged(task, ranked(task, scores))}" for name, scores in alone.items()]
    return Result(figures, reference, details)


@contextmanager
def warehouse(work: Path | None) -> Iterator[tuple[Settings, Database]]:
    """A home with a Postgres of its own, of which nothing is left."""
    home = Path(tempfile.mkdtemp(prefix="twin-retrieval-", dir=work))
    home.chmod(0o755)
    settings = Settings(home=home, database_url=None, _env_file=None)  # pyright: ignore  # nothing of the user's is touched
    server = EmbeddedPostgres(settings.postgres_home)
    try:
        database = open_database(settings)
        yield settings, database
        database.engine.dispose()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def describe(parser: argparse.ArgumentParser) -> None:
    """Arguments of this benchmark."""
    parser.add_argument("--work", type=Path, help="where the data home is made; another place than the usual one for temporary files")


if __name__ == "__main__":
    run("retrieval", measure, describe)
