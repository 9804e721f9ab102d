"""Each asset check fails on the fault that it exists for, and passes without it; no check is without such a fault."""

import dagster as dg
import pytest

from twin_assets.definitions import defs
from twin_assets_tests.checks.poisons import POISONS
from twin_assets_tests.checks.world import IN_PYTHON, KEYS, NEVER_MADE, OF_DBT, Checks, Poison, World, name_of

pytestmark = pytest.mark.filterwarnings("default")  # what dagster-dbt and the embedder's libraries deprecate is not ours to mend

CASES = [(name, poison) for name, poisons in POISONS.items() for poison in poisons]


def test_every_check_has_a_poison_and_every_poison_a_check() -> None:
    assert set(POISONS) == {name_of(key) for key in KEYS}
    assert all(POISONS.values())
    assert {name for _, poison in CASES for name in poison.also} <= set(POISONS)
    assert IN_PYTHON and OF_DBT


@pytest.mark.parametrize("key", sorted(defs.resolve_all_asset_keys()), ids=dg.AssetKey.to_user_string)
def test_every_asset_has_a_check(key: dg.AssetKey) -> None:
    assert [check for check in KEYS if check.asset_key == key]


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
