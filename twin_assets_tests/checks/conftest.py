"""The sample author, made up to the training once for all poisons."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from twin_assets.definitions import defs
from twin_assets.sample import sample_sources
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry
from twin_assets_tests.checks.world import AUTHOR, MODEL, NEVER_MADE, Checks, OneTransaction, World, endpoint, make_assets, stand_in


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("author", [AUTHOR])
        yield instance


@pytest.fixture(scope="session")
def made(session_database: Database, settings: Settings, instance: dg.DagsterInstance) -> Iterator[dg.ExecuteInProcessResult]:
    """How the making of the assets went."""
    registry = Registry(session_database)
    registry.add_author(AUTHOR)
    for path in sample_sources():
        registry.add_source(AUTHOR, str(path))
    result = make_assets(instance, AUTHOR, [key for key in defs.resolve_all_asset_keys() if tuple(key.path) not in NEVER_MADE])
    with endpoint(MODEL) as url:
        stand_in(registry, ArtifactStore(settings.artifacts_url), url)
        yield result


@pytest.fixture(scope="session")
def checks(made: dg.ExecuteInProcessResult, settings: Settings, instance: dg.DagsterInstance) -> Checks:
    return Checks(settings, instance)


@pytest.fixture
def world(made: dg.ExecuteInProcessResult, session_database: Database, settings: Settings, tmp_path: Path) -> Iterator[World]:
    """The author in good health; whatever is done to it is undone."""
    with session_database.engine.connect() as connection, connection.begin() as transaction:
        yield World(OneTransaction(connection, session_database.url), settings, tmp_path)
        transaction.rollback()
