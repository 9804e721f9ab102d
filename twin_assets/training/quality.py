"""What must hold for a dataset and a training, as plain functions: the asset checks are shells around them."""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any
from uuid import UUID

from twin_assets.cleaning.documents import COUNTED_KINDS, MIN_HELD_OUT_WORDS, Document
from twin_assets.cleaning.quality import Finding
from twin_assets.settings import Settings
from twin_assets.training.dataset import Dataset, Example
from twin_assets.training.leaks import Leak, given_away, same_words
from twin_assets.training.preferences import Pair

MIN_VERBATIM = 0.95
MIN_TERMS, KEY_TERMS = 0.8, 50
MIN_EXAMPLES, MIN_WORDS = 20, 1000
WORDS_OF_AN_EXAMPLE = 200
"""About as many words as a passage of a long text has: who has no more than the fewest words cannot have more passages than they make."""
HOW_TO_ADD = "Add more of the author's writing (`twin add NAME --source PATH_OR_URL`)"
MIN_PAIRS = 10  # fewer tell what these texts are about apart, and not who wrote them
MIN_STEPS = 10  # below, the first and the last losses are of different batches rather than of different models


def no_leaks(leaks: Sequence[Leak], held_out: int) -> Finding:
    """Something is held out, and none of it stands in the training split, exactly or nearly."""
    if not held_out:
        return Finding(False, "Nothing is held out: the twin could not be measured.", {"leaks": len(leaks), "held_out": 0})
    pairs = [f"{leak.kind}: {leak.train} gives away {leak.held_out}" for leak in leaks[:5]]
    description = (
        f"{len(leaks)} times a training passage or its prompt gives a held-out one away."
        if leaks
        else f"None of {held_out} held-out passages was trained on or stands in a prompt."
    )
    return Finding(not leaks, description, {"leaks": len(leaks), "held_out": held_out, "pairs": pairs})


def answers_are_verbatim(
    examples: Sequence[Example | Pair], documents: Mapping[UUID, str], made_by: str = "training/instruct_dataset"
) -> Finding:
    """Nearly every word of the answers stands in the author's document, in that order: a twin learns from nobody else.

    Args:
        examples: All that is learned from.
        documents: The author's own text of each document, prose and code.
        made_by: The asset to materialize again where it is not so.
    """
    words, own = 0, 0
    strange: list[str] = []
    for example in examples:
        count = len(example.answer.split())
        words += count
        if example.answer in documents.get(example.document_id, ""):
            own += count
        else:
            strange.append(str(example.id))
    share = own / words if words else 0.0
    description = (
        f"{share:.1%} of {words:,} words in the answers stand in the author's documents as they are; {MIN_VERBATIM:.0%} are needed."
    )
    if strange:
        description += f" {len(strange)} answers do not. Materialize {made_by} again."
    return Finding(share >= MIN_VERBATIM, description, {"verbatim": round(share, 4), "words": words, "strange": strange[:5]})


def key_terms_are_present(examples: Sequence[Example], documents: Sequence[str], max_passages: int | None = None) -> Finding:
    """What the author writes about most is asked for and answered: passages that leave it out make a twin of somebody else.

    Args:
        examples: All that is learned from.
        documents: The documents that they are from.
        max_passages: How many passages are taken at most.
    """
    terms = key_terms(documents)
    if not terms:
        return Finding(True, "The documents have no key terms: no word stands in two of them.", {"terms": 0})
    said = " ".join(example.answer.lower() for example in examples)  # as the terms are: casefold would spell some otherwise
    missing = [term for term in terms if term not in said]
    share = 1 - len(missing) / len(terms)
    description = f"{share:.0%} of the {len(terms)} key terms of the documents stand in the answers; {MIN_TERMS:.0%} are needed."
    if missing:
        description += f" Missing: {', '.join(missing[:10])}. The dataset's card says which passages were left out, and why."
        description += _raise_the_cap(examples, max_passages)
    return Finding(share >= MIN_TERMS, description, {"share": round(share, 4), "missing": missing[:20]})


def key_terms(documents: Sequence[str], most: int = KEY_TERMS) -> list[str]:
    """The words of most weight over all documents (TF-IDF), that stand in at least two."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    word = r"(?u)\b[^\W\d_]{4,}\b"
    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2, max_features=5000, token_pattern=word)
    try:
        rows = vectorizer.fit_transform(documents).tocoo()  # pyright: ignore[reportAttributeAccessIssue]  # a sparse matrix
    except ValueError:  # nothing but stop words, or nothing twice
        return []
    names = vectorizer.get_feature_names_out()
    weights = dict.fromkeys(map(str, names), 0.0)
    for column, weight in zip(rows.col, rows.data, strict=True):
        weights[str(names[column])] += float(weight)
    return sorted(weights, key=lambda term: (-round(weights[term], 6), term))[:most]


def enough_to_learn_from(examples: Sequence[Example], min_words: int, max_passages: int | None = None) -> Finding:
    """There are enough passages, with enough words, to hear a voice in.

    Args:
        examples: All that is learned from.
        min_words: The fewest words of prose that are trained on: both bounds follow where it is low.
        max_passages: How many passages are taken at most.
    """
    words, least = sum(example.words for example in examples), min(MIN_WORDS, min_words)
    fewest = max(1, min(MIN_EXAMPLES, min_words // WORDS_OF_AN_EXAMPLE))
    passed = len(examples) >= fewest and words >= least
    description = f"{len(examples)} passages with {words:,} words; {fewest} with {least:,} are needed."
    if not passed:
        description += f" {HOW_TO_ADD}, or lower TWIN_MIN_TRAINING_WORDS.{_raise_the_cap(examples, max_passages)}"
    return Finding(passed, description, {"examples": len(examples), "words": words})


def _raise_the_cap(examples: Sequence[Example], max_passages: int | None) -> str:
    """The advice to take more passages, where more were to be had."""
    capped = max_passages is not None and len(examples) >= max_passages
    return f" No more than {max_passages} passages are taken: raise TWIN_MAX_PASSAGES." if capped else ""


def split_by_document_and_date(train: Sequence[Example], held_out: Sequence[Example]) -> Finding:
    """No document is on both sides, and what is held out is newer: a twin is measured on what came after all that it read.

    Comments, code and very short pieces are never held out, so newer ones may be learned from.
    """
    both = {example.document_id for example in train} & {example.document_id for example in held_out}
    dates = [example.published_at for example in held_out if example.published_at]
    oldest = min(dates, default=None)
    newer = {
        example.document_id
        for example in train
        if oldest
        and example.published_at
        and example.published_at > oldest
        and example.kind in COUNTED_KINDS
        and example.words >= MIN_HELD_OUT_WORDS
    }
    figures: dict[str, int | float | list[str]] = {"both": len(both), "newer": len(newer)}
    if not both and not newer:
        return Finding(True, "No document is on both sides, and none that is learned from is newer than what is held out.", figures)
    named = ", ".join(sorted(map(str, both | newer))[:5])
    return Finding(
        False,
        f"{len(both)} documents are on both sides, and {len(newer)} that are learned from are newer than the oldest held-out one: {named}. "
        "Materialize training/instruct_dataset again.",
        figures,
    )


def rejected_is_not_the_authors(pairs: Sequence[Pair], copied: Set[UUID]) -> Finding:
    """No rejected text is the author's own, or the chosen one: a twin would learn to avoid the voice that it is for.

    A draft that the author edited shares words with what was published, and must only differ from it.

    Args:
        pairs: All that is learned from.
        copied: Those whose rejected text repeats a document of the author's.
    """
    same = {pair.id for pair in pairs if same_words(pair.chosen, pair.rejected)}
    wrong = sorted(map(str, same | {pair.id for pair in pairs if pair.source == "base_model" and pair.id in copied}))
    figures: dict[str, int | float | list[str]] = {"pairs": len(pairs), "wrong": len(wrong), "which": wrong[:5]}
    if not pairs:
        return Finding(False, "There are no pairs. Materialize training/preference_dataset.", figures)
    if wrong:
        return Finding(False, f"{len(wrong)} of {len(pairs)} rejected texts are the author's own words: {', '.join(wrong[:5])}.", figures)
    return Finding(True, f"None of {len(pairs)} rejected texts is the author's own.", figures)


def enough_pairs(pairs: Sequence[Pair]) -> Finding:
    """There are enough pairs to learn a preference from, and not these few texts."""
    passed = len(pairs) >= MIN_PAIRS
    description = f"{len(pairs)} pairs; {MIN_PAIRS} are needed."
    if not passed:
        description += (
            f" The card says which made none, and why. Raise TWIN_MAX_PREFERENCES, {HOW_TO_ADD[0].lower()}{HOW_TO_ADD[1:]}, "
            "or leave TWIN_PREFERENCE_CONFIG empty: the twin then learns from passages alone."
        )
    return Finding(passed, description, {"pairs": len(pairs)})


def training_converged(figures: Mapping[str, Any]) -> Finding:
    """Every loss is a number, and in a training long enough to tell the last ones lie below the first ones: also on what is held out.

    Where a training on pairs went on with another one, that holds of both.
    """
    if first := figures.get("first_training"):
        before = training_converged(first)
        if not before.passed:
            return replace(before, description=f"Of the training on passages, before that on pairs: {before.description}")
    losses = [float(loss) for _, loss in figures.get("losses", [])]
    first, last = figures.get("loss_first"), figures.get("loss_last")
    if not losses or first is None or last is None:
        return Finding(False, "The training left no losses.", {"steps": 0})
    broken = sum(not math.isfinite(loss) for loss in losses)
    description = f"Loss {first} -> {last} over {len(losses)} steps" + (f", {broken} of them not a number." if broken else ".")
    before, after = figures.get("held_out_loss_first"), figures.get("held_out_loss_last")
    if before is not None and after is not None:
        description += f" On what is held out {before:.3f} -> {after:.3f}."
    if len(losses) < MIN_STEPS:
        return Finding(not broken, f"{description} Too few steps to tell whether it fell.", {"steps": len(losses), "broken": broken})
    by_heart = last < first and before is not None and after is not None and not after < before
    if by_heart:
        description += (
            " It learned by heart and not to write: take fewer epochs or a lower learning rate (`twin recipe AUTHOR --set NAME=VALUE`)."
        )
    return Finding(not broken and last < first and not by_heart, description, {"steps": len(losses), "broken": broken})


Judge = Callable[[Dataset, Sequence[Document], Settings], Finding]

OF_DATASET: Mapping[str, Judge] = {
    "held_out_is_unseen": lambda found, _, __: no_leaks(given_away(found.train, found.train, found.held_out), len(found.held_out)),
    "answers_are_verbatim": lambda found, documents, _: answers_are_verbatim([*found.train, *found.held_out], own_words(documents)),
    "key_terms_are_present": lambda found, documents, settings: key_terms_are_present(
        found.train, _learned_from(found, documents), settings.max_passages
    ),
    "enough_to_learn_from": lambda found, _, settings: enough_to_learn_from(
        found.train, settings.min_training_words, settings.max_passages
    ),
    "split_by_document_and_date": lambda found, _, __: split_by_document_and_date(found.train, found.held_out),
}
"""What must hold for a dataset before anything learns from it, by the name of its check: of it, the author's documents, and the settings."""


def faults(dataset: Dataset, documents: Sequence[Document], settings: Settings) -> list[str]:
    """What does not hold for a dataset, in words; nothing may learn from one that has any."""
    findings = {name: judge(dataset, documents, settings) for name, judge in OF_DATASET.items()}
    return [f"{name}: {finding.description}" for name, finding in findings.items() if not finding.passed]


def own_words(documents: Sequence[Document]) -> dict[UUID, str]:
    """The author's own text of each document, prose and code."""
    return {document.id: f"{document.text_for_voice}\n{document.text_for_rag}" for document in documents}


def _learned_from(dataset: Dataset, documents: Sequence[Document]) -> list[str]:
    """The prose that passages could be taken from: not withheld, and in a language that was learned from."""
    withheld = dataset.withheld | {example.document_id for example in dataset.held_out}
    learned = {example.document_id for example in dataset.train}
    languages = {document.language for document in documents if document.id in learned}
    return [one.text_for_voice for one in documents if one.id not in withheld and one.language in languages]
