"""Checks on what was read."""

from collections.abc import Mapping

import dagster as dg

from twin_assets.ingest.crawls import last_reads, unanswered
from twin_assets.ingest.report import markdown_table, state_counts
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource

_ASSET = dg.AssetKey(["ingest", "raw_posts"])


def without_own_posts(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Authors of whom rows were read but no post is kept."""
    return sorted(author for author, states in counts.items() if not states.get("kept"))


def mostly_unreadable(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Authors of whom more posts are unreadable or partial than kept: a sign of a broken export or a login page."""
    return sorted(
        author for author, states in counts.items() if states.get("unreadable", 0) + states.get("partial", 0) > states.get("kept", 0)
    )


@dg.asset_check(asset=_ASSET, description="An author who has posts has some of their own that are kept.", partitions_def=authors)
def own_posts_present(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Fails when all that was read from the author was put aside."""
    counts = state_counts(platform.database(), context.partition_key)
    return _result(counts, without_own_posts(counts), dg.AssetCheckSeverity.ERROR)


@dg.asset_check(asset=_ASSET, description="More of an author's posts are readable than not.", partitions_def=authors)
def every_source_read(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Warns when most of the author's posts are unreadable or teasers."""
    counts = state_counts(platform.database(), context.partition_key)
    return _result(counts, mostly_unreadable(counts), dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=_ASSET, description="The last read of every source ended well.", partitions_def=authors)
def every_source_answered(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Warns when a source could not be read: an auth wall, a bot check, a server that is down, a missing drive. Nothing was deleted."""
    failing = unanswered(last_reads(platform.database(), context.partition_key))
    rows = [(read.source, read.outcome, read.detail) for read in failing]
    return dg.AssetCheckResult(
        passed=not failing,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"failing": len(failing), "sources": dg.MetadataValue.md(markdown_table(("source", "outcome", "why"), rows))},
    )


def _result(counts: Mapping[str, Mapping[str, int]], failing: list[str], severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    states = sorted({state for found in counts.values() for state in found})
    rows = [(author, *(found.get(state, 0) for state in states)) for author, found in sorted(counts.items())]
    return dg.AssetCheckResult(
        passed=not failing,
        severity=severity,
        metadata={"failing": ", ".join(failing) or "none", "states": dg.MetadataValue.md(markdown_table(("author", *states), rows))},
    )
