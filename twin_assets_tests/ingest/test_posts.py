from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.collect import Rules, collect, mark_foreign
from twin_assets.ingest.posts import Block, Post, bylines, canonical_url, parse_date, post_key
from twin_assets.ingest.source import Coverage, Source

WORDS = (Block("paragraph", "Words of my own."),)
POST = Post(key="a", platform="blog", kind="article", origin="a.md", state="kept", blocks=WORDS)


class Fixed(Source):
    location = platform = "x"
    coverage: Coverage = "everything"

    def __init__(self, posts: list[Post]) -> None:
        self.posts = posts

    def read(self) -> Iterator[Post]:
        yield from self.posts


def settle(posts: list[Post]) -> list[Post]:
    return collect(Fixed(posts))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.com/Post/?utm_source=x&r=1ttoeh#top", "https://example.com/Post"),
        ("https://example.com/?p=12&fbclid=1", "https://example.com?p=12"),
        ("http://example.com:8080/a/", "http://example.com:8080/a"),
        ("/relative", None),
        ("mailto:me@example.com", None),
        ("https://[broken", None),
    ],
)
def test_one_spelling_of_a_url(url: str, expected: str | None) -> None:
    assert canonical_url(url) == expected


def test_medium_has_one_key_for_all_addresses_of_a_post() -> None:
    keys = {
        post_key(url)
        for url in (
            "https://medium.com/p/1410b0b5446d",
            "https://medium.com/@me/some-title-1410b0b5446d?source=rss-1------2",
            "https://me.medium.com/other-title-1410b0b5446d",
        )
    }
    assert keys == {"https://medium.com/p/1410b0b5446d"}
    assert post_key("https://example.com/a-1410b0b5446d") == "https://example.com/a-1410b0b5446d"


def test_spellings_of_one_address_are_one_key() -> None:
    spellings = [
        "https://example.com/a%20b?y=2&x=1",
        "http://www.example.com/a b/?x=1&y=2&utm_source=z",
        "https://example.com/a%20b/index.html?x=1&y=2#top",
        "https://EXAMPLE.com:443/a b/amp/?x=1&y=2",
    ]
    assert {post_key(url) for url in spellings} == {"https://example.com/a%20b?x=1&y=2"}
    assert post_key("https://twitter.com/me/status/1") == post_key("https://x.com/me/status/1")
    assert post_key("http://127.0.0.1:8000/a") == "http://127.0.0.1:8000/a"
    assert post_key("https://example.com/a") != post_key("https://example.com/b")


@given(st.text() | st.text(alphabet=st.characters(categories=["Cs", "Po", "Ll"])))
def test_canonical_url_never_raises_and_is_stable(text: str) -> None:
    for candidate in (text, f"https://{text}", f"https://example.com/{text}"):
        url = canonical_url(candidate)
        assert url is None or canonical_url(url) == url
        key = post_key(candidate)
        assert (key is None) == (url is None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-03-01", datetime(2024, 3, 1, tzinfo=UTC)),
        ("2024-03-01T10:00:00+02:00", datetime(2024, 3, 1, 8, tzinfo=UTC)),
        ("2019-07-26T20:48:19.814Z", datetime(2019, 7, 26, 20, 48, 19, 814000, tzinfo=UTC)),
        ("2025-07-01 14:33:22", datetime(2025, 7, 1, 14, 33, 22, tzinfo=UTC)),
        ("Tue, 27 Aug 2019 15:30:17 GMT", datetime(2019, 8, 27, 15, 30, 17, tzinfo=UTC)),
        ("January 5, 2020", datetime(2020, 1, 5, tzinfo=UTC)),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        ("March 4, 2021 10:15 PM", datetime(2021, 3, 4, 22, 15, tzinfo=UTC)),
        ("soon", None),
        (17, None),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), None),  # before the calendar begins
    ],
)
def test_dates(value: object, expected: datetime | None) -> None:
    assert parse_date(value) == expected


@given(st.text())
def test_dates_never_raise(text: str) -> None:
    parse_date(text)


def test_the_hash_sees_content_and_state_only() -> None:
    assert POST.content_hash == replace(POST, key="b", origin="b.md", url="https://example.com").content_hash
    changed = [
        replace(POST, title="T"),
        replace(POST, state="draft"),
        replace(POST, kind="note"),
        replace(POST, published_at=datetime(2024, 1, 1, tzinfo=UTC)),
        replace(POST, blocks=(Block("quote", WORDS[0].text),)),
    ]
    assert len({POST.content_hash, *(post.content_hash for post in changed)}) == 6


def test_ids_depend_on_author_and_key() -> None:
    assert POST.id("jane") == replace(POST, origin="elsewhere.md", title="new").id("jane")
    assert len({POST.id("jane"), POST.id("joe"), replace(POST, key="b").id("jane")}) == 3


def test_own_words_are_prose_only() -> None:
    blocks = (Block("paragraph", "one two – three"), Block("code", "x = 1"), Block("quote", "they said"), Block("list", "- four\n- five"))
    assert replace(POST, blocks=blocks).words == 5


def test_repeated_posts_are_kept_once_and_all_accounted_for() -> None:
    other = replace(POST, key="b", origin="b.md")
    settled = settle([POST, replace(POST, origin="a2.md"), other, replace(POST, key="c", blocks=())])
    assert [post.state for post in settled] == ["kept", "duplicate", "duplicate", "empty"]
    assert [post.reason for post in settled[1:3]] == ["same post as a.md", "same text as a.md"]
    assert len({post.key for post in settled}) == 4


def test_two_comments_in_one_second_are_two() -> None:
    first = replace(POST, kind="comment")
    second = replace(first, blocks=(Block("paragraph", "Another."),))
    assert [post.state for post in settle([first, second, second])] == ["kept", "kept", "duplicate"]


def test_a_guest_is_foreign_and_the_main_author_is_not() -> None:
    posts = [replace(POST, key=str(n)) for n in range(5)]
    guest = replace(POST, key="guest", bylines=("Guest",))
    assert [post.state for post in mark_foreign([*posts, guest])] == ["kept"] * 5 + ["foreign"]
    mine = [replace(post, bylines=("Jane Doe",)) for post in posts[:3]]
    marked = mark_foreign([*mine, *posts[3:], guest, replace(guest, bylines=("jane  doe",))])
    assert [post.state for post in marked] == ["kept"] * 5 + ["foreign", "kept"]


def test_bylines_in_all_shapes() -> None:
    assert [bylines(v) for v in (" A  B ", ["A", {"name": "B"}], {"name": "A"}, [], 3, "")] == [("A B",), ("A", "B"), ("A",), (), (), ()]


def test_named_authors_are_told_from_guests_and_co_authors() -> None:
    posts = [
        replace(POST, key=str(n), bylines=names)
        for n, names in enumerate([("Jane Doe",), ("@jane",), ("Guest",), ("Jane Doe", "Guest"), ()])
    ]
    marked = mark_foreign(posts, ["Jane Doe", "jane"])
    assert [post.state for post in marked] == ["kept", "kept", "foreign", "foreign", "kept"]
    assert marked[2].reason == "written by Guest, not by Jane Doe"
    assert marked[3].reason == "written together with Guest"


def test_a_single_name_among_unsigned_posts_is_a_guests() -> None:
    posts = [replace(POST, key=str(n)) for n in range(3)]
    marked = mark_foreign([*posts, replace(POST, key="guest", bylines=("Bob Guest",))])
    assert [post.state for post in marked] == ["kept"] * 3 + ["foreign"]


def test_the_registered_name_tells_whose_a_byline_is() -> None:
    posts = [replace(POST, key=name, bylines=(name,)) for name in ("Bob Guest", "Jane Doe")]
    assert [post.state for post in mark_foreign(posts, (), "jane-doe")] == ["foreign", "kept"]
    unknown = mark_foreign(posts, (), "jd")
    assert {post.state for post in unknown} == {"foreign"}, "nobody is taken for the author by the order of posts"
    assert "--known-as" in unknown[0].reason


def test_what_was_edited_after_the_cut_off_is_not_learned_from() -> None:
    year = {year: datetime(year, 1, 1, tzinfo=UTC) for year in (2019, 2023, 2025)}
    source = Fixed([replace(POST, published_at=year[2019], edited_at=year[2025])])
    (edited,) = collect(source, Rules(until=year[2023]))
    assert (edited.state, "edited" in edited.reason) == ("excluded", True)


def test_the_owner_draws_the_line() -> None:
    old, new = (replace(POST, key=str(year), title=str(year), published_at=datetime(year, 1, 1, tzinfo=UTC)) for year in (2021, 2024))
    undated = replace(POST, key="undated", title="undated")
    source = Fixed([old, new, undated])
    states = [post.state for post in collect(source, Rules(until=datetime(2023, 1, 1, tzinfo=UTC)))]
    assert states == ["kept", "excluded", "excluded"]
    assert {post.state for post in collect(source, Rules(ai_assisted=True))} == {"excluded"}
