"""Questions with known answers, made from an author's own documents by rules alone."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal
from uuid import UUID, uuid5

from twin_assets.cleaning.documents import Document

MAX_QUESTIONS = 200

_MAX_SECTIONS = 100  # of one document
_MAX_SENTENCES = 10  # of one section, of which the first that makes a question does
_LONGEST_LINE = 2000
_LONGEST_QUESTION = 200
_MIN_WORDS = 6
_MIN_LETTERS = 16  # of a sentence in a script that puts no blanks between words
_TELLING_LETTERS = 6
_KEY_WORDS = 3
_LEFT_OUT = 2

_HEADING = re.compile(r"#{1,6}\s+(\S.*)")
_FENCE = re.compile(r"(`{3,})[^`]*$")
_MARKER = re.compile(r"\s*(?:[-*•+]|\d{1,3}[.)])\s+")
_SENTENCE = re.compile(r"\S.*?(?:[.!?…]+[\"'”’)]*(?=\s|$)|[。！？]+|$)")
_IDENTIFIER = re.compile(r"[\d_/@\\<>{}\[\]=`#|]|\w[.:]\w|[a-z][A-Z]|^[A-Z]{2,}")
_PUNCTUATION = " \t\n.,;:!?…\"'“”‘’«»„()*–—-"
_ASKED = {
    "en": "What do I say about {}?",
    "de": "Was schreibe ich über {}?",
    "fr": "Que dis-je sur {} ?",
    "es": "¿Qué digo sobre {}?",
}

QuestionKind = Literal["heading", "sentence", "keywords"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer is known.

    Attributes:
        id: uuid5 of document, kind and text: the same document gives the same questions.
        document_id: Where the answer stands.
        kind: ``heading``: the topic of a section; ``sentence``: a first sentence without its rarest words; ``keywords``: what is left of
            one when it is shortened to what it is about.
        text: What is asked.
        starts: First character of the answer in the document's text for retrieval.
        ends: One behind its last.
        language: ISO 639-1, of the document.
    """

    id: UUID
    document_id: UUID
    kind: QuestionKind
    text: str
    starts: int
    ends: int
    language: str | None


def make_questions(documents: Sequence[Document], limit: int = MAX_QUESTIONS) -> list[Question]:
    """Questions about the documents, spread evenly over them.

    A question that two documents would answer is left out. A new document takes few places from others: which questions stay is drawn
    by their ids, so that most of a set is asked again the next time.

    Args:
        documents: All of one author's.
        limit: Questions at most.

    Returns:
        Every document's first before any second.
    """
    by_document = {document.id: _document_questions(document) for document in documents}
    asked: defaultdict[str, set[UUID]] = defaultdict(set)
    for questions in by_document.values():
        for question in questions:
            asked[question.text.casefold()].add(question.document_id)
    ranked: list[tuple[int, Question]] = []
    for questions in by_document.values():
        clear = [question for question in questions if len(asked[question.text.casefold()]) == 1]
        ranked += enumerate(sorted({question.id: question for question in clear}.values(), key=lambda question: question.id))
    ranked.sort(key=lambda item: (item[0], item[1].id))
    return [question for _, question in ranked[:limit]]


def _document_questions(document: Document) -> list[Question]:
    questions = []

    def ask(kind: QuestionKind, text: str, starts: int, ends: int) -> None:
        if text := text[:_LONGEST_QUESTION].strip():
            key = uuid5(document.id, f"golden/{kind}/{text}")
            questions.append(Question(key, document.id, kind, text, starts, ends, document.language))

    for section in islice(_sections(document.text_for_rag), _MAX_SECTIONS):
        if section.heading and section.sentences:
            ask("heading", _about(section.heading, document), section.starts, section.ends)
        forms: dict[QuestionKind, Callable[[str], str]] = {"sentence": _without_the_rarest, "keywords": _key_words}
        for kind, form in forms.items():
            made = ((form(sentence), starts, starts + len(sentence)) for starts, sentence in section.sentences)
            ask(kind, *next((one for one in made if one[0]), ("", 0, 0)))
    return questions


@dataclass(frozen=True, slots=True)
class _Section:
    heading: str | None
    starts: int
    ends: int
    sentences: list[tuple[int, str]]
    """The first ones of its own prose that say something, with where they begin."""


def _sections(text: str) -> Iterator[_Section]:
    section, fence, place = _Section(None, 0, 0, []), "", 0
    for line in text.split("\n"):
        if fence:
            fence = "" if line.rstrip() == fence else fence
        elif found := _FENCE.match(line):
            fence = found[1]
        elif found := _HEADING.match(line):
            yield replace(section, ends=place)
            section = _Section(found[1].strip(), place, place, [])
        elif len(section.sentences) < _MAX_SENTENCES and not line.startswith((">", "|")):
            section.sentences.extend(_telling_sentences(line[:_LONGEST_LINE], place))
        place += len(line) + 1
    yield replace(section, ends=len(text))


def _telling_sentences(line: str, place: int) -> Iterator[tuple[int, str]]:
    marker = _MARKER.match(line)
    for found in _SENTENCE.finditer(line, marker.end() if marker else 0):
        sentence = found[0]
        if len(_plain_words(sentence)) >= _MIN_WORDS or _is_without_blanks(sentence):
            yield place + found.start(), sentence


def _about(heading: str, document: Document) -> str:
    """The topic of a section as a question; a heading that says little gets its document's title."""
    if heading.endswith(("?", "？")):
        return heading
    bare = heading.strip(_PUNCTUATION)
    telling = len(_telling(_plain_words(bare))) >= 2 or _is_without_blanks(bare)
    if not telling and not document.title:
        return ""
    topic = bare if telling else f"{bare} ({document.title})"
    return _ASKED.get(document.language or "", "{}").format(topic)


def _without_the_rarest(sentence: str) -> str:
    """A sentence without identifiers and its longest words: a search by words would find it by those alone."""
    if _is_without_blanks(sentence):
        return sentence[: len(sentence) // 2]
    words = [word for word in sentence.split() if not _IDENTIFIER.search(word)]
    for _ in range(min(_LEFT_OUT, len(words))):
        words.remove(max(words, key=lambda word: len(word.strip(_PUNCTUATION))))
    return " ".join(words) if len(_telling(_plain_words(" ".join(words)))) >= _KEY_WORDS else ""


def _key_words(sentence: str) -> str:
    """As many words as people type, in their order: the longest that are left without identifiers and the very longest ones."""
    if _is_without_blanks(sentence):
        return sentence[len(sentence) // 2 :]
    words = list(dict.fromkeys(word.lower() for word in _plain_words(sentence) if not _IDENTIFIER.search(word)))
    longest = sorted(_telling(words), key=lambda word: (-len(word), word))[_LEFT_OUT : _LEFT_OUT + _KEY_WORDS]
    return " ".join(word for word in words if word in longest) if len(longest) == _KEY_WORDS else ""


def _plain_words(text: str) -> list[str]:
    return [word for token in text.split() if (word := token.strip(_PUNCTUATION))]


def _telling(words: Sequence[str]) -> list[str]:
    """Those that carry meaning, told by their length alone, which holds for most languages with blanks."""
    return [word for word in words if len(word) >= _TELLING_LETTERS]


def _is_without_blanks(sentence: str) -> bool:
    return len(sentence) >= _MIN_LETTERS and not sentence.isascii() and len(sentence) > 12 * len(sentence.split())
