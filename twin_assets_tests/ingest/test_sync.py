from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from twin_assets.ingest.crawls import Read
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.posts import Block, Post
from twin_assets.ingest.report import sample_table, source_table, state_counts
from twin_assets.ingest.source import Coverage, Source
from twin_assets.ingest.sync import missing_page, raw_version, retire_sources, sync_source
from twin_assets.ingest.web import Web
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts


class Fixed(Source):
    platform = "blog"

    def __init__(
        self, location: str, posts: list[Post], *, fails: bool = False, coverage: Coverage = "everything", truncated: str = ""
    ) -> None:
        self.location, self.posts, self.fails, self.coverage, self.truncated = location, posts, fails, coverage, truncated

    def read(self) -> Iterator[Post]:
        yield from self.posts
        if self.fails:
            raise SourceError("gone in the middle")


def post(key: str, text: str = "Some words.") -> Post:
    return Post(
        key=key, platform="blog", kind="article", origin=f"{key}.md", state="kept", title=f"T|{key}", blocks=(Block("paragraph", text),)
    )


POSTS = [post("a"), post("b", "Other words."), replace(post("c"), state="draft", reason="draft: true")]


def rows(database: Database) -> dict[str, dict[str, object]]:
    with database.begin() as connection:
        return {row["origin"]: dict(row) for row in connection.execute(select(raw_posts)).mappings()}


def test_a_second_sync_writes_nothing(database: Database) -> None:
    first = sync_source(database, "jane", Fixed("x", POSTS))
    assert (first.inserted, first.by_state, first.words) == (3, {"kept": 2, "draft": 1}, 4)
    before, version = rows(database), raw_version(database, "jane")
    second = sync_source(database, "jane", Fixed("x", POSTS))
    assert (second.inserted, second.updated, second.deleted, second.unchanged) == (0, 0, 0, 3)
    assert rows(database) == before
    assert raw_version(database, "jane") == version


def test_edits_replace_and_what_vanished_gets_a_tombstone(database: Database) -> None:
    sync_source(database, "jane", Fixed("x", POSTS))
    before, versions = rows(database), {raw_version(database, "jane")}
    report = sync_source(database, "jane", Fixed("x", [post("a", "New words."), POSTS[2]]))
    assert (report.updated, report.deleted, report.unchanged) == (1, 1, 1)
    after = rows(database)
    assert after["a.md"]["blocks"] == [{"type": "paragraph", "text": "New words."}]
    assert after["a.md"]["updated_at"] > before["a.md"]["updated_at"]  # pyright: ignore[reportOperatorIssue]
    assert after["b.md"]["deleted_at"] is not None
    assert after["c.md"] == before["c.md"]
    versions.add(raw_version(database, "jane"))
    report = sync_source(database, "jane", Fixed("x", POSTS))
    assert (report.updated, report.inserted) == (2, 0)
    assert rows(database)["b.md"]["deleted_at"] is None
    assert len(versions) == 2 and raw_version(database, "jane") in versions


def test_authors_and_sources_do_not_touch_each_other(database: Database) -> None:
    sync_source(database, "jane", Fixed("x", POSTS))
    sync_source(database, "joe", Fixed("x", [POSTS[0]]))
    sync_source(database, "jane", Fixed("y", [post("d")]))
    assert state_counts(database, None) == {"jane": {"kept": 3, "draft": 1}, "joe": {"kept": 1}}


def test_a_failed_or_empty_read_changes_nothing(database: Database) -> None:
    sync_source(database, "jane", Fixed("x", POSTS))
    before = rows(database)
    with pytest.raises(SourceError, match="in the middle"):
        sync_source(database, "jane", Fixed("x", [post("new")], fails=True))
    with pytest.raises(SourceError, match="held 3 posts"):
        sync_source(database, "jane", Fixed("x", []))
    assert rows(database) == before
    assert sync_source(database, "jane", Fixed("never read before", [])).total == 0


def test_a_post_in_two_sources_stays_where_it_is(database: Database) -> None:
    sync_source(database, "jane", Fixed("x", POSTS))
    version = raw_version(database, "jane")
    for location in ("y", "x", "y"):
        report = sync_source(database, "jane", Fixed(location, POSTS))
        assert (report.inserted, report.updated, report.deleted) == (0, 0, 0)
    assert raw_version(database, "jane") == version
    assert sync_source(database, "jane", Fixed("y", POSTS)).elsewhere == 3


def test_a_whole_post_replaces_another_sources_teaser(database: Database) -> None:
    whole = replace(POSTS[0], key="https://me.example/a")
    teaser = replace(whole, state="partial", reason="teaser")
    sync_source(database, "jane", Fixed("feed", [teaser]))
    assert sync_source(database, "jane", Fixed("export", [whole])).updated == 1
    assert sync_source(database, "jane", Fixed("feed", [teaser])).elsewhere == 1
    assert rows(database)["a.md"]["source"] == "export"


def by_source(database: Database) -> dict[object, tuple[object, bool]]:
    with database.begin() as connection:
        found = connection.execute(select(raw_posts)).mappings().all()
    assert len({row["source"] for row in found}) == len(found)
    return {row["source"]: (row["id"], row["deleted_at"] is None) for row in found}


def test_two_sources_with_a_file_of_the_same_name_are_both_learned(database: Database) -> None:
    one, other = Fixed("x", [post("hello", "One.")]), Fixed("y", [post("hello", "Other.")])
    sync_source(database, "jane", one)
    assert sync_source(database, "jane", other).inserted == 1
    before, version = by_source(database), raw_version(database, "jane")
    assert before["x"][0] == one.posts[0].id("jane") and len(before) == 2
    for source in (other, one, one, other):
        assert sync_source(database, "jane", source).unchanged == 1
    assert raw_version(database, "jane") == version

    sync_source(database, "jane", Fixed("x", [post("another", "One.")]))  # renamed: the plain id is free, and the other keeps its own
    assert sync_source(database, "jane", other).unchanged == 1
    assert retire_sources(database, "jane", ["y"]) == 1
    assert sync_source(database, "jane", other).unchanged == 1


def test_two_copies_that_drift_apart_and_meet_again(database: Database) -> None:
    for text in ("One.", "Edited."):
        sync_source(database, "jane", Fixed("x", [post("hello", text)]))
        assert sync_source(database, "jane", Fixed("y", [post("hello", "One.")])).elsewhere == (text == "One.")
    assert [alive for _, alive in by_source(database).values()] == [True, True]
    report = sync_source(database, "jane", Fixed("y", [post("hello", "Edited.")]))
    assert (report.elsewhere, report.deleted) == (1, 1)


@pytest.mark.parametrize(
    ("key", "everywhere"),
    [
        ("https://me.example/a", True),
        ("urn:li:share:1#comment-2024-01-01", True),
        ("tag:me.example,2024:1", True),
        ("substack:12", True),
        ("substack:posts.csv:1", False),
        ("linkedin:Shares.csv:1", False),
        ("entry:3", False),
        ("index.html", False),
    ],
)
def test_keys_that_mean_the_same_post_in_any_source(database: Database, key: str, everywhere: bool) -> None:
    sync_source(database, "jane", Fixed("x", [post(key, "One.")]))
    report = sync_source(database, "jane", Fixed("y", [post(key, "Other.")]))
    assert (report.elsewhere, report.inserted) == (everywhere, not everywhere)


def test_what_one_source_says_is_deleted_no_other_one_brings_back(database: Database) -> None:
    tweet = post("urn:x:1", "I should not have said that.")
    deleted = replace(tweet, state="deleted", reason="deleted by its author", blocks=(), title=None)
    sync_source(database, "jane", Fixed("old archive", [tweet]))
    for _ in range(2):
        sync_source(database, "jane", Fixed("new archive", [deleted]))
        assert sync_source(database, "jane", Fixed("old archive", [tweet])).updated == 0
    (row,) = rows(database).values()
    assert (row["state"], row["blocks"], row["source"]) == ("deleted", [], "new archive")


def dated(*days: int) -> list[Post]:
    return [replace(post(f"d{day}", f"Words of day {day}."), published_at=datetime(2024, 1, day, tzinfo=UTC)) for day in days]


def buried(database: Database) -> set[str]:
    return {origin for origin, row in rows(database).items() if row["deleted_at"] is not None}


def a_day_passes(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(update(raw_posts).values(missing_since=raw_posts.c.missing_since - timedelta(days=1)))


def test_what_falls_out_of_a_feed_is_not_gone(database: Database) -> None:
    def show(*posts: Post) -> tuple[int, int]:
        report = sync_source(database, "jane", Fixed("feed", list(posts), coverage="newest"))
        return report.deleted, report.missing

    show(*dated(4, 3, 2, 1), post("undated"))
    assert show(*dated(5, 4, 3)) == (0, 0)
    assert show(*dated(6, 5, 3)) == (0, 1)
    assert show(*dated(6, 5, 3)) == (0, 1), "twice on one day is not twice"
    a_day_passes(database)
    assert show(*dated(6, 5, 3)) == (1, 0)
    assert buried(database) == {"d4.md"}
    assert show(*dated(1, 6)) == (0, 0), "an old one pinned to the top hides the old end"
    assert show(post("undated")) == (0, 0)
    assert sync_source(database, "jane", Fixed("feed", dated(6, 5, 3))).deleted == 3


def test_a_listing_may_err_once(database: Database) -> None:
    def show(*posts: Post, truncated: str = "") -> tuple[int, int]:
        report = sync_source(database, "jane", Fixed("api", list(posts), coverage="listing", truncated=truncated))
        return report.deleted, report.missing

    show(*dated(3, 2, 1))
    assert show(*dated(3), truncated="page 2 answered 500") == (0, 0)
    assert show(*dated(3, 2)) == (0, 1)
    assert show(*dated(3, 2, 1)) == (0, 0), "it is back"
    a_day_passes(database)
    assert show(*dated(3, 2)) == (0, 1), "so this is the first time again"
    a_day_passes(database)
    assert show(*dated(3, 2)) == (1, 0)


def test_the_page_of_a_post_that_a_feed_lost_is_asked(database: Database) -> None:
    class Pages(Web):
        def status(self, url: str) -> int:
            if url.endswith("down"):
                raise FetchError("down", "server_error")
            return 410 if url.endswith("gone") else 200

    def at(day: int, url: str) -> Post:
        return replace(dated(day)[0], url=f"https://me.example/{url}")

    def show(*posts: Post) -> tuple[int, int]:
        report = sync_source(database, "jane", Fixed("feed", list(posts), coverage="newest"), web=Pages())
        return report.deleted, report.missing

    show(at(5, "a"), at(4, "gone"), at(3, "there"), at(2, "down"), at(1, "z"))
    assert show(at(5, "a"), at(1, "z")) == (0, 1)
    a_day_passes(database)
    assert show(at(5, "a"), at(1, "z")) == (1, 0)
    assert buried(database) == {"d4.md"}


def test_a_page_that_answers_404_goes_a_day_later(database: Database) -> None:
    sync_source(database, "jane", Fixed("https://me.example/a", [post("a")]))
    sync_source(database, "jane", Fixed("https://me.example/feed", [post("b"), post("c")]))
    assert missing_page(database, "jane", "https://me.example/a") == 0
    a_day_passes(database)
    assert missing_page(database, "jane", "https://me.example/a") == 1
    assert missing_page(database, "jane", "https://me.example/feed") == 0
    a_day_passes(database)
    assert missing_page(database, "jane", "https://me.example/feed") == 0, "a feed is no page"


def test_what_cannot_be_read_today_stays_as_it_was(database: Database) -> None:
    sync_source(database, "jane", Fixed("x", POSTS))
    before = rows(database)
    broken = Post(key="a", platform="blog", kind="article", origin="a.md", state="unreadable", reason="timeout")
    report = sync_source(database, "jane", Fixed("x", [broken, *POSTS[1:]]))
    assert (report.retained, report.updated, report.deleted) == (1, 0, 0)
    assert rows(database) == before
    nameless = replace(broken, key="blog:a.md")  # a file that cannot be read does not say the address that it had as its key
    report = sync_source(database, "jane", Fixed("x", [nameless, *POSTS[1:]]))
    assert (report.retained, report.inserted, report.deleted) == (1, 0, 0)
    assert rows(database) == before


def test_a_broken_row_takes_nobodys_place(database: Database) -> None:
    tweets = [replace(post(f"urn:x:{n}"), origin=f"tweets.js:{n}") for n in (1, 2)]
    sync_source(database, "jane", Fixed("x", tweets))
    broken = Post(key="x:tweets.js:1", platform="x", kind="post", origin="tweets.js:1", state="unreadable", reason="no text")
    moved = [replace(tweet, origin=f"tweets.js:{n}") for n, tweet in enumerate(tweets, 2)]
    report = sync_source(database, "jane", Fixed("x", [broken, *moved]))
    assert (report.inserted, report.retained, len(rows(database))) == (1, 0, 3)


def test_a_teaser_never_takes_the_place_of_the_whole(database: Database) -> None:
    sync_source(database, "jane", Fixed("x", POSTS))
    before = rows(database)
    teaser = replace(post("a", "Some"), state="partial", reason="behind a paywall")
    assert sync_source(database, "jane", Fixed("x", [teaser, *POSTS[1:]])).retained == 1
    assert rows(database) == before


def test_what_the_owner_set_aside_comes_in_by_no_other_route(database: Database) -> None:
    text = post("https://me.example/a")
    aside = replace(text, state="excluded", reason="written with help")
    for first, second in ((text, aside), (aside, text)):
        sync_source(database, "jane", Fixed("one", [first]))
        sync_source(database, "jane", Fixed("two", [second]))
        sync_source(database, "jane", Fixed("one", [first]))
        assert {row["state"] for row in rows(database).values()} == {"excluded"}
        retire_sources(database, "jane", [])


def test_an_edit_is_a_revision(database: Database) -> None:
    sync_source(database, "jane", Fixed("x", POSTS))
    sync_source(database, "jane", Fixed("x", [post("a", "New words."), *POSTS[1:]]))
    moved = replace(post("a", "New words."), origin="moved.md")
    sync_source(database, "jane", Fixed("x", [moved, *POSTS[1:]]))
    assert rows(database)["moved.md"]["revision"] == 2
    assert rows(database)["b.md"]["revision"] == 1


def test_a_moved_source_takes_its_posts_along(database: Database) -> None:
    sync_source(database, "jane", Fixed("old", POSTS))
    version = raw_version(database, "jane")
    assert retire_sources(database, "jane", ["new"]) == 3
    assert sync_source(database, "jane", Fixed("new", POSTS)).updated == 3
    assert raw_version(database, "jane") == version


def test_text_that_postgres_refuses_is_made_storable(database: Database) -> None:
    odd = replace(post("a", "nul \x00 and surrogate \ud800"), title="t\x00\udfff")
    sync_source(database, "jane", Fixed("x", [odd]))
    assert sync_source(database, "jane", Fixed("x", [odd])).unchanged == 1
    assert rows(database)["a.md"]["title"] == "t?"


def test_tables_for_people(database: Database) -> None:
    report = sync_source(database, "jane", Fixed("x", POSTS))
    away = SourceError("is away", "missing")
    ended = Read("y", datetime.now(UTC), None, "missing", "is away", 0)
    table = source_table({"x": report, "y": away}, [ended])
    assert "| x |  |  |  | 3 | 4 | draft 1, kept 2 | 3 | 0 | 0 | 0 |" in table
    assert "| y | missing | is away | 0 |" in table
    assert "T\\|a" in sample_table(database, "jane") and "T\\|c" not in sample_table(database, "jane")
