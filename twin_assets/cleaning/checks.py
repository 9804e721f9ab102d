"""Checks on the cleaned documents of one author, beside those that dbt's tests become."""

from collections.abc import Callable

import dagster as dg

from twin_assets.cleaning import quality
from twin_assets.cleaning.assets import ANNOTATIONS, CLEANED_DOCUMENTS, DROPPED_DOCUMENTS
from twin_assets.cleaning.documents import load_documents
from twin_assets.resources import PlatformResource
from twin_assets.store.database import Database


def _check(holds: Callable[[Database, str], quality.Finding], asset: dg.AssetKey = CLEANED_DOCUMENTS) -> dg.AssetChecksDefinition:
    """A blocking check, named and described as the function that knows what must hold."""

    @dg.asset_check(asset=asset, name=holds.__name__, description=holds.__doc__, blocking=True)
    def check(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
        finding = holds(platform.raw_database(), context.op_execution_context.partition_key)
        return dg.AssetCheckResult(passed=finding.passed, description=finding.description, metadata=finding.figures)

    return check


@_check
def documents_present(database: Database, author: str) -> quality.Finding:
    """The author has something to learn from."""
    return quality.documents_present(author, load_documents(database, author))


@_check
def no_interface_lines(database: Database, author: str) -> quality.Finding:
    """No "Share this post" and its like in the author's voice."""
    return quality.no_interface_lines(load_documents(database, author))


apostrophes_survive = _check(quality.apostrophes_survive)
paragraphs_survive = _check(quality.paragraphs_survive)
own_words_only = _check(quality.own_words_only)
every_post_accounted_for = _check(quality.every_post_accounted_for, DROPPED_DOCUMENTS)
every_post_annotated = _check(quality.every_post_annotated, ANNOTATIONS)
