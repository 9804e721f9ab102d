"""The preference dataset as it is stored: the author's words, and beside each what a model made of the same prompt."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import UUID

PairSource = Literal["base_model", "edit"]
PAIR_SOURCES: tuple[PairSource, ...] = get_args(PairSource)


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with the author's own words and with what a model wrote.

    Attributes:
        id: Of the example in the instruct dataset that the prompt is from, or of the edit.
        document_id: Where the chosen words are from.
        start: Where they begin in that document's prose, or in its code.
        messages: The prompt.
        chosen: The author's words, character by character.
        rejected: The model's.
        source: Whether the base model answered the prompt, or the author published something else than a draft.
        rejected_by: Spec of the base model, or version of the twin that wrote the draft.
    """

    id: UUID
    document_id: UUID
    start: int
    messages: list[dict[str, str]]
    chosen: str
    rejected: str
    source: PairSource
    rejected_by: str

    @property
    def answer(self) -> str:
        """What is learned to be said."""
        return self.chosen

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt."""
        return hashlib.sha256(json.dumps(self.messages, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Preferences:
    """Pairs to learn from.

    Attributes:
        author: Whose words are preferred.
        dataset_version: The instruct dataset that the prompts are from, and whose held-out documents are left out.
        pairs: To learn from.
        dropped: How many made no pair, by the reason.
    """

    author: str
    dataset_version: str
    pairs: list[Pair]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Hash of the content: the same has the same version, whatever its order."""
        rows = sorted(json.dumps(_row(pair), sort_keys=True, ensure_ascii=False) for pair in self.pairs)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]

    @property
    def figures(self) -> dict[str, int]:
        """Counts for people and for the registry."""
        return {
            "pairs": len(self.pairs),
            **{f"pairs_{source}": sum(pair.source == source for pair in self.pairs) for source in PAIR_SOURCES},
            "pair_documents": len({pair.document_id for pair in self.pairs}),
            "chosen_words": sum(len(pair.chosen.split()) for pair in self.pairs),
            "rejected_words": sum(len(pair.rejected.split()) for pair in self.pairs),
            **{f"dropped_{reason}": count for reason, count in self.dropped.items()},
        }


def write_preferences(preferences: Preferences, directory: Path) -> None:
    """Writes ``train.parquet``, ``train.jsonl`` for the trainer, and the dataset card."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    directory.mkdir(parents=True, exist_ok=True)
    about = {
        "author": preferences.author,
        "dataset_version": preferences.dataset_version,
        "dropped": json.dumps(dict(preferences.dropped)),
    }
    table = pa.Table.from_pylist([_row(pair) for pair in preferences.pairs], schema=_schema())
    pq.write_table(table.replace_schema_metadata(about), directory / "train.parquet")
    lines = [json.dumps(_for_the_trainer(pair), ensure_ascii=False) + "\n" for pair in preferences.pairs]
    (directory / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    (directory / "README.md").write_text(preference_card(preferences), encoding="utf-8")


def load_preferences(directory: Path) -> Preferences:
    """Reads what :func:`write_preferences` wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(directory / "train.parquet")
    about = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    pairs = [_from_row(row) for row in table.to_pylist()]
    return Preferences(about["author"], about["dataset_version"], pairs, json.loads(about["dropped"]))


def preference_card(preferences: Preferences) -> str:
    """The README of a preference dataset: what is in it, where it comes from, what was left out."""
    figures = preferences.figures
    dropped = ", ".join(f"{count} {reason}" for reason, count in preferences.dropped.items()) or "none"
    return f"""---
pretty_name: What {preferences.author} would rather say
license: other
license_name: the-authors-own
task_categories: [text-generation]
configs:
  - config_name: default
    data_files:
      - {{split: train, path: train.parquet}}
version: {preferences.version}
---

# What {preferences.author} would rather say

| | |
|---|---|
| pairs | {figures["pairs"]} |
| of them against the base model | {figures["pairs_base_model"]} |
| of them against a draft that was edited | {figures["pairs_edit"]} |
| documents | {figures["pair_documents"]} |
| words chosen | {figures["chosen_words"]:,} |
| words rejected | {figures["rejected_words"]:,} |

**Chosen** are the author's own words, character by character.
**Rejected** is what a model wrote: the base model, without the author's voice, to the same prompt; or the twin, where the author published
something else than its draft. Written by: {_writers(preferences.pairs)}.
**Prompts** are those of the instruct dataset {preferences.dataset_version}, training split, or those that the drafts were written from.
**Private things** in such a prompt, its notes and its draft were masked as in cleaning.
**Held out**: no document that the instruct dataset holds out is in here, nor a passage that repeats one, nor a prompt that shows one.
**Left out**: {dropped}.
**Provenance**: each row has its document, where the chosen words begin and end in it, the example or the edit that it is from, who wrote
the rejected text, and the prompt's hash.
**Licence**: the chosen texts belong to their author and are used with the author's consent; this dataset grants nobody any right to them.
"""


def _writers(pairs: Sequence[Pair]) -> str:
    return ", ".join(sorted({pair.rejected_by for pair in pairs})) or "nobody"


def _for_the_trainer(pair: Pair) -> dict[str, Any]:
    chosen, rejected = ({"role": "assistant", "content": text} for text in (pair.chosen, pair.rejected))
    return {"messages": pair.messages, "chosen": chosen, "rejected": rejected}


def _row(pair: Pair) -> dict[str, Any]:
    ids = {"id": str(pair.id), "document_id": str(pair.document_id)}
    return {**asdict(pair), **ids, "end": pair.start + len(pair.chosen), "prompt_hash": pair.prompt_hash}


def _from_row(row: dict[str, Any]) -> Pair:
    known = {name: value for name, value in row.items() if name not in ("end", "prompt_hash")}
    return Pair(**{**known, "id": UUID(row["id"]), "document_id": UUID(row["document_id"])})


def _schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("id", text),
            ("document_id", text),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("messages", pa.list_(pa.struct([("role", text), ("content", text)]))),
            ("chosen", text),
            ("rejected", text),
            ("source", text),
            ("rejected_by", text),
            ("prompt_hash", text),
        ]
    )
