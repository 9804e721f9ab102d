import io
import zipfile
from pathlib import Path

import pytest

from twin_assets.ingest.collect import collect
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sources.documents import Documents, from_files
from twin_assets.ingest.sources.google_docs import is_google_doc, read_google_doc
from twin_assets.ingest.web import Web
from twin_assets_tests.ingest.inputs import read, write
from twin_assets_tests.ingest.sources.test_docx import document, paragraph
from twin_assets_tests.ingest.sources.test_pdf import PROSE, placed, written

GOOGLE = (
    '<html><head><meta content="text/html; charset=UTF-8" http-equiv="content-type"><style type="text/css">'
    "@import url('https://themes.googleusercontent.com/fonts/css?kit=x');.lst-kix_a-0{x:y}</style></head>"
    '<body class="c5 doc-content"><p class="c2 title" id="h.1"><span>The Low River</span></p>'
    '<p class="c1"><span>It was low, as </span><span><a href="https://www.google.com/url?q=https://me.example/a%3Fb%3D1&amp;sa=D">I wrote</a>'
    '</span><span>.</span><sup><a href="#ftnt1" id="ftnt_ref1">[1]</a></sup><sup><a href="#cmnt1" id="cmnt_ref1">[a]</a></sup></p>'
    '<h2 id="h.2">After</h2><p><a href="https://www.google.com/url?q=https://me.example/x&amp;sa=D">'
    "https://www.google.com/url?q=https://me.example/x&amp;sa=D</a></p><ul class='lst-kix_a-0'><li>one</li></ul>"
    '<hr><div><p><a href="#ftnt_ref1" id="ftnt1">[1]</a><span> As she said.</span></p></div>'
    '<div style="border:1px solid black"><p><a href="#cmnt_ref1" id="cmnt1">[a]</a><span>A remark by an editor.</span></p></div>'
    "</body></html>"
)


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


MIXED = {
    "essays/river.pdf": written([placed(PROSE, 80)]),
    "essays/rain.docx": document(paragraph("It rained for nine days.")),
    "2021-03-04 bridge.txt": b"The bridge went.",
    "old.txt": "The café was closed in those years, and nobody knew why.".encode("cp1252"),
    "table.xlsx": b"x",
    "photo.jpg": b"x",
    "README.md": b"x",
    "LICENSE.txt": b"x",
    "messages/a.txt": b"private",
    "broken.docx": b"x",
}


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_mixture_with_every_file_accounted_for(tmp_path: Path, kind: str) -> None:
    place = write(tmp_path / "x", MIXED) if kind == "folder" else zipped(tmp_path / "x.zip", MIXED)
    files = open_files(place)
    source = from_files(files)
    assert isinstance(source, Documents)
    posts = {post.origin: post for post in collect(source)}
    assert {name: post.state for name, post in posts.items()} == {
        "essays/river.pdf": "kept",
        "essays/rain.docx": "kept",
        "2021-03-04 bridge.txt": "kept",
        "old.txt": "kept",
        "table.xlsx": "empty",
        "photo.jpg": "empty",
        "README.md": "empty",
        "LICENSE.txt": "empty",
        "messages/a.txt": "empty",
        "broken.docx": "unreadable",
    }
    assert all(post.reason for post in posts.values() if post.state != "kept")
    assert "Windows-1252" in posts["old.txt"].reason
    assert str(posts["2021-03-04 bridge.txt"].published_at) == "2021-03-04 00:00:00+00:00"
    assert files.opened == {"essays/river.pdf", "essays/rain.docx", "2021-03-04 bridge.txt", "old.txt", "broken.docx"}
    assert type(open_source(str(place), Web())) is Documents


def test_a_folder_with_markdown_is_left_to_its_reader(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": b"Words.", "b.txt": b"Words."})
    assert from_files(open_files(tmp_path)) is None


def test_a_folder_of_pictures_is_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"a.jpg": b"x", "messages/a.txt": b"private"})
    with pytest.raises(SourceError, match="Nothing in"):
        open_source(str(tmp_path), Web())


def test_an_unreadable_document_keeps_the_key_of_its_text(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": b"Words.", "b.txt": b"More."})
    before = read(tmp_path)["a.txt"].key
    write(tmp_path, {"a.txt": b"\x00\x01"})
    after = read(tmp_path)["a.txt"]
    assert (after.key, after.state) == (before, "unreadable")


def test_a_huge_document_is_refused_without_being_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": b"Words."})
    with (tmp_path / "huge.pdf").open("wb") as file:
        file.truncate(100 * 2**20)
    files = open_files(tmp_path)
    source = from_files(files)
    assert source is not None
    assert {post.origin: post.reason for post in collect(source)}["huge.pdf"] == "larger than 64 MB"
    assert files.opened == {"a.txt"}


def test_one_document_of_each_kind(tmp_path: Path) -> None:
    write(
        tmp_path, {"a.txt": b"Words.", "b.PDF": MIXED["essays/river.pdf"], "c.docx": MIXED["essays/rain.docx"], "d.html": GOOGLE.encode()}
    )
    for name in ("a.txt", "b.PDF", "c.docx", "d.html"):
        assert read(tmp_path / name)[name].state == "kept"
        assert type(open_source(str(tmp_path / name), Web())) is Documents


def test_a_google_doc() -> None:
    assert is_google_doc(GOOGLE.encode())
    text = read_google_doc(GOOGLE.encode())
    assert text.title == "The Low River"
    assert [(block.type, block.text) for block in text.blocks] == [
        ("paragraph", "It was low, as I wrote."),
        ("heading", "After"),
        ("paragraph", "https://me.example/x"),
        ("list", "- one"),
        ("paragraph", "As she said."),
    ]


def test_only_a_google_doc_is_one(tmp_path: Path) -> None:
    page = b"<html><title>T</title><article><p>Words of a saved page.</p></article></html>"
    write(tmp_path, {"page.html": page})
    assert not is_google_doc(page)
    assert type(open_source(str(tmp_path / "page.html"), Web())) is not Documents


def test_a_takeout_is_read_in_its_drive_alone(tmp_path: Path) -> None:
    members = {
        "Takeout/Drive/The Low River.html": GOOGLE.encode().replace(b'class="c2 title"', b'class="c2"'),
        "Takeout/Drive/notes/rain.docx": document(paragraph("It rained.")),
        "Takeout/Drive/notes/rain-comments.html": b"<p>A remark by an editor.</p>",
        "Takeout/Drive/sheet.xlsx": b"x",
        "Takeout/Mail/All.mbox": b"private",
        "Takeout/My Activity/Search/MyActivity.html": b"private",
        "Takeout/archive_browser.html": b"x",
    }
    files = open_files(zipped(tmp_path / "takeout.zip", members))
    source = from_files(files)
    assert source is not None
    posts = {post.origin: post for post in collect(source)}
    assert [name for name, post in posts.items() if post.state == "kept"] == [
        "Takeout/Drive/The Low River.html",
        "Takeout/Drive/notes/rain.docx",
    ]
    assert len(posts) == len(members)
    assert posts["Takeout/Drive/The Low River.html"].title == "The Low River"
    assert files.opened == {"Takeout/Drive/The Low River.html", "Takeout/Drive/notes/rain.docx"}


def test_a_document_by_someone_else_is_foreign(tmp_path: Path) -> None:
    mine = "<dc:creator>Jane Doe</dc:creator>"
    files = {f"{n}.docx": document(paragraph(f"Words {n}."), mine) for n in "abc"}
    write(tmp_path, files | {"d.docx": document(paragraph("Other words."), "<dc:creator>Max Roe</dc:creator>")})
    write(tmp_path, {"e.docx": document(paragraph("More words."), "<dc:creator>python-docx</dc:creator>")})
    assert [post.state for post in read(tmp_path).values()] == ["kept", "kept", "kept", "foreign", "kept"]


def test_a_document_in_an_encrypted_zip(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "Words.")
        archive.writestr("b.txt", "More.")
    content = bytearray(buffer.getvalue())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    posts = read(tmp_path / "x.zip")
    assert [post.state for post in posts.values()] == ["unreadable", "kept"]
    assert "encrypted" in posts["a.txt"].reason


EXPORTED = [
    *("bookmarks/bookmarks-0001.html", "highlights-0001.html", "claps/a.html", "profile/profile.html", "ips/ips-0001.html"),
    *(
        "sessions/sessions-0001.html",
        "lists/My-list.html",
        "blocks/blocked-users-0001.html",
        "users-following/a.html",
        "interests/tags.html",
    ),
    *("security_and_login_information/a.html", "messages/inbox/bob_1/message_1.html", "your_search_history.html", "ads_information/a.html"),
    *("Location History/a.html", "Connections.txt", "Ad_Targeting.txt", "Search Queries.txt", "Phone Numbers.txt", "Email Addresses.txt"),
    *("email_list.txt", "subscribers.txt", "direct-messages.txt", "followers.html", "Billing.pdf", "payments/2024.pdf"),
]


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("name", EXPORTED)
def test_what_exports_call_private_is_never_opened(tmp_path: Path, name: str, kind: str) -> None:
    contents = {name: b"<p>Private words.</p>", "essay.txt": b"Bread needs time."}
    files = open_files(write(tmp_path / "x", contents) if kind == "folder" else zipped(tmp_path / "x.zip", contents))
    source = from_files(files)
    assert source
    states = {post.origin: post.state for post in source.read()}
    assert states == {name: "empty", "essay.txt": "kept"}
    assert files.opened == {"essay.txt"}


@pytest.mark.parametrize(
    "name", ["On security.txt", "A history of bread.txt", "history/bread.txt", "letters to my inbox.txt", "Blocked.txt"]
)
def test_names_that_only_speak_of_such_things_are_read(tmp_path: Path, name: str) -> None:
    source = from_files(open_files(write(tmp_path, {name: b"Bread needs time.", "essay.txt": b"So does dough."})))
    assert source
    assert {post.state for post in source.read()} == {"kept"}


def test_a_folder_of_private_things_alone_is_no_source(tmp_path: Path) -> None:
    files = open_files(write(tmp_path, {"bookmarks/a.html": b"<p>x</p>", "claps/a.html": b"<p>x</p>"}))
    assert from_files(files) is None
    assert not files.opened
