"""The first asset of the graph."""

import dagster as dg

from twin_assets.ingest.crawls import forget_reads, last_reads
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.read import read_source
from twin_assets.ingest.report import sample_table, source_table
from twin_assets.ingest.sync import SyncReport, raw_version, retire_sources
from twin_assets.ingest.works import cross_post_table, group_works
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource


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
    database, registry, settings = platform.database(), platform.registry(), platform.settings()
    configs = registry.source_configs(author)
    if not configs:
        raise SourceError(f"{author} has no sources. Add one with `twin add {author} --source PATH_OR_URL`.")
    locations = [config.location for config in configs]
    retired = retire_sources(database, author, locations)
    forget_reads(database, author, locations)
    reports = {config.location: read_source(settings, database, author, config) for config in configs}
    for location, report in reports.items():
        context.log.info(f"{location}: {report}")
    failed = {location: report for location, report in reports.items() if isinstance(report, SourceError)}
    if len(failed) == len(reports):
        raise SourceError("No source could be read. " + " ".join(str(error) for error in failed.values()))
    works = group_works(database, author)
    synced = [report for report in reports.values() if isinstance(report, SyncReport)]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(raw_version(database, author)),
        metadata={
            "documents": sum(report.by_state.get("kept", 0) for report in synced),
            "rows_and_files": sum(report.total for report in synced),
            "words": sum(report.words for report in synced),
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
