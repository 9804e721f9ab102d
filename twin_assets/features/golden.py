"""The golden set: questions with known answers, made from an author's own documents, and how well search answers them.

The same document always gives the same questions, so that two measurements can be compared question by question. They are easier than what
people ask, and share words with their answers, so that a search by words alone does best: their figures tell one version of the search from
another, and not how to weigh words against meaning. The search by meaning is measured by itself as well, for a broken embedder would go
unnoticed otherwise.
"""

import hashlib
import io
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import distinct, func, select

from twin_assets.cleaning.quality import Finding
from twin_assets.features.questions import Question
from twin_assets.features.search import Filters, Options, search
from twin_assets.models import Embedder
from twin_assets.store import tables
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Registry

KIND = "golden_set"
MIN_QUESTIONS = 5
"""Fewer say nothing, and are not judged."""
TOLERANCE = 0.02
GROWTH = 1.1
"""More documents compete for the same places: beyond this growth, somewhat lower figures are no fault of the search."""
GROWN_TOLERANCE = 0.1

SHARES = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "recall_by_meaning")

_STANDARD_ERRORS = 1.645  # one-sided, 95 %
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a question went.

    Attributes:
        rank: Place of the answer, counted from 1; None when it was not among the passages asked for.
        meaning: Its place in a search by meaning alone.
    """

    id: UUID
    text: str
    rank: int | None
    meaning: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """How well and how fast the questions were answered; without any, every share is 0 and says nothing.

    Attributes:
        model: The embedder.
        documents: Of the author, that competed.
        median_ms: Of a whole search, the query's embedding included.
        p95_ms: The same for the slowest twentieth.
        outcomes: Question by question.
    """

    model: str
    documents: int
    median_ms: float
    p95_ms: float
    outcomes: tuple[Outcome, ...]

    @property
    def n(self) -> int:
        """Questions."""
        return len(self.outcomes)

    @property
    def recall_at_1(self) -> float:
        """Share of the questions whose answer came first."""
        return self._recall(1)

    @property
    def recall_at_5(self) -> float:
        """Share of the questions whose answer was among the first five."""
        return self._recall(5)

    @property
    def recall_at_10(self) -> float:
        """Share of the questions whose answer was among the first ten."""
        return self._recall(10)

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank of the answers; one that was not found counts 0."""
        return _mean([_reciprocal(outcome.rank) for outcome in self.outcomes])

    @property
    def recall_by_meaning(self) -> float:
        """Share of the questions whose answer was among the first ten of a search by meaning alone."""
        return _mean([_found(outcome.meaning, 10) for outcome in self.outcomes])

    @property
    def version(self) -> str:
        """Hash of what was asked, of what and how it was answered; not of the time it took."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    def numbers(self) -> dict[str, Any]:
        """The figures without the questions, as the registry keeps them."""
        shares = {name: round(getattr(self, name), 4) for name in SHARES}
        times = {"median_ms": round(self.median_ms, 1), "p95_ms": round(self.p95_ms, 1)}
        return {"questions": self.n, **shares, **times, "documents": self.documents, "model": self.model}

    def _recall(self, k: int) -> float:
        return _mean([_found(outcome.rank, k) for outcome in self.outcomes])

    @property
    def content(self) -> bytes:
        """All of it but the time, as JSON."""
        content = {"model": self.model, "documents": self.documents, "outcomes": [asdict(outcome) for outcome in self.outcomes]}
        return json.dumps(content, default=str, ensure_ascii=False, indent=1).encode()


class Spanned(Protocol):
    """A passage, as far as it is known where it stands."""

    @property
    def document_id(self) -> UUID:
        """Its document."""
        ...

    @property
    def starts(self) -> int:
        """Its first character."""
        ...

    @property
    def ends(self) -> int:
        """One behind its last."""
        ...


# -- measuring


def measure(database: Database, author: str, embedder: Embedder, questions: Sequence[Question], k: int = 10) -> Figures:
    """Asks the questions through the search that everything else uses; stages that settings switch on are left out, as they cost or vary.

    Args:
        database: The warehouse.
        author: Whose passages are searched.
        embedder: The model to search with; its vectors have to be there, and need not be the active ones.
        questions: What to ask.
        k: How many passages to ask for.

    Raises:
        TwinError: As ``search`` does.
    """
    meaning = Options(word_weight=0)
    return measure_with(
        lambda text: search(database, author, embedder, text, k),
        lambda text: search(database, author, embedder, text, k, Filters(), meaning),
        questions,
        embedder.name,
        _count(database, author),
    )


def measure_with(
    find: Callable[[str], Sequence[Spanned]],
    find_by_meaning: Callable[[str], Sequence[Spanned]],
    questions: Sequence[Question],
    model: str,
    documents: int,
) -> Figures:
    """The same with any search.

    Args:
        find: Gives passages for a query, best first. Its time is taken.
        find_by_meaning: The same by meaning alone.
        questions: What to ask.
        model: The embedder's name.
        documents: How many compete.
    """
    outcomes, times = [], []
    if questions:
        find(questions[0].text)  # what the first search loads is no part of any other
    for question in questions:
        began = time.perf_counter()
        passages = find(question.text)
        times.append((time.perf_counter() - began) * 1000)
        meaning = _rank(find_by_meaning(question.text), question)
        outcomes.append(Outcome(question.id, question.text, _rank(passages, question), meaning))
    times.sort()
    median, p95 = (times[math.ceil(share * len(times)) - 1] if times else 0.0 for share in (0.5, 0.95))
    return Figures(model, documents, median, p95, tuple(outcomes))


def answers(passage: Spanned, question: Question) -> bool:
    """Whether a passage shows the answer: at least half of it, or, where the answer is the longer one, lies in it by half at least."""
    if passage.document_id != question.document_id:
        return False
    shared = min(passage.ends, question.ends) - max(passage.starts, question.starts)
    return shared > 0 and 2 * shared >= min(passage.ends - passage.starts, question.ends - question.starts)


def _rank(passages: Sequence[Spanned], question: Question) -> int | None:
    return next((place for place, passage in enumerate(passages, 1) if answers(passage, question)), None)


def _count(database: Database, author: str) -> int:
    with database.begin() as connection:
        return connection.scalar(select(func.count(distinct(tables.chunks.c.document_id))).where(tables.chunks.c.author == author)) or 0


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else 0.0


def _found(rank: int | None, k: int) -> float:
    return float(rank is not None and rank <= k)


def _reciprocal(rank: int | None) -> float:
    return 1 / rank if rank else 0.0


# -- comparing


def has_not_regressed(now: Figures, before: Figures | None, tolerance: float = TOLERANCE) -> Finding:
    """Passes unless questions that were asked both times are answered worse by more than chance explains.

    Compared are recall@10 and the mean reciprocal rank, and recall@10 by meaning alone, question by question. Each may fall by the
    tolerance, or by 1.64 standard errors of the paired difference where that is more: with few questions, one or two lost ones say nothing.
    Where the documents grew by more than a tenth, the tolerance is a tenth.

    Args:
        now: The new measurement.
        before: What it has to hold against; None for a first one.
        tolerance: Share by which each may always fall.

    Returns:
        The finding; one that failed names the questions that fell most.
    """
    pairs = _pairs(now, before)
    figures: dict[str, int | float | list[str]] = {"questions": now.n, "compared": len(pairs)}
    state = f"recall@10 is {now.recall_at_10:.1%}, give or take {100 * _margin(now):.1f} points with {now.n} questions."
    if why_not := _incomparable(now, before):
        return Finding(True, f"{why_not}; {state}" if now.n else f"{why_not}.", figures)
    if before and now.documents > GROWTH * before.documents:
        tolerance = max(tolerance, GROWN_TOLERANCE)
    drops = _drops(pairs, tolerance)
    figures |= {f"{name}_fell_by": round(drop.by, 4) for name, drop in drops.items()}
    fallen = [f"{name} {drop}" for name, drop in drops.items() if drop.by > drop.allowed]
    if not fallen:
        return Finding(True, f"No worse than before on {len(pairs)} questions asked both times; {state}", figures)
    by_meaning_alone = all(drop.by <= drop.allowed for name, drop in drops.items() if name != _BY_MEANING)
    lost = _lost([(now.text, *((now.meaning, old.meaning) if by_meaning_alone else (now.rank, old.rank))) for now, old in pairs])
    return Finding(
        False,
        f"On {len(pairs)} questions asked both times, {' and '.join(fallen)}. Fell most: {'; '.join(lost)}. Undo what changed the search, "
        "or, if it is meant, accept the new figures with: twin features accept NAME",
        {**figures, "lost": lost},
    )


@dataclass(frozen=True, slots=True)
class _Drop:
    """How far a figure fell, and how far it may."""

    old: float
    new: float
    error: float
    tolerance: float

    @property
    def by(self) -> float:
        return self.old - self.new

    @property
    def allowed(self) -> float:
        return max(self.tolerance, _STANDARD_ERRORS * self.error)

    def __str__(self) -> str:
        why = "the tolerance" if self.allowed == self.tolerance else "the sampling error of so many questions"
        return f"fell from {self.old:.3f} to {self.new:.3f}, by {self.by:.3f} where {self.allowed:.3f} would be within {why}"


Pairs = Sequence[tuple[Outcome, Outcome]]
"""Questions asked both times: how they go now, and how they went before."""

_BY_MEANING = "recall@10 by meaning alone"


def _pairs(now: Figures, before: Figures | None) -> Pairs:
    old = {outcome.id: outcome for outcome in before.outcomes} if before else {}
    return [(outcome, old[outcome.id]) for outcome in now.outcomes if outcome.id in old]


def _incomparable(now: Figures, before: Figures | None) -> str:
    """Why two measurements cannot be held against each other; empty when they can."""
    if now.n < MIN_QUESTIONS:
        return f"Only {now.n} questions could be made of the author's documents, too few to tell how good the search is"
    if before is None:
        return "First measurement"
    if (asked := len(_pairs(now, before))) < MIN_QUESTIONS:
        return f"Only {asked} questions were asked before as well, too few to compare"
    return ""


def _drops(pairs: Pairs, tolerance: float) -> dict[str, _Drop]:
    return {
        "recall@10": _drop([(_found(old.rank, 10), _found(now.rank, 10)) for now, old in pairs], tolerance),
        "MRR": _drop([(_reciprocal(old.rank), _reciprocal(now.rank)) for now, old in pairs], tolerance),
        _BY_MEANING: _drop([(_found(old.meaning, 10), _found(now.meaning, 10)) for now, old in pairs], tolerance),
    }


def _drop(pairs: Sequence[tuple[float, float]], tolerance: float) -> _Drop:
    old, new = (_mean(values) for values in zip(*pairs, strict=True))
    error = statistics.stdev(before - now for before, now in pairs) / math.sqrt(len(pairs))
    return _Drop(old, new, error, tolerance)


def _lost(places: Sequence[tuple[str, int | None, int | None]]) -> list[str]:
    """The questions that fell most: from text, place now, and place before."""
    falls = sorted(places, key=lambda place: _reciprocal(place[1]) - _reciprocal(place[2]))
    fallen = [place for place in falls if _reciprocal(place[1]) < _reciprocal(place[2])]
    return [f"{text!r} (place {old}, now {now or 'not found'})" for text, now, old in fallen[:_LISTED]]


def _margin(figures: Figures) -> float:
    """Half of the 95 % interval of recall@10, after Agresti and Coull (1998), which is never sure of 100 %."""
    n = figures.n + 4
    share = (figures.recall_at_10 * figures.n + 2) / n
    return 1.96 * math.sqrt(share * (1 - share) / n)


# -- keeping


def record(registry: Registry, artifacts: ArtifactStore, author: str, figures: Figures) -> Artifact:
    """Keeps a measurement, and which one it and the next are held against.

    The yardstick moves on only to a measurement in which nothing fell: small losses add up until they fail, and a measurement that failed
    fails again when it is repeated.

    Raises:
        TwinError: When the measurement to hold it against is gone from the artifact store.
    """
    held = registry.latest_artifact(author, KIND)
    before = registry.artifact(author, KIND, held.figures["baseline"]) if held else None
    yardstick = before.version if before and _is_worse(figures, load(artifacts, before)) else figures.version
    uri = artifacts.put_bytes(author, KIND, "golden_set.json", figures.content)
    numbers = {**figures.numbers(), "before": before.version if before else None, "baseline": yardstick}
    registry.record_artifact(author, KIND, figures.version, uri, numbers)
    return _latest(registry, author)


def accept(registry: Registry, author: str) -> Artifact:
    """Makes the newest measurement the yardstick, whatever was lost.

    Raises:
        TwinError: When nothing was measured yet.
    """
    newest = _latest(registry, author)
    figures = {**newest.figures, "before": None, "baseline": newest.version}
    registry.record_artifact(author, KIND, newest.version, newest.uri, figures)
    return _latest(registry, author)


def regression(registry: Registry, artifacts: ArtifactStore, author: str, tolerance: float = TOLERANCE) -> Finding:
    """The newest measurement held against the one before that counts; see ``has_not_regressed``.

    Raises:
        TwinError: When nothing was measured yet, or the artifact store has lost one of the two.
    """
    newest = _latest(registry, author)
    before = registry.artifact(author, KIND, newest.figures["before"]) if newest.figures["before"] else None
    return has_not_regressed(load(artifacts, newest), load(artifacts, before) if before else None, tolerance)


def load(artifacts: ArtifactStore, artifact: Artifact) -> Figures:
    """A measurement that was kept.

    Raises:
        TwinError: When the artifact store has lost it.
    """
    kept = json.loads(artifacts.read_bytes(artifact.uri))
    outcomes = tuple(Outcome(UUID(found["id"]), found["text"], found["rank"], found["meaning"]) for found in kept["outcomes"])
    return Figures(kept["model"], kept["documents"], artifact.figures["median_ms"], artifact.figures["p95_ms"], outcomes)


def _latest(registry: Registry, author: str) -> Artifact:
    newest = registry.latest_artifact(author, KIND)
    if newest is None:
        raise TwinError(f"The search over {author}'s writing was never measured. Run: twin run {author} --to golden_set")
    return newest


def _is_worse(now: Figures, before: Figures) -> bool:
    if now.n < MIN_QUESTIONS <= before.n:
        return True
    return not _incomparable(now, before) and any(drop.by > 0 for drop in _drops(_pairs(now, before), 0.0).values())


# -- showing


def missed(figures: Figures, rows: int = _LISTED) -> str:
    """The questions whose answer was not found, as a Markdown table."""
    lines = [f"| {_cell(outcome.text)} |" for outcome in figures.outcomes if outcome.rank is None]
    rest = [f"| and {len(lines) - rows} more |"] if len(lines) > rows else []
    return "\n".join(["| not among the first ten |", "|---|", *(lines[:rows] or ["| none |"]), *rest])


def draw(measurements: Sequence[Artifact]) -> bytes:
    """A PNG: on the left recall and MRR, on the right latency, from version to version.

    Args:
        measurements: Of one author, oldest first.
    """
    from matplotlib.figure import Figure  # no pyplot: it keeps state and is not safe in threads

    figure = Figure(figsize=(11, 3.8), layout="constrained", dpi=90)
    left, right = figure.subplots(1, 2)
    places = range(len(measurements))
    for axes, names in ((left, SHARES), (right, ("median_ms", "p95_ms"))):
        for name in names:
            axes.plot(places, [found.figures[name] for found in measurements], marker="o", markersize=4, label=name)
        axes.set_xticks(places, [f"{found.created_at:%m-%d}\n{found.version[:6]}" for found in measurements], fontsize=7)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    left.set(ylim=(-0.02, 1.02), title="Answers found, by version")
    right.set_ylim(bottom=0)
    right.set_title("Milliseconds of one search")
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
