"""Topic masking: what is left of a text when its subject is taken away and its manner stays.

Function words, punctuation, capitals and endings are kept; every other word becomes a placeholder for its class, so that a
voice is recognised by how something is said and never by what it is about.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

PIECE_WORDS = 150
_LONGEST_PIECE = 40 * PIECE_WORDS  # characters: scripts without spaces make "words" of any length

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
FUNCTION_WORDS = CLITICS | frozenset(_ENGLISH.split())

_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "–": "—", "…": "...", "*": " ", "#": " ", "_": " "})
_UNNAMED = re.compile(r"https?://\S+|www\.\S+|(?<!\S)[^\s@]{1,64}@[^\s@]{1,255}|`[^`]*`")  # bounded: long runs cost linear time
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_CLITIC = re.compile(r"(.+?)(n't|'(?:s|m|d|re|ve|ll))", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|\.\.\.|[^\w\s]")
_ENDINGS = ("tion", "ment", "ness", "able", "ing", "est", "ful", "ous", "ity", "ed", "ly", "er", "al", "ic", "s")


def plain(text: str) -> str:
    """The text on one line, without markup, links or inline code, and with plain quotation marks.

    Curly quotes and line breaks say more about the platform than about the author. An en dash counts as an em dash.
    """
    text = _UNNAMED.sub("x", unicodedata.normalize("NFKC", text)).translate(_TYPOGRAPHY)
    return " ".join(text.split())


def opening(text: str, words: int = PIECE_WORDS) -> str:
    """The first ``words`` words of a text, plain: all that is ever looked at, so that long and short texts compare."""
    return " ".join(plain(text).split()[:words])[:_LONGEST_PIECE]


def pieces(texts: Sequence[str], words: int = PIECE_WORDS) -> list[str]:
    """Cut an author's texts to passages of ``words`` words, in order; the short ones are joined, a short rest is left over."""
    stream = [word for text in texts for word in plain(text).split()]
    cut = [" ".join(stream[start : start + words]) for start in range(0, len(stream) - words + 1, words)]
    return [piece[:_LONGEST_PIECE] for piece in cut]


def mask(text: str) -> str:
    """The text with every word that carries the subject replaced by a placeholder of its class."""
    return _NUMBER.sub("0", _WORD.sub(lambda found: _masked(found[0]), text))


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


def _masked(word: str) -> str:
    stem, clitic = parts(word)
    if stem.lower() in FUNCTION_WORDS:
        return word
    return _placeholder(stem) + clitic


def _placeholder(word: str) -> str:
    lower = word.lower()
    ending = next((end for end in _ENDINGS if lower.endswith(end) and len(lower) > len(end) + 2), "")
    return ("X" if word[0].isupper() else "x") + ending
