"""Checks on the dataset and on the training."""

from collections.abc import Callable

import dagster as dg

from twin_assets.cleaning.documents import Document, load_documents
from twin_assets.cleaning.quality import Finding
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.training import quality
from twin_assets.training.assets import DATASET, NO_PREFERENCES, PREFERENCES, adapter_weights, instruct_dataset, preference_dataset
from twin_assets.training.dataset import Dataset, load_dataset
from twin_assets.training.leaks import Said, given_away
from twin_assets.training.pairs import copies
from twin_assets.training.preferences import Preferences, load_preferences


@dg.asset_check(asset=instruct_dataset, blocking=True, partitions_def=authors)
def held_out_is_unseen(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """No held-out passage stands in the training split or in its prompts, exactly or nearly: a twin graded on what it has read proves nothing."""
    return _of_dataset(context, platform, "held_out_is_unseen")


@dg.asset_check(asset=instruct_dataset, blocking=True, partitions_def=authors)
def answers_are_verbatim(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Nearly every word of the answers stands in the author's document, in that order: a twin learns from nobody else."""
    return _of_dataset(context, platform, "answers_are_verbatim")


@dg.asset_check(asset=instruct_dataset, blocking=True, partitions_def=authors)
def key_terms_are_present(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """What the author writes about most stands in the answers: passages that leave it out make a twin of somebody else."""
    return _of_dataset(context, platform, "key_terms_are_present")


@dg.asset_check(asset=instruct_dataset, blocking=True, partitions_def=authors)
def enough_to_learn_from(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """There are enough passages, with enough words, to hear a voice in."""
    return _of_dataset(context, platform, "enough_to_learn_from")


@dg.asset_check(asset=instruct_dataset, blocking=True, partitions_def=authors)
def split_by_document_and_date(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """No document is on both sides, and what is held out is newer than what is learned from."""
    return _of_dataset(context, platform, "split_by_document_and_date")


@dg.asset_check(asset=preference_dataset, blocking=True, partitions_def=authors)
def chosen_is_verbatim(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """Nearly every word of the chosen texts stands in the author's document, in that order."""

    def judge(found: Preferences) -> Finding:
        own = quality.own_words(_documents(context, platform))
        return quality.answers_are_verbatim(found.pairs, own, "training/preference_dataset")

    return _of_preferences(context, platform, judge)


@dg.asset_check(asset=preference_dataset, blocking=True, partitions_def=authors)
def held_out_is_in_no_pair(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """No held-out passage stands in a pair, exactly or nearly, neither as chosen nor as rejected nor in the prompt."""

    def judge(found: Preferences) -> Finding:
        texts = [Said(pair.id, text) for pair in found.pairs for text in (pair.chosen, pair.rejected)]
        dataset = _dataset(context, platform)
        held_out = dataset.held_out if dataset else []
        return quality.no_leaks(given_away(texts, found.pairs, held_out), len(held_out))

    return _of_preferences(context, platform, judge)


@dg.asset_check(asset=preference_dataset, blocking=True, partitions_def=authors)
def rejected_is_not_the_authors(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """No rejected text is the author's own: a twin would learn to avoid the voice that it is for."""

    def judge(found: Preferences) -> Finding:
        copied = copies({pair.id: pair.rejected for pair in found.pairs}, _documents(context, platform))
        return quality.rejected_is_not_the_authors(found.pairs, copied)

    return _of_preferences(context, platform, judge)


@dg.asset_check(asset=preference_dataset, blocking=True, partitions_def=authors)
def enough_pairs(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """There are enough pairs to learn a preference from, and not these few texts."""
    return _of_preferences(context, platform, lambda found: quality.enough_pairs(found.pairs))


@dg.asset_check(asset=adapter_weights, blocking=True, partitions_def=authors)
def loss_fell(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The training's loss stayed a number and ended below where it began, also on what is held out."""
    model = platform.registry().latest_model(context.partition_key)
    return _result(quality.training_converged(model.figures if model else {}))


def _of_dataset(context: dg.AssetCheckExecutionContext, platform: PlatformResource, name: str) -> dg.AssetCheckResult:
    found = _dataset(context, platform)
    if found is None:
        return dg.AssetCheckResult(passed=False, description="There is no dataset.")
    return _result(quality.OF_DATASET[name](found, _documents(context, platform), platform.settings()))


def _dataset(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> Dataset | None:
    artifact = platform.registry().latest_artifact(context.partition_key, DATASET)
    return load_dataset(platform.artifacts().local(artifact.uri)) if artifact else None


def _of_preferences(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource, judge: Callable[[Preferences], Finding]
) -> dg.AssetCheckResult:
    if not platform.settings().preference_config:
        return dg.AssetCheckResult(passed=True, description=NO_PREFERENCES)
    artifact = platform.registry().latest_artifact(context.partition_key, PREFERENCES)
    if artifact is None:
        return dg.AssetCheckResult(passed=False, description="There is no preference dataset.")
    return _result(judge(load_preferences(platform.artifacts().local(artifact.uri))))


def _documents(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> list[Document]:
    return load_documents(platform.database(), context.partition_key)


def _result(finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)
