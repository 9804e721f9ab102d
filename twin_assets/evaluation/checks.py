"""The gate: what the evaluation of an author's newest model must show before it is deployed."""

from collections.abc import Callable

import dagster as dg
from upath import UPath

from twin_assets.cleaning.quality import Finding
from twin_assets.evaluation import quality
from twin_assets.evaluation.assets import REPORT, TEXTS, eval_report, eval_texts
from twin_assets.evaluation.ladder import Written
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.store.thresholds import Thresholds


@dg.asset_check(asset=eval_texts, blocking=True, partitions_def=authors)
def every_rung_wrote(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Every rung wrote a text for every prompt, and hardly any of them is as good as empty."""
    stored = platform.registry().latest_artifact(context.partition_key, TEXTS)
    if stored is None or not UPath(stored.uri).exists():
        finding = quality.every_rung_wrote(0, {})
    else:
        written = Written.from_lines(platform.artifacts().read_bytes(stored.uri).decode())
        finding = quality.every_rung_wrote(len(written.tasks), {str(rung): texts for rung, texts in written.texts.items()})
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)


@dg.asset_check(asset=eval_report, blocking=True, partitions_def=authors)
def twin_beats_base(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The twin, with retrieval and without, sounds more like the author than the prompted base model, beyond chance."""
    return _result(quality.twin_beats_base, context, platform)


@dg.asset_check(asset=eval_report, blocking=True, partitions_def=authors)
def no_memorised_passages(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The twin recites no passage that it was trained on."""
    return _result(quality.no_memorised_passages, context, platform)


@dg.asset_check(asset=eval_report, blocking=True, partitions_def=authors)
def slop_like_the_authors(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The twin has hardly more marks of machine prose than the author."""
    return _result(quality.slop_like_the_authors, context, platform)


@dg.asset_check(asset=eval_report, blocking=True, partitions_def=authors)
def content_not_worse(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The twin says what was asked for about as well as the base model."""
    return _result(quality.content_not_worse, context, platform)


@dg.asset_check(asset=eval_report, blocking=True, partitions_def=authors)
def not_worse_than_deployed(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The twin sounds as much like the author as the one that serves now."""
    return _result(quality.not_worse_than_deployed, context, platform)


def _result(
    check: Callable[[quality.Figures, Thresholds], Finding], context: dg.AssetCheckExecutionContext, platform: PlatformResource
) -> dg.AssetCheckResult:
    author, registry = context.partition_key, platform.registry()
    model, report = registry.latest_model(author), registry.latest_artifact(author, REPORT)
    figures = quality.figures_on(model.version, report.figures) if model and report else {}
    finding = check(figures, registry.thresholds(author))
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)
