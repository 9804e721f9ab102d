"""Raw posts as the collection stage would write them, and their way through cleaning."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from twin_assets.cleaning import project
from twin_assets.cleaning.annotations import sync_annotations
from twin_assets.cleaning.documents import Document
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

DAY = datetime(2024, 5, 1, tzinfo=UTC)


def post_id(author: str, key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"{author} {key}")


def block(type_: str, words: str, **more: Any) -> dict[str, Any]:
    return {"type": type_, "text": words, **more}


def paragraph(words: str) -> dict[str, Any]:
    return block("paragraph", words)


def add_post(database: Database, author: str, key: str, *blocks: dict[str, Any], **values: Any) -> UUID:
    """Writes one kept post, or writes it anew."""
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
        "work": identifier,
        "deleted_at": None,
        **values,
    }
    row["content_hash"] = hashlib.sha256(
        json.dumps([row["title"], str(row["published_at"]), row["state"], row["blocks"]]).encode()
    ).hexdigest()
    with database.begin() as connection:
        statement = insert(raw_posts).values(row)
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
    return identifier


def clean(settings: Settings, database: Database, *arguments: str, author: str = "", **variables: Any) -> str:
    """Annotates every author's posts and builds one author's documents, or all, as the asset does; unit tests only where asked for."""
    with database.begin() as connection:
        authors = connection.scalars(select(raw_posts.c.author).distinct()).all()
    for name in authors:
        sync_annotations(database, name, ["US"])
    arguments = arguments or ("--exclude-resource-type", "unit_test")
    return project.run_dbt(settings, ["build", *arguments, "--vars", json.dumps({"author": author, **variables})], database.url)


def empty(database: Database) -> None:
    """Forgets all posts and what was made of them."""
    with database.begin() as connection:
        connection.execute(text("truncate ingest.raw_posts, cleaning.annotations"))
        made = "select tablename from pg_tables where schemaname = 'cleaning' and tablename <> 'annotations'"
        for table in connection.scalars(text(made)).all():
            connection.execute(text(f"truncate cleaning.{table}"))


def document(key: str, published_at: datetime | None = DAY, voice_words: int = 100, kind: str = "post", text: str = "") -> Document:
    return Document(post_id("ada", key), "ada", "blog", kind, key, None, published_at, text, text, voice_words, key)
