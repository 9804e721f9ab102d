"""Plain text to blocks."""

import re
from collections.abc import Iterator

from twin_assets.ingest.posts import Block

_LEADING_MENTIONS = re.compile(r"(?:@\w[\w.-]*(?:@[\w.-]+)?(?:\s+|$))+")


def paragraphs(text: str) -> Iterator[Block]:
    """Paragraphs of plain text: blank lines part them, the writer's line breaks stay."""
    for part in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        lines = "\n".join(line.rstrip() for line in part.split("\n")).strip()
        if lines:
            yield Block("paragraph", lines)


def without_leading_mentions(text: str) -> str:
    """A reply without the names that it begins with: programs put them there."""
    found = _LEADING_MENTIONS.match(text)
    return text[found.end() :] if found else text
