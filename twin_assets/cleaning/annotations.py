"""Keeps ``cleaning.annotations`` in step with the kept posts: only what is new or changed is looked at."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import Connection, and_, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from twin_assets.cleaning.annotate import Mask, annotate, annotator, masked
from twin_assets.ingest.report import markdown_table
from twin_assets.store.database import Database
from twin_assets.store.tables import annotations, raw_posts

log = structlog.get_logger(__name__)

BATCH = 500
_HELD = 10
"""Posts whose blocks are in memory at once: one can be a hundred megabytes."""
_FLAGGED = 20
_PATIENCE = 5.0

COUNTS = """
select split_part(trim('[' from mask ->> 'placeholder'), ' ', 1) as kind, count(*)
from cleaning.annotations as a, jsonb_array_elements(a.masks) as mask
where a.author = :author
group by kind
"""

VERSION = """
select md5(string_agg(
    concat_ws(' ', document_id, content_hash, coalesce(language, '-'), masks, repetition, machine_markers), ',' order by document_id
))
from cleaning.annotations
where author = :author
"""


@dataclass(frozen=True, slots=True)
class AnnotationReport:
    """What a sync of annotations did; ``version`` is the hash of all annotations of the author."""

    looked_at: int
    unchanged: int
    deleted: int
    version: str


@dataclass(frozen=True, slots=True)
class AnnotationFigures:
    """What the annotations of an author say, in numbers: never what was masked."""

    masked: dict[str, int]
    languages: str
    flagged: int
    flagged_posts: str


def sync_annotations(
    database: Database, author: str, regions: Sequence[str], report: Callable[[str], None] | None = None, batch: int = BATCH
) -> AnnotationReport:
    """Looks at each kept post of the author that is new or changed, or was looked at by another version; forgets those of all others.

    Each batch is committed by itself, so a killed run continues where it stopped. Where nothing is to do, no text is read and nothing
    is written.

    Args:
        database: The warehouse.
        author: Whose posts.
        regions: Countries, as ``US``, whose national phone numbers are masked.
        report: Told from time to time how far it is.
        batch: Posts per transaction.
    """
    by = annotator(regions)
    with database.begin() as connection:
        deleted = _forget(connection, author)
        todo = _todo(connection, author, by)
    began = said = time.monotonic()
    for start in range(0, len(todo), batch):
        with database.begin() as connection:
            _annotate(connection, todo[start : start + batch], by, regions)
        done, now = min(start + batch, len(todo)), time.monotonic()
        if report and now - said >= _PATIENCE and done < len(todo):
            left = (now - began) / done * (len(todo) - done)
            report(f"Looked at {done:,} of {len(todo):,} posts, about {left:.0f} s left")
            said = now
    with database.begin() as connection:
        total = connection.scalar(select(func.count()).where(annotations.c.author == author)) or 0
        version = connection.scalar(text(VERSION), {"author": author}) or "none"
    log.info("annotations_synced", author=author, looked_at=len(todo), total=total, deleted=deleted)
    return AnnotationReport(len(todo), max(0, total - len(todo)), deleted, version)


def annotation_figures(database: Database, author: str) -> AnnotationFigures:
    """What the annotations of the author say, for a person."""
    columns = annotations.c
    flag = and_(columns.author == author, columns.machine_markers > 0)
    languages = select(func.coalesce(columns.language, "too short to tell"), func.count()).where(columns.author == author)
    flagged = (
        select(raw_posts.c.title, columns.masks, columns.machine_markers, raw_posts.c.id)
        .join(raw_posts, raw_posts.c.id == columns.document_id)
        .where(flag)
        .order_by(columns.machine_markers.desc(), columns.document_id)
        .limit(_FLAGGED)
    )
    with database.begin() as connection:
        counts = {kind: number for kind, number in connection.execute(text(COUNTS), {"author": author})}
        spoken = connection.execute(languages.group_by(columns.language).order_by(func.count().desc(), columns.language)).all()
        number = connection.scalar(select(func.count()).where(flag)) or 0
        rows = connection.execute(flagged).all()
    return AnnotationFigures(
        masked={f"masked_{kind}s": counts.get(kind, 0) for kind in ("email", "phone", "secret")},
        languages=markdown_table(("language", "posts"), [tuple(row) for row in spoken]),
        flagged=number,
        flagged_posts=markdown_table(("post", "title", "markers"), [(id, _title(title, masks), count) for title, masks, count, id in rows]),
    )


def _title(title: str | None, masks: Sequence[dict[str, object]]) -> str:
    return masked(title or "", (Mask(**mask) for mask in masks), 0)  # pyright: ignore[reportArgumentType]  # as to_row wrote them


def _forget(connection: Connection, author: str) -> int:
    kept = select(raw_posts.c.id).where(
        raw_posts.c.id == annotations.c.document_id, raw_posts.c.state == "kept", raw_posts.c.deleted_at.is_(None)
    )
    return connection.execute(delete(annotations).where(annotations.c.author == author, ~kept.exists())).rowcount


def _todo(connection: Connection, author: str, by: str) -> list[UUID]:
    posts, held = raw_posts.c, annotations.c
    query = (
        select(posts.id)
        .outerjoin(annotations, posts.id == held.document_id)
        .where(posts.author == author, posts.state == "kept", posts.deleted_at.is_(None))
        .where(or_(held.document_id.is_(None), held.content_hash != posts.content_hash, held.annotator != by))
        .order_by(posts.id)
    )
    return list(connection.scalars(query))


def _annotate(connection: Connection, ids: Sequence[UUID], by: str, regions: Sequence[str]) -> None:
    """Looks at some posts, which no one can delete meanwhile, and writes what was found."""
    posts = raw_posts.c
    query = select(posts.id, posts.author, posts.content_hash, posts.title, posts.blocks).where(posts.id.in_(ids)).order_by(posts.id)
    with connection.execute(query.with_for_update(read=True, key_share=True), execution_options={"yield_per": _HELD}) as found:
        rows = [
            {
                "document_id": row.id,
                "author": row.author,
                "content_hash": row.content_hash,
                "annotator": by,
                **annotate(row.title, row.blocks, regions).to_row(),
            }
            for row in found
        ]
    statement = insert(annotations)
    replaced = {column.name: statement.excluded[column.name] for column in annotations.c if column.name != "document_id"}
    if rows:
        connection.execute(statement.on_conflict_do_update(index_elements=["document_id"], set_=replaced), rows)
