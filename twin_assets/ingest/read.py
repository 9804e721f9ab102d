"""One read of one source, from its location to the rows, with how it ended kept for people to see."""

from datetime import UTC, datetime

import structlog

from twin_assets.ingest.collect import Rules
from twin_assets.ingest.crawls import Read, record_read, web_of
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sync import SyncReport, missing_page, sync_source
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import SourceConfig

log = structlog.get_logger(__name__)


def read_source(settings: Settings, database: Database, author: str, config: SourceConfig) -> SyncReport | SourceError:
    """Reads a source and brings the author's rows to what it holds.

    Returns:
        What was done, or why the source could not be read; then nothing was changed.
    """
    rules = Rules(config.names, config.until, config.ai_assisted)
    with web_of(settings, database, author, config.location) as web:
        try:
            source = open_source(config.location, web)
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
        record_read(database, author, Read(config.location, web.since, ended, outcome, source.truncated, web.requests))
        return report
