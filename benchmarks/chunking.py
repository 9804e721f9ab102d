"""How much of what answers a question is in the passages that are found, and how much of them is not needed.

``--data DIR`` is searched for sets of questions whose answers are spans of characters in a corpus, in any of three formats:

* ``questions_df.csv`` (columns ``question``, ``references``, ``corpus_id``) beside ``corpora/*``: the public chunking evaluation of Chroma
  (github.com/brandonstarxel/chunking_evaluation). References are a JSON list of ``{content, start_index, end_index}``.
* ``*.jsonl`` of ``{question, corpus | corpus_id, spans | references}`` beside ``corpora/*`` or the files themselves; a span is
  ``[start, end]`` or an object as above.
* ``codebase_chunks.json`` and ``evaluation_set.jsonl``: code whose golden chunks are the references.

Each set goes through the pipeline into a database of its own: chunks, vectors, and the one search, whose passages grow into their
neighbours. The answer is the union of the spans that come back. As in the public evaluation, "tokens" are characters, figures are means over
the questions, recall is the share of the references that the answer holds, precision the share of the answer that is in the references.

The references in the same run are found by the cosine of the same embedder alone: windows of a fixed number of characters, and what two
splitting libraries make of the texts with as many characters at most, semantic-text-splitter and, where it is installed, chonkie.
"""

import argparse
import csv
import json
import os
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from benchmarks.frame import Result, run, say
from twin_assets import models
from twin_assets.cleaning.documents import Document
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.search import Options, search
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder
from twin_assets.settings import Settings, get_settings
from twin_assets.store.database import open_database
from twin_assets.store.errors import TwinError
from twin_assets.store.postgres import EmbeddedPostgres

AUTHOR = "author"
WINDOW = 800
"""Characters of a window of the reference: about 200 tokens, the size that does best in the public evaluation."""
EXPAND = 700
"""Characters up to which a passage grows into its neighbours."""
PUBLISHED = {
    "best token_recall published, with a large paid embedder": 0.919,
    "its token_precision": 0.039,
    "token_recall of recursive 200-token chunks with that embedder": 0.881,
    "their token_precision": 0.070,
}
_Span = tuple[int, int]
_Answer = Mapping[str, Sequence[_Span]]
_LANGUAGES = (
    ("rust", r"^\s*(pub )?(fn|impl|mod|struct|use) .*[{;(]"),
    ("cpp", r"^\s*#\s*include|^\s*(namespace|template)\b"),
    ("go", r"^(package|func) "),
    ("java", r"^\s*(public|private) (static |final )*(class|interface|void)\b"),
    ("python", r"^\s*(def|class|from|import) .*"),
    ("typescript", r"^(import|export) .*|^(const|let|interface|type) .*"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and where its answer stands."""

    text: str
    corpus: str
    references: tuple[_Span, ...]


@dataclass(frozen=True, slots=True)
class Corpora:
    """Texts by name, and questions about them."""

    name: str
    texts: dict[str, str]
    questions: list[Question]
    kind: str = "article"


@dataclass(frozen=True, slots=True)
class Score:
    """Of one question."""

    recall: float
    precision: float
    iou: float


def measure(arguments: argparse.Namespace) -> Result:
    """Asks all questions under ``--data``."""
    if arguments.data is None or not arguments.data.is_dir():
        raise SystemExit("name a folder with corpora and questions by --data")
    sets = list(read(arguments.data))
    if not any(corpora.questions for corpora in sets):
        raise SystemExit(f"there are no questions with spans under {arguments.data}")
    settings = get_settings()
    embedder = models.embedder(settings.embedder, settings)
    scores: dict[str, list[Score]] = defaultdict(list)
    naive: dict[str, list[Score]] = defaultdict(list)
    chunks, seconds = 0, 0.0
    for corpora in sets:
        say(f"{corpora.name}: {len(corpora.texts)} texts, {len(corpora.questions)} questions")
        began = time.perf_counter()
        with pipeline(corpora, embedder, arguments.k, arguments.expand) as (count, find):
            seconds += time.perf_counter() - began
            chunks += count
            for question in corpora.questions:
                scores[f"{corpora.name}/{question.corpus}"].append(score(question, find(question.text)))
        if not arguments.only:
            for name, split in splitters().items():
                naive[name] += by_pieces(corpora, embedder, arguments.k, split)
    every = [found for group in scores.values() for found in group]
    figures: dict[str, float | int | None] = {
        "questions": len(every),
        "chunks": chunks,
        "index_seconds": round(seconds, 1),
        "k": arguments.k,
        **means("token_", every),
    }
    for name, found in naive.items():
        figures |= means(f"{name}_token_", found)
    details = [_line(name, found) for name, found in scores.items()] if len(scores) <= 40 else []
    return Result(figures, PUBLISHED, details)


def _line(name: str, scores: Sequence[Score]) -> str:
    return f"{name:48} {len(scores):4} questions  " + "  ".join(f"{key} {value}" for key, value in means("", scores).items())


def means(prefix: str, scores: Sequence[Score]) -> dict[str, float | None]:
    """Means of recall, precision and intersection over union; None where nothing was asked."""
    names = ("recall", "precision", "iou")
    return {f"{prefix}{name}": round(statistics.mean(getattr(s, name) for s in scores), 4) if scores else None for name in names}


# -- reading


def read(data: Path) -> Iterator[Corpora]:
    """The sets of questions in a folder, whichever format they have."""
    csv.field_size_limit(sys.maxsize)
    for path in sorted(data.rglob("questions_df.csv")):
        with path.open(newline="", encoding="utf-8") as stream:
            yield _corpora(path, list(csv.DictReader(stream)))
    for path in sorted(data.rglob("codebase_chunks.json")):
        yield read_code(path)
    for path in sorted(data.rglob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        rows = [row for row in lines if isinstance(row, dict) and ("spans" in row or "references" in row)]
        if rows:
            yield _corpora(path, rows)


def _corpora(path: Path, rows: Iterable[Mapping[str, Any]]) -> Corpora:
    questions = [_question(row) for row in rows]
    texts = {name: corpus_text(path.parent, name) for name in sorted({question.corpus for question in questions})}
    return Corpora(path.parent.name, texts, questions)


def _question(row: Mapping[str, Any]) -> Question:
    references = row.get("references") or row.get("spans")
    spans = json.loads(references) if isinstance(references, str) else references or ()
    return Question(str(row["question"]), str(row.get("corpus_id") or row.get("corpus")), tuple(_span(span) for span in spans))


def _span(given: Any) -> _Span:
    if isinstance(given, Mapping):
        starts, ends = ((given.get(f"{name}_index", given.get(name, given.get(f"{name}s")))) for name in ("start", "end"))
        return int(starts), int(ends)  # pyright: ignore[reportArgumentType]
    starts, ends = given
    return int(starts), int(ends)


def corpus_text(folder: Path, name: str) -> str:
    """The text of a corpus, by the name or path of its file.

    Raises:
        SystemExit: If there is no such file.
    """
    for parent in (folder / "corpora", folder, folder.parent / "corpora"):
        for path in (parent / name, parent / f"{Path(name).name}.md", parent / f"{Path(name).name}.txt", parent / Path(name).name):
            if path.is_file():
                return path.read_text("utf-8")
    raise SystemExit(f"there is no corpus {name} in {folder / 'corpora'} or {folder}")


def read_code(path: Path) -> Corpora:
    """Files of code and the golden chunks that answer questions about them, each text in a fence, as cleaning leaves code."""
    documents = json.loads(path.read_text("utf-8"))
    texts, places = {}, {}
    for document in documents:
        content, name = document["content"], document["original_uuid"]
        fence = "`" * (max((len(run) for run in re.findall("`+", content)), default=2) + 1) if "```" in content else "```"
        opening = f"{fence}{language(content)}\n"
        texts[name] = f"{opening}{content}\n{fence}"
        behind = 0
        for chunk in sorted(document["chunks"], key=lambda chunk: chunk["original_index"]):
            at = content.find(chunk["content"], behind)
            at = content.find(chunk["content"]) if at < 0 else at
            if at >= 0:
                places[name, chunk["original_index"]] = (at + len(opening), at + len(opening) + len(chunk["content"]))
                behind = at
    questions = []
    for line in (path.parent / "evaluation_set.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        golden = [(uuid, index) for uuid, index in row["golden_chunk_uuids"] if (uuid, index) in places]
        for corpus in sorted({uuid for uuid, _ in golden})[:1]:  # the evaluation asks of one file at a time
            questions.append(Question(row["query"], corpus, tuple(places[key] for key in golden if key[0] == corpus)))
    return Corpora(path.parent.name, texts, questions, "code")


def language(code: str) -> str:
    """What a file without a name is written in, by its most common kind of line."""
    counts = {name: len(re.findall(pattern, code, re.M)) for name, pattern in _LANGUAGES}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


# -- asking


@contextmanager
def pipeline(corpora: Corpora, embedder: Embedder, k: int, expand: int) -> Iterator[tuple[int, Callable[[str], _Answer]]]:
    """Chunks, vectors and search of one set in a database of its own; gives the count of chunks and a function that answers."""
    named = documents(corpora)
    names = {document.id: name for name, document in named}
    with TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        settings = Settings(home=Path(home))  # pyright: ignore[reportCallIssue]
        server = EmbeddedPostgres(settings.postgres_home)
        try:
            database = open_database(settings)
            report = sync_chunks(database, AUTHOR, [document for _, document in named], embedder.count_tokens, embedder.max_tokens)
            sync_embeddings(database, AUTHOR, embedder, progress=lambda at: say(f"embedded {at.done} of {at.total}"))

            def find(question: str) -> _Answer:
                found: dict[str, list[_Span]] = defaultdict(list)
                for passage in search(database, AUTHOR, embedder, question, k, options=Options(expand=expand)):
                    found[names[passage.document_id]].append((passage.starts, passage.ends))
                return found

            yield report.written, find
        finally:
            server.stop()


def documents(corpora: Corpora) -> list[tuple[str, Document]]:
    """The texts as cleaned documents without title, address or date."""
    return [
        (name, Document(_id(name), AUTHOR, "benchmark", corpora.kind, None, None, None, "", text, 0, "", "en"))
        for name, text in sorted(corpora.texts.items())
    ]


def _id(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, name)


def splitters() -> dict[str, Callable[[str], Iterable[_Span]]]:
    """Other ways of splitting a text, by name."""
    from semantic_text_splitter import MarkdownSplitter

    markdown = MarkdownSplitter(WINDOW)
    ways: dict[str, Callable[[str], Iterable[_Span]]] = {
        "windows": lambda text: ((at, min(at + WINDOW, len(text))) for at in range(0, len(text), WINDOW)),
        "semantic_text_splitter": lambda text: ((at, at + len(part)) for at, part in markdown.chunk_indices(text)),
    }
    if find_spec("chonkie"):
        from chonkie import RecursiveChunker  # pyright: ignore[reportMissingImports]

        recursive = RecursiveChunker(tokenizer="character", chunk_size=WINDOW)
        ways["chonkie"] = lambda text: ((chunk.start_index, chunk.end_index) for chunk in recursive(text))
    else:
        say("chonkie is not installed: left out of the comparison (pip install chonkie)")
    return ways


def by_pieces(corpora: Corpora, embedder: Embedder, k: int, split: Callable[[str], Iterable[_Span]]) -> list[Score]:
    """Scores of the pieces that a splitter makes, nearest by cosine first."""
    import numpy as np

    pieces = [(name, *span) for name, text in corpora.texts.items() for span in split(text) if text[slice(*span)].strip()]
    vectors = embedder.encode([corpora.texts[name][starts:ends] for name, starts, ends in pieces])
    scores = []
    for question, vector in zip(corpora.questions, embedder.encode([q.text for q in corpora.questions]), strict=True):
        answer: dict[str, list[_Span]] = defaultdict(list)
        for at in np.argsort(-(vectors @ vector))[:k]:
            name, starts, ends = pieces[at]
            answer[name].append((starts, ends))
        scores.append(score(question, answer))
    return scores


# -- scoring


def score(question: Question, answer: _Answer) -> Score:
    """Recall, precision and intersection over union of an answer, in characters."""
    wanted = union(question.references)
    hit = overlap(union(answer.get(question.corpus, ())), wanted)
    found = sum(length(union(spans)) for spans in answer.values())
    everything = found + length(wanted) - hit
    return Score(hit / length(wanted) if wanted else 0.0, hit / found if found else 0.0, hit / everything if everything else 0.0)


def union(spans: Iterable[_Span]) -> list[_Span]:
    """The same characters in spans that do not meet, in order."""
    merged: list[_Span] = []
    for starts, ends in sorted(spans):
        if merged and starts <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ends))
        elif ends > starts:
            merged.append((starts, ends))
    return merged


def overlap(some: Sequence[_Span], others: Sequence[_Span]) -> int:
    """Characters that are in both; neither has spans that meet."""
    return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in some for b in others)


def length(spans: Iterable[_Span]) -> int:
    """Characters of spans that do not meet."""
    return sum(ends - starts for starts, ends in spans)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--k", type=int, default=5, help="passages for each question")
    parser.add_argument("--expand", type=int, default=EXPAND, help="characters up to which a passage grows")
    parser.add_argument("--only", action="store_true", help="without the reference")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        run("chunking", measure, _arguments)
    except TwinError as error:
        raise SystemExit(str(error)) from error
