import gzip
import json
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import extraction
from twin_assets.ingest.pages import decode_html, extract, read_page
from twin_assets.ingest.posts import Block
from twin_assets.ingest.sources.page import Page

PROSE = " ".join(["Some words of a story that is long enough to be one."] * 5)


def page(body: str, head: str = "") -> str:
    return f"<html><head><title>Site</title>{head}</head><body>{body}</body></html>"


def test_a_substack_page() -> None:
    html = page(
        f'<nav>Menu</nav><h1 class="post-title">Story</h1><div class="available-content"><div class="body markup"><p>{PROSE}</p>'
        '<div class="subscription-widget-wrap">Subscribe</div></div></div><div class="comments"><p>A comment.</p></div>',
        '<link rel="canonical" href="https://Me.substack.com/p/story/?r=1"><script type="application/ld+json"><![CDATA['
        '{"@type": "NewsArticle", '
        '"author": [{"name": "Jane Doe"}], "datePublished": "2024-05-06T07:00:00Z"}]]></script>',
    )
    article = read_page(html)
    assert (article.platform, article.title, article.bylines) == ("substack", "Story", ("Jane Doe",))
    assert article.url == "https://me.substack.com/p/story"
    assert article.published_at == datetime(2024, 5, 6, 7, tzinfo=UTC)
    assert [block.text for block in article.blocks] == [PROSE]


def test_title_and_byline_are_not_repeated_in_a_medium_body() -> None:
    html = page(
        f"<article><p>Jane</p><p>May 1, 2020</p><h1>Story</h1><p>{PROSE}</p><div><span>2.1K</span></div></article>",
        '<meta property="og:url" content="https://medium.com/@jane/story-1410b0b5446d"><meta name="author" content="Jane">',
    )
    assert [block.text for block in read_page(html).blocks] == [PROSE]
    (post,) = Page("x.html", html.encode()).read()
    assert (post.key, post.state) == ("https://medium.com/p/1410b0b5446d", "kept")


def test_a_paywall_makes_a_post_partial() -> None:
    html = page(f'<div class="available-content"><div class="body markup"><p>{PROSE}</p></div></div><h2 class="paywall-title">Pay</h2>')
    (post,) = Page("x.html", html.encode()).read()
    assert post.state == "partial"


def test_a_challenge_is_never_a_post() -> None:
    (post,) = Page("https://x.test/a", b"<title>Just a moment...</title><p>Checking your browser before you go on</p>").read()
    assert (post.state, post.blocks) == ("unreadable", ())


def prose(number: int) -> str:
    """A paragraph unlike its neighbours, long enough to be taken for a body's."""
    return f"Paragraph {number} tells of the {number} ways in which a harbour town gets its fish to the people who like to eat it fresh."


STORY = "".join(f"<p>{prose(number)}</p>" for number in range(6))


def types(html: str, url: str | None = None) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in extract(html, url).blocks]


def test_a_page_as_bytes_and_as_text_is_the_same() -> None:
    html = page(f"<article><h1>Über</h1>{STORY}</article>")
    assert read_page(html.encode(), "https://x.test/a") == extract(html, "https://x.test/a")


def test_author_and_text() -> None:
    html = page(
        '<article class="h-entry"><div class="e-content"><p>One.</p><ol><li>two</li><li>three</li></ol><iframe src="https://v.test/1">'
        '</iframe><pre>x = 1</pre></div></article><a class="p-author">Ann</a>'
    )
    article = extract(html, "https://x.test/a")
    assert (article.author, article.generic) == ("Ann", False)
    assert article.text == "One.\n\ntwo\nthree\n\nx = 1"


def test_a_body_of_no_known_platform_keeps_its_own_blocks() -> None:
    """The generic extractor decides what belongs to the body; inline code, numbers, languages and headings are the page's own."""
    html = page(
        f"<nav><a href=/>Home</a></nav><main><h1>Fish</h1><p>{prose(0)}</p><h2>Boats</h2><p>Use <code>net --wide</code>, for {prose(1)}</p>"
        f"<pre><code class=language-python>def net():\n    return 1</code></pre><p>{prose(2)}</p><blockquote><p>{prose(3)}</p></blockquote>"
        f"<ol><li>{prose(4)}</li><li>{prose(5)}</li></ol><p>{prose(6)}</p></main><footer><p>Privacy and terms of this site</p></footer>"
    )
    article = extract(html, "https://x.test/fish")
    assert article.generic and article.title == "Fish"
    assert [(block.type, block.text) for block in article.blocks] == [
        ("paragraph", prose(0)),
        ("heading", "Boats"),
        ("paragraph", f"Use `net --wide`, for {prose(1)}"),
        ("code", "def net():\n    return 1"),
        ("paragraph", prose(2)),
        ("quote", prose(3)),
        ("list", f"1. {prose(4)}\n2. {prose(5)}"),
        ("paragraph", prose(6)),
    ]
    assert article.blocks[3] == Block("code", "def net():\n    return 1", language="python")


def test_furniture_of_medium_goes() -> None:
    html = page(
        f"""<article><h1 class="pw-post-title">Story</h1><div class="speechify-ignore"><p>Jane Doe</p><p>5 min read</p><p>Listen</p></div>
        <p>Follow</p><p>2.1K</p><p>Press enter or click to view image in full size</p><figure><img alt="seen by nobody"><figcaption>My
        harbour</figcaption></figure>{STORY}<h2>More from Jane Doe and Harbour Weekly</h2><p>{PROSE} by somebody else</p></article>""",
        '<meta property="al:android:app_name" content="Medium"><meta name="author" content="Jane Doe">',
    )
    assert types(html) == [("caption", "My harbour"), *[("paragraph", prose(number)) for number in range(6)]]


def test_furniture_of_substack_goes() -> None:
    html = page(
        f"""<div class="available-content"><div class="body markup">{STORY}<div class="subscription-widget-wrap-editor"><p>Thanks for reading!
        Subscribe for free</p></div><p class="button-wrapper"><a>Share</a></p><div class="digest-post-embed"><h4>Another post</h4></div></div>
        </div><div class="post-footer"><a>Like</a></div><div class="comments-page"><div class="comment-body"><p>{PROSE}</p></div></div>""",
        '<link rel="stylesheet" href="https://substackcdn.com/bundle/theme/main.css">',
    )
    assert types(html, "https://letters.test/p/fish") == [("paragraph", prose(number)) for number in range(6)]


def test_a_substack_note_is_the_one_that_was_asked_for() -> None:
    note = '<div class="{0}"><div class="feedCommentBody-x"><div class="ProseMirror FeedProseMirror"><p>{1}</p></div></div></div>'
    html = page(
        '<div id="entry">' + note.format("feedItem", "Of others.") + note.format("permalinkHeader-x", "Mine.") + note.format("f", "Else.")
    )
    assert types(html + "</div>", "https://substack.com/@me/note/c-1") == [("paragraph", "Mine.")]


def test_a_linkedin_page_is_its_first_commentary_alone() -> None:
    text = '<p data-test-id="main-feed-activity-card__commentary">{}</p>'
    html = page(text.format("Mine.<br><br>More.") + text.format("Of somebody related.") + "<form><input type=password></form>")
    article = extract(html, "https://www.linkedin.com/posts/me_fish-activity-1")
    assert [block.text for block in article.blocks] == ["Mine.", "More."]
    assert article.wall == ""


def test_a_list_of_posts_is_no_post() -> None:
    cards = "".join(f"<article><h2><a href=/p{number}>Post</a></h2>{STORY}</article>" for number in range(4))
    assert extract(page(f"<main>{cards}</main>"), "https://x.test/").blocks == ()


def test_an_article_with_cards_of_others_is_one() -> None:
    cards = "".join(f"<article><h3><a href=/p{number}>Post</a></h3><p>A teaser of it</p></article>" for number in range(4))
    assert len(types(page(f"<main><article><h1>Fish</h1>{STORY}</article><section>{cards}</section></main>"))) == 6


@pytest.mark.parametrize(
    ("html", "url", "wall"),
    [
        ("<title>Just a moment...</title><p>Checking</p>", None, "challenge"),
        ("<title>Augenblick</title><p>Prüfung</p><script>window._cf_chl_opt = {}</script>", None, "challenge"),
        ("<title>x.test</title><p>Please enable JS</p><script src=https://ct.captcha-delivery.com/c.js></script>", None, "challenge"),
        ("<title>Access Denied</title><h1>Sorry</h1><p>You have no permission. Reference #1</p>", None, "challenge"),
        ("<title>x.test</title><div class=g-recaptcha></div>", None, "challenge"),
        ("<title>x.test</title><h1>Welcome</h1>", "https://www.linkedin.com/authwall?trk=bf", "needs_login"),
        ("<title>Sign Up | LinkedIn</title><h1>Welcome</h1>", None, "needs_login"),
        ("<title>Members</title><form><input type=password></form>", None, "needs_login"),
        ("<title>Before you continue</title><p>Cookies and data</p>", "https://consent.youtube.com/m?continue=x", "consent"),
        (
            "<title>News</title><div><p>We and our partners use cookies. Consent to our privacy policy.</p><button>Accept all</button></div>",
            None,
            "consent",
        ),
    ],
)
def test_walls_are_typed_and_never_posts(html: str, url: str | None, wall: str) -> None:
    article = extract(html, url)
    assert (article.wall, bool(article.challenge)) == (wall, True)
    (post,) = Page(url or "x.html", html.encode(), url=url).read()
    assert (post.state, post.blocks) == ("unreadable", ())


@pytest.mark.parametrize("title", ["Access denied: a story", "Sign in with care", "Cookies I have baked", "Just a moment of your time"])
def test_an_article_about_walls_is_none(title: str) -> None:
    story = "".join(f"<p>{prose(number)}</p>" for number in range(9))
    article = extract(page(f"<article><h1>{title}</h1>{story}</article><button>Accept cookies</button><input type=password>"))
    assert (article.wall, len(article.blocks)) == ("", 9)


def test_an_application_without_text_is_empty() -> None:
    assert types(page("<noscript>You need to enable JavaScript to run this app.</noscript><div id=root></div>")) == []


@pytest.mark.parametrize(
    "sign",
    [
        '<script type="application/ld+json">{"@type": "BlogPosting", "isAccessibleForFree": "False"}</script>',
        '<div data-testid="paywall" class="paywall-x">Keep reading</div>',
        '<h2 class="paywall-title">Pay</h2>',
    ],
)
def test_signs_of_a_paywall(sign: str) -> None:
    html = page(f'<div class="available-content"><div class="body markup">{STORY}</div></div>{sign}')
    assert extract(html, "https://me.substack.com/p/x").complete is False


def test_json_ld_that_only_points_at_the_author() -> None:
    graph = {
        "@graph": [
            {"@type": "Article", "author": {"@id": "#me"}, "headline": "Fish", "datePublished": "2024-05-06"},
            {"@type": "Person", "@id": "#me", "name": "Ann"},
        ]
    }
    article = extract(page(STORY, f'<script type="application/ld+json">//<![CDATA[\n{json.dumps(graph)}\n//]]></script>'))
    assert (article.title, article.author, article.published_at) == ("Fish", "Ann", datetime(2024, 5, 6, tzinfo=UTC))


@pytest.mark.parametrize(
    "content",
    ["é".encode(), "é".encode("latin-1"), "é".encode("utf-16"), b'<meta charset="iso-8859-1">\xe9', b'<meta charset="gbk">' + "é".encode()],
)
def test_charsets(content: bytes) -> None:
    assert "é" in decode_html(content)


TAGS = """
article|/article|div|/div|p|/p|h1|h2|a href=/x|ul|li|table|tr|td|pre|code|figure|figcaption|blockquote|div class="body markup"|dl|dd|br|script
/script|section data-field=body|div class=e-content|p data-test-id=main-feed-activity-card__commentary|title|/title|form|input type=password
link rel=canonical href="http://[x"|meta property=og:url content=//|!--
"""
FRAGMENTS = st.sampled_from([f"<{tag}>" for tag in TAGS.strip().replace("\n", "|").split("|")])
URLS = st.sampled_from(
    [None, "", "https://medium.com/p/1", "https://a.substack.com/p/b", "https://www.linkedin.com/posts/x", "http://[", "x"]
)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.text(max_size=80), URLS)
def test_any_page_is_read(content: bytes, data: str, url: str | None) -> None:
    read_page(content, url)
    read_page(page("<p>x</p>", f'<script type="application/ld+json">{data}</script>'), url)


@settings(deadline=None, max_examples=60)
@given(st.lists(FRAGMENTS | st.text(max_size=8) | st.just(prose(1)), max_size=40).map("".join), URLS)
def test_any_markup_is_read(html: str, url: str | None) -> None:
    article = extract(html, url)
    assert all(block.text.strip() for block in article.blocks)
    assert bool(article.wall) == bool(article.challenge)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["2024-01-02", "http://[", "#me", "Article"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["@type", "@graph", "@id", "author", "name", "headline", "url", "mainEntityOfPage", "datePublished", "isAccessibleForFree"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=60)
@given(JSON)
def test_any_json_ld_is_read(data: object) -> None:
    extract(page("<div class=e-content><p>x</p></div>", f'<script type="application/ld+json">{json.dumps(data)}</script>'))


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 3000 + STORY,
        "<article><h2><a href=/>x</a></h2>" * 2000,
        "<figure><figcaption>" * 60 + "x",
        "<dl><dd>" * 60 + "x",
        "<p>a\0b</p>" * 10,
        "<p>\ud800</p>",
        '<script type="application/ld+json">' + "[" * 50_000 + "</script>",
    ],
)
@pytest.mark.timeout(30)
def test_hostile_pages_are_survived(html: str) -> None:
    extract(html)


def test_real_medium_pages(test_data: Path) -> None:
    for name in ("medium-1", "medium-2", "medium-3"):
        folder = test_data / "pages_readability" / name
        article = read_page((folder / "source.html").read_bytes())
        assert article.bylines and article.published_at and article.platform == "medium" and not article.generic


def test_real_pages_are_read_well(test_data: Path) -> None:
    """Floors a little below what the benchmark measures."""
    figures = extraction.measure(Namespace(data=test_data, rounds=1)).figures
    assert (figures["medium_f1"] or 0) >= 0.985
    assert (figures["substack_f1"] or 0) >= 0.985
    assert (figures["web_f1"] or 0) >= 0.91
    assert figures["interface_lines"] == 0
    assert (figures["speedup_vs_bs4"] or 0) > 5


def test_the_public_benchmark_is_counted_as_it_counts_itself(tmp_path: Path) -> None:
    truth = {
        "found": {"articleBody": prose(1), "url": "https://x.test/1"},
        "absent": {"articleBody": "one two three four five", "url": "https://x.test/2"},
    }
    (tmp_path / "html").mkdir()
    (tmp_path / "ground-truth.json").write_text(json.dumps(truth))
    (tmp_path / "html" / "found.html.gz").write_bytes(gzip.compress(page(f"<article><p>{prose(1)}</p></article>").encode()))
    figures = extraction.measure(Namespace(data=tmp_path, rounds=1)).figures
    assert (figures["documents"], figures["precision"], figures["recall"]) == (2, 1.0, 0.5)
    assert figures["f1"] == figures["overall_f1"] == pytest.approx(0.6667)
    assert figures["speedup_vs_bs4"] is None


@pytest.mark.parametrize(
    ("expected", "found", "shares"),
    [
        ("a b c d e", "a b c d e", (1.0, 0.0, 0.0)),
        ("a b c d", "a b c d e f", (1 / 3, 2 / 3, 0.0)),
        ("a b c d e", "", (0.0, 0.0, 1.0)),
        ("a b", "a b", (1.0, 0.0, 0.0)),
        ("a b c d a b c d", "a b c d", (0.2, 0.0, 0.8)),
        ("", "", (0.0, 0.0, 0.0)),
    ],
)
def test_matching(expected: str, found: str, shares: tuple[float, float, float]) -> None:
    assert extraction.matching(expected, found) == pytest.approx(shares)


def test_lines_of_the_interface_are_counted() -> None:
    blocks = (Block("paragraph", "Share"), Block("paragraph", "Share what you have."), Block("list", "- 12 min read\n- mine"))
    article = extract(page(STORY))
    sample = extraction.Sample("x", "", "")
    assert extraction.interface_lines(sample, replace(article, blocks=blocks)) == ["Share", "12 min read"]


@pytest.mark.parametrize("title", ["404", "Page not found | A blog", "Not Found", "Error 404: gone fishing"])
def test_a_page_that_says_that_it_is_not_there_is_no_text(title: str) -> None:
    html = f"<html><head><title>{title}</title></head><body><article><h1>{title}</h1><p>Sorry, nothing here.</p></article></body></html>"
    (post,) = Page("https://x.test/a", html.encode(), url="https://x.test/a").read()
    assert post.state == "unreadable"
    essay = html.replace("Sorry, nothing here.", "A long essay about pages that are lost. " * 20)
    (post,) = Page("https://x.test/a", essay.encode(), url="https://x.test/a").read()
    assert post.state == "kept"
