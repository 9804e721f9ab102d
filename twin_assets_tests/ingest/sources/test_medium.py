import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import Rules, collect
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import Folder, open_files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.source import Address, Source
from twin_assets.ingest.sources import medium
from twin_assets.ingest.sources.feed import Feed
from twin_assets.ingest.web import Limits, Web

UI = re.compile(
    r"Exported from|Canonical link|View original|Tagged in|clap|Open in app|Sign (up|in)|Listen$|Share$|min read|Continue reading", re.I
)


def page(body: str, *, name: str = "A Title", id: str = "a1b2c3d4e5f6", canonical: str = "", author: str = "jane", footer: str = "") -> str:
    footer = footer or (
        f'<p>By <a href="https://medium.com/@{author}" class="p-author h-card">{author.title()} Doe</a> on '
        f'<a href="https://medium.com/p/{id}"><time class="dt-published" datetime="2020-01-02T03:04:05.678Z">January 2, 2020</time></a>.</p>'
        f'<p><a href="{canonical or f"https://medium.com/@{author}/a-title-{id}"}" class="p-canonical">Canonical link</a></p>'
        '<p>Exported from <a href="https://medium.com">Medium</a> on March 3, 2021.</p>'
    )
    return (
        f'<!DOCTYPE html><html><head><title>{name}</title></head><body><article class="h-entry"><header><h1 class="p-name">{name}</h1></header>'
        f'<section data-field="subtitle" class="p-summary">A summary that Medium made.</section><section data-field="body" class="e-content">'
        f'<section class="section section--body"><div class="section-divider"><hr></div><div class="section-content">'
        f'<div class="section-inner">{body}</div></div></section></section><footer>{footer}</footer></article></body></html>'
    )


TITLE = '<h3 class="graf graf--h3 graf--leading graf--title">A Title</h3>'


def graf(kind: str, text: str, tag: str = "p") -> str:
    return f'<{tag} class="graf graf--{kind} graf-after--p">{text}</{tag}>'


def export(folder: Path, posts: dict[str, str]) -> Path:
    for name, content in posts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def source_of(folder: Path) -> Source:
    source = medium.from_files(open_files(folder))
    assert source is not None
    return source


def one(tmp_path: Path, body: str, **options: str) -> Post:
    export(tmp_path, {"posts/2020-01-02_A-Title-a1b2c3d4e5f6.html": page(body, **options)})
    [post] = collect(source_of(tmp_path))
    return post


def shape(post: Post) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in post.blocks]


def test_a_story_of_an_export(tmp_path: Path) -> None:
    post = one(tmp_path, TITLE + graf("p", "It’s here — 😀 verbatim.") + graf("h3", "A Part", "h3") + graf("p", "More words."))
    assert shape(post) == [("paragraph", "It’s here — 😀 verbatim."), ("heading", "A Part"), ("paragraph", "More words.")]
    assert (post.key, post.title, post.kind, post.state) == ("https://medium.com/p/a1b2c3d4e5f6", "A Title", "article", "kept")
    assert post.url == "https://medium.com/@jane/a-title-a1b2c3d4e5f6"
    assert str(post.published_at) == "2020-01-02 03:04:05.678000+00:00"
    assert post.canonical_url is None and post.bylines == ()


def test_private_files_of_an_export_are_accounted_for_and_never_opened(tmp_path: Path) -> None:
    private = ["ips/ips-0001.html", "sessions/sessions-0001.html", "profile/profile.html", "profile/charges-0001.html", "README.html"]
    private += [
        "bookmarks/bookmarks-0001.html",
        "claps/claps-0001.html",
        "highlights/h.html",
        "lists/A-List-a1b2c3d4e5f6.html",
        "posts/x.png",
    ]
    story = "posts/2020-01-02_A-Title-a1b2c3d4e5f6.html"
    export(tmp_path, {story: page(TITLE + graf("p", "Words.")), **dict.fromkeys(private, "me@me.example")})
    files = Folder(tmp_path)
    source = medium.from_files(files)
    assert source is not None
    posts = {post.origin: post for post in collect(source)}
    assert {name for name, post in posts.items() if post.state == "kept"} == {story}
    assert posts.keys() == {story, *private}
    assert files.opened == {story}
    assert not any(post.blocks for name, post in posts.items() if name != story)


def test_an_export_as_it_comes_in_its_zip_and_below_a_folder(tmp_path: Path) -> None:
    archive = tmp_path / "medium-export.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("medium-export/README.html", "x")
        file.writestr("medium-export/posts/2020-01-02_A-Title-a1b2c3d4e5f6.html", page(TITLE + graf("p", "Words.")))
    assert Counter(post.state for post in collect(source_of(archive))) == {"kept": 1, "empty": 1}


def test_only_the_folder_with_the_posts_is_enough(tmp_path: Path) -> None:
    story = page(TITLE + graf("p", "Words."))
    export(tmp_path, {"2020-01-02_A-Title-a1b2c3d4e5f6.html": story, "draft_B-a1b2c3d4e5f7.html": story})
    assert [post.state for post in collect(source_of(tmp_path))] == ["kept", "draft"]


@pytest.mark.parametrize("names", [["_posts/a.html", "index.html"], ["posts/2020-01-02-a-title.html"], ["a.md"], ["posts/post.html"]])
def test_other_folders_with_pages_are_none_of_mediums(tmp_path: Path, names: list[str]) -> None:
    export(tmp_path, dict.fromkeys(names, "<p>x</p>"))
    assert medium.from_files(Folder(tmp_path)) is None


def test_drafts(tmp_path: Path) -> None:
    footer = '<p><a href="https://medium.com/p/a1b2c3d4e5f6">View original.</a></p><p>Exported from Medium.</p>'
    export(tmp_path, {"posts/draft_A-Title-a1b2c3d4e5f6.html": page(TITLE + graf("p", "Words."), footer=footer)})
    export(tmp_path, {"posts/2020-01-01_B-a1b2c3d4e5f7.html": page(TITLE + graf("p", "Other words."), footer=footer.replace("f6", "f7"))})
    posts = collect(source_of(tmp_path))
    assert [(post.state, post.reason) for post in posts] == [("draft", "not published")] * 2
    assert {post.key for post in posts} == {"https://medium.com/p/a1b2c3d4e5f6", "https://medium.com/p/a1b2c3d4e5f7"}


def test_a_response_is_a_comment_without_a_title(tmp_path: Path) -> None:
    words = "Thank you for this, I had never thought of it that way"
    post = one(tmp_path, graf("p", f"{words}, and yet."), name=f"{words}…")
    assert (post.kind, post.title, post.state) == ("comment", None, "kept")
    assert shape(post) == [("paragraph", f"{words}, and yet.")]


def test_code_that_medium_splits_is_one_block(tmp_path: Path) -> None:
    code = graf("pre", "a = 1<br>if a:<br>    b()", "pre") + graf("pre", "c  =  2", "pre")
    post = one(tmp_path, TITLE + graf("p", "Words.") + code + graf("p", "Between.") + graf("pre", "d()", "pre"))
    assert shape(post) == [
        ("paragraph", "Words."),
        ("code", "a = 1\nif a:\n    b()\nc  =  2"),
        ("paragraph", "Between."),
        ("code", "d()"),
    ]


def test_quotes_and_embeds_are_not_own_words(tmp_path: Path) -> None:
    link = '<a href="https://x.example" class="markup--anchor markup--pullquote-anchor">said</a>'
    card = '<div class="graf graf--mixtapeEmbed"><a href="https://x.example"><strong>Their title</strong><em>Their words</em></a></div>'
    body = graf("blockquote", "Theirs.", "blockquote") + graf("pullquote", f"Loud,&nbsp;{link}.", "blockquote") + card
    post = one(tmp_path, TITLE + graf("p", "Mine.") + body)
    assert [block.type for block in post.blocks] == ["paragraph", "quote", "quote", "embed"]
    assert post.blocks[2].text == "Loud, said."
    assert post.words == 1


def test_captions_are_kept_and_pictures_are_not(tmp_path: Path) -> None:
    caption = '<figcaption class="imageCaption">Mine.</figcaption>'
    figure = f'<figure class="graf graf--figure"><img class="graf-image" alt="" src="x.png">{caption}</figure>'
    assert shape(one(tmp_path, TITLE + figure + graf("p", "Words."))) == [("caption", "Mine."), ("paragraph", "Words.")]


def test_a_story_whose_original_stands_elsewhere_is_a_cross_post(tmp_path: Path) -> None:
    post = one(tmp_path, TITLE + graf("p", "Words."), canonical="https://me.example/blog/a-title/?utm_source=medium")
    assert (post.key, post.url) == ("https://medium.com/p/a1b2c3d4e5f6",) * 2
    assert post.canonical_url == "https://me.example/blog/a-title"


def test_a_publication_with_a_domain_of_its_own_is_still_medium(tmp_path: Path) -> None:
    post = one(tmp_path, TITLE + graf("p", "Words."), canonical="https://blog.example/a-title-a1b2c3d4e5f6?source=rss")
    assert (post.key, post.url, post.canonical_url) == (
        "https://medium.com/p/a1b2c3d4e5f6",
        "https://blog.example/a-title-a1b2c3d4e5f6",
        None,
    )


def test_somebody_elses_story_in_the_folder_is_foreign(tmp_path: Path) -> None:
    names = {f"posts/2020-01-0{n}_A-a1b2c3d4e5f{n}.html": page(TITLE + graf("p", f"Words {n}."), id=f"a1b2c3d4e5f{n}") for n in range(1, 4)}
    names["posts/2020-01-04_A-a1b2c3d4e5f4.html"] = page(TITLE + graf("p", "Theirs."), id="a1b2c3d4e5f4", author="guest")
    posts = collect(source_of(export(tmp_path, names)))
    assert [post.state for post in posts] == ["kept", "kept", "kept", "foreign"]
    assert posts[3].reason == "written by Guest Doe, not by jane doe"


def test_an_own_export_needs_no_name(tmp_path: Path) -> None:
    export(tmp_path, {"posts/2020-01-02_A-Title-a1b2c3d4e5f6.html": page(TITLE + graf("p", "Words."))})
    assert [post.state for post in collect(source_of(tmp_path), Rules(names=("J. Doe",)))] == ["kept"]


def test_a_file_that_is_no_story_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    export(
        tmp_path, {"posts/2020-01-02_A-a1b2c3d4e5f6.html": page(TITLE + graf("p", "Words.")), "posts/2020-01-03_B-a1b2c3d4e5f7.html": "x"}
    )
    posts = collect(source_of(tmp_path))
    assert [post.state for post in posts] == ["kept", "unreadable"]
    assert "section" in posts[1].reason


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(lambda text: page(text).encode("utf-8", "replace"))))
def test_any_page_becomes_one_post(content: bytes) -> None:
    class One:
        location = "x"
        names = ("posts/2020-01-02_A-Title-a1b2c3d4e5f6.html",)
        refused: dict[str, str] = {}  # noqa: RUF012
        opened: set[str] = set()  # noqa: RUF012

        def read(self, name: str) -> bytes:
            return content

    source = medium.from_files(One())  # pyright: ignore[reportArgumentType]
    assert source is not None
    assert len(collect(source)) == 1


def web(answers: Mapping[str, str | bytes | int | Callable[[httpx.Request], httpx.Response]]) -> Web:
    def handle(request: httpx.Request) -> httpx.Response:
        answer = answers.get(str(request.url), 404)
        if isinstance(answer, int):
            return httpx.Response(answer)
        return answer(request) if callable(answer) else httpx.Response(200, content=answer)

    return Web(Limits(pause=0, tries=1), transport=httpx.MockTransport(handle), sleep=lambda _: None)


def entry(n: int, body: str, *, title: str = "", author: str = "Jane Doe") -> str:
    return (
        f"<item><title><![CDATA[{title or f'T{n}'}]]></title><link>https://medium.com/@jane/t-{n}-a1b2c3d4e5f{n}?source=rss-abc------2</link>"
        f'<guid isPermaLink="false">https://medium.com/p/a1b2c3d4e5f{n}</guid><dc:creator><![CDATA[{author}]]></dc:creator>'
        f"<pubDate>Mon, 0{n} Jan 2024 10:00:00 GMT</pubDate><content:encoded><![CDATA[{body}]]></content:encoded></item>"
    )


def feed(*entries: str) -> str:
    return (
        '<?xml version="1.0"?><rss xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/" '
        'version="2.0"><channel><title>Stories by Jane on Medium</title><link>https://medium.com/@jane?source=rss-abc------2</link>'
        f"<generator>Medium</generator>{''.join(entries)}</channel></rss>"
    )


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("https://medium.com/@jane", "https://medium.com/feed/@jane"),
        ("https://www.medium.com/@jane-1234567890/about?source=x", "https://medium.com/feed/@jane-1234567890"),
        ("https://medium.com/@jane-1234567890", "https://medium.com/feed/@jane-1234567890"),
        ("https://medium.com/feed/@jane", "https://medium.com/feed/@jane"),
        ("https://medium.com/@jane/list/reading-a1b2c3d4e5f6", "https://medium.com/feed/@jane"),
        ("https://medium.com/the-publication", "https://medium.com/feed/the-publication"),
        ("https://jane.medium.com", "https://jane.medium.com/feed"),
        ("https://jane.medium.com/feed", "https://jane.medium.com/feed"),
        ("https://medium.com/@jane/a-title-a1b2c3d4e5f6?source=rss", "https://medium.com/p/a1b2c3d4e5f6"),
        ("https://medium.com/p/a1b2c3d4e5f6", "https://medium.com/p/a1b2c3d4e5f6"),
        ("https://jane.medium.com/a-title-a1b2c3d4e5f6#x", "https://medium.com/p/a1b2c3d4e5f6"),
        ("https://medium.com/the-publication/a-title-a1b2c3d4e5f6", "https://medium.com/p/a1b2c3d4e5f6"),
        ("https://medium.com", ""),
        ("https://medium.com/tag/writing", ""),
        ("https://medium.com/m/signin", ""),
        ("https://notmedium.com/@jane", ""),
        ("https://medium.com.evil.example/@jane", ""),
    ],
)
def test_addresses(address: str, read: str) -> None:
    source = medium.from_address(Address(address, Web()))
    match source:
        case medium.MediumFeed():
            assert source.feed == read
        case medium.MediumStory():
            assert source.key == read
        case _:
            assert (source, read) == (None, "")


def test_a_feed_has_the_keys_of_the_export(tmp_path: Path) -> None:
    body = "<h4>A subtitle</h4><p>Words of the first story.</p><pre>x = 1</pre>"
    tail = '<img src="https://medium.com/_/stat?event=post.clientViewed" width="1" height="1" alt="">'
    end = '<hr><p><a href="https://x">T2</a> was originally published in <a href="https://y">Pub</a> on Medium, '
    end += "where people are continuing the conversation by highlighting and responding to this story.</p>"
    answers = {"https://medium.com/feed/@jane": feed(entry(6, body + tail), entry(2, f"<p>More words.</p>{end}"))}
    source = medium.from_address(Address("https://medium.com/@jane", web(answers)))
    assert source is not None
    posts = collect(source)
    assert source.coverage == "newest"
    assert posts[0].key == one(tmp_path, TITLE + graf("p", "Words.")).key
    assert posts[0].url == "https://medium.com/@jane/t-6-a1b2c3d4e5f6"
    assert shape(posts[0]) == [("heading", "A subtitle"), ("paragraph", "Words of the first story."), ("code", "x = 1")]
    assert shape(posts[1]) == [("paragraph", "More words.")]
    assert [post.state for post in posts] == ["kept", "kept"]


def test_a_feed_that_goes_on_elsewhere_is_partial() -> None:
    cut = '<p class="medium-feed-snippet">The start of it.</p><p class="medium-feed-link"><a href="https://x">Continue reading on Pub »</a></p>'
    source = medium.MediumFeed("x", "https://medium.com/feed/x", web({"https://medium.com/feed/x": feed(entry(1, cut))}))
    [post] = collect(source)
    assert (post.state, shape(post)) == ("partial", [("paragraph", "The start of it.")])
    assert "export" in post.reason


def test_responses_in_a_feed_are_comments_and_titles_that_begin_a_story_are_not() -> None:
    words = "Thank you for this, I had never thought of it that way before"
    entries = [entry(1, f"<p>{words}, and yet.</p>", title=f"{words}…"), entry(2, "<p>T2 is a name.</p><p>More words.</p>")]
    source = medium.MediumFeed("x", "https://medium.com/feed/x", web({"https://medium.com/feed/x": feed(*entries)}))
    posts = collect(source)
    assert [(post.kind, post.title) for post in posts] == [("comment", None), ("article", "T2")]


def test_the_feed_of_a_publication_keeps_its_authors_apart() -> None:
    entries = [entry(n, f"<p>Words {n}.</p>", author="Jane Doe" if n < 3 else "Other") for n in range(1, 5)]
    source = medium.from_address(Address("https://medium.com/pub", web({"https://medium.com/feed/pub": feed(*entries)})))
    assert source is not None
    posts = collect(source, Rules(names=("Jane Doe",)))
    assert [post.state for post in posts] == ["kept", "kept", "foreign", "foreign"]
    assert posts[2].bylines == ("Other",)


def story(*, free: bool = True, canonical: str = "https://medium.com/@jane/a-title-a1b2c3d4e5f6") -> str:
    linked = {"@type": "NewsArticle", "headline": "A Title", "isAccessibleForFree": free, "author": {"name": "Jane Doe"}}
    linked |= {"datePublished": "2020-01-02T03:04:05Z", "hasPart": {"cssSelector": ".meteredContent"}}
    words = "".join(f"<p class='pw-post-body-paragraph'>These are words of the story, paragraph {n} of it, verbatim.</p>" for n in range(8))
    return (
        f'<html><head><title>A Title | by Jane Doe | Medium</title><link rel="canonical" href="{canonical}">'
        f'<script type="application/ld+json">{json.dumps(linked)}</script></head><body><article><h1>A Title</h1>'
        f"<div>Listen</div><div>Share</div>{words}</article></body></html>"
    )


def test_the_page_of_a_story_has_the_key_of_the_export() -> None:
    address = "https://medium.com/@jane/a-title-a1b2c3d4e5f6?source=user_profile"
    source = medium.from_address(Address(address, web({address: story()})))
    assert source is not None
    [post] = collect(source)
    assert (post.key, post.state, post.title, post.bylines) == ("https://medium.com/p/a1b2c3d4e5f6", "kept", "A Title", ("Jane Doe",))
    assert len(post.blocks) == 8


def test_a_story_for_members_is_partial() -> None:
    address = "https://jane.medium.com/a-title-a1b2c3d4e5f6"
    source = medium.from_address(Address(address, web({address: story(free=False)})))
    assert source is not None
    [post] = collect(source)
    assert post.state == "partial" and "export" in post.reason


def test_a_page_whose_original_stands_elsewhere_keeps_mediums_key() -> None:
    address = "https://medium.com/p/a1b2c3d4e5f6"
    source = medium.from_address(Address(address, web({address: story(canonical="https://me.example/a")})))
    assert source is not None
    [post] = collect(source)
    assert (post.key, post.url, post.canonical_url) == (address, address, "https://me.example/a")


@pytest.mark.parametrize(("answer", "outcome"), [(403, "forbidden"), (404, "gone"), (410, "gone"), (429, "rate_limited")])
def test_what_does_not_answer_is_no_empty_source(answer: int, outcome: str) -> None:
    for address in ("https://medium.com/@jane", "https://medium.com/p/a1b2c3d4e5f6"):
        reached = {"https://medium.com/feed/@jane": answer, "https://medium.com/p/a1b2c3d4e5f6": answer}
        source = medium.from_address(Address(address, web({**reached})))
        assert source is not None
        with pytest.raises(FetchError) as raised:
            collect(source)
        assert raised.value.outcome == outcome


def test_a_bot_check_with_status_200_is_no_story() -> None:
    address = "https://medium.com/p/a1b2c3d4e5f6"
    answer = "<html><head><title>Just a moment...</title></head><body><p>Verify you are human.</p></body></html>"
    source = medium.from_address(Address(address, web({address: answer})))
    assert source is not None
    with pytest.raises(SourceError, match="Medium's export"):
        collect(source)


def test_the_fixtures_of_an_importer(test_data: Path) -> None:
    files = Folder(test_data / "ghost_migrate_fixtures/packages/mg-medium-export/test/fixtures/export")
    source = medium.from_files(files)
    assert source is not None
    posts = collect(source)
    assert len(posts) == len(files.names) == 10
    assert Counter(post.state for post in posts) == {"kept": 8, "draft": 1, "empty": 1}
    assert [post.origin for post in posts if post.kind == "comment"] == ["posts/comment.html"]
    assert not [block for post in posts for block in post.blocks if block.type != "code" and UI.search(block.text)]
    assert files.opened == {name for name in files.names if name.startswith("posts/")}


def test_a_real_feed_of_a_publication(test_data: Path) -> None:
    script = (test_data / "medium_rss_yldio/xml/posts_1_to_10.js").read_text()
    xml = script[script.index("<?xml") : script.rindex("`")]
    source = medium.MediumFeed("x", "https://medium.com/feed/yld-blog", web({"https://medium.com/feed/yld-blog": xml}))
    posts = collect(source)
    assert len(posts) == len(list(Feed("x", xml.encode()).read()))
    assert all(post.key.startswith("https://medium.com/p/") and post.bylines for post in posts)
    assert not [block for post in posts for block in post.blocks if block.type != "code" and UI.search(block.text)]


WITHOUT_POSTS = {
    "README.html": "About this export",
    "profile/profile.html": "jane@mail.example",
    "bookmarks/bookmarks-0001.html": "What others wrote",
    "highlights/highlights-0001.html": "What others wrote",
    "users-following/users-following-0001.html": "Bob",
}


@pytest.mark.parametrize("root", ["", "medium-export/"])
def test_an_export_without_posts_is_refused_and_not_opened(tmp_path: Path, root: str) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in WITHOUT_POSTS.items():
            archive.writestr(root + name, content)
    files = open_files(path)
    with pytest.raises(SourceError, match="holds no posts"):
        medium.from_files(files)
    assert not files.opened


def test_a_folder_of_documents_beside_such_an_export_is_not_refused(tmp_path: Path) -> None:
    assert medium.from_files(Folder(export(tmp_path, {**WITHOUT_POSTS, "essay.html": "<p>Mine.</p>"}))) is None
    assert medium.from_files(Folder(export(tmp_path / "other", {"lists/birds.html": "<p>Mine.</p>"}))) is None
