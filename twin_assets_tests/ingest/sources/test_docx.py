import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_assets.ingest.collect import collect
from twin_assets.ingest.files import UnreadableTextError
from twin_assets.ingest.posts import Block
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sources import docx as module
from twin_assets.ingest.sources.docx import read_docx
from twin_assets.ingest.web import Web
from twin_assets_tests.ingest.inputs import read

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
P = "http://schemas.openxmlformats.org/package/2006"
STYLES = {
    "Title": "Title",
    "Heading1": "heading 1",
    "Quote": "Quote",
    "IntenseQuote": "Intense Quote",
    "Code": "Source Code",
    "TOC1": "toc 1",
}
STYLES |= {"Caption": "caption"}


def paragraph(text: str, style: str = "", inside: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t xml:space='preserve'>{text}</w:t></w:r>{inside}</w:p>"


def parts_of(body: str, properties: str = "", more: Mapping[str, str] | None = None) -> dict[str, str | bytes]:
    styles = "".join(f'<w:style w:type="paragraph" w:styleId="{id}"><w:name w:val="{name}"/></w:style>' for id, name in STYLES.items())
    kinds = f'<Types xmlns="{P}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>'
    names = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" xmlns:cp="urn:cp"'
    links = "".join(
        f'<Relationship Id="{part}" Type="{R}/{part}" Target="{part}.xml"/>' for part in ("styles", "footnotes", "comments", "numbering")
    )
    return {
        "[Content_Types].xml": kinds,
        "_rels/.rels": f'<Relationships xmlns="{P}/relationships"><Relationship Id="d" Type="{R}/officeDocument" Target="word/document.xml"/>'
        "</Relationships>",
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{P}/relationships">{links}</Relationships>',
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
        "docProps/core.xml": f"<cp:coreProperties {names}>{properties}</cp:coreProperties>",
        **(more or {}),
    }


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return buffer.getvalue()


def document(body: str, properties: str = "", more: Mapping[str, str] | None = None) -> bytes:
    return packed(parts_of(body, properties, more))


def blocks(body: str, more: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    return [(block.type, block.text) for block in read_docx(document(body, more=more)).blocks]


def why(content: bytes) -> str:
    with pytest.raises(UnreadableTextError) as error:
        read_docx(content)
    return str(error.value)


def test_a_document_with_its_properties(tmp_path: Path) -> None:
    properties = (
        "<dc:title>Template 3</dc:title><dc:creator>Jane Doe</dc:creator><dcterms:created>2024-01-31T12:00:00Z</dcterms:created>"
        "<dcterms:modified>2024-02-01T12:00:00Z</dcterms:modified>"
    )
    body = paragraph("The River", "Title") + paragraph("It’s low – and warm.") + paragraph("After", "Heading1") + paragraph("It rained.")
    (tmp_path / "a.docx").write_bytes(document(body, properties))
    post = read(tmp_path / "a.docx")["a.docx"]
    assert (post.state, post.title, post.bylines, post.platform) == ("kept", "The River", ("Jane Doe",), "documents")
    assert (str(post.published_at), str(post.edited_at)) == ("2024-01-31 12:00:00+00:00", "2024-02-01 12:00:00+00:00")
    assert post.blocks == (
        Block("paragraph", "It’s low – and warm."),
        Block("heading", "After", level=1),
        Block("paragraph", "It rained."),
    )


def test_the_title_of_a_document_without_the_style() -> None:
    assert read_docx(document(paragraph("The River", "Heading1") + paragraph("x"))).title == "The River"
    assert read_docx(document(paragraph("x"), "<dc:title>The River</dc:title>")).title == "The River"
    assert read_docx(document(paragraph("x"), "<dc:title>river.docx</dc:title>")).title is None


def test_quotations_code_and_captions() -> None:
    body = paragraph("Said she.", "Quote") + paragraph("Said he.", "IntenseQuote") + paragraph("Mine.")
    body += paragraph("x = 1", "Code") + paragraph("  y = 2", "Code") + paragraph("The river in May.", "Caption")
    assert blocks(body) == [
        ("quote", "Said she.\n\nSaid he."),
        ("paragraph", "Mine."),
        ("code", "x = 1\n  y = 2"),
        ("caption", "The river in May."),
    ]


def test_a_table_of_contents_is_not_the_authors_prose() -> None:
    assert blocks(paragraph("After ........ 2", "TOC1") + paragraph("Mine.")) == [("paragraph", "Mine.")]


def test_lists_and_tables() -> None:
    number = '<w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>'
    items = "".join(f"<w:p>{number}<w:r><w:t>{text}</w:t></w:r></w:p>" for text in ("one", "two"))
    numbering = (
        f'<w:numbering {W}><w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num></w:numbering>'
    )
    row = "<w:tr>" + "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in "ab") + "</w:tr>"
    assert blocks(items + f"<w:tbl>{row}{row}</w:tbl>", {"word/numbering.xml": numbering}) == [
        ("list", "- one\n- two"),
        ("table", "a | b\na | b"),
    ]


def test_deletions_and_comments_are_not_taken_and_insertions_are() -> None:
    changes = '<w:del w:id="1" w:author="Editor"><w:r><w:delText> Gone.</w:delText></w:r></w:del>'
    changes += '<w:ins w:id="2" w:author="Jane"><w:r><w:t> New.</w:t></w:r></w:ins>'
    changes += '<w:commentRangeStart w:id="3"/><w:r><w:commentReference w:id="3"/></w:r>'
    comments = f'<w:comments {W}><w:comment w:id="3" w:initials="E">{paragraph("A secret remark.")}</w:comment></w:comments>'
    assert blocks(paragraph("Old.", inside=changes), {"word/comments.xml": comments}) == [("paragraph", "Old. New.")]


def test_footnotes_are_read_without_their_marks() -> None:
    notes = f'<w:footnotes {W}><w:footnote w:id="2">{paragraph("As she used to say.")}</w:footnote></w:footnotes>'
    found = blocks(
        paragraph("The river.", inside='<w:r><w:footnoteReference w:id="2"/></w:r>') + paragraph("Next."), {"word/footnotes.xml": notes}
    )
    assert found == [("paragraph", "The river."), ("paragraph", "Next."), ("list", "1. As she used to say.")]


def test_pictures_are_not_opened() -> None:
    a = "http://schemas.openxmlformats.org/drawingml/2006"
    picture = (
        f'<w:r><w:drawing><wp:inline xmlns:wp="{a}/wordprocessingDrawing"><wp:docPr id="1" name="x" descr="A picture containing water"/>'
        f'<a:graphic xmlns:a="{a}/main"><a:graphicData><pic:pic xmlns:pic="{a}/picture"><pic:blipFill><a:blip r:embed="i" xmlns:r="{R}"/>'
        "</pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>"
    )
    more = {
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{P}/relationships"><Relationship Id="i" Type="{R}/image" '
        'Target="file:///etc/passwd" TargetMode="External"/></Relationships>'
    }
    assert blocks(paragraph("Words.", inside=picture), more) == [("paragraph", "Words.")]


def test_entities_that_grow_are_an_attack() -> None:
    body = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    parts = parts_of(paragraph("x"))
    assert "an attack" in why(packed(parts | {"word/document.xml": body + str(parts["word/document.xml"]).replace(">x<", ">&b;<")}))
    sixteen = ('<?xml version="1.0" encoding="utf-16"?>' + body + str(parts["word/document.xml"])).encode("utf-16")
    assert "an attack" in why(packed(parts | {"word/document.xml": sixteen}))


def test_bombs_are_refused_before_they_are_read() -> None:
    assert "a bomb" in why(document(paragraph("x" * (30 * 2**20))))
    buffer = io.BytesIO(document(paragraph("x")))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("word/footnotes.xml", "x" * 1000)
    assert "packed by a method" in why(buffer.getvalue())


def test_more_text_than_a_document_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_XML_BYTES", 1000)
    assert "save it in parts" in why(document(paragraph("x" * 1000)))


def test_fields_that_are_opened_and_never_closed() -> None:
    assert "more fields" in why(document("<w:p>" + '<w:r><w:fldChar w:fldCharType="begin"/></w:r>' * 20_001 + "</w:p>"))


def test_deeply_nested_xml() -> None:
    assert "broken DOCX" in why(document("<w:sdt>" * 20_000 + "</w:sdt>" * 20_000))


def test_a_style_map_inside_of_the_document_is_not_obeyed() -> None:
    assert blocks(paragraph("Words."), {"mammoth/style-map": "p => h1"}) == [("paragraph", "Words.")]


def test_old_locked_and_foreign_documents_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1old")
    (tmp_path / "locked.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1locked")
    (tmp_path / "text.docx").write_bytes(b"no ZIP")
    (tmp_path / "sheet.docx").write_bytes(packed({"xl/workbook.xml": "<x/>"}))
    (tmp_path / "letter.odt").write_bytes(b"x")
    (tmp_path / "fine.docx").write_bytes(document(paragraph("Words.")))
    (tmp_path / "~$fine.docx").write_bytes(b"lock")
    source = open_source(str(tmp_path), Web())
    posts = {post.origin: post for post in collect(source)}
    assert {name: post.state for name, post in posts.items()} == {
        "old.doc": "unreadable",
        "locked.docx": "unreadable",
        "text.docx": "unreadable",
        "sheet.docx": "unreadable",
        "letter.odt": "unreadable",
        "fine.docx": "kept",
        "~$fine.docx": "empty",
    }
    assert "save it as DOCX" in posts["old.doc"].reason
    assert "password" in posts["locked.docx"].reason


def test_a_single_old_document_is_named_and_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "old.doc").write_bytes(b"x")
    assert read(tmp_path / "old.doc")["old.doc"].state == "unreadable"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(UnreadableTextError):
        read_docx(content)


TAGS = [
    "w:p",
    "w:r",
    "w:t",
    "w:pPr",
    "w:pStyle",
    "w:numPr",
    "w:ilvl",
    "w:numId",
    "w:tbl",
    "w:tr",
    "w:tc",
    "w:hyperlink",
    "w:fldChar",
    "w:sym",
]
TAGS += ["w:footnoteReference", "w:instrText", "w:tcPr", "w:gridSpan", "w:vMerge", "w:br", "w:sdt", "w:drawing", "w:bookmarkStart", "w:tab"]
element = st.recursive(
    st.sampled_from(["", "words", " HYPERLINK "]),
    lambda inside: st.builds(
        lambda tag, value, children: f"<{tag}{value}>{''.join(children)}</{tag}>",
        st.sampled_from(TAGS),
        st.sampled_from(["", ' w:val="1"', ' w:val="x"', ' w:val=""', ' w:id="9"', ' w:fldCharType="end"', ' w:fldCharType="begin"']),
        st.lists(inside, max_size=3),
    ),
    max_leaves=20,
)


@settings(max_examples=250, deadline=None)
@given(element)
def test_any_document_is_read_or_refused(body: str) -> None:
    try:
        text = read_docx(document(body))
    except UnreadableTextError as error:
        assert "broken" in str(error)
    else:
        assert all(block.text for block in text.blocks)
