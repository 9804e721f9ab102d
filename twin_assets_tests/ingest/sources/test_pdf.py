import shutil
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdfminer.fontmetrics import FONT_METRICS

from twin_assets.ingest.files import UnreadableTextError
from twin_assets.ingest.pdf_layout import Word, read_pages
from twin_assets.ingest.posts import Block
from twin_assets.ingest.sources import pdf as module
from twin_assets.ingest.sources.pdf import parse_pdf_date, read_pdf
from twin_assets.ingest.texts import persons, sane_title
from twin_assets_tests.ingest.inputs import read

FONTS = {"F1": "Helvetica", "F2": "Helvetica-Bold", "F3": "Courier"}
Run = tuple[float, float, float, str, str]
"""From the left, from the top, size, font, text."""

PROSE = (
    "The river was low that summer and the stones in it were warm. We walked along the bank every evening until the light went. "
    "Nobody spoke much, because there was nothing that had to be said. My brother threw flat stones and counted how often they jumped."
)
MORE = (
    "When the rain came at last it stayed for nine days. The path was gone by the third, and on the fifth the bridge went too. "
    "We sat in the kitchen and listened to it, and my mother baked whatever could be baked out of what was left in the house."
)


def width(text: str, size: float, font: str = "F1") -> float:
    letters = FONT_METRICS[FONTS[font]][1]
    return sum(letters.get(letter, 500) for letter in text) * size / 1000


def wrapped(text: str, measure: float, size: float, font: str = "F1") -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if width(longer, size, font) > measure and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def placed(
    text: str | Sequence[str],
    top: float,
    *,
    left: float = 72,
    measure: float = 450,
    size: float = 11,
    font: str = "F1",
    indent: float = 0,
    lead: float = 1.25,
) -> list[Run]:
    lines = wrapped(text, measure, size, font) if isinstance(text, str) else list(text)
    return [(left + (indent if n == 0 else 0), top + n * size * lead, size, font, line) for n, line in enumerate(lines)]


def below(runs: Sequence[Run]) -> float:
    return runs[-1][1] + runs[-1][2] * 1.25


def escaped(text: str) -> bytes:
    return text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def written(pages: Sequence[Sequence[Run]], info: dict[str, str] | None = None, *, picture: bool = False, trailer: bytes = b"") -> bytes:
    """A small PDF: text in fonts that every reader has, or a picture on each page."""
    fonts = b" ".join(
        b"/%s << /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>" % (key.encode(), name.encode())
        for key, name in FONTS.items()
    )
    resources = b"<< /Font << %s >> /XObject << /I 4 0 R >> >>" % fonts
    image = b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray /Length 1 >>"
    kids = b" ".join(b"%d 0 R" % (5 + 2 * n) for n in range(len(pages)))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages))]
    objects += [b"<< %s >>" % b" ".join(b"/%s (%s)" % (name.encode(), escaped(value)) for name, value in (info or {}).items())]
    objects += [image + b"\nstream\nx\nendstream"]
    for n, runs in enumerate(pages):
        objects += [b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources %s /Contents %d 0 R >>" % (resources, 6 + 2 * n)]
        text = [b"BT /%s %f Tf %f %f Td (%s) Tj ET" % (f.encode(), s, x, 842 - top - s, escaped(t)) for x, top, s, f, t in runs]
        content = b"\n".join(text + [b"q 595 0 0 842 0 0 cm /I Do Q"] * picture)
        objects += [b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)]
    out, places = b"%PDF-1.4\n", []
    for number, thing in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, thing)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    root = b"<< /Size %d /Root 1 0 R /Info 3 0 R %s >>" % (len(objects) + 1, trailer)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n%s\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table, root, len(out))


def words_on(runs: Sequence[Run]) -> list[Word]:
    """What the reader of PDFs makes of a page, without a PDF."""
    found = []
    for x, top, size, font, text in runs:
        for word in text.split(" "):
            if word:
                found.append(Word(word, x, x + width(word, size, font), top, top + size, size, FONTS[font]))
            x += width(word + " ", size, font)
    return found


def laid_out(*pages: Sequence[Run]) -> list[Block]:
    return list(read_pages([words_on(page) for page in pages]).blocks)


def texts(*pages: Sequence[Run]) -> list[str]:
    return [block.text for block in laid_out(*pages)]


def test_a_document_from_its_bytes(tmp_path: Path) -> None:
    title = placed("The Low River", 80, size=22, font="F2")
    one = placed(PROSE, below(title) + 20)
    heading = placed("After the rain", below(one) + 14, size=14, font="F2")
    two = placed(MORE, below(heading) + 8)
    info = {
        "Title": "Microsoft Word - river.docx",
        "Author": "Jane Doe",
        "CreationDate": "D:20240131120000+01'00'",
        "ModDate": "D:20240302000000Z",
    }
    (tmp_path / "river.pdf").write_bytes(written([title + one, heading + two], info))
    post = read(tmp_path / "river.pdf")["river.pdf"]
    assert (post.state, post.title, post.bylines, post.platform) == ("kept", "The Low River", ("Jane Doe",), "documents")
    assert [(block.type, block.text, block.page) for block in post.blocks] == [
        ("paragraph", PROSE, 1),
        ("heading", "After the rain", 2),
        ("paragraph", MORE, 2),
    ]
    assert str(post.published_at) == "2024-01-31 11:00:00+00:00"
    assert str(post.edited_at) == "2024-03-02 00:00:00+00:00"


def test_the_same_without_a_title_on_the_page() -> None:
    assert read_pdf(written([placed(PROSE, 80)], {"Title": "The Low River"})).title == "The Low River"
    assert read_pdf(written([placed(PROSE, 80)], {"Title": "river.indd"})).title is None


def test_paragraphs_by_gaps() -> None:
    one = placed(PROSE, 80)
    assert texts(one + placed(MORE, below(one) + 10)) == [PROSE, MORE]


def test_paragraphs_by_indents() -> None:
    one = placed(PROSE + " It was so.", 80)
    two = placed(MORE, below(one), indent=16, measure=440)
    three = placed(PROSE, below(two), indent=16, measure=440)
    assert texts(one + two + three) == [PROSE + " It was so.", MORE, PROSE]


def test_paragraphs_by_a_line_that_ends_early() -> None:
    one = placed("Short beginning, and no more of it. " + PROSE, 80)
    assert one[-1][4] != ""
    two = placed(MORE, below(one))
    assert texts(one + two) == ["Short beginning, and no more of it. " + PROSE, MORE]


def test_a_paragraph_goes_on_over_the_page() -> None:
    lines = placed(f"{PROSE} {MORE} {PROSE}", 80)
    upper = lines[:5]
    lower = [(x, top - 70, size, font, text) for x, top, size, font, text in lines[5:]]
    (block,) = laid_out(upper, lower)
    assert (block.text, block.page) == (f"{PROSE} {MORE} {PROSE}", 1)


def test_headers_footers_and_page_numbers_go() -> None:
    pages = []
    for n in range(1, 7):
        header = placed("Jane Doe    The Low River" if n % 2 else "Chapter One", 40, size=9)
        footer = placed(f"Page {n} of 6", 800, left=280, size=9)
        pages.append(header + placed([f"Line {n} of the text that differs.", PROSE[: 60 + n]], 80) + footer)
    found = " ".join(texts(*pages))
    assert "Page" not in found
    assert "Chapter One" not in found
    assert "Jane Doe" not in found
    assert all(f"Line {n} of" in found for n in range(1, 7))


def test_a_page_number_alone_on_the_only_page() -> None:
    assert texts(placed(PROSE, 80) + placed("- 1 -", 800, left=290)) == [PROSE]
    assert texts(placed(PROSE, 80) + placed("1984 was the year.", 800)) == [PROSE, "1984 was the year."]


def test_what_repeats_in_the_middle_of_pages_stays() -> None:
    pages = [placed([f"First {n} line.", "Second.", "So it goes.", "Fourth.", f"Last {n} line."], 80, lead=2) for n in "abcd"]
    assert Counter(" ".join(texts(*pages)).split())["goes."] == 4


def test_a_parted_word_is_put_together() -> None:
    assert texts(placed(["We went down to the little har-", "bour and came back."], 80)) == [
        "We went down to the little harbour and came back."
    ]
    assert texts(placed(["We went down to the har\u00ad", "bour."], 80)) == ["We went down to the harbour."]


def test_a_real_hyphen_is_kept() -> None:
    lines = [
        "A well-known path, and a slow-moving river: it was a slow-",
        "moving one, by which a well-",
        "known man lived with his self-",
        "made boat.",
    ]
    assert texts(placed(lines, 80)) == [
        "A well-known path, and a slow-moving river: it was a slow-moving one, by which a well-known man lived with his self-made boat."
    ]
    assert texts(placed(["It was an Anglo-", "Saxon word, in 1914-", "1918."], 80)) == ["It was an Anglo-Saxon word, in 1914-1918."]


def test_two_columns_are_read_one_after_the_other() -> None:
    title = placed("A title over both of the columns", 60, size=20, left=120)
    left = placed(f"{PROSE} {PROSE}", 110, measure=200)
    right = placed(f"{MORE} {MORE}", 110, left=310, measure=200)
    layout = read_pages([words_on(title + right + left)])
    assert layout.title == "A title over both of the columns"
    assert [block.text for block in layout.blocks] == [f"{PROSE} {PROSE}", f"{MORE} {MORE}"]


def test_columns_on_different_heights() -> None:
    left = placed(f"{PROSE} {PROSE}", 110, measure=200)
    right = placed(f"{MORE} {MORE}", 115.5, left=310, measure=200)
    assert texts(left + right) == [f"{PROSE} {PROSE}", f"{MORE} {MORE}"]


def test_a_list() -> None:
    intro = placed("What we took with us:", 80)
    items = placed(["• a rope", "• two knives and a", "  long spoon", "• bread"], below(intro), left=90)
    after = placed(PROSE, below(items) + 10)
    assert [(block.type, block.text) for block in laid_out(intro + items + after)] == [
        ("paragraph", "What we took with us:"),
        ("list", "- a rope\n- two knives and a long spoon\n- bread"),
        ("paragraph", PROSE),
    ]


def test_code_keeps_its_lines_and_indents() -> None:
    one = placed(PROSE, 80)
    code = [(72.0, below(one) + 10, 10.0, "F3", "def f(x):"), (72.0 + 24, below(one) + 22, 10.0, "F3", "return x")]
    blocks = laid_out(one + code)
    assert [(block.type, block.text) for block in blocks] == [("paragraph", PROSE), ("code", "def f(x):\n    return x")]


def test_a_manuscript_in_typewriter_letters_is_no_code() -> None:
    assert [block.type for block in laid_out(placed(PROSE, 80, font="F3", measure=400))] == ["paragraph"]


def test_footnotes_do_not_part_a_paragraph() -> None:
    lines = placed(PROSE, 80)
    note = placed("1 As my mother used to say.", 780, size=8)
    assert texts(lines[:2] + note, placed([line[4] for line in lines[2:]], 80)) == [PROSE, "1 As my mother used to say."]


def test_raised_numbers_of_notes_go() -> None:
    x = 72 + width("warm.", 11)
    line = [(72.0, 80.0, 11.0, "F1", "warm."), (x, 78.0, 6.5, "F1", "12"), (x + 10, 80.0, 11.0, "F1", "And then.")]
    assert texts(line) == ["warm. And then."]


def test_what_stands_in_from_both_margins_is_a_quotation() -> None:
    one = placed(PROSE, 80)
    quote = placed(MORE, below(one) + 10, left=110, measure=370)
    two = placed(PROSE, below(quote) + 10)
    assert [block.type for block in laid_out(one + quote + two)] == ["paragraph", "quote", "paragraph"]


def test_a_table_is_not_prose() -> None:
    one = placed(PROSE, 80)
    rows = [(x, below(one) + 20 + 14 * n, 11.0, "F1", f"{text}{n}") for n in range(3) for x, text in ((72, "a"), (220, "b"), (380, "c"))]
    assert [(block.type, block.text) for block in laid_out(one + rows)][1] == ("table", "a0 | b0 | c0\na1 | b1 | c1\na2 | b2 | c2")


def test_bold_lines_are_headings_and_bold_paragraphs_are_not() -> None:
    heading = placed("The bridge", 80, font="F2")
    one = placed(PROSE, below(heading) + 6)
    loud = placed(MORE, below(one) + 8, font="F2")
    assert [block.type for block in laid_out(heading + one + loud, one)] == ["heading", "paragraph", "paragraph", "paragraph"]


def test_letters_printed_twice_to_look_bold_are_read_once() -> None:
    one = placed(PROSE, 80)
    again = [(x + 0.3, top, size, font, text) for x, top, size, font, text in one[:2]]
    assert read_pdf(written([one + again])).blocks[0].text == PROSE


def test_a_compound_of_words_that_are_known_keeps_its_hyphen() -> None:
    lines = ["The mouse was happy.", "Now it is a mouse-", "happy place, and some-", "thing else."]
    assert texts(placed(" ".join(lines[:1]), 80) + placed(lines[1:], 110))[-1] == "Now it is a mouse-happy place, and something else."


def test_several_headings_in_a_row() -> None:
    runs: list[Run] = []
    for n, text in enumerate(["One", "Two", "Three", "Four", "Five"]):
        runs += placed(text, 80 + 40 * n, size=15)
    assert [block.type for block in laid_out(runs, placed(PROSE, 80))] == ["heading"] * 5 + ["paragraph"]


def test_a_scanned_document_says_so() -> None:
    with pytest.raises(UnreadableTextError, match=r"^scanned: "):
        read_pdf(written([[], [(72, 800, 8, "F1", "Scan 7")]], picture=True))


def test_pictures_with_text_are_no_scan() -> None:
    assert read_pdf(written([placed(PROSE, 80)], picture=True)).blocks[0].text == PROSE


def test_a_document_without_any_text_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(written([[]]))
    assert read(tmp_path / "a.pdf")["a.pdf"].state == "empty"


def test_an_encrypted_document_says_so() -> None:
    secret = b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
    locked = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"11" * 32, b"22" * 32)
    with pytest.raises(UnreadableTextError, match=r"^encrypted: "):
        read_pdf(written([placed(PROSE, 80)], trailer=secret + locked))


def test_a_broken_document_is_one_unreadable_post_among_others(tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing of it is true")
    (tmp_path / "named.pdf").write_bytes(b"MZ not at all")
    (tmp_path / "fine.pdf").write_bytes(written([placed(PROSE, 80)]))
    posts = read(tmp_path)
    assert {name: post.state for name, post in posts.items()} == {"broken.pdf": "unreadable", "named.pdf": "unreadable", "fine.pdf": "kept"}
    assert "no PDF" in posts["named.pdf"].reason
    assert posts["broken.pdf"].key == "broken.pdf"


def test_a_document_that_goes_on_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", ContextVar("seconds", default=0.01))
    with pytest.raises(UnreadableTextError, match="takes longer"):
        read_pdf(written([placed(PROSE, 80)]))


def test_more_pages_than_a_book_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 2)
    with pytest.raises(UnreadableTextError, match="more than 2 pages"):
        module._read(written([[], [], []]))


def test_a_page_that_unpacks_to_more_than_any_text_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", ContextVar("seconds", default=4))
    bomb = zlib.compress(zlib.compress(b"\x00" * 2**28, 9), 9)
    content = written([placed(PROSE, 80)])
    start = content.index(b"<< /Length", content.index(b"6 0 obj"))
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(bomb), bomb)
    with pytest.raises(UnreadableTextError, match=r"takes longer|memory"):
        read_pdf(content[:start] + stream + content[content.index(b"endstream", start) + 9 :])


def test_a_process_that_dies_is_an_unreadable_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(UnreadableTextError, match="broken PDF"):
        read_pdf(written([[]]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=6)), max_size=5))
def test_any_damage_is_read_or_refused(damage: list[tuple[int, bytes]]) -> None:
    content = bytearray(written([placed(PROSE, 80)], {"Title": "T", "Author": "Jane Doe"}))
    for place, change in damage:
        content[place % len(content) : place % len(content) + len(change)] = change
    try:
        answer = module._read(bytes(content))
    except UnreadableTextError as error:
        assert str(error)
    except Exception:
        return  # the process ends with it, which makes the document unreadable
    else:
        assert isinstance(answer["blocks"], list)


number = st.floats(0, 800, allow_nan=False)
words = st.builds(
    lambda text, x, y, wide, size, font: Word(text, x, x + wide, y, y + size, size, font),
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8),
    number,
    number,
    st.floats(0, 100) | st.just(1e-12),
    st.floats(0.1, 40),
    st.sampled_from(["Helvetica", "Courier", "Arial-BoldMT"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(words, max_size=25), max_size=4))
def test_words_anywhere_are_laid_out(pages: list[list[Word]]) -> None:
    layout = read_pages(pages)
    assert all(block.text for block in layout.blocks)
    assert all(block.page is None or 1 <= block.page <= len(pages) for block in layout.blocks)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("Jane Doe", ("Jane Doe",)),
        ("Doe, Jane", ("Jane Doe",)),
        ("Jane van der Doe; José Ñandú", ("Jane van der Doe", "José Ñandú")),
        ("Jane Doe and Max O'Neil", ("Jane Doe", "Max O'Neil")),
        ("J. R. Doe-Smith", ("J. R. Doe-Smith",)),
        ("山田太郎", ("山田太郎",)),
        ("jdoe", ()),
        ("jane doe", ()),
        ("Microsoft Office User", ()),
        ("python-docx", ()),
        ("Example Press GmbH", ()),
        ("User 1", ()),
        ("", ()),
        ("Jane Doe, Admin", ()),
    ],
)
def test_an_author_is_one_who_looks_like_a_person(value: str, names: tuple[str, ...]) -> None:
    assert persons(value) == names


@pytest.mark.parametrize("title", ["Microsoft Word - x", "untitled", "Untitled-1", "report.docx", "Document1", "", "  ", "...", "x" * 400])
def test_titles_that_programs_make_up(title: str) -> None:
    assert sane_title(title) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("D:20240131120000+01'00'", "2024-01-31 11:00:00+00:00"),
        ("D:20240131120000Z", "2024-01-31 12:00:00+00:00"),
        ("D:2024", "2024-01-01 00:00:00+00:00"),
        ("20240131", "2024-01-31 00:00:00+00:00"),
        ("D:20241399", "None"),
        ("yesterday", "None"),
        ("D:00010101000000+23'59'", "None"),
    ],
)
def test_dates(value: str, expected: str) -> None:
    assert str(parse_pdf_date(value)) == expected


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium to print with")
def test_what_a_browser_prints(tmp_path: Path) -> None:
    paragraphs = "".join(f"<p>{text} Number {n}.</p>" for n, text in enumerate([PROSE, MORE] * 12))
    style = "body{font:12pt serif;hyphens:auto;text-align:justify} h2{font-size:16pt}"
    html = f"<html lang=en><style>{style}</style><title>x</title><h1>The Low River</h1>{paragraphs}<h2>The end</h2><ul><li>one<li>two</ul>"
    (tmp_path / "page.html").write_text(html)
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--print-to-pdf=page.pdf"]
    subprocess.run([*command, "page.html"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    text = read_pdf((tmp_path / "page.pdf").read_bytes())
    assert text.title == "The Low River"
    assert [block.text for block in text.blocks] == [
        *(f"{prose} Number {n}." for n, prose in enumerate([PROSE, MORE] * 12)),
        "The end",
        "one",  # the signs before them are drawn, not written
        "two",
    ]
    assert {block.page for block in text.blocks} >= {1, 2}
