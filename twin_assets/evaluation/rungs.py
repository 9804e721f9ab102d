"""The rungs of the ladder, measured: texts in, numbers out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal
from uuid import UUID

from twin_assets.evaluation.content import Content, Embedder, measure_content
from twin_assets.evaluation.context import Context
from twin_assets.evaluation.statistics import Difference, paired
from twin_assets.voice.encoder import Encode
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.memorisation import NO_RUN, Run, VerbatimIndex, longest_memorised_run, outside_quotes
from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.score import VoiceScore, score
from twin_assets.voice.separability import Separability, separability
from twin_assets.voice.slop import SlopRate, pooled_slop_rate

RungName = Literal["base", "base_few_shot", "base_few_shot_rag", "twin", "twin_rag", "other_twin", "human"]
TWINS: tuple[RungName, ...] = ("twin", "twin_rag")
PROMPTED: RungName = "base_few_shot_rag"


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
        facts: The key points of the brief.
        document: Where it is from; two prompts may be from one.
    """

    id: UUID
    request: str
    real: str
    words: int
    seed: int
    passages: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    document: str = ""


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What all rungs are measured with.

    Attributes:
        profile: The author's voice.
        learned: The training texts, to find runs of them.
        embedder: For closeness in meaning.
        slop_terms: A list of machine words beside the project's own.
        own_texts: The author's training texts: with the held-out ones they say how much slop is the author's own.
        style: An encoder of style for a second opinion, where one is set.
    """

    profile: VoiceProfile
    learned: VerbatimIndex
    embedder: Embedder
    slop_terms: Path | None = None
    own_texts: tuple[str, ...] = ()
    style: Encode | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an encoder of style makes of the texts.

    Attributes:
        right: Share of unseen texts that it gave to the right side in its trial.
        own: Per rung the share of the texts that it takes for the author's.
    """

    right: float
    own: Mapping[RungName, float]


@dataclass(frozen=True, slots=True)
class Rung:
    """One way of writing, over all tasks.

    Attributes:
        name: Which rung.
        texts: One text per task.
        voices: How each text sounds, or why that cannot be said.
        slop: Marks of machine-written prose.
        verbatim: The longest run of training words in any text, outside quotes.
        memorised: The same, where neither the prompt's context nor the base model's own texts account for it.
        overlap: Share of the texts' 8-grams that stand in the training texts, outside quotes.
        content: Closeness to what was asked for and to what the author wrote.
        facts: Share of each brief's key points that the text has; empty where the brief has none.
        separable: How well a classifier tells the texts from the author's; None for the author, a reason where there are too few.
    """

    name: RungName
    texts: tuple[str, ...]
    voices: tuple[VoiceScore | NotEnough, ...]
    slop: SlopRate
    verbatim: Run
    memorised: Run
    overlap: float
    content: Content
    facts: tuple[float, ...]
    separable: Separability | NotEnough | None = None

    @property
    def scored(self) -> list[VoiceScore]:
        """The scores of the texts that say enough."""
        return [voice for voice in self.voices if isinstance(voice, VoiceScore)]

    @property
    def attributed(self) -> list[bool]:
        """Whether each text is attributed to the author; one that says too little is not."""
        return [isinstance(voice, VoiceScore) and voice.own for voice in self.voices]

    @property
    def own(self) -> int:
        """How many texts are attributed to the author."""
        return sum(self.attributed)

    @property
    def attribution(self) -> float:
        """Share of the texts that are attributed to the author."""
        return self.own / len(self.texts)

    @property
    def scores(self) -> list[float]:
        """The probability of each text that the author wrote it; 0 for one that says too little."""
        return [voice.score if isinstance(voice, VoiceScore) else 0.0 for voice in self.voices]

    @property
    def voice_score(self) -> float:
        """The mean of them."""
        return sum(self.scores) / len(self.voices)

    @property
    def words(self) -> float:
        """Mean length."""
        return sum(len(text.split()) for text in self.texts) / len(self.texts)

    @property
    def facts_kept(self) -> float | None:
        """Mean share of the key points that are kept."""
        return sum(self.facts) / len(self.facts) if self.facts else None


@dataclass(frozen=True)
class Ladder:
    """All rungs over the same tasks, the author's real passages last.

    Attributes:
        author: Whose twin it is.
        model_version: The twin.
        tasks: What was asked for.
        rungs: What was written, measured.
        context: How well the passages that were retrieved for the tasks fit.
        author_slop: Marks of machine prose per 1,000 words in all that is known of the author.
        opinion: What an encoder of style says, where one is set, or why it says nothing.
        versions: What it was made with beside the model: the same versions give the same report.
    """

    author: str
    model_version: str
    tasks: tuple[Task, ...]
    rungs: tuple[Rung, ...]
    context: Context | None = None
    author_slop: float | None = None
    opinion: Opinion | NotEnough | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> Mapping[str, Rung]:
        """The rungs by name."""
        return {rung.name: rung for rung in self.rungs}

    @cached_property
    def heard(self) -> list[int]:
        """The prompts on which the prompted base model wrote enough to be judged: on the others a twin would win by default."""
        return [place for place, voice in enumerate(self.by_name[PROMPTED].voices) if isinstance(voice, VoiceScore)]

    @cached_property
    def differences(self) -> dict[str, Difference]:
        """What the ladder is climbed for, each over the same prompts, with its interval.

        ``voice``: the twin's attribution over that of the base model with all the help of a prompt, on the prompts where that one wrote
        enough to be judged. ``voice_rag``: the same for the twin with retrieval, which is what people draft with. ``ceiling``: the twin's
        over the author's own. ``content``: the twin's closeness to the real passage over that of the base model, both with context.
        ``facts``: key points kept, the same way. ``other``: own twin's voice score over another author's twin's.
        """
        rungs = self.by_name
        twin, prompted, human, informed = (rungs[name] for name in ("twin", PROMPTED, "human", "twin_rag"))
        sources = [task.document or str(task.id) for task in self.tasks]

        def over_prompted(rung: Rung) -> Difference:
            first, second = ([one.attributed[place] for place in self.heard] for one in (rung, prompted))
            return paired(first, second, [sources[place] for place in self.heard])

        found = {
            "voice": over_prompted(twin),
            "voice_rag": over_prompted(informed),
            "ceiling": paired(twin.attributed, human.attributed, sources),
            "content": paired(informed.content.each, prompted.content.each, sources),
        }
        if informed.facts and prompted.facts:
            found["facts"] = paired(informed.facts, prompted.facts, [task.document or str(task.id) for task in self.tasks if task.facts])
        if other := rungs.get("other_twin"):
            found["other"] = paired(twin.scores, other.scores, sources)
        return found

    @cached_property
    def figures(self) -> dict[str, float]:
        """Flat numbers for the registry, the checks and the model's history."""
        twins = [rung for rung in self.rungs if rung.name in TWINS]
        figures: dict[str, float] = {
            "prompts": len(self.tasks),
            "compared": len(self.heard),
            "verbatim_longest": max(rung.verbatim.words for rung in twins),
            "memorised_longest": max(rung.memorised.words for rung in twins),
            "slop_author": self.by_name["human"].slop.per_1000 if self.author_slop is None else self.author_slop,
            "slop_twins": _together(twins),
        }
        for rung in self.rungs:
            figures |= _figures(rung)
        for name, difference in self.differences.items():
            figures |= {f"{name}_gain": difference.mean, f"{name}_gain_low": difference.low, f"{name}_gain_high": difference.high}
        if other := self.by_name.get("other_twin"):
            own = zip(self.by_name["twin"].scores, other.scores, strict=True)
            figures["beats_other_twin"] = sum(mine > theirs for mine, theirs in own) / len(self.tasks)
        if self.context:
            figures |= {"context_precision": self.context.precision, "context_recall": self.context.recall}
        if isinstance(self.opinion, Opinion):
            figures |= {"style_right": self.opinion.right, **{f"style_{name}": share for name, share in self.opinion.own.items()}}
        return {name: round(value, 4) for name, value in figures.items()}


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
    real = [task.real for task in tasks]
    return Rung(
        name=name,
        texts=tuple(texts),
        voices=tuple(score(yardsticks.profile, text) for text in texts),
        slop=pooled_slop_rate(texts, yardsticks.slop_terms),
        verbatim=max((run for text in texts for run in yardsticks.learned.copied(text)[:1]), key=lambda run: run.words, default=NO_RUN),
        memorised=max(memorised, key=lambda run: run.words),
        overlap=sum(yardsticks.learned.overlap(outside_quotes(text)) for text in texts) / len(texts),
        content=measure_content(texts, real, [task.request for task in tasks], yardsticks.embedder),
        facts=tuple(kept(text, task.facts) for text, task in zip(texts, tasks, strict=True) if task.facts),
        separable=None if name == "human" else separability(texts, real),
    )


def _together(rungs: Sequence[Rung]) -> float:
    """The slop of several rungs as one: the texts of one are too few to count rare words in."""
    hits, words = sum(sum(rung.slop.hits.values()) for rung in rungs), sum(rung.words * len(rung.texts) for rung in rungs)
    return 1000 * hits / words if words else 0.0


def kept(text: str, facts: Sequence[str]) -> float:
    """Share of the key points that stand in a text, whatever their case and ending."""
    lowered = " ".join(text.lower().split())
    return sum(bool(re.search(rf"(?<!\w){re.escape(fact.lower())}", lowered)) for fact in facts) / len(facts)


def _figures(rung: Rung) -> dict[str, float]:
    figures: dict[str, float] = {
        f"voice_{rung.name}": rung.attribution,
        f"voice_own_{rung.name}": rung.own,
        f"voice_score_{rung.name}": rung.voice_score,
        f"unscored_{rung.name}": len(rung.voices) - len(rung.scored),
        f"slop_{rung.name}": rung.slop.per_1000,
        f"verbatim_{rung.name}": rung.verbatim.words,
        f"overlap_{rung.name}": rung.overlap,
        f"content_{rung.name}": rung.content.to_real,
        f"content_rouge_{rung.name}": rung.content.rouge,
        f"content_chrf_{rung.name}": rung.content.chrf,
        f"content_prompt_{rung.name}": rung.content.to_prompt,
        f"words_{rung.name}": rung.words,
    }
    if rung.facts_kept is not None:
        figures[f"facts_{rung.name}"] = rung.facts_kept
    if isinstance(rung.separable, Separability):
        figures |= {f"separable_{rung.name}": rung.separable.auc, f"separable_low_{rung.name}": rung.separable.low}
    return figures
