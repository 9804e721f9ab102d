"""What SQL cannot see of a post: its language, the private things in it, how repetitive it is, and what a chatbot left in it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from twin_assets.cleaning.private import LONGEST, find_private
from twin_assets.ingest.posts import OWN_WORDS
from twin_assets.store.errors import TwinError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

RULES = "1"
"""Version of what is written here and in ``private``: with another one every post is looked at again."""

Block = Mapping[str, Any]
"""As ``ingest.raw_posts`` keeps it: ``{"type", "text", "language"?, "level"?}``."""


@dataclass(frozen=True, slots=True)
class Mask:
    """A placeholder for a part of a block: blocks count from 1, 0 is the title; characters count from 0."""

    block: int
    start: int
    end: int
    placeholder: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was found in a post."""

    language: str | None
    masks: tuple[Mask, ...]
    repetition: float
    machine_markers: int

    def to_row(self) -> dict[str, Any]:
        """The columns of ``cleaning.annotations``."""
        return {**asdict(self), "masks": [asdict(mask) for mask in self.masks]}


def annotate(title: str | None, blocks: Sequence[Block], regions: Sequence[str] = ()) -> Annotation:
    """Looks at one post.

    Args:
        title: Its title.
        blocks: Its blocks, in order.
        regions: Countries, as ``US``, whose national phone numbers are looked for.
    """
    own = [block["text"] for block in blocks if block["type"] in OWN_WORDS and len(block["text"]) <= LONGEST]
    return Annotation(
        language=language(own),
        masks=find_masks(
            [title or "", *(block["text"] for block in blocks)], {n for n, b in enumerate(blocks, 1) if b["type"] == "code"}, regions
        ),
        repetition=repetition(own),
        machine_markers=sum(machine_markers(own).values()),
    )


def annotator(regions: Sequence[str]) -> str:
    """The version of all that decides what an annotation says."""
    libraries = "/".join(f"{name}-{version(name)}" for name in ("py3langid", "detect-secrets", "phonenumbers"))
    return f"{RULES}/{libraries}/{','.join(regions)}"


def parse_regions(value: str) -> tuple[str, ...]:
    """The countries in a setting as ``US,GB``.

    Raises:
        TwinError: When one of them is none that has phone numbers.
    """
    from phonenumbers import SUPPORTED_REGIONS

    regions = tuple(sorted({region.strip().upper() for region in value.split(",") if region.strip()}))
    unknown = [region for region in regions if region not in SUPPORTED_REGIONS]
    if unknown:
        raise TwinError(f"TWIN_PHONE_REGIONS names {', '.join(unknown)}, which no phone numbers are known of. Write codes as in US,GB,DE.")
    return regions


# -- masks


def find_masks(texts: Sequence[str], code: Iterable[int] = (), regions: Sequence[str] = ()) -> tuple[Mask, ...]:
    """A placeholder for each private thing, numbered by kind in order of appearance; the same thing has the same one throughout.

    Args:
        texts: The title and the blocks of one document.
        code: Which of them are code.
        regions: Countries, as ``US``, whose national phone numbers are looked for.
    """
    code = frozenset(code)
    placeholders: dict[tuple[str, str], str] = {}
    numbers: Counter[str] = Counter()
    masks = []
    for position, text in enumerate(texts):
        for find in find_private(text, regions, position in code):
            key = (find.kind, find.value)
            if key not in placeholders:
                numbers[find.kind] += 1
                placeholders[key] = f"[{find.kind} {numbers[find.kind]}]"
            masks.append(Mask(position, find.start, find.end, placeholders[key]))
    return tuple(masks)


def masked(text: str, masks: Iterable[Mask], block: int) -> str:
    """The text of a block with its placeholders."""
    parts, behind = [], 0
    for mask in masks:
        if mask.block == block:
            parts += [text[behind : mask.start], mask.placeholder]
            behind = mask.end
    return "".join([*parts, text[behind:]])


# -- language

_URL = re.compile(r"(?:https?://|www\.)\S+")
_PIECES, _PIECE = 4, 80
_FEWEST_LETTERS = 20
_WITHOUT_BLANKS = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_IDEOGRAPH = re.compile(f"[{_WITHOUT_BLANKS}\uac00-\ud7af]")
_LETTERS_OF_AN_IDEOGRAPH = 3
_SURE_ENOUGH = 0.4
_NO_LANGUAGE = "zxx"


def language(texts: Sequence[str]) -> str | None:
    """The language that most of the texts is in, as ISO 639-1; None where there is too little to tell.

    Some 300 characters are looked at, spread over the whole.
    """
    sample = normalize("NFKC", _URL.sub(" ", _spread("\n".join(texts))))  # posts on LinkedIn write in mathematical letters
    letters = sum(map(str.isalpha, sample)) + (_LETTERS_OF_AN_IDEOGRAPH - 1) * len(_IDEOGRAPH.findall(sample))
    if letters < _FEWEST_LETTERS:
        return None
    label, probability = _identifier().classify(sample)
    return None if probability < _SURE_ENOUGH or label == _NO_LANGUAGE else label


def _spread(text: str) -> str:
    if len(text) <= _PIECES * _PIECE:
        return text
    step = (len(text) - _PIECE) // (_PIECES - 1)
    return " ".join(text[step * number : step * number + _PIECE] for number in range(_PIECES))


@cache
def _identifier() -> "LanguageIdentifier":
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([label for label in identifier.labels if len(label) == 2 or label == _NO_LANGUAGE])
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc)  # as it is read, row by row: half the time
    return identifier


# -- repetition

_WORD = re.compile(rf"[{_WITHOUT_BLANKS}]|[^\W{_WITHOUT_BLANKS}]+")
_MOST_WORDS, _FEWEST_WORDS = 1000, 50
_MOST_CHARACTERS = 20_000
_RUN = 5


def repetition(texts: Sequence[str]) -> float:
    """The share of runs of five words that were there before, in the first thousand words: 0 for none, or where the text is short."""
    words: list[str] = []
    for text in texts:
        if len(words) < _MOST_WORDS:
            words += _WORD.findall(text[:_MOST_CHARACTERS].lower())
    del words[_MOST_WORDS:]
    if len(words) < _FEWEST_WORDS:
        return 0.0
    runs = list(zip(*(words[start:] for start in range(_RUN)), strict=False))
    return round(1 - len(set(runs)) / len(runs), 3)


# -- what chatbots leave in a text


@dataclass(frozen=True, slots=True)
class Marker:
    """Words that a chatbot says, and hardly any person writes."""

    what: str
    hints: tuple[str, ...]
    """In lower case; one of them is in every text that the pattern fits."""
    pattern: re.Pattern[str]


def _marker(what: str, pattern: str, *hints: str) -> Marker:
    return Marker(what, hints, re.compile(pattern))


MARKERS = (
    _marker(
        "says what it is", r"\bas an? (?:ai|artificial intelligence)(?: language)? (?:model|assistant)\b", "as an ai", "as an artificial"
    ),
    _marker("says what it is", r"\bas a large language model,? i\b", "as a large language model"),
    _marker("says until when it knows", r"\bmy (?:last|latest) (?:knowledge |training )(?:update|cut-?off)\b", "my last ", "my latest "),
    _marker(
        "says until when it knows", r"\b(?:as of |beyond )my (?:knowledge cut-?off|last update)\b", "my knowledge cut", "my last update"
    ),
    _marker("refuses", r"\bi(?:'m| am) sorry, but (?:i can(?:'t|not) (?:assist|help|fulfill|provide)|as an ai)", "sorry, but "),
    _marker("a citation as ChatGPT keeps it", r":?contentreference\[oaicite|\boai_citation\b", "oaicite", "oai_citation"),
    _marker("a citation as ChatGPT keeps it", r"\bturn\d+(?:search|view|news|image|file)\d+\b|【\d+[:†][^】]{0,40}】", "turn", "【"),
    _marker("a link that a chatbot gave", r"\butm_source=(?:chatgpt\.com|openai|copilot\.com|perplexity)", "utm_source="),
    _marker("a file inside of ChatGPT", r"\bsandbox:/mnt/data/", "sandbox:/"),
    _marker(
        "a gap left for the author to fill",
        r"\[(?:your|insert|company|recipient|client|author)(?:'s)? (?:full |first |last |own |company |job )?"
        r"(?:name|title|role|position|industry|link|e-?mail|date|topic|city|product|story|example|company)[^\]\n]{0,30}\]",
        "[your",
        "[insert",
        "[company",
        "[recipient",
        "[client",
        "[author",
    ),
    _marker(
        "offers more",
        r"\b(?:would you like me to (?:adjust|revise|refine|expand|add|tailor|make)|let me know if you(?:'d| would) like me to"
        r"|feel free to (?:customi[sz]e|tweak|adjust|modify) (?:it|this|the) [^.\n]{0,60}(?:voice|style|tone|needs))",
        "would you like me",
        "let me know if you",
        "feel free to",
    ),
)
_HANDS_OVER = (
    re.compile(r"\W{0,5}(?:certainly|sure|of course|absolutely|great question)(?: thing)?[!,.]\s{0,3}(?:here(?:'s| is| are)|below is)\b"),
    re.compile(
        r"\W{0,5}here(?:'s| is) (?:an?|the|your) (?:\w+ ){0,4}(?:revised|rewritten|polished|refined|improved|humani[sz]ed) (?:\w+ ){0,3}"
        r"(?:version|draft|post|text|article)\b"
    ),
)
_HOPES_TO_HELP = re.compile(r"\bi hope (?:this|that) helps\b")


def machine_markers(texts: Sequence[str]) -> Counter[str]:
    """What of a chatbot's is in the author's own words, and how often. A flag, never a verdict: people write about chatbots."""
    found: Counter[str] = Counter()
    text = "\n".join(texts).lower().replace("’", "'")
    for marker in MARKERS:
        for hint in marker.hints:
            if hint in text:
                found[marker.what] += sum(1 for _ in marker.pattern.finditer(text))
                break
    if any(pattern.match(text) for pattern in _HANDS_OVER):
        found["hands over what was asked for"] += 1
        found["hopes to have helped"] += bool(_HOPES_TO_HELP.search(text[-200:]))
    return +found
