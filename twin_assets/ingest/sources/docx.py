"""DOCX, the format of Word, LibreOffice, Pages and Google Docs: what stands in the text, without comments and tracked deletions."""

import io
import re
import zipfile
from datetime import datetime
from xml.parsers.expat import ExpatError

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Archive, UnreadableTextError
from twin_assets.ingest.html import parse
from twin_assets.ingest.posts import Block, parse_date
from twin_assets.ingest.texts import Text, persons, sane_title, titled_blocks

MAX_XML_BYTES = 24 * 1024 * 1024
"""Of all parts that hold text; a novel has five. The tree of it takes forty times as much memory."""
_MAX_FIELDS = 20_000
"""Marks of fields such as citations; mammoth's time grows with the square of those that are left open."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TEXT_PARTS = re.compile(
    r"^(\[Content_Types\]\.xml|(word/)?_rels/[^/]*\.rels|word/(document|styles|numbering|footnotes|endnotes)\d*\.xml|docProps/core\.xml)$",
    re.I,
)
_DECLARATION = re.compile(rb"<!(DOCTYPE|ENTITY)", re.I)
_STYLES = """
p[style-name='Title'] => h1.title:fresh
p[style-name='Subtitle'] => p.subtitle:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='Quotations'] => blockquote > p:fresh
p[style-name='Block Text'] => blockquote > p:fresh
p[style-name='Block Quotation'] => blockquote > p:fresh
p[style-name='Caption'] => figcaption:fresh
p[style-name='caption'] => figcaption:fresh
p[style-name='Image Caption'] => figcaption:fresh
p[style-name='Table Caption'] => figcaption:fresh
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Preformatted Text'] => pre:separator('\\n')
p[style-name='macro'] => pre:separator('\\n')
p[style-name^='toc '] => !
p[style-name^='TOC '] => !
p[style-name='table of figures'] => !
p[style-name='header'] => !
p[style-name='footer'] => !
"""
_NOTE_MARKS = "sup a[href^='#footnote-'], sup a[href^='#endnote-'], a[href^='#footnote-ref-'], a[href^='#endnote-ref-']"


def read_docx(content: bytes) -> Text:
    """Reads a document.

    Title, author and dates come out of its core properties (ECMA-376 part 2, 8); a paragraph in the style Title goes before.

    Raises:
        UnreadableTextError: When it is none, encrypted, broken, or a bomb.
    """
    if content.startswith(_OLE):
        raise UnreadableTextError(
            "locked with a password, or an old .doc under a new name: open it in Word or LibreOffice and save it as DOCX"
        )
    parts = _parts(content)
    title, blocks = _body(_html(parts))
    properties = _properties(parts)
    created, modified = parse_date(properties.get("created", "")), parse_date(properties.get("modified", ""))
    return Text(
        blocks=tuple(blocks),
        title=title or sane_title(properties.get("title", "")),
        bylines=persons(properties.get("creator", "")),
        published_at=created,
        edited_at=_later(modified, created),
    )


def _parts(content: bytes) -> dict[str, bytes]:
    """The parts that hold text, each within the limits of any archive; none that could make an XML parser work for ever."""
    try:
        archive = Archive("document", io.BytesIO(content))
    except SourceError as error:
        raise UnreadableTextError("no DOCX, or a broken one: open it in Word or LibreOffice and save it again") from error
    parts: dict[str, bytes] = {}
    for name in archive.names:
        if _TEXT_PARTS.match(name):
            parts[name] = archive.read(name)
            if _DECLARATION.search(parts[name].replace(b"\x00", b"")):
                raise UnreadableTextError("it declares XML entities, which no document needs: an attack")
            if parts[name].count(b"fldChar") > _MAX_FIELDS:
                raise UnreadableTextError("more fields than a document has: save it in parts")
        if sum(map(len, parts.values())) > MAX_XML_BYTES:
            raise UnreadableTextError(f"more than {MAX_XML_BYTES // 2**20} MB of text: save it in parts")
    return parts


def _html(parts: dict[str, bytes]) -> str:
    import mammoth

    checked = io.BytesIO()
    with zipfile.ZipFile(checked, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    try:
        return mammoth.convert_to_html(
            checked, style_map=_STYLES, include_embedded_style_map=False, convert_image=lambda image: [], external_file_access=False
        ).value
    except (ExpatError, zipfile.BadZipFile, LookupError, ValueError, AttributeError, TypeError, OSError, RecursionError) as error:
        raise UnreadableTextError(f"a broken DOCX ({type(error).__name__}): open it in Word or LibreOffice and save it again") from error


def _body(html: str) -> tuple[str | None, list[Block]]:
    body = parse(html).body
    if body is None:
        return None, []
    for mark in body.css(_NOTE_MARKS):
        mark.decompose()
    return titled_blocks(body, "h1.title")


def _properties(parts: dict[str, bytes]) -> dict[str, str]:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        tree = fromstring(parts.get("docProps/core.xml", b"<none/>"))
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return {}
    return {node.tag.rpartition("}")[2]: node.text or "" for node in tree}


def _later(modified: datetime | None, created: datetime | None) -> datetime | None:
    return modified if modified and (created is None or modified > created) else None
