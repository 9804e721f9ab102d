"""The ``twin`` command on a real Postgres, as it is typed: what it prints, how it ends, and what it leaves."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import psycopg
import pytest
import structlog
from sqlalchemy import text

from twin_assets import checking, cli, runs
from twin_assets.cleaning import scratch
from twin_assets.cli import terminal
from twin_assets.evaluation.quality import GATE
from twin_assets.ingest import read as reading_module
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.source import Source
from twin_assets.ingest.web import Web
from twin_assets.partitions import authors
from twin_assets.serving.deploy import SwitchOver
from twin_assets.settings import Settings, get_settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.store.tables import SCHEMAS
from twin_assets.store.thresholds import Thresholds
from twin_assets.verdicts import Status, Verdict
from twin_assets.voice.profile import KIND, build_profile
from twin_assets_tests.serving.figures import GOOD
from twin_assets_tests.writing.conftest import ADA, EVE, spoken, texts_of

pytestmark = [  # Dagster's own calls
    pytest.mark.filterwarnings("ignore:The .__fields__. attribute is deprecated"),
    pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated"),
]

PARAGRAPH = (
    "The {0} loaf came out flat, so I wrote down what the oven said and what it did. They did not agree. "
    "I moved the shelf, waited for the {0} light to go out, and tried again with the door held shut by a chair."
)
DiskUsage = namedtuple("DiskUsage", "total used free")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def call(*arguments: str) -> Result:
    """Runs the command in this process; the consoles write where a terminal would read."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["twin", *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        for shared, file in ((terminal.console, out), (terminal.errors, err)):
            patch.setattr(shared, "file", file)
            patch.setattr(shared, "width", 200)
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            structlog.reset_defaults()
    assert "Traceback" not in err.getvalue()
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def twin(database: Database, settings: Settings) -> Callable[..., Result]:
    """The command on an empty database."""
    return call


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A folder with two posts and a draft."""
    folder = tmp_path / "my posts"
    folder.mkdir()
    (folder / "one.md").write_text(f"---\ntitle: One [loaf]\ndate: 2024-03-01\n---\n{PARAGRAPH.format('first')}\n")
    (folder / "two.md").write_text(f"---\ntitle: Two\ndate: 2024-04-01\n---\n{PARAGRAPH.format('second')}\n")
    (folder / "three.md").write_text("---\ntitle: Three\ndraft: true\n---\nNot yet.\n")
    return folder


def failed(result: Result, *words: str, code: int = 1) -> None:
    assert result.code == code, result
    assert result.err.startswith("✗ ")
    for word in words:
        assert word in result.err


def test_add_registers_author_source_and_partition(
    twin: Callable[..., Result], database: Database, settings: Settings, posts: Path
) -> None:
    result = twin("add", "jane-doe", "--source", str(posts))
    assert result.code == 0
    assert "New author jane-doe." in result.out
    assert f"Added {posts}" in result.out
    assert Registry(database).sources("jane-doe") == [str(posts)]
    with runs.dagster_instance(settings) as instance:
        assert instance.has_dynamic_partition(str(authors.name), "jane-doe")
    again = twin("add", "jane-doe", "--source", str(posts))
    assert again.code == 0
    assert "Known already" in again.out
    assert "New author" not in again.out


def test_add_makes_paths_absolute_and_leaves_urls_alone(
    twin: Callable[..., Result], database: Database, posts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(posts.parent)
    monkeypatch.setenv("HOME", str(posts.parent))
    url = "https://example.org/feed.xml"
    assert twin("add", "jane", "-s", "my posts", "-s", "~/my posts/one.md", "-s", url).code == 0
    assert Registry(database).sources("jane") == [str(posts), str(posts / "one.md"), url]


def test_add_stores_nothing_when_one_of_the_paths_is_missing(twin: Callable[..., Result], database: Database, posts: Path) -> None:
    failed(twin("add", "jane", "-s", str(posts), "-s", str(posts / "absent")), "There is no file or folder", "absent", "http")
    assert Registry(database).authors() == []


@pytest.mark.parametrize("name", ["Jane Doe", "jane/doe", "-", "x" * 64, "jané"])
def test_add_refuses_a_name_that_cannot_be_one(twin: Callable[..., Result], database: Database, posts: Path, name: str) -> None:
    failed(twin("add", "--source", str(posts), "--", name), "cannot name an author", "jane-doe")
    assert Registry(database).authors() == []


def test_inspect_says_what_would_be_learned_and_writes_nothing(twin: Callable[..., Result], database: Database, posts: Path) -> None:
    result = twin("inspect", str(posts))
    assert result.code == 0
    assert "One [loaf]" in result.out
    assert "3 rows and files (1 draft, 2 kept)" in result.out
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from ingest.raw_posts")) == 0


def test_inspect_as_json_accounts_for_every_file(twin: Callable[..., Result], posts: Path) -> None:
    (posts / "photo.jpg").write_bytes(b"\xff\xd8\xff\x00")
    found = json.loads(twin("inspect", str(posts), "--json").out)
    assert found["total"] == len(found["items"]) == 4
    assert sum(found["states"].values()) == 4
    assert {item["origin"]: item["state"] for item in found["items"]} | {"photo.jpg": ""} == {
        "one.md": "kept",
        "two.md": "kept",
        "three.md": "draft",
        "photo.jpg": "",
    }
    assert found["words"] == sum(item["words"] for item in found["items"] if item["state"] == "kept") > 0
    assert all(item["reason"] for item in found["items"] if item["state"] != "kept")


def test_inspect_of_what_cannot_be_read_is_one_clear_error(twin: Callable[..., Result], tmp_path: Path) -> None:
    failed(twin("inspect", str(tmp_path / "absent")), "There is no file or folder", "absent")
    (tmp_path / "empty").mkdir()
    failed(twin("inspect", str(tmp_path / "empty")), "is empty", "another folder")
    (tmp_path / "program.bin").write_bytes(bytes(range(256)))
    failed(twin("inspect", str(tmp_path / "program.bin")), "is a text or an export that is known")
    (tmp_path / "Shares.csv").write_text("When,What\n2024-01-01,hello\n")
    failed(twin("inspect", str(tmp_path / "Shares.csv")), "lacks the columns", "ShareCommentary", "Found: When, What")
    (tmp_path / "Comments.csv").write_bytes(b"\x00\x01\x02\x03" * 100)
    failed(twin("inspect", str(tmp_path / "Comments.csv")), "Comments.csv")


def test_inspect_clean_shows_what_would_be_removed_and_writes_nothing(
    twin: Callable[..., Result], database: Database, posts: Path, tmp_path: Path
) -> None:
    footer = "I write about bread. Follow along!"
    for number in range(4):
        (posts / f"more-{number}.md").write_text(f"---\ntitle: More {number}\n---\n{PARAGRAPH.format(number)}\n\n{footer}\n")
    page = tmp_path / "page.html"
    result = twin("inspect", str(posts), "--clean", "--html", str(page))
    assert result.code == 0
    assert "6 documents kept, 1 dropped" in result.out
    assert f"{footer}  in 4 of 6 documents of {posts}" in result.out
    assert f"The page for the browser: {page}" in result.out
    assert f"<del>{footer}</del>" in page.read_text()
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from ingest.raw_posts")) == 0
        assert connection.scalar(text("select count(*) from pg_database where datname like '%scratch%'")) == 0


def test_inspect_clean_shows_one_document_as_json(twin: Callable[..., Result], posts: Path) -> None:
    found = json.loads(twin("inspect", str(posts), "--clean", "--document", "one", "--json").out)
    assert (found["source"], found["title"], found["reason"]) == (str(posts), "One [loaf]", "")
    assert "".join(piece["text"] for block in found["blocks"] for piece in block["pieces"]) == PARAGRAPH.format("first")


def test_ctrl_c_while_cleaning_leaves_no_database(
    twin: Callable[..., Result], database: Database, posts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted_dbt(*_: object) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError("the signal did not arrive")

    monkeypatch.setattr(scratch, "run_dbt", interrupted_dbt)
    failed(twin("inspect", str(posts), "--clean"), "Stopped", code=130)
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from pg_database where datname like '%scratch%'")) == 0


def test_inspect_of_an_author_says_what_is_missing(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("inspect", "--author", "joe"), "No author 'joe'", "Known: jane")
    failed(twin("inspect", "--author", "jane"), "has been cleaned yet", "twin run jane --to cleaned_documents")


def test_status_names_what_is_stale(twin: Callable[..., Result], posts: Path) -> None:
    assert "not up" in twin("status").out
    twin("add", "jane", "--source", str(posts))
    result = twin("status")
    assert result.code == 0
    row = next(line for line in result.out.splitlines() if line.split()[:1] == ["jane"])
    assert "nothing" in row and "not measured" in row and "raw_posts" in row


def test_a_source_is_taken_away_again(twin: Callable[..., Result], database: Database, posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("add", "jane", "--remove", "/nowhere"), "no source of jane", str(posts))
    assert twin("add", "jane", "--remove", str(posts)).code == 0
    assert Registry(database).sources("jane") == []


def test_what_cannot_be_read_is_not_added(twin: Callable[..., Result], database: Database, tmp_path: Path) -> None:
    (tmp_path / "Shares.csv").write_text("When,What\n2024-01-01,hello\n")
    failed(twin("add", "jane", "--source", str(tmp_path)), "lacks the columns")
    assert Registry(database).authors() == []


def test_forget_says_that_it_is_not_built(twin: Callable[..., Result], database: Database, posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("forget", "jane"), "not built yet", "nothing was deleted")
    failed(twin("forget", "jane", "--document", "d1"), "document d1 of jane", "not built yet")
    assert Registry(database).authors() == ["jane"]


def test_an_unknown_author_is_told_who_is_known(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    for command in (["run", "joe"], ["forget", "joe"], ["checks", "joe"]):
        failed(twin(*command), "No author 'joe'", "Known: jane", "twin add joe")
    failed(twin("write", "joe", "bread"), "joe")


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


def test_write_needs_a_deployment_and_a_prompt(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("write", "jane", "bread"), "not deployed yet", "twin run jane")
    failed(twin("write", "jane", ""), "cannot be written", "prompt")
    failed(twin("write", "jane", "bread", "--platform", "fax"), "cannot be written", "platform", "linkedin")


@pytest.fixture
def ada(twin: Callable[..., Result], database: Database, settings: Settings) -> Registry:
    """ada, whose voice is known, with a model that passed and waits, under the manual policy."""
    registry = Registry(database)
    registry.add_author("ada")
    profile = build_profile("ada", texts_of(ADA), {"eve": texts_of(EVE)})
    uri = ArtifactStore(settings.artifacts_url).put_bytes("ada", KIND, "profile.npz", profile.to_bytes())
    registry.record_artifact("ada", KIND, profile.version, uri)
    registry.record_model(Model("m1", "ada", "d1", "c1", "base", "/adapter"))
    registry.record_artifact("ada", "eval_report", "r1", "/report", {**GOOD, "voice_base": 0.1})
    registry.change_thresholds("ada", {"policy": "manual"})
    return registry


def test_voice_says_how_much_a_text_sounds_like_the_author_and_what_in_it_does_not(
    twin: Callable[..., Result], ada: Registry, tmp_path: Path
) -> None:
    strange = "However, it is to be noted that [you] could."
    (tmp_path / "draft.md").write_text(f"{spoken(ADA)} {strange} {spoken(ADA, 3)}")
    result = twin("voice", "ada", str(tmp_path / "draft.md"))
    assert result.code == 0
    assert "voice score" in result.out and "sounds most like ada" in result.out
    assert "of ada's own passages sound less like ada" in result.out
    assert "what pulls it away" in result.out
    assert f"least like ada: {strange}" in result.out
    found = json.loads(twin("voice", "ada", str(tmp_path / "draft.md"), "--json").out)
    assert found["own"] and 0 <= found["low"] <= found["score"] <= found["high"] <= 1
    assert found["odd_sentences"][0]["sentence"] == strange


def test_voice_reads_standard_input_and_tells_somebody_else(
    twin: Callable[..., Result], ada: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(spoken(EVE)))
    result = twin("voice", "ada")
    assert result.code == 0
    assert "sounds most like eve" in result.out


def test_voice_says_what_is_missing(twin: Callable[..., Result], ada: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ada.add_author("bob")
    (tmp_path / "draft.md").write_text("I never do.")
    (tmp_path / "long.md").write_text(spoken(ADA))
    failed(twin("voice", "ada", str(tmp_path / "draft.md")), "3 words", "at least 50 are needed")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    failed(twin("voice", "ada", "--json"), "0 words", "at least 50 are needed")
    failed(twin("voice", "bob", str(tmp_path / "long.md")), "twin run bob --to voice_profile")
    failed(twin("voice", "zoe", str(tmp_path / "long.md")), "Known: ada, bob")
    failed(twin("voice", "ada", str(tmp_path / "absent.md")), "No such file", "absent.md")


def test_gate_shows_and_changes_what_a_model_must_show(twin: Callable[..., Result], ada: Registry) -> None:
    rows = {line.split()[0]: line.split()[1] for line in twin("gate", "ada").out.splitlines() if len(line.split()) > 2}
    assert rows | {"policy": "manual", "slop_over_author": "2.0", "verbatim_words": "25"} == rows
    assert twin("gate", "ada", "--set", "slop_over_author=3.5", "--set", " policy = auto ").code == 0
    assert (ada.thresholds("ada").slop_over_author, ada.thresholds("ada").policy) == (3.5, "auto")
    found = json.loads(twin("gate", "ada", "--json").out)
    assert (found["slop_over_author"], found["policy"]) == (3.5, "auto")
    assert twin("gate", "ada", "--set", "slop_over_author=").code == 0
    assert ada.thresholds("ada") == Thresholds.model_validate({})


def test_gate_refuses_what_is_no_threshold_and_changes_nothing(twin: Callable[..., Result], ada: Registry) -> None:
    before = ada.thresholds("ada")
    failed(twin("gate", "ada", "--set", "perplexity=3"), "no threshold 'perplexity'", "voice_gain", "slop_over_author")
    failed(twin("gate", "ada", "--set", "policy=auto", "--set", "perplexity="), "no threshold 'perplexity'")
    failed(twin("gate", "ada", "--set", "policy=perhaps"), "policy", "'auto' or 'manual'")
    failed(twin("gate", "ada", "--set", "verbatim_words=2"), "verbatim_words", "greater than or equal to 5")
    failed(twin("gate", "ada", "--set", "policy"), "NAME=VALUE", code=2)
    failed(twin("gate", "joe"), "No author 'joe'")
    assert ada.thresholds("ada") == before


def test_gate_shows_who_let_which_model_serve_and_why(twin: Callable[..., Result], ada: Registry) -> None:
    ada.decide("m1", "rejected", "jo", "Too [bold] for me.")
    ada.decide("m1", "accepted", "ann", "It grew on me.")
    lines = [line.partition(" UTC ")[2] for line in twin("gate", "ada").out.splitlines() if " UTC " in line]
    assert lines == [
        "m1: rejected -> accepted, ann. It grew on me.",
        "m1: candidate -> rejected, jo. Too [bold] for me.",
        "m1: new -> candidate, training. Trained on dataset d1.",
    ]


def test_approve_notes_who_and_why_and_deploys_that_model_alone(
    twin: Callable[..., Result], ada: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed: list[str] = []

    def deploy(model: Model, *_: object) -> SwitchOver:
        deployed.append(model.version)
        deployment = Deployment("ada", model.version, "llama.cpp", "http://127.0.0.1:9/v1", "/model.gguf")
        ada.record_deployment(deployment)
        return SwitchOver(deployment, changed=True, smoke_text="Salt.")

    monkeypatch.setattr("twin_assets.serving.assets.deploy", deploy)
    monkeypatch.setattr("twin_assets.serving.checks.model_server.healthy", lambda *_: True)
    result = twin("approve", "ada", "--reason", "Read ten of them.", "--version", "m1")
    assert result.code == 0, result
    assert "Model m1 is accepted." in result.out
    assert "raw_posts" not in result.out
    assert deployed == ["m1"]
    assert [(step.after, step.reason) for step in ada.transitions("ada")[:2]] == [
        ("deployed", "Serves at http://127.0.0.1:9/v1."),
        ("accepted", "Read ten of them."),
    ]
    assert ada.transitions("ada")[1].actor
    failed(twin("approve", "ada", "--reject"), "m1 is deployed")


def test_approve_can_leave_the_deployment_to_the_platform(twin: Callable[..., Result], ada: Registry) -> None:
    assert "accepted" in twin("approve", "ada", "--no-deploy").out
    assert (ada.deployment("ada"), [model.status for model in ada.models("ada")]) == (None, ["accepted"])


def test_a_rejected_model_stays_rejected_until_it_is_approved(twin: Callable[..., Result], ada: Registry) -> None:
    assert "Model m1 is rejected." in twin("approve", "ada", "--reject", "--reason", "Too stiff.").out
    assert [model.status for model in ada.models("ada")] == ["rejected"]
    assert ada.transitions("ada")[0].reason == "Too stiff."
    assert twin("approve", "ada", "--no-deploy").code == 0
    assert [model.status for model in ada.models("ada")] == ["accepted"]


def test_what_cannot_be_approved_says_why(twin: Callable[..., Result], ada: Registry) -> None:
    ada.record_model(Model("m2", "ada", "d2", "c1", "base", "/adapter"))
    failed(twin("approve", "ada", "--version", "m1"), "Only ada's newest model, m2", "m1 is another one")
    failed(twin("approve", "ada", "--version", "m1", "--reject"), "Only ada's newest model, m2")
    failed(twin("approve", "ada"), "m2 cannot be approved", "no evaluation")
    failed(twin("approve", "joe"), "No author 'joe'")
    ada.add_author("bob")
    failed(twin("approve", "bob"), "no trained model", "twin run bob")
    assert {model.status for model in ada.models("ada")} == {"candidate"}


def test_status_shows_the_stage_of_the_newest_model(twin: Callable[..., Result], ada: Registry) -> None:
    assert "m1 (candidate)" in twin("status").out
    assert "0.10 -> 0.90" in twin("status").out
    ada.decide("m1", "rejected", "jo", "Too stiff.")
    assert "m1 (rejected)" in twin("status").out
    ada.decide("m1", "accepted", "jo", "Fine.")
    ada.record_deployment(Deployment("ada", "m1", "llama.cpp", "http://127.0.0.1:9/v1", "/model.gguf"))
    result = twin("status").out
    assert "m1 (deployed)" in result and "m1 (stopped; `twin up` starts it)" in result


def test_a_run_says_that_a_model_waits(twin: Callable[..., Result], ada: Registry, posts: Path) -> None:
    assert twin("add", "ada", "--source", str(posts)).code == 0
    assert "m1 passed the gate and waits for a person: twin approve ada" in twin("run", "ada", "--to", "raw_posts").out
    ada.decide("m1", "accepted", "jo", "Fine.")
    assert "waits for a person" not in twin("run", "ada", "--to", "raw_posts").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "jane"], "--source"),
        (["wrong"], "wrong"),
        (["run"], "NAME"),
        (["inspect", "a", "b"], "b"),
        (["inspect"], "PATH_OR_URL"),
        (["inspect", "a", "--author", "jane"], "--author"),
        (["inspect", "--author", "jane", "--until", "2024-01-01"], "--until"),
        (["write", "jane", "bread", "--words", "5"], "20"),
        (["run", "jane", "--fast"], "--fast"),
        (["checks"], "AUTHOR"),
        (["checks", "jane", "--ci"], "AUTHOR"),
    ],
)
def test_a_usage_error_ends_with_2(settings: Settings, arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert result.code == 2
    assert said.lower() in result.err.lower()


def test_a_setting_that_cannot_be_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_HELD_OUT_SHARE", "1.5")
    get_settings.cache_clear()
    try:
        failed(call("status"), "TWIN_HELD_OUT_SHARE", "less than 1", "1.5", code=2)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_db_url_is_one_line_that_connects(twin: Callable[..., Result]) -> None:
    result = twin("db", "url")
    assert result.code == 0
    url = result.out.strip()
    assert "\n" not in url
    with psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_full_disk_is_said_before_anything_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.shutil, "disk_usage", lambda _: DiskUsage(10**12, 10**12 - 10**8, 10**8))
    with pytest.raises(TwinError, match=r"Only 0\.1 GB of disk are free under .*TWIN_HOME"):
        runs.materialize("jane", None, settings, lambda _: None)


@dataclass(frozen=True)
class Brief:
    """A run for an author with too little text, and what it left."""

    result: Result
    status: Result
    words: int
    counts: dict[str, int]


@pytest.fixture(scope="module")
def brief(session_database: Database, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brief]:
    """A real run of the whole graph for an author of ten short posts."""
    folder = tmp_path_factory.mktemp("brief")
    for number, day in enumerate(["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 1):
        (folder / f"{day}.md").write_text(f"---\ntitle: The {day} loaf\ndate: 2024-{number:02}-01\n---\n{PARAGRAPH.format(day)}\n")
    assert call("add", "brief", "--source", str(folder)).code == 0
    result = call("run", "brief")
    (folder / "eleventh.md").write_text(f"---\ntitle: New\ndate: 2024-12-01\n---\n{PARAGRAPH.format('eleventh')}\n")
    assert call("run", "brief", "--to", "raw_posts").code == 0
    tables = {"chunks": "features.chunks", "embeddings": "features.embeddings", "documents": "cleaning.cleaned_documents"}
    with session_database.begin() as connection:
        counts = {
            name: connection.scalar(text(f"select count(*) from {table} where author = 'brief'")) or 0 for name, table in tables.items()
        }
        query = (
            "select sum(voice_words) from (select * from cleaning.cleaned_documents where author = 'brief' order by published_at limit 8)"
        )
        words = connection.scalar(text(query)) or 0
    yield Brief(result, call("status"), words, counts)
    with session_database.begin() as connection:
        names = connection.scalars(
            text("select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = any(:schemas)"), {"schemas": [*SCHEMAS]}
        )
        connection.execute(text(f"truncate {', '.join(names)} cascade"))


def test_too_little_text_says_how_many_words_are_missing(brief: Brief, settings: Settings) -> None:
    missing = settings.min_training_words - brief.words
    failed(
        brief.result, f"brief has {brief.words:,} words", f"{missing:,} fewer than the {settings.min_training_words:,} needed", "twin add"
    )
    assert "training/instruct_dataset: failed" in brief.result.out
    assert "adapter_weights: done" not in brief.result.out
    assert str(runs.run_log("brief", settings)) in brief.result.err


def test_too_little_text_to_train_on_still_gets_its_features(brief: Brief) -> None:
    assert brief.counts["documents"] == 10
    assert brief.counts["chunks"] >= 10
    assert brief.counts["embeddings"] == brief.counts["chunks"]
    assert "features/embeddings: done" in brief.result.out


def test_inspect_shows_what_was_removed_from_an_authors_documents(brief: Brief) -> None:
    assert "10 documents kept, 0 dropped" in call("inspect", "--author", "brief").out
    result = call("inspect", "--author", "brief", "--document", "The first loaf")
    assert result.code == 0
    assert " ".join(PARAGRAPH.format("first").split()[:8]) in result.out
    failed(call("inspect", "--author", "brief", "--document", "loaf"), "may be one of these documents", "The second loaf")
    failed(call("inspect", "--author", "brief", "--document", "cake"), "No document is called 'cake'")


def test_status_notices_a_post_that_was_not_cleaned_yet(brief: Brief) -> None:
    row = next(line for line in brief.status.out.splitlines() if line.split()[:1] == ["brief"])
    assert row.split()[1] == "10"
    assert "annotations" in row and "cleaning" in row
