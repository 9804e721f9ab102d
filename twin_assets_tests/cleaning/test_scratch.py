"""The warehouse for one look: the same models as the real one's, and nothing of it is left, however it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url

from twin_assets.cleaning import scratch
from twin_assets.cleaning.review import read_review
from twin_assets.cleaning.scratch import AUTHOR, cleaned_source, scratch_warehouse
from twin_assets.ingest.errors import SourceError
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError

BREAD = "The loaf came out flat, so I wrote down what the oven said and what it did. They did not agree at all."


def databases(database: Database) -> set[str]:
    with database.begin() as connection:
        return set(connection.scalars(text("select datname from pg_database where datname like '%scratch%'")))


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    folder = tmp_path / "posts"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.md").write_text(
            f"---\ntitle: Loaf {number}\n---\nNumber {number}. {BREAD}\n\nI write about bread. Follow along!\n"
        )
    (folder / "draft.md").write_text("---\ntitle: Not yet\ndraft: true\n---\nNot yet.\n")
    (folder / "mail.md").write_text(f"---\ntitle: Mail\n---\n{BREAD} Ask baker@b.co, who knows.\n")
    return folder


def test_a_source_is_cleaned_beside_the_warehouse_and_nothing_is_left(database: Database, settings: Settings, posts: Path) -> None:
    said: list[str] = []
    with cleaned_source(str(posts), settings, say=said.append) as source:
        found = read_review(source.database, AUTHOR)
        assert len(databases(database)) == 1
    assert databases(database) == set()
    assert (found.kept, found.dropped, found.masked) == (6, {"draft": 1}, {"email": 1})
    removed = {line for document in found.documents for line in document.removed()}
    assert removed == {("I write about bread. Follow along!", f"in 5 of 6 documents of {posts}")}
    assert "baker@" not in repr(found)
    assert said[0] == f"reading {posts}" and any(line.startswith("cleaning 6 posts") for line in said)
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from ingest.raw_posts")) == 0


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_it_the_database_goes(database: Database, settings: Settings, end: type[BaseException]) -> None:
    with pytest.raises(end), scratch_warehouse(settings) as (made, _):
        assert len(databases(database)) == 1
        made.begin().__enter__()  # a connection that is still open
        raise end
    assert databases(database) == set()


def test_a_source_that_cannot_be_read_leaves_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no file or folder"), cleaned_source(str(tmp_path / "absent"), settings):
        pytest.fail("there is nothing to clean")
    assert databases(database) == set()


def test_what_a_killed_one_left_is_dropped_and_what_is_in_use_stays(database: Database, settings: Settings) -> None:
    name = f"{make_url(database.url).database}_scratch_1"
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for leftover in (name, name.replace("_1", "_5")):
            connection.execute(text(f'create database "{leftover}"'))
    with scratch_warehouse(settings) as (first, slot), scratch_warehouse(settings) as (second, other):
        assert (slot, other) == (1, 2)
        assert make_url(first.url).database == name
        with first.begin() as connection:  # made anew, at the newest schema
            assert connection.scalar(text("select count(*) from ingest.raw_posts")) == 0
        assert len(databases(database)) == 2
        assert second.url != first.url
    assert databases(database) == set()


def test_only_so_many_at_once(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_SLOTS", 1)
    with scratch_warehouse(settings), pytest.raises(TwinError, match="Wait until one of them is done"), scratch_warehouse(settings):
        pytest.fail("there is no room")
    assert databases(database) == set()


@pytest.fixture
def modest(database: Database, settings: Settings) -> Iterator[Settings]:
    """Settings of a user who may read the warehouse and make no database."""
    with database.begin() as connection:
        connection.execute(
            text("create role modest; grant usage on schema public to modest; grant select on public.alembic_version to modest")
        )
    url = make_url(database.url).update_query_dict({"options": "-c role=modest"}).render_as_string(hide_password=False)
    yield settings.model_copy(update={"database_url": SecretStr(url)})
    with database.begin() as connection:
        connection.execute(
            text("revoke all on public.alembic_version from modest; revoke all on schema public from modest; drop role modest")
        )


def test_a_server_that_lets_no_database_be_made_is_named(modest: Settings) -> None:
    with pytest.raises(TwinError, match=r"permission denied to create database.*createdb.*--author NAME"), scratch_warehouse(modest):
        pytest.fail("it was made")
