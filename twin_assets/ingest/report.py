"""What was read, counted and shown for a person."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import func, select

from twin_assets.ingest.crawls import Read
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.sync import SyncReport
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

_SAMPLE = 8


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)


def source_table(reports: Mapping[str, SyncReport | SourceError], reads: Iterable[Read]) -> str:
    """One line per source: how the read ended, what it held, and what the sync did."""
    ended = {read.source: read for read in reads}
    rows = [
        (
            location,
            *_how(ended.get(location)),
            *((report.total, report.words, _states(report.by_state), *_done(report)) if isinstance(report, SyncReport) else ("",) * 7),
        )
        for location, report in reports.items()
    ]
    done = ("inserted", "updated", "deleted", "missing")
    return markdown_table(("source", "outcome", "why", "requests", "rows and files", "words", "states", *done), rows)


def _how(read: Read | None) -> tuple[object, ...]:
    return (read.outcome, read.detail, read.requests) if read else ("", "", "")


def _states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{state} {count}" for state, count in sorted(states.items()))


def _done(report: SyncReport) -> tuple[int, ...]:
    return report.inserted, report.updated, report.deleted, report.missing


def sample_table(database: Database, author: str) -> str:
    """The newest kept posts."""
    columns = raw_posts.c
    fields = (columns.published_at, columns.platform, columns.kind, columns.words, func.coalesce(columns.title, columns.origin))
    newest = select(*fields).where(columns.author == author, columns.state == "kept", columns.deleted_at.is_(None))
    with database.begin() as connection:
        found = connection.execute(newest.order_by(columns.published_at.desc().nulls_last(), columns.id).limit(_SAMPLE)).all()
    rows = [(when.date() if when else "", platform, kind, words, title) for when, platform, kind, words, title in found]
    return markdown_table(("date", "platform", "kind", "words", "title"), rows)


def kept(database: Database, author: str) -> tuple[int, int]:
    """Living posts of an author that are learned from, and their words."""
    columns = raw_posts.c
    living = (columns.author == author, columns.state == "kept", columns.deleted_at.is_(None), columns.work == columns.id)
    with database.begin() as connection:
        documents, words = connection.execute(select(func.count(), func.coalesce(func.sum(columns.words), 0)).where(*living)).one()
    return int(documents), int(words)


def state_counts(database: Database, author: str | None) -> dict[str, dict[str, int]]:
    """Living posts per author and state; of all authors when None."""
    columns = raw_posts.c
    query = select(columns.author, columns.state, func.count()).where(columns.deleted_at.is_(None)).group_by(columns.author, columns.state)
    counts: dict[str, dict[str, int]] = {}
    with database.begin() as connection:
        for name, state, count in connection.execute(query if author is None else query.where(columns.author == author)):
            counts.setdefault(name, {})[state] = count
    return counts
