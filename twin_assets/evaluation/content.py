"""Content, measured beside voice: does a text say what was asked for, and what the author really wrote there?

Ragas metrics that need no judge: a model small enough for a laptop cannot be one. They are relative figures, to compare the
rungs of one ladder; two good texts on one prompt need not share many words.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

T = TypeVar("T")


class Embedder(Protocol):
    """What the semantic metrics need of an embedding model."""

    def encode(self, texts: list[str], /) -> np.ndarray:
        """One row per text."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """Means over texts, 0 to 1: against the author's real passage (meaning, ROUGE-L, chrF) and against the prompt (meaning).

    ``each`` has the first of them text by text.
    """

    to_real: float
    rouge: float
    chrf: float
    to_prompt: float
    each: tuple[float, ...] = ()


def measure_content(texts: Sequence[str], real: Sequence[str], prompts: Sequence[str], embedder: Embedder) -> Content:
    """Compare each text with the real passage and with the prompt at its position."""
    if not texts:
        return Content(0.0, 0.0, 0.0, 0.0)
    os.environ.setdefault("RAGAS_DO_NOT_TRACK", "true")
    _import_absl()
    from ragas.metrics.collections import CHRFScore, RougeScore

    similarity = _similarity([*texts, *real, *prompts], embedder)
    with_real = [{"reference": reference, "response": text} for text, reference in zip(texts, real, strict=True)]
    with_prompt = [{"reference": prompt, "response": text} for text, prompt in zip(texts, prompts, strict=True)]
    each = _values(similarity, with_real)
    return Content(
        each=tuple(each),
        to_real=float(np.mean(each)),
        rouge=_mean(RougeScore(rouge_type="rougeL"), with_real),
        chrf=_mean(CHRFScore(), with_real),
        to_prompt=_mean(similarity, with_prompt),
    )


def _import_absl() -> None:
    """ROUGE brings absl, whose log handler takes hold of today's standard error and closes it with the next change of the logging set-up.

    While a run sends its output elsewhere, that is the run's log.
    """
    from absl import logging

    logging.get_absl_handler().python_handler.stream = sys.__stderr__


def _similarity(texts: Sequence[str], embedder: Embedder) -> Any:
    """The metric over vectors computed in one batch: it would ask for them one by one."""
    from ragas.embeddings.base import BaseRagasEmbedding
    from ragas.metrics.collections import SemanticSimilarity

    known = list(dict.fromkeys([*texts, " "]))  # the metric asks for " " in place of an empty text
    vectors = dict(zip(known, embedder.encode([text or " " for text in known]).tolist(), strict=True))

    class Precomputed(BaseRagasEmbedding):
        def embed_text(self, text: str, **kwargs: Any) -> list[float]:
            return vectors[text]

        async def aembed_text(self, text: str, **kwargs: Any) -> list[float]:
            return vectors[text]

    return SemanticSimilarity(embeddings=Precomputed())


def _mean(metric: Any, pairs: list[dict[str, str]]) -> float:
    return float(np.mean(_values(metric, pairs)))


def _values(metric: Any, pairs: list[dict[str, str]]) -> list[float]:
    return [float(result.value) for result in wait_for(metric.abatch_score(pairs))]


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a thread of its own: the caller may be inside a running event loop, where ``asyncio.run`` raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
