"""The rungs of the ladder, measured: texts in, numbers out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Literal
from uuid import UUID

from twin_assets.evaluation.content import Content, Embedder, measure_content
from twin_assets.voice.memorisation import Run, VerbatimIndex, longest_memorised_run
from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.score import VoiceScore, score
from twin_assets.voice.slop import SlopRate, pooled_slop_rate

RungName = Literal["base", "base_few_shot_rag", "twin", "twin_rag", "human"]
TWINS: tuple[RungName, ...] = ("twin", "twin_rag")


@dataclass(frozen=True, slots=True)
class Task:
    """A held-out prompt, and what the rungs with context get beside it.

    Attributes:
        id: The example in the dataset.
        request: The prompt as the model reads it, without context.
        real: What the author wrote there.
        words: How long that is.
        seed: The seed of every rung's text, so that a repeated ladder writes the same texts.
        passages: Retrieved from the author's writing, held-out documents excluded.
        examples: Few-shot texts from the training split.
    """

    id: UUID
    request: str
    real: str
    words: int
    seed: int
    passages: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What all rungs are measured with."""

    profile: VoiceProfile
    learned: VerbatimIndex
    embedder: Embedder


@dataclass(frozen=True, slots=True)
class Rung:
    """One way of writing, over all tasks.

    Attributes:
        name: Which rung.
        texts: One text per task.
        voices: How each text sounds.
        slop: Marks of machine-written prose.
        verbatim: The longest run of training words in any text.
        memorised: The same, where neither the prompt's context nor the base model's own texts account for it.
        content: Closeness to what was asked for and to what the author wrote.
    """

    name: RungName
    texts: tuple[str, ...]
    voices: tuple[VoiceScore, ...]
    slop: SlopRate
    verbatim: Run
    memorised: Run
    content: Content

    @property
    def own(self) -> int:
        """How many texts are attributed to the author."""
        return sum(voice.own for voice in self.voices)

    @property
    def attribution(self) -> float:
        """Share of the texts that are attributed to the author."""
        return self.own / len(self.texts)

    @property
    def voice_score(self) -> float:
        """Mean probability that the author wrote them."""
        return sum(voice.score for voice in self.voices) / len(self.voices)

    @property
    def words(self) -> float:
        """Mean length."""
        return sum(len(text.split()) for text in self.texts) / len(self.texts)


@dataclass(frozen=True)
class Ladder:
    """All rungs over the same tasks, the author's real passages last."""

    author: str
    model_version: str
    tasks: tuple[Task, ...]
    rungs: tuple[Rung, ...]

    @cached_property
    def figures(self) -> dict[str, float]:
        """Flat numbers for the registry, the checks and the model's history."""
        twins = [rung for rung in self.rungs if rung.name in TWINS]
        figures: dict[str, float] = {
            "prompts": len(self.tasks),
            "verbatim_longest": max(rung.verbatim.words for rung in twins),
            "memorised_longest": max(rung.memorised.words for rung in twins),
        }
        for rung in self.rungs:
            figures |= {
                f"voice_{rung.name}": round(rung.attribution, 4),
                f"voice_own_{rung.name}": rung.own,
                f"voice_score_{rung.name}": round(rung.voice_score, 4),
                f"slop_{rung.name}": round(rung.slop.per_1000, 2),
                f"verbatim_{rung.name}": rung.verbatim.words,
                f"content_{rung.name}": round(rung.content.to_real, 4),
                f"content_rouge_{rung.name}": round(rung.content.rouge, 4),
                f"content_chrf_{rung.name}": round(rung.content.chrf, 4),
                f"content_prompt_{rung.name}": round(rung.content.to_prompt, 4),
                f"words_{rung.name}": round(rung.words, 1),
            }
        return figures


def measure(name: RungName, texts: Sequence[str], tasks: Sequence[Task], yardsticks: Yardsticks, base_texts: Sequence[str]) -> Rung:
    """Measure the texts that one rung wrote for the tasks.

    Args:
        name: Which rung.
        texts: One per task.
        tasks: What was asked for.
        yardsticks: The voice, the training texts, the embedder.
        base_texts: What the untrained model writes: no run that stands there is memorised.
    """
    memorised = [
        longest_memorised_run(text, yardsticks.learned, VerbatimIndex([*base_texts, task.request, *task.passages, *task.examples]))
        for text, task in zip(texts, tasks, strict=True)
    ]
    return Rung(
        name=name,
        texts=tuple(texts),
        voices=tuple(score(yardsticks.profile, text) for text in texts),
        slop=pooled_slop_rate(texts),
        verbatim=max((yardsticks.learned.longest(text) for text in texts), key=lambda run: run.words),
        memorised=max(memorised, key=lambda run: run.words),
        content=measure_content(texts, [task.real for task in tasks], [task.request for task in tasks], yardsticks.embedder),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The Wilson 95 % interval of a share: right for few trials and for shares near 0 and 1."""
    if not trials:
        return 0.0, 1.0
    z, share = 1.959964, successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def evenly(count: int, limit: int) -> list[int]:
    """At most ``limit`` of the positions 0 to ``count`` - 1, spread evenly."""
    taken = min(count, limit)
    return [(2 * place + 1) * count // (2 * taken) for place in range(taken)]
