"""The asset that deploys, as Dagster runs it: what it lets through, and whose word it needs."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from twin_assets.resources import PlatformResource
from twin_assets.serving import assets
from twin_assets.serving.checks import endpoint_healthy
from twin_assets.serving.deploy import SwitchOver
from twin_assets.store.database import Database
from twin_assets.store.registry import AUTO, Deployment, Model, Registry
from twin_assets_tests.serving.figures import GOOD

pytestmark = pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated")  # Dagster's own call


@pytest.fixture
def registry(database: Database, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """jane, whose newest model passed; deploying is recording it."""
    registry = Registry(database)
    registry.add_author("jane")
    registry.record_model(Model("m1", "jane", "d1", "c1", "base", "/adapter"))
    registry.record_artifact("jane", "eval_report", "r1", "/report", GOOD)

    def deploy(model: Model, *_: Any) -> SwitchOver:
        deployment = Deployment(model.author, model.version, "llama.cpp", "http://127.0.0.1:9/v1", "/model.gguf")
        registry.record_deployment(deployment)
        return SwitchOver(deployment, changed=True, smoke_text="Rain again.")

    monkeypatch.setattr(assets, "deploy", deploy)
    return registry


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("author", ["jane"])
        yield instance


def _materialize(instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [assets.tgi_deployment, endpoint_healthy],
        instance=instance,
        partition_key="jane",
        resources={"platform": PlatformResource()},
        run_config={"ops": {"serving__tgi_deployment": {"config": config}}} if config else None,
        raise_on_error=False,
    )


def _steps(registry: Registry) -> list[tuple[str, str]]:
    return [(step.after, step.actor) for step in reversed(registry.transitions("jane"))]


def _said(result: dg.ExecuteInProcessResult) -> str:
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return " ".join(failure.user_failure_data.description or "" for failure in failures if failure.user_failure_data)


def test_under_the_automatic_policy_a_proven_model_serves_and_the_policy_is_noted(registry: Registry, instance: dg.DagsterInstance) -> None:
    result = _materialize(instance)
    assert result.success
    assert [event.asset_key for event in result.get_asset_materialization_events()] == [assets.tgi_deployment.key]
    assert _steps(registry) == [("candidate", "training"), ("accepted", AUTO), ("deployed", "deployment")]
    assert registry.transitions("jane")[1].figures["voice_twin"] == GOOD["voice_twin"]


def test_under_the_manual_policy_nothing_is_deployed_the_run_succeeds_and_the_endpoint_is_not_looked_at(
    registry: Registry, instance: dg.DagsterInstance
) -> None:
    registry.change_thresholds("jane", {"policy": "manual"})
    result = _materialize(instance)
    assert result.success
    assert result.get_asset_materialization_events() == []
    assert result.get_asset_check_evaluations() == []
    assert registry.deployment("jane") is None
    assert _steps(registry) == [("candidate", "training")]


@pytest.mark.parametrize(("by", "noted"), [("jo", "jo"), ("", "Dagster UI")])
def test_whoever_materializes_it_with_approve_true_lets_it_serve(
    registry: Registry, instance: dg.DagsterInstance, by: str, noted: str
) -> None:
    registry.change_thresholds("jane", {"policy": "manual"})
    assert _materialize(instance, approve=True, by=by, reason="Read ten of them.").success
    assert _steps(registry) == [("candidate", "training"), ("accepted", noted), ("deployed", "deployment")]
    assert registry.transitions("jane")[1].reason == "Read ten of them."


def test_approve_true_does_not_go_around_the_gate(registry: Registry, instance: dg.DagsterInstance) -> None:
    registry.record_artifact("jane", "eval_report", "r1", "/report", {**GOOD, "verbatim_longest": 40})
    result = _materialize(instance, approve=True, by="jo")
    assert not result.success
    assert "cannot be approved" in _said(result)
    assert registry.deployment("jane") is None
    assert _steps(registry) == [("candidate", "training")]


def test_a_rejected_model_is_not_deployed_under_any_policy(registry: Registry, instance: dg.DagsterInstance) -> None:
    registry.decide("m1", "rejected", "jo", "Too stiff.")
    for policy in ("auto", "manual"):
        registry.change_thresholds("jane", {"policy": policy})
        result = _materialize(instance)
        assert not result.success
        assert "was rejected" in _said(result) and "what serves now stays" in _said(result)
    assert registry.deployment("jane") is None


def test_what_was_approved_before_is_deployed_without_asking_again(registry: Registry, instance: dg.DagsterInstance) -> None:
    registry.change_thresholds("jane", {"policy": "manual"})
    registry.decide("m1", "accepted", "jo", "Fine.")
    assert _materialize(instance).success
    assert _materialize(instance).success
    assert _steps(registry) == [("candidate", "training"), ("accepted", "jo"), ("deployed", "deployment")]
