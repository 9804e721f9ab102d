import csv
import io
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin_assets.ingest import files as module
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Archive, Files, Folder, Joined, UnreadableTextError, decode_text, files_below, not_read, open_files
from twin_assets.ingest.tables import parse_csv, read_csv

Member = tuple[str | zipfile.ZipInfo, bytes]


def packed(*members: Member, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def saved(tmp_path: Path, content: bytes, name: str = "export.zip") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def archive(tmp_path: Path, *members: Member) -> Archive:
    return Archive(saved(tmp_path, packed(*members)))


def why(files: Files, name: str) -> str:
    with pytest.raises(UnreadableTextError) as error:
        files.read(name)
    return str(error.value)


def central(content: bytes, name: str) -> int:
    """Where the member stands in the table of contents (APPNOTE 4.3.12)."""
    position = content.rindex(b"PK\x01\x02", 0, content.rindex(name.encode()))
    assert content[position + 46 :].startswith(name.encode())
    return position


def patched(content: bytes, position: int, form: str, value: int) -> bytes:
    return content[:position] + struct.pack(form, value) + content[position + struct.calcsize(form) :]


@pytest.mark.parametrize("name", ["../up.md", "a/../../up.md", "/etc/passwd.md", "C:/x.md", "C:\\x.md", "..\\up.md", "d:x.md"])
def test_names_that_point_outside_are_refused_and_accounted_for(tmp_path: Path, name: str) -> None:
    files = archive(tmp_path, (name, b"x"), ("fine.md", b"Words."))
    assert len(files.names) == 2
    (refused,) = files.refused
    assert "outside" in why(files, refused)
    assert files.read("fine.md") == b"Words."
    assert files.opened == {"fine.md"}
    states = {post.origin: post.state for post in not_read(files, {"fine.md"}, "blog")}
    assert states == {refused: "unreadable"}


@pytest.mark.parametrize(
    ("mode", "reason"), [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "not a regular"), (stat.S_IFCHR, "not a regular"), (stat.S_IFBLK, "not")]
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, mode: int, reason: str) -> None:
    info = zipfile.ZipInfo("a.md")
    info.external_attr = (mode | 0o644) << 16
    files = archive(tmp_path, (info, b"/etc/passwd"))
    assert reason in why(files, "a.md")
    assert not files.opened


def test_a_bomb_by_its_ratio(tmp_path: Path) -> None:
    files = archive(tmp_path, ("bomb.md", b"\x00" * (20 * 2**20)), ("a.md", b"Words."))
    assert "bomb" in why(files, "bomb.md")
    assert files.read("a.md") == b"Words."


def test_many_small_bombs_together_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 2**20)
    members = [(f"{n}.md", b"\x00" * (2**20 - 1)) for n in range(4)]
    with pytest.raises(SourceError, match="a bomb"):
        archive(tmp_path, *members)


def test_a_bomb_by_its_total(tmp_path: Path) -> None:
    content = packed(*((f"{n}.md", b"x") for n in range(3)))
    for n in range(3):
        content = patched(content, central(content, f"{n}.md") + 24, "<I", 0xFFFF0000)
    with pytest.raises(SourceError, match="a bomb"):
        Archive(saved(tmp_path, content))


def test_more_members_than_an_export_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)
    with pytest.raises(SourceError, match="4 files"):
        archive(tmp_path, *((f"{n}.md", b"x") for n in range(4)))


def test_a_table_of_contents_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    content = packed(("a.md", b"x"))
    end = content.rindex(b"PK\x05\x06")
    with pytest.raises(SourceError, match="table of contents"):
        Archive(saved(tmp_path, patched(content, end + 12, "<I", 0x7FFFFFFF)))


def test_a_member_that_unpacks_to_more_than_it_says_is_cut_there(tmp_path: Path) -> None:
    content = packed(("a.md", b"word " * 500_000), ("b.md", b"Words."))
    content = patched(content, central(content, "a.md") + 24, "<I", 100)
    files = Archive(saved(tmp_path, content))
    assert "cannot be unpacked" in why(files, "a.md")
    assert files.read("b.md") == b"Words."


def test_a_member_that_says_it_is_larger_than_it_is(tmp_path: Path) -> None:
    content = packed(("a.md", b"Words."))
    files = Archive(saved(tmp_path, patched(content, central(content, "a.md") + 24, "<I", 500_000)))
    assert files.read("a.md") == b"Words."


def test_members_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    content = packed(*((f"{n}.md", os.urandom(3000)) for n in range(3)))
    for n in range(3):
        place = central(content, f"{n}.md")
        content = patched(patched(content, place + 20, "<I", 6000), place + 24, "<I", 6000)
    with pytest.raises(SourceError, match="bomb"):
        Archive(saved(tmp_path, content))


def test_members_that_overlap_within_the_size_of_the_zip_are_refused_one_by_one(tmp_path: Path) -> None:
    content = packed(("a.md", os.urandom(3000)), ("b.md", b"Words."))
    content = patched(content, central(content, "b.md") + 42, "<I", 10)
    files = Archive(saved(tmp_path, content))
    assert "cannot be unpacked" in why(files, "b.md")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_limit_are_refused(tmp_path: Path, method: int) -> None:
    files = Archive(saved(tmp_path, packed(("a.md", b"Words."), method=method)))
    assert "packed by a method" in why(files, "a.md")


def test_what_is_read_over_the_life_of_a_zip_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 10_000)
    inner = packed(("b.md", b"word " * 800))
    files = archive(tmp_path, ("a.md", b"word " * 1000), ("part.zip", inner))
    files.read("a.md")
    nested = files.inner("part.zip")
    nested.read("b.md")
    assert "were read out of this ZIP already" in why(nested, "b.md")
    assert "were read out of this ZIP already" in why(files, "a.md")


def test_a_zip_in_a_zip_keeps_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed(("bomb.md", b"\x00" * (20 * 2**20)), ("a.md", b"Words."))
    files = archive(tmp_path, ("part.zip", bomb), ("no.zip", b"no ZIP"))
    inner = files.inner("part.zip")
    assert "bomb" in why(inner, "bomb.md")
    assert inner.read("a.md") == b"Words."
    assert inner.location.endswith("export.zip/part.zip")
    with pytest.raises(SourceError, match="no ZIP"):
        files.inner("no.zip")
    monkeypatch.setattr(module, "MAX_INNER_BYTES", 100)
    with pytest.raises(UnreadableTextError, match="larger than"):
        files.inner("part.zip")


def test_a_zip_is_never_unpacked_twice_by_itself(tmp_path: Path) -> None:
    """A quine, a ZIP that holds itself, would unpack for ever: what lies in a ZIP is only opened when a platform asks for it."""
    files = archive(tmp_path, ("r/r.zip", b"PK"), ("a.md", b"Words."))
    assert files.names == ["a.md", "r/r.zip"]
    assert files.opened == set()


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = packed(("a.md", b"Words."), ("b.md", b"Words."))
    files = Archive(saved(tmp_path, patched(content, central(content, "a.md") + 8, "<H", 1)))
    assert "encrypted" in why(files, "a.md")
    assert files.read("b.md") == b"Words."


def test_names_in_any_encoding(tmp_path: Path) -> None:
    content = packed(("caf_.md", b"one"), ("na__ve.md", b"two"), ("ol__.md", b"three"))
    content = content.replace(b"caf_.md", b"caf\xe9.md").replace(b"na__ve.md", "naïve.md".encode())
    files = Archive(saved(tmp_path, content.replace(b"ol__.md", b"ole\x01\x7f.md"[:7])))
    assert len(files.names) == 3
    assert "naïve.md" in files.names
    assert sorted(files.read(name) for name in files.names) == [b"one", b"three", b"two"]
    assert all(name.encode() for name in files.names)


def test_names_marked_as_utf8_that_are_none(tmp_path: Path) -> None:
    content = packed(("é.md", b"one")).replace("é".encode(), b"\xff\xfe")
    with pytest.raises(SourceError, match="no ZIP that can be read"):
        Archive(saved(tmp_path, content))


def test_an_accent_is_one_letter_however_the_system_writes_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "cafe\u0301.md").write_text("Words.")
    assert Folder(tmp_path / "folder").names == archive(tmp_path, ("cafe\u0301.md", b"x")).names == ["caf\xe9.md"]


def test_of_two_members_with_one_name_the_first_counts(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        files = archive(tmp_path, ("b/a.md", b"one"), ("b/a.md", b"two"), ("b/a.md", b"three"))
    assert len(files.names) == 3
    assert files.read("b/a.md") == b"one"
    assert len(files.refused) == 2
    assert all("stands twice" in why(files, name) and name.endswith(").md") for name in files.refused)


def test_thousands_of_members_with_one_name_take_no_time(tmp_path: Path) -> None:
    names = [(f"{n:04}.md", b"") for n in range(5000)]
    content = packed(*names)
    for name, _ in names:
        content = content.replace(name.encode(), b"same.md")
    assert len(Archive(saved(tmp_path, content)).refused) == 4999


@pytest.mark.parametrize("cut", [10, 60, -1, -22, -40])
def test_a_truncated_zip(tmp_path: Path, cut: int) -> None:
    content = packed(("a.md", os.urandom(100)), ("b.md", b"x"))
    with pytest.raises(SourceError, match="Download the export again"):
        Archive(saved(tmp_path, content[:cut]))


def test_a_wrong_checksum_of_one_member_keeps_the_rest(tmp_path: Path) -> None:
    content = packed(("a.md", b"Words."), ("b.md", b"More."), method=zipfile.ZIP_STORED).replace(b"Words.", b"W0rds.")
    files = Archive(saved(tmp_path, content))
    assert "CRC" in why(files, "a.md")
    assert files.read("b.md") == b"More."


def test_private_members_are_listed_and_not_opened(tmp_path: Path) -> None:
    files = archive(tmp_path, ("messages.csv", b"private"), ("a.md", b"Words."), (".git/HEAD", b"x"), ("__MACOSX/._a.md", b"x"))
    assert files.names == ["a.md", "messages.csv"]
    files.read("a.md")
    assert files.opened == {"a.md"}


def test_a_member_without_a_name_is_told_apart_from_a_folder(tmp_path: Path) -> None:
    nameless = packed(("x", b"Words."), ("a.md", b"Words.")).replace(b"x", b"\x00")
    files = Archive(saved(tmp_path, nameless))
    assert files.names == ["a.md", "without a name"]
    assert files.read("a.md") == b"Words."


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6)))
def test_any_bytes_as_a_zip_are_refused_or_read(tmp_path: Path, change: bytes | list[tuple[int, int]]) -> None:
    if isinstance(change, bytes):
        content = b"PK\x03\x04" + change
    else:
        made = bytearray(packed(("a.md", b"Words. " * 20), ("b/c.md", b"x")))
        for position, value in change:
            made[position % len(made)] = value
        content = bytes(made)
    try:
        files = Archive(saved(tmp_path, content))
    except SourceError:
        return
    for name in files.names:
        try:
            files.read(name)
        except UnreadableTextError as error:
            assert str(error)
    assert len(list(not_read(files, set(), "blog"))) == len(files.names)


def test_a_folder_with_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "device.md").symlink_to("/dev/zero")
    (tmp_path / "a.md").write_text("Words.")
    files = Folder(tmp_path)
    assert why(files, "pipe.md") == "not a regular file"
    assert "out of the folder" in why(files, "device.md")
    assert not files.opened
    assert open_files(tmp_path / "a.md").read("a.md") == b"Words."
    with pytest.raises(SourceError, match="no file or folder"):
        open_files(tmp_path / "pipe.md")


def test_a_link_is_followed_inside_of_the_folder_only(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("A secret.")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.md").write_text("Words.")
    (folder / "inside.md").symlink_to("a.md")
    (folder / "outside.md").symlink_to("../secret.md")
    (folder / "circle.md").symlink_to("circle.md")
    (folder / "dangling.md").symlink_to("nothing")
    (folder / "up").symlink_to(tmp_path)
    files = Folder(folder)
    assert files.names == ["a.md", "circle.md", "dangling.md", "inside.md", "outside.md"]
    assert files.read("inside.md") == b"Words."
    assert "out of the folder" in why(files, "outside.md")
    assert all(why(files, name) for name in ("circle.md", "dangling.md"))
    assert files.opened == {"inside.md"}


def test_a_huge_file_is_refused_by_its_size_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.md").open("wb") as file:
        file.truncate(100 * 2**20)
    files = Folder(tmp_path)
    assert why(files, "huge.md") == "larger than 64 MB"
    assert files.opened == set()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to the administrator")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Words.")
    (tmp_path / "a.md").chmod(0)
    assert "Permission denied" in why(Folder(tmp_path), "a.md")


def denied(real: Callable[..., object], part: str) -> Callable[..., object]:
    def answer(path: Path, *args: object, **named: object) -> object:
        if part in str(path):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **named)

    return answer


def test_a_file_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_text("Words.")
    monkeypatch.setattr(Path, "open", denied(Path.open, "a.md"))
    files = Folder(tmp_path)
    assert why(files, "a.md") == "cannot be opened: Permission denied"
    assert files.opened == set()


def test_a_folder_in_it_that_may_not_be_listed_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.md").write_text("Words.")
    monkeypatch.setattr(os, "scandir", denied(os.scandir, "closed"))
    with pytest.raises(SourceError, match="closed cannot be read: Permission denied"):
        Folder(tmp_path)


def test_a_folder_that_is_no_export_but_a_whole_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 2)
    for n in range(3):
        (tmp_path / f"{n}.md").touch()
    with pytest.raises(SourceError, match="Name the folder"):
        files_below(tmp_path)


def test_parts_are_one(tmp_path: Path) -> None:
    one = Archive(saved(tmp_path, packed(("a.md", b"one"), ("../x", b"x")), "1.zip"))
    two = Archive(saved(tmp_path, packed(("a.md", b"two"), ("b.md", b"three")), "2.zip"))
    files = Joined("here", {"1.zip": one, "2.zip": two})
    assert files.names == ["../x", "2.zip/a.md", "a.md", "b.md"]
    assert [files.read(name) for name in ("a.md", "2.zip/a.md", "b.md")] == [b"one", b"two", b"three"]
    assert files.opened == {"a.md", "2.zip/a.md", "b.md"}
    assert "outside" in why(files, "../x")
    assert files.path("a.md") is None


@given(st.binary())
def test_any_bytes_are_text_or_not(content: bytes) -> None:
    try:
        assert "\x00" not in decode_text(content)
    except UnreadableTextError as error:
        assert str(error)


def table(tmp_path: Path, content: bytes) -> list[dict[str, str]]:
    return read_csv(open_files(saved(tmp_path, content, "t.csv")), "t.csv", ["a", "b"])


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n",
        b"\xef\xbb\xbfa,b\r\n1,2\r\n",
        "a,b\n1,2\n".encode("utf-16"),
        b" a , b\n1,2",
        b"a,b\n1,2\n\na,b\n",
    ],
)
def test_a_table_however_it_is_saved(tmp_path: Path, content: bytes) -> None:
    assert table(tmp_path, content) == [{"a": "1", "b": "2"}]


def test_a_table_with_stray_nul_bytes(tmp_path: Path) -> None:
    rows = table(tmp_path, b"a,b\n" + b"1,2\x00\n" + b"some,words\n" * 50)
    assert rows[0] == {"a": "1", "b": "2"}
    with pytest.raises(SourceError, match="binary"):
        table(tmp_path, b"a,b\n\x00\x01\x02\x00\x00")


def test_a_table_with_short_and_long_rows(tmp_path: Path) -> None:
    assert table(tmp_path, b"a,b\n1\n1,2,3\n") == [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]


def test_a_table_without_its_columns_says_which(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"lacks the columns b\. Expected: a, b\. Found: a, c"):
        table(tmp_path, b"a,c\n1,2\n")
    with pytest.raises(SourceError, match="Found: none"):
        table(tmp_path, b"")


def test_a_table_with_a_huge_field(tmp_path: Path) -> None:
    assert len(table(tmp_path, b"a,b\n" + b"x" * 2**20 + b",2\n")[0]["a"]) == 2**20
    with pytest.raises(SourceError, match="field larger than"):
        table(tmp_path, b'a,b\n"' + b"x" * (5 * 2**20) + b'",2\n')


def test_a_table_of_countless_columns_does_not_fill_the_memory(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="columns, more than"):
        table(tmp_path, b"," * 100_000 + b"\n" + b"x\n" * 100_000)


def test_the_parts_of_a_table_may_have_their_columns_in_another_order() -> None:
    parts = ["a,b\n1,2\n", "b,c,a\n4,x,3\n"]
    rows = [row for part in parts for row in parse_csv(part, "t.csv", ["a", "b"])]
    assert [(row["a"], row["b"]) for row in rows] == [("1", "2"), ("3", "4")]


@given(
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r")), st.text("ab\n,\"' ")), min_size=1)
)
def test_a_table_comes_out_as_it_went_in(rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    assert [(row["a"], row["b"]) for row in parse_csv(buffer.getvalue(), "t.csv", ["a", "b"])] == [row for row in rows if row != ("a", "b")]


@pytest.mark.parametrize(
    ("name", "large"),
    [
        *(("data/tweets.js", True), ("data/tweets-part12.js", True), ("note-tweet.js", True), ("outbox.json", True), ("Shares.csv", True)),
        *(("jane.WordPress.2024-01-02.xml", True), ("jane.ghost.2024-01-02-03-04-05.json", True)),
        *(("essay.txt", False), ("a.pdf", False), ("data/direct-messages.js", False), ("data/like.js", False), ("tweets.js.html", False)),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "file", "zip"])
def test_data_files_of_exports_may_be_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, large: bool, kind: str) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(module, "MAX_DATA_BYTES", 20)

    def offered(size: int) -> tuple[Files, str]:
        if kind == "zip":
            return archive(tmp_path, (name, b"x" * size)), name
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
        return (open_files(path), path.name) if kind == "file" else (Folder(tmp_path), name)

    if large:
        files, inside = offered(20)
        assert files.read(inside) == b"x" * 20
    assert "larger than" in why(*offered(21 if large else 11))


def test_pictures_that_are_not_read_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    size = 20 * 2**30
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("posts.md", "Words.")
        picture = zipfile.ZipInfo("media/picture.jpg")
        picture.header_offset, picture.file_size, picture.compress_size, picture.CRC = target.start_dir, size, size, 0
        target.filelist.append(picture)
        target.NameToInfo[picture.filename] = picture
        target.start_dir += size + 100  # a hole of that size, which takes no room on the disk
    files = Archive(path)
    assert files.read("posts.md") == b"Words."
    assert "larger than 64 MB" in why(files, "media/picture.jpg")
    assert files.opened == {"posts.md"}
