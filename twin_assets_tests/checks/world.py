"""The sample author in good health, on the real parts, and what every asset check of the project says of them.

A fault is put in inside of one transaction, all checks look at it there, and it is rolled back. The checks that are written in Python run
as Dagster runs them. Those that are tests of dbt run as the SQL that dbt compiled, and ran, in the build of the asset.
"""

import dataclasses
import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import Connection, text
from upath import UPath

from twin_assets.cleaning import project
from twin_assets.definitions import CHECK_MODULES, defs
from twin_assets.evaluation.ladder import Written
from twin_assets.evaluation.rungs import RungName, Task
from twin_assets.resources import PlatformResource
from twin_assets.sample import SAMPLE_AUTHOR
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.training.dataset import load_dataset
from twin_assets.training.preferences import Pair, Preferences, write_preferences
from twin_assets_tests.serving.figures import GOOD

AUTHOR = SAMPLE_AUTHOR
KEYS = frozenset(defs.resolve_asset_graph().asset_check_keys)
IN_PYTHON = frozenset(key for checks in dg.load_asset_checks_from_modules(CHECK_MODULES) for key in checks.check_keys)
OF_DBT = KEYS - IN_PYTHON
MODEL = "a-healthy-model"
HEALTHY_REPORT = {**GOOD, "model_version": MODEL}
"""What the checks of the evaluation look at; a check that looks at more needs it there, too."""
NEVER_MADE = {
    ("training", "preference_dataset"),
    ("training", "adapter_weights"),
    ("evaluation", "eval_texts"),
    ("evaluation", "eval_report"),
    ("serving", "tgi_deployment"),
}
"""Stood in for by records: minutes of writing and training would tell the checks nothing more."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def name_of(key: dg.AssetCheckKey) -> str:
    """A check as the registry of poisons names it."""
    return f"{key.asset_key.to_user_string()}:{key.name}"


class OneTransaction(Database):
    """A database all of whose transactions are parts of one, which nobody commits."""

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__(url)
        self.connection = connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self.connection.begin_nested():
            yield self.connection


@dataclass(frozen=True)
class World:
    """What a poison may spoil."""

    database: Database
    settings: Settings
    folder: Path
    """Empty, for files of a poison's own."""

    @property
    def registry(self) -> Registry:
        return Registry(self.database)

    @property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.settings.artifacts_url)

    def sql(self, statement: str, **values: Any) -> None:
        """Changes something; a statement that finds nothing to change is a mistake in the test."""
        with self.database.begin() as connection:
            done = connection.execute(text(statement), {"author": AUTHOR, **values} if ":author" in statement else values)
            assert done.rowcount, statement

    def ddl(self, statement: str) -> None:
        """Changes the tables themselves: rolled back as everything else."""
        with self.database.begin() as connection:
            connection.exec_driver_sql(statement)

    def change_model(self, **figures: Any) -> None:
        self._change("models", "version", MODEL, figures)

    def change_artifact(self, kind: str, **figures: Any) -> None:
        artifact = self.registry.latest_artifact(AUTHOR, kind)
        assert artifact is not None
        self._change("artifacts", "version", artifact.version, figures)

    def change_deployment(self, **fields: Any) -> None:
        deployment = self.registry.deployment(AUTHOR)
        assert deployment is not None
        self.registry.record_deployment(dataclasses.replace(deployment, **fields))

    def _change(self, table: str, column: str, value: str, figures: dict[str, Any]) -> None:
        self.sql(
            f"update registry.{table} set figures = figures || cast(:figures as jsonb) where {column} = :value",
            figures=json.dumps(figures),
            value=value,
        )


class Checks:
    """All asset checks of the project."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.settings = settings.model_copy(update={"preference_config": "llama-3.1-8b-dpo"})  # its checks look at nothing without
        self.job = defs.resolve_job_def("twin").get_subset(asset_selection=set(), asset_check_selection=set(IN_PYTHON))
        results = json.loads((project.target(settings) / "authors" / AUTHOR / "run_results.json").read_text())["results"]
        names = {key.name: key for key in OF_DBT}
        tests = [result for result in results if result["unique_id"].startswith("test.")]
        self.compiled = {names[result["unique_id"].split(".")[2]]: result["compiled_code"] for result in tests}
        assert set(self.compiled) == OF_DBT

    def failed(self, database: Database) -> set[str]:
        """Names of the checks that fail. All of them look."""
        return {name_of(key) for key in self._failed_of_dbt(database) | self._failed_in_python(database)}

    def _failed_of_dbt(self, database: Database) -> set[dg.AssetCheckKey]:
        with database.begin() as connection:
            connection.execute(text("update cleaning.int_posts set pending = true"))  # as while the build looks at what it has made
            return {key for key, sql in self.compiled.items() if connection.exec_driver_sql(sql.replace("%", "%%")).first() is not None}

    def _failed_in_python(self, database: Database) -> set[dg.AssetCheckKey]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PlatformResource, "database", lambda _: database)
            patch.setattr(PlatformResource, "raw_database", lambda _: database)
            patch.setattr(PlatformResource, "settings", lambda _: self.settings)
            result = self.job.execute_in_process(instance=self.instance, partition_key=AUTHOR, raise_on_error=False, run_config=QUIET)
        evaluations = result.get_asset_check_evaluations()
        failures = {event.step_key: event.step_failure_data.error for event in result.all_events if event.is_step_failure}
        crashed = {step: error for step, error in failures.items() if error and error.cls_name != "DagsterAssetCheckFailedError"}
        assert not crashed, crashed
        assert {evaluation.asset_check_key for evaluation in evaluations} == IN_PYTHON
        return {evaluation.asset_check_key for evaluation in evaluations if not evaluation.passed}


def make_assets(instance: dg.DagsterInstance, author: str, keys: Sequence[dg.AssetKey]) -> dg.ExecuteInProcessResult:
    """One run."""
    job = defs.resolve_job_def("twin")
    return job.execute_in_process(instance=instance, partition_key=author, asset_selection=keys, raise_on_error=False, run_config=QUIET)


def healthy_texts() -> Written:
    """What the rungs wrote: on each of ten prompts a short text, and one rung on one of them nothing, as it happens."""
    tasks = tuple(Task(UUID(int=place), "the tide", "Ebb and flow, so they say.", 6, place) for place in range(10))
    words = ("The gauge on the pier is off by a hand.",) * len(tasks)
    rungs: tuple[RungName, ...] = ("base", "base_few_shot", "base_few_shot_rag", "twin", "twin_rag")
    texts: dict[RungName, tuple[str, ...]] = {rung: words for rung in rungs}
    return Written(AUTHOR, MODEL, tasks, {**texts, "base": ("", *words[1:]), "human": tuple(task.real for task in tasks)})


def stand_in(registry: Registry, artifacts: ArtifactStore, url: str) -> None:
    """A model that learned, what it wrote, an evaluation that it passed, and its deployment."""
    losses = [[step, 4 - step / 20] for step in range(20)]
    figures = {"losses": losses, "loss_first": 4.0, "loss_last": 3.05, "held_out_loss_first": 4.1, "held_out_loss_last": 3.4, "steps": 20}
    registry.record_model(Model(MODEL, AUTHOR, "dataset", "recipe", "base", "/nowhere", figures=figures))
    record_texts(registry, artifacts, healthy_texts())
    record_preferences(registry, artifacts, healthy_preferences(registry, artifacts))
    registry.record_artifact(AUTHOR, "eval_report", "report", "/nowhere", HEALTHY_REPORT)
    registry.record_deployment(Deployment(AUTHOR, MODEL, "llama.cpp", url, "/nowhere"))


def record_texts(registry: Registry, artifacts: ArtifactStore, written: Written) -> None:
    """Makes these the newest texts of the evaluation."""
    uri = artifacts.put_bytes(AUTHOR, "eval_texts", "texts.jsonl", written.to_lines().encode())
    registry.record_artifact(AUTHOR, "eval_texts", UPath(uri).name, uri)


def healthy_preferences(registry: Registry, artifacts: ArtifactStore) -> Preferences:
    """Pairs of the author's passages and what another one makes of the same prompts."""
    stored = registry.latest_artifact(AUTHOR, "instruct_dataset")
    assert stored is not None
    dataset = load_dataset(artifacts.local(stored.uri))
    text = "In conclusion, it is worth noting that there are many ways in which such things can be seen by different people."
    pairs = [
        Pair(one.id, one.document_id, one.start, one.messages[:-1], one.answer, f"{text} {place}", "base_model", "base")
        for place, one in enumerate(dataset.train[:10])
    ]
    return Preferences(AUTHOR, dataset.version, pairs)


def record_preferences(registry: Registry, artifacts: ArtifactStore, preferences: Preferences) -> None:
    """Makes these the newest pairs of the author."""
    with tempfile.TemporaryDirectory() as folder:
        write_preferences(preferences, Path(folder))
        uri = artifacts.put_directory(AUTHOR, "preference_dataset", preferences.version, Path(folder))
    registry.record_artifact(AUTHOR, "preference_dataset", preferences.version, uri)


@contextmanager
def endpoint(model: str) -> Iterator[str]:
    """The address of a server that says that it is healthy and serves this model."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": [{"id": model}]}).encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Poison:
    """A fault that a check exists for.

    Attributes:
        fault: What is wrong, in words.
        put: Makes it so.
        also: Other checks that have to see it as well.
    """

    fault: str
    put: Callable[[World], None]
    also: Sequence[str] = ()


def sql(statement: str) -> Callable[[World], None]:
    return lambda world: world.sql(statement)
