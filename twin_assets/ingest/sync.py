"""From a source into ``ingest.raw_posts``: all or nothing, and nothing where nothing changed or where reading failed."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Integer, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from twin_assets.ingest.collect import Rules, collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Source
from twin_assets.ingest.web import Web
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

log = structlog.get_logger(__name__)

_COMPARED = ("source", "origin", "platform", "kind", "state", "reason", "url", "canonical_url", "byline", "edited_at", "content_hash")
_CERTAIN_AFTER = timedelta(days=1)
_MOST_ASKED = 50
_NUMBERED = re.compile(r":\d+$")  # a row, whose number changes with those above it
_WEIGHT = {"deleted": 3, "excluded": 2, "kept": 1}
_BATCH = 200


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did."""

    inserted: int
    updated: int
    unchanged: int
    deleted: int
    missing: int
    """Found gone for the first time, or not yet for a day: they stay."""
    retained: int
    """Could not be read this time, but before: they stay as they were."""
    elsewhere: int
    by_state: dict[str, int]
    words: int

    @property
    def total(self) -> int:
        """Rows and files read."""
        return sum(self.by_state.values())

    def __str__(self) -> str:
        what = {"new": self.inserted, "changed": self.updated, "deleted": self.deleted, "missing": self.missing}
        done = ", ".join(f"{count} {name}" for name, count in what.items() if count) or "nothing new"
        return f"{self.total} read, {self.by_state.get('kept', 0)} to learn from, {done}"


def sync_source(database: Database, author: str, source: Source, rules: Rules | None = None, web: Web | None = None) -> SyncReport:
    """Brings an author's rows of one source to what the source holds now.

    The source is read to its end before anything is written. Then, in one transaction, new and changed posts are written, and posts that
    are gone get a tombstone: at once where a full export lacks them, otherwise when they are found gone twice, at least a day apart. A post
    that another source of the author holds already stays with that one, unless it is kept only here; a different post that only bears the
    same name there (two folders with a ``hello.md``) is a post of its own.

    Args:
        database: The warehouse.
        author: Whose source it is.
        source: What to read.
        rules: What the owner said of the author and the source.
        web: Asked whether the page of a post that a feed no longer shows is still there.

    Raises:
        SourceError: When the source cannot be read, or holds nothing where there was something before.
    """
    posts = collect(source, rules)
    vanished = _vanished_pages(database, author, source, posts, web)
    with database.begin() as connection:
        lock_author(connection, author)
        known = _known(connection, author)
        here = _living(known, source.location)
        if here and not posts:
            raise SourceError(
                f"{source.location} holds nothing now, but held {len(here)} posts before. Nothing was deleted: check the source, "
                "or remove it from the author if that is meant.",
                "truncated",
            )
        placed = _placed(posts, author, source.location, known)
        rows = {id: _row(id, author, source.location, post) for id, post in placed.items()}
        elsewhere = {id for id, row in rows.items() if id in known and _belongs_elsewhere(known[id], row)}
        retained = {id for id, row in rows.items() if id in known and _read_before(known[id], row)} - elsewhere
        mine = {id: row for id, row in rows.items() if id not in elsewhere and id not in retained}
        changed = [row for id, row in mine.items() if id not in known or _differs(known[id], row)]
        _write(connection, changed)
        buried, missing = _let_go(connection, source, here - rows.keys(), known, vanished)
        seen_again = [id for id in here & rows.keys() if known[id]["missing_since"] is not None]
        _set(connection, seen_again, missing_since=None)
    inserted = sum(row["id"] not in known for row in changed)
    report = SyncReport(
        inserted=inserted,
        updated=len(changed) - inserted,
        unchanged=len(mine) - len(changed),
        deleted=buried,
        missing=missing,
        retained=len(retained),
        elsewhere=len(elsewhere),
        by_state=dict(Counter(post.state for post in posts)),
        words=sum(post.words for post in posts if post.state == "kept"),
    )
    log.info("source_synced", author=author, source=source.location, inserted=report.inserted, updated=report.updated, deleted=buried)
    return report


def missing_page(database: Database, author: str, location: str) -> int:
    """Says that a page which is a source by itself answered 404 or 410; it is buried when that was so a day ago too.

    Returns:
        How many posts were buried.
    """
    with database.begin() as connection:
        lock_author(connection, author)
        known = _known(connection, author)
        here = _living(known, location)
        if len(here) != 1:  # not a page but a feed or a profile: that it does not answer says nothing of its posts
            return 0
        return _miss(connection, here, known)[0]


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


def lock_author(connection: Connection, author: str) -> None:
    """Waits until nothing else writes posts of this author; let go at the end of the transaction."""
    connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:author, 0))"), {"author": f"ingest {author}"})


def _living(known: Mapping[UUID, Mapping[str, Any]], location: str) -> set[UUID]:
    return {id for id, row in known.items() if row["source"] == location and row["deleted_at"] is None}


def _vanished_pages(database: Database, author: str, source: Source, posts: Sequence[Post], web: Web | None) -> set[UUID]:
    """Of the posts that a feed should show and does not, those whose page is gone or that have none; asked outside of any transaction."""
    if source.coverage != "newest" or source.truncated:
        return set()
    with database.begin() as connection:
        known = _known(connection, author)
    shown = {_id(post, author, source.location, known) for post in posts}
    vanished = set()
    for id in _taken_out(_living(known, source.location) - shown, known, posts)[:_MOST_ASKED]:
        url = known[id]["url"]
        if url is None or web is None:
            vanished.add(id)
            continue
        try:
            if web.status(url) in (404, 410):
                vanished.add(id)
        except SourceError as error:
            log.info("not_known_whether_gone", url=url, why=str(error))
    return vanished


def _let_go(
    connection: Connection, source: Source, gone: set[UUID], known: Mapping[UUID, Mapping[str, Any]], vanished: set[UUID]
) -> tuple[int, int]:
    """Buries what is certainly gone and notes what may be: how many of each."""
    if source.truncated:
        return 0, 0
    if source.coverage == "everything":
        return _bury(connection, gone), 0
    return _miss(connection, gone if source.coverage == "listing" else gone & vanished, known)


def _miss(connection: Connection, gone: Iterable[UUID], known: Mapping[UUID, Mapping[str, Any]]) -> tuple[int, int]:
    now = datetime.now(UTC)
    certain = [id for id in gone if (since := known[id]["missing_since"]) is not None and now - since >= _CERTAIN_AFTER]
    first = [id for id in gone if known[id]["missing_since"] is None]
    _set(connection, first, missing_since=now)
    return _bury(connection, certain), len(set(gone) - set(certain))


def _read_before(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether more was read before than now: an error never takes a text's place, and a teaser never that of the whole."""
    if known["deleted_at"] is not None:
        return False
    return (row["state"] == "unreadable" and known["state"] not in ("unreadable", "empty")) or (
        row["state"] == "partial" and known["state"] == "kept"
    )


def raw_version(database: Database, author: str) -> str:
    """A version of all that was read from an author: the same as long as no post changes, appears or goes."""
    columns = raw_posts.c
    fields = (columns.id, columns.content_hash, columns.state, columns.work, columns.deleted_at.is_not(None))
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


def _placed(posts: Iterable[Post], author: str, location: str, known: Mapping[UUID, Mapping[str, Any]]) -> dict[UUID, Post]:
    """Each post under its id. A file that cannot be read does not say its key: it takes the id of what was read there before."""
    there = {known[id]["origin"]: id for id in _living(known, location) if not _NUMBERED.search(known[id]["origin"])}
    placed = {}
    for post in posts:
        id = _id(post, author, location, known)
        unknown = post.state == "unreadable" and id not in known
        placed[there.get(post.origin, id) if unknown else id] = post
    return placed


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
        "canonical_url": _storable(post.canonical_url),
        "byline": _storable(post.byline),
        "published_at": post.published_at,
        "edited_at": post.edited_at,
        "blocks": [{name: _storable(value) for name, value in block.to_json().items()} for block in post.blocks],
        "words": post.words,
        "content_hash": post.content_hash,
    }


def _storable(value: Any) -> Any:
    """Text that Postgres takes: neither NUL nor lone surrogates."""
    return value.replace("\x00", "").encode("utf-8", errors="replace").decode() if isinstance(value, str) else value


def _known(connection: Connection, author: str) -> dict[UUID, Mapping[str, Any]]:
    columns = [raw_posts.c[name] for name in ("id", "published_at", "deleted_at", "missing_since", *_COMPARED)]
    return {row["id"]: dict(row) for row in connection.execute(select(*columns).where(raw_posts.c.author == author)).mappings()}


def _belongs_elsewhere(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the post stays with the other source that holds it.

    What is kept counts more than a teaser; what its owner set aside or deleted, wherever that is seen, still more.
    """
    if known["source"] == row["source"] or known["deleted_at"] is not None:
        return False
    return _WEIGHT.get(known["state"], 0) >= _WEIGHT.get(row["state"], 0)


def _differs(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return known["deleted_at"] is not None or any(known[name] != row[name] for name in _COMPARED)


def _write(connection: Connection, rows: list[dict[str, Any]]) -> None:
    statement = insert(raw_posts)
    replaced = {name: statement.excluded[name] for name in ("published_at", "title", "blocks", "words", *_COMPARED)}
    revision = raw_posts.c.revision + cast(raw_posts.c.content_hash != statement.excluded.content_hash, Integer)
    set_ = {**replaced, "revision": revision, "updated_at": func.now(), "deleted_at": None, "missing_since": None}
    upsert = statement.on_conflict_do_update(index_elements=["id"], set_=set_)
    for start in range(0, len(rows), _BATCH):
        connection.execute(upsert, rows[start : start + _BATCH])


def _bury(connection: Connection, ids: Iterable[UUID]) -> int:
    ids = list(ids)
    _set(connection, ids, deleted_at=func.now(), updated_at=func.now())
    return len(ids)


def _set(connection: Connection, ids: Collection[UUID], **values: Any) -> None:
    if ids:
        connection.execute(update(raw_posts).where(raw_posts.c.id.in_(list(ids))).values(**values))
