"""The verdicts on an author, of small graphs that really run; and the home that they run in."""

import os
from pathlib import Path

import dagster as dg
import pytest

from twin_assets import checking, runs
from twin_assets.homes import home_of_its_own
from twin_assets.partitions import authors
from twin_assets.settings import Settings, get_settings
from twin_assets.store.errors import TwinError
from twin_assets.verdicts import Verdict

FAILING: set[str] = set()


@dg.asset(partitions_def=authors)
def raw(context: dg.AssetExecutionContext) -> None:
    if context.partition_key in FAILING:
        raise ValueError("the disk is gone")


@dg.asset(partitions_def=authors, deps=[raw])
def clean() -> None: ...


@dg.asset(partitions_def=authors, deps=[clean])
def model() -> None: ...


@dg.asset_check(asset=raw, partitions_def=authors, description="Something is there.")
def present() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=clean, blocking=True, partitions_def=authors)
def sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=context.partition_key != "joe", description=f"looked at {context.partition_key}")


@dg.asset_check(asset=clean, partitions_def=authors)
def readable() -> dg.AssetCheckResult:
    raise OSError("no such page")


@dg.asset_check(asset=model, partitions_def=authors)
def converged() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", "")
    FAILING.clear()
    defs = dg.Definitions([raw, clean, model], asset_checks=[present, sound, readable, converged], jobs=[dg.define_asset_job(runs.JOB)])
    for module in (runs, checking):
        monkeypatch.setattr(module, "defs", defs)
    monkeypatch.setattr(runs, "ASSET_STEPS", {"raw", "clean", "model"})
    return Settings(home=tmp_path)


def run(home: Settings, author: str) -> dict[str, Verdict]:
    report = runs.materialize(author, None, home, lambda _: None)
    return {verdict.check: verdict for verdict in checking.run_verdicts(author, report, home)}


def newest(home: Settings, author: str) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in checking.newest_verdicts(author, home)}


def test_a_run_gives_a_verdict_on_every_check(home: Settings) -> None:
    found = run(home, "jane")
    assert found["present"].seconds is not None
    assert (found["present"].status, found["present"].severity) == ("failed", "WARN")
    assert found["present"].description == "This does not hold. Something is there."
    assert (found["sound"].asset, found["sound"].status, found["sound"].blocking) == ("clean", "passed", True)
    assert found["converged"].status == "passed"


def test_a_check_that_breaks_has_not_run_and_says_why(home: Settings) -> None:
    broken = run(home, "jane")["readable"]
    assert (broken.status, broken.severity) == ("not run", "ERROR")
    assert "OSError: no such page" in broken.description


def test_what_a_blocking_check_stops_has_not_run(home: Settings) -> None:
    found = run(home, "joe")
    assert (found["sound"].status, found["sound"].description) == ("failed", "looked at joe")
    assert found["converged"].status == "not run"
    assert "model was not made" in found["converged"].description


def test_checks_of_an_asset_that_failed_say_what_it_said(home: Settings) -> None:
    FAILING.add("jane")
    found = run(home, "jane")
    assert {verdict.status for verdict in found.values()} == {"not run"}
    assert "the disk is gone" in found["present"].description
    assert "clean was not made" in found["sound"].description


def test_a_verdict_of_a_run_is_not_that_of_an_earlier_one(home: Settings) -> None:
    assert run(home, "jane")["converged"].status == "passed"
    FAILING.add("jane")
    assert run(home, "jane")["converged"].status == "not run"
    assert newest(home, "jane")["converged"].status == "passed"


def test_the_newest_verdicts_are_of_the_author_alone(home: Settings) -> None:
    run(home, "jane")
    for _ in range(3):
        run(home, "joe")
    assert newest(home, "jane")["sound"].description == "looked at jane"
    assert newest(home, "joe")["sound"].description == "looked at joe"
    assert newest(home, "joe")["converged"].status == "not run"
    assert {verdict.status for verdict in newest(home, "nobody").values()} == {"not run"}


def test_a_home_of_its_own_is_temporary_and_everything_is_as_before(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWIN_HOME")
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    monkeypatch.setenv("TWIN_ARTIFACTS", "s3://somebody/else")
    before = dict(os.environ)
    with home_of_its_own() as own:
        assert own.home.is_dir()
        assert own.home != settings.home
        assert own is get_settings()
        assert own.dagster_home.is_relative_to(own.home)
        assert own.artifacts_url == str(own.home / "artifacts")
        (own.home / "file").write_text("kept by nobody")
    assert not own.home.exists()
    assert dict(os.environ) == before


def test_a_home_that_is_named_is_used_and_kept(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_HOME", str(tmp_path))
    with home_of_its_own() as own:
        assert own.home == tmp_path
    assert tmp_path.is_dir()
    get_settings.cache_clear()


def test_the_database_of_somebody_else_is_not_written_to(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_DATABASE_URL", "postgresql://somebody@db.example.org/twin")
    with pytest.raises(TwinError, match="TWIN_DATABASE_URL is set"), home_of_its_own():
        pytest.fail("it was entered")
