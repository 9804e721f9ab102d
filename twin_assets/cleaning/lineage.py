"""The columns of a dbt model: their types, what they mean, and which columns of other tables they come from.

Names and types are the database's own, descriptions are the project's, and where a column comes from is read out of the SQL that dbt has
compiled. Following that takes longer than anything else here, and is kept beside it until the SQL or a table that it reads changes.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from sqlalchemy import column, func, select, table, text

from twin_assets.store.database import Database

log = structlog.get_logger(__name__)

Tables = dict[str, dict[str, dict[str, str]]]
"""Types by schema, table and column."""

_TABLES = text(
    """
    select space.nspname, relation.relname, attribute.attname, format_type(attribute.atttypid, attribute.atttypmod)
    from pg_attribute as attribute
    inner join pg_class as relation on attribute.attrelid = relation.oid
    inner join pg_namespace as space on relation.relnamespace = space.oid
    where attribute.attrelid = any(cast(:relations as regclass[])) and attribute.attnum > 0 and not attribute.attisdropped
    order by attribute.attnum
    """
)


class Parent(NamedTuple):
    """A column of another table that a column is made of."""

    schema: str
    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model; without parents where it is made of nothing, or cannot be followed."""

    name: str
    type: str
    description: str
    parents: tuple[Parent, ...]


def read_columns(database: Database, manifest: Mapping[str, Any], model: str, target: Path) -> list[Column]:
    """The columns of a model that was just built, in their order.

    Args:
        database: Has the model, and all that it reads.
        manifest: The parsed JSON of dbt.
        model: Unique id in the manifest, such as ``model.cleaning.stg_posts``.
        target: The folder that dbt has compiled the model to.

    Raises:
        FileNotFoundError: When dbt has not compiled the model there.
    """
    node = manifest["nodes"][model]
    schema, name = node["schema"], node["alias"]
    sources = [(manifest["nodes"].get(key) or manifest["sources"][key])["relation_name"] for key in node["depends_on"]["nodes"]]
    tables = _read_tables(database, [node["relation_name"], *sources])
    sql = (target / "compiled" / node["package_name"] / node["original_file_path"]).read_text("utf-8")
    parents = _kept(target / "lineage" / f"{name}.json", sql, tables)
    return [
        Column(
            column_name,
            column_type,
            node["columns"].get(column_name, {}).get("description", ""),
            tuple(parent for parent in parents.get(column_name, []) if (parent.schema, parent.table) != (schema, name)),
        )
        for column_name, column_type in tables[schema][name].items()
    ]


def count_rows(database: Database, author: str, schema: str, name: str) -> int:
    """How many rows of a table or view are the author's."""
    statement = select(func.count()).select_from(table(name, schema=schema)).where(column("author") == author)
    with database.begin() as connection:
        return connection.execute(statement).scalar_one()


def trace(sql: str, tables: Tables) -> dict[str, list[Parent]]:
    """Where each column of a query comes from.

    Args:
        sql: A query for Postgres.
        tables: Those that it reads; others are not followed.

    Returns:
        By column, the columns of tables that its value is made of, sorted. What decides only which rows there are is none of them. A column
        that cannot be followed has none.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "sqlglotrs is deprecated", DeprecationWarning)
        from sqlglot import MappingSchema, exp, parse_one
        from sqlglot.errors import SqlglotError
        from sqlglot.lineage import lineage
        from sqlglot.optimizer import build_scope, qualify

    found: dict[str, list[Parent]] = {}
    schema = MappingSchema(dict(tables), dialect="postgres", normalize=False)
    try:
        query = qualify.qualify(parse_one(sql, dialect="postgres"), "postgres", schema=schema, validate_qualify_columns=False)
    except SqlglotError as error:
        log.debug("query not followed", reason=str(error))
        return found
    scope = build_scope(query)
    for name in query.named_selects if isinstance(query, exp.Query) else []:
        try:
            selected = exp.column(exp.to_identifier(name, quoted=True))
            node = lineage(selected, query, schema, dialect="postgres", scope=scope, copy=False, trim_selects=False)
        except (SqlglotError, ValueError) as error:
            log.debug("column not followed", column=name, reason=str(error))
            continue
        found[name] = sorted({parent for step in node.walk() if (parent := _parent(step, tables))})
    return found


def _parent(step: Any, tables: Tables) -> Parent | None:
    from sqlglot import exp

    source = step.expression
    if step.downstream or not isinstance(source, exp.Table) or source.name not in tables.get(source.db, {}):
        return None
    parent = Parent(source.db, source.name, exp.to_column(step.name, dialect="postgres").name)
    return parent if parent.column in tables[source.db][source.name] else None


def _kept(path: Path, sql: str, tables: Tables) -> dict[str, list[Parent]]:
    digest = hashlib.sha256(json.dumps([sql, tables]).encode()).hexdigest()
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["digest"] == digest:
            return {name: [Parent(*parent) for parent in parents] for name, parents in kept["columns"].items()}
    columns = trace(sql, tables)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"digest": digest, "columns": columns}))
    part.replace(path)
    return columns


def _read_tables(database: Database, relations: Sequence[str]) -> Tables:
    tables: Tables = {}
    with database.begin() as connection:
        for schema, name, column_name, column_type in connection.execute(_TABLES, {"relations": list(relations)}):
            tables.setdefault(schema, {}).setdefault(name, {})[column_name] = column_type
    return tables
