"""Checks on the dataset and on the training."""

import dagster as dg

from twin_assets.cleaning.quality import Finding
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.training.assets import adapter_weights, instruct_dataset
from twin_assets.training.dataset import load_dataset
from twin_assets.training.leaks import find_leaks
from twin_assets.training.quality import no_leaks, training_converged


@dg.asset_check(asset=instruct_dataset, blocking=True, partitions_def=authors)
def held_out_is_unseen(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """No held-out passage stands in the training split, exactly or nearly: a twin graded on what it has read proves nothing."""
    artifact = platform.registry().latest_artifact(context.partition_key, "instruct_dataset")
    if artifact is None:
        return dg.AssetCheckResult(passed=False, description="There is no dataset.")
    dataset = load_dataset(platform.artifacts().local(artifact.uri))
    return _result(no_leaks(find_leaks(dataset.train, dataset.held_out), len(dataset.held_out)))


@dg.asset_check(asset=adapter_weights, blocking=True, partitions_def=authors)
def loss_fell(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The training's loss stayed a number and ended below where it began."""
    model = platform.registry().latest_model(context.partition_key)
    return _result(training_converged(model.figures if model else {}))


def _result(finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)
