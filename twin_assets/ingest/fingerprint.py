"""Cheap signs of change in a source, so that it is read only when there may be something new."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from croniter import croniter

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import files_below, printable
from twin_assets.ingest.registry import is_url
from twin_assets.store.registry import SourceConfig


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two looks at an author's sources."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def fingerprint(config: SourceConfig, schedule: str, now: datetime) -> str:
    """A value that changes when the source is to be read again.

    For files: when a name, size or time does. For the web: at every moment of the source's schedule; whether anything is new there, the
    read itself asks, by ETag. And for both, when the owner says something else of the source.

    Args:
        config: The source.
        schedule: Cron in UTC, for sources on the web without one of their own.
        now: The present, in UTC.

    Raises:
        SourceError: When a file or folder is not there.
    """
    if is_url(config.location):
        sign = croniter(config.schedule or schedule, now).get_prev(datetime).isoformat()
    else:
        sign = _of_path(Path(config.location).expanduser())
    return hashlib.sha256(f"{sign} {config.until} {config.ai_assisted} {config.names}".encode()).hexdigest()


def changes(previous: Mapping[str, str], current: Mapping[str, str]) -> Changes:
    """What differs between two maps of location to fingerprint."""
    return Changes(
        added=tuple(sorted(current.keys() - previous.keys())),
        removed=tuple(sorted(previous.keys() - current.keys())),
        changed=tuple(sorted(place for place in current.keys() & previous.keys() if current[place] != previous[place])),
    )


def _of_path(path: Path) -> str:
    if not path.exists():
        raise SourceError(f"There is no file or folder {path}. Put it back, or name its new place.", "missing")
    digest = hashlib.sha256()
    for file in files_below(path) if path.is_dir() else [path]:
        try:
            status = file.stat()
        except OSError:  # gone since it was listed, or a dangling link
            continue
        name = file.relative_to(path).as_posix() if file != path else file.name
        digest.update(f"{printable(name)!r} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
