"""The first asset of the graph."""

import json
from datetime import UTC, datetime

import dagster as dg

from twin_assets.ingest.crawls import PAGES_KEPT_FOR, forget_pages, forget_reads, last_reads
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.read import read_sources
from twin_assets.ingest.report import kept, sample_table, source_table
from twin_assets.ingest.sync import SyncReport, raw_version, retire_sources
from twin_assets.ingest.works import cross_post_table, group_works
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource

DUE = "twin/sources"
"""Tag of a run that reads only some of an author's sources: their locations as JSON. Each source has a schedule of its own."""


@dg.asset(
    key_prefix="ingest",
    partitions_def=authors,
    group_name="ingest",
    kinds={"python", "postgres"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
)
def raw_posts(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """Everything that the author's sources hold, as posts of typed blocks.

    Every row, file and page is accounted for: kept, or not kept with the reason (shared, draft, partial, foreign, excluded, deleted, empty,
    duplicate, unreadable). A second run over the same sources writes nothing. A source that cannot be read deletes nothing: how each
    read ended is listed under ``sources``. What vanished gets a tombstone when a full export lacks it, or when it is gone twice, a day apart.
    """
    author = context.partition_key
    database, registry, settings = platform.raw_database(), platform.registry(), platform.settings()
    configs = registry.source_configs(author)
    if not configs:
        raise SourceError(f"{author} has no sources. Add one with `twin add {author} --source PATH_OR_URL`.")
    locations = [config.location for config in configs]
    retired = retire_sources(database, author, locations)
    forget_reads(database, author, locations)
    due = context.run.tags.get(DUE)
    chosen = [config for config in configs if due is None or config.location in json.loads(due)]
    reports = read_sources(settings, database, author, chosen, context.log.info)
    for location, report in reports.items():
        context.log.info(f"{location}: {report}")
    failed = [report for report in reports.values() if isinstance(report, SourceError)]
    if reports and len(failed) == len(reports):
        raise SourceError("No source could be read. " + " ".join(str(error) for error in failed))
    works = group_works(database, author)
    forget_pages(database, author, datetime.now(UTC) - PAGES_KEPT_FOR)
    synced = [report for report in reports.values() if isinstance(report, SyncReport)]
    documents, words = kept(database, author)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(raw_version(database, author)),
        metadata={
            "documents": documents,
            "words": words,
            "rows_and_files": sum(report.total for report in synced),
            "inserted": sum(report.inserted for report in synced),
            "updated": sum(report.updated for report in synced),
            "deleted": retired + sum(report.deleted for report in synced),
            "regrouped_cross_posts": works,
            "unread_sources": len(failed),
            "sources": dg.MetadataValue.md(source_table(reports, last_reads(database, author))),
            "cross_posts": dg.MetadataValue.md(cross_post_table(database, author)),
            "sample": dg.MetadataValue.md(sample_table(database, author)),
        },
    )
