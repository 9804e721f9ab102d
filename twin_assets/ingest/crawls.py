"""What is remembered of crawls: fetched pages, how each read ended, and where a killed one goes on."""

import gzip
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from twin_assets.ingest.errors import Outcome
from twin_assets.ingest.registry import is_url
from twin_assets.ingest.web import Limits, Response, Web
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.tables import pages, reads

RESUMED_FOR = timedelta(days=1)
"""A crawl that was broken off longer ago is begun anew: what it stored is only asked whether it changed."""
PAGES_KEPT_FOR = timedelta(days=60)
"""A page that no crawl asked for in this time is no longer part of any source."""


@dataclass(frozen=True, slots=True)
class Read:
    """How the last read of a source ended."""

    source: str
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome
    detail: str
    requests: int
    reader: str = ""
    """What read the source when it last could be read."""


class DatabasePages:
    """The pages that were fetched for an author, each stored as soon as it is there."""

    def __init__(self, database: Database, author: str) -> None:
        self._database = database
        self._author = author

    def load(self, url: str) -> Response | None:
        """What this address answered with last."""
        columns = pages.c
        with self._database.begin() as connection:
            row = connection.execute(select(pages).where(columns.author == self._author, columns.url == url)).one_or_none()
        if row is None:
            return None
        return Response(row.final_url, row.status, gzip.decompress(row.content), row.headers, row.fetched_at, stored=True)

    def save(self, url: str, response: Response) -> None:
        """Keeps an answer in place of the last one."""
        row = {
            "status": response.status,
            "final_url": response.url,
            "headers": dict(response.headers),
            "content": gzip.compress(response.content, 6, mtime=0),
            "fetched_at": response.fetched_at,
        }
        statement = insert(pages).values(author=self._author, url=url, **row)
        with self._database.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["author", "url"], set_=row))


def web_of(settings: Settings, database: Database, author: str, source: str, say: Callable[[str], None] | None = None) -> Web:
    """The web for one read of a source: a read that was broken off lately is gone on with; ``say`` is told how far it is."""
    columns = reads.c
    with database.begin() as connection:
        last = connection.execute(select(reads).where(columns.author == author, columns.source == source)).one_or_none()
    now = datetime.now(UTC)
    resumed = last is not None and last.finished_at is None and now - last.started_at < RESUMED_FOR
    since = last.started_at if last is not None and resumed else now
    record_read(database, author, Read(source, since, None, "truncated", "not finished", 0))
    return Web(limits(settings), DatabasePages(database, author), since=since, contact=settings.crawl_contact, say=say)


def free_web(settings: Settings, say: Callable[[str], None] | None = None) -> Web:
    """The web for a read that leaves nothing behind; ``say`` is told how far it is."""
    return Web(limits(settings), contact=settings.crawl_contact, say=say)


def limits(settings: Settings) -> Limits:
    """The owner's limits."""
    return Limits(
        pause=settings.crawl_pause,
        page_seconds=settings.crawl_page_seconds,
        requests=settings.crawl_max_requests,
        total_seconds=settings.crawl_max_minutes * 60.0,
        total_bytes=settings.crawl_max_megabytes * 2**20,
    )


def record_read(database: Database, author: str, read: Read) -> None:
    """Keeps how a read goes, in place of the last one of the source."""
    row = {name: getattr(read, name) for name in ("started_at", "finished_at", "outcome", "detail", "requests")}
    row |= {"reader": read.reader} if read.reader else {}  # one that failed leaves what could read it before
    statement = insert(reads).values(author=author, source=read.source, **row)
    with database.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["author", "source"], set_=row))


def last_reads(database: Database, author: str) -> list[Read]:
    """How the last read of each of the author's sources ended."""
    fields = [reads.c[name] for name in ("source", "started_at", "finished_at", "outcome", "detail", "requests", "reader")]
    with database.begin() as connection:
        return [
            Read(**row._mapping) for row in connection.execute(select(*fields).where(reads.c.author == author).order_by(reads.c.source))
        ]


def unanswered(reads: Iterable[Read]) -> list[Read]:
    """The sources whose last read did not end well."""
    return [read for read in reads if read.outcome != "ok"]


def forget_reads(database: Database, author: str, registered: Collection[str]) -> None:
    """Forgets how reads of sources ended that the author no longer has, and with the last source on the web every page that was fetched.

    Pages do not say which source they were fetched for: while another one is on the web, they go by ``forget_pages``.
    """
    with database.begin() as connection:
        connection.execute(delete(reads).where(reads.c.author == author, reads.c.source.not_in(list(registered))))
    if not any(is_url(source) for source in registered):
        forget_pages(database, author, datetime.now(UTC))


def forget_pages(database: Database, author: str, before: datetime) -> None:
    """Deletes the author's pages that were neither fetched nor found unchanged since then."""
    with database.begin() as connection:
        connection.execute(delete(pages).where(pages.c.author == author, pages.c.fetched_at < before))
