"""The ladder: the same held-out prompts written by the base model and by the twin, each without and with context."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from twin_assets.evaluation.rungs import Ladder, RungName, Task, Yardsticks, evenly, measure
from twin_assets.features.retrieval import Retriever
from twin_assets.features.search import Filters
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.dataset import Dataset, Example
from twin_assets.writing import model_server
from twin_assets.writing.generate import Generator
from twin_assets.writing.prompts import Brief, messages

log = structlog.get_logger(__name__)

CONCURRENT = 8
FEW_SHOT = 2
FEW_SHOT_WORDS = 500  # with the notes and the answer, this fits the 2,048 tokens that a local server reads

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model on the ladder: the rungs without and with context, and the file that is served.

    Attributes:
        bare: The rung that gets the prompt alone.
        informed: The rung that gets retrieved passages too.
        few_shot: Whether the informed rung also gets examples of the author's writing; a twin knows the voice.
        gguf: The model.
    """

    bare: RungName
    informed: RungName
    few_shot: bool
    gguf: Path


def contestants(base: Path, twin: Path) -> tuple[Contestant, Contestant]:
    """The untrained model, with all the help that prompting can give, against the trained one."""
    return Contestant("base", "base_few_shot_rag", True, base), Contestant("twin", "twin_rag", False, twin)


def climb(
    author: str,
    model_version: str,
    tasks: Sequence[tuple[Task, Brief]],
    models: Sequence[Contestant],
    yardsticks: Yardsticks,
    settings: Settings,
    progress: Progress = lambda done, total: None,
) -> Ladder:
    """Write every task on every rung and measure the texts; one model is served at a time, and stopped at the end.

    Args:
        author: Whose twin it is.
        model_version: The twin.
        tasks: Held-out prompts with what the informed rungs get.
        models: Who writes; the first one's bare texts tell what needs no training to be written.
        yardsticks: What the texts are measured with.
        settings: For the sampling and the servers.
        progress: Is told how many of how many texts are written.
    """
    pace = _Pace(2 * len(models) * len(tasks), progress)
    written: dict[RungName, list[str]] = {}
    for model in models:
        with _serving(model.gguf, f"{author}-{model.bare}", settings) as generator:
            written[model.bare] = _write(generator, [(task, messages(brief)) for task, brief in tasks], pace)
            shown = [(task, messages(brief, task.passages, task.examples if model.few_shot else ())) for task, brief in tasks]
            written[model.informed] = _write(generator, shown, pace)
    asked = [task for task, _ in tasks]
    written["human"] = [task.real for task in asked]
    base_texts = written[models[0].bare]
    rungs = tuple(measure(name, texts, asked, yardsticks, base_texts) for name, texts in written.items())
    ladder = Ladder(author, model_version, tuple(asked), rungs)
    log.info("ladder measured", author=author, model=model_version, **ladder.figures)
    return ladder


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
    brief = Brief(subject, example.platform, max(10, round(example.words, -1)), tuple(points.split("; ")) if points else ())
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


def seed_of(key: UUID) -> int:
    """A seed for each prompt, the same in every run."""
    return int.from_bytes(hashlib.sha256(key.bytes).digest()[:4]) >> 1


@contextmanager
def _serving(gguf: Path, alias: str, settings: Settings) -> Iterator[Generator]:
    server = model_server.start(gguf, settings.model_port, settings.logs / "evaluation-model.log", alias)
    try:
        yield Generator(server.url, settings, model=alias)
    finally:
        model_server.stop(server.pid)


def _write(generator: Generator, prompts: Sequence[tuple[Task, list[dict[str, str]]]], pace: "_Pace") -> list[str]:
    """One text per prompt, in order; the first failure ends the rung."""
    with ThreadPoolExecutor(CONCURRENT) as pool:
        running = {
            pool.submit(generator.complete, conversation, max(10, round(task.words, -1)), seed=task.seed): place
            for place, (task, conversation) in enumerate(prompts)
        }
        texts = [""] * len(prompts)
        try:
            for finished in as_completed(running):
                texts[running[finished]] = finished.result().text
                pace.step()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return texts


class _Pace:
    """Counts finished texts, tells how many, and estimates the time that is left."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._done, self._started = 0, time.monotonic()

    def step(self) -> None:
        self._done += 1
        spent = time.monotonic() - self._started
        left = spent / self._done * (self._total - self._done)
        log.info("evaluation text written", done=self._done, total=self._total, seconds_left=round(left))
        self._progress(self._done, self._total)
