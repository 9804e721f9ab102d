"""The graph for one author: ``twin run`` and ``checks``."""

import json
import os
import signal
import subprocess
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from twin_assets import checking, runs
from twin_assets.evaluation.quality import GATE
from twin_assets.ingest import read as reading_module
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.source import Source
from twin_assets.ingest.web import Web
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Registry
from twin_assets.verdicts import Status, Verdict
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, call, failed

pytestmark = DAGSTERS_OWN


DiskUsage = namedtuple("DiskUsage", "total used free")


def test_run_to_an_unknown_asset_lists_the_assets(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("run", "jane", "--to", "chunkz"), "no asset 'chunkz'", "features/chunks", "serving/tgi_deployment")


def test_run_says_which_source_went_away(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    posts.rename(posts.with_name("elsewhere"))
    result = twin("run", "jane", "--to", "raw_posts")
    failed(result, "There is no file or folder", str(posts))
    assert "SourceError" not in result.err
    assert "ingest/raw_posts: failed" in result.out


def interrupted(location: str, web: Web) -> Source:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
    raise AssertionError("the signal did not arrive")


def interrupted_in_a_library(location: str, web: Web) -> Source:
    try:
        return interrupted(location, web)
    finally:
        raise RuntimeError("in the middle of something")


@pytest.mark.parametrize("reading", [interrupted, interrupted_in_a_library])
def test_ctrl_c_is_called_by_its_name(
    twin: Callable[..., Result], posts: Path, monkeypatch: pytest.MonkeyPatch, reading: Callable[[str, Web], Source]
) -> None:
    twin("add", "jane", "--source", str(posts))
    monkeypatch.setattr(reading_module, "open_source", reading)
    failed(twin("run", "jane", "--to", "raw_posts"), "Stopped", "Run the same command again", code=130)


def test_after_ctrl_c_the_same_command_goes_on_and_child_processes_print_to_the_log(
    twin: Callable[..., Result], settings: Settings, posts: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def noisy(location: str, web: Web) -> Source:
        subprocess.run(["sh", "-c", "echo noise of a child >&2"], check=True)
        return open_source(location, web)

    twin("add", "jane", "--source", str(posts))
    monkeypatch.setattr(reading_module, "open_source", interrupted)
    assert twin("run", "jane", "--to", "raw_posts").code == 130
    monkeypatch.setattr(reading_module, "open_source", noisy)
    again = twin("run", "jane", "--to", "raw_posts")
    assert again.code == 0
    assert "ingest/raw_posts: done" in again.out
    assert "noise of a child" in runs.run_log("jane", settings).read_text()
    assert "noise of a child" not in capfd.readouterr().err


def test_a_run_says_that_a_model_waits(twin: Callable[..., Result], ada: Registry, posts: Path) -> None:
    assert twin("add", "ada", "--source", str(posts)).code == 0
    assert "m1 passed the gate and waits for a person: twin approve ada" in twin("run", "ada", "--to", "raw_posts").out
    ada.decide("m1", "accepted", "jo", "Fine.")
    assert "waits for a person" not in twin("run", "ada", "--to", "raw_posts").out


def test_a_full_disk_is_said_before_anything_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.shutil, "disk_usage", lambda _: DiskUsage(10**12, 10**12 - 10**8, 10**8))
    with pytest.raises(TwinError, match=r"Only 0\.1 GB of disk are free under .*TWIN_HOME"):
        runs.materialize("jane", None, settings, lambda _: None)


def test_checks_show_the_newest_verdicts_and_write_them(twin: Callable[..., Result], posts: Path, tmp_path: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    assert twin("run", "jane", "--to", "raw_posts").code == 0
    result = twin("checks", "jane", "--junit", str(tmp_path / "found.xml"), "--markdown", str(tmp_path / "found.md"))
    assert result.code == 0
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert any(line.startswith("ingest/raw_posts own_posts_present passed ERROR") for line in lines)
    assert any(line.startswith("voice/voice_profile author_is_recognised not run ERROR") for line in lines)
    for name in ("eval_texts every_rung_wrote", *(f"eval_report {check.__name__}" for check in GATE)):
        assert any(line.startswith(f"evaluation/{name} not run ERROR, blocking") for line in lines), name
    found = {(check["asset"], check["check"]): check for check in json.loads(twin("checks", "jane", "--json").out)["checks"]}
    assert found["ingest/raw_posts", "own_posts_present"]["status"] == "passed"
    assert found["features/chunks", "chunks_cover_documents"]["blocking"]
    assert len(ElementTree.parse(tmp_path / "found.xml").findall(".//testcase")) == len(found)
    assert (tmp_path / "found.md").read_text().startswith("### Asset checks")


@pytest.mark.parametrize(("status", "code"), [("passed", 0), ("failed", 1), ("not run", 1)])
def test_checks_of_ci_end_with_1_unless_all_passed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status, code: int
) -> None:
    homes = []

    def check(own: Settings, on_change: object) -> list[Verdict]:
        homes.append(own.home)
        return [Verdict("features/chunks", "covered", status, description="[two] have none")]

    monkeypatch.setattr(checking, "check_sample_author", check)
    monkeypatch.delenv("TWIN_HOME")
    monkeypatch.chdir(tmp_path)
    result = call("checks", "--ci")
    assert result.code == code
    assert "[two] have none" in result.out
    assert ("features/chunks covered" in result.err) == bool(code)
    assert ElementTree.parse("checks.xml").find(".//testcase") is not None
    assert json.loads(call("checks", "--ci", "--json").out)["checks"][0]["status"] == status
    assert homes and not any(home.exists() or home == settings.home for home in homes)
