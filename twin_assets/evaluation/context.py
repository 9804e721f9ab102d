"""Retrieval, measured without a language model: do the passages that a task was given bear on what the author wrote there?

Ragas' context precision and recall without an LLM, with one change. As they come they compare by edit distance, which finds copies; the
document that a real passage is from is kept from retrieval, so there are none, and every figure would be 0. Here meaning is compared.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin_assets.evaluation.content import Embedder, wait_for
from twin_assets.voice.tokens import plain, sentences

NEAR = 0.5
"""Cosine from which two texts are on the same thing: ragas' own threshold."""


@dataclass(frozen=True, slots=True)
class Context:
    """Means over the tasks that were given passages.

    Attributes:
        precision: Mean average precision: are the passages near what the author wrote there, and those that are, first?
        recall: Share of the sentences that the author wrote there to which a sentence of a passage is near.
        tasks: How many tasks.
    """

    precision: float
    recall: float
    tasks: int


def measure_context(given: Sequence[tuple[Sequence[str], str]], embedder: Embedder) -> Context | None:
    """Compare the passages of each task with what the author wrote there.

    Args:
        given: Per task the passages in their order, and the author's own.
        embedder: What compares meaning.

    Returns:
        None where no task was given any passage.
    """
    rows = [(_texts(passages), real) for passages, real in given if real.strip()]
    rows = [(passages, real, _sentences([real])) for passages, real in rows if passages]
    if not rows:
        return None
    os.environ.setdefault("RAGAS_DO_NOT_TRACK", "true")
    # Not from ragas.metrics, which warns of a replacement that does not exist yet.
    from ragas.metrics._context_precision import NonLLMContextPrecisionWithReference
    from ragas.metrics._context_recall import NonLLMContextRecall

    near = _nearness([text for passages, real, parts in rows for text in (*passages, real, *parts, *_sentences(passages))], embedder)
    precision = NonLLMContextPrecisionWithReference(distance_measure=near, threshold=NEAR)
    recall = NonLLMContextRecall(_distance_measure=near, threshold=NEAR)

    async def each() -> list[tuple[float, float]]:
        # Not by single_turn_ascore, which writes a file into the home of whoever runs this, tracking or not.
        return [
            (
                await precision._ascore({"retrieved_contexts": passages, "reference_contexts": [real]}, callbacks=[]),
                await recall._ascore({"retrieved_contexts": _sentences(passages), "reference_contexts": parts}, callbacks=[]),
            )
            for passages, real, parts in rows
        ]

    found = np.asarray(wait_for(each()))
    return Context(float(found[:, 0].mean()), float(found[:, 1].mean()), len(rows))


def _texts(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if text.strip()]


def _sentences(texts: Sequence[str]) -> list[str]:
    """All sentences of the texts, or a text itself where it has none."""
    return [part for text in texts for part in (sentences(plain(text)) or [text])]


def _nearness(texts: Sequence[str], embedder: Embedder) -> Any:
    """Cosine similarity as ragas' distance measure, over vectors computed in one batch."""
    from ragas.dataset_schema import SingleTurnSample
    from ragas.metrics.base import SingleTurnMetric

    known = list(dict.fromkeys(texts))
    vectors = np.asarray(embedder.encode(known), dtype=float)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    places = {text: place for place, text in enumerate(known)}

    class Nearness(SingleTurnMetric):
        def init(self, run_config: Any) -> None:
            pass

        async def _single_turn_ascore(self, sample: SingleTurnSample, callbacks: Any) -> float:
            return float(vectors[places[str(sample.reference)]] @ vectors[places[str(sample.response)]])

        async def single_turn_ascore(self, sample: SingleTurnSample, callbacks: Any = None, timeout: float | None = None) -> float:  # noqa: ASYNC109
            return await self._single_turn_ascore(sample, callbacks)

    return Nearness()
