import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.markdown import FrontMatterError, markdown_blocks, read_markdown, split_front_matter
from twin_assets.ingest.posts import Block

TAGS = re.compile(r"\{\{[<%]|\{%|</?(?:p|b|div|span|script|img|figure|figcaption|notice)\b")


def texts(markdown: str, **options: bool) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in markdown_blocks(markdown, **options)]


def test_blocks_of_every_type() -> None:
    markdown = """
Some *words* with a [link](https://example.com) and `code`,
over two lines.

## Section

- one
- two
  - inner

3. third
4. fourth

> Someone **said** this.

```python
def f( x ):
    return  x
```

    indented  code

| a | b |
|---|---|
| 1 | ~~2~~ |

![A picture of me](me.png) ![](empty.png)
"""
    assert markdown_blocks(markdown) == [
        Block("paragraph", "Some words with a link and `code`, over two lines."),
        Block("heading", "Section", level=2),
        Block("list", "- one\n- two\n  - inner"),
        Block("list", "3. third\n4. fourth"),
        Block("quote", "Someone said this."),
        Block("code", "def f( x ):\n    return  x", language="python"),
        Block("code", "indented  code"),
        Block("table", "a | b\n1 | 2"),
        Block("caption", "A picture of me"),
    ]


def test_code_inside_a_list_is_code() -> None:
    assert texts("1. Do this:\n\n   ```sh\n   ls\n   ```\n\n2. Then that.") == [
        ("list", "1. Do this:"),
        ("code", "ls"),
        ("list", "2. Then that."),
    ]


def test_the_title_comes_from_front_matter_or_the_first_heading() -> None:
    assert read_markdown("# Hello\n\nText").title == "Hello"
    assert [b.type for b in read_markdown("# Hello\n\nText").blocks] == ["paragraph"]
    both = read_markdown("---\ntitle: Mine\n---\n# Other\n\nText")
    assert (both.title, [b.type for b in both.blocks]) == ("Mine", ["heading", "paragraph"])
    assert len(read_markdown("---\ntitle: Same\n---\n# Same\n\nText").blocks) == 1


def test_front_matter_in_yaml_toml_or_not_at_all() -> None:
    assert split_front_matter("---\nTitle: x\n---\nbody") == ({"title": "x"}, "body")
    assert split_front_matter('+++\ntitle = "x"\n+++\nbody') == ({"title": "x"}, "body")
    assert split_front_matter("\ufeff---\r\ntitle: x\r\n---\r\nbody") == ({"title": "x"}, "body")
    for plain in ("no front matter", "---\n\njust a rule", "---\nwords between\n---\nrules"):
        assert split_front_matter(plain) == ({}, plain)


@pytest.mark.parametrize("broken", ["---\na: [\n---\nx", "+++\na = \n+++\nx", "---\nx: !!python/object:os.system 1\n---\n"])
def test_broken_front_matter_says_so(broken: str) -> None:
    with pytest.raises(FrontMatterError):
        split_front_matter(broken)


def bomb(merge: str) -> str:
    levels = [f"l{n}: &l{n} {{{merge}: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 10)]
    return "\n".join(["---", "l0: &l0 {a: 1}", *levels, "title: *l9", "---", "Words."])


@pytest.mark.parametrize("merge", ["<<", "x"])
def test_aliases_that_multiply_are_refused(merge: str) -> None:
    with pytest.raises(FrontMatterError, match="aliases"):
        split_front_matter(bomb(merge))
    assert split_front_matter("---\na: &me Jane\nauthor: *me\n---\nx") == ({"a": "Jane", "author": "Jane"}, "x")


@pytest.mark.parametrize(("value", "title"), [("2024", "2024"), ("2024-01-01", "2024-01-01"), ("[a, b]", None), ("{a: b}", None)])
def test_a_title_is_a_single_value(value: str, title: str | None) -> None:
    assert read_markdown(f"---\ntitle: {value}\n---\nWords.").title == title


def test_a_title_is_cut_at_a_sane_length() -> None:
    assert read_markdown(f"---\ntitle: {'x' * 10_000}\n---\nWords.").title == "x" * 500
    assert read_markdown(f"+++\ntitle = 0x{'f' * 10_000}\n+++\nWords.").title is None


@pytest.mark.parametrize(
    "opening",
    [
        "{{< x ",
        '{{< x "" ',
        '{{< x "',
        "{{< x `",
        '{{< x \\" ',
        "{{</* ",
        "{{< comment >}}",
        "{% x ",
        "{% comment %}",
        "{#a",
        "{{ ",
        "{/* ",
        "x `",
        "``x",
    ],
)
def test_tags_that_are_never_closed_are_read_in_no_time(opening: str) -> None:
    # Where a pattern goes back over what it read, this takes minutes to ages.
    assert markdown_blocks(opening * 8000 + "\n\nKept.", mdx=True)[-1].text == "Kept."


def test_quotes_in_tags() -> None:
    assert texts("""{{< note caption="a >}} b" >}} {{< img caption="say \\"hi\\"" />}}{{< note 5" >}} and "so" on.""") == [
        ("caption", "a >}} b"),
        ("caption", 'say "hi"'),
        ("paragraph", 'and "so" on.'),
    ]


def test_a_code_span_ends_with_its_paragraph() -> None:
    assert texts("A ` here.\n\nUse `{{< img >}}` so.") == [("paragraph", "A ` here."), ("paragraph", "Use `{{< img >}}` so.")]


def test_hugo_shortcodes() -> None:
    assert texts(
        'Before.\n\n{{<img src="a.png" alt="alt" caption="See [this](/x) and `that`">}}\n\n{{<notice type="info">}}\n\n'
        'Mind **this**.\n\n{{</notice>}}\n{{< youtube abc123 >}}\nAfter {{< ref "x.md" >}}it.'
    ) == [
        ("paragraph", "Before."),
        ("caption", "See this and `that`"),
        ("paragraph", "Mind this."),
        ("embed", "https://www.youtube.com/watch?v=abc123"),
        ("paragraph", "After it."),
    ]


def test_removed_tags_leave_no_indent_that_would_be_code() -> None:
    assert texts("{{</a>}} {{</a>}} {{</a>}} {% b %} {{ c }} Words.") == [("paragraph", "Words.")]


def test_no_prose_goes_with_a_tag_that_is_never_closed() -> None:
    assert texts("## Part {#part}\n\nOpen {{ here.\n\nKept #} and }} shut.\n{: .lead}") == [
        ("heading", "Part"),
        ("paragraph", "Open {{ here."),
        ("paragraph", "Kept #} and }} shut."),
    ]


def test_shortcodes_in_code_stay() -> None:
    markdown = "Use `{{< img >}}` so:\n\n```go\n{{< img >}} {% raw %}\n```\n"
    assert texts(markdown) == [("paragraph", "Use `{{< img >}}` so:"), ("code", "{{< img >}} {% raw %}")]


def test_liquid_and_mdx() -> None:
    assert texts("{% highlight ruby %}\nputs 1\n{% endhighlight %}\n\nHi {{ site.name }}you.{% comment %}no{% endcomment %}") == [
        ("code", "puts 1"),
        ("paragraph", "Hi you."),
    ]
    mdx = 'import X from "./x"\nexport const meta = {\n  a: 1\n}\n\n<X value={1 + 2}>Inside.</X> {/* hidden */}\n\nText {value}.\n'
    assert texts(mdx, mdx=True) == [("paragraph", "Inside."), ("paragraph", "Text .")]
    assert texts("import is a word.\n\nexport it too.", mdx=True) == [("paragraph", "import is a word."), ("paragraph", "export it too.")]


def test_raw_html_in_markdown() -> None:
    assert texts('<div class="x">\n\n**Bold** text\n\n</div>\n\n<figure><img src="a" alt="b"><figcaption>Cap</figcaption></figure>') == [
        ("paragraph", "Bold text"),
        ("caption", "Cap"),
    ]


def test_a_tag_that_is_meant_literally_swallows_nothing() -> None:
    assert texts("The <script> tag is old.\n\nStill here.") == [("paragraph", "The <script> tag is old."), ("paragraph", "Still here.")]


FRAGMENTS = st.sampled_from(
    [
        "{{<",
        ">}}",
        "{{%",
        "%}}",
        "{%",
        "%}",
        "<div>",
        "</div>",
        "<script>",
        "```",
        "`",
        "\n\n",
        "> ",
        "- ",
        "1. ",
        "![a](b)",
        "[x]",
        "[^1]",
        "|",
        "---",
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.lists(FRAGMENTS | st.text(max_size=8), max_size=30).map("".join))
def test_any_text_is_read(text: str) -> None:
    try:
        document = read_markdown(text, mdx=True)
    except FrontMatterError:
        return
    assert all(block.text.strip() for block in document.blocks)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from(["word", "*em*", "<b>bold</b>", "<span class='x'>in</span>", '{{<img alt="a" >}}', "{{</notice>}}", "{% if x %}"]),
        min_size=1,
    )
)
def test_no_tag_is_left_in_prose(parts: list[str]) -> None:
    for block in markdown_blocks("\n\n".join(parts) + "\n\n" + " ".join(parts)):
        assert not TAGS.search(block.text), block


def test_a_real_blog_is_read_without_leftovers(test_data: Path) -> None:
    words = 0
    for file in sorted((test_data / "blog_mtlynch" / "content").rglob("*.md"))[::6]:
        for block in read_markdown(file.read_text("utf-8")).blocks:
            words += len(block.text.split())
            if block.type != "code":
                outside = re.sub(r"(`+).+?\1", "", block.text)
                assert not re.search(r"\{\{|\{%|</?[a-z][^>]*>", outside), (file, block)
    assert words > 60_000
