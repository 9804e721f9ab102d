"""The dbt models as assets, one partition per author."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import quote

import dagster as dg
from packaging.version import Version

from twin_assets.cleaning import project
from twin_assets.cleaning.annotate import parse_regions
from twin_assets.cleaning.annotations import annotation_figures, sync_annotations
from twin_assets.cleaning.documents import summarise
from twin_assets.cleaning.lineage import Column, count_rows, read_columns
from twin_assets.cleaning.review_page import publish
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.settings import Settings, get_settings
from twin_assets.store.database import Database

with project.dbt_core_hidden():
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

CLEANED_DOCUMENTS = dg.AssetKey(["cleaning", "cleaned_documents"])
DROPPED_DOCUMENTS = dg.AssetKey(["cleaning", "dropped_documents"])
ANNOTATIONS = dg.AssetKey(["cleaning", "annotations"])
NOT_COUNTED = frozenset({"dropped_blocks"})
"""A view that looks through every line again whenever it is read: of 100,000 documents that takes seconds."""


class CleaningTranslator(DagsterDbtTranslator):
    """Names the dbt models as the rest of the graph names its assets."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """``cleaning/MODEL``, or ``SOURCE/TABLE`` for what dbt reads."""
        source = dbt_resource_props.get("source_name")
        return dg.AssetKey([source or "cleaning", dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The stage."""
        return "cleaning"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """The owners of every asset."""
        return ["team:twin"]

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """What a run costs, beside dbt's own tags."""
        return {**super().get_tags(dbt_resource_props), "cost": "cpu"}

    def get_asset_check_spec(self, *about: Any, **named: Any) -> dg.AssetCheckSpec | None:
        """What dbt tests is one author's, as the models are."""
        spec = super().get_asset_check_spec(*about, **named)
        return spec and spec._replace(partitions_def=authors)


class InstalledDbt(DbtCliResource):
    """The dbt of this environment, without what takes dagster-dbt seconds before it starts it."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))  # `dbt --version` asks the network for newer ones

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None  # only for fetching row counts, which here are those of all authors


@dg.asset(
    key_prefix="cleaning",
    deps=[dg.AssetKey(["ingest", "raw_posts"])],
    partitions_def=authors,
    group_name="cleaning",
    kinds={"python", "postgres"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
)
def annotations(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """What SQL cannot see of a kept post: the language of its own prose, and where private things stand in it.

    E-mail addresses, phone numbers, passwords and keys are replaced by `[email 1]`, `[phone 1]`, `[secret 1]` in everything that comes
    after. How much a text repeats itself, and what chatbots leave behind (`[Your Name]`, `turn0search0`), is counted; posts with such
    leftovers are listed, and stay. Only posts that are new or changed are looked at.
    """
    author, database, settings = context.partition_key, platform.raw_database(), platform.settings()
    report = sync_annotations(database, author, parse_regions(settings.phone_regions), context.log.info)
    figures = annotation_figures(database, author)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.version),
        metadata={
            "looked_at": report.looked_at,
            "unchanged": report.unchanged,
            "deleted": report.deleted,
            **figures.masked,
            "languages": dg.MetadataValue.md(figures.languages),
            "flagged": figures.flagged,
            "flagged_posts": dg.MetadataValue.md(figures.flagged_posts),
            "dagster/partition_row_count": report.looked_at + report.unchanged,
        },
    )


@dbt_assets(
    manifest=project.manifest(get_settings()),
    dagster_dbt_translator=CleaningTranslator(),
    partitions_def=authors,
    name="cleaning",
)
def cleaning(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[object]:
    """Builds and tests the dbt models of one author."""
    settings, database, author = platform.settings(), platform.raw_database(), context.partition_key
    with project.one_build_at_a_time(database):
        for event in _dbt_build(context, settings, database, author):
            if _is_output(event, CLEANED_DOCUMENTS):
                yield _with_content(event, database, author)
            elif _is_output(event, DROPPED_DOCUMENTS):
                shown = publish(database, platform.registry(), platform.artifacts(), author)
                yield event.with_metadata(
                    {**event.metadata, "review": dg.MetadataValue.path(shown.page), "removed": dg.MetadataValue.md(shown.removed)}
                )
            else:
                yield event


def _dbt_build(context: dg.AssetExecutionContext, settings: Settings, database: Database, author: str) -> Iterator[object]:
    # Unit tests are about the code, not about this author: they run in the test suite. A target folder per author keeps
    # dbt's partial parse valid, which a change of its variables would throw away.
    variables = {"author": author, "changed_only": True}
    arguments = ["build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(variables)]
    with project.applied(project.environment(database.url)):
        dbt = InstalledDbt(project_dir=str(project.PROJECT), profiles_dir=str(project.PROJECT), dbt_executable=str(project.DBT))
        target = project.target(settings) / "authors" / quote(author, safe="")
        invocation = dbt.cli(arguments, context=context, target_path=target)
    for event in invocation.stream():
        yield described(event, invocation.manifest, invocation.target_path, database, author)


def _is_output(event: object, key: dg.AssetKey) -> TypeGuard[dg.Output]:
    return isinstance(event, dg.Output) and event.output_name == key.to_python_identifier()


def _with_content(event: dg.Output, database: Database, author: str) -> dg.Output:
    """Adds the author's figures and, as data version, the hash of the content: what did not change retrains nothing."""
    summary = summarise(database, author)
    figures = {
        "documents": summary.documents,
        "voice_words": summary.voice_words,
        "rag_words": summary.rag_words,
        "boilerplate_lines": summary.boilerplate_lines,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # Output's data version is beta, as in every asset that yields
        return dg.Output(
            event.value,
            output_name=event.output_name,
            metadata={**event.metadata, **figures},
            data_version=dg.DataVersion(summary.version),
        )


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
