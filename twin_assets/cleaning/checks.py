"""Checks on the cleaned documents of one author, beside those that dbt's tests become."""

from collections.abc import Callable
from functools import update_wrapper

import dagster as dg

from twin_assets.cleaning import quality
from twin_assets.cleaning.assets import ANNOTATIONS, CLEANED_DOCUMENTS, DROPPED_DOCUMENTS
from twin_assets.cleaning.documents import load_documents
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.store.database import Database


def _check(
    holds: Callable[[Database, str], quality.Finding], asset: dg.AssetKey = CLEANED_DOCUMENTS, blocking: bool = True
) -> dg.AssetChecksDefinition:
    """A check that is named and described as the function that knows what must hold."""

    @dg.asset_check(asset=asset, name=holds.__name__, description=holds.__doc__, blocking=blocking, partitions_def=authors)
    def check(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
        finding = holds(platform.raw_database(), context.partition_key)
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


def _view_check(holds: Callable[[Database, str, str], quality.Finding], view: str) -> dg.AssetChecksDefinition:
    """A check on one of several views, which blocks nothing: no asset is made from it that is not made together with it."""

    def about(database: Database, author: str) -> quality.Finding:
        return holds(database, author, view)

    return _check(update_wrapper(about, holds), dg.AssetKey(["cleaning", view]), blocking=False)


every_post_staged_once = _check(quality.every_post_staged_once, dg.AssetKey(["cleaning", "stg_posts"]), blocking=False)
families_are_their_own = [_view_check(quality.family_is_its_own, family) for family in quality.FAMILIES]
views_show_their_kinds = [_view_check(quality.view_shows_its_kinds, view) for view in quality.KINDS]
every_removal_says_why = _check(quality.every_removal_says_why, dg.AssetKey(["cleaning", "dropped_blocks"]), blocking=False)
