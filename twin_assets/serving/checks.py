"""Checks on what serves."""

import dagster as dg

from twin_assets.cleaning.quality import Finding
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.serving.assets import tgi_deployment
from twin_assets.store.registry import Deployment
from twin_assets.writing import model_server


def endpoint_serves(author: str, deployment: Deployment | None) -> Finding:
    """The registered endpoint answers, and with the version that the registry names."""
    if deployment is None:
        return Finding(False, f"Nothing serves {author}. Materialize serving/tgi_deployment.")
    if model_server.healthy(deployment.url, deployment.model_version):
        return Finding(True, f"{deployment.url} serves {deployment.model_version}.")
    return Finding(False, f"{deployment.url} does not serve {deployment.model_version}. `twin up` starts it again.")


@dg.asset_check(asset=tgi_deployment, partitions_def=authors)
def endpoint_healthy(context: dg.AssetCheckExecutionContext, platform: PlatformResource) -> dg.AssetCheckResult:
    """The endpoint of the author answers under the version that the registry names."""
    author = context.partition_key
    finding = endpoint_serves(author, platform.registry().deployment(author))
    return dg.AssetCheckResult(passed=finding.passed, description=finding.description)
