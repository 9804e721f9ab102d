import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from twin_assets.ingest.html import html_blocks, node_blocks, parse
from twin_assets.ingest.posts import Block


def texts(html: str) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in html_blocks(html)]


def test_substack_widgets_go_and_words_stay() -> None:
    html = """
    <h2 class="header-anchor-post">Part<div class="header-anchor-parent"><button>link</button></div></h2>
    <p>Mine.<a class="footnote-anchor" href="#f">1</a></p>
    <p class="button-wrapper"><a class="button">Subscribe now</a></p>
    <div class="subscription-widget-wrap"><p>Thanks for reading!</p></div>
    <div class="captioned-image-container"><figure><img alt="screenshot.png"><figcaption>My desk</figcaption></figure></div>
    <div class="digest-post-embed"><p>Other post</p></div>
    """
    assert texts(html) == [("heading", "Part"), ("paragraph", "Mine."), ("caption", "My desk")]


def test_consecutive_medium_pres_are_one_block() -> None:
    html = '<pre class="graf graf--pre">a<br>  b</pre><pre class="graf graf--pre">c</pre><p>x</p><pre class="graf graf--pre">d</pre>'
    assert texts(html) == [("code", "a\n  b\nc"), ("paragraph", "x"), ("code", "d")]


@pytest.mark.parametrize(
    ("html", "language"),
    [
        ('<pre><code class="language-go">x</code></pre>', "go"),
        ('<div class="highlight highlight-source-python"><pre>x</pre></div>', "python"),
        ('<pre data-lang="C++">x</pre>', "c++"),
        ("<pre>x</pre>", None),
    ],
)
def test_language_of_code(html: str, language: str | None) -> None:
    assert html_blocks(html) == [Block("code", "x", language=language)]


def test_others_words_are_marked() -> None:
    html = (
        '<blockquote><p>Said.</p><p>Twice.</p></blockquote><blockquote class="twitter-tweet"><p>T</p><a href="https://x.com/1">d</a></blockquote>'
        '<iframe src="https://youtu.be/1"></iframe>'
    )
    assert texts(html) == [("quote", "Said.\n\nTwice."), ("embed", "https://x.com/1"), ("embed", "https://youtu.be/1")]


def test_line_breaks() -> None:
    assert texts("<p>a<br>b &nbsp; c\n d</p>") == [("paragraph", "a\nb c d")]
    assert texts("one<br><br>two") == [("paragraph", "one"), ("paragraph", "two")]


def test_a_layout_table_is_no_table() -> None:
    assert texts("<table><tr><td><p>Story</p></td></tr></table>") == [("paragraph", "Story")]
    assert texts("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>") == [("table", "a | b\n1 | 2")]
    assert texts("<table><tr><td><pre>1</pre></td><td><pre>code()</pre></td></tr></table>") == [("code", "code()")]


def test_typography_and_emoji_are_untouched() -> None:
    text = "“Curly” – dash… ½ 𝗕𝗼𝗹𝗱 👩‍💻 it’s"
    assert texts(f"<p>{text}</p>") == [("paragraph", text)]


MARKUP = """
<p> </p> <div> <ul> <li> </ul> <table> <tr> <td> <pre> </pre> <code> <blockquote> </blockquote>
<figure> <figcaption> <br> <!-- <a> &amp; <h1> <ol> <dl> <dt>
"""
PIECES = st.sampled_from(MARKUP.split())


@settings(deadline=None, max_examples=200)
@given(st.lists(PIECES | st.text(max_size=6), max_size=40).map("".join))
def test_any_markup_is_read(html: str) -> None:
    assert all(block.text.strip() for block in html_blocks(html))


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="abc é’", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=5),
    st.sampled_from(["p", "div", "section", "h3"]),
)
def test_no_word_is_lost(paragraphs: list[str], tag: str) -> None:
    html = "".join(f"<{tag}><em>{text}</em></{tag}>" for text in paragraphs)
    assert " ".join(b.text for b in html_blocks(html)).split() == " ".join(paragraphs).split()


def test_deep_nesting_is_survived() -> None:
    assert "deep" in texts("<div>" * 5000 + "deep")[0][1]
    assert "deep" in texts("<ul><li>" * 3000 + "deep")[0][1]


@pytest.mark.timeout(20)
def test_nested_figures_and_definitions_take_no_longer_than_others() -> None:
    html_blocks("<figure><figcaption>" * 60 + "deep")
    assert "deep" in texts("<dl><dd>" * 60 + "deep")[0][1]


def test_definitions() -> None:
    html = "<dl><div><dt>a</dt><dd>b</dd></div><dt>c</dt><dd>d<dl><dt>e</dt></dl></dd></dl>"
    assert texts(html) == [("list", "- a\n  b\n- c\n  d - e")]


def test_emphasis_inside_of_words_and_between_them() -> None:
    assert texts("<p>un<b>believ</b>able <i>a</i> <em>b</em>\n<a>c</a></p>") == [("paragraph", "unbelievable a b c")]


def test_alternative_text_is_left_out_where_only_a_reader_of_the_page_counts() -> None:
    html = '<p>Look: <img alt="my boat"></p><figure><img alt="seen by nobody"><figcaption>My harbour</figcaption></figure>'
    assert texts(html) == [("paragraph", "Look:"), ("caption", "my boat"), ("caption", "My harbour")]
    body = LexborHTMLParser(html).body
    assert body and [block.text for block in node_blocks(body, alternatives=False)] == ["Look:", "My harbour"]


def test_a_pullquote_says_once_more_what_the_text_says() -> None:
    found = html_blocks('<p>My words.</p><div class="pullquote"><p>My words.</p></div><p class="graf graf--pullquote">My words.</p>')
    assert [block.type for block in found] == ["paragraph", "quote", "quote"]


def deepest(html: str) -> int:
    """How deep the tree of a text is, without a call for each of its levels."""
    node, depth = parse(html).body, 0
    while node is not None:
        node, depth = next(iter(node.iter()), None), depth + 1
    return depth


@pytest.mark.parametrize("nested", ["<div>", "<div></b>", "<div></i></x>", "<DIV x='</div>'>", "<b x=1>", "<div/>", "<x-y>"])
def test_nesting_by_the_thousand_is_cut(nested: str) -> None:
    assert 500 < deepest(nested * 160_000) < 2_100


def test_words_before_in_and_after_the_depth_are_kept() -> None:
    html = "<p>Mine.</p>" + "<div>" * 160_000 + "deep" + "</div>" * 160_000 + "<p>More.</p>"
    assert texts(html) == [("paragraph", "Mine."), ("paragraph", "deep"), ("paragraph", "More.")]


@pytest.mark.parametrize(
    "many",
    [
        "<p>Word.",
        "<p>Wo<br>rd.</p><img src=a><hr>",
        "<ul><li>Word.<li>Word.</ul>",
        "<svg><path d=x /><g><use/></g></svg><p>Word.</p>",
        "<!-- <div> --><p>Word.</p>",
        "<script>'<div><b>'</script><p>Word.</p>",
        "<div title='<div><div>'><p>Word.</p></div>",
        "<table><tr><td>Word.<td>Word.</table>",
    ],
)
def test_many_tags_that_do_not_nest_are_all_read(many: str) -> None:
    last = texts(many * 16_000 + "<p>The last.</p>")[-1]
    assert last == ("paragraph", "The last.")


def test_a_tag_of_many_attributes_loses_them() -> None:
    tag = "<p " + " ".join(f"a{n}" for n in range(50_000)) + ">"
    paragraph = parse(f"{tag}Mine.</p><p id=b>More.</p>").css("p")
    assert [(node.text(), len(node.attributes)) for node in paragraph] == [("Mine.", 0), ("More.", 1)]


@pytest.mark.parametrize("start", ["<p ", '<p " ', '<p =" ', "<p =' ", '<p t=a" ', '<p t="<>" '])
@pytest.mark.parametrize("attribute", ["a{}", 'a{}=">"', "a{}='<>'", 'a{} = ">"'])
def test_no_quotation_mark_hides_how_long_a_tag_is(start: str, attribute: str) -> None:
    tag = start + " ".join(attribute.format(n) for n in range(30_000)) + ">"
    paragraph = parse(tag + "Mine.</p>").css_first("p")
    assert paragraph is not None
    assert (paragraph.text(), len(paragraph.attributes)) == ("Mine.", 0)


def test_a_picture_written_into_a_page_keeps_its_description() -> None:
    html = f'<p>Mine.</p><img src="data:image/png;base64,{"A" * 200_000}" alt="A loaf"><p>{"More. " * 20_000}</p>'
    assert [block.text[:6] for block in html_blocks(html)] == ["Mine.", "A loaf", "More. "]


def test_long_scripts_are_left_as_they_are() -> None:
    data = '{"a": "<b\\u003e' + "x" * 100_000 + '"}'
    assert parse(f"<script type=application/ld+json>{data}</script>").css("script")[0].text() == data
