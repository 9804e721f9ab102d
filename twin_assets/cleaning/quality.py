"""What must hold for an author's cleaned documents, as plain functions: the asset checks are shells around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from twin_assets.cleaning.documents import Document

# Written apart from the list that the dbt project cleans by: a pattern that fails there must not fail here as well.
INTERFACE_LINE = re.compile(
    r"""[\s*•→👉-]*(
        (share|like|restack|discuss)\ this\ (post|article|story) | copy\ link | leave\ a\ comment | upgrade\ to\ paid
        | subscribe(\ now)? | sign\ (in|up) | subscribe\ ?sign\ in | ready\ for\ more\? | type\ your\ email(…|\.\.\.)
        | discussion\ about\ this\ post | substack\ is\ the\ home.* | thanks\ for\ reading
        | .{0,120}subscribe\ for\ free\ to\ receive\ new\ posts.{0,60}
        | (originally|first)\ published\ (at|on)\ \S+
    )[.!\s]*""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether something holds, in words for a person, with figures."""

    passed: bool
    description: str
    figures: dict[str, int | list[str]] = field(default_factory=dict)


def documents_present(author: str, documents: Sequence[Document]) -> Finding:
    """There is something to learn from."""
    words = sum(document.voice_words for document in documents)
    figures: dict[str, int | list[str]] = {"documents": len(documents), "voice_words": words}
    if documents:
        return Finding(True, f"{len(documents)} documents with {words} words of {author}'s own prose.", figures)
    return Finding(
        False,
        f"Nothing to learn from: no document of {author} was kept. `twin inspect PATH_OR_URL` shows for each file and row what it "
        f"was taken for and why it was left out; `twin add {author} --source PATH_OR_URL` adds more.",
        figures,
    )


def no_interface_lines(documents: Sequence[Document]) -> Finding:
    """No line of a platform's page is left in the texts that the voice is learned from."""
    found = [
        f"{document.title or document.id}: {line}"
        for document in documents
        for line in document.text_for_voice.splitlines()
        if INTERFACE_LINE.fullmatch(line)
    ]
    description = f"{len(found)} lines of a platform's page are left in {len(documents)} documents."
    return Finding(not found, description, {"lines": len(found), "examples": found[:10]})
