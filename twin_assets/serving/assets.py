"""The last asset of the graph: what serves an author's twin."""

import dagster as dg

from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.serving.deploy import deploy
from twin_assets.serving.gate import refusals
from twin_assets.store.errors import TwinError


@dg.asset(
    key_prefix="serving",
    partitions_def=authors,
    deps=[dg.AssetKey(["evaluation", "eval_report"])],
    group_name="serving",
    kinds={"huggingface"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version="1",
)
def tgi_deployment(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """The endpoint that serves the author's twin: OpenAI-compatible, so that TGI, vLLM and llama.cpp are one to its clients.

    On a laptop the adapter is merged into the base model and served as f16 GGUF by llama.cpp's own server, in a process
    that outlives this run. The old version serves until the new one is healthy and has written a text; if the new one
    fails, the old one stays.
    """
    author, settings, registry = context.partition_key, platform.settings(), platform.registry()
    model, report = registry.latest_model(author), registry.latest_artifact(author, "eval_report")
    refused = refusals(model, report.figures if report else {})
    if model is None or refused:
        raise dg.Failure(f"The twin of {author} is not deployed; what serves now stays. {' '.join(refused)}", allow_retries=False)
    try:
        switched = deploy(model, registry, platform.artifacts(), settings)
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    deployment = switched.deployment
    return dg.MaterializeResult(
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
