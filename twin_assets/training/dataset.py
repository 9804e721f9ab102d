"""The instruction dataset: prompts made for the author's verbatim passages, and nothing written by anyone else."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid5

import structlog

from twin_assets.cleaning.documents import Document, Split
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.leaks import find_leaks
from twin_assets.training.passages import passages
from twin_assets.writing.prompts import Brief, messages, plain

log = structlog.get_logger(__name__)

MAX_HELD_OUT = 100
SplitName = Literal["train", "held_out"]

_HEADING = re.compile(r"^(?:(?P<fence>```|~~~)|#{1,6}\s+(?P<heading>.+?)\s*#*$)", re.MULTILINE)
_FIRST_SENTENCE = re.compile(r".+?(?:[.!?…](?=\s)|\n|\Z)", re.DOTALL)


class TooLittleText(TwinError):  # noqa: N818  # reads as what it is
    """The author's own prose is not enough to learn from."""


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with the author's own passage as its answer."""

    id: UUID
    document_id: UUID
    split: SplitName
    platform: str
    title: str | None
    published_at: datetime | None
    messages: list[dict[str, str]]
    answer: str
    words: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples to train on and examples held out.

    Attributes:
        author: Whose writing it is.
        train: To learn from.
        held_out: To be asked for in the evaluation.
        leaks: How many passages were dropped from training because they repeat a held-out one, by kind.
        withheld: Documents that the evaluation must not retrieve: all that are held out, also those without an example,
            and those with a leak.
    """

    author: str
    train: list[Example]
    held_out: list[Example]
    leaks: dict[str, int] = field(default_factory=dict)
    withheld: frozenset[UUID] = frozenset()

    @property
    def version(self) -> str:
        """Hash of the content: the same has the same version, whatever its order."""
        rows = sorted(
            json.dumps(_row(example), sort_keys=True, ensure_ascii=False, default=str) for example in [*self.train, *self.held_out]
        )
        rows += sorted(str(document) for document in self.withheld - {example.document_id for example in self.held_out})
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]

    @property
    def figures(self) -> dict[str, int]:
        """Counts for people and for the registry."""
        return {
            "train_examples": len(self.train),
            "held_out_examples": len(self.held_out),
            "train_documents": len({example.document_id for example in self.train}),
            "held_out_documents": len({example.document_id for example in self.held_out}),
            "train_words": sum(example.words for example in self.train),
            "held_out_words": sum(example.words for example in self.held_out),
            "leaks_dropped": sum(self.leaks.values()),
        }


@dataclass(frozen=True, slots=True)
class _Passage:
    id: UUID
    document: Document
    answer: str


def build_dataset(author: str, split: Split, settings: Settings) -> Dataset:
    """Makes the dataset of an author; the same documents and settings give the same dataset.

    Raises:
        TooLittleText: When there is less prose than ``min_training_words``, or nothing to hold out.
    """
    _require_enough(author, split, settings)
    held_out = _spread(_passages(split.held_out, settings), MAX_HELD_OUT)
    candidates = _passages(split.train, settings)
    leaks = {leak.train: leak.kind for leak in find_leaks(candidates, held_out)}
    train = _spread([passage for passage in candidates if passage.id not in leaks], settings.max_passages)
    if not train or not held_out:
        purpose = "hold out for the evaluation" if train else "train on"
        raise TooLittleText(f"{author} has no passage to {purpose} that is not a copy of another one. {_HOW_TO_ADD}")
    phrases = _key_phrases([passage.answer for passage in [*train, *held_out]], fitted_on=len(train))
    examples = [_example(passage, found, "train") for passage, found in zip(train, phrases[: len(train)], strict=True)]
    held_out_examples = [_example(passage, found, "held_out") for passage, found in zip(held_out, phrases[len(train) :], strict=True)]
    leaking = {passage.document.id for passage in candidates if passage.id in leaks}
    withheld = frozenset({document.id for document in split.held_out} | leaking)
    dataset = Dataset(author, examples, held_out_examples, dict(sorted(Counter(leaks.values()).items())), withheld)
    log.info("dataset_built", author=author, version=dataset.version, **dataset.figures)
    return dataset


_HOW_TO_ADD = "Add more of the author's writing (`twin add NAME --source PATH_OR_URL`), or lower TWIN_MIN_TRAINING_WORDS."


def _require_enough(author: str, split: Split, settings: Settings) -> None:
    words = sum(document.voice_words for document in split.train)
    missing = settings.min_training_words - words
    if missing > 0:
        raise TooLittleText(
            f"{author} has {words:,} words of own prose to train on in {len(split.train)} documents, {missing:,} fewer than the "
            f"{settings.min_training_words:,} needed. {_HOW_TO_ADD}"
        )


def _passages(documents: Iterable[Document], settings: Settings) -> list[_Passage]:
    found = {}
    for document in documents:
        for answer in passages(document.text_for_voice, settings.passage_min_words, settings.passage_max_words):
            if plain(answer) != answer:  # a role marker in an answer would be trained as one
                continue
            key = uuid5(document.id, hashlib.sha256(answer.encode()).hexdigest())
            found.setdefault(key, _Passage(key, document, answer))
    return list(found.values())


def _spread(candidates: Sequence[_Passage], limit: int) -> list[_Passage]:
    # Every document gives one passage before any gives a second. Which one is decided by its id, a hash: even over the text,
    # the same each time, and little changed by a new document.
    by_document: dict[UUID, list[_Passage]] = defaultdict(list)
    for passage in candidates:
        by_document[passage.document.id].append(passage)
    turns = [
        (turn, passage.id) for group in by_document.values() for turn, passage in enumerate(sorted(group, key=lambda passage: passage.id))
    ]
    chosen = {key for _, key in sorted(turns)[:limit]}
    return [passage for passage in candidates if passage.id in chosen]


def _example(passage: _Passage, phrases: list[str], split: SplitName) -> Example:
    document, words = passage.document, len(passage.answer.split())
    brief = Brief(
        prompt=_topic(document, passage.answer, phrases),
        platform=document.platform,
        words=max(10, round(words, -1)),
        phrases=tuple(phrases),
    )
    answer = {"role": "assistant", "content": passage.answer}
    return Example(
        id=passage.id,
        document_id=document.id,
        split=split,
        platform=document.platform,
        title=document.title,
        published_at=document.published_at,
        messages=[*messages(brief), answer],
        answer=passage.answer,
        words=words,
    )


def _topic(document: Document, answer: str, phrases: Sequence[str]) -> str:
    heading = nearest_heading(document.text_for_rag, answer)
    if document.title:
        return f"{document.title} ({heading})" if heading and heading != document.title else document.title
    match = _FIRST_SENTENCE.match(answer)
    first = match.group() if match else answer
    return heading or ", ".join([phrase for phrase in phrases if phrase in first] or phrases[:2]) or first.strip()


def nearest_heading(markdown: str, passage: str) -> str | None:
    """The Markdown heading above a passage, where the passage is found."""
    at = markdown.find(passage.split("\n", 1)[0][:80])
    heading, fenced = None, False
    for match in _HEADING.finditer(markdown, 0, max(at, 0)):
        if match["fence"]:
            fenced = not fenced
        elif not fenced:
            heading = match["heading"]
    return heading


def _key_phrases(answers: Sequence[str], fitted_on: int) -> list[list[str]]:
    """Three to five phrases of each answer, those of most weight among the author's passages (TF-IDF of 1-2-grams)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True)
    try:
        vectorizer.fit(answers[:fitted_on])
    except ValueError:  # nothing but stop words
        return [[] for _ in answers]
    names = vectorizer.get_feature_names_out()
    rows = [weights.tocoo() for weights in vectorizer.transform(answers)]
    return [_pick(dict(zip(names[row.col], row.data, strict=True)), answer) for row, answer in zip(rows, answers, strict=True)]


def _pick(weights: dict[str, float], answer: str) -> list[str]:
    """The weightiest terms that stand in the answer as they are and share no word, in its own spelling and order."""
    lowered = answer.lower()
    ranked = sorted(weights, key=lambda term: (-round(weights[term], 6), -len(term.split()), lowered.find(term), term))
    picked: dict[int, str] = {}
    used: set[str] = set()
    for term in ranked:
        if len(picked) == min(5, 3 + len(answer.split()) // 80):
            break
        match = re.search(rf"(?<![\w'’-]){re.escape(term)}(?![\w'’-])", answer, re.IGNORECASE)
        if match and not term.replace(" ", "").isdigit() and used.isdisjoint(term.split()):
            picked[match.start()] = match.group()
            used.update(term.split())
    return [picked[at] for at in sorted(picked)]


def write_dataset(dataset: Dataset, directory: Path) -> None:
    """Writes ``train.parquet``, ``held_out.parquet``, ``train.jsonl`` for the trainer, and the dataset card."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    directory.mkdir(parents=True, exist_ok=True)
    about = {"author": dataset.author, "leaks": json.dumps(dataset.leaks), "withheld": json.dumps(sorted(map(str, dataset.withheld)))}
    for name, examples in (("train", dataset.train), ("held_out", dataset.held_out)):
        table = pa.Table.from_pylist([_row(example) for example in examples], schema=_schema())
        pq.write_table(table.replace_schema_metadata(about), directory / f"{name}.parquet")
    lines = [json.dumps({"messages": example.messages}, ensure_ascii=False) + "\n" for example in dataset.train]
    (directory / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    (directory / "README.md").write_text(dataset_card(dataset), encoding="utf-8")


def load_dataset(directory: Path) -> Dataset:
    """Reads what :func:`write_dataset` wrote."""
    import pyarrow.parquet as pq

    tables = {name: pq.read_table(directory / f"{name}.parquet") for name in ("train", "held_out")}
    about = tables["train"].schema.metadata
    train, held_out = ([_from_row(row) for row in table.to_pylist()] for table in tables.values())
    withheld = frozenset(UUID(key) for key in json.loads(about.get(b"withheld", b"[]")))  # older datasets do not say
    return Dataset(about[b"author"].decode(), train, held_out, json.loads(about[b"leaks"]), withheld)


def dataset_card(dataset: Dataset) -> str:
    """The README of a dataset: what is in it, where it comes from, what was left out."""
    figures = dataset.figures
    leaks = ", ".join(f"{count} {kind}" for kind, count in dataset.leaks.items()) or "none"
    return f"""---
pretty_name: The writing of {dataset.author}
license: other
license_name: the-authors-own
task_categories: [text-generation]
configs:
  - config_name: default
    data_files:
      - {{split: train, path: train.parquet}}
      - {{split: held_out, path: held_out.parquet}}
version: {dataset.version}
---

# The writing of {dataset.author}

| | train | held out |
|---|---|---|
| examples | {figures["train_examples"]} | {figures["held_out_examples"]} |
| documents | {figures["train_documents"]} | {figures["held_out_documents"]} |
| words | {figures["train_words"]:,} | {figures["held_out_words"]:,} |
| dates | {_dates(dataset.train)} | {_dates(dataset.held_out)} |
| platforms | {_platforms(dataset.train)} | {_platforms(dataset.held_out)} |

**Answers** are the author's own passages, character by character: whole paragraphs, short posts whole, long paragraphs cut at
sentence ends.
**Prompts** are made by rule, without a language model: the document's title and the nearest heading, the platform, three to five
key phrases of the passage (TF-IDF over the author's passages) and its length rounded to tens.
**The split** is by document and date: the newest documents are held out. No document is in both.
**Leaks**: training passages with the words of a held-out one, half of its 5-word shingles, or a run of 13 words were dropped: {leaks}.
**Licence**: the texts belong to their author and are used with the author's consent; this dataset grants nobody any right to them.
"""


def _dates(examples: Sequence[Example]) -> str:
    dates = [example.published_at.date().isoformat() for example in examples if example.published_at]
    return f"{min(dates)} to {max(dates)}" if dates else "unknown"


def _platforms(examples: Sequence[Example]) -> str:
    names = sorted(example.platform for example in examples)
    return ", ".join(f"{name} ({len(list(group))})" for name, group in groupby(names))


def _row(example: Example) -> dict[str, Any]:
    return {
        "id": str(example.id),
        "document_id": str(example.document_id),
        "split": example.split,
        "platform": example.platform,
        "title": example.title,
        "published_at": example.published_at,
        "messages": example.messages,
        "answer": example.answer,
        "words": example.words,
    }


def _from_row(row: dict[str, Any]) -> Example:
    return Example(**{**row, "id": UUID(row["id"]), "document_id": UUID(row["document_id"])})


def _schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("id", text),
            ("document_id", text),
            ("split", text),
            ("platform", text),
            ("title", text),
            ("published_at", pa.timestamp("us", tz="UTC")),
            ("messages", pa.list_(pa.struct([("role", text), ("content", text)]))),
            ("answer", text),
            ("words", pa.int64()),
        ]
    )
