"""From a source into ``ingest.raw_posts``: all or nothing, and nothing where nothing changed."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Source
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

log = structlog.get_logger(__name__)

_COMPARED = ("source", "origin", "platform", "kind", "state", "reason", "url", "byline", "content_hash")
_BATCH = 200


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did."""

    inserted: int
    updated: int
    unchanged: int
    deleted: int
    elsewhere: int
    by_state: dict[str, int]
    words: int

    @property
    def total(self) -> int:
        """Rows and files read."""
        return sum(self.by_state.values())


def sync_source(database: Database, author: str, source: Source) -> SyncReport:
    """Brings an author's rows of one source to what the source holds now.

    The source is read to its end before anything is written. Then, in one transaction, new and changed posts are written, and posts that
    are gone get a tombstone. A post that another source of the author holds already stays with that one, unless it is kept only here; a
    different post that only bears the same name there (two folders with a ``hello.md``) is a post of its own.

    Raises:
        SourceError: When the source cannot be read, or holds nothing where there was something before.
    """
    posts = list(source.read())
    with database.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:author, 0))"), {"author": f"ingest {author}"})
        known = _known(connection, author)
        here = {id for id, row in known.items() if row["source"] == source.location and row["deleted_at"] is None}
        if here and not posts:
            raise SourceError(
                f"{source.location} holds nothing now, but held {len(here)} posts before. Nothing was deleted: check the source, "
                "or remove it from the author if that is meant."
            )
        placed = {_id(post, author, source.location, known): post for post in posts}
        rows = {id: _row(id, author, source.location, post) for id, post in placed.items()}
        elsewhere = {id for id, row in rows.items() if id in known and _belongs_elsewhere(known[id], row)}
        mine = {id: row for id, row in rows.items() if id not in elsewhere}
        changed = [row for id, row in mine.items() if id not in known or _differs(known[id], row)]
        _write(connection, changed)
        gone = here - rows.keys()
        deleted = _bury(connection, gone if source.complete else _taken_out(gone, known, posts))
    inserted = sum(row["id"] not in known for row in changed)
    report = SyncReport(
        inserted=inserted,
        updated=len(changed) - inserted,
        unchanged=len(mine) - len(changed),
        deleted=deleted,
        elsewhere=len(elsewhere),
        by_state=dict(Counter(post.state for post in posts)),
        words=sum(post.words for post in posts if post.state == "kept"),
    )
    log.info("source_synced", author=author, source=source.location, inserted=report.inserted, updated=report.updated, deleted=deleted)
    return report


def retire_sources(database: Database, author: str, registered: Collection[str]) -> int:
    """Buries the posts of sources that the author no longer has.

    Returns:
        How many posts were buried.
    """
    columns = raw_posts.c
    with database.begin() as connection:
        gone = connection.scalars(
            select(columns.id).where(columns.author == author, columns.deleted_at.is_(None), columns.source.not_in(list(registered)))
        )
        return _bury(connection, set(gone))


def raw_version(database: Database, author: str) -> str:
    """A version of all that was read from an author: the same as long as no post changes, appears or goes."""
    columns = raw_posts.c
    fields = (columns.id, columns.content_hash, columns.state, columns.deleted_at.is_not(None))
    digest = hashlib.sha256()
    with database.begin() as connection:
        for row in connection.execute(select(*fields).where(columns.author == author).order_by(columns.id)):
            digest.update(repr(tuple(map(str, row))).encode())
    return digest.hexdigest()


def _id(post: Post, author: str, location: str, known: Mapping[UUID, Mapping[str, Any]]) -> UUID:
    """The post's id: its own, unless another source has that for a different post. Once told apart, the two stay so."""
    own, apart = post.id(author), post.id(author, location)
    holder = known.get(own)
    if holder and (holder["source"] == location or holder["deleted_at"] is not None):
        holder = None
    if post.known_everywhere or (holder and holder["content_hash"] == post.content_hash):
        return own
    return apart if holder or apart in known else own


def _taken_out(gone: Collection[UUID], known: Mapping[UUID, Mapping[str, Any]], shown: Iterable[Post]) -> list[UUID]:
    """Of what a source that shows only its newest posts no longer shows, those that did not fall out at its old end.

    Where its posts are not in the order of their dates, as with one pinned to the top, its old end is not to be told.
    """
    dates = [post.published_at for post in shown if post.published_at]
    if not dates or dates != sorted(dates, reverse=True):
        return []
    return [id for id in gone if known[id]["published_at"] and known[id]["published_at"] > dates[-1]]


def _row(id: UUID, author: str, location: str, post: Post) -> dict[str, Any]:
    return {
        "id": id,
        "author": author,
        "source": location,
        "origin": _storable(post.origin),
        "platform": post.platform,
        "kind": post.kind,
        "state": post.state,
        "reason": _storable(post.reason),
        "title": _storable(post.title),
        "url": _storable(post.url),
        "byline": _storable(post.byline),
        "published_at": post.published_at,
        "blocks": [{name: _storable(value) for name, value in block.to_json().items()} for block in post.blocks],
        "words": post.words,
        "content_hash": post.content_hash,
    }


def _storable(value: Any) -> Any:
    """Text that Postgres takes: neither NUL nor lone surrogates."""
    return value.replace("\x00", "").encode("utf-8", errors="replace").decode() if isinstance(value, str) else value


def _known(connection: Connection, author: str) -> dict[UUID, Mapping[str, Any]]:
    columns = [raw_posts.c[name] for name in ("id", "published_at", "deleted_at", *_COMPARED)]
    return {row["id"]: dict(row) for row in connection.execute(select(*columns).where(raw_posts.c.author == author)).mappings()}


def _belongs_elsewhere(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if known["source"] == row["source"] or known["deleted_at"] is not None:
        return False
    return known["state"] == "kept" or row["state"] != "kept"


def _differs(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return known["deleted_at"] is not None or any(known[name] != row[name] for name in _COMPARED)


def _write(connection: Connection, rows: list[dict[str, Any]]) -> None:
    statement = insert(raw_posts)
    replaced = {name: statement.excluded[name] for name in ("published_at", "title", "blocks", "words", *_COMPARED)}
    upsert = statement.on_conflict_do_update(index_elements=["id"], set_={**replaced, "updated_at": func.now(), "deleted_at": None})
    for start in range(0, len(rows), _BATCH):
        connection.execute(upsert, rows[start : start + _BATCH])


def _bury(connection: Connection, ids: Iterable[UUID]) -> int:
    ids = list(ids)
    if ids:
        connection.execute(update(raw_posts).where(raw_posts.c.id.in_(ids)).values(deleted_at=func.now(), updated_at=func.now()))
    return len(ids)
