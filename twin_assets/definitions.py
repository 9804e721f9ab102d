"""The one place where assets, checks, sensors, automation, freshness and resources meet."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from twin_assets.automation import FOLLOW_CONTENT, FOLLOW_TOGETHER, automation_sensors, reconcile
from twin_assets.cleaning import assets as cleaning_assets
from twin_assets.cleaning import checks as cleaning_checks
from twin_assets.evaluation import assets as evaluation_assets
from twin_assets.evaluation import checks as evaluation_checks
from twin_assets.features import assets as features_assets
from twin_assets.features import checks as features_checks
from twin_assets.freshness import FRESHNESS
from twin_assets.ingest import assets as ingest_assets
from twin_assets.ingest import checks as ingest_checks
from twin_assets.ingest.sensors import source_changes
from twin_assets.resources import AwsResource, PlatformResource
from twin_assets.serving import assets as serving_assets
from twin_assets.serving import checks as serving_checks
from twin_assets.training import assets as training_assets
from twin_assets.training import checks as training_checks
from twin_assets.voice import assets as voice_assets
from twin_assets.voice import checks as voice_checks

ASSET_MODULES = (ingest_assets, cleaning_assets, features_assets, voice_assets, training_assets, evaluation_assets, serving_assets)
CHECK_MODULES = (ingest_checks, cleaning_checks, features_checks, voice_checks, training_checks, evaluation_checks, serving_checks)
RAW_POSTS = dg.AssetKey(["ingest", "raw_posts"])


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Assembles the code location.

    Args:
        resource_overrides: Resources that replace the default ones, by name.
    """
    assets = [asset for asset in dg.load_assets_from_modules(ASSET_MODULES) if isinstance(asset, dg.AssetsDefinition)]
    return dg.Definitions(
        assets=dg.map_asset_specs(_with_policies, assets),
        asset_checks=dg.load_asset_checks_from_modules(CHECK_MODULES),
        sensors=[source_changes, reconcile, *automation_sensors()],
        jobs=[dg.define_asset_job("twin", selection=dg.AssetSelection.all(), description="The whole chain for one author.")],
        resources={"platform": PlatformResource(), "pipes": dg.PipesSubprocessClient(), "aws": AwsResource(), **(resource_overrides or {})},
        executor=dg.in_process_executor,  # the chain is sequential, and training is a process of its own
    )


def _with_policies(spec: dg.AssetSpec) -> dg.AssetSpec:
    if spec.key != RAW_POSTS:
        together = spec.key.path[0] == "cleaning" and "cleaning" in {dep.asset_key.path[0] for dep in spec.deps}
        spec = spec.replace_attributes(automation_condition=FOLLOW_TOGETHER if together else FOLLOW_CONTENT)
    if spec.key in FRESHNESS:
        spec = spec.replace_attributes(freshness_policy=FRESHNESS[spec.key])
    return spec


defs = build_defs()
