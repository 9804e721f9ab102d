import json
from pathlib import Path

import dagster as dg
import pytest

from twin_assets.definitions import defs
from twin_assets.ingest.assets import DUE, raw_posts
from twin_assets.ingest.checks import every_source_answered, every_source_read, mostly_unreadable, own_posts_present, without_own_posts
from twin_assets.ingest.sensors import source_changes
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry

# Dagster reads pydantic models through names that pydantic has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def platform_of(database: Database) -> PlatformResource:
    class Platform(PlatformResource):
        def database(self) -> Database:
            return database

    return Platform()


def test_checks_name_the_authors_concerned() -> None:
    assert without_own_posts({"jane": {"kept": 1}, "joe": {"draft": 3}}) == ["joe"]
    assert mostly_unreadable({"jane": {"kept": 2, "partial": 2}, "joe": {"kept": 1, "partial": 1, "unreadable": 1}}) == ["joe"]


def test_a_new_file_flows_into_the_asset(database: Database, tmp_path: Path) -> None:
    registry = Registry(database)
    registry.add_author("jane")
    registry.add_source("jane", str(tmp_path))
    (tmp_path / "a.md").write_text("# A\n\nSome words of Jane.")

    resources = {"platform": platform_of(database)}
    with dg.DagsterInstance.ephemeral() as instance:
        tick = dg.build_sensor_context(instance=instance, resources=resources, definitions=defs)
        asked = source_changes(tick)
        assert isinstance(asked, dg.SensorResult)
        assert [request.partition_key for request in asked.run_requests or []] == ["jane"]
        assert len(asked.dynamic_partitions_requests or []) == 1
        instance.add_dynamic_partitions(authors.name or "", ["jane"])

        def run() -> dg.ExecuteInProcessResult:
            return dg.materialize(
                [raw_posts, own_posts_present, every_source_read], instance=instance, partition_key="jane", resources=resources
            )

        first = run()
        assert all(check.passed for check in first.get_asset_check_evaluations())
        metadata = first.asset_materializations_for_node("ingest__raw_posts")[0].metadata
        assert (metadata["documents"].value, metadata["inserted"].value) == (1, 1)

        again = source_changes(dg.build_sensor_context(instance=instance, cursor=asked.cursor, resources=resources, definitions=defs))
        assert isinstance(again, dg.SensorResult) and not again.run_requests
        (tmp_path / "b.md").write_text("# B\n\nMore words.")
        fresh = source_changes(dg.build_sensor_context(instance=instance, cursor=asked.cursor, resources=resources, definitions=defs))
        assert isinstance(fresh, dg.SensorResult) and fresh.run_requests
        assert [request.tags[DUE] for request in fresh.run_requests] == [json.dumps([str(tmp_path)])]
        assert not fresh.dynamic_partitions_requests
        (tmp_path / "b.md").unlink()
        back = source_changes(dg.build_sensor_context(instance=instance, cursor=fresh.cursor, resources=resources, definitions=defs))
        assert isinstance(back, dg.SensorResult)
        # Dagster drops a request whose key ran before, and the sources are as they were at first.
        assert [request.run_key for request in back.run_requests or []] == [None]
        (tmp_path / "b.md").write_text("# B\n\nMore words.")

        second = run()
        tags = [result.asset_materializations_for_node("ingest__raw_posts")[0].tags or {} for result in (first, second, run())]
        versions = [found["dagster/data_version"] for found in tags]
        assert versions[0] != versions[1] == versions[2]


def test_the_checks_of_an_author_look_at_no_other(database: Database, tmp_path: Path) -> None:
    registry = Registry(database)
    texts = {"jane": "Some words of Jane.", "joe": "---\ndraft: true\n---\nNot yet."}
    for author, text in texts.items():
        folder = tmp_path / author
        folder.mkdir()
        (folder / "a.md").write_text(text)
        registry.add_author(author)
        registry.add_source(author, str(folder))

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(authors.name or "", list(texts))
        for author, passed in (("joe", {False, True}), ("jane", {True})):
            run = dg.materialize(
                [raw_posts, own_posts_present, every_source_read],
                instance=instance,
                partition_key=author,
                resources={"platform": platform_of(database)},
            )
            assert {check.passed for check in run.get_asset_check_evaluations()} == passed


def test_a_source_that_cannot_be_read_is_warned_of_and_the_others_are_read(database: Database, tmp_path: Path) -> None:
    registry = Registry(database)
    registry.add_author("jane")
    (tmp_path / "a.md").write_text("# A\n\nSome words of Jane.")
    registry.add_source("jane", str(tmp_path))
    resources = {"platform": platform_of(database)}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(authors.name or "", ["jane"])

        def check() -> dg.AssetCheckEvaluation:
            run = dg.materialize([raw_posts, every_source_answered], instance=instance, partition_key="jane", resources=resources)
            (evaluation,) = run.get_asset_check_evaluations()
            return evaluation

        assert check().passed
        away = str(tmp_path / "away")
        registry.add_source("jane", away)
        warned = check()
        assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert f"| {away} | missing |" in str(warned.metadata["sources"].value)
        registry.remove_source("jane", away)
        assert check().passed


def test_a_source_that_is_not_due_is_not_read(database: Database, tmp_path: Path) -> None:
    registry = Registry(database)
    registry.add_author("jane")
    for name in ("due", "later"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.md").write_text(f"# {name}\n\nSome words of Jane.")
        registry.add_source("jane", str(tmp_path / name))

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(authors.name or "", ["jane"])
        tags = {DUE: json.dumps([str(tmp_path / "due")])}
        run = dg.materialize([raw_posts], instance=instance, partition_key="jane", resources={"platform": platform_of(database)}, tags=tags)
        metadata = run.asset_materializations_for_node("ingest__raw_posts")[0].metadata
    assert (metadata["documents"].value, metadata["rows_and_files"].value) == (1, 1)
