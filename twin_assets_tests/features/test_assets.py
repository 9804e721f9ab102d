import dagster as dg
import pytest
from sqlalchemy import text

from twin_assets.features import assets, checks
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.store.database import Database
from twin_assets_tests.features.conftest import Clean
from twin_assets_tests.features.documents import document

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dagster's own

DOCUMENTS = [document("Salt draws water out of a cucumber.", title="Pickles"), document("The night train leaves at nine.", title="Trains")]


def run(database: Database) -> dg.ExecuteInProcessResult:
    class Platform(PlatformResource):
        def database(self) -> Database:
            return database

    definitions = dg.Definitions(
        assets=[assets.chunks, assets.embeddings],
        asset_checks=[checks.chunks_cover_documents, checks.every_chunk_embedded],
        resources={"platform": Platform()},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(authors.name), ["ada"])
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(partition_key="ada", instance=instance, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict:
    (event,) = result.asset_materializations_for_node(f"features__{asset}")
    return {**(event.tags or {}), **{key: value.value for key, value in event.metadata.items()}}


def test_both_assets_materialize_with_their_checks_and_a_repeat_changes_no_version(database: Database, clean: Clean) -> None:
    clean(DOCUMENTS)
    first, again = run(database), run(database)
    assert first.success and again.success
    assert [evaluation.passed for evaluation in first.get_asset_check_evaluations()] == [True, True]
    assert metadata(first, "chunks")["written"] == metadata(first, "embeddings")["embedded"] == 2
    assert metadata(again, "chunks")["written"] == metadata(again, "embeddings")["embedded"] == 0
    for asset in ("chunks", "embeddings"):
        assert metadata(first, asset)["dagster/data_version"] == metadata(again, asset)["dagster/data_version"]


def test_the_version_follows_the_content(database: Database, clean: Clean) -> None:
    clean(DOCUMENTS)
    first = run(database)
    clean(DOCUMENTS[:1])
    second = run(database)
    for asset in ("chunks", "embeddings"):
        assert metadata(first, asset)["dagster/data_version"] != metadata(second, asset)["dagster/data_version"]
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from features.embeddings")) == 1
