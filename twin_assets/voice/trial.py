"""The instruments on trial: whose texts they tell apart, measured on documents that they have not seen.

An instrument that does not know people apart has no say about machines. The trial takes the writing of several people, leaves out one
document at a time, learns from the rest, and asks who wrote it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twin_assets.store.errors import TwinError
from twin_assets.voice.calibration import Evidence, balanced, logistic
from twin_assets.voice.features import VIEWS, Passage, ViewName, count
from twin_assets.voice.language_model import GrammarModels, grammar_models
from twin_assets.voice.space import Vectors, fit_scale, means_of, products, table, weights_of
from twin_assets.voice.tokens import FUNCTION_WORDS, common_words, english, mask, plain

VOCABULARY: Mapping[ViewName, int] = {"words": 4000, "characters": 8000}
GRAMMAR_GRAMS = 12_000
TEXT_WORDS = 300
MOST_TEXTS = 120
MIN_DOCUMENTS = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """How well people were told apart.

    Attributes:
        authors: Who took part.
        texts: Texts per author.
        recall: Share of each author's texts that were given to that author.
        auc: For each author, how often a text of the author's is put before one of a person whom the instrument has never met.
        confusion: How many texts of each author went to whom.
        left_out: Who has too few documents to take part.
    """

    authors: tuple[str, ...]
    texts: dict[str, int]
    recall: dict[str, float]
    auc: dict[str, float]
    confusion: dict[str, dict[str, int]]
    left_out: tuple[str, ...] = ()

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the recalls."""
        return float(np.mean(list(self.recall.values())))

    @property
    def mean_auc(self) -> float:
        """The mean of the AUCs."""
        return float(np.mean(list(self.auc.values())))


@dataclass(frozen=True, eq=False)
class _Bench:
    """The texts of all authors, prepared once."""

    names: tuple[str, ...]
    labels: NDArray[np.int_]
    documents: NDArray[np.int_]
    texts: Sequence[Passage]
    cosines: Vectors
    models: GrammarModels
    nearest_centroid: bool


def trial(
    documents: Mapping[str, Sequence[str]], words: int = TEXT_WORDS, most_texts: int = MOST_TEXTS, *, nearest_centroid: bool = False
) -> Trial:
    """Leaves out one document at a time, and one person at a time.

    Which n-grams are counted and how they are scaled is taken from all texts, which needs no knowledge of who wrote them; everything
    that does is learned without the document in question. Documents shorter than a text are joined, and left out together.

    Args:
        documents: Each author's texts, in order.
        words: Length of a text.
        most_texts: At most so many of each author, spread evenly.
        nearest_centroid: Compare with the mean of a voice's passages, as Delta does, and not with the ridge regression: a reference.

    Raises:
        TwinError: When there are fewer than two authors with three documents; one with fewer is left out.
    """
    everything = [text for own in documents.values() for text in own]
    kept = FUNCTION_WORDS if english(everything) else common_words(list(documents.values()))
    cut = {name: _cut(own, words, most_texts, kept) for name, own in documents.items()}
    poor = tuple(name for name, own in cut.items() if len({document for document, _ in own}) < MIN_DOCUMENTS)
    if len(cut) - len(poor) < 2:
        without = f" Without so many: {', '.join(poor)}." if poor else ""
        raise TwinError(
            f"Not enough evidence: at least two authors are needed to be told apart, each with {MIN_DOCUMENTS} documents of {words} words of "
            f"prose (shorter ones count together).{without}"
        )
    bench = _bench({name: own for name, own in cut.items() if name not in poor}, nearest_centroid)
    found = _leaving_documents_out(bench)
    strange = _leaving_writers_out(bench)
    grammar = _grammar(bench)
    return replace(_verdict(bench, found, strange, grammar), left_out=poor)


def _cut(texts: Sequence[str], words: int, most: int, kept: frozenset[str]) -> list[tuple[int, Passage]]:
    whole = [
        (document, own[start : start + words])
        for document, own in enumerate(_bundled(texts, words, kept))
        for start in range(0, len(own) - words + 1, words)
    ]
    chosen = [whole[number * len(whole) // most] for number in range(most)] if len(whole) > most else whole
    return [(document, count([" ".join(text)])[0]) for document, text in chosen]


def _bundled(texts: Sequence[str], words: int, kept: frozenset[str]) -> Iterator[list[str]]:
    """Documents as masked words, the short ones joined until they are long enough."""
    bundle: list[str] = []
    for text in texts:
        masked = mask(plain(text), kept).split()
        if len(masked) >= words:
            yield masked
            continue
        bundle += masked
        if len(bundle) >= words:
            yield bundle
            bundle = []


def _bench(cut: Mapping[str, list[tuple[int, Passage]]], nearest_centroid: bool) -> _Bench:
    names = tuple(cut)
    classes = [[text for _, text in own] for own in cut.values()]
    texts = [text for own in classes for text in own]
    labels = np.array([label for label, own in enumerate(classes) for _ in own])
    tables = {view: table(texts, view) for view in VIEWS}
    scales = {view: fit_scale(VOCABULARY[view], tables[view], labels) for view in VIEWS}
    vectors = {view: scales[view].of_frequencies(tables[view].shares(scales[view].grams)) for view in VIEWS}
    keys = {key: number for number, key in enumerate((name, document) for name, own in cut.items() for document, _ in own)}
    grams = tables["words"].most_frequent(GRAMMAR_GRAMS, labels)
    grammars = [_grammar_of(own) for own in classes]
    return _Bench(
        names,
        labels,
        np.array([keys[name, document] for name, own in cut.items() for document, _ in own]),
        texts,
        products(vectors),
        grammar_models(grams, grammars),
        nearest_centroid,
    )


def _grammar_of(texts: Sequence[Passage]) -> tuple[Counter[str], int]:
    counted: Counter[str] = Counter()
    for text in texts:
        counted.update(text["words"].grams)
    return counted, sum(text["words"].total for text in texts) // 3


def _scores(bench: _Bench, learned: NDArray[np.int_], asked: NDArray[np.int_]) -> Vectors:
    near, labels, classes = bench.cosines[np.ix_(learned, learned)], bench.labels[learned], len(bench.names)
    weights = means_of(near, labels, classes) if bench.nearest_centroid else weights_of(near, labels, classes)
    return bench.cosines[np.ix_(asked, learned)] @ weights


def _leaving_documents_out(bench: _Bench) -> Vectors:
    found = np.zeros((len(bench.texts), len(bench.names)))
    for document in np.unique(bench.documents):
        asked = np.flatnonzero(bench.documents == document)
        found[asked] = _scores(bench, np.flatnonzero(bench.documents != document), asked)
    return found


def _leaving_writers_out(bench: _Bench) -> Vectors:
    found = np.zeros((len(bench.texts), len(bench.names)))
    for writer in range(len(bench.names)):
        asked = np.flatnonzero(bench.labels == writer)
        found[asked] = _scores(bench, np.flatnonzero(bench.labels != writer), asked)
    return found


def _grammar(bench: _Bench) -> Vectors:
    """Log-likelihoods of each text under each voice's model, its own document taken out of its writer's."""
    found = np.array([bench.models.log_likelihoods(text["words"].grams) for text in bench.texts])
    for document in np.unique(bench.documents):
        asked = np.flatnonzero(bench.documents == document).tolist()
        writer = int(bench.labels[asked[0]])
        model = bench.models.only(writer, *_grammar_of([bench.texts[text] for text in asked]))
        for text in asked:
            found[text, writer] = model.log_likelihoods(bench.texts[text]["words"].grams)[0]
    return found


def _verdict(bench: _Bench, found: Vectors, strange: Vectors, grammar: Vectors) -> Trial:
    given = found.argmax(axis=1)
    confusion = {
        name: {other: int(np.sum(given[bench.labels == label] == column)) for column, other in enumerate(bench.names)}
        for label, name in enumerate(bench.names)
    }
    texts = {name: sum(row.values()) for name, row in confusion.items()}
    evidence = [_evidence(bench, author, found, strange, grammar) for author in range(len(bench.names))]
    return Trial(
        authors=bench.names,
        texts=texts,
        recall={name: row[name] / texts[name] for name, row in confusion.items()},
        auc={name: _auc(evidence, author) for author, name in enumerate(bench.names)},
        confusion=confusion,
    )


def _evidence(bench: _Bench, author: int, found: Vectors, strange: Vectors, grammar: Vectors) -> Evidence:
    """The signals for one author: of own texts, whose document, and of others' texts, whose writer was left out.

    Of two authors there is no third to compare the grammar of the other's text with, and LambdaG says nothing of any text.
    """
    own = bench.labels == author
    direction = np.where(own, found[:, author], strange[:, author])
    everyone = np.arange(len(bench.names))
    ratios = [
        row[author] - row[(everyone != author) & (everyone != writer)].mean() if len(everyone) > 2 else 0.0
        for row, writer in zip(grammar, bench.labels, strict=True)
    ]
    labels = [bench.names[label] for label in bench.labels]
    return Evidence(np.column_stack([direction, ratios]), own, balanced(labels, bench.names[author]))


def _auc(evidence: Sequence[Evidence], author: int) -> float:
    """Of the two signals, weighed as is best for all other authors."""
    from sklearn.metrics import roc_auc_score

    others = [one for number, one in enumerate(evidence) if number != author]
    pooled = Evidence(*(np.concatenate(parts) for parts in zip(*((o.signals, o.own, o.weights) for o in others), strict=True)))
    slopes, intercept = logistic(pooled)
    return float(roc_auc_score(evidence[author].own, evidence[author].signals @ np.array(slopes) + intercept))
