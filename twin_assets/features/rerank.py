"""An optional last stage of a search: a cross-encoder reads query and passage together, and puts the first passages in a better order.

It is slower than everything before it by far, so it only sees the top. Off unless a model is named.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from twin_assets import models
from twin_assets.features.search import Passage
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

TOP = 30
"""Passages that are read again; those behind them keep their places."""
BATCH = 16


class Scorer(Protocol):
    """Tells how well texts answer a query."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One number per text, higher for a better one; comparable within one query only."""
        ...


class Reranker:
    """A cross-encoder of sentence-transformers, loaded on first use.

    Args:
        folder: The model, in Hugging Face's format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """The model's output for query and text, before any activation. The same input gives the same numbers on the same machine."""
        import torch

        if not texts:
            return []
        pairs = [(query, text) for text in texts]
        found = _cross_encoder(self.folder).predict(pairs, batch_size=BATCH, activation_fn=torch.nn.Identity(), show_progress_bar=False)
        return [float(value) for value in found]


def reranker(spec: str, settings: Settings) -> Reranker | None:
    """The reranker of a spec; None where none is named.

    Args:
        spec: A hub id or a folder; empty for none.
        settings: For the cache.

    Raises:
        TwinError: When the model cannot be found, or is none that compares two texts.
    """
    if not spec:
        return None
    if spec.startswith(models.PACKAGE):
        raise TwinError(f"TWIN_RERANKER is {spec}, but rerankers come from the hub or a folder. Name one of those, or leave it empty.")
    folder = models.trainable(spec, settings)
    _check(folder, spec)
    return Reranker(folder)


def rerank(query: str, passages: Sequence[Passage], scorer: Scorer, top: int = TOP) -> list[Passage]:
    """The passages with the first ones in the order of the scorer.

    Args:
        query: What was asked for.
        passages: What a search found, best first.
        scorer: Reads query and passage together.
        top: How many are read; their ``score`` becomes the scorer's. The rest follows as it was.
    """
    first = list(passages[:top])
    scores = scorer.score(query, [_shown(passage) for passage in first])
    scored = [replace(passage, score=round(score, 6)) for passage, score in zip(first, scores, strict=True)]
    return [*sorted(scored, key=lambda passage: (-passage.score, passage.chunk_id)), *passages[top:]]


def _shown(passage: Passage) -> str:
    """What the model reads: a passage alone seldom says what it is about, its title and headings do."""
    above = dict.fromkeys(part for part in (passage.title, *passage.headings) if part)
    return "\n".join([*([" > ".join(above)] if above else []), passage.text])


def _check(folder: Path, spec: str) -> None:
    """Refuses what would be loaded with a head of random weights, such as an embedding model."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TwinError(f"TWIN_RERANKER is {spec}, where there is no readable config.json: {error}. Name a cross-encoder.") from error
    classes = config.get("architectures") or []
    labels = len(config.get("id2label") or {"0": ""})
    if not any(name.endswith("ForSequenceClassification") for name in classes) or labels != 1:
        raise TwinError(
            f"TWIN_RERANKER is {spec}, which is no cross-encoder with one score ({', '.join(classes) or 'no architecture'}, {labels} labels). "
            "Name one such as cross-encoder/ms-marco-MiniLM-L6-v2, or leave it empty."
        )


@cache
def _cross_encoder(folder: Path) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder), local_files_only=True)
