"""The first asset of the graph."""

import dagster as dg

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.report import sample_table, source_table
from twin_assets.ingest.sync import SyncReport, raw_version, retire_sources, sync_source
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

    Every row and file is accounted for: kept, or not kept with the reason (shared, draft, partial, foreign, empty, duplicate,
    unreadable). A second run over the same sources writes nothing; what vanished from a source gets a tombstone.
    """
    author = context.partition_key
    database, locations = platform.database(), platform.registry().sources(author)
    if not locations:
        raise SourceError(f"{author} has no sources. Add one with `twin add {author} --source PATH_OR_URL`.")
    # All are opened first: one that is gone stops the run before anything is written.
    sources = [open_source(location) for location in locations]
    retired = retire_sources(database, author, [source.location for source in sources])
    reports: dict[str, SyncReport] = {}
    for source in sources:
        reports[source.location] = report = sync_source(database, author, source)
        context.log.info(f"{source.location}: {report}")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(raw_version(database, author)),
        metadata={
            "documents": sum(report.by_state.get("kept", 0) for report in reports.values()),
            "rows_and_files": sum(report.total for report in reports.values()),
            "words": sum(report.words for report in reports.values()),
            "inserted": sum(report.inserted for report in reports.values()),
            "updated": sum(report.updated for report in reports.values()),
            "deleted": retired + sum(report.deleted for report in reports.values()),
            "sources": dg.MetadataValue.md(source_table(reports)),
            "sample": dg.MetadataValue.md(sample_table(database, author)),
        },
    )
