"""The ladder: the same held-out prompts written by the base model and by the twin, each without and with context."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from twin_assets.evaluation.context import measure_context
from twin_assets.evaluation.rungs import Ladder, Opinion, RungName, Task, Yardsticks, measure
from twin_assets.evaluation.statistics import evenly
from twin_assets.features.retrieval import Retriever
from twin_assets.features.search import Filters
from twin_assets.sample import control_texts
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.dataset import Dataset, Example
from twin_assets.voice.encoder import Encode, second_opinion
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.slop import pooled_slop_rate
from twin_assets.writing.batch import Asked, Pace, Progress, asked_words, seed_of, serving, write_all
from twin_assets.writing.generate import Generator
from twin_assets.writing.prompts import Brief, messages

log = structlog.get_logger(__name__)

FEW_SHOT = 2
FEW_SHOT_WORDS = 500  # with the notes and the answer, this fits the 2,048 tokens that a local server reads


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model on the ladder, and the rungs that it writes.

    Attributes:
        gguf: The model's file.
        rungs: For each rung, whether it gets examples of the author's writing, and whether retrieved passages.
    """

    gguf: Path
    rungs: tuple[tuple[RungName, bool, bool], ...]


def contestants(base: Path, twin: Path, other: Path | None = None) -> tuple[Contestant, ...]:
    """The untrained model, with all the help that prompting can give, against the trained one, and against somebody else's twin.

    A twin gets no examples: it knows the voice.
    """
    found = (
        Contestant(base, (("base", False, False), ("base_few_shot", True, False), ("base_few_shot_rag", True, True))),
        Contestant(twin, (("twin", False, False), ("twin_rag", False, True))),
    )
    return (*found, Contestant(other, (("other_twin", False, False),))) if other else found


@dataclass(frozen=True, slots=True)
class Written:
    """What the models wrote, before anybody judges it.

    Attributes:
        author: Whose twin it is.
        model_version: The twin.
        tasks: What was asked for.
        texts: Per rung one text per task, the author's own passages last.
    """

    author: str
    model_version: str
    tasks: tuple[Task, ...]
    texts: dict[RungName, tuple[str, ...]]

    def to_lines(self) -> str:
        """As JSON lines: the tasks, then the texts."""
        about = {"author": self.author, "model_version": self.model_version}
        tasks = [{"task": {**asdict(task), "id": str(task.id)}} for task in self.tasks]
        texts = [{"rung": rung, "texts": texts} for rung, texts in self.texts.items()]
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [about, *tasks, *texts])

    @classmethod
    def from_lines(cls, lines: str) -> "Written":
        """Reads what ``to_lines`` wrote."""
        about, *rows = [json.loads(line) for line in lines.split("\n") if line]  # not splitlines: texts hold U+2028
        tasks = tuple(_task(row["task"]) for row in rows if "task" in row)
        return cls(**about, tasks=tasks, texts={row["rung"]: tuple(row["texts"]) for row in rows if "rung" in row})


def write_texts(
    author: str,
    model_version: str,
    tasks: Sequence[tuple[Task, Brief]],
    models: Sequence[Contestant],
    settings: Settings,
    progress: Progress = lambda done, total: None,
) -> Written:
    """Write every task on every rung; one model is served at a time, and stopped at the end.

    Args:
        author: Whose twin it is.
        model_version: The twin.
        tasks: Held-out prompts with what the informed rungs get.
        models: Who writes.
        settings: For the sampling and the servers.
        progress: Is told how many of how many texts are written.
    """
    pace = Pace("evaluation text written", sum(len(model.rungs) for model in models) * len(tasks), progress)
    written: dict[RungName, tuple[str, ...]] = {}
    for model in models:
        with serving(model.gguf, f"{author}-{model.rungs[0][0]}", settings, "evaluation-model") as generator:
            for rung, few, informed in model.rungs:
                shown = [messages(brief, task.passages if informed else (), task.examples if few else ()) for task, brief in tasks]
                asked = [Asked(turns, asked_words(task.words), task.seed) for turns, (task, _) in zip(shown, tasks, strict=True)]
                written[rung] = tuple(_write(generator, asked, pace))
    every = tuple(task for task, _ in tasks)
    return Written(author, model_version, every, {**written, "human": tuple(task.real for task in every)})


def judge_texts(written: Written, yardsticks: Yardsticks) -> Ladder:
    """Measure what was written; what the bare base model writes needs no training to be written."""
    base = written.texts["base"]
    rungs = tuple(measure(name, texts, written.tasks, yardsticks, base) for name, texts in written.texts.items())
    context = measure_context([(task.passages, task.real) for task in written.tasks], yardsticks.embedder)
    slop = pooled_slop_rate([*yardsticks.own_texts, *written.texts["human"]], yardsticks.slop_terms).per_1000
    opinion = opinion_on(written, yardsticks.own_texts, yardsticks.style) if yardsticks.style else None
    ladder = Ladder(written.author, written.model_version, written.tasks, rungs, context, slop, opinion)
    log.info("ladder measured", author=written.author, model=written.model_version, **ladder.figures)
    return ladder


def opinion_on(written: Written, own: Sequence[str], style: Encode) -> Opinion | NotEnough:
    """What an encoder of style makes of the texts, once it has shown that it knows the author from others.

    Others are the invented voices, and the base model on the author's own subjects: an encoder of meaning knows the first by what they
    write about, and fails on the second.

    Args:
        written: What was written.
        own: The author's training texts.
        style: Texts to vectors of unit length.
    """
    others: dict[str, Sequence[str]] = {name: texts for name, texts in control_texts().items() if name != written.author}
    others["the base model"] = written.texts["base"]
    tried = second_opinion(written.author, style, own, written.texts["human"], others)
    if isinstance(tried, NotEnough):
        return tried
    return Opinion(tried.right, {name: sum(tried.own(texts)) / len(texts) for name, texts in written.texts.items()})


def make_tasks(retriever: Retriever, dataset: Dataset, settings: Settings) -> list[tuple[Task, Brief]]:
    """Tasks of held-out prompts, spread evenly over the held-out examples; they retrieve no held-out document and no copy of one."""
    withheld = dataset.withheld | {example.document_id for example in dataset.held_out}
    chosen = [dataset.held_out[place] for place in evenly(len(dataset.held_out), settings.eval_prompts)]
    tasks = []
    for example in chosen:
        brief = brief_of(example)
        limit = settings.context_passages
        found = retriever.find(dataset.author, brief.prompt, limit, Filters(exclude=frozenset(withheld))) if limit else []
        seed = seed_of(example.id)
        task = Task(
            id=example.id,
            request=example.messages[-2]["content"],
            real=example.answer,
            words=example.words,
            seed=seed,
            passages=tuple(passage.text for passage in found),
            examples=few_shot(dataset.train, example.platform, seed),
            facts=brief.phrases,
            document=str(example.document_id),
        )
        tasks.append((task, brief))
    return tasks


def brief_of(example: Example) -> Brief:
    """The brief that an example's prompt was made from.

    Raises:
        TwinError: When today's template makes another prompt from it: the model was trained on something else.
    """
    asked, _, points = example.messages[-2]["content"].partition("\nKey points: ")
    subject = asked.partition(" about: ")[2]
    brief = Brief(subject, example.platform, asked_words(example.words), tuple(points.split("; ")) if points else ())
    if messages(brief) != example.messages[:-1]:
        raise TwinError(
            f"The dataset's prompts are not those that the twin is asked today (example {example.id}). Materialize "
            "training/instruct_dataset again, and train on it."
        )
    return brief


def few_shot(train: Sequence[Example], platform: str, seed: int) -> tuple[str, ...]:
    """A few training passages at random, of the same platform where there are any; the same ones for the same seed."""
    pool = [example.answer for example in train if example.platform == platform] or [example.answer for example in train]
    picked: list[str] = []
    for text in random.Random(seed).sample(pool, len(pool)):  # noqa: S311  # repeatable, not secret
        if len(picked) < FEW_SHOT and sum(len(other.split()) for other in [*picked, text]) <= FEW_SHOT_WORDS:
            picked.append(text)
    return tuple(picked)


def _task(row: dict[str, Any]) -> Task:
    lists = {name: tuple(row[name]) for name in ("passages", "examples", "facts")}
    return Task(**{**row, **lists, "id": UUID(row["id"])})


def _write(generator: Generator, asked: Sequence[Asked], pace: Pace) -> list[str]:
    """One text per prompt, in order; the first failure ends the rung."""
    texts = [""] * len(asked)

    def written(place: int, text: str) -> None:
        texts[place] = text
        pace.step()

    write_all(generator, asked, written)
    return texts
