"""Cheap signs of change in a source, so that it is read only when there is something new."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.http import fetch
from twin_assets.ingest.registry import is_url
from twin_assets.ingest.source import files_below


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two looks at an author's sources."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def fingerprint(location: str) -> str:
    """A value that changes when the source does: names, sizes and times of files, or what a web server says of its page.

    Raises:
        SourceError: When the source is not there, or does not answer.
    """
    return _of_url(location) if is_url(location) else _of_path(Path(location).expanduser())


def changes(previous: Mapping[str, str], current: Mapping[str, str]) -> Changes:
    """What differs between two maps of location to fingerprint."""
    return Changes(
        added=tuple(sorted(current.keys() - previous.keys())),
        removed=tuple(sorted(previous.keys() - current.keys())),
        changed=tuple(sorted(place for place in current.keys() & previous.keys() if current[place] != previous[place])),
    )


def _of_path(path: Path) -> str:
    if not path.exists():
        raise SourceError(f"There is no file or folder {path}. Put it back, or name its new place.")
    digest = hashlib.sha256()
    for file in files_below(path) if path.is_dir() else [path]:
        try:
            status = file.stat()
        except OSError:  # gone since it was listed, or a dangling link
            continue
        name = file.relative_to(path).as_posix() if file != path else file.name
        digest.update(f"{name!r} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _of_url(url: str) -> str:
    try:
        answer = fetch(url, method="HEAD")
        signs = answer.etag or answer.last_modified
    except SourceError:  # some servers answer GET alone
        signs = ""
    if not signs:
        signs = hashlib.sha256(fetch(url).content).hexdigest()
    return hashlib.sha256(signs.encode()).hexdigest()
