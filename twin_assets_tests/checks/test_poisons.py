"""Each asset check fails on the fault that it exists for, and passes without it; no check is without such a fault."""

import dagster as dg
import pytest

from twin_assets.definitions import defs
from twin_assets.store.database import Database
from twin_assets_tests.checks.poisons import POISONS
from twin_assets_tests.checks.world import IN_PYTHON, KEYS, NEVER_MADE, OF_DBT, Checks, Poison, World, make_assets, name_of
from twin_assets_tests.cleaning.posts import add_post, block, paragraph

pytestmark = [  # Dagster's own calls
    pytest.mark.filterwarnings("ignore:The .__fields__. attribute is deprecated"),
    pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated"),
]

CASES = [(name, poison) for name, poisons in POISONS.items() for poison in poisons]


def test_every_check_has_a_poison_and_every_poison_a_check() -> None:
    assert set(POISONS) == {name_of(key) for key in KEYS}
    assert all(POISONS.values())
    assert {name for _, poison in CASES for name in poison.also} <= set(POISONS)
    assert IN_PYTHON and OF_DBT


def test_the_build_of_a_healthy_author_passes_every_check(made: dg.ExecuteInProcessResult) -> None:
    evaluations = made.get_asset_check_evaluations()
    assert [evaluation for evaluation in evaluations if not evaluation.passed] == []
    assert {evaluation.asset_check_key for evaluation in evaluations} == {
        key for key in KEYS if tuple(key.asset_key.path) not in NEVER_MADE
    }
    assert made.success


def test_without_poison_nothing_fails(world: World, checks: Checks) -> None:
    assert checks.failed(world.database) == set()


@pytest.mark.parametrize(("name", "poison"), CASES, ids=[f"{name.rpartition(':')[2][:60]}-{poison.fault[:60]}" for name, poison in CASES])
def test_a_check_fails_on_its_fault(name: str, poison: Poison, world: World, checks: Checks) -> None:
    poison.put(world)
    assert checks.failed(world.database) == {name, *poison.also}


def test_a_test_of_dbt_that_fails_is_a_failed_check_and_stops_what_comes_after(
    made: dg.ExecuteInProcessResult, session_database: Database, instance: dg.DagsterInstance
) -> None:
    """Last of all, as the build leaves another author's documents in dbt's tables."""
    add_post(session_database, "eve", "odd", paragraph("A state that nobody knows."), state="perhaps")
    add_post(session_database, "eve", "verse", block("stanza", "A block that no text has a place for."))
    instance.add_dynamic_partitions("author", ["eve"])
    result = make_assets(instance, "eve", [key for key in defs.resolve_all_asset_keys() if key.path[0] == "cleaning"])
    assert not result.success
    found = {evaluation.check_name.split("__")[0]: evaluation for evaluation in result.get_asset_check_evaluations()}
    failed = {name: evaluation.severity.value for name, evaluation in found.items() if not evaluation.passed}
    assert failed == {
        "source_accepted_values_ingest_raw_posts_state": "WARN",
        "accepted_values_int_posts_reason": "ERROR",
    }
    assert "unique_cleaned_documents_document_id" not in found
