import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address, Source
from twin_assets.ingest.sources.wordpress import blocks_of, from_address, from_files
from twin_assets.ingest.web import Web
from twin_assets_tests.ingest.site import Answer, Site, serve

NAMES = (
    'xmlns:excerpt="http://wordpress.org/export/1.2/excerpt/" xmlns:content="http://purl.org/rss/1.0/modules/content/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:wp="http://wordpress.org/export/1.2/"'
)
AUTHOR = (
    "<wp:author><wp:author_id>7</wp:author_id><wp:author_login>jane</wp:author_login><wp:author_email>jane@me.example</wp:author_email>"
    "<wp:author_display_name><![CDATA[Jane Doe]]></wp:author_display_name></wp:author>"
)


def item(n: int, body: str = "<p>Words.</p>", *, kind: str = "post", status: str = "publish", more: str = "", creator: str = "jane") -> str:
    return (
        f"<item><title>T{n}</title><link>https://me.example/{n}/</link><dc:creator>{creator}</dc:creator>"
        f"<content:encoded><![CDATA[{n} {body}]]></content:encoded><excerpt:encoded><![CDATA[no]]></excerpt:encoded><wp:post_id>{n}</wp:post_id>"
        f"<wp:post_date>2024-01-01 12:00:00</wp:post_date><wp:post_date_gmt>2024-01-01 10:00:00</wp:post_date_gmt>"
        f"<wp:post_modified_gmt>2024-02-01 10:00:00</wp:post_modified_gmt><wp:status>{status}</wp:status>"
        f"<wp:post_type>{kind}</wp:post_type>{more}</item>"
    )


def wxr(*items: str, end: str = "</channel></rss>") -> str:
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- made by WordPress -->\n<rss version="2.0" {NAMES}><channel><title>t</title>'
    return f"{head}<link>https://me.example</link>{AUTHOR}{''.join(items)}{end}"


def opened(path: Path, *texts: str) -> Source | None:
    for number, text in enumerate(texts):
        (path / f"part{number}.xml").write_text(text)
    return from_files(open_files(path))


def read(path: Path, *texts: str) -> list[Post]:
    source = opened(path, *texts)
    assert source is not None
    return collect(source)


def text(post: Post) -> list[str]:
    return [block.text for block in post.blocks]


def test_every_item_in_one_state(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("private")
    kinds = ["post", "page", "attachment", "nav_menu_item", "revision", "shop_order", ""]
    items = [item(n, kind=kind) for n, kind in enumerate(kinds, 1)]
    statuses = ["draft", "pending", "private", "future", "auto-draft", "trash"]
    items += [item(n, status=status) for n, status in enumerate(statuses, 10)]
    items.append(item(20, more="<wp:post_password>secret</wp:post_password>"))
    source = opened(tmp_path, wxr(*items))
    assert source is not None and source.coverage == "everything"
    posts = collect(source)
    assert [post.state for post in posts] == ["kept"] * 2 + ["empty"] * 5 + ["draft"] * 5 + ["deleted", "draft", "empty"]
    assert all(post.reason for post in posts if post.state != "kept")
    deleted = next(post for post in posts if post.state == "deleted")
    assert (deleted.blocks, deleted.title) == ((), None)
    assert source.files.opened == {"part0.xml"}  # pyright: ignore[reportAttributeAccessIssue]


def test_what_an_item_says_of_itself(tmp_path: Path) -> None:
    [post] = read(tmp_path, wxr(item(1).replace("T1", "Q&amp;A: <![CDATA[<em>it’s</em> &#8211; here]]>")))
    assert (post.key, post.title, post.bylines, post.kind) == ("https://me.example/1", "Q&A: it’s – here", ("Jane Doe",), "article")
    assert (str(post.published_at), str(post.edited_at)) == ("2024-01-01 10:00:00+00:00", "2024-02-01 10:00:00+00:00")


def test_coauthors_come_before_the_one_who_uploaded_it(tmp_path: Path) -> None:
    both = '<category domain="author" nicename="cap-jane">jane</category><category domain="author" nicename="cap-joe">Joe Roe</category>'
    posts = read(tmp_path, wxr(item(1), item(2), item(3, more=both), item(4, creator="who@else.example")))
    assert [post.bylines for post in posts] == [("Jane Doe",), ("Jane Doe",), ("Jane Doe", "Joe Roe"), ()]
    assert [post.state for post in posts] == ["kept", "kept", "foreign", "kept"]


def test_own_comments_are_read_and_those_of_others_are_not(tmp_path: Path) -> None:
    def comment(n: int, user: int, approved: str = "1") -> str:
        return (
            f"<wp:comment><wp:comment_id>{n}</wp:comment_id><wp:comment_author>X</wp:comment_author><wp:comment_user_id>{user}</wp:comment_user_id>"
            f"<wp:comment_author_email>x@y.example</wp:comment_author_email><wp:comment_approved>{approved}</wp:comment_approved>"
            f"<wp:comment_content><![CDATA[Answer {n}.\n\nMore.]]></wp:comment_content></wp:comment>"
        )

    posts = read(tmp_path, wxr(item(1, more=comment(5, 7) + comment(6, 0) + comment(7, 7, "0"))))
    assert [(post.kind, post.key) for post in posts] == [("article", "https://me.example/1"), ("comment", "https://me.example/1#comment-5")]
    assert text(posts[1]) == ["Answer 5.", "More."]
    assert "y.example" not in str(posts)


def test_blank_lines_part_paragraphs_as_wordpress_shows_them() -> None:
    body = "One\ntwo’s.\r\n\r\n<h2>Head</h2>\nThree.\n\n<blockquote>Quoted\n\nmore</blockquote>\n\n<pre>a\n\n  b [x]</pre>\n\nEnd."
    assert [(block.type, block.text) for block in blocks_of(body, raw=True)] == [
        ("paragraph", "One\ntwo’s."),
        ("heading", "Head"),
        ("paragraph", "Three."),
        ("quote", "Quoted\n\nmore"),
        ("code", "a\n\n  b [x]"),
        ("paragraph", "End."),
    ]


def test_blocks_of_the_editor_are_left_as_they_are() -> None:
    body = '<!-- wp:paragraph -->\n<p>One <code>[a b="c"]</code></p>\n<!-- /wp:paragraph -->\n\n<!-- wp:code -->\n'
    body += '<pre class="wp-block-code"><code>x\n\ny</code></pre>\n<!-- /wp:code -->'
    assert [(block.type, block.text) for block in blocks_of(body, raw=True)] == [("paragraph", 'One `[a b="c"]`'), ("code", "x\n\ny")]


def test_shortcodes_go_and_bracketed_words_stay() -> None:
    body = (
        'He said [sic] so [1], see [a link](https://x.example).\n\n[gallery ids="1,2"]\n\n[su_box title="x"]Boxed.[/su_box]\n\n'
        '[caption id="a" width="3"]<img src="x.png" alt="no" /> What I saw[/caption]\n\n[code lang="python"]if a &lt; b:\n    pass[/code]\n\n'
        "[embed]https://v.example/1[/embed]"
    )
    assert [(block.type, block.text, block.language) for block in blocks_of(body, raw=True)] == [
        ("paragraph", "He said [sic] so [1], see [a link](https://x.example).", None),
        ("paragraph", "Boxed.", None),
        ("caption", "What I saw", None),
        ("code", "if a < b:\n    pass", "python"),
        ("embed", "https://v.example/1", None),
    ]


def test_one_broken_item_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    broken = item(2).replace("</title>", "</titel>")
    stray = item(3).replace("https://me.example/3/", "https://me.example/?p=3&preview=1").replace("T3", "Tom &nbsp;& Jerry \x0b")
    about_feeds = item(4, "<p>A feed ends with </item> and starts with <item>.</p>")
    source = opened(tmp_path, wxr(item(1), broken, stray, about_feeds))
    assert source is not None
    posts = collect(source)
    assert [post.state for post in posts] == ["kept", "unreadable", "kept", "kept"]
    assert posts[2].title == "Tom & Jerry"
    assert "item 2" in source.truncated


def test_an_export_that_breaks_off_says_so(tmp_path: Path) -> None:
    whole = wxr(item(1), item(2))
    source = opened(tmp_path, whole[: whole.index("2 <p>")])
    assert source is not None
    assert [post.state for post in collect(source)] == ["kept", "unreadable"]
    assert "breaks off" in source.truncated


def test_an_export_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="breaks off"):
        read(tmp_path, wxr(end=""))


def test_xml_bombs_are_refused(tmp_path: Path) -> None:
    bomb = wxr(item(1)).replace("?>\n", '?>\n<!DOCTYPE rss [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>', 1)
    with pytest.raises(SourceError, match="Entit"):
        read(tmp_path, bomb)


def test_parts_in_a_folder_or_a_zip_are_one_export(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("a.xml", wxr(item(1)))
        archive.writestr("b.xml", wxr(item(2)))
        archive.writestr("sitemap.xml", "<urlset/>")
    source = from_files(open_files(tmp_path / "export.zip"))
    assert source is not None
    assert [post.state for post in collect(source)] == ["kept", "kept", "empty"]


def test_other_xml_is_not_wordpress(tmp_path: Path) -> None:
    assert opened(tmp_path, "<rss><channel/></rss>") is None


def post(n: int, **more: Any) -> dict[str, Any]:
    return {
        "id": n,
        "date_gmt": "2024-01-01T10:00:00",
        "modified_gmt": "2024-02-01T10:00:00",
        "link": f"https://me.example/{n}/",
        "title": {"rendered": f"T{n} &#8211; x"},
        "content": {"rendered": f"<p>Words of {n}.</p>", "protected": False},
        "_embedded": {"author": [{"name": "Jane"}]},
        **more,
    }


@pytest.fixture
def server() -> Iterator[Site]:
    with serve({}) as site:
        site.routes["/"] = Answer(f'<html><head><link rel="https://api.w.org/" href="{site.url}/wp-json/"></head></html>'.encode())
        yield site


def answer(server: Site, what: str, number: int, items: object, pages: int = 1) -> None:
    body = items if isinstance(items, bytes) else json.dumps(items).encode()
    route = f"/wp-json/wp/v2/{what}?per_page=100&page={number}&_embed"
    server.routes[route] = Answer(body, "application/json", headers={"X-WP-TotalPages": str(pages)})


def test_a_site_is_read_by_the_api_that_it_names(server: Site) -> None:
    joe = {"wp:term": [[{"taxonomy": "category", "name": "no"}], [{"taxonomy": "author", "name": n} for n in ("Jane", "Joe")]]}
    answer(server, "posts", 1, [post(1), post(2, content={"rendered": "", "protected": True}), 3], 2)
    answer(server, "posts", 2, [post(4, _embedded=joe), post(5, yoast_head_json={"canonical": "https://other.example/five"})], 2)
    answer(server, "pages", 1, [post(6)])
    with Web() as web:
        source = from_address(Address(server.url, web))
        assert source is not None and source.coverage == "listing"
        posts = list(source.read())
    assert [post.state for post in posts] == ["kept", "partial", "unreadable", "kept", "kept", "kept"]
    assert (posts[0].key, posts[0].title, posts[0].bylines) == ("https://me.example/1", "T1 – x", ("Jane",))
    assert (str(posts[0].published_at), str(posts[0].edited_at)) == ("2024-01-01 10:00:00+00:00", "2024-02-01 10:00:00+00:00")
    assert posts[3].bylines == ("Jane", "Joe")
    assert posts[4].canonical_url == "https://other.example/five"
    assert not source.truncated


def test_export_and_api_give_one_post_the_same_key(server: Site, tmp_path: Path) -> None:
    answer(server, "posts", 1, [post(1)])
    with Web() as web:
        source = from_address(Address(server.url, web))
        assert source is not None
        assert next(iter(source.read())).key == read(tmp_path, wxr(item(1)))[0].key


def test_a_listing_that_fails_midway_keeps_what_was_read(server: Site) -> None:
    answer(server, "posts", 1, [post(1)], 3)
    with Web() as web:
        source = from_address(Address(server.url, web))
        assert source is not None
        assert len(list(source.read())) == 1
        assert "404" in source.truncated


@pytest.mark.parametrize("body", [b"<html>", b'{"code": "rest_disabled"}', b"[" * 100_000, b"null"])
def test_an_api_that_is_switched_off_leaves_the_site_to_others(server: Site, body: bytes) -> None:
    answer(server, "posts", 1, body)
    with Web() as web:
        assert from_address(Address(server.url, web)) is None


def test_a_single_post_is_not_taken_for_its_site(server: Site) -> None:
    server.routes["/2024/a-post"] = server.routes["/"]
    with Web() as web:
        assert from_address(Address(f"{server.url}/2024/a-post", web)) is None
        assert from_address(Address(f"{server.url}/?p=1", web)) is None
    assert not server.requests


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*post(1), "guid", "format", "status", "yoast_head_json"]), JSON))
def test_any_json_is_a_post_in_some_state(found: dict[str, Any]) -> None:
    from twin_assets.ingest.sources.wordpress import _listed

    assert _listed("x", {**post(1), **found}).state
    assert _listed("x", found).state


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(0, 900))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, noise: str, place: int) -> None:
    whole = wxr(item(1))
    folder = tmp_path_factory.mktemp("w")
    (folder / "a.xml").write_text(whole[:place] + noise + whole[place:], errors="replace")
    source = from_files(open_files(folder))
    if source is None:
        return
    try:
        assert all(post.state for post in source.read())
    except SourceError:
        return


def test_real_exports(test_data: Path) -> None:
    folder = test_data / "ghost_migrate_fixtures/packages/mg-wp-xml/test/fixtures"
    for file in sorted(folder.rglob("*.xml")):
        source = from_files(open_files(file))
        assert source is not None
        posts = collect(source)
        assert len(posts) == file.read_text().count("<item>"), file
        assert not source.truncated
        assert not any(post.state == "unreadable" for post in posts)


def test_real_answers_of_the_api(test_data: Path) -> None:
    from twin_assets.ingest.sources.wordpress import _listed

    folder = test_data / "ghost_migrate_fixtures/packages/mg-wp-api/test/fixtures"
    for file in [*sorted(folder.glob("single-*.json")), folder / "co-authors-post.json"]:
        if "content" in (found := json.loads(file.read_text())):
            read = _listed(file.name, found)
            assert read.state == "kept" and read.words and read.published_at, file
    assert read.bylines == ("Alice Smith", "Bob Jones")
