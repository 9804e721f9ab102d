import json
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
from twin_assets.ingest.source import Source
from twin_assets.ingest.sources.ghost import from_files, html_of_cards, lexical_html, mobiledoc_html


def post(n: int, **more: Any) -> dict[str, Any]:
    base = {"id": str(n), "uuid": f"u{n}", "title": f"T{n}", "slug": f"t{n}", "html": f"<p>Words of {n}.</p>", "status": "published"}
    return {**base, "published_at": "2024-01-01 10:00:00", "updated_at": "2024-02-01T10:00:00.000Z", **more}


def export(*posts: Any, wrapped: bool = True, **tables: Any) -> str:
    content = {"meta": {"exported_on": 1700000000000, "version": "5.0"}, "data": {"posts": list(posts), **tables}}
    return json.dumps({"db": [content]} if wrapped else content)


def opened(path: Path, text: str) -> Source | None:
    (path / "ghost.json").write_text(text)
    return from_files(open_files(path))


def read(path: Path, text: str) -> list[Post]:
    source = opened(path, text)
    assert source is not None
    return collect(source)


def texts(html: str) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in html_of_cards(html)]


@pytest.mark.parametrize("wrapped", [True, False])
def test_every_post_in_one_state(tmp_path: Path, wrapped: bool) -> None:
    (tmp_path / "members.csv").write_text("a@b.example")
    states = ["published", "sent", "draft", "scheduled", "odd"]
    posts = [post(n, status=state, visibility="paid") for n, state in enumerate(states)] + [post(9, type="page"), None, post(10, html=None)]
    source = opened(tmp_path, export(*posts, wrapped=wrapped))
    assert source is not None and source.coverage == "everything"
    found = collect(source)
    assert [post.state for post in found] == ["kept", "kept", "draft", "draft", "draft", "kept", "unreadable", "empty", "empty"]
    assert all(post.reason for post in found if post.state != "kept")
    assert source.files.opened == {"ghost.json"}  # pyright: ignore[reportAttributeAccessIssue]


def test_what_a_post_says_of_itself(tmp_path: Path) -> None:
    tables = {
        "users": [{"id": "1", "name": "Jane", "email": "jane@me.example"}, {"id": "2", "name": "Joe"}],
        "posts_authors": [{"post_id": "1", "author_id": "2", "sort_order": 1}, {"post_id": "1", "author_id": "1", "sort_order": 0}],
        "posts_meta": [{"post_id": "1", "canonical_url": "https://other.example/x"}],
    }
    first, old = read(tmp_path, export(post(1), post(2, author_id=1, published_at=1388805572000, updated_at=None), **tables))
    assert (first.key, first.bylines, first.canonical_url) == ("urn:ghost:u1", ("Jane", "Joe"), "https://other.example/x")
    assert (str(first.published_at), str(first.edited_at)) == ("2024-01-01 10:00:00+00:00", "2024-02-01 10:00:00+00:00")
    assert (old.bylines, str(old.published_at)) == (("Jane",), "2014-01-04 03:19:32+00:00")
    assert first.known_everywhere


def test_cards_that_hold_others_words_or_none() -> None:
    body = (
        '<p>Mine’s.</p><figure class="kg-card kg-bookmark-card"><a class="kg-bookmark-container" href="https://x.example/1">'
        '<div class="kg-bookmark-title">Theirs</div></a></figure><!--kg-card-begin: html--><p>Also mine.</p><!--kg-card-end: html-->'
        '<div class="kg-card kg-signup-card"><p>Subscribe</p></div>'
        '<div class="kg-card kg-callout-card"><div class="kg-callout-text">Note this.</div></div>'
        '<p><a href="__GHOST_URL__/about">About</a></p>'
    )
    assert texts(body) == [
        ("paragraph", "Mine’s."),
        ("embed", "https://x.example/1"),
        ("paragraph", "Also mine."),
        ("paragraph", "Note this."),
        ("paragraph", "About"),
    ]


def test_lexical() -> None:
    def words(text: str, **more: Any) -> dict[str, Any]:
        return {"type": "extended-text", "text": text, **more}

    children = [
        {
            "type": "paragraph",
            "children": [words("One & "), {"type": "link", "children": [words("two")]}, {"type": "linebreak"}, words("x", format=16)],
        },
        {"type": "extended-heading", "tag": "h3", "children": [words("Head")]},
        {"type": "list", "listType": "number", "children": [{"type": "listitem", "children": [words("item")]}]},
        {"type": "extended-quote", "children": [words("theirs")]},
        {"type": "codeblock", "code": "a < b\n  c", "language": "go"},
        {"type": "markdown", "markdown": "*mine*"},
        {"type": "bookmark", "url": "https://x.example", "metadata": {"title": "theirs"}},
        {"type": "toggle", "heading": "More", "content": "<p>inside</p>"},
        {"type": "email-cta", "html": "<p>Subscribe</p>"},
    ]
    assert texts(lexical_html({"root": {"type": "root", "children": children}})) == [
        ("paragraph", "One & two\n`x`"),
        ("heading", "Head"),
        ("list", "1. item"),
        ("quote", "theirs"),
        ("code", "a < b\n  c"),
        ("paragraph", "mine"),
        ("embed", "https://x.example"),
        ("heading", "More"),
        ("paragraph", "inside"),
    ]


def test_mobiledoc() -> None:
    document = {
        "version": "0.3.1",
        "atoms": [["soft-return", "", {}]],
        "cards": [["markdown", {"markdown": "*mine*"}], ["code", {"code": "x = 1"}], ["hr", {}]],
        "markups": [["em"], ["code"]],
        "sections": [
            [1, "p", [[0, [], 0, "One "], [0, [0], 1, "two"], [1, [], 0, 0], [0, [1], 1, "a<b"]]],
            [1, "h2", [[0, [], 0, "Head"]]],
            [3, "ul", [[[0, [], 0, "item"]]]],
            [1, "blockquote", [[0, [], 0, "theirs"]]],
            [10, 0],
            [10, 1],
            [10, 99],
        ],
    }
    assert texts(mobiledoc_html(document)) == [
        ("paragraph", "One two\n`a<b`"),
        ("heading", "Head"),
        ("list", "- item"),
        ("quote", "theirs"),
        ("paragraph", "mine"),
        ("code", "x = 1"),
    ]


def test_the_editors_own_forms_stand_in_for_html(tmp_path: Path) -> None:
    lexical = json.dumps({"root": {"type": "root", "children": [{"type": "paragraph", "children": [{"type": "text", "text": "New."}]}]}})
    mobiledoc = json.dumps({"sections": [[1, "p", [[0, [], 0, "Old."]]]]})
    broken = post(3, html="", lexical="[" * 100_000)
    found = read(tmp_path, export(post(1, html=None, lexical=lexical), post(2, html="", mobiledoc=mobiledoc), broken))
    assert [(post.state, [block.text for block in post.blocks]) for post in found] == [
        ("kept", ["New."]),
        ("kept", ["Old."]),
        ("unreadable", []),
    ]


def test_a_zip_and_posts_as_the_api_gives_them(tmp_path: Path) -> None:
    listed = post(1, url="https://me.example/t1/", authors=[{"name": "Jane"}], comment_id="1", mobiledoc=None)
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("data/posts.json", json.dumps({"posts": [listed]}))
        archive.writestr("content/images/a.png", b"x")
    source = from_files(open_files(tmp_path / "x.zip"))
    assert source is not None
    posts = collect(source)
    assert [post.state for post in posts] == ["kept", "empty"]
    assert (posts[0].key, posts[0].bylines) == ("https://me.example/t1", ("Jane",))


@pytest.mark.parametrize("text", ['{"posts": []}', "[]", '{"data": 1}'])
def test_other_json_is_not_ghost(tmp_path: Path, text: str) -> None:
    assert opened(tmp_path, text) is None


def test_an_export_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read(tmp_path, export(post(1))[:-30])
    with pytest.raises(SourceError, match="cannot be read"):
        read(tmp_path, '{"exported_on": 1, "posts": ' + "[" * 100_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*post(1), "authors", "url", "canonical_url", "lexical", "mobiledoc"]), JSON), JSON, JSON)
def test_any_json_is_a_post_in_some_state(found: dict[str, Any], users: Any, links: Any) -> None:
    from twin_assets.ingest.sources.ghost import _posts

    assert len(list(_posts({"posts": [found, {**post(1), **found}], "users": users, "posts_authors": links}, "x"))) == 2


@settings(deadline=None)
@given(JSON)
def test_any_document_becomes_text(document: Any) -> None:
    for shape in (document, {"root": {"type": "root", "children": [document, {"type": "list", "children": document}]}}):
        assert isinstance(lexical_html(shape), str)
    assert isinstance(mobiledoc_html({"sections": [[1, "p", [document, [0, [0], 1, document]]], document, [3, "ul", [document]]]}), str)


def test_a_real_answer_of_the_api(test_data: Path) -> None:
    source = from_files(open_files(test_data / "ghost_migrate_fixtures/packages/mg-ghost-api/src/test/fixtures/posts.json"))
    assert source is not None
    [post] = collect(source)
    assert (post.state, post.bylines, post.key) == ("kept", ("Ghost",), "https://demo.ghost.io/welcome-short")


def test_halves_of_characters_do_not_reach_the_text(tmp_path: Path) -> None:
    found = read(
        tmp_path, export(post(1, title="a\ud800", html="<p>Words \ud83d here.</p>", authors=[{"name": "J\udc00"}], canonical_url="\ud800"))
    )
    assert json.dumps([found[0].title, found[0].bylines, found[0].blocks[0].text], ensure_ascii=False).encode()
