"""Columns and where they come from: on invented SQL, then on the project itself in a real Postgres."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from twin_assets.cleaning import assets, lineage, project
from twin_assets.cleaning.lineage import Column, Parent, trace
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets_tests.cleaning.posts import add_post, block, clean, empty, paragraph

TABLES = {
    "shop": {
        "orders": {"id": "integer", "customer": "text", "lines": "jsonb", "Note": "text"},
        "customers": {"name": "text", "city": "text"},
    }
}


def parents(sql: str) -> dict[str, list[str]]:
    return {name: [".".join(parent) for parent in found] for name, found in trace(sql, TABLES).items()}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from shop.customers", {"name": ["shop.customers.name"], "city": ["shop.customers.city"]}),
        ('select "Note" as "The note" from "db"."shop"."orders"', {"The note": ["shop.orders.Note"]}),
        ("select customer || id as label from shop.orders", {"label": ["shop.orders.customer", "shop.orders.id"]}),
        ("select 1 as one, count(*) as rows from shop.orders", {"one": [], "rows": []}),
        ("select city from shop.customers where name = 'x'", {"city": ["shop.customers.city"]}),
        ("select customer as c from shop.orders union all select name from shop.customers", {"c": ["shop.customers.name", "shop.orders.customer"]}),
        (
            "with o as materialized (select * from shop.orders) select o.id, c.city from o left join shop.customers as c on o.customer = c.name",
            {"id": ["shop.orders.id"], "city": ["shop.customers.city"]},
        ),
        (
            "select line.value ->> 'item' as item, line.place from shop.orders as o"
            " cross join lateral jsonb_array_elements(o.lines) with ordinality as line (value, place)",
            {"item": ["shop.orders.lines"], "place": ["shop.orders.lines"]},
        ),
        (
            "with o as (select customer from shop.orders) select word.it from o"
            " cross join lateral string_to_table(o.customer, E'\\n') with ordinality as word (it, place)",
            {"it": ["shop.orders.customer"]},
        ),
        ("select (select max(city) from shop.customers where name = customer) as last from shop.orders", {"last": ["shop.customers.city"]}),
        ("select t.a from elsewhere.t", {"a": []}),
    ],
)  # fmt: skip
def test_a_column_comes_from_the_columns_that_its_value_is_made_of(sql: str, expected: dict[str, list[str]]) -> None:
    assert parents(sql) == expected


@pytest.mark.parametrize(
    "sql", ["", "select from where", "select o.no from shop.orders as o join shop.customers on true", "delete from shop.orders"]
)
def test_what_cannot_be_followed_has_no_parents(sql: str) -> None:
    assert trace(sql, TABLES) == {}


@pytest.fixture
def shop(session_database: Database) -> Iterator[Database]:
    with session_database.begin() as connection:
        connection.execute(text("create schema shop"))
        connection.execute(text('create table shop.orders (id int, customer text, gone text, amount numeric(9, 2), "Author" text)'))
        connection.execute(text("alter table shop.orders drop column gone"))
        connection.execute(text("create table shop.totals as select customer as author, amount as total, true as open from shop.orders"))
        connection.execute(text("insert into shop.totals values ('ada', 1, true), ('ada', 2, true), ('o''neil', 3, true), (null, 4, true)"))
    yield session_database
    with session_database.begin() as connection:
        connection.execute(text("drop schema shop cascade"))


MANIFEST: dict[str, Any] = {
    "nodes": {
        "model.shop.totals": {
            "name": "totals",
            "schema": "shop",
            "alias": "totals",
            "relation_name": '"shop"."totals"',
            "package_name": "shop",
            "original_file_path": "models/totals.sql",
            "depends_on": {"nodes": ["source.shop.orders"]},
            "config": {"contract": {"enforced": False}},
            "columns": {"total": {"description": "What they spent."}},
        }
    },
    "sources": {"source.shop.orders": {"relation_name": '"shop"."orders"'}},
}
TOTALS = "select customer as author, sum(amount) as total, true as open from shop.orders group by customer"


def compiled(target: Path, sql: str) -> Path:
    file = target / "compiled/shop/models/totals.sql"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sql)
    return target


def test_columns_have_the_databases_types_and_the_projects_descriptions(shop: Database, tmp_path: Path) -> None:
    assert lineage.read_columns(shop, MANIFEST, "model.shop.totals", compiled(tmp_path, TOTALS)) == [
        Column("author", "text", "", (Parent("shop", "orders", "customer"),)),
        Column("total", "numeric(9,2)", "What they spent.", (Parent("shop", "orders", "amount"),)),
        Column("open", "boolean", "", ()),
    ]


def test_a_table_is_no_parent_of_itself(shop: Database, tmp_path: Path) -> None:
    target = compiled(tmp_path, f"{TOTALS} union all select * from shop.totals")
    columns = lineage.read_columns(shop, MANIFEST, "model.shop.totals", target)
    assert [column.parents for column in columns] == [(Parent("shop", "orders", "customer"),), (Parent("shop", "orders", "amount"),), ()]


def test_sql_is_followed_once_until_it_or_a_table_changes(shop: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[str] = []
    monkeypatch.setattr(lineage, "trace", lambda sql, tables: followed.append(sql) or trace(sql, tables))

    def read(sql: str) -> list[Column]:
        return lineage.read_columns(shop, MANIFEST, "model.shop.totals", compiled(tmp_path, sql))

    first = read(TOTALS)
    (tmp_path / "lineage/totals.part").write_text("half of a fi")  # a process was killed
    assert read(TOTALS) == first
    other = TOTALS.replace("sum(amount)", "max(id)")
    assert read(other)[1].parents == (Parent("shop", "orders", "id"),)
    with shop.begin() as connection:
        connection.execute(text("alter table shop.totals add column later date"))
    assert read(other)[3] == Column("later", "date", "", ())
    assert followed == [TOTALS, other, other]
    assert [file.name for file in (tmp_path / "lineage").iterdir()] == ["totals.json"]


def test_rows_are_counted_of_one_author(shop: Database) -> None:
    assert [lineage.count_rows(shop, author, "shop", "totals") for author in ("ada", "o'neil", "bob")] == [2, 1, 0]


def test_an_output_gets_types_descriptions_origins_and_rows(shop: Database, tmp_path: Path) -> None:
    target = compiled(tmp_path, TOTALS.replace("sum(amount)", "sum(amount) + max(id)"))
    event = dg.Output("value", output_name="totals", metadata={"unique_id": "model.shop.totals", "status": "success"})
    output = assets.described(event, MANIFEST, target, shop, "ada")
    assert isinstance(output, dg.Output)
    assert (output.value, output.output_name) == ("value", "totals")
    orders = dg.AssetKey(["shop", "orders"])
    assert output.metadata == {
        **event.metadata,
        "dagster/column_schema": dg.MetadataValue.table_schema(
            dg.TableSchema(
                [
                    dg.TableColumn("author", "text", ""),
                    dg.TableColumn("total", "numeric(9,2)", "What they spent."),
                    dg.TableColumn("open", "boolean", ""),
                ]
            )
        ),
        "dagster/column_lineage": dg.MetadataValue.column_lineage(
            dg.TableColumnLineage(
                {
                    "author": [dg.TableColumnDep(orders, "customer")],
                    "total": [dg.TableColumnDep(orders, "amount"), dg.TableColumnDep(orders, "id")],
                    "open": [],
                }
            )
        ),
        "column_origins": dg.MetadataValue.table(
            [
                dg.TableRecord({"column": "author", "comes from": "orders.customer"}),
                dg.TableRecord({"column": "total", "comes from": "orders.amount, orders.id"}),
                dg.TableRecord({"column": "open", "comes from": ""}),
            ]
        ),
        "dagster/partition_row_count": dg.MetadataValue.int(2),
    }


ADA = "ada o'neil"
MODELS_ALONE = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")


@pytest.fixture(scope="module")
def full(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the SQL of a build from nothing is put aside."""
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def warehouse(session_database: Database, settings: Settings, full: Path) -> Iterator[Database]:
    """All models of two authors, and then what has changed of one."""
    empty(session_database)
    for number in range(4):
        add_post(session_database, ADA, f"{number}", paragraph(f"Loaf {number} is here."), block("quote", "As they say."))
    add_post(session_database, ADA, "draft", paragraph("Not yet."), state="draft", reason="It is a draft.")
    add_post(session_database, "bob", "only", paragraph("Mine is here."))
    clean(settings, session_database, "--full-refresh", *MODELS_ALONE)
    shutil.copytree(project.target(settings) / "compiled", full / "compiled")
    add_post(session_database, ADA, "note", paragraph("Rye for breakfast."), kind="note", platform="linkedin")
    clean(settings, session_database, *MODELS_ALONE, author=ADA, changed_only=True)
    yield session_database
    empty(session_database)


@pytest.fixture(scope="module")
def manifest(settings: Settings) -> dict[str, Any]:
    return json.loads(project.manifest(settings).read_text())


def models(manifest: dict[str, Any]) -> dict[str, str]:
    return {node["name"]: key for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}


def columns_of(database: Database, manifest: dict[str, Any], target: Path) -> dict[str, dict[str, set[str]]]:
    return {
        name: {
            column.name: {f"{parent.table}.{parent.column}" for parent in column.parents}
            for column in lineage.read_columns(database, manifest, key, target)
        }
        for name, key in models(manifest).items()
    }


def test_the_projects_columns_are_followed(warehouse: Database, settings: Settings, full: Path, manifest: dict[str, Any]) -> None:
    columns = columns_of(warehouse, manifest, project.target(settings))
    assert columns["stg_social"]["document_id"] == {"raw_posts.id"}
    assert columns["stg_posts"]["language"] == {"annotations.language"}
    assert columns["stg_posts"]["blocks"] == {f"stg_{family}.blocks" for family in ("social", "publications", "code", "files")}
    assert {"stg_posts.title", "stg_posts.masks"} <= columns["int_posts"]["title"]
    assert columns["int_blocks"]["voice_text"] == {"stg_posts.blocks", "stg_posts.masks"}
    assert {"int_blocks.voice_text", "int_repeated_blocks.block_hash"} <= columns["int_documents"]["text_for_voice"]
    assert columns["cleaned_documents"]["text_for_voice"] == {"int_documents.text_for_voice"}
    assert columns["posts"]["text_for_rag"] == {"cleaned_documents.text_for_rag"}
    assert columns["dropped_documents"]["reason"] == {"int_posts.reason", "int_documents.reason"}
    assert columns["dropped_blocks"]["removed_text"] == {"int_blocks.block_text"}
    # Only constants come from nowhere.
    orphans = {f"{model}.{name}" for model, found in columns.items() for name, parents in found.items() if not parents}
    assert orphans == {"int_posts.pending", "dropped_blocks.lane"}

    incremental, anew = (folder / "compiled/cleaning/models/intermediate/int_posts.sql" for folder in (project.target(settings), full))
    assert incremental.read_text() != anew.read_text()
    assert columns_of(warehouse, manifest, full) == columns


def test_the_graph_shows_columns_lineage_and_rows(warehouse: Database, settings: Settings, manifest: dict[str, Any]) -> None:
    rows: dict[str, object] = {}
    for name, key in models(manifest).items():
        spec = assets.cleaning.specs_by_key[dg.AssetKey(["cleaning", name])]
        output = assets.described(dg.Output(None, metadata={"unique_id": key}), manifest, project.target(settings), warehouse, ADA)
        assert isinstance(output, dg.Output)
        shown: dict[str, Any] = {"dagster/column_schema": spec.metadata["dagster/column_schema"]}
        shown |= {key: value.value for key, value in output.metadata.items()}
        columns, deps = shown["dagster/column_schema"].columns, shown["dagster/column_lineage"].deps_by_column
        assert [column.name for column in columns] == list(deps)
        assert "?" not in [column.type for column in columns]
        assert {dep.asset_key for found in deps.values() for dep in found} <= {dep.asset_key for dep in spec.deps}
        rows[name] = shown.get("dagster/partition_row_count")
    assert rows == {
        "stg_social": 1,
        "stg_publications": 5,
        "stg_code": 0,
        "stg_files": 0,
        "stg_posts": 6,
        "int_posts": 6,
        "int_blocks": 9,
        "int_repeated_blocks": 1,
        "int_documents": 5,  # without tests nothing is settled
        "cleaned_documents": 5,
        "documents": 5,
        "posts": 5,
        "articles": 0,
        "code": 0,
        "dropped_documents": 1,
        "dropped_blocks": None,
    }


def test_other_events_are_passed_on(database: Database, tmp_path: Path) -> None:
    event = dg.AssetCheckResult(passed=True)
    assert assets.described(event, {}, tmp_path, database, ADA) is event
