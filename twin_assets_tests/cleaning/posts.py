"""Raw posts as the collection stage would write them."""

from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import insert

from twin_assets.cleaning.documents import Document
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

DAY = datetime(2024, 5, 1, tzinfo=UTC)


def post_id(author: str, key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"{author} {key}")


def paragraph(text: str) -> dict[str, Any]:
    return {"type": "paragraph", "text": text}


def add_post(database: Database, author: str, key: str, *blocks: dict[str, Any], **values: Any) -> UUID:
    """Inserts one kept post."""
    identifier = post_id(author, key)
    row = {
        "id": identifier,
        "author": author,
        "source": "blog",
        "origin": key,
        "platform": "blog",
        "kind": "post",
        "state": "kept",
        "reason": "",
        "title": key,
        "published_at": DAY,
        "blocks": list(blocks),
        "words": 1,
        "content_hash": key,
    }
    with database.begin() as connection:
        connection.execute(insert(raw_posts).values({**row, **values}))
    return identifier


def document(key: str, published_at: datetime | None = DAY, voice_words: int = 100, kind: str = "post", text: str = "") -> Document:
    return Document(post_id("ada", key), "ada", "blog", kind, key, None, published_at, text, text, voice_words, key)
