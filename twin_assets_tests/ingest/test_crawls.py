from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from twin_assets.ingest.crawls import DatabasePages, forget_pages, forget_reads, last_reads, web_of
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.read import read_source, read_sources
from twin_assets.ingest.sync import SyncReport
from twin_assets.ingest.web import Response
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import SourceConfig
from twin_assets.store.tables import reads
from twin_assets_tests.ingest.site import Answer, serve

PAGE = b"<html><head><title>T</title></head><body><article><h1>T</h1><p>" + b"Words of a story. " * 20 + b"</p></article></body></html>"


def test_pages_are_kept_per_author(database: Database) -> None:
    jane, joe = DatabasePages(database, "jane"), DatabasePages(database, "joe")
    now = datetime.now(UTC)
    response = Response("https://x.test/final", 200, b"body \x00\xff", {"etag": '"1"'}, now)
    assert jane.load("https://x.test") is None
    jane.save("https://x.test", response)
    found = jane.load("https://x.test")
    assert found and (found.url, found.content, found.headers, found.fetched_at, found.stored) == (
        response.url,
        response.content,
        response.headers,
        now,
        True,
    )
    assert joe.load("https://x.test") is None
    jane.save("https://x.test", Response("https://x.test", 200, b"new", {}, now))
    assert (again := jane.load("https://x.test")) and again.content == b"new"


def test_how_a_read_ended_is_kept_and_a_broken_off_one_is_gone_on_with(database: Database, settings: Settings) -> None:
    with serve({"/a": Answer(PAGE)}) as site:
        config = SourceConfig(f"{site.url}/a")

        def read() -> SyncReport | SourceError:
            return read_source(settings, database, "jane", config)

        with web_of(settings, database, "jane", config.location) as killed:  # and nothing more
            killed.get(config.location)
        with web_of(settings, database, "jane", config.location) as resumed:
            assert resumed.get(config.location).stored
        assert [(one.outcome, one.finished_at) for one in last_reads(database, "jane")] == [("truncated", None)]
        report = read()
        assert isinstance(report, SyncReport) and report.inserted == 1
        assert site.requests["/a"] == 2, "what was fetched before the kill is fetched again only where it may list something new"
        (ended,) = last_reads(database, "jane")
        assert (ended.outcome, ended.started_at) == ("ok", killed.since)
        assert ended.finished_at is not None

        read()
        assert site.requests["/a"] == 3
        web_of(settings, database, "jane", config.location).close()
        with database.begin() as connection:
            connection.execute(update(reads).values(started_at=reads.c.started_at - timedelta(days=2)))
        read()
        assert site.requests["/a"] == 4, "too old to go on with"

        site.routes["/a"] = Answer(status=503, headers={"Retry-After": "0"})
        failed = read()
        assert isinstance(failed, SourceError) and failed.outcome == "server_error"
        (ended,) = last_reads(database, "jane")
        assert (ended.outcome, ended.finished_at) == ("server_error", None)
        with database.begin() as connection:
            assert connection.scalar(text("select count(*) from ingest.raw_posts where deleted_at is null")) == 1


def test_a_page_that_is_gone_goes_a_day_later(database: Database, settings: Settings) -> None:
    with serve({"/a": Answer(PAGE)}) as site:
        config = SourceConfig(f"{site.url}/a")
        read_source(settings, database, "jane", config)
        del site.routes["/a"]

        def living() -> int | None:
            read_source(settings, database, "jane", config)
            with database.begin() as connection:
                return connection.scalar(text("select count(*) from ingest.raw_posts where deleted_at is null"))

        assert [living(), living()] == [1, 1]
        with database.begin() as connection:
            connection.execute(text("update ingest.raw_posts set missing_since = missing_since - interval '1 day'"))
        assert living() == 0


def test_a_feed_that_turns_into_a_page_deletes_nothing(database: Database, settings: Settings) -> None:
    items = "".join(
        f"<item><title>{n}</title><link>https://me.example/{n}</link><description>&lt;p>Words of {n}.&lt;/p>&lt;p>More.&lt;/p></description></item>"
        for n in "ab"
    )
    feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>{items}</channel></rss>'.encode()
    with serve({"/feed": Answer(feed, "application/rss+xml")}) as site:
        config = SourceConfig(f"{site.url}/feed")
        assert isinstance(read_source(settings, database, "jane", config), SyncReport)
        site.routes["/feed"] = Answer(PAGE)
        failed = read_source(settings, database, "jane", config)
        assert isinstance(failed, SourceError) and "looks like something else" in str(failed)
        site.routes["/feed"] = Answer(feed, "application/rss+xml")
        report = read_source(settings, database, "jane", config)
        assert isinstance(report, SyncReport) and (report.inserted, report.unchanged) == (0, 2)


def test_what_one_source_loses_stays_with_the_other_that_has_it(database: Database, settings: Settings, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in "12":
            (tmp_path / name / f"{number}.md").write_text(f"---\nurl: https://me.example/{number}\n---\nWords of {number}.")
    a, b = (SourceConfig(str(tmp_path / name)) for name in "ab")
    read_sources(settings, database, "jane", [a])
    read_sources(settings, database, "jane", [b])
    (tmp_path / "a" / "1.md").unlink()
    read_sources(settings, database, "jane", [b, a])
    with database.begin() as connection:
        assert connection.scalar(text("select count(*) from ingest.raw_posts where deleted_at is null")) == 2


@pytest.mark.parametrize(("what", "outcome"), [("missing.zip", "missing"), ("broken.zip", "malformed")])
def test_files_that_cannot_be_read_have_an_outcome_too(
    database: Database, settings: Settings, tmp_path: Path, what: str, outcome: str
) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK")
    failed = read_source(settings, database, "jane", SourceConfig(str(tmp_path / what)))
    assert isinstance(failed, SourceError) and failed.outcome == outcome
    assert [(read.outcome, read.detail) for read in last_reads(database, "jane")] == [(outcome, str(failed))]


def test_pages_that_no_crawl_asks_for_any_more_are_removed(database: Database) -> None:
    now = datetime.now(UTC)
    for author in ("jane", "joe"):
        for url, age in (("https://x.test/old", 61), ("https://x.test/new", 59)):
            DatabasePages(database, author).save(url, Response(url, 200, b"x", {}, now - timedelta(days=age)))
    forget_pages(database, "jane", now - timedelta(days=60))
    jane, joe = DatabasePages(database, "jane"), DatabasePages(database, "joe")
    assert jane.load("https://x.test/old") is None and jane.load("https://x.test/new") is not None
    assert joe.load("https://x.test/old") is not None


def test_pages_go_with_the_last_source_on_the_web(database: Database) -> None:
    page = Response("https://x.test", 200, b"x", {}, datetime.now(UTC))
    jane, joe = DatabasePages(database, "jane"), DatabasePages(database, "joe")
    for pages in (jane, joe):
        pages.save("https://x.test", page)
    forget_reads(database, "jane", ["/home/jane/export.zip", "https://y.test"])
    assert jane.load("https://x.test") is not None
    forget_reads(database, "jane", ["/home/jane/export.zip"])
    assert jane.load("https://x.test") is None
    assert joe.load("https://x.test") is not None
