import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.posts import Block
from twin_assets.ingest.wrapped import emphasis_off, wrapped_blocks


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("a **bold** word", "a bold word"),
        ("we are**unfamiliar** with it", "we are unfamiliar with it"),
        ("the **Food** , the **Drinks** .", "the Food, the Drinks."),
        ("known**** to be", "known to be"),
        ("_More**details** here_", "More details here"),
        ("_**Why?**_", "Why?"),
        ("the end”**_****_free course_", "the end” free course"),
        ("10*attack + 2*health", "10*attack + 2*health"),
        ("weight_decay and __init__ stay", "weight_decay and __init__ stay"),
        ("`a ** b` and `_x_`", "`a ** b` and `_x_`"),
        ("_using `x` here_", "using `x` here"),
        ("1\\. First \\- second", "1. First - second"),
        ("<b> & {{ x }}", "<b> & {{ x }}"),
    ],
)
def test_marks_of_emphasis_go_and_words_stay(marked: str, plain: str) -> None:
    assert emphasis_off(marked) == plain


def test_lines_are_joined_and_paragraphs_kept() -> None:
    text = "It’s a fine-\ntuned model — pre-\nand post-training\nincluded.\n\nA line  \nbroken by hand.  \n  \nAnother\nparagraph."
    assert [block.text for block in wrapped_blocks(text)] == [
        "It’s a fine-tuned model — pre- and post-training included.",
        "A line\nbroken by hand.",
        "Another paragraph.",
    ]


def test_every_kind_of_block() -> None:
    text = (
        "# A title that goes\non\n\n  * one\n\n    * nested **two**\n\n  * * * *\n\n  1. three\n\n    \n    \n    def f():\n    \n        "
        "return 1\n\n"
        "> quoted\n> words\n>\n> and more\n\n* * *\n\n| a| b\n---|---\nc| d\n\nEnd."
    )
    assert wrapped_blocks(text) == [
        Block("heading", "A title that goes on", level=1),
        Block("list", "- one\n  - nested two\n1. three"),
        Block("code", "def f():\n\n    return 1"),
        Block("quote", "quoted words\n\nand more"),
        Block("table", "| a| b\nc| d"),
        Block("paragraph", "End."),
    ]


@given(st.text("ab*_`#>|-. 1\n\\", max_size=300))
def test_any_text_is_survived(text: str) -> None:
    assert all(block.text.strip() for block in wrapped_blocks(text))


@pytest.mark.parametrize("piece", ["_", "*", "`", "> ", "``` ", "# ", "  * ", "a_", "-\n", "** "])
def test_hostile_repetition_takes_linear_time(piece: str) -> None:
    wrapped_blocks(piece * 50_000)
