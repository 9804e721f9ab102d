"""Notes, Substack's short posts: those of a person, or those of a publication.

``https://substack.com/api/v1/reader/feed/profile/ID?types=note`` and ``https://NAME.substack.com/api/v1/notes`` answer with ``items``, each
with a ``context`` that says why it is shown and a ``comment``, and with ``nextCursor``. ``comment.body_json`` is a document of ProseMirror.
"""

import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from twin_assets.ingest.errors import FetchError
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.plain import paragraphs
from twin_assets.ingest.posts import Block, Post, bylines, not_a_text, parse_date
from twin_assets.ingest.shapes import at, items, number_id, text
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.web import Web

RANK = EXACT
_HANDLE = re.compile(r"@([\w.-]{1,100})", re.ASCII)
_TAGS = {"paragraph": "p", "blockquote": "blockquote", "bulletList": "ul", "orderedList": "ol", "listItem": "li", "heading": "h3"}
_DEEPEST = 50


def from_address(address: Address) -> Source | None:
    """``https://substack.com/@HANDLE`` or ``https://NAME.substack.com/notes``."""
    host, parts = address.host, address.parts
    if host == "substack.com" and parts and len(parts) <= 2 and (found := _HANDLE.fullmatch(parts[0])):
        return SubstackNotes(address.url, address.web, handle=found[1])
    if host.endswith(".substack.com") and parts[:1] == ["notes"]:
        return SubstackNotes(address.url, address.web, origin=f"https://{host}")
    return None


class SubstackNotes(Source):
    """Reads notes, newest first.

    Args:
        location: As it was registered.
        web: What they are read through.
        handle: Whose notes.
        origin: Scheme and host of the publication whose notes, when no handle is given.
    """

    platform = "substack"
    coverage: Coverage = "listing"

    def __init__(self, location: str, web: Web, *, handle: str = "", origin: str = "") -> None:
        self.location = location
        self.truncated = ""
        self._web = web
        self._handle = handle
        self._origin = origin

    def read(self) -> Iterator[Post]:
        """One post per note; what was only restacked is marked as shared.

        Raises:
            SourceError: When the notes do not answer.
        """
        person = self._person() if self._handle else ""
        url = f"https://substack.com/api/v1/reader/feed/profile/{person}?types=note" if person else f"{self._origin}/api/v1/notes"
        number = 0
        for page in self._pages(url):
            for item in items(at(page, "items")):
                number += 1
                yield _note(item, number, person)

    def _person(self) -> str:
        url = f"https://substack.com/api/v1/user/{self._handle}/public_profile"
        person = number_id(at(self._web.get(url).json(), "id"))
        if not person:
            raise FetchError(f"{url} names no person. Check {self.location} in a browser.", "malformed")
        return person

    def _pages(self, url: str) -> Iterator[Any]:
        cursor, seen = "", set[str]()
        while True:
            try:
                page = self._web.get(f"{url}{'&' if '?' in url else '?'}cursor={quote(cursor, safe='')}" if cursor else url).json()
                if not isinstance(at(page, "items"), list):
                    raise FetchError(f"{url} answered with something that holds no notes. Try again later.", "malformed")
            except FetchError as error:
                if not seen:
                    raise
                self.truncated = str(error)
                return
            yield page
            seen.add(cursor)
            cursor = text(at(page, "nextCursor"))
            if not cursor or not page["items"]:
                return
            if cursor in seen:
                self.truncated = f"the notes of {self.location} do not come to an end"
                return


def _note(item: object, number: int, person: str) -> Post:
    comment, why = at(item, "comment"), text(at(item, "context", "type"))
    origin = text(at(item, "entity_key"))[:100] or f"note:{number}"
    id = number_id(at(comment, "id"))
    if "restack" in why or "like" in why or (not isinstance(comment, dict) and at(item, "post")):
        return not_a_text(f"{why or 'post'}:{origin}", "substack", "shared here, not written here", "shared")
    if not id:
        return not_a_text(origin, "substack", "an entry without a note", "unreadable")
    deleted, handle = at(comment, "deleted") is True, text(at(comment, "handle"))
    own = bool(person) and number_id(at(comment, "user_id")) == person
    return Post(
        key=f"urn:substack:note:{id}",
        platform="substack",
        kind="comment" if text(at(comment, "ancestor_path")) else "post",
        origin=origin,
        state="deleted" if deleted else "kept",
        reason="deleted on Substack" if deleted else "",
        url=f"https://substack.com/@{handle}/note/c-{id}" if _HANDLE.fullmatch(f"@{handle}") else None,
        bylines=() if own else bylines(at(comment, "name")),
        published_at=parse_date(at(comment, "date")),
        edited_at=parse_date(at(comment, "edited_at")),
        blocks=() if deleted else tuple(_blocks(comment)),
    )


def _blocks(comment: object) -> list[Block]:
    written = "".join(_markup(at(comment, "body_json"), 0))
    return html_blocks(written) if written else list(paragraphs(text(at(comment, "body"))))


def _markup(node: object, depth: int) -> Iterator[str]:
    """A ProseMirror document as HTML."""
    kind = at(node, "type")
    inside = "".join("".join(_markup(child, depth + 1)) for child in items(at(node, "content"))) if depth < _DEEPEST else ""
    match kind:
        case "text":
            yield html.escape(text(at(node, "text")))
        case "hardBreak" | "hard_break":
            yield "<br>"
        case "codeBlock" | "code_block":
            yield f"<pre>{inside}</pre>"
        case str() if kind in _TAGS:
            yield f"<{_TAGS[kind]}>{inside}</{_TAGS[kind]}>"
        case _:
            yield inside
