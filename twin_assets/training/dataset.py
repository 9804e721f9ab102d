"""The instruction dataset as it is stored: prompts made for the author's verbatim passages, and nothing written by anyone else."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import UUID

SplitName = Literal["train", "held_out"]
PromptKind = Literal["brief", "continue", "rag", "rewrite", "code"]
PROMPT_KINDS: tuple[PromptKind, ...] = get_args(PromptKind)
CODE = "code"
BAND_WORDS = (80, 140)


@dataclass(frozen=True, slots=True)
class Note:
    """A passage of another document of the author's, shown beside a prompt.

    Attributes:
        document_id: Where it is from.
        text: What it says; in a dataset, as it stands in the prompt.
    """

    document_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with the author's own passage as its answer.

    Attributes:
        id: The same for the same words of the same document.
        document_id: Where the answer is from.
        split: Whether it is learned from.
        platform: Where the document stands.
        title: The document's.
        published_at: When it was published, where that is known.
        messages: The conversation: the prompt, then the answer.
        answer: The passage, character by character.
        words: Its length.
        kind: What the document is: a post, an article, code and so on.
        prompt_kind: Which kind of prompt it is.
        prompt_source: What made the prompt: ``rule``, or a model.
        start: Where the answer begins in the document's prose, or in its code.
        notes: What the prompt shows of the author's other documents.
    """

    id: UUID
    document_id: UUID
    split: SplitName
    platform: str
    title: str | None
    published_at: datetime | None
    messages: list[dict[str, str]]
    answer: str
    words: int
    kind: str = "article"
    prompt_kind: PromptKind = "brief"
    prompt_source: str = "rule"
    start: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt."""
        return hashlib.sha256(json.dumps(self.messages[:-1], sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


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
        duplicates: How many passages were dropped because they repeat another one.
        foreign: How many documents were left out because they are not in the author's main language.
        marked: How many passages were dropped because they hold what a chat template reads as a role marker, or control characters.
        overlong: How many passages were dropped because they have far more characters than their words say.
    """

    author: str
    train: list[Example]
    held_out: list[Example]
    leaks: dict[str, int] = field(default_factory=dict)
    withheld: frozenset[UUID] = frozenset()
    duplicates: int = 0
    foreign: int = 0
    marked: int = 0
    overlong: int = 0

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
            "duplicates_dropped": self.duplicates,
            "documents_in_other_languages": self.foreign,
            "marked_dropped": self.marked,
            "overlong_dropped": self.overlong,
            **{f"prompts_{kind}": sum(example.prompt_kind == kind for example in self.train) for kind in PROMPT_KINDS},
        }


def write_dataset(dataset: Dataset, directory: Path) -> None:
    """Writes ``train.parquet`` and ``held_out.parquet``, both as ``.jsonl`` for the trainer, and the dataset card."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    directory.mkdir(parents=True, exist_ok=True)
    about = {
        "author": dataset.author,
        "leaks": json.dumps(dataset.leaks),
        "withheld": json.dumps(sorted(map(str, dataset.withheld))),
        "dropped": json.dumps([dataset.duplicates, dataset.foreign, dataset.marked, dataset.overlong]),
    }
    for name, examples in (("train", dataset.train), ("held_out", dataset.held_out)):
        table = pa.Table.from_pylist([_row(example) for example in examples], schema=_schema())
        pq.write_table(table.replace_schema_metadata(about), directory / f"{name}.parquet")
        lines = [json.dumps({"messages": example.messages}, ensure_ascii=False) + "\n" for example in examples]
        (directory / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (directory / "README.md").write_text(dataset_card(dataset), encoding="utf-8")


def load_dataset(directory: Path) -> Dataset:
    """Reads what :func:`write_dataset` wrote."""
    import pyarrow.parquet as pq

    tables = {name: pq.read_table(directory / f"{name}.parquet") for name in ("train", "held_out")}
    about = tables["train"].schema.metadata
    train, held_out = ([_from_row(row) for row in table.to_pylist()] for table in tables.values())
    withheld = frozenset(UUID(key) for key in json.loads(about.get(b"withheld", b"[]")))  # older datasets do not say
    dropped = json.loads(about.get(b"dropped", b"[0, 0]"))
    return Dataset(about[b"author"].decode(), train, held_out, json.loads(about[b"leaks"]), withheld, *dropped)


def length_band(words: int) -> int:
    """Whether a passage is short (0), middling (1) or long (2)."""
    return sum(words > most for most in BAND_WORDS)


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
| registers | {_registers(dataset.train)} | {_registers(dataset.held_out)} |
| lengths | {_lengths(dataset.train)} | {_lengths(dataset.held_out)} |

**Answers** are the author's own passages, character by character: whole paragraphs, short posts whole, long paragraphs cut at
sentence ends.
**Prompts** are made by rule, unless the row says otherwise: the document's title and the nearest heading, the platform, three to five
key phrases of the passage (TF-IDF over the author's passages) and its length rounded to tens. Of these briefs (brief), some come with notes
from the author's other documents, as a draft is written (rag), some with the words before the passage (continue), some with the same said
plainly (rewrite), and some ask for code: {_prompt_kinds(dataset.train)}. Words of a prompt that are not by rule are by: {_sources(dataset.train)}.
**The split** is by document and date: the newest documents are held out. No document is in both.
**Balance**: where there were more passages than are learned from, each register and length got places by the square root of what it has.
**Leaks**: training passages with the words of a held-out one, half of its 5-word shingles, or a run of 13 words were dropped: {leaks}
(prompt: what would have been asked with shows one). Nor does a note or a beginning in a prompt: 13 words in a row of one, or half of the
shingles of a part of 20 words or more.
**Repetitions**: {dataset.duplicates} passages that share half of the shorter one's 5-word shingles with another one were dropped, and
{dataset.foreign} documents in another language than most of the prose.
**Not for training**: {dataset.marked} passages that hold a role marker of a chat template (as `<filename>` or `[INST]`) or control
characters were dropped, and {dataset.overlong} with more than 12 characters for each word of the longest passage.
**Provenance**: each row has its document, where the answer begins in it, what made the prompt, the prompt's hash, and of each note in the
prompt the words and the document.
**Licence**: the texts belong to their author and are used with the author's consent; this dataset grants nobody any right to them.
"""


def _dates(examples: Sequence[Example]) -> str:
    dates = [example.published_at.date().isoformat() for example in examples if example.published_at]
    return f"{min(dates)} to {max(dates)}" if dates else "unknown"


def _sources(examples: Sequence[Example]) -> str:
    return ", ".join(sorted({example.prompt_source for example in examples} - {"rule"})) or "nobody"


def _prompt_kinds(examples: Sequence[Example]) -> str:
    found = Counter(example.prompt_kind for example in examples)
    return ", ".join(f"{kind} ({found[kind]})" for kind in PROMPT_KINDS if found[kind])


def _registers(examples: Sequence[Example]) -> str:
    found = Counter(f"{example.platform} {example.kind}" for example in examples)
    return ", ".join(f"{name} ({found[name]})" for name in sorted(found))


def _lengths(examples: Sequence[Example]) -> str:
    found = Counter(length_band(example.words) for example in examples)
    names = [f"up to {most} words" for most in BAND_WORDS] + ["longer"]
    return ", ".join(f"{name} ({found[band]})" for band, name in enumerate(names) if found[band])


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
        "kind": example.kind,
        "prompt_kind": example.prompt_kind,
        "prompt_source": example.prompt_source,
        "prompt_hash": example.prompt_hash,
        "start": example.start,
        "notes": [{"document_id": str(note.document_id), "text": note.text} for note in example.notes],
    }


def _from_row(row: dict[str, Any]) -> Example:
    row.pop("prompt_hash", None)
    notes = tuple(Note(UUID(note["document_id"]), note["text"]) for note in row.pop("notes", ()))  # older datasets have none
    return Example(**{**row, "id": UUID(row["id"]), "document_id": UUID(row["document_id"])}, notes=notes)


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
            ("kind", text),
            ("prompt_kind", text),
            ("prompt_source", text),
            ("prompt_hash", text),
            ("start", pa.int64()),
            ("notes", pa.list_(pa.struct([("document_id", text), ("text", text)]))),
        ]
    )
