"""Checks on the cleaned documents of one author, beside those that dbt's tests become."""

import dagster as dg

from twin_assets.cleaning import quality
from twin_assets.cleaning.assets import CLEANED_DOCUMENTS
from twin_assets.cleaning.documents import load_documents
from twin_assets.resources import PlatformResource


@dg.asset_check(asset=CLEANED_DOCUMENTS, blocking=True)
def documents_present(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The author has something to learn from."""
    author = context.op_execution_context.partition_key
    return _result(quality.documents_present(author, load_documents(platform.database(), author)))


@dg.asset_check(asset=CLEANED_DOCUMENTS, blocking=True)
def no_interface_lines(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """No "Share this post" and its like in the author's voice."""
    return _result(quality.no_interface_lines(load_documents(platform.database(), context.op_execution_context.partition_key)))


def _result(finding: quality.Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)
