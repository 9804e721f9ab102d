"""Checks on the voice profile of one author."""

import dagster as dg

from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.voice import quality
from twin_assets.voice.assets import voice_profile
from twin_assets.voice.profile import latest


@dg.asset_check(asset=voice_profile, partitions_def=authors)
def author_is_recognised(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The author's own held-out passages are attributed to the author; else no twin can be measured against the voice."""
    author = context.partition_key
    rate, passages = (latest(platform.registry(), author).figures[figure] for figure in ("ceiling", "ceiling_pieces"))
    passed, description = quality.author_is_recognised(author, rate, passages)
    metadata = {"recognised": rate, "passages": passages}
    return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, description=description, metadata=metadata)


@dg.asset_check(asset=voice_profile, blocking=True, partitions_def=authors)
def instrument_knows_people_apart(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The instrument's own gate: on human text it tells the author from strangers; else nothing it says of a twin counts."""
    author = context.partition_key
    figures = latest(platform.registry(), author).figures
    passed, description = quality.instrument_knows_people_apart(author, figures)
    shown = ("auc", "auc_low", "auc_300", "mistaken", "recognised", "judged", "strangers")
    metadata = {name: figures[name] for name in shown if name in figures}
    return dg.AssetCheckResult(passed=passed, description=description, metadata=metadata)
