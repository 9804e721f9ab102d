"""Authors and their sources: ``twin add``, ``inspect``, ``forget``."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from twin_assets import runs
from twin_assets.cleaning import scratch
from twin_assets.partitions import authors
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry
from twin_assets_tests.cli.typed import DAGSTERS_OWN, PARAGRAPH, Result, failed

pytestmark = DAGSTERS_OWN


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


def test_a_source_is_taken_away_again(twin: Callable[..., Result], database: Database, posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("add", "jane", "--remove", "/nowhere"), "no source of jane", str(posts))
    assert twin("add", "jane", "--remove", str(posts)).code == 0
    assert Registry(database).sources("jane") == []


def test_what_cannot_be_read_is_not_added(twin: Callable[..., Result], database: Database, tmp_path: Path) -> None:
    (tmp_path / "Shares.csv").write_text("When,What\n2024-01-01,hello\n")
    failed(twin("add", "jane", "--source", str(tmp_path)), "lacks the columns")
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
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in its background
    failed(twin("inspect", str(posts), "--clean"), "Stopped", code=130)
    signal.signal(signal.SIGINT, before)
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from pg_database where datname like '%scratch%'")) == 0


def test_inspect_of_an_author_says_what_is_missing(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("inspect", "--author", "joe"), "No author 'joe'", "Known: jane")
    failed(twin("inspect", "--author", "jane"), "has been cleaned yet", "twin run jane --to cleaned_documents")


def test_forget_says_that_it_is_not_built(twin: Callable[..., Result], database: Database, posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("forget", "jane"), "not built yet", "nothing was deleted")
    failed(twin("forget", "jane", "--document", "d1"), "document d1 of jane", "not built yet")
    assert Registry(database).authors() == ["jane"]
