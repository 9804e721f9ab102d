"""Shared fixtures: a real embedded Postgres for the session, emptied for each test; real inputs where they are offered."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from twin_assets.settings import Settings, get_settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.roles import Role
from twin_assets.store.tables import SCHEMAS


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings with a home of their own; the whole process uses them."""
    home = tmp_path_factory.mktemp("twin home")  # with a space: paths must survive it
    for folder in (home, *home.parents):  # pytest's folders are closed to the account that Postgres runs as under root
        if folder.stat().st_uid == os.geteuid() and os.geteuid() == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWIN_HOME", str(home))
        patch.setenv("TWIN_ENVIRONMENT", "ci")
        patch.setenv("TWIN_PRIVATE_LINKS", "true")  # sites of tests are on this machine
        patch.setenv("DAGSTER_HOME", "")
        get_settings.cache_clear()
        yield get_settings()
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def session_database(settings: Settings) -> Iterator[Database]:
    """The embedded Postgres of this session, as its owner: a test may put anything anywhere."""
    database = open_database(settings, Role.OWNER)
    yield database
    database.engine.dispose()
    EmbeddedPostgres(settings.postgres_home).stop()


@pytest.fixture
def database(session_database: Database) -> Database:
    """A migrated and empty database."""
    with session_database.begin() as connection:
        schemas = ", ".join(f"'{schema}'" for schema in SCHEMAS)
        tables = connection.scalars(
            text(f"select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ({schemas})")
        ).all()
        connection.execute(text(f"truncate {', '.join(tables)} cascade"))
    return session_database


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real inputs, read-only."""
    folder = os.environ.get("TWIN_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real inputs are not here: set TWIN_TEST_DATA to their folder")
    return Path(folder)
