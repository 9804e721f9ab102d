import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from twin_assets.ingest.article import decode_html, read_article
from twin_assets.ingest.page import Page

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
    article = read_article(html)
    assert (article.platform, article.title, article.byline) == ("substack", "Story", "Jane Doe")
    assert article.url == "https://me.substack.com/p/story"
    assert article.published_at == datetime(2024, 5, 6, 7, tzinfo=UTC)
    assert [block.text for block in article.blocks] == [PROSE]


def test_title_and_byline_are_not_repeated_in_a_medium_body() -> None:
    html = page(
        f"<article><p>Jane</p><p>May 1, 2020</p><h1>Story</h1><p>{PROSE}</p><div><span>2.1K</span></div></article>",
        '<meta property="og:url" content="https://medium.com/@jane/story-1410b0b5446d"><meta name="author" content="Jane">',
    )
    assert [block.text for block in read_article(html).blocks] == [PROSE]
    (post,) = Page("x.html", html.encode()).read()
    assert (post.key, post.state) == ("https://medium.com/p/1410b0b5446d", "kept")


def test_a_paywall_makes_a_post_partial() -> None:
    html = page(f'<div class="available-content"><div class="body markup"><p>{PROSE}</p></div></div><h2 class="paywall-title">Pay</h2>')
    (post,) = Page("x.html", html.encode()).read()
    assert post.state == "partial"


def test_a_challenge_is_never_a_post() -> None:
    (post,) = Page("https://x.test/a", b"<title>Just a moment...</title><p>Checking your browser before you go on</p>").read()
    assert (post.state, post.blocks) == ("unreadable", ())


@pytest.mark.parametrize(
    "content",
    ["é".encode(), "é".encode("latin-1"), "é".encode("utf-16"), b'<meta charset="iso-8859-1">\xe9', b'<meta charset="gbk">' + "é".encode()],
)
def test_charsets(content: bytes) -> None:
    assert "é" in decode_html(content)


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=200), st.text(max_size=80))
def test_any_page_is_read(content: bytes, data: str) -> None:
    read_article(content)
    read_article(page("<p>x</p>", f'<script type="application/ld+json">{data}</script>'))


def test_real_medium_pages(test_data: Path) -> None:
    for name in ("medium-1", "medium-2", "medium-3"):
        folder = test_data / "pages_readability" / name
        article = read_article((folder / "source.html").read_bytes())
        expected = _tokens(LexborHTMLParser((folder / "expected.html").read_text("utf-8")).text(separator=" "))
        found = _tokens(" ".join(block.text for block in article.blocks))
        assert 2 * (found & expected).total() / (found.total() + expected.total()) > 0.97
        assert article.byline and article.published_at and article.platform == "medium"


def _tokens(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))
