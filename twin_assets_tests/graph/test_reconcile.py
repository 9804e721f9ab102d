"""What is behind, on a small chain that really runs."""

from collections.abc import Iterator

import dagster as dg
import pytest

from twin_assets.automation import DEPLOYMENT, reconcile
from twin_assets.partitions import authors
from twin_assets.reconcile import behind, busy, held, known_authors
from twin_assets.resources import PlatformResource
from twin_assets.serving.gate import approve, reject
from twin_assets.store.database import Database
from twin_assets.store.registry import Model, Registry
from twin_assets_tests.graph.test_automation import Graph, stand_in
from twin_assets_tests.serving.figures import GOOD

RAW, CLEAN, MODEL = dg.AssetKey("raw"), dg.AssetKey("clean"), dg.AssetKey("model")
content = {"jane": "one", "joe": "one"}
passes = {"jane": True, "joe": True}


@dg.asset(partitions_def=authors)
def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(content[context.partition_key]))


@dg.asset(partitions_def=authors, deps=[raw])
def clean(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(content[context.partition_key].strip()))


@dg.asset_check(asset=clean, blocking=True, partitions_def=authors)
def sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passes[context.partition_key])


@dg.asset(partitions_def=authors, deps=[clean])
def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion("m" + content[context.partition_key].strip()))


DEFS = dg.Definitions(assets=[raw, clean, model], asset_checks=[sound])
GRAPH = DEFS.resolve_asset_graph()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    content["jane"], passes["jane"] = "one", True
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(authors.name), ["jane"])
        yield instance


def make(instance: dg.DagsterInstance, *keys: dg.AssetKey, author: str = "jane") -> None:
    job = DEFS.resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, partition_key=author, asset_selection=list(keys), raise_on_error=False)


def late(instance: dg.DagsterInstance) -> list[dg.AssetKey]:
    return [asset.key for asset in behind(instance, GRAPH, "jane")]


def test_the_first_missing_asset_is_behind(instance: dg.DagsterInstance) -> None:
    assert late(instance) == [RAW]
    make(instance, RAW)
    assert late(instance) == [CLEAN]


def test_a_finished_chain_is_not(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, CLEAN, MODEL)
    assert late(instance) == []
    assert known_authors(instance) == ["jane"]
    assert not busy(instance, "jane")


def test_new_content_leaves_what_follows_behind_but_the_same_content_does_not(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, CLEAN, MODEL)
    content["jane"] = "two"
    make(instance, RAW)
    assert late(instance) == [CLEAN]
    content["jane"] = "one "
    make(instance, RAW, CLEAN)
    assert late(instance) == []


def test_the_same_content_is_asked_for_once(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, CLEAN)
    (first,), (again,) = behind(instance, GRAPH, "jane"), behind(instance, GRAPH, "jane")
    assert first.consumed == again.consumed
    content["jane"] = "two"
    make(instance, RAW, CLEAN)
    (other,) = behind(instance, GRAPH, "jane")
    assert other.consumed != first.consumed


def test_a_failed_blocking_check_holds(instance: dg.DagsterInstance) -> None:
    make(instance, RAW, CLEAN)
    assert not held(instance, GRAPH, MODEL, "jane")
    passes["jane"] = False
    make(instance, CLEAN)
    assert held(instance, GRAPH, MODEL, "jane")
    assert not held(instance, GRAPH, CLEAN, "jane")


def test_what_a_check_says_of_one_author_holds_no_other_back_and_clears_none(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions(str(authors.name), ["joe"])
    passes["jane"] = False
    make(instance, RAW, CLEAN)
    make(instance, RAW, CLEAN, author="joe")
    assert held(instance, GRAPH, MODEL, "jane")
    assert not held(instance, GRAPH, MODEL, "joe")
    make(instance, CLEAN)
    assert not held(instance, GRAPH, MODEL, "joe")


def test_a_waiting_run_makes_an_author_busy(instance: dg.DagsterInstance) -> None:
    job = DEFS.resolve_implicit_global_asset_job_def()
    instance.create_run_for_job(job, tags={"dagster/partition": "jane"}, status=dg.DagsterRunStatus.STARTED)
    assert busy(instance, "jane")
    assert not busy(instance, "joe")


class World(Graph):
    """The whole graph with jane's assets made, all but the deployment; and the registry that says whether there may be one."""

    def __init__(self, instance: dg.DagsterInstance, registry: Registry) -> None:
        self.registry = registry
        self.content = ["one"]
        super().__init__(instance, stand_in(self.content))
        registry.add_author("jane")
        registry.change_thresholds("jane", {"policy": "manual"})

    def evaluate(self, version: str, **figures: object) -> None:
        """A new model, and a report on it."""
        self.registry.record_model(Model(version, "jane", "d1", "c1", "base", "/adapter"))
        self.registry.record_artifact("jane", "eval_report", version, "/report", {**GOOD, "model_version": version, **figures})
        self.content.append(version)
        assert self.make(*(key for key in self.defs.resolve_all_asset_keys() if key != DEPLOYMENT))

    def requested(self) -> list[list[dg.AssetKey]]:
        """What the sensor asks for now."""
        context = dg.build_sensor_context(
            self.instance, repository_def=self.defs.get_repository_def(), resources={"platform": PlatformResource()}
        )
        result = reconcile(context)
        assert isinstance(result, dg.SensorResult)
        return [list(request.asset_selection or []) for request in result.run_requests or []]


@pytest.fixture
def world(instance: dg.DagsterInstance, database: Database) -> World:
    world = World(instance, Registry(database))
    world.evaluate("m1")
    return world


def test_a_model_that_waits_is_not_requested_and_an_approved_one_is(world: World) -> None:
    assert [asset.key for asset in behind(world.instance, world.defs.resolve_asset_graph(), "jane")] == [DEPLOYMENT]
    assert world.requested() == []
    approve("jane", "jo", world.registry)
    assert world.requested() == [[DEPLOYMENT]]
    assert world.make(DEPLOYMENT)
    assert world.requested() == []


def test_a_new_model_waits_though_the_one_before_was_approved(world: World) -> None:
    approve("jane", "jo", world.registry)
    world.make(DEPLOYMENT)
    world.evaluate("m2")
    assert world.requested() == []
    reject("jane", "jo", world.registry)
    assert world.requested() == []
    approve("jane", "jo", world.registry)
    assert world.requested() == [[DEPLOYMENT]]


def test_a_model_that_did_not_pass_is_not_requested_whatever_the_policy(world: World) -> None:
    world.registry.change_thresholds("jane", {"policy": "auto"})
    assert world.requested() == [[DEPLOYMENT]]
    world.evaluate("m2", verbatim_longest=60)
    assert world.requested() == []


def test_what_waits_holds_nothing_else_back(world: World) -> None:
    assert world.requested() == []
    world.content.append("more")
    world.make(dg.AssetKey(["ingest", "raw_posts"]))
    assert world.requested()
    assert DEPLOYMENT not in {key for keys in world.requested() for key in keys}
