"""An author with too little text to train on, through all commands."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from twin_assets import runs
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.tables import SCHEMAS
from twin_assets_tests.cli.typed import DAGSTERS_OWN, PARAGRAPH, Result, call, failed

pytestmark = DAGSTERS_OWN


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
    if not settings.trainer_python.exists():
        pytest.skip("no trainer environment: run `make setup`")
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
