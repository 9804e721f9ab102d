"""Edits: drafts, and what their authors really published."""

import hashlib
import json
from dataclasses import asdict, dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from twin_assets.store import tables
from twin_assets.store.database import Database


@dataclass(frozen=True, slots=True)
class Edit:
    """A draft, what it was written from, and what the author published.

    Attributes:
        author: Whose twin wrote the draft.
        prompt: What was asked for.
        platform: Where it was meant for.
        words: About how long it was to be.
        notes: What stood in the prompt beside that: the author's document, or None for another page's text, and the words.
        draft: What the twin wrote.
        published: What the author published instead.
        model_version: Of the twin.
    """

    author: str
    prompt: str
    platform: str | None
    words: int | None
    notes: tuple[tuple[UUID | None, str], ...]
    draft: str
    published: str
    model_version: str

    @property
    def id(self) -> UUID:
        """The same for the same draft to the same prompt."""
        parts = json.dumps([self.author, self.prompt, self.platform, self.words, self.draft])
        return uuid5(NAMESPACE_URL, hashlib.sha256(parts.encode()).hexdigest())


def save_edit(database: Database, edit: Edit) -> None:
    """Keeps an edit; of a draft that is known, what was said to be published last counts."""
    row = {**asdict(edit), "id": edit.id, "notes": [[str(document) if document else None, quote] for document, quote in edit.notes]}
    statement = insert(tables.edits).values(**row)
    with database.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"published": edit.published}))


def edits_of(database: Database, author: str) -> list[Edit]:
    """All edits of an author, always in the same order."""
    columns = tables.edits.c
    fields = (columns[name] for name in Edit.__dataclass_fields__)
    with database.begin() as connection:
        rows = [row._mapping for row in connection.execute(select(*fields).where(columns.author == author).order_by(columns.id))]
    return [
        Edit(**{**row, "notes": tuple((UUID(document) if document else None, quote) for document, quote in row["notes"])}) for row in rows
    ]
