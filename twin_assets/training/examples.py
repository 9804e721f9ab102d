"""Examples to learn from: a prompt of one of several kinds, and the author's own passage, character by character, as its answer."""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from uuid import UUID, uuid5

import structlog

from twin_assets.cleaning.documents import Document, Split
from twin_assets.features.retrieval import Retriever
from twin_assets.features.search import Filters
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.dataset import CODE, Dataset, Example, PromptKind, SplitName, length_band
from twin_assets.training.leaks import Said, duplicates, find_leaks
from twin_assets.training.passages import SHORTEST_DOCUMENT_WORDS, passages
from twin_assets.training.teacher import Teacher, Told
from twin_assets.writing.batch import asked_words
from twin_assets.writing.prompts import Brief, messages, plain

log = structlog.get_logger(__name__)

MAX_HELD_OUT = 100
LONGEST_EXAMPLE = 330
"""Words of prompt and answer together: about 480 tokens, which every recipe reads whole."""
TAIL_WORDS = 60
MIN_BEFORE_WORDS = 20
RULE = "rule"

Notes = Callable[[Document, str], Sequence[str]]
"""What the twin would be shown beside a prompt, from the author's other documents."""

_HEADING = re.compile(r"^(?:(?P<fence>```|~~~)|#{1,6}\s+(?P<heading>.+?)\s*#*$)", re.MULTILINE)
_FIRST_SENTENCE = re.compile(r".+?(?:[.!?…](?=\s)|\n|\Z)", re.DOTALL)
_HOW_TO_ADD = "Add more of the author's writing (`twin add NAME --source PATH_OR_URL`), or lower TWIN_MIN_TRAINING_WORDS."


class TooLittleText(TwinError):  # noqa: N818  # reads as what it is
    """The author's own prose is not enough to learn from."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A passage of a document.

    Attributes:
        id: The same for the same words of the same document.
        document: Where it is from.
        start: Where it begins in that document's prose, or in its code.
        answer: The passage itself.
    """

    id: UUID
    document: Document
    start: int
    answer: str

    @property
    def document_id(self) -> UUID:
        """Of the document."""
        return self.document.id


class Placed(Protocol):
    """Anything that is from a document."""

    @property
    def id(self) -> UUID:
        """Its identity."""
        ...

    @property
    def document_id(self) -> UUID:
        """Where it is from."""
        ...


AnyPlaced = TypeVar("AnyPlaced", bound=Placed)


def build_dataset(author: str, split: Split, settings: Settings, notes: Notes | None = None, teacher: Teacher | None = None) -> Dataset:
    """Makes the dataset of an author; the same documents, notes and settings give the same dataset.

    Args:
        author: Whose writing it is.
        split: What is learned from, and what is held out.
        settings: Lengths, bounds, and the kinds of prompts.
        notes: Finds what stands beside a prompt of kind ``rag``; without it there is none of these.
        teacher: Words the prompts of what is learned from; without it rules do, and none is of kind ``rewrite``.

    Raises:
        TooLittleText: When there is less prose than ``min_training_words``, or nothing to hold out.
        ChatDownError: When the teacher cannot be asked.
    """
    spoken, foreign = _in_main_language(split.train)
    _require_enough(author, spoken, settings)
    held_out = spread(_cuts(split.held_out, settings), MAX_HELD_OUT)
    candidates = _cuts(spoken, settings)
    leaks = {leak.train: leak.kind for leak in find_leaks(candidates, held_out)}
    clean = [cut for cut in candidates if cut.id not in leaks]
    repeated = duplicates(clean)
    train = balanced([cut for cut in clean if cut.id not in repeated], settings.max_passages)
    if not train or not held_out:
        purpose = "hold out for the evaluation" if train else "train on"
        raise TooLittleText(f"{author} has no passage to {purpose} that is not a copy of another one. {_HOW_TO_ADD}")
    phrases = _key_phrases([cut.answer for cut in [*train, *held_out]], fitted_on=len(train))
    weights = settings.prompt_weights
    told = teacher.teach({cut.id: cut.answer for cut in train}) if teacher else {}
    asking = _Asking(weights, notes, told, teacher.source if teacher else RULE)
    examples = [asking.example(cut, found) for cut, found in zip(train, phrases[: len(train)], strict=True)]
    examples += _code(split.train, settings, round(len(train) * weights.get("code", 0) / sum(weights.values())))
    asked = [
        _asked(cut, "brief", messages(_brief(cut, found)), "held_out") for cut, found in zip(held_out, phrases[len(train) :], strict=True)
    ]
    leaking = {cut.document.id for cut in candidates if cut.id in leaks}
    dataset = Dataset(
        author=author,
        train=examples,
        held_out=asked,
        leaks=dict(sorted(Counter(leaks.values()).items())),
        withheld=frozenset({document.id for document in split.held_out} | leaking),
        duplicates=len(repeated),
        foreign=len(foreign),
    )
    log.info("dataset_built", author=author, version=dataset.version, **dataset.figures)
    return dataset


def notes_for(retriever: Retriever, author: str, split: Split) -> Notes:
    """Retrieval as drafts get it, from the other documents that are learned from.

    Raises:
        TwinError: When nothing of the author's was embedded yet.
    """
    withheld = {document.id for document in split.held_out}
    if not retriever.find(author, author, 1):
        raise TwinError(
            f"Nothing of {author}'s can be searched yet, which prompts of kind rag need. Materialize features/embeddings first."
        )

    def notes(document: Document, query: str) -> list[str]:
        others = Filters(exclude=frozenset(withheld | {document.id}))
        return [passage.text for passage in retriever.find(author, query, retriever.settings.context_passages, others)]

    return notes


def _in_main_language(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Documents in the language that most of the author's prose is in, or in one that nobody could tell; and the others."""
    words: Counter[str] = Counter()
    for document in documents:
        if document.language:
            words[document.language] += document.voice_words
    main = min(words, key=lambda language: (-words[language], language), default=None)
    foreign = [document for document in documents if document.language not in (main, None)]
    return [document for document in documents if document.language in (main, None)], foreign


def _require_enough(author: str, documents: Sequence[Document], settings: Settings) -> None:
    words = sum(document.voice_words for document in documents)
    missing = settings.min_training_words - words
    if missing > 0:
        raise TooLittleText(
            f"{author} has {words:,} words of own prose to train on in {len(documents)} documents, {missing:,} fewer than the "
            f"{settings.min_training_words:,} needed. {_HOW_TO_ADD}"
        )


def _cuts(documents: Iterable[Document], settings: Settings) -> list[Cut]:
    found: dict[UUID, Cut] = {}
    for document in documents:
        for start, end in passages(document.text_for_voice, settings.passage_min_words, settings.passage_max_words):
            cut = _cut(document, start, document.text_for_voice[start:end])
            if cut:
                found.setdefault(cut.id, cut)
    return list(found.values())


def _cut(document: Document, start: int, answer: str) -> Cut | None:
    if plain(answer) != answer:  # a role marker in an answer would be trained as one
        return None
    return Cut(uuid5(document.id, hashlib.sha256(answer.encode()).hexdigest()), document, start, answer)


def spread(candidates: Sequence[AnyPlaced], limit: int) -> list[AnyPlaced]:
    """So many of the passages at most, spread evenly over the documents, in their order."""
    # Every document gives one passage before any gives a second. Which one is decided by its id, a hash: even over the text,
    # the same each time, and little changed by a new document.
    by_document: dict[UUID, list[AnyPlaced]] = defaultdict(list)
    for cut in candidates:
        by_document[cut.document_id].append(cut)
    turns = [(turn, cut.id) for group in by_document.values() for turn, cut in enumerate(sorted(group, key=lambda cut: cut.id))]
    chosen = {key for _, key in sorted(turns)[:limit]}
    return [cut for cut in candidates if cut.id in chosen]


def balanced(candidates: Sequence[Cut], limit: int) -> list[Cut]:
    """So many of the passages at most, in their order: of every register and length, and in each spread evenly over the documents.

    A register is a platform and a kind, such as LinkedIn posts. Each gets places by the square root of the passages that it has, as corpora of
    many languages are balanced (Arivazhagan et al. 2019, arXiv:1907.05019, temperature 2): a thousand short posts do not crowd out forty long
    articles, and forty comments do not become half of the voice. Where there are places for all passages, all are taken.
    """
    groups: dict[tuple[str, str, int], list[Cut]] = defaultdict(list)
    for cut in candidates:
        groups[(cut.document.platform, cut.document.kind, length_band(len(cut.answer.split())))].append(cut)
    places = _places({key: len(group) for key, group in groups.items()}, limit)
    chosen = {cut.id for key, group in groups.items() for cut in spread(group, places[key])}
    return [cut for cut in candidates if cut.id in chosen]


def _places(sizes: Mapping[tuple[str, str, int], int], limit: int) -> dict[tuple[str, str, int], int]:
    """Places by highest averages (Sainte-Laguë): one after the other to the group that has the fewest for its weight, none beyond its size."""
    given = dict.fromkeys(sorted(sizes), 0)
    for _ in range(min(limit, sum(sizes.values()))):
        wanting = (key for key, count in given.items() if count < sizes[key])
        given[max(wanting, key=lambda key: math.sqrt(sizes[key]) / (2 * given[key] + 1))] += 1
    return given


# -- prompts


@dataclass(frozen=True, slots=True)
class _Asking:
    """Makes the prompts of what is learned from."""

    weights: Mapping[str, float]
    notes: Notes | None
    told: Mapping[UUID, Told]
    source: str

    def example(self, cut: Cut, phrases: Sequence[str]) -> Example:
        """An example of the kind that the passage's id chooses; one for which that kind does not do is a brief."""
        kind = _chosen(cut.id, {kind: weight for kind, weight in self.weights.items() if kind != "code"})
        told = self.told.get(cut.id)
        brief = _brief(cut, phrases)
        if told:
            brief = replace(brief, prompt=told.subject, phrases=tuple(told.points))
        made: Example | None = None
        if kind == "continue":
            made = _by_continuing(cut, brief)
        elif kind == "rag" and self.notes:
            made = _by_notes(cut, brief, self.notes)
        elif kind == "rewrite" and told:
            made = _asked(cut, "rewrite", messages(replace(brief, prompt="", phrases=(), wish="rewrite", given=told.neutral)))
        if made is None or not _fits(made):
            made = _asked(cut, "brief", messages(brief))
        return replace(made, prompt_source=self.source) if told else made


def _chosen(key: UUID, weights: Mapping[str, float]) -> str:
    place = int.from_bytes(hashlib.sha256(key.bytes).digest()[4:8]) / 2**32 * sum(weights.values())
    for kind, weight in weights.items():
        place -= weight
        if place < 0:
            return kind
    return "brief"


def _fits(example: Example) -> bool:
    return sum(len(turn["content"].split()) for turn in example.messages) <= LONGEST_EXAMPLE


def _by_notes(cut: Cut, brief: Brief, notes: Notes) -> Example | None:
    """The same brief with notes from the author's other documents, as a draft is written: not with the answer among them."""
    found = list(notes(cut.document, brief.prompt))
    beside = [Said(UUID(int=place), note) for place, note in enumerate(found)]
    copies = {leak.train.int for leak in find_leaks(beside, [cut])}
    kept = [note for place, note in enumerate(found) if place not in copies]
    return _asked(cut, "rag", messages(brief, kept)) if kept else None


def _by_continuing(cut: Cut, brief: Brief) -> Example | None:
    before = cut.document.text_for_voice[: cut.start].split()
    if len(before) < MIN_BEFORE_WORDS:
        return None
    return _asked(cut, "continue", messages(replace(brief, phrases=(), wish="continue", given=" ".join(before[-TAIL_WORDS:]))))


def _brief(cut: Cut, phrases: Sequence[str]) -> Brief:
    return Brief(_topic(cut, phrases), cut.document.platform, asked_words(len(cut.answer.split())), tuple(phrases))


def _code(documents: Sequence[Document], settings: Settings, limit: int) -> list[Example]:
    """Whole files of the author's code, asked for by what they are called and how they describe themselves."""
    cuts = []
    for document in documents:
        text = document.text_for_rag.strip()
        if document.kind == CODE and SHORTEST_DOCUMENT_WORDS <= len(text.split()) <= settings.passage_max_words:
            cuts.append(_cut(document, document.text_for_rag.find(text), text))
    found = []
    for cut in spread([cut for cut in cuts if cut], limit):
        described = _FIRST_COMMENT.search(cut.answer)
        subject = ": ".join(part for part in (cut.document.title, described and " ".join(described["said"].split())) if part)
        found.append(_asked(cut, "code", messages(Brief(subject, "code"))))
    return [example for example in found if _fits(example)]


_FIRST_COMMENT = re.compile(r"(?:\A|\n)\s*(?:\"\"\"|'''|/\*+|//+|#+(?!!))\s*(?P<said>\w[^\n]{3,200}?)\s*(?:\"\"\"|'''|\*/)?(?=\n|\Z)")


def _asked(cut: Cut, kind: PromptKind, prompt: list[dict[str, str]], split: SplitName = "train") -> Example:
    document = cut.document
    return Example(
        id=cut.id,
        document_id=document.id,
        split=split,
        platform=document.platform,
        title=document.title,
        published_at=document.published_at,
        messages=[*prompt, {"role": "assistant", "content": cut.answer}],
        answer=cut.answer,
        words=len(cut.answer.split()),
        kind=document.kind,
        prompt_kind=kind,
        prompt_source=RULE,
        start=cut.start,
    )


def _topic(cut: Cut, phrases: Sequence[str]) -> str:
    document, answer = cut.document, cut.answer
    heading = nearest_heading(document.text_for_rag, answer)
    if document.title:
        return f"{document.title} ({heading})" if heading and heading != document.title else document.title
    match = _FIRST_SENTENCE.match(answer)
    first = match.group() if match else answer
    return heading or ", ".join([phrase for phrase in phrases if phrase in first] or phrases[:2]) or first.strip()


def nearest_heading(markdown: str, passage: str) -> str | None:
    """The Markdown heading above a passage, where the passage is found."""
    at = markdown.find(passage.split("\n", 1)[0][:80])
    heading, fenced = None, False
    for match in _HEADING.finditer(markdown, 0, max(at, 0)):
        if match["fence"]:
            fenced = not fenced
        elif not fenced:
            heading = match["heading"]
    return heading


def _key_phrases(answers: Sequence[str], fitted_on: int) -> list[list[str]]:
    """Three to five phrases of each answer, those of most weight among the author's passages (TF-IDF of 1-2-grams)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True)
    try:
        vectorizer.fit(answers[:fitted_on])
    except ValueError:  # nothing but stop words
        return [[] for _ in answers]
    names = vectorizer.get_feature_names_out()
    rows = [weights.tocoo() for weights in vectorizer.transform(answers)]
    return [_pick(dict(zip(names[row.col], row.data, strict=True)), answer) for row, answer in zip(rows, answers, strict=True)]


def _pick(weights: dict[str, float], answer: str) -> list[str]:
    """The weightiest terms that stand in the answer as they are and share no word, in its own spelling and order."""
    lowered = answer.lower()
    ranked = sorted(weights, key=lambda term: (-round(weights[term], 6), -len(term.split()), lowered.find(term), term))
    picked: dict[int, str] = {}
    used: set[str] = set()
    for term in ranked:
        if len(picked) == min(5, 3 + len(answer.split()) // 80):
            break
        match = re.search(rf"(?<![\w'’-]){re.escape(term)}(?![\w'’-])", answer, re.IGNORECASE)
        if match and not term.replace(" ", "").isdigit() and used.isdisjoint(term.split()):
            picked[match.start()] = match.group()
            used.update(term.split())
    return [picked[at] for at in sorted(picked)]
