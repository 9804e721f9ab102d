"""Topic masking: what is left of a text when its subject is taken away and its manner stays.

Function words, punctuation, capitals and endings are kept; every other word becomes a placeholder for its class, so that a
voice is recognised by how something is said and never by what it is about. The function words of English are listed here; those of
another language are taken from what several authors write in it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

CLITICS = frozenset(("n't", "'s", "'m", "'d", "'re", "'ve", "'ll"))
_ENGLISH = """
    a about above across actually after again against ago all almost along already also although always am among an and another any
    anybody anyone anything anyway anywhere are around as at away back be because been before behind being below beneath beside besides
    between beyond both but by ca can could did do does doing done down during each either else enough especially even ever every
    everybody everyone everything everywhere except few finally first for from further generally get gets getting given go goes going
    gonna got had has have having he hence her here hers herself him himself his how however i if in indeed instead into is it its
    itself just least less let like likely little lot lots made make makes many may maybe me might mine more moreover most mostly much
    must my myself near nearly need neither never nevertheless next no nobody none nonetheless nor not nothing now nowhere of off often
    oh ok okay on once one ones only onto or other others otherwise ought our ours ourselves out over own per perhaps please possibly
    pretty probably put quite rather really regarding same say says second seem seems several sha shall she should simply since so some
    somebody somehow someone something sometimes somewhat somewhere soon still such sure than that the their theirs them themselves then
    there therefore these they thing things this those though through throughout thus till to together too toward towards two under
    unless unlike until up upon us usually versus very via was way we well were what whatever when whenever where whereas wherever
    whether which whichever while who whoever whole whom whose why will with within without wo would yes yet you your yours yourself
    yourselves
"""
_OF_ENGLISH_ALONE = """
    the and that this with from they you your would could should there their them which been were what when who how because about into than
    these those
"""
FUNCTION_WORDS = CLITICS | frozenset(_ENGLISH.split())
"""Of English."""
COMMON_WORDS = 250
_ENGLISH_ALONE = frozenset(_OF_ENGLISH_ALONE.split())
_ENGLISH_SHARE = 0.04

_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "–": "—", "…": "...", "*": " ", "#": " ", "_": " "})
_UNNAMED = re.compile(
    r"https?://\S+|www\.\S+|(?<!\S)[^\s@]{1,64}@[^\s@]{1,255}|(?<![^\W\d_])`[^`\n]{1,200}`"
)  # bounded: long runs cost linear time
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})(.*)")
_MARKER = re.compile(r"^(?:[ \t>]+|(?:[-+•◦▪‣·—]|\(?\d{1,3}[.)])(?:[ \t]+|$))*+", re.MULTILINE)  # how a list, a quote begins its lines
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_CLITIC = re.compile(r"(.+?)(n't|'(?:s|m|d|re|ve|ll))", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_SENTENCE_END = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+\s+")  # each run is looked at once: "!!!!..." costs linear time
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|\.\.\.|[^\w\s]")
_ENDINGS = ("tion", "ment", "ness", "able", "ing", "est", "ful", "ous", "ity", "ed", "ly", "er", "al", "ic", "s")


def plain(text: str) -> str:
    """The text on one line, without markup, list markers, links or code, and with plain quotation marks.

    Curly quotes and line breaks say more about the platform than about the author, and anybody's text can be made a list. An en dash
    counts as an em dash.
    """
    text = _UNNAMED.sub("x", unicodedata.normalize("NFKC", _without_code(text))).translate(_TYPOGRAPHY)
    return " ".join(_MARKER.sub("", text).split())


def _without_code(text: str) -> str:
    """Fenced blocks left out. One that nobody closes is none, unlike in Markdown: three marks must not hide all that follows."""
    if "```" not in text and "~~~" not in text:
        return text
    lines = [(line, _FENCE.match(line)) for line in text.split("\n")]
    longest, below = {"`": 0, "~": 0}, list[dict[str, int]]()  # of the fences that could close one, below each line
    for _, found in reversed(lines):
        below.append(dict(longest))
        if found and not found[2].strip():
            longest[found[1][0]] = max(longest[found[1][0]], len(found[1]))
    kept: list[str] = []
    fence = ""
    for (line, found), closing in zip(lines, reversed(below), strict=True):
        if fence:
            fence = "" if found and found[1].startswith(fence) and not found[2].strip() else fence
        elif found and "`" not in found[2] and closing[found[1][0]] >= len(found[1]):
            fence = found[1]
        else:
            kept.append(line)
    return "\n".join(kept)


def pieces(texts: Sequence[str], words: int = 150) -> list[str]:
    """An author's texts as plain passages of ``words`` words, in order; the short ones are joined, a short rest is left over."""
    stream = [word for text in texts for word in plain(text).split()]
    return [" ".join(stream[start : start + words])[: 40 * words] for start in range(0, len(stream) - words + 1, words)]


def english(texts: Iterable[str]) -> bool:
    """Whether texts are in English, by the share of small words that English alone has: a seventh of what people write, elsewhere none."""
    words = Counter(word.lower() for text in texts for word in _WORD.findall(plain(text)))
    return sum(number for word, number in words.items() if word in _ENGLISH_ALONE) >= _ENGLISH_SHARE * words.total()


def common_words(voices: Sequence[Sequence[str]], most: int = COMMON_WORDS) -> frozenset[str]:
    """The function words of any language, near enough: those that are most frequent and that most of the voices use.

    After the text distortion of Stamatatos (2018), which keeps the most frequent words and masks all others.

    Args:
        voices: The texts of each voice, all in one language.
        most: How many words.
    """
    counted = [Counter(part.lower() for text in own for word in _WORD.findall(plain(text)) for part in parts(word)) for own in voices]
    shared = Counter(word for own in counted for word in own)
    weight = {
        word: sum(own[word] / max(own.total(), 1) for own in counted)
        for word, users in shared.items()
        if users > len(voices) / 2 and word not in ("", *CLITICS)
    }
    return CLITICS | frozenset(sorted(weight, key=lambda word: (-weight[word], word))[:most])


def sentences(line: str) -> list[str]:
    """The sentences of a plain text; together they are all of it."""
    cuts = [0, *(found.end() for found in _SENTENCE_END.finditer(line)), len(line)]
    return [stripped for start, end in pairwise(cuts) if (stripped := line[start:end].strip())]


def mask(text: str, kept: frozenset[str] = FUNCTION_WORDS) -> str:
    """The text with every word that carries the subject, which is any that is not kept, replaced by a placeholder of its class."""
    return _NUMBER.sub("0", _WORD.sub(lambda found: _masked(found[0], kept), text))


def tokens(masked: str) -> Iterator[str]:
    """The words and marks of a masked text, lower case, contractions taken apart (``do`` ``n't``)."""
    for token in _TOKEN.findall(masked):
        stem, clitic = parts(token)
        yield stem.lower()
        if clitic:
            yield clitic.lower()


def parts(word: str) -> tuple[str, str]:
    """A word and its contracted part: ``don't`` is ``do`` and ``n't``; the second is empty for most words."""
    found = _CLITIC.fullmatch(word)
    return (found[1], found[2]) if found else (word, "")


def _masked(word: str, kept: frozenset[str]) -> str:
    stem, clitic = parts(word)
    if stem.lower() in kept:
        return word
    return _placeholder(stem) + clitic


def _placeholder(word: str) -> str:
    lower = word.lower()
    ending = next((end for end in _ENDINGS if lower.endswith(end) and len(lower) > len(end) + 2), "")
    return ("X" if word[0].isupper() else "x") + ending
