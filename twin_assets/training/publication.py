"""When a new dataset is worth a training: what changed little is pending, what was taken back is published at once."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from twin_assets.store.registry import Artifact
from twin_assets.store.thresholds import Thresholds
from twin_assets.training.dataset import Example
from twin_assets.writing.prompts import excerpt


def pending(
    published: Artifact | None,
    examples: Sequence[Example],
    texts: Mapping[UUID, str],
    prose_words: int,
    made_with: str,
    thresholds: Thresholds,
    now: datetime,
) -> str | None:
    """Why a new dataset is not published yet, for a person; None when it is.

    Args:
        published: The author's newest dataset.
        examples: What is in it.
        texts: The author's documents as they are now.
        prose_words: All words of own prose now.
        made_with: Hash of the settings that a dataset depends on.
        thresholds: The author's.
        now: The time.
    """
    words, least = thresholds.dataset_words, thresholds.dataset_days
    if published is None or not (words or least) or published.figures.get("made_with") != made_with:
        return None
    if any(example.answer not in texts.get(example.document_id, "") for example in examples) or not _noted(examples, texts):
        return None  # a document is gone or was corrected: what was learned from it is no longer the author's
    new = prose_words - int(published.figures.get("prose_words", 0))
    days = (now - published.created_at).total_seconds() / 86_400
    if (words and new >= words) or (least and days >= least):
        return None
    bounds = [f"from {words:,} on"] if words else []
    bounds += [f"after {least:g} days, of which {days:.1f} are over"] if least else []
    return (
        f"Pending: {new:,} new words since dataset {published.version}; a new one is published {', or '.join(bounds)}. "
        f"`twin gate {published.author} --set dataset_words=0 --set dataset_days=0` publishes each change."
    )


def _noted(examples: Sequence[Example], texts: Mapping[UUID, str]) -> bool:
    """Whether all that the prompts show of other documents still stands in them."""
    notes = {note for example in examples for note in example.notes}
    lines = {key: excerpt(texts.get(key, ""), sys.maxsize) for key in {note.document_id for note in notes}}
    return all(note.text in lines[note.document_id] for note in notes)
