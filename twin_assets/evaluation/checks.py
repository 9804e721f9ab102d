"""The gate: what the evaluation of an author's newest model must show before it is deployed."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from twin_assets.cleaning.quality import Finding
from twin_assets.evaluation import quality
from twin_assets.evaluation.assets import REPORT, eval_report
from twin_assets.resources import PlatformResource


@dg.asset_check(asset=eval_report, blocking=True)
def no_memorised_passages(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The twin recites no passage that it was trained on."""
    return _result(quality.no_memorised_passages(_figures(context, platform)))


@dg.asset_check(asset=eval_report, blocking=True)
def twin_beats_base(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The twin sounds more like the author than the untrained model does."""
    return _result(quality.twin_beats_base(_figures(context, platform)))


def _figures(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> Mapping[str, Any]:
    author, registry = context.op_execution_context.partition_key, platform.registry()
    model, report = registry.latest_model(author), registry.latest_artifact(author, REPORT)
    return quality.figures_on(model.version, report.figures) if model and report else {}


def _result(finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)
