"""Files of a folder, of a ZIP, or a single one: listed by name, opened only when asked for, never beyond limits."""

import io
import os
import re
import stat
import struct
import tempfile
import unicodedata
import weakref
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.posts import Post, not_a_text

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_DATA_BYTES = 512 * 1024 * 1024
"""A file in which an export holds all that an account wrote."""
MAX_MEMBERS = 200_000
"""Files in a folder or a ZIP."""
MAX_TOTAL_BYTES = 8 * 1024 * 1024 * 1024
"""What is read out of it as long as it is open, the ZIPs inside of it included."""
MAX_INNER_BYTES = 2 * 1024 * 1024 * 1024
"""A ZIP inside of a ZIP."""
MAX_RATIO = 200
"""Unpacked size over packed size that text reaches at most; a bomb has a thousand and more."""
_DATA = re.compile(
    r"(?:^|/)(?:(?:tweets?|note-tweet|article|deleted-tweets?|community-note)(?:-part\d+)?\.js|outbox\.json|[^/]*\.csv"
    r"|[^/]*wordpress[^/]*\.xml|[^/]*ghost[^/]*\.json)$",
    re.IGNORECASE,
)
"""Data files of X, Mastodon, WordPress and Ghost, as they name them, and tables."""
_MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
_SMALL = 1024 * 1024
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "__MACOSX", "lost+found"})
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NO_ZIP = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError, struct.error)
_NO_MEMBER = (*_NO_ZIP, zlib.error, RuntimeError, EOFError)


class UnreadableTextError(Exception):
    """One file is no readable text; the message says why."""


class Files(Protocol):
    """Where an export or a blog lies. Names are relative, with ``/``, in a stable order, without hidden folders."""

    location: str
    """The path, as it is registered."""
    opened: set[str]
    """Names that were read: what is private must never stand here."""

    @property
    def names(self) -> list[str]:
        """Every file."""
        ...

    @property
    def refused(self) -> dict[str, str]:
        """Files that are never opened because their names or sizes are hostile, each with the reason."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnreadableTextError: When it is refused, no regular file, too large, encrypted or broken.
        """
        ...

    def path(self, name: str) -> Path | None:
        """Where it lies on disk; None inside of a ZIP."""
        ...


class Folder:
    """The files below a folder.

    Raises:
        SourceError: When it, or a folder in it, cannot be listed, or when it holds more files than writing ever has.
    """

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.opened: set[str] = set()
        self.refused: dict[str, str] = {}
        self._paths: dict[str, Path] = {}
        root = path.resolve()
        for file in files_below(path):
            name = _distinct(printable(file.relative_to(path).as_posix()), self._paths)
            self._paths[name] = file
            if file.is_symlink() and _leads_outside(file, root):
                self.refused[name] = "a link that leads out of the folder: put the file itself here"
        self.names = list(self._paths)

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        if name in self.refused:
            raise UnreadableTextError(self.refused[name])
        return _read_noted(self._paths[name], name, self.opened)

    def path(self, name: str) -> Path | None:
        """Where it lies."""
        return self._paths[name]


class OneFile:
    """A single file that is a source by itself."""

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.file = path
        self.names = [printable(path.name)]
        self.opened: set[str] = set()
        self.refused: dict[str, str] = {}

    def read(self, name: str) -> bytes:
        """Its bytes."""
        return _read_noted(self.file, name, self.opened)

    def path(self, name: str) -> Path | None:
        """Where it lies."""
        return self.file


@dataclass(slots=True)
class _Budget:
    """Bytes that may still be unpacked."""

    left: int

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise UnreadableTextError(f"more than {MAX_TOTAL_BYTES / 2**30:.0f} GB were read out of this ZIP already")


class Archive:
    """The files inside of a ZIP, which are never unpacked under their names.

    Args:
        path: Where it lies; for a ZIP inside of a file, what to call it.
        file: The ZIP's bytes, where they are not what lies at the path.
        budget: What may still be unpacked, shared with the ZIP that this one lies in.

    Raises:
        SourceError: When it is no ZIP, or a bomb.
    """

    def __init__(self, path: Path | str, file: IO[bytes] | None = None, budget: _Budget | None = None) -> None:
        self.location = str(path)
        self.opened: set[str] = set()
        self.refused: dict[str, str] = {}
        self._budget = budget or _Budget(MAX_TOTAL_BYTES)
        try:
            self._zip = _open_zip(path, file)
        except _NO_ZIP as error:
            raise SourceError(f"{path} is no ZIP that can be read: {error}. Download the export again.") from error
        infos = [info for info in self._zip.infolist() if not info.filename.endswith("/")]  # is_dir() fails where there is no name
        self._refuse_bombs(infos)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if not _skipped(plain := _member_name(info)):
                name = _distinct(plain, self._members)
                self._members[name] = info
                if reason := _hostile(plain, info, twice=name != plain):
                    self.refused[name] = reason
        self.names = sorted(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of a member, counted while they are unpacked: what a ZIP says of its sizes is not believed."""
        if name in self.refused:
            raise UnreadableTextError(self.refused[name])
        self.opened.add(name)
        unpacked = io.BytesIO()
        self._unpack(name, most_bytes(name), unpacked)
        return unpacked.getvalue()

    def inner(self, name: str) -> "Archive":
        """A ZIP inside of this one; as large as a ZIP in parts comes, and within what may still be read of this one.

        Raises:
            UnreadableTextError: When the member cannot be read.
            SourceError: When it is no ZIP, or a bomb.
        """
        info = self._members[name]
        if reason := _hostile(name, info, most=MAX_INNER_BYTES):
            raise UnreadableTextError(reason)
        self.opened.add(name)
        unpacked = tempfile.SpooledTemporaryFile(MAX_FILE_BYTES)  # noqa: SIM115 - closed with the archive that reads it
        try:
            self._unpack(name, MAX_INNER_BYTES, unpacked)
            inner = Archive(f"{self.location}/{name}", unpacked, self._budget)
        except (UnreadableTextError, SourceError):
            unpacked.close()
            raise
        weakref.finalize(inner, unpacked.close)
        return inner

    def path(self, name: str) -> Path | None:
        """Nowhere."""
        return None

    def _unpack(self, name: str, most: int, target: IO[bytes]) -> None:
        try:
            with self._zip.open(self._members[name]) as member:
                while piece := member.read(_SMALL):
                    self._budget.spend(len(piece))
                    target.write(piece)
                    if target.tell() > most:
                        raise UnreadableTextError(f"larger than {most // 2**20} MB")
        except _NO_MEMBER as error:
            raise UnreadableTextError(f"cannot be unpacked: {error}") from error
        target.seek(0)

    def _refuse_bombs(self, infos: list[zipfile.ZipInfo]) -> None:
        total, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
        size = self._zip.start_dir
        if len(infos) > MAX_MEMBERS:
            raise SourceError(
                f"{self.location} holds {len(infos):,} files, more than an export has: at most {MAX_MEMBERS:,}. "
                "Unpack it, and add the folder with the posts."
            )
        if packed > size or (total > MAX_FILE_BYTES and total > MAX_RATIO * size):
            raise SourceError(
                f"{self.location} is built to unpack to far more than it holds ({total / 2**20:,.0f} MB out of {size / 2**20:,.1f} MB): "
                "a bomb. Download the export again, from the platform itself."
            )


class Joined:
    """Several of them as one, such as the parts of an export that comes in parts.

    Args:
        location: What is registered.
        parts: Each with the name that it has inside; a file whose name an earlier part has too is called by its part.
    """

    def __init__(self, location: str, parts: dict[str, Files]) -> None:
        self.location = location
        self.opened: set[str] = set()
        self.refused: dict[str, str] = {}
        self._places: dict[str, tuple[Files, str]] = {}
        for part, files in parts.items():
            for inside in files.names:
                name = f"{part}/{inside}" if inside in self._places else inside
                self._places[name] = (files, inside)
                if inside in files.refused:
                    self.refused[name] = files.refused[inside]
        self.names = sorted(self._places)

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        files, inside = self._places[name]
        if name not in self.refused:
            self.opened.add(name)
        return files.read(inside)

    def path(self, name: str) -> Path | None:
        """Where it lies on disk, if it does."""
        files, inside = self._places[name]
        return files.path(inside)


def open_files(path: Path) -> Files:
    """A folder, a ZIP or a file as a source of files.

    Raises:
        SourceError: When there is nothing, or nothing that can be opened.
    """
    try:
        if path.is_dir():
            return Folder(path)
        if path.is_file():
            return Archive(path) if path.suffix.lower() == ".zip" or _is_zip_export(path) else OneFile(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}. Check its name and permissions.", "missing") from error
    except ValueError as error:
        raise SourceError(f"{str(path)!r} is no path: {error}.", "missing") from error
    raise SourceError(f"There is no file or folder {path}. Check the path, or give a URL that begins with http:// or https://.", "missing")


def read_file(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises:
        UnreadableTextError: When it is none, too large, or cannot be opened.
    """
    return _read_noted(path, "", set())


def read_text(files: Files, name: str) -> str:
    """The text of a file in UTF-8, or UTF-16 with a byte-order mark.

    Raises:
        UnreadableTextError: When it cannot be read, is binary, or in another encoding.
    """
    return decode_text(files.read(name))


def decode_text(content: bytes) -> str:
    """Bytes as text.

    Raises:
        UnreadableTextError: When they are binary or in an encoding other than UTF-8, or UTF-16 with a byte-order mark.
    """
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        what = (
            "binary" if b"\x00" in content else f"not {encoding.removesuffix('-sig').upper()} text, at byte {error.start}: save it as UTF-8"
        )
        raise UnreadableTextError(what) from error
    if "\x00" in text:
        raise UnreadableTextError("binary")
    return text


def not_read(files: Files, used: set[str], platform: str) -> Iterator[Post]:
    """One post for every file that a source did not use, so that each is accounted for; none of them is opened."""
    for name in files.names:
        if name not in used:
            reason = files.refused.get(name)
            yield not_a_text(
                name, platform, reason or "not a text this source reads; it was not opened", "unreadable" if reason else "empty"
            )


def files_below(root: Path) -> list[Path]:
    """All files of a folder in a stable order, without those in hidden folders and installed packages.

    Raises:
        SourceError: When a folder cannot be listed, for what cannot be seen must not count as gone; or when there are too many files.
    """
    found: list[Path] = []
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith(".") and entry.name not in _SKIPPED_FOLDERS:
                            pending.append(folder / entry.name)
                    elif not (entry.is_symlink() and _is_folder(entry)):
                        found.append(folder / entry.name)
        except OSError as error:
            raise SourceError(f"The folder {folder} cannot be read: {error.strerror}. Check its permissions.", "missing") from error
        if len(found) > MAX_MEMBERS:
            raise SourceError(f"{root} holds more than {MAX_MEMBERS:,} files. Name the folder in it that holds the writing.", "too_large")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def printable(name: str) -> str:
    """A file name that can be stored and compared: accents composed; bytes that are no UTF-8 are shown as escapes."""
    return unicodedata.normalize("NFC", name.encode("utf-8", errors="backslashreplace").decode())


def most_bytes(name: str) -> int:
    """How large a file may be: a known data file of an export holds thousands of posts, any other file one text."""
    return MAX_DATA_BYTES if _DATA.search(name) else MAX_FILE_BYTES


def _read_noted(path: Path, name: str, opened: set[str]) -> bytes:
    """The bytes of a regular file; it counts as opened once it is, not when it is refused by what it is or how large."""
    most = most_bytes(name or path.name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait for ever
            raise UnreadableTextError("not a regular file")
        if status.st_size > most:
            raise UnreadableTextError(f"larger than {most // 2**20} MB")
        with path.open("rb") as file:
            opened.add(name)
            content = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise UnreadableTextError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > most:  # it grew, or does not tell its size
        raise UnreadableTextError(f"larger than {most // 2**20} MB")
    return content


def _leads_outside(link: Path, root: Path) -> bool:
    try:
        return not link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a circle of links
        return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _distinct(name: str, taken: Collection[str]) -> str:
    """The name, or with a number before its suffix when there is one like it."""
    path, number, distinct = PurePosixPath(name), len(taken) + 1, name  # counted from there, as thousands may bear one name
    while distinct in taken:
        distinct = str(path.parent / f"{path.stem} ({number}){path.suffix}") if path.name else f"{name} ({number})"
        number += 1
    return distinct


def _open_zip(path: Path | str, file: IO[bytes] | None) -> zipfile.ZipFile:
    if file is not None:
        _check_directory(file)
        return zipfile.ZipFile(file)
    with Path(path).open("rb") as opened:
        _check_directory(opened)
    return zipfile.ZipFile(path)


def _check_directory(file: IO[bytes]) -> None:
    """Refuses a table of contents that would fill the memory, before ``zipfile`` reads it whole.

    Its size stands in the record that ends a ZIP (APPNOTE 4.3.16), or, when that says 0xFFFFFFFF, in the one of ZIP64 (4.3.14) before it.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - 66_000))
    tail = file.read(66_000)
    file.seek(0)
    last = tail.rfind(b"PK\x05\x06")
    if last < 0 or len(tail) < last + 22:
        return
    size = struct.unpack_from("<I", tail, last + 12)[0]
    large = tail.rfind(b"PK\x06\x06", 0, last)
    if large >= 0 and len(tail) >= large + 48:
        size = max(size if size != 0xFFFFFFFF else 0, struct.unpack_from("<Q", tail, large + 40)[0])
    if size > _MAX_DIRECTORY_BYTES:
        raise zipfile.BadZipFile(f"its table of contents has {size / 2**20:,.0f} MB")


def _hostile(name: str, info: zipfile.ZipInfo, *, twice: bool = False, most: int | None = None) -> str:
    """Why a member is never opened; empty when it may be."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    most = most or most_bytes(name)
    if twice:
        return f"its name, {name}, stands twice in the ZIP: the first one counts"
    if name.startswith("/") or ".." in PurePosixPath(name).parts or re.match(r"^[A-Za-z]:", name):
        return "its name points outside of the ZIP"
    if kind == stat.S_IFLNK:
        return "a link, not a file"
    if kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK):
        return "not a regular file"
    if info.flag_bits & 0x1:
        return "encrypted: take the export without a password"
    if info.compress_type not in _METHODS:  # zipfile unpacks the others without any limit
        return "packed by a method that exports do not use: pack it as a common ZIP"
    if info.file_size > most:
        return f"larger than {most // 2**20} MB"
    if info.file_size > _SMALL and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        return f"unpacks to {info.file_size // max(info.compress_size, 1)} times its size: a bomb"
    return ""


def _member_name(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if not info.flag_bits & 0x800:  # not marked as UTF-8, yet most writers mean it
        with suppress(UnicodeEncodeError, UnicodeDecodeError):
            name = name.encode("cp437").decode("utf-8")
    return printable(name.replace("\\", "/").replace("\x00", "")) or "without a name"


def _skipped(name: str) -> bool:
    folders = PurePosixPath(name).parts[:-1]
    return any(part in _SKIPPED_FOLDERS or (part.startswith(".") and part not in (".", "..")) for part in folders)


def _is_zip_export(path: Path) -> bool:
    """A ZIP without the suffix. Documents such as .docx and .epub are ZIPs too, but one text each."""
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
