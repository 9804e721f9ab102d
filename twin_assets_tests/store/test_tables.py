"""The migrations and the table definitions say the same."""

from collections.abc import Mapping

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from twin_assets.store.database import Database
from twin_assets.store.tables import SCHEMAS, metadata


def _is_ours(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """Whether the migrations make it: beside their tables in the schema ``cleaning`` are those that dbt makes."""
    if kind == "schema":
        return name in SCHEMAS
    return kind != "table" or parents["schema_name"] != "cleaning" or f"cleaning.{name}" in metadata.tables


def _differences(database: Database) -> list[object]:
    with database.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": _is_ours,
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
