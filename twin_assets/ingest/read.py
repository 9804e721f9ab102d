"""One read of one source, from its location to the rows, with how it ended kept for people to see."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from twin_assets.ingest.collect import Rules
from twin_assets.ingest.crawls import Read, last_reads, record_read, web_of
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.source import Source
from twin_assets.ingest.sync import SyncReport, missing_page, sync_source
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import SourceConfig

log = structlog.get_logger(__name__)


def read_sources(
    settings: Settings, database: Database, author: str, configs: Sequence[SourceConfig], say: Callable[[str], None] | None = None
) -> dict[str, SyncReport | SourceError]:
    """Reads sources one after another.

    A post that two of them hold stays with the first. Where a source lost posts, those read before it that left some to others are read
    once more: what was lost may be theirs now.

    Returns:
        What was done, or why it could not be read, by location.
    """
    reports: dict[str, SyncReport | SourceError] = {}
    for config in configs:
        reports[config.location] = report = read_source(settings, database, author, config, say)
        if isinstance(report, SyncReport) and report.deleted:
            for other in configs[: configs.index(config)]:
                before = reports[other.location]
                if isinstance(before, SyncReport) and before.elsewhere:
                    reports[other.location] = read_source(settings, database, author, other, say)
    return reports


def read_source(
    settings: Settings, database: Database, author: str, config: SourceConfig, say: Callable[[str], None] | None = None
) -> SyncReport | SourceError:
    """Reads a source and brings the author's rows to what it holds.

    Returns:
        What was done, or why the source could not be read; then nothing was changed.
    """
    rules = Rules(config.names, config.until, config.ai_assisted, author)
    with web_of(settings, database, author, config.location, say) as web:
        try:
            source = open_source(config.location, web)
            reader = _same_reader(database, author, source)
            report = sync_source(database, author, source, rules, web)
        except SourceError as error:
            log.info("source_not_read", author=author, source=config.location, outcome=error.outcome, why=str(error))
            if isinstance(error, FetchError) and error.outcome == "gone":
                missing_page(database, author, config.location)
            # What was fetched so far is gone on with, not fetched again.
            unfinished = error.outcome in ("truncated", "timeout", "server_error", "rate_limited", "unreachable")
            ended = None if unfinished else datetime.now(UTC)
            record_read(database, author, Read(config.location, web.since, ended, error.outcome, str(error), web.requests))
            return error
        outcome, ended = ("truncated", None) if source.truncated else ("ok", datetime.now(UTC))
        record_read(database, author, Read(config.location, web.since, ended, outcome, source.truncated, web.requests, reader))
        return report


def _same_reader(database: Database, author: str, source: Source) -> str:
    """What reads the source. When it was something else before, less is shown now than there is, and nothing counts as gone.

    Raises:
        SourceError: When what was a site, a feed or an export is only a page now, such as one that says that the domain is for sale.
    """
    reader = type(source).__name__
    last = next((read.reader for read in last_reads(database, author) if read.source == source.location), "")
    if last and last != reader:
        problem = f"{source.location} looks like something else than before ({reader}, not {last})."
        if reader == "Page":
            raise SourceError(f"{problem} Nothing was changed. Check it in a browser; if it is meant, remove the source and add it anew.")
        source.truncated = source.truncated or f"{problem} What is missing now was not deleted."
    return reader
