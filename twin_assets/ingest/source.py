"""The interface of a source, and how a file becomes text."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.posts import Post


class Source(Protocol):
    """Somewhere an author's writing is read from."""

    @property
    def location(self) -> str:
        """The path or URL, as it is registered."""
        ...

    @property
    def platform(self) -> str:
        """Where this kind of writing comes from."""
        ...

    @property
    def complete(self) -> bool:
        """Whether it shows all there is, so that what is missing is gone; a feed shows only its newest entries."""
        ...

    def read(self) -> Iterator[Post]:
        """Every row and file as exactly one post, in a stable order.

        Raises:
            SourceError: When the source cannot be read as a whole. A single broken file is a post in state unreadable instead.
        """
        ...


class UnreadableTextError(Exception):
    """One file is no readable text; the message says why."""


MAX_FILE_BYTES = 16 * 1024 * 1024


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or UTF-16 with a byte-order mark.

    Raises:
        UnreadableTextError: When the file is no regular one, cannot be opened, is binary, or in another encoding.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait for ever
            raise UnreadableTextError("not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise UnreadableTextError(f"larger than {MAX_FILE_BYTES // 1024 // 1024} MB")
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableTextError(f"cannot be opened: {error.strerror or error}") from error
    return decode_text(content)


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


def files_below(root: Path) -> list[Path]:
    """All files of a folder in a stable order, without those in hidden folders and installed packages."""
    found: list[Path] = []
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            entries = list(folder.iterdir())
        except OSError as error:
            if folder == root:
                raise SourceError(f"The folder {root} cannot be read: {error.strerror}. Check its permissions.") from error
            continue
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                if not entry.name.startswith(".") and entry.name not in ("node_modules", "__pycache__"):
                    pending.append(entry)
            elif not entry.is_dir():
                found.append(entry)
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())
