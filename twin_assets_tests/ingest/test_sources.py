import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.inspect import inspect
from twin_assets.ingest.registry import normalized, open_source
from twin_assets.ingest.sources.feed import Feed
from twin_assets.ingest.sources.linkedin import repair
from twin_assets.ingest.tables import parse_csv
from twin_assets.ingest.web import Web
from twin_assets.settings import Settings
from twin_assets_tests.ingest.inputs import read, write

SHARES = "Date,ShareLink,ShareCommentary,SharedUrl,MediaUrl,Visibility\n"
LINK = "https://www.linkedin.com/feed/update/urn%3Ali%3Ashare%3A"


def test_a_blog_with_every_file_accounted_for(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "_posts/2021-9-1-jekyll.md": "---\ntitle: Jekyll\n---\nSome words.",
            "notes/n.md": "# Note\n\nShort words.",
            "draft.md": "---\ndraft: true\n---\nx",
            "unpublished.md": "---\npublished: false\n---\ny",
            "guest.md": "---\nauthor: Guest\n---\nWords of a guest.",
            "copy.md": "# Note\n\nShort words.",
            "canonical.md": "---\ncanonical_url: https://Me.example/p/?utm_source=x\n---\nMore words.",
            "section/_index.md": "x",
            "README.md": "x",
            "AWS.md": "A post about clouds.",
            "code.md": "```\nx\n```",
            "broken.md": "---\na: [\n---\nx",
            "binary.md": b"\x00\x01\xff",
            "latin.md": "café".encode("latin-1"),
            "utf16.md": "Words in sixteen bits.".encode("utf-16"),
            "photo.jpg": b"\xff",
            ".git/HEAD": "x",
        },
    )
    posts = read(tmp_path)
    assert {origin: post.state for origin, post in posts.items()} == {
        "_posts/2021-9-1-jekyll.md": "kept",
        "notes/n.md": "duplicate",
        "copy.md": "kept",
        "draft.md": "draft",
        "unpublished.md": "draft",
        "guest.md": "foreign",
        "canonical.md": "kept",
        "section/_index.md": "empty",
        "README.md": "empty",
        "AWS.md": "kept",
        "code.md": "empty",
        "broken.md": "unreadable",
        "binary.md": "unreadable",
        "latin.md": "unreadable",
        "utf16.md": "kept",
        "photo.jpg": "empty",
    }
    assert str(posts["_posts/2021-9-1-jekyll.md"].published_at) == "2021-09-01 00:00:00+00:00"
    assert posts["canonical.md"].key == "https://me.example/p"
    assert posts["notes/n.md"].kind == "note"
    assert all(post.reason for post in posts.values() if post.state != "kept")


def test_keys_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    keys = [{post.key for post in read(write(tmp_path / name, {"a/b.md": "words", "c.md": "others"})).values()} for name in ("x", "y z")]
    assert keys[0] == keys[1]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md"))).write_text("words")
    except OSError:
        pytest.skip("this file system refuses such names")
    assert list(read(tmp_path)) == ["caf\\xe9.md"] or list(read(tmp_path)) == ["caf\\udce9.md"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "Words."})
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "device.md").symlink_to("/dev/zero")
    posts = read(tmp_path)
    assert {origin: post.state for origin, post in posts.items()} == {"a.md": "kept", "device.md": "unreadable", "pipe.md": "unreadable"}
    assert posts["pipe.md"].reason == "not a regular file"


def test_front_matter_of_any_shape_is_survived(tmp_path: Path) -> None:
    meta = "title: {a: b}\nauthor: &a [*a, Jane]\ndate: [1]\nurl: {a: b}\ndraft: [x]\nstatus: {a: b}\ntype: [note]"
    post = read(write(tmp_path, {"a.md": f"---\n{meta}\n---\nWords."}))["a.md"]
    assert (post.state, post.byline, post.title, post.kind) == ("kept", "Jane", None, "article")


@pytest.mark.parametrize("name", ["missing", "empty", "photos", "a.zip"])
def test_nothing_to_read_is_a_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, {"photos/a.jpg": b"x", "a.zip": b"PK"})
    with pytest.raises(SourceError, match=name):
        read(tmp_path / name)


def test_linkedin(tmp_path: Path) -> None:
    rows = [
        f'2025-07-01 14:33:22,{LINK}1,"He said ""smart"".""\n""""\n""""Quoted"" line.",,,PUBLIC',
        f"2025-06-01 10:00:00,{LINK}2,,https://example.com,,PUBLIC",
        f"2025-05-01 10:00:00,{LINK}3,https://example.com,,,PUBLIC",
        f"2025-04-01 10:00:00,{LINK}4,Plain.,,,PUBLIC",
        f"2025-04-01 10:00:00,{LINK}4,Plain.,,,PUBLIC",
    ]
    write(
        tmp_path, {"Shares_12.csv": "\ufeff" + SHARES + "\n".join(rows), "messages.csv": "private", "Comments.csv": "Date,Link,Message\n"}
    )
    posts = read(tmp_path)
    assert [post.state for post in posts.values()] == ["kept", "shared", "shared", "kept", "duplicate", "empty"]
    first = posts["Shares_12.csv:1"]
    assert first.key == "urn:li:share:1"
    assert [block.text for block in first.blocks] == ['He said "smart".', '"Quoted" line.']
    assert posts["messages.csv"].blocks == ()


def test_line_breaks_without_the_artifact_keep_their_quotes() -> None:
    clean = ['"yes"\n"no"', "plain\nlines"]
    assert repair(clean) == clean


@given(st.lists(st.text(alphabet='ab" ', min_size=1).map(lambda t: f"x{t}x"), min_size=2))
def test_the_artifact_is_undone_exactly(lines: list[str]) -> None:
    assert repair(['"\n"'.join(lines)]) == ["\n".join(lines)]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"Shares.csv": "Datum,ShareLink,ShareCommentary,SharedUrl\n"})
    with pytest.raises(SourceError, match=r"lacks the columns Date\..*Found: Datum"):
        read(tmp_path)


@given(st.text())
def test_any_csv_is_read_or_refused(text: str) -> None:
    try:
        rows = parse_csv("a,b\n" + text, "x.csv", ["a", "b"])
    except SourceError:
        return
    assert all(set(row) == {"a", "b"} for row in rows)


def test_substack(tmp_path: Path) -> None:
    header = "post_id,post_date,is_published,email_sent_at,type,audience,title,subtitle,podcast_url\n"
    rows = [
        "1.a,2024-01-01T00:00:00Z,TRUE,,newsletter,everyone,A,,",
        "2.b,,FALSE,,newsletter,everyone,B,,",
        "3.c,,TRUE,,thread,everyone,C,,",
    ]
    rows += ["4.d,,TRUE,,newsletter,everyone,D,,", "../secret,,TRUE,,newsletter,everyone,E,,"]
    files: dict[str, str | bytes] = {"posts.csv": header + "\n".join(rows), "secret.html": "<p>No.</p>", "posts/1.a.opens.csv": "a@b.c"}
    files |= {"posts/1.a.html": "<p>Words.</p>", "posts/2.b.html": "<p>x</p>", "posts/3.c.html": "<p>x</p>", "posts/9.z.html": "<p>x</p>"}
    posts = read(write(tmp_path, files))
    assert [post.state for post in posts.values()] == ["kept", "draft", "kept", "partial", "partial", "empty", "empty", "empty"]
    assert posts["posts.csv:1"].key == "substack:1"
    assert posts["posts/1.a.opens.csv"].blocks == ()


def feed(*items: str) -> bytes:
    channel = f"<channel><title>t</title><link>https://me.example</link>{''.join(items)}</channel>"
    names = 'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    return f'<?xml version="1.0"?><rss version="2.0" {names}>{channel}</rss>'.encode()


def item(n: int, body: str, *, author: str = "Jane") -> str:
    return f"<item><title>T{n}</title><link>https://me.example/{n}?utm_source=rss</link><dc:creator>{author}</dc:creator>{body}</item>"


def test_only_a_feed_shows_less_than_there_is(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "x", "p.html": "<p>x</p>", "f.xml": feed(), "li/Shares.csv": SHARES, "s/posts.csv": "post_id\n"})
    sources = {name: open_source(str(tmp_path / name), Web()) for name in ("a.md", "p.html", "f.xml", "li", "s")}
    assert [name for name, source in sources.items() if source.coverage != "everything"] == ["f.xml"]


def test_a_feed() -> None:
    full = "<content:encoded><![CDATA[<p>All the words.</p><pre><code class='language-go'>x</code></pre>]]></content:encoded>"
    posts = collect(
        Feed(
            "f.xml",
            feed(
                item(1, full),
                item(2, "<description>Only the start of it…</description>"),
                item(3, full.replace("All", "None of"), author="Guest"),
                item(4, full.replace("All", "More")),
                item(4, full.replace("All", "More")),
            ),
        )
    )
    assert [post.state for post in posts] == ["kept", "partial", "foreign", "kept", "duplicate"]
    assert posts[0].key == "https://me.example/1"
    assert posts[0].blocks[1].language == "go"


@pytest.mark.parametrize("content", [b"", b"<html><p>x</p></html>", b"\x00\x01"])
def test_what_is_no_feed_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError, match="no RSS or Atom feed"):
        list(Feed("f.xml", content).read())


def test_inspect_accounts_for_every_row_and_file(test_data: Path, settings: Settings) -> None:
    linkedin = inspect(str(test_data / "linkedin_sanand0"), settings)
    rows = Counter(item.origin.split(":")[0] for item in linkedin.items)
    assert (rows["Shares.csv"], rows["Comments.csv"]) == (202, 323)
    assert linkedin.total == len(linkedin.items) == 202 + 323 + 2
    assert linkedin.states["shared"] == 14
    assert sum(item.state == "duplicate" and item.origin.startswith("Shares") for item in linkedin.items) == 4
    posts = read(test_data / "linkedin_sanand0").values()
    assert not any('"\n"' in block.text for post in posts for block in post.blocks)

    folder = test_data / "til_simonw"
    til = inspect(str(folder), settings)
    assert til.total == len(til.items) == sum(path.is_file() for path in folder.rglob("*"))
    assert (til.states["kept"], til.states["empty"]) == (577, 3)
    assert all(item.title for item in til.items if item.state == "kept")


def test_a_folder_of_zips_says_to_add_them_one_by_one(tmp_path: Path) -> None:
    write(tmp_path, {"medium-export.zip": b"x", "linkedin.ZIP": b"x", "photo.jpg": b"x"})
    with pytest.raises(SourceError, match=r"holds ZIPs \(linkedin\.ZIP, medium-export\.zip\).*Add each ZIP"):
        open_source(str(tmp_path), Web())


def test_an_address_is_registered_in_one_spelling() -> None:
    for spelling in ("https://example.com", "https://example.com/", "HTTPS://Example.com/?utm_source=x#top"):
        assert normalized(spelling) == "https://example.com"
    assert normalized("https://example.com/blog/") == "https://example.com/blog/"
    assert normalized("https://example.com/?feed=rss2") == "https://example.com?feed=rss2"
