"""What the instruments make of passages that they have not learned from: the ground of every probability.

The author's writing is cut to five stretches and the control voices to five groups. Each time, a stretch and a group are left out of all
learning, and then judged: the author's words are new, and the others are people whom the instrument has never met, as most people who
are not the author are.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin_assets.voice.calibration import Calibration, Evidence, balanced, calibrate
from twin_assets.voice.features import UNIT_WORDS, VIEWS, Passage, ViewName
from twin_assets.voice.language_model import GrammarModels, grammar_models, ratio
from twin_assets.voice.space import Scale, Vectors, directions, fit_scale, products, table, weights_of
from twin_assets.voice.tokens import FUNCTION_WORDS
from twin_assets.voice.trial import GRAMMAR_GRAMS, VOCABULARY
from twin_assets.voice.voices import PASSAGE_UNITS, Voice

FOLDS = 5
LENGTHS = (1, 2, 3, 6)
"""Units of 50 words: texts of 50, 100, 150 and 300 words are judged."""
MIN_STRANGERS = 3
"""Control voices; of fewer, parts are left out instead of whole voices, and nobody whom the instrument has not met is judged."""
_FEW, _LEAST_KNOWN = 0.05, 0.15
_NEAR_SHARE, _MIN_NEAR = 0.2, 5
_RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What was learned from all passages, and how well that does on passages held out.

    Attributes:
        scales: Vocabulary and scale per view.
        vectors: The passages, per view.
        labels: The class of each passage.
        directions: Of the classes, per view.
        models: Grammar models, one per voice.
        calibrations: By length, shortest first.
        figures: ``recognised``: share of the author's passages of 150 words that are given to the author. ``mistaken``: share of
            strangers' passages that are. ``auc`` and ``auc_300``: how often an own text is put before a stranger's; ``auc_low``: the
            lower end of the interval of the first. ``judged``: how many passages of the author that is. ``strangers``: how many
            control voices the instrument had never met when it judged them; they count by the fifth that comes nearest to the author,
            at least five.
        known_share: Half the share of function words that all but the fewest of the author's passages have: a table, a list of names
            among them must not let everything pass.
    """

    scales: dict[ViewName, Scale]
    vectors: dict[ViewName, Vectors]
    labels: NDArray[np.int_]
    directions: dict[ViewName, Vectors]
    models: GrammarModels
    calibrations: tuple[Calibration, ...]
    figures: dict[str, float]
    known_share: float


@dataclass(frozen=True, eq=False)
class _Judged:
    """Texts of one length after judgement: signals, whose they are, and whether they were given to the author."""

    signals: list[tuple[float, float]]
    labels: list[str]
    given: list[bool]


def measure_held_out(author: str, classes: Sequence[Voice], kept: frozenset[str] = FUNCTION_WORDS) -> HeldOut:
    """Learns from all passages, and five times from a part of them to judge the rest.

    Args:
        author: Whose voice it is.
        classes: The author's registers, and the control voices.
        kept: The words that were not masked.
    """
    units = [unit for one in classes for unit in one.units]
    starts = np.cumsum([0, *(len(one.units) for one in classes)]).tolist()
    tables = {view: table(units, view) for view in VIEWS}
    groups = [
        group for start, one in zip(starts, classes, strict=False) for group in _groups(range(start, start + len(one.units)), PASSAGE_UNITS)
    ]
    labels = np.array([label for label, one in enumerate(classes) for _ in one.passages])
    passages = {view: tables[view].summed(groups) for view in VIEWS}
    scales = {view: fit_scale(VOCABULARY[view], passages[view], labels) for view in VIEWS}
    vectors = {view: scales[view].of_frequencies(passages[view].shares(scales[view].grams)) for view in VIEWS}
    cosines = products(vectors)
    models = grammar_models(passages["words"].most_frequent(GRAMMAR_GRAMS, labels), _grammars(classes, lambda _: True))
    folds = np.concatenate(_folds(author, classes))
    judged = {length: _Judged([], [], []) for length in LENGTHS}
    for fold in range(FOLDS):
        learned = np.flatnonzero(folds[[group[0] for group in groups]] != fold)
        weights = weights_of(cosines[np.ix_(learned, learned)], labels[learned], len(classes))
        inside = directions({view: rows[learned] for view, rows in vectors.items()}, weights)
        without = grammar_models(models.grams.names, _grammars(classes, lambda unit, fold=fold: folds[unit] != fold))
        asked = [
            [unit for unit in range(start, start + len(one.units)) if folds[unit] == fold]
            for start, one in zip(starts, classes, strict=False)
        ]
        grammar = _ratios(author, classes, units, asked, without)
        for length, into in judged.items():
            texts = [(group, one.name) for own, one in zip(asked, classes, strict=True) for group in _groups(own, length)]
            if not texts:
                continue
            spoken = [
                scales[view].of_frequencies(tables[view].summed([group for group, _ in texts]).shares(scales[view].grams)) @ inside[view]
                for view in VIEWS
            ]
            _note(author, classes, texts, np.sum(spoken, axis=0), grammar, into)
    judged = {length: _near(author, found) for length, found in judged.items()}
    calibrations = tuple(
        calibrate(length * UNIT_WORDS, _evidence(author, judged[length])) for length in LENGTHS if _both(author, judged[length])
    )
    own = [passage for one in classes if one.name == author for passage in one.passages]
    return HeldOut(
        scales=scales,
        vectors=vectors,
        labels=labels,
        directions=directions(vectors, weights_of(cosines, labels, len(classes))),
        models=models,
        calibrations=calibrations,
        figures={**_figures(author, judged, calibrations), "strangers": _strangers(author, classes)},
        known_share=round(max(_LEAST_KNOWN, 0.5 * float(np.quantile([known_share([passage], kept) for passage in own], _FEW))), 4),
    )


def _groups(units: Sequence[int], size: int) -> list[list[int]]:
    return [list(units[start : start + size]) for start in range(0, len(units) - size + 1, size)]


def _note(
    author: str,
    classes: Sequence[Voice],
    texts: Sequence[tuple[list[int], str]],
    decisions: Vectors,
    grammar: dict[int, float],
    into: _Judged,
) -> None:
    own = [column for column, one in enumerate(classes) if one.name == author]
    for (group, name), row in zip(texts, decisions, strict=True):
        into.signals.append((float(row[own].max()), float(np.mean([grammar[unit] for unit in group]))))
        into.labels.append(name)
        into.given.append(int(row.argmax()) in own)


def _ratios(
    author: str, classes: Sequence[Voice], units: Sequence[Passage], asked: Sequence[Sequence[int]], models: GrammarModels
) -> dict[int, float]:
    """LambdaG of every unit that is asked for, against the voices that were learned and are not its own."""
    names = list(dict.fromkeys(one.name for one in classes))
    learned = [column for column, name in enumerate(names) if name != author and models.totals[column]]
    found: dict[int, float] = {}
    for one, own in zip(classes, asked, strict=True):
        others = [column for column in learned if names[column] != one.name] or learned
        for unit in own:
            found[unit] = ratio(models.log_likelihoods(units[unit]["words"].grams), names.index(author), others)
    return found


def _grammars(classes: Sequence[Voice], kept: Callable[[int], bool]) -> list[tuple[Counter[str], int]]:
    """The grammar of each voice, from its units that are kept; a voice that is left out as a whole has an empty one."""
    parts: dict[str, list[Passage]] = {name: [] for name in dict.fromkeys(one.name for one in classes)}
    numbered = enumerate((one.name, unit) for one in classes for unit in one.units)
    for number, (name, unit) in numbered:
        if kept(number):
            parts[name].append(unit)
    return [Voice(name, units).grammar() for name, units in parts.items()]


def known_share(passages: Sequence[Passage], kept: frozenset[str]) -> float:
    """Share of the words of a text that are kept: near none where it is in another language or script, or no prose at all."""
    words = [
        (gram, number) for passage in passages for gram, number in passage["words"].grams.items() if " " not in gram and gram[0].isalpha()
    ]
    return sum(number for gram, number in words if gram in kept) / max(sum(number for _, number in words), 1)


def _folds(author: str, classes: Sequence[Voice]) -> list[NDArray[np.int_]]:
    """When each unit of each class is left out: with its stretch, or with its whole voice where there are enough others."""
    names = sorted({one.name for one in classes if one.name != author})
    group = {name: number % FOLDS for number, name in enumerate(names)} if _strangers(author, classes) else {}
    return [
        np.full(len(one.units), group[one.name]) if one.name in group else _stretches(len(one.passages), len(one.units)) for one in classes
    ]


def _strangers(author: str, classes: Sequence[Voice]) -> int:
    """How many voices are left out as a whole."""
    number = len({one.name for one in classes if one.name != author})
    return number if number >= MIN_STRANGERS else 0


def _stretches(passages: int, units: int) -> NDArray[np.int_]:
    by_passage = np.arange(passages) * FOLDS // max(passages, 1)
    return np.concatenate([np.repeat(by_passage, PASSAGE_UNITS), np.full(units - passages * PASSAGE_UNITS, FOLDS - 1)])


def _near(author: str, judged: _Judged) -> _Judged:
    """The author's texts, and those of the strangers who come nearest to the author.

    A stranger who writes what the author writes, for the same readers, is nearer than most of the control voices are. Held against all of
    them, other bloggers got a probability of a half on average; against the nearest fifth, of a quarter (docs/results.md).
    """
    signals, labels = np.array(judged.signals), np.array(judged.labels)
    strangers = [name for name in dict.fromkeys(judged.labels) if name != author]
    closeness = {name: float(signals[labels == name, 0].mean()) for name in strangers}
    most = max(_MIN_NEAR, round(_NEAR_SHARE * len(strangers)))
    near = {author, *sorted(strangers, key=lambda name: (-closeness[name], name))[:most]}
    kept = [place for place, label in enumerate(judged.labels) if label in near]
    return _Judged([judged.signals[at] for at in kept], [judged.labels[at] for at in kept], [judged.given[at] for at in kept])


def _evidence(author: str, judged: _Judged) -> Evidence:
    return Evidence(np.array(judged.signals), np.array(judged.labels) == author, balanced(judged.labels, author))


def _both(author: str, judged: _Judged) -> bool:
    return author in judged.labels and any(label != author for label in judged.labels)


def _figures(author: str, judged: dict[int, _Judged], calibrations: Sequence[Calibration]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    at = judged[PASSAGE_UNITS]
    own = np.array(at.labels) == author
    weights = balanced(at.labels, author)
    given = np.array(at.given)
    figures = {"recognised": float(given[own].mean()), "mistaken": float(np.average(given[~own], weights=weights[~own]))}
    for length, name in ((PASSAGE_UNITS, "auc"), (LENGTHS[-1], "auc_300")):
        found = next((one for one in calibrations if one.words == length * UNIT_WORDS), None)
        if found:
            evidence = _evidence(author, judged[length])
            figures[name] = float(roc_auc_score(evidence.own, found.log_odds(evidence.signals), sample_weight=evidence.weights))
            if name == "auc":
                figures["auc_low"] = _lowest(found.log_odds(evidence.signals), at.labels, author)
    return {**{name: round(value, 4) for name, value in figures.items()}, "judged": int(own.sum())}


def _lowest(scores: Vectors, labels: Sequence[str], author: str) -> float:
    """The lower end of the AUC's 95 % interval: the author's texts and the strangers, each with all theirs, are drawn anew."""
    named = np.array(labels)
    own = scores[named == author]
    before = np.column_stack(
        [
            (np.greater.outer(own, texts) + 0.5 * np.equal.outer(own, texts)).mean(axis=1)
            for name in dict.fromkeys(labels)
            if name != author and len(texts := scores[named == name])
        ]
    )
    chance = np.random.default_rng(0)
    rows, columns = (chance.multinomial(size, np.full(size, 1 / size), size=_RESAMPLES) / size for size in before.shape)
    return float(np.quantile(np.einsum("nr,rc,nc->n", rows, before, columns), 0.025))
