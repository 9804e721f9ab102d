import json
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Folder, UnreadableTextError, open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address
from twin_assets.ingest.sources import x
from twin_assets.ingest.web import Web

ME, BOB = "700", "800"
PRIVATE = (
    "account.js",
    "ad-engagements.js",
    "direct-messages.js",
    "direct-messages-group.js",
    "ip-audit.js",
    "like.js",
    "phone-number.js",
    "tweet-headers.js",
    "deleted-tweet-headers.js",
    "community-note-rating.js",
    "profile.js",
    "contact.js",
)


def tweet(id: int, full_text: str, minute: int = 0, **fields: Any) -> dict[str, Any]:
    created = f"Tue Mar 05 10:{minute:02d}:00 +0000 2024"
    return {"tweet": {"id_str": str(id), "full_text": full_text, "created_at": created, "retweeted": False, **fields}}


def reply(id: int, full_text: str, to: int, user: str, minute: int = 0, **fields: Any) -> dict[str, Any]:
    return tweet(id, full_text, minute, in_reply_to_status_id_str=str(to), in_reply_to_user_id_str=user, **fields)


def write(folder: Path, **lists: object) -> Path:
    """An archive; ``note_tweet=[...]`` becomes ``data/note-tweet.js``."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for variable, rows in lists.items():
        name = variable.replace("_", "-")
        content = f"window.YTD.{variable}.part0 = {json.dumps(rows)}"
        (folder / "data" / f"{name}.js").write_text(content)
    return folder


def read(folder: Path) -> list[Post]:
    return collect(x.XArchive(open_files(folder)))


def texts(post: Post) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in post.blocks]


def by_id(posts: list[Post]) -> dict[str, Post]:
    return {post.key.removeprefix("urn:x:status:"): post for post in posts}


def one(folder: Path, **fields: Any) -> Post:
    return read(write(folder, tweets=[{"tweet": {"id_str": "1", "created_at": "", "full_text": "Words.", **fields}}]))[0]


def test_retweets_are_shared_though_the_archive_says_that_they_are_none(tmp_path: Path) -> None:
    posts = read(write(tmp_path, tweets=[tweet(1, "RT @bob: His words, not mine."), tweet(2, "My own words.")]))
    assert [(post.state, post.blocks == ()) for post in posts] == [("shared", True), ("kept", False)]


def test_words_before_a_retweet_by_hand_are_mine_and_the_rest_is_a_quote(tmp_path: Path) -> None:
    post = one(tmp_path, full_text="So true! RT @bob: The sea is wide")
    assert texts(post) == [("paragraph", "So true!"), ("quote", "RT @bob: The sea is wide")]


def test_html_entities_are_undone_once(tmp_path: Path) -> None:
    assert texts(one(tmp_path, full_text="a &lt; b &amp;&amp; c &gt; d, &amp;lt; stays")) == [("paragraph", "a < b && c > d, &lt; stays")]


def test_short_links_are_expanded_and_links_to_own_pictures_dropped(tmp_path: Path) -> None:
    urls = [
        {"url": "https://t.co/ab", "expanded_url": "https://example.com/long"},
        {"url": "https://t.co/abc", "expanded_url": "https://example.com/other"},
    ]
    entities = {"urls": urls, "media": [{"url": "https://t.co/pic"}]}
    pictures = {"media": [{"ext_alt_text": "A red boat"}]}
    post = one(
        tmp_path,
        full_text="See https://t.co/abc and https://t.co/ab https://t.co/pic",
        entities=entities,
        extended_entities=pictures,
    )
    assert texts(post) == [("paragraph", "See https://example.com/other and https://example.com/long"), ("caption", "A red boat")]


def test_a_quoted_post_is_an_embed_and_one_in_the_sentence_stays(tmp_path: Path) -> None:
    link = "https://twitter.com/bob/status/5"
    entities = {"urls": [{"url": "https://t.co/q", "expanded_url": link}]}
    assert texts(one(tmp_path / "a", full_text="Well said. https://t.co/q", entities=entities)) == [
        ("paragraph", "Well said."),
        ("embed", link),
    ]
    assert texts(one(tmp_path / "b", full_text="In https://t.co/q he errs.", entities=entities)) == [("paragraph", f"In {link} he errs.")]


def test_replies_are_comments_without_the_names_they_begin_with(tmp_path: Path) -> None:
    posts = read(write(tmp_path, tweets=[reply(1, "@bob @ann_b thanks, @carl too!", 99, BOB), tweet(2, "@bob is right, I think.")]))
    assert [(post.kind, texts(post)) for post in posts] == [
        ("comment", [("paragraph", "thanks, @carl too!")]),
        ("post", [("paragraph", "@bob is right, I think.")]),
    ]


def test_a_thread_is_one_post_whatever_the_order_of_its_parts(tmp_path: Path) -> None:
    rows = [reply(3, "Three.", 2, ME, 2), reply(2, "Two.", 1, ME, 1), tweet(1, "One.", 0), reply(9, "@bob no", 8, BOB, 1)]
    posts = by_id(read(write(tmp_path, tweets=rows)))
    assert {id: post.state for id, post in posts.items()} == {"1": "kept", "2": "duplicate", "3": "duplicate", "9": "kept"}
    assert [text for _, text in texts(posts["1"])] == ["One.", "Two.", "Three."]
    assert posts["1"].kind == "post"
    assert posts["9"].kind == "comment"
    assert posts["2"].blocks == ()
    assert posts["2"].reason == "part of the thread that begins with data/tweets.js:3"


def test_what_one_adds_to_a_reply_is_a_part_of_that_comment(tmp_path: Path) -> None:
    posts = by_id(read(write(tmp_path, tweets=[reply(1, "@bob no", 99, BOB, 0), reply(2, "@bob and yes", 1, ME, 1)])))
    assert posts["1"].kind == "comment"
    assert [text for _, text in texts(posts["1"])] == ["no", "and yes"]


def test_a_reply_to_oneself_a_week_later_is_a_post_of_its_own(tmp_path: Path) -> None:
    later = reply(2, "Update.", 1, ME)
    later["tweet"]["created_at"] = "Tue Mar 12 10:00:00 +0000 2024"
    posts = read(write(tmp_path, tweets=[tweet(1, "One."), later]))
    assert [(post.state, post.kind) for post in posts] == [("kept", "post"), ("kept", "post")]


def test_a_reply_to_a_post_of_mine_that_is_gone_is_no_comment(tmp_path: Path) -> None:
    rows = [tweet(1, "One."), reply(2, "Two.", 1, ME, 1), reply(5, "On what I deleted.", 4, ME, 9)]
    assert by_id(read(write(tmp_path, tweets=rows)))["5"].kind == "post"


def test_replies_in_a_circle_end(tmp_path: Path) -> None:
    rows = [reply(1, "One.", 2, ME), reply(2, "Two.", 1, ME, 1), reply(3, "Three.", 3, ME, 2)]
    posts = by_id(read(write(tmp_path, tweets=rows)))
    assert [posts[id].state for id in "123"] == ["kept", "duplicate", "kept"]


def test_deleted_posts_leave_no_text(tmp_path: Path) -> None:
    gone = tweet(7, "I regret this.", deleted_at="Wed Mar 06 10:00:00 +0000 2024")
    posts = read(write(tmp_path, tweets=[tweet(1, "Kept.")], deleted_tweets=[gone]))
    assert [(post.key, post.state, post.blocks) for post in posts[1:]] == [("urn:x:status:7", "deleted", ())]


def test_a_post_in_both_lists_is_deleted(tmp_path: Path) -> None:
    long = "I regret this very much " * 20
    note = {"noteTweet": {"noteTweetId": "5", "createdAt": "2024-03-05T10:00:00.000Z", "core": {"text": long}}}
    cut = tweet(7, long[:270] + "…")
    posts = read(write(tmp_path, tweets=[cut, tweet(1, "Kept.", 3)], deleted_tweets=[cut], note_tweet=[note]))
    assert [post.state for post in posts] == ["deleted", "kept", "duplicate", "deleted"]
    assert "regret" not in repr(posts)


def test_a_long_post_whose_beginning_was_deleted_goes_with_it(tmp_path: Path) -> None:
    long = "A long text about the sea and ships " * 20
    note = {"noteTweet": {"noteTweetId": "5", "createdAt": "2024-03-05T10:00:01.000Z", "core": {"text": long}}}
    posts = read(write(tmp_path, tweets=[tweet(1, "Kept.", 3)], deleted_tweets=[tweet(7, long[:270] + "…")], note_tweet=[note]))
    assert [post.state for post in posts] == ["kept", "deleted", "deleted"]
    assert all(not post.blocks for post in posts[1:])


def test_long_posts_complete_their_beginnings(tmp_path: Path) -> None:
    whole = "I wrote about this https://t.co/new & more\n\n" + "words " * 80
    note = {"urls": [{"shortUrl": "https://t.co/new", "expandedUrl": "https://example.com/essay"}], "text": whole}
    other = {"text": "I wrote about something else at that moment."}
    notes = [
        {"noteTweet": {"noteTweetId": "51", "createdAt": "2024-03-05T10:00:00.000Z", "core": other}},
        {"noteTweet": {"noteTweetId": "52", "createdAt": "2024-03-05T10:00:00.000Z", "core": note}},
    ]
    posts = read(
        write(tmp_path, tweets=[tweet(1, "I wrote about this https://t.co/old &amp; more words words… https://t.co/x")], note_tweet=notes)
    )
    assert [text for _, text in texts(posts[0])] == ["I wrote about this https://example.com/essay & more", ("words " * 80).strip()]
    assert [(post.state, post.blocks) for post in posts[1:]] == [("excluded", ()), ("duplicate", ())]


def test_an_edited_post_is_its_last_version_under_its_first_id(tmp_path: Path) -> None:
    moment = 420_797_825_343  # 5 March 2024, 10:00, in milliseconds since ids began to tell the time
    first, second = str(moment << 22), str((moment + 120_000) << 22)
    info = {"edit": {"initialTweetId": first, "editControlInitial": {"editTweetIds": [first, second]}}}
    rows = [
        tweet(int(first), "Teh text.", edit_info=info),
        tweet(int(second), "The text.", 2, edit_info=info),
        reply(9, "And more.", int(first), ME, 3),
    ]
    posts = read(write(tmp_path, tweets=rows))
    assert [(post.state, post.key) for post in posts] == [
        ("duplicate", f"urn:x:version:{first}"),
        ("kept", f"urn:x:status:{first}"),
        ("duplicate", "urn:x:status:9"),
    ]
    kept = posts[1]
    assert kept.published_at == datetime(2024, 3, 5, 10, tzinfo=UTC)
    assert kept.edited_at == datetime(2024, 3, 5, 10, 2, tzinfo=UTC)
    assert [text for _, text in texts(kept)] == ["The text.", "And more."]


def test_dates_are_utc_and_ids_tell_them_where_they_are_missing(tmp_path: Path) -> None:
    rows = [
        tweet(1, "a"),
        {"tweet": {"id_str": "1212092628029698048", "full_text": "b"}},
        {"tweet": {"id_str": "20", "full_text": "c", "created_at": "Xyz 99"}},
    ]
    dates = [post.published_at for post in read(write(tmp_path, tweets=rows))]
    assert dates == [datetime(2024, 3, 5, 10, tzinfo=UTC), datetime(2019, 12, 31, 19, 26, 16, tzinfo=UTC), None]


def test_articles_and_community_notes(tmp_path: Path) -> None:
    blocks = [
        {"type": "header-two", "text": "Ships"},
        {"type": "unstyled", "text": "They float."},
        {"type": "blockquote", "text": "A captain's words."},
        {"type": "atomic", "text": " "},
    ]
    rows = [{"article": {"id": "5", "title": " On ships ", "content_state": {"blocks": blocks}}}, {"article": {"id": "6", "title": "x"}}]
    notes = [{"communityNote": {"noteId": "8", "summary": "The picture is of 1999.", "createdAt": "2024-01-01T00:00:00.000Z"}}]
    posts = read(write(tmp_path, tweets=[tweet(1, "a")], article=rows, community_note=notes))[1:]
    assert [(post.state, post.kind, post.title) for post in posts] == [
        ("kept", "article", "On ships"),
        ("unreadable", "article", "x"),
        ("kept", "note", None),
    ]
    assert texts(posts[0]) == [("heading", "Ships"), ("paragraph", "They float."), ("quote", "A captain's words.")]


@pytest.mark.parametrize("zipped", [False, True])
def test_private_files_are_accounted_for_and_never_opened(tmp_path: Path, zipped: bool) -> None:
    folder = write(tmp_path / "archive", tweets=[tweet(1, "Mine.")])
    for name in PRIVATE:
        (folder / "data" / name).write_text('window.YTD.secret.part0 = ["secret"]')
    (folder / "Your archive.html").write_text("secret")
    location = folder
    if zipped:
        location = tmp_path / "archive.zip"
        with zipfile.ZipFile(location, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
    source = x.from_files(open_files(location))
    assert isinstance(source, x.XArchive)
    posts = collect(source)
    assert source.files.opened == {"data/tweets.js"}
    assert {post.origin for post in posts if post.state == "empty"} == {*(f"data/{name}" for name in PRIVATE), "Your archive.html"}
    assert "secret" not in repr(posts)


def test_parts_and_the_old_names_are_read(tmp_path: Path) -> None:
    data = tmp_path / "twitter-2019" / "data"
    data.mkdir(parents=True)
    old = {"id": 1, "full_text": "Old.", "created_at": "Tue Mar 05 10:00:00 +0000 2013"}
    (data / "tweet.js").write_text(f"window.YTD.tweet.part0 = [{json.dumps(old)}]")
    (data / "tweets-part1.js").write_text(f"window.YTD.tweets.part1 = {json.dumps([tweet(2, 'A = b, so c = d.')])};\n")
    source = x.from_files(Folder(tmp_path))
    assert source is not None
    assert [texts(post)[0][1] for post in collect(source)] == ["Old.", "A = b, so c = d."]


def test_a_broken_part_cuts_the_archive_short_and_one_alone_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, tweets=[tweet(1, "a")])
    (tmp_path / "data" / "tweets-part1.js").write_text('window.YTD.tweets.part1 = [{"tweet": ')
    source = x.XArchive(open_files(tmp_path))
    assert sorted(post.state for post in source.read()) == ["kept", "unreadable"]
    assert "tweets-part1.js cannot be read" in source.truncated
    (tmp_path / "data" / "tweets.js").write_text("window.YTD.tweets.part0 = nonsense")
    with pytest.raises(SourceError, match="Download the archive again"):
        read(tmp_path)


def test_code_is_not_run(tmp_path: Path) -> None:
    write(tmp_path, tweets=[])
    (tmp_path / "data" / "tweets.js").write_text(f"window.YTD.tweets.part0 = __import__('pathlib').Path('{tmp_path}/ran').touch()")
    with pytest.raises(SourceError):
        read(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_site_with_a_file_of_that_name_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tweets.js").write_text("module.exports = []")
    assert x.from_files(Folder(tmp_path)) is None


@pytest.mark.parametrize("text", ["@" * 300_000, "@a " * 100_000, " RT @" * 60_000, "\n \n" * 100_000, "=" * 300_000])
def test_texts_that_are_made_to_take_long_do_not(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    read(write(tmp_path, tweets=[tweet(1, text), reply(2, f"a{text}!", 99, BOB)]))
    assert time.monotonic() - began < 20


def test_many_long_posts_that_begin_alike_are_told_apart_in_no_time(tmp_path: Path) -> None:
    start = "All my posts begin like this one does. " * 8
    rows = [tweet(number, f"{start[:270]}…") for number in range(1, 1500)]
    core = [
        {"noteTweetId": str(number), "createdAt": "2024-03-05T10:00:00.000Z", "core": {"text": f"{start}{number}"}}
        for number in range(1, 1500)
    ]
    began = time.monotonic()
    posts = read(write(tmp_path, tweets=rows, note_tweet=[{"noteTweet": fields} for fields in core]))
    assert time.monotonic() - began < 20
    assert {post.state for post in posts[:1499]} == {"kept"}
    assert len({post.blocks for post in posts[:1499]}) == 1499


@pytest.mark.parametrize("url", ["https://x.com/jane", "https://www.twitter.com/jane/status/1", "https://mobile.twitter.com/jane"])
def test_an_address_says_how_to_get_the_archive(url: str) -> None:
    with pytest.raises(SourceError, match="Download an archive"):
        x.from_address(Address(url, Web()))


def test_other_addresses_are_left_to_others() -> None:
    assert x.from_address(Address("https://example.com/x.com", Web())) is None


class _Memory:
    """Files that are only in memory."""

    location = "memory"

    def __init__(self, contents: dict[str, str]) -> None:
        self.contents = contents
        self.opened: set[str] = set()
        self.refused: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self.contents)

    def read(self, name: str) -> bytes:
        self.opened.add(name)
        return self.contents[name].encode("utf-8", "surrogatepass")

    def path(self, name: str) -> None:
        return None


_NAMES = (
    "tweet id id_str full_text created_at entities urls url expanded_url media in_reply_to_status_id_str in_reply_to_user_id_str edit_info "
    "initial editTweetIds noteTweet noteTweetId createdAt core text article content_state blocks type title communityNote summary"
)
_KEYS = st.sampled_from(_NAMES.split(" "))
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(
        ["1", "2", "3", "https://t.co/a", "RT @a: b", "9" * 5000, "2024-03-05T10:00:00.000Z", "Tue Mar 05 10:00:00 +0000 2024"]
    )
)
_JSON = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=8), max_leaves=25)
_ROW = st.fixed_dictionaries(
    {"tweet": st.fixed_dictionaries({}, optional=dict.fromkeys(("id_str", "full_text", "created_at", "entities", "edit_info"), _JSON))}
)


@given(st.lists(_ROW | _JSON, max_size=5), st.lists(_ROW | _JSON, max_size=3), _JSON, _JSON)
def test_json_of_any_shape_is_survived_and_every_row_accounted_for(
    tweets: list[Any], deleted: list[Any], notes: Any, articles: Any
) -> None:
    lists = {"tweets": tweets, "deleted-tweets": deleted, "note-tweet": notes, "article": articles, "community-note": notes}
    files = _Memory({f"data/{name}.js": f"window.YTD.x.part0 = {json.dumps(rows)}" for name, rows in lists.items()})
    posts = collect(x.XArchive(files))
    rows = sum(len(rows) if isinstance(rows, list) else 1 for rows in lists.values())
    assert len(posts) == rows
    assert len({post.key for post in posts}) == rows
    for post in posts:
        assert post.state == "kept" or post.reason
        post.content_hash.encode()
        repr(post).encode()


@given(st.text() | st.text().map("window.YTD.x.part0 = [{}]".format) | st.integers(1, 100_000).map(lambda n: "window.YTD.a = " + "[" * n))
def test_files_of_any_content_are_lists_or_unreadable(content: str) -> None:
    try:
        assert isinstance(x.parse_archive_file(content), list)
    except UnreadableTextError as error:
        assert str(error)


def test_a_large_archive_is_read(tmp_path: Path) -> None:
    path = tmp_path / "twitter.zip"
    rows = json.dumps([tweet(1, "Bread needs time.")])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("data/tweets.js", f"window.YTD.tweets.part0 = {rows}" + " " * (70 * 2**20))
    source = x.from_files(open_files(path))
    assert source
    assert [post.state for post in source.read()] == ["kept"]
