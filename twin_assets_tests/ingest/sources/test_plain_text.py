import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.files import UnreadableTextError
from twin_assets.ingest.posts import Block
from twin_assets.ingest.sources.plain_text import read_plain_text

ONE = (
    "The river was low that summer, and the stones in it were warm. We walked along the bank every evening until the light went, and "
    "nobody spoke much, because there was nothing that had to be said."
)
TWO = (
    "When the rain came at last it stayed for nine days. The path was gone by the third, and on the fifth the bridge went too. We sat "
    "in the kitchen and listened."
)


def blocks(text: str, suffix: str = ".txt") -> list[Block]:
    return list(read_plain_text(text.encode(), suffix).blocks)


def texts(text: str, suffix: str = ".txt") -> list[str]:
    return [block.text for block in blocks(text, suffix)]


@pytest.mark.parametrize("width", [50, 65, 72, 80, 100])
def test_hard_wrapped_lines_are_joined(width: int) -> None:
    wrapped = "\n\n".join(textwrap.fill(text, width) for text in (ONE, TWO, ONE + " " + TWO))
    assert texts(wrapped) == [ONE, TWO, f"{ONE} {TWO}"]


def test_lines_that_are_paragraphs() -> None:
    assert texts(f"{ONE}\n{TWO}\nAnd so on, for a while.") == [ONE, TWO, "And so on, for a while."]
    assert texts(f"{ONE}\r\n\r\n{TWO}") == [ONE, TWO]


def test_a_poem_keeps_its_lines() -> None:
    poem = "The stone is warm,\nthe river slow,\nand where it goes\nI do not know."
    assert texts(poem) == [poem]
    assert texts(f"{textwrap.fill(ONE, 72)}\n\n{poem}\n\n{textwrap.fill(TWO, 72)}") == [ONE, poem, TWO]


def test_paragraphs_by_indents() -> None:
    book = "".join(textwrap.fill(text, 60, initial_indent="    ") + "\n" for text in (ONE, TWO, ONE))
    assert texts(book) == [ONE, TWO, ONE]


def test_words_are_verbatim() -> None:
    assert texts("It’s “so” – naïve — 🙂.\n\nÉtude") == ["It’s “so” – naïve — 🙂.", "Étude"]


def test_text_without_blanks_is_joined_without_blanks() -> None:
    line = "川は低く石は温かかった夏の夕方ごとに岸を歩いた誰もあまり話さなかった言うべきことが何もなかったから"
    assert texts(f"{line}\n{line}\n終わり") == [f"{line}{line}終わり"]


@pytest.mark.parametrize(
    ("first", "title"),
    [
        ("The Low River", "The Low River"),
        ("Why do stones stay warm?", "Why do stones stay warm?"),
        ("The river was low.", None),
        ("Dear Max", None),
        ("Dear Max,", None),
        ("https://example.com/x", None),
        ("jane@example.com", None),
        ("- a list", None),
        ("a line in lower case", None),
        ("A long line " * 12, None),
        ("***", None),
    ],
)
def test_the_first_line_as_title(first: str, title: str | None) -> None:
    text = read_plain_text(f"{first}\n\n{ONE}".encode())
    assert text.title == title
    assert text.blocks[-1].text == ONE
    assert all(block.text != title for block in text.blocks)


def test_a_single_line_is_the_text_and_not_its_title() -> None:
    assert read_plain_text(b"The Low River").title is None


def test_lists_quotations_headings_and_rules() -> None:
    text = (
        "Intro here.\n\n* one\n* two that goes\n  on\n\n* three\n\n> Said\n> she.\n\nAfter\n-----\n\nMore.\n\n* * *\n\nEnd.\n\n1. a\n2. b"
    )
    assert [(block.type, block.text) for block in blocks(text)] == [
        ("paragraph", "Intro here."),
        ("list", "- one\n- two that goes on\n- three"),
        ("quote", "Said\nshe."),
        ("heading", "After"),
        ("paragraph", "More."),
        ("paragraph", "End."),
        ("list", "1. a\n2. b"),
    ]


def test_a_dash_in_dialogue_or_a_year_is_no_list() -> None:
    assert [block.type for block in blocks(f"1984 was warm.\n\n{textwrap.fill('In those days the year was ' + ONE, 72)}")] == [
        "paragraph"
    ] * 2


def test_other_encodings() -> None:
    assert read_plain_text("Naïve.".encode("utf-16")).blocks[0].text == "Naïve."
    assert read_plain_text(b"\xef\xbb\xbfWords.").blocks[0].text == "Words."
    old = read_plain_text("It’s a naïve “café”, and it was so for years.".encode("cp1252"))
    assert old.blocks[0].text == "It’s a naïve “café”, and it was so for years."
    assert "Windows-1252" in old.note
    assert read_plain_text(b"Words.").note == ""


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ("Привет, мир: река была низкой".encode("cp1251"), ".txt"),
        ("川は低く石は温かかった".encode("shift-jis"), ".txt"),
        ("café".encode("latin-1"), ".rst"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", ".txt"),
        (b"words\x00words", ".txt"),
    ],
)
def test_what_cannot_be_told_is_refused(content: bytes, suffix: str) -> None:
    with pytest.raises(UnreadableTextError):
        read_plain_text(content, suffix)


def test_org() -> None:
    text = read_plain_text(
        b"#+TITLE: The Low River\n#+AUTHOR: Jane Doe\n#+DATE: <2024-01-31 Wed>\n#+OPTIONS: toc:nil\n\n* TODO After the rain :notes:\n"
        b":PROPERTIES:\n:ID: 7\n:END:\nIt rained.\n\n#+BEGIN_SRC python\ndef f():\n\n    return 1\n#+END_SRC\n"
        b"#+begin_quote\nSaid she.\n#+end_quote\n** More\n- one\n- two",
        ".org",
    )
    assert (text.title, text.bylines, str(text.published_at)) == ("The Low River", ("Jane Doe",), "2024-01-31 00:00:00+00:00")
    assert [(block.type, block.text, block.language or block.level) for block in text.blocks] == [
        ("heading", "After the rain", 1),
        ("paragraph", "It rained.", None),
        ("code", "def f():\n\n    return 1", "python"),
        ("quote", "Said she.", None),
        ("heading", "More", 2),
        ("list", "- one\n- two", None),
    ]


def test_restructured_text() -> None:
    text = read_plain_text(
        b"=============\nThe Low River\n=============\n\n.. image:: x.png\n   :alt: x\n\nIt rained::\n\n    x = 1\n\n    y = 2\n\nAfter\n~~~~~\n\n"
        b".. code-block:: python\n\n   z = 3\n\nMore.",
        ".rst",
    )
    assert text.title == "The Low River"
    assert [(block.type, block.text) for block in text.blocks] == [
        ("paragraph", "It rained:"),
        ("code", "x = 1"),
        ("code", "y = 2"),
        ("heading", "After"),
        ("code", "z = 3"),
        ("paragraph", "More."),
    ]


@pytest.mark.parametrize("suffix", [".txt", ".org", ".rst"])
@given(
    content=st.one_of(
        st.binary(), st.text(alphabet="ab.:#+*-=> \n\t|_`0").map(str.encode), st.text().map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_any_bytes_are_read_or_refused(suffix: str, content: bytes) -> None:
    try:
        text = read_plain_text(content, suffix)
    except UnreadableTextError as error:
        assert str(error)
    else:
        assert all(block.text.strip() for block in text.blocks)


@given(
    st.lists(st.lists(st.from_regex(r"[a-z]{1,9}", fullmatch=True), min_size=30, max_size=60), min_size=2, max_size=5), st.integers(50, 90)
)
def test_no_word_is_lost_whatever_the_width(paragraphs: list[list[str]], width: int) -> None:
    text = "\n\n".join(textwrap.fill(" ".join(words), width) for words in paragraphs)
    assert " ".join(texts(text)).split() == [word for words in paragraphs for word in words]
