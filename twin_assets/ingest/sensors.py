"""The sensor that notices new writing."""

import json
from datetime import UTC, datetime

import dagster as dg

from twin_assets.ingest.assets import DUE
from twin_assets.ingest.fingerprint import fingerprint
from twin_assets.ingest.watch import Memory, look
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource

# In one run, as every run takes seconds to start; blocking checks hold inside of it, too. What costs more follows by itself.
UP_TO_SEARCH = dg.AssetSelection.groups("ingest", "cleaning", "features")


@dg.sensor(
    asset_selection=UP_TO_SEARCH,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Reads an author's sources again when a file in them has changed, and those on the web by their schedules.",
)
def source_changes(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
    """Compares each source's fingerprint with the last one seen, and requests what is read and searched of the authors concerned."""
    assert context.repository_def is not None
    assets = sorted(UP_TO_SEARCH.resolve(context.repository_def.asset_graph))
    registry, schedule, now = platform.registry(), platform.settings().crawl_schedule, datetime.now(UTC)
    sources = {author: registry.source_configs(author) for author in registry.authors()}
    memory, found = look(Memory.load(context.cursor), sources, lambda config: fingerprint(config, schedule, now))
    missing = [author for author in found if not context.instance.has_dynamic_partition(authors.name or "", author)]
    return dg.SensorResult(
        run_requests=[
            # No run key: Dagster skips a key that ever ran, also for sources that came back to an earlier state. The cursor, which is
            # stored together with the requests, keeps a change from being requested twice.
            dg.RunRequest(partition_key=author, asset_selection=assets, tags={DUE: json.dumps([*change.added, *change.changed])})
            for author, change in found.items()
            if sources[author]
        ],
        dynamic_partitions_requests=[authors.build_add_request(missing)] if missing else [],
        cursor=memory.dump(),
    )
