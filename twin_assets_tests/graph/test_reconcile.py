"""What is behind, on a small chain that really runs."""

from collections.abc import Iterator

import dagster as dg
import pytest

from twin_assets.partitions import authors
from twin_assets.reconcile import behind, busy, held, known_authors

RAW, CLEAN, MODEL = dg.AssetKey("raw"), dg.AssetKey("clean"), dg.AssetKey("model")
content = {"jane": "one"}
passes = {"sound": True}


@dg.asset(partitions_def=authors)
def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(content[context.partition_key]))


@dg.asset(partitions_def=authors, deps=[raw])
def clean(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(content[context.partition_key].strip()))


@dg.asset_check(asset=clean, blocking=True)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passes["sound"])


@dg.asset(partitions_def=authors, deps=[clean])
def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion("m" + content[context.partition_key].strip()))


DEFS = dg.Definitions(assets=[raw, clean, model], asset_checks=[sound])
GRAPH = DEFS.resolve_asset_graph()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    content["jane"], passes["sound"] = "one", True
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(authors.name), ["jane"])
        yield instance


def make(instance: dg.DagsterInstance, *keys: dg.AssetKey) -> None:
    job = DEFS.resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, partition_key="jane", asset_selection=list(keys), raise_on_error=False)


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
    assert not held(instance, GRAPH, MODEL)
    passes["sound"] = False
    make(instance, CLEAN)
    assert held(instance, GRAPH, MODEL)
    assert not held(instance, GRAPH, CLEAN)


def test_a_waiting_run_makes_an_author_busy(instance: dg.DagsterInstance) -> None:
    job = DEFS.resolve_implicit_global_asset_job_def()
    instance.create_run_for_job(job, tags={"dagster/partition": "jane"}, status=dg.DagsterRunStatus.STARTED)
    assert busy(instance, "jane")
    assert not busy(instance, "joe")
