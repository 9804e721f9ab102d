"""Pairs to learn preferences from: the author's passage and what the base model answers to the same prompt, a draft and what was published."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from upath import UPath

from twin_assets.cleaning.annotate import find_masks, masked, repetition
from twin_assets.cleaning.documents import Document
from twin_assets.prepared import file_hash
from twin_assets.settings import Settings
from twin_assets.store.edits import Edit
from twin_assets.store.errors import TwinError
from twin_assets.training.dataset import Dataset, Example
from twin_assets.training.examples import LONGEST_EXAMPLE, spread
from twin_assets.training.kept import Kept
from twin_assets.training.leaks import CONTAINMENT, HeldOut, Said, contained, find_leaks, same_words
from twin_assets.training.passages import SHORTEST_DOCUMENT_WORDS
from twin_assets.training.preferences import Pair, Preferences
from twin_assets.writing.batch import Asked, Pace, Progress, asked_words, seed_of, serving, write_all
from twin_assets.writing.prompts import Brief, messages, plain

ASKING = "1"  # goes up when the base model is asked in another way: what it wrote before does not count then
SAMPLING = ("temperature", "top_p", "repetition_penalty", "copy_penalty")
_PARAGRAPH = re.compile(r"\S(?:.|\n(?!\s*\n))*")
SHORT = 0.5
"""Share of the author's words below which an answer is no answer: the length would be what is learned."""
REPETITIVE = 0.3
"""Share of repeated runs of five words above which an answer goes round in circles."""


@dataclass
class Rival:
    """The base model without an adapter, asked what the author was asked.

    Attributes:
        spec: Of the base model.
        gguf: Its file.
        kept: The folder where its answers are kept, by a hash of model, prompt and sampling.
        settings: For the sampling and the server.
        spent: How many prompts it was asked, and how many answers were there.
    """

    spec: str
    gguf: Path
    kept: UPath
    settings: Settings
    spent: dict[str, int] = field(default_factory=lambda: {"asked": 0, "cached": 0})

    @property
    def figures(self) -> dict[str, int]:
        """How often it was asked."""
        return {f"rival_{name}": count for name, count in self.spent.items()}

    def answers(self, author: str, examples: Sequence[Example], progress: Progress = lambda done, total: None) -> dict[UUID, str]:
        """What it answers to the prompt of each; what it said before is not asked again.

        Args:
            author: Whose prompts they are: the server is named after that.
            examples: What the author was asked.
            progress: Is told how many of how many answers are there.

        Raises:
            ModelServerError: When it cannot be served.
            EndpointDownError: When it stops answering; what it said so far is kept.
        """
        kept, model = Kept(self.kept), file_hash(self.gguf)
        asked = {one.id: Asked(one.messages[:-1], asked_words(one.words), seed_of(one.id)) for one in examples}
        keys = {key: self._key(model, one) for key, one in asked.items()}
        found = {key: said for key, parts in keys.items() if (said := kept.find(parts)) is not None}
        missing = [key for key in asked if key not in found]
        self.spent["cached"] += len(found)
        if missing:
            pace = Pace("rejected text written", len(missing), progress)

            def written(place: int, text: str) -> None:
                found[missing[place]] = text
                kept.keep(keys[missing[place]], text)
                self.spent["asked"] += 1
                pace.step()

            with serving(self.gguf, f"{author}-base", self.settings, "preference-model") as generator:
                write_all(generator, [asked[key] for key in missing], written)
        return found

    def _key(self, model: str, asked: Asked) -> list[Any]:
        sampling = [getattr(self.settings, name) for name in SAMPLING]
        return [ASKING, model, list(asked.messages), asked.words, asked.seed, *sampling]


def candidates(dataset: Dataset, settings: Settings) -> list[Example]:
    """The examples that the base model is asked for, spread over the documents: of the training split alone."""
    return spread(dataset.train, settings.max_preferences)


def build_preferences(
    dataset: Dataset,
    answers: Mapping[UUID, str],
    rejected_by: str,
    documents: Sequence[Document],
    edits: Sequence[Edit] = (),
    regions: Sequence[str] = (),
) -> Preferences:
    """Makes the preference dataset; the same answers and edits give the same one.

    Args:
        dataset: The author's newest instruct dataset.
        answers: What a model answered to prompts of its training split, by the example's id.
        rejected_by: Spec of that model.
        documents: The author's documents: what copies them is not rejected.
        edits: Drafts with what the author published instead; those that stand in a document that is not held out make pairs, too.
        regions: Countries, as ``US``, whose national phone numbers are masked in them.

    Raises:
        TwinError: When nothing makes a pair.
    """
    copied = copies({key: text for key, text in answers.items() if text}, documents)
    pairs, dropped = [], Counter[str]()
    for example in dataset.train:
        if example.id not in answers:
            continue
        rejected = answers[example.id]
        if why := "copied" if example.id in copied else _unfit(rejected, example.words):
            dropped[why] += 1
            continue
        pairs.append(
            Pair(
                id=example.id,
                document_id=example.document_id,
                start=example.start,
                messages=example.messages[:-1],
                chosen=example.answer,
                rejected=rejected,
                source="base_model",
                rejected_by=rejected_by,
            )
        )
    near, unseen = found_in(edits, documents), _held_out_text(dataset, documents)
    for edit in edits:
        made = pair_of_edit(edit, near[edit.id], dataset, documents, unseen, regions)
        if isinstance(made, Pair):
            pairs.append(made)
        else:
            dropped[made] += 1
    if not pairs:
        raise TwinError(
            f"{dataset.author} has no pair to learn preferences from: of {len(answers)} answers of {rejected_by} "
            f"{', '.join(f'{count} are {why}' for why, count in dropped.items()) or 'none is to a training prompt'}. Raise "
            "TWIN_MAX_PREFERENCES, take another base model, or leave TWIN_PREFERENCE_CONFIG empty."
        )
    return Preferences(dataset.author, dataset.version, pairs, dict(sorted(dropped.items())))


def found_in(edits: Sequence[Edit], documents: Sequence[Document]) -> dict[UUID, list[Document]]:
    """The documents with half of the shingles of what was published, or a run of 13 words of it."""
    leaks = find_leaks([Said(edit.id, edit.published) for edit in edits], [Said(one.id, one.text_for_voice) for one in documents])
    pairs = {(leak.train, leak.held_out) for leak in leaks}
    return {edit.id: [one for one in documents if (edit.id, one.id) in pairs] for edit in edits}


def _held_out_text(dataset: Dataset, documents: Sequence[Document]) -> HeldOut:
    """What is asked for in the evaluation, and all else in documents of which nothing is learned because they are held out."""
    learned = {example.document_id for example in dataset.train}
    texts = [Said(one.id, one.text_for_voice) for one in documents if one.id in dataset.withheld - learned]
    return HeldOut([*dataset.held_out, *texts])


def _masked(edit: Edit, regions: Sequence[str]) -> tuple[str, str, list[str]]:
    """Prompt, draft and notes of an edit, which were typed or are from a page, without private things."""
    texts = [edit.prompt, edit.draft, *(quote for _, quote in edit.notes)]
    masks = find_masks(texts, regions=regions)
    prompt, draft, *quotes = (masked(text, masks, place) for place, text in enumerate(texts))
    return prompt, draft, quotes


def pair_of_edit(
    edit: Edit, near: Sequence[Document], dataset: Dataset, documents: Sequence[Document], unseen: HeldOut, regions: Sequence[str] = ()
) -> Pair | str:
    """The pair that an edit makes, or why it makes none.

    Chosen are the words that stand in the author's document, as cleaning left them, and not what was typed into the assistant: only what
    was published is the author's, and only cleaned text is free of private things.
    """
    place = next(((one, span) for one in near if (span := published_span(edit.published, one.text_for_voice))), None)
    if place is None:
        return "edit_not_found"
    document, (start, end) = place
    withheld = dataset.withheld | {example.document_id for example in dataset.held_out}
    chosen = document.text_for_voice[start:end]
    asked, draft, quotes = _masked(edit, regions)
    if document.id in withheld or any(unseen.repeated_by(Said(edit.id, text)) for text in (chosen, draft)):
        return "edit_held_out"
    if same_words(chosen, draft):
        return "edit_unchanged"
    if copies({edit.id: draft}, [one for one in documents if one.id != document.id]):
        return "edit_copied"
    sources = {None, *(one.id for one in documents if one.id not in withheld)}
    found = [(source, quote) for (source, _), quote in zip(edit.notes, quotes, strict=True) if source in sources]
    notes = [(source, quote) for source, quote in found if not unseen.repeated_by(Said(edit.id, quote))]
    own, linked = ([quote for source, quote in notes if (source is None) is given] for given in (False, True))
    prompt = messages(Brief(asked, edit.platform, edit.words), own, linked=linked)
    made = Pair(edit.id, document.id, start, prompt, chosen, draft, "edit", edit.model_version)
    if unseen.shown_by(made):
        return "edit_held_out"
    longest = max(chosen, draft, key=lambda text: len(text.split()))
    if sum(len(turn["content"].split()) for turn in prompt) + len(longest.split()) > LONGEST_EXAMPLE:
        return "edit_too_long"
    if plain(chosen) != chosen or plain(draft) != draft:
        return "edit_marked"
    return made


def published_span(published: str, text: str) -> tuple[int, int] | None:
    """Where a text stands in a document, in whole paragraphs: those that share half of their 5-word shingles with it, and what lies between.

    Returns:
        Where they begin and end; None where the one is no near copy of the other.
    """
    found = [match.span() for match in _PARAGRAPH.finditer(text) if contained(match.group(), published) >= CONTAINMENT]
    if not found:
        return None
    start, end = found[0][0], found[-1][1]
    near = min(contained(text[start:end], published), contained(published, text[start:end]))
    return (start, end) if near >= CONTAINMENT else None


def copies(texts: Mapping[UUID, str], documents: Sequence[Document]) -> set[UUID]:
    """Which texts repeat words of the author's: half of their 5-word shingles, or a run of 13 words."""
    texts_of = [Said(one.id, one.text_for_voice or one.text_for_rag) for one in documents]
    own = [one for one in texts_of if len(one.answer.split()) >= SHORTEST_DOCUMENT_WORDS]
    return {leak.train for leak in find_leaks([Said(key, text) for key, text in texts.items()], own)}


def _unfit(text: str, words: int) -> str | None:
    """Why a model's text is nothing to hold against the author's; None where it is."""
    if plain(text) != text:
        return "marked"  # a role marker would be trained as one
    if len(text.split()) < max(1, SHORT * words):
        return "short"
    return "repetitive" if repetition([text]) > REPETITIVE else None
