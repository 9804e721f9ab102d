"""Words as the evaluation compares them: without case, punctuation and typography."""

import re
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+(?:['\u2019\u02bc][^\W_]+)*")


def spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Each word of a text, normalised, with where it starts and ends in the text as written."""
    for match in _WORD.finditer(text):
        word = unicodedata.normalize("NFKC", match.group()).casefold()
        yield word.replace("\u2019", "'").replace("\u02bc", "'"), match.start(), match.end()


def words(text: str) -> list[str]:
    """The normalised words of a text, in order."""
    return [word for word, _, _ in spans(text)]
