import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from time import perf_counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from twin_assets.ingest.posts import Block, Kind, Post, State
from twin_assets.ingest.source import Coverage, Source
from twin_assets.ingest.sync import raw_version, retire_sources, sync_source
from twin_assets.ingest.works import Text, cross_post_table, group_works, own_text, works
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

_numbers = count(1)
BLOG, MEDIUM, SUBSTACK = "blog", "medium", "substack"


def words(size: int, seed: int = 0) -> str:
    chosen = random.Random(seed)
    return " ".join("".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(size))


def a_text(text: str, source: str = BLOG, url: str | None = None, canonical: str | None = None, year: int = 2024) -> Text:
    blocks = [{"type": "paragraph", "text": text}]
    return Text(UUID(int=next(_numbers)), source, own_text(blocks), "kept", url, canonical, datetime(year, 1, 1, tzinfo=UTC))


def stands(*posts: Text) -> list[int]:
    """For each post, the place of the one that stands for it."""
    found = works(posts)
    places = {post.id: place for place, post in enumerate(posts)}
    return [places[found[post.id]] for post in posts]


def test_the_same_text_with_another_platforms_additions_is_one_work() -> None:
    """Containment is high where Jaccard is not: MinHash at 0.8 would find none of these."""
    text = words(300)
    one, other = a_text(f"{words(40, 1)} {text}", SUBSTACK), a_text(f"{text} {words(280, 2)}", MEDIUM)
    first, second = ({*zip(*(post.words[n:] for n in range(5)), strict=False)} for post in (one, other))
    assert len(first & second) / len(first | second) < 0.5
    assert stands(one, other) == [1, 1]


def test_different_posts_are_different_works() -> None:
    assert stands(a_text(words(300, 1)), a_text(words(300, 2), MEDIUM), a_text("", MEDIUM), a_text("", SUBSTACK)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("share", "same"), [(0.45, False), (0.6, True)])
def test_half_of_the_shorter_text_decides(share: float, same: bool) -> None:
    common = int(400 * share)
    one, other = a_text(words(400)), a_text(" ".join(words(400).split()[:common]) + " " + words(400 - common, 5), MEDIUM)
    assert (stands(one, other) == [0, 0]) is same


def test_a_teaser_of_an_article_is_a_post_of_its_own() -> None:
    article = words(1000)
    teaser = " ".join(article.split()[:120])
    assert stands(a_text(article), a_text(teaser, "linkedin")) == [0, 1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Shipped it today.", "SHIPPED it: today!", True),
        ("Shipped it today.", "Shipped it yesterday.", False),
        ("𝗦𝗵𝗶𝗽𝗽𝗲𝗱 it today.", "Shipped it today.", True),
        (words(20), words(20) + " and more", True),
        (words(20) + " " + words(12, 1), words(20) + " " + words(12, 2), False),  # half of a short text is a phrase
    ],
)
def test_short_posts_have_to_be_equal_or_nearly(one: str, other: str, same: bool) -> None:
    assert (len(set(stands(a_text(one), a_text(other, MEDIUM)))) == 1) is same


def test_texts_without_blanks_between_words() -> None:
    text = "".join(chr(0x4E00 + n * 7) for n in random.Random(1).sample(range(2000), 200))
    assert len(set(stands(a_text(text), a_text(text[:180] + "。終わり", MEDIUM)))) == 1


def test_boilerplate_glues_no_posts_together() -> None:
    """Nine of ten words of these posts are the newsletter's standing advertisement."""
    footer = words(360, 99)
    posts = [a_text(f"{words(40, seed)} {footer}", SUBSTACK) for seed in range(6)]
    assert stands(*posts) == list(range(6))
    copy = a_text(words(40, 3), MEDIUM)
    assert stands(*posts, copy)[-1] == 3 or stands(*posts, copy)[3] == 6


def test_a_digest_does_not_make_one_work_of_all_that_it_tells() -> None:
    """What is an alias is the same text as what stands for it; what is like two works does not join them."""
    common, first, second = words(40), words(400, 1), words(400, 2)
    digest = " ".join([common, *first.split()[:200], *second.split()[:200]])
    posts = a_text(f"{common} {first} {words(9, 3)}"), a_text(f"{common} {second}"), a_text(digest, SUBSTACK)
    assert stands(posts[1], posts[2]) == [0, 0]
    assert stands(*posts) == [0, 1, 0]


def test_the_platforms_word_for_it() -> None:
    original = a_text(words(100, 1), BLOG, "https://me.example/a/?utm_source=x")
    copy = a_text(words(300, 2), "devto", "https://dev.to/me/a", "https://me.example/a")
    assert stands(copy, original) == [1, 1]
    other = a_text(words(50, 3), "hashnode", "https://me.hashnode.dev/a", "https://me.example/a/")
    assert stands(copy, other) == [0, 0]  # the original is not among them


def test_one_address_in_two_sources_is_one_work() -> None:
    export = a_text(words(100, 1), "export", "https://medium.com/@me/title-0123456789ab")
    feed = a_text(words(50, 2), "feed", "https://me.medium.com/title-0123456789ab?source=rss")
    assert stands(export, feed) == [0, 0]
    assert stands(export, replace(feed, source="export")) == [0, 1]  # two rows of one export are two posts


def test_a_front_page_is_the_original_of_nothing() -> None:
    posts = [a_text(words(100, seed), "devto", f"https://dev.to/{seed}", "https://me.example/") for seed in range(3)]
    assert stands(*posts, a_text(words(90, 9), BLOG, "https://me.example")) == [0, 1, 2, 3]
    everywhere = [a_text(words(100, seed), f"s{seed}", None, "https://me.example/blog") for seed in range(20)]
    assert stands(*everywhere) == list(range(20))


def test_which_one_stands() -> None:
    text = words(200)
    short, long = a_text(text, year=2020), a_text(text + " " + words(20, 1), MEDIUM)
    assert stands(short, long) == [1, 1]
    assert stands(a_text(text, year=2021), a_text(text, MEDIUM, year=2020)) == [1, 1]
    assert stands(replace(long, state="partial"), short) == [1, 1]
    named = replace(short, url="https://me.example/a")
    assert stands(named, long, a_text(text, "devto", "https://dev.to/a", "https://me.example/a")) == [0, 0, 0]


@given(st.lists(st.tuples(st.text("ab c", max_size=60), st.sampled_from([BLOG, MEDIUM])), max_size=12), st.randoms())
def test_the_order_of_posts_does_not_matter(drawn: Sequence[tuple[str, str]], shuffled: random.Random) -> None:
    posts = [a_text(text, source) for text, source in drawn]
    before = works(posts)
    assert all(before[standing] == standing for standing in before.values())
    mixed = list(posts)
    shuffled.shuffle(mixed)
    assert works(mixed) == before


def test_five_thousand_posts_take_seconds() -> None:
    chosen = random.Random(0)
    vocabulary = words(20_000).split()
    originals = [" ".join(chosen.choices(vocabulary, k=700)) for _ in range(4_500)]
    posts = [a_text(text) for text in originals] + [a_text(text + " more", MEDIUM) for text in originals[:500]]
    started = perf_counter()
    found = works(posts)
    assert perf_counter() - started < 30  # a few seconds on a free machine
    assert sum(id != standing for id, standing in found.items()) == 500


class Fixed(Source):
    coverage: Coverage = "everything"

    def __init__(self, location: str, *posts: Post) -> None:
        self.location, self.platform, self.posts = location, location, posts

    def read(self) -> Iterator[Post]:
        yield from self.posts


def a_post(key: str, text: str, state: State = "kept", kind: Kind = "article", url: str | None = None) -> Post:
    blocks = (Block("paragraph", text), Block("code", "same code " * 40))
    return Post(
        key=key, platform=key.split("-")[0], kind=kind, origin=key, state=state, reason="", title=f"T {key}", url=url, blocks=blocks
    )


def grouped(database: Database) -> dict[str, str]:
    with database.begin() as connection:
        rows = connection.execute(select(raw_posts).where(raw_posts.c.deleted_at.is_(None))).mappings().all()
        origins = {row["id"]: row["origin"] for row in connection.execute(select(raw_posts)).mappings()}
    return {row["origin"]: origins[row["work"] or row["id"]] for row in rows}


@pytest.fixture
def cross_posted(database: Database) -> Database:
    text = words(200)
    comment = a_post("medium-comment", text, kind="comment")
    blog = Fixed("blog", a_post("blog-a", text + " and a little more", url="https://me.example/a"), a_post("blog-b", words(200, 1)))
    sync_source(database, "jane", blog)
    sync_source(database, "jane", Fixed("medium", a_post("medium-a", text), comment, a_post("medium-draft", text, "draft")))
    sync_source(database, "joe", Fixed("other", a_post("joe-a", text)))
    return database


def test_cross_posts_are_one_work_and_a_second_time_writes_nothing(cross_posted: Database) -> None:
    assert group_works(cross_posted, "jane") == 1
    assert group_works(cross_posted, "joe") == 0
    expected = {name: name for name in ("blog-a", "blog-b", "medium-comment", "medium-draft", "joe-a")} | {"medium-a": "blog-a"}
    assert grouped(cross_posted) == expected
    with cross_posted.begin() as connection:
        before = connection.execute(select(raw_posts).order_by(raw_posts.c.id)).all()
    version = raw_version(cross_posted, "jane")
    assert group_works(cross_posted, "jane") == 0
    with cross_posted.begin() as connection:
        assert connection.execute(select(raw_posts).order_by(raw_posts.c.id)).all() == before
    assert raw_version(cross_posted, "jane") == version


def test_an_alias_takes_over_when_the_standing_post_is_deleted(cross_posted: Database) -> None:
    group_works(cross_posted, "jane")
    version = raw_version(cross_posted, "jane")
    retire_sources(cross_posted, "jane", ["medium"])
    assert group_works(cross_posted, "jane") == 1
    assert grouped(cross_posted)["medium-a"] == "medium-a"
    assert raw_version(cross_posted, "jane") != version


def test_deleting_an_alias_keeps_the_work_and_deleting_all_deletes_it(cross_posted: Database) -> None:
    group_works(cross_posted, "jane")
    retire_sources(cross_posted, "jane", ["blog"])
    group_works(cross_posted, "jane")
    assert grouped(cross_posted) == {"blog-a": "blog-a", "blog-b": "blog-b", "joe-a": "joe-a"}
    retire_sources(cross_posted, "jane", [])
    group_works(cross_posted, "jane")
    assert grouped(cross_posted) == {"joe-a": "joe-a"}


def test_a_new_place_joins_and_an_edit_parts(cross_posted: Database) -> None:
    group_works(cross_posted, "jane")
    sync_source(cross_posted, "jane", Fixed("substack", a_post("substack-a", words(200))))
    assert group_works(cross_posted, "jane") == 1
    assert grouped(cross_posted)["substack-a"] == "blog-a"
    sync_source(cross_posted, "jane", Fixed("substack", a_post("substack-a", words(200, 77))))
    assert group_works(cross_posted, "jane") == 1
    assert grouped(cross_posted)["substack-a"] == "substack-a"


def test_the_table_of_cross_posts_is_for_people(cross_posted: Database) -> None:
    group_works(cross_posted, "jane")
    lines = cross_post_table(cross_posted, "jane").splitlines()
    assert lines[2:] == ["| T blog-a | blog | https://me.example/a | medium | medium-a |"]
    assert len(cross_post_table(cross_posted, "joe").splitlines()) == 2
