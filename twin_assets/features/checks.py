"""Checks on the chunks and embeddings of one author."""

import dagster as dg

from twin_assets import models
from twin_assets.cleaning.quality import Finding
from twin_assets.features import quality
from twin_assets.features.assets import chunks, embeddings
from twin_assets.resources import PlatformResource


@dg.asset_check(asset=chunks, blocking=True)
def chunks_cover_documents(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Every cleaned document that has text has chunks."""
    uncovered = quality.uncovered_documents(platform.database(), context.op_execution_context.partition_key)
    return _result(quality.chunks_cover_documents(uncovered))


@dg.asset_check(asset=embeddings, blocking=True)
def every_chunk_embedded(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Every chunk has one vector of the configured model, of unit length."""
    settings = platform.settings()
    model = models.embedder(settings.embedder, settings).name
    counts = quality.vector_counts(platform.database(), context.op_execution_context.partition_key, model)
    return _result(quality.every_chunk_embedded(counts))


def _result(finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)
