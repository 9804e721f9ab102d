"""What Dagster shows of the table that a dbt model made: its columns, where they come from, and how many rows are the author's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from twin_assets.cleaning.lineage import Column, count_rows, read_columns
from twin_assets.store.database import Database

NOT_COUNTED = frozenset({"dropped_blocks"})
"""A view that looks through every line again whenever it is read: of 100,000 documents that takes seconds."""


def described(event: object, manifest: Mapping[str, Any], target: Path, database: Database, author: str) -> object:
    """An event of a dbt build; where it is the output of a model, with metadata on the table that was just made.

    dagster-dbt has code for this too, which is not used: it loads dbt into the process, and counts the rows of all authors. The types of a
    model with an enforced contract are in the definition of its asset already. Dagster's free UI does not show the lineage of columns, so it
    is there a second time, as a table.

    Args:
        event: Of dagster-dbt.
        manifest: The parsed JSON of dbt.
        target: The folder that dbt writes to.
        database: Has the table.
        author: The partition.
    """
    if not isinstance(event, dg.Output):
        return event
    model = str(event.metadata["unique_id"].value)
    node, columns = manifest["nodes"][model], read_columns(database, manifest, model, target)
    metadata: dict[str, Any] = {"dagster/column_lineage": _lineage(columns), "column_origins": _origins(columns)}
    if not node["config"]["contract"]["enforced"]:
        metadata["dagster/column_schema"] = _schema(columns)
    if node["name"] not in NOT_COUNTED:
        metadata["dagster/partition_row_count"] = count_rows(database, author, node["schema"], node["alias"])
    return event.with_metadata({**event.metadata, **metadata})


def _schema(columns: Sequence[Column]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(column.name, column.type, column.description) for column in columns])


def _origins(columns: Sequence[Column]) -> dg.MetadataValue:
    rows = [(column.name, ", ".join(f"{parent.table}.{parent.column}" for parent in column.parents)) for column in columns]
    return dg.MetadataValue.table([dg.TableRecord({"column": name, "comes from": origin}) for name, origin in rows])


def _lineage(columns: Sequence[Column]) -> dg.TableColumnLineage:
    # The assets are named as the tables are.
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(dg.AssetKey([parent.schema, parent.table]), parent.column) for parent in column.parents]
            for column in columns
        }
    )
