"""The migrations and the table definitions say the same."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from twin_assets.store.database import Database
from twin_assets.store.tables import SCHEMAS, metadata


def _differences(database: Database) -> list[object]:
    with database.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, parents: kind != "schema" or (name in SCHEMAS and name != "cleaning"),
            },
        )
        found = compare_metadata(context, metadata)
    flat = [step for entry in found for step in (entry if isinstance(entry, list) else [entry])]
    return [step for step in flat if step[0] not in {"modify_comment", "add_table_comment"}]


def test_migrations_make_the_tables(database: Database) -> None:
    assert _differences(database) == []


def test_a_difference_would_be_seen(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("alter table features.chunks add column stray text"))
    try:
        assert [step[0] for step in _differences(database)] == ["remove_column"]
    finally:
        with database.begin() as connection:
            connection.execute(text("alter table features.chunks drop column stray"))


def test_migrating_again_changes_nothing(database: Database) -> None:
    database.migrate()
    with database.begin() as connection:
        assert connection.execute(text("select count(*) from alembic_version")).scalar() == 1
