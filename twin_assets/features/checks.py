"""Checks on the chunks, the embeddings and the search of one author."""

import dagster as dg

from twin_assets.cleaning.quality import Finding
from twin_assets.features import golden, quality
from twin_assets.features.assets import chunks, embeddings, golden_set
from twin_assets.features.embedders import active_embedder
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource


@dg.asset_check(asset=chunks, blocking=True, partitions_def=authors)
def chunks_cover_documents(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Every cleaned document that has text has chunks."""
    uncovered = quality.uncovered_documents(platform.database(), context.partition_key)
    return _result(quality.chunks_cover_documents(uncovered))


@dg.asset_check(asset=embeddings, blocking=True, partitions_def=authors)
def every_chunk_embedded(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Every chunk has one vector of the active model, of unit length."""
    database = platform.database()
    model = active_embedder(database, platform.settings()).name
    counts = quality.vector_counts(database, context.partition_key, model)
    return _result(quality.every_chunk_embedded(counts))


@dg.asset_check(asset=golden_set, blocking=True, partitions_def=authors)
def search_has_not_regressed(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Of the questions that were asked before, as many are answered as before, but for what chance explains.

    Where a loss is wanted: ``twin features accept AUTHOR``.
    """
    return _result(golden.regression(platform.registry(), platform.artifacts(), context.partition_key))


def _result(finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)
