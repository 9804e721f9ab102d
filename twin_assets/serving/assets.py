"""The last asset of the graph: what serves an author's twin."""

from collections.abc import Iterator

import dagster as dg

from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.serving.deploy import deploy
from twin_assets.serving.gate import PASSED, approve, refusals, undecided, waits
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import AUTO


class Approval(dg.Config):
    """Where the author's policy is manual, a person may let the newest model serve by materializing with this configuration."""

    approve: bool = False
    """Let it serve."""
    by: str = ""
    """Who says so."""
    reason: str = ""
    """Why."""


@dg.asset(
    key_prefix="serving",
    partitions_def=authors,
    deps=[dg.AssetKey(["evaluation", "eval_report"])],
    group_name="serving",
    kinds={"huggingface"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version="2",
    output_required=False,
)
def tgi_deployment(context: dg.AssetExecutionContext, config: Approval, platform: PlatformResource) -> Iterator[dg.MaterializeResult]:
    """The endpoint that serves the author's twin: OpenAI-compatible, so that TGI, vLLM and llama.cpp are one to its clients.

    Only a model that passed every check of the gate is served, at once (policy auto) or when a person has approved it (policy manual:
    `twin approve`, the assistant, or this asset's configuration). On a laptop the adapter is merged into the base model and served as
    f16 GGUF by llama.cpp's own server, in a process that outlives this run. The old version serves until the new one is healthy and
    has written a text; if the new one fails, the old one stays.
    """
    author, settings, registry = context.partition_key, platform.settings(), platform.registry()
    report = registry.latest_artifact(author, "eval_report")
    try:
        if config.approve:
            approve(author, config.by or "Dagster UI", registry, reason=config.reason)
        model, thresholds = registry.latest_model(author), registry.thresholds(author)
        refused = refusals(model, report.figures if report else {}, thresholds)
        if model is None or refused:
            raise TwinError(f"The twin of {author} is not deployed; what serves now stays. {' '.join(refused)}")
        if waits(model, thresholds):
            context.log.warning(
                f"Model {model.version} passed every check and waits for a person: `twin approve {author}`, the assistant, or "
                "materialize this asset with the configuration approve: true."
            )
            return
        if undecided(model):
            registry.decide(model.version, "accepted", AUTO, PASSED, report.figures if report else {}, before=model.status)
        switched = deploy(model, registry, platform.artifacts(), settings)
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    deployment = switched.deployment
    yield dg.MaterializeResult(
        metadata={
            "model_version": deployment.model_version,
            "engine": deployment.engine,
            "endpoint": dg.MetadataValue.url(deployment.url),
            "model_file": dg.MetadataValue.path(deployment.model_uri),
            "switched": switched.changed,
            "smoke_test": switched.smoke_text,
        },
        data_version=dg.DataVersion(deployment.model_version),
    )
