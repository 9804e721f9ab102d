"""Examples to learn from: a prompt of one of several kinds, and the author's own passage, character by character, as its answer."""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from uuid import UUID, uuid5

import structlog

from twin_assets.cleaning.documents import MIN_DOCUMENTS, MIN_HELD_OUT_WORDS, Document, Split
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.dataset import CODE, Dataset, Example, PromptKind, SplitName, length_band
from twin_assets.training.leaks import HeldOut, LeakKind, Said, duplicates, find_leaks
from twin_assets.training.notes import Notes
from twin_assets.training.passages import SHORTEST_DOCUMENT_WORDS, passages
from twin_assets.training.teacher import Teacher, Told
from twin_assets.writing.batch import asked_words
from twin_assets.writing.prompts import Brief, excerpt, messages, plain

log = structlog.get_logger(__name__)

MAX_HELD_OUT = 100
LONGEST_EXAMPLE = 330
"""Words of prompt and answer together: 480 tokens in English, 1,300 in Russian with a vocabulary made for English; every recipe reads 2,048."""
MOST_CHARACTERS = 12
"""Of a word, on average: a text with more has long links, a blob, or no blanks between its words, and is longer than its words say."""
LONGEST_SUBJECT = 300
FIRST_WORDS = 6
"""Words of a passage's own first sentence that may ask for it: a longer run would teach to copy."""
TAIL_WORDS = 60
MIN_BEFORE_WORDS = 20
RULE = "rule"

_HEADING = re.compile(r"^(?:(?P<fence>```|~~~)|#{1,6}\s+(?P<heading>.+?)\s*#*$)", re.MULTILINE)
_WITHOUT_BLANKS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_FIRST_SENTENCE = re.compile(r".+?(?:[.!?…](?=\s)|\n|\Z)", re.DOTALL)
_HOW_TO_ADD = "Add more of the author's writing (`twin add {} --source PATH_OR_URL`), or lower TWIN_MIN_TRAINING_WORDS."


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
    main = _main_language(split.train)
    spoken = _in_language(split.train, main)
    _require_enough(author, spoken, settings)
    if not split.held_out:
        raise TooLittleText(
            f"{author} has nothing to hold out for the evaluation: fewer than {MIN_DOCUMENTS} articles, posts or notes of "
            f"{MIN_HELD_OUT_WORDS} words or more. {_HOW_TO_ADD.format(author)}"
        )
    weights = settings.prompt_weights
    withheld = _cuts(split.held_out, settings)
    unseen = HeldOut(withheld)
    held_out = spread([cut for cut in withheld if _spoken(cut.document, main) and not _unfit(cut, settings)], MAX_HELD_OUT)
    prose, code = _cuts(spoken, settings), _files(split.train, settings) if weights.get(CODE) else []
    sifted = _sift([*prose, *code], unseen, settings)
    files = {cut.id for cut in code}
    train = balanced([cut for cut in sifted.kept if cut.id not in files], settings.max_passages)
    if not train:
        raise TooLittleText(f"{author} has no passage to train on: of {len(prose)}, {sifted}. {_HOW_TO_ADD.format(author)}")
    if not held_out:
        raise TooLittleText(
            f"{author} has no passage to hold out for the evaluation: none of {len(withheld)} in the newest documents, of which there are "
            f"{len(split.held_out)}, can be an answer and is in the language of most of the older ones ({main or 'unknown'}). "
            f"{_HOW_TO_ADD.format(author)}"
        )
    phrases = _key_phrases([cut.answer for cut in [*train, *held_out]], fitted_on=len(train))
    told = teacher.teach({cut.id: cut.answer for cut in train}) if teacher else {}
    hidden = {document.id for document in split.held_out} | {cut.document.id for cut in [*prose, *code] if cut.id in sifted.leaks}
    asking = _Asking(weights, notes, told, teacher.source if teacher else RULE, unseen, hidden)
    examples = [asking.example(cut, found) for cut, found in zip(train, phrases[: len(train)], strict=True)]
    examples += _code([cut for cut in sifted.kept if cut.id in files], round(len(train) * weights.get(CODE, 0) / sum(weights.values())))
    showing = {example.id for example in examples if unseen.shown_by(example)}
    asked = [
        _asked(cut, "brief", messages(_brief(cut, found)), "held_out") for cut, found in zip(held_out, phrases[len(train) :], strict=True)
    ]
    dataset = Dataset(
        author=author,
        train=[example for example in examples if example.id not in showing],
        held_out=asked,
        leaks=dict(sorted(Counter([*sifted.leaks.values(), *("prompt" for _ in showing)]).items())),
        withheld=frozenset(hidden | {example.document_id for example in examples if example.id in showing}),
        duplicates=sifted.repeated,
        foreign=len(split.train) - len(spoken),
        marked=sifted.marked,
        overlong=sifted.overlong,
    )
    log.info("dataset_built", author=author, version=dataset.version, **dataset.figures)
    return dataset


def _main_language(documents: Sequence[Document]) -> str | None:
    """The language that most of the author's prose is in."""
    words: Counter[str] = Counter()
    for document in documents:
        if document.language:
            words[document.language] += document.voice_words
    return min(words, key=lambda language: (-words[language], language), default=None)


def _spoken(document: Document, language: str | None) -> bool:
    """Whether it is in a language, or in one that nobody could tell."""
    return document.language in (language, None)


def _in_language(documents: Sequence[Document], language: str | None) -> list[Document]:
    return [document for document in documents if _spoken(document, language)]


def _require_enough(author: str, documents: Sequence[Document], settings: Settings) -> None:
    words = sum(document.voice_words for document in documents)
    characters = sum(len(document.text_for_voice) for document in documents)
    if sum(len(_WITHOUT_BLANKS.findall(document.text_for_voice)) for document in documents) > characters / 2:
        raise TooLittleText(
            f"{author}'s prose ({characters:,} characters) is in a script that sets no blanks between words, such as Chinese, Japanese or "
            f"Thai. Passages are measured in words between blanks, of which it has {words:,}, so a twin cannot be trained on it."
        )
    missing = settings.min_training_words - words
    if missing > 0:
        raise TooLittleText(
            f"{author} has {words:,} words of own prose to train on in {len(documents)} documents, {missing:,} fewer than the "
            f"{settings.min_training_words:,} needed. {_HOW_TO_ADD.format(author)}"
        )


def _cuts(documents: Iterable[Document], settings: Settings) -> list[Cut]:
    found: dict[UUID, Cut] = {}
    for document in documents:
        for start, end in passages(document.text_for_voice, settings.passage_min_words, settings.passage_max_words):
            cut = _cut(document, start, document.text_for_voice[start:end])
            found.setdefault(cut.id, cut)
    return list(found.values())


def _cut(document: Document, start: int, answer: str) -> Cut:
    return Cut(uuid5(document.id, hashlib.sha256(answer.encode()).hexdigest()), document, start, answer)


def _files(documents: Sequence[Document], settings: Settings) -> list[Cut]:
    """Whole files of the author's code."""
    cuts = []
    for document in documents:
        text = document.text_for_rag.strip()
        if document.kind == CODE and SHORTEST_DOCUMENT_WORDS <= len(text.split()) <= settings.passage_max_words:
            cuts.append(_cut(document, document.text_for_rag.find(text), text))
    return cuts


def _unfit(cut: Cut, settings: Settings) -> str | None:
    """Why a passage cannot be an answer; None where it can."""
    if plain(cut.answer) != cut.answer:
        return "marked"  # a role marker in an answer would be trained as one
    return "overlong" if len(cut.answer) > MOST_CHARACTERS * settings.passage_max_words else None


@dataclass(frozen=True, slots=True)
class _Sifted:
    """Passages that may be learned from, and how many may not."""

    kept: list[Cut]
    leaks: Mapping[UUID, LeakKind]
    repeated: int
    marked: int
    overlong: int

    def __str__(self) -> str:
        return (
            f"{len(self.leaks)} repeat held-out ones, {self.repeated} repeat one another, {self.marked} hold what a model reads as a role "
            f"marker, and {self.overlong} have too many characters"
        )


def _sift(candidates: Sequence[Cut], unseen: HeldOut, settings: Settings) -> _Sifted:
    leaks: dict[UUID, LeakKind] = {leak.train: leak.kind for cut in candidates for leak in unseen.repeated_by(cut)}
    unfit = {cut.id: why for cut in candidates if cut.id not in leaks and (why := _unfit(cut, settings))}
    clean = [cut for cut in candidates if cut.id not in leaks and cut.id not in unfit]
    repeated = duplicates(clean)
    why = Counter(unfit.values())
    return _Sifted([cut for cut in clean if cut.id not in repeated], leaks, len(repeated), why["marked"], why["overlong"])


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
    unseen: HeldOut
    hidden: Set[UUID]

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
            made = self._by_notes(cut, brief, self.notes)
        elif kind == "rewrite" and told:
            made = _asked(cut, "rewrite", messages(replace(brief, prompt="", phrases=(), wish="rewrite", given=told.neutral)))
        if made is None or not _fits(made) or self.unseen.shown_by(made):
            made = _asked(cut, "brief", messages(brief))
        return replace(made, prompt_source=self.source) if told else made

    def _by_notes(self, cut: Cut, brief: Brief, notes: Notes) -> Example | None:
        """The same brief with notes from the author's other documents, as a draft is written: none that gives the answer or a held-out one."""
        found = [note for note in notes(self.hidden | {cut.document.id}, brief.prompt) if not self._tells(note.text, cut)]
        shown = tuple(replace(note, text=excerpt(note.text)) for note in found)
        return replace(_asked(cut, "rag", messages(brief, [note.text for note in shown])), notes=shown) if shown else None

    def _tells(self, note: str, cut: Cut) -> bool:
        said = Said(cut.id, note)
        return bool(find_leaks([said], [cut]) or self.unseen.repeated_by(said))


def _chosen(key: UUID, weights: Mapping[str, float]) -> str:
    place = int.from_bytes(hashlib.sha256(key.bytes).digest()[4:8]) / 2**32 * sum(weights.values())
    for kind, weight in weights.items():
        place -= weight
        if place < 0:
            return kind
    return "brief"


def _fits(example: Example) -> bool:
    words = sum(len(turn["content"].split()) for turn in example.messages)
    characters = sum(len(turn["content"]) for turn in example.messages)
    return words <= LONGEST_EXAMPLE and characters <= MOST_CHARACTERS * LONGEST_EXAMPLE


def _by_continuing(cut: Cut, brief: Brief) -> Example | None:
    before = cut.document.text_for_voice[: cut.start].split()
    if len(before) < MIN_BEFORE_WORDS:
        return None
    return _asked(cut, "continue", messages(replace(brief, phrases=(), wish="continue", given=" ".join(before[-TAIL_WORDS:]))))


def _brief(cut: Cut, phrases: Sequence[str]) -> Brief:
    return Brief(_topic(cut, phrases)[:LONGEST_SUBJECT], cut.document.platform, asked_words(len(cut.answer.split())), tuple(phrases))


def _code(cuts: Sequence[Cut], limit: int) -> list[Example]:
    """Files of the author's code, asked for by what they are called and how they describe themselves."""
    found = []
    for cut in spread(cuts, limit):
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
    return heading or ", ".join([phrase for phrase in phrases if phrase in first] or phrases[:2]) or " ".join(first.split()[:FIRST_WORDS])


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
