"""When the files of a folder came and changed, as git knows."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_SECONDS = 120
_COMMIT = "\x01"
# The folder may be anyone's: its git configuration must start no programs, and nothing may be fetched.
_HARMLESS = ["-c", "log.showSignature=false", "-c", "core.fsmonitor=false", "-c", "core.pager=cat", "-c", "protocol.allow=never"]
_ENVIRONMENT = {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


@dataclass(slots=True)
class FileDates:
    """The first and the last commit of a file."""

    added: datetime
    changed: datetime


def file_dates(folder: Path) -> dict[str, FileDates]:
    """Dates by the name relative to the folder, renames followed; none without git, outside of a checkout, or in a shallow one."""
    if shutil.which("git") is None or not any((above / ".git").exists() for above in (folder.absolute(), *folder.absolute().parents)):
        return {}
    if _git(folder, "rev-parse", "--is-shallow-repository").strip() != b"false":  # its first commit stands for all that came before
        return {}
    listing = ["log", "-z", "--name-status", "-M", "--relative", "--no-ext-diff", "--no-textconv", "--diff-filter=AMR", "--format=%x01%aI"]
    return _dates(os.fsdecode(_git(folder, *listing, "--", ".")))


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", *_HARMLESS, "-C", str(folder), "--no-pager", *arguments]
    try:
        found = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True, env={**os.environ, **_ENVIRONMENT})
    except (OSError, subprocess.SubprocessError) as error:
        log.info("no_dates_from_git", folder=str(folder), why=str(error))
        return b""
    return found.stdout


def _dates(listing: str) -> dict[str, FileDates]:
    """Goes through commits from the newest on; what a file was called before counts as the file."""
    dates: dict[str, FileDates] = {}
    names: dict[str, str] = {}
    when: datetime | None = None
    fields = iter(listing.split("\0"))
    for field in fields:
        text = field.lstrip("\n")
        if text.startswith(_COMMIT):
            date, _, text = text[1:].partition("\n")
            when = _date(date)
            text = text.lstrip("\n")
        if not text or when is None:
            continue
        before = next(fields, "")
        now = next(fields, "") if text.startswith("R") else before
        name = names.pop(now, now)
        if before != now:
            names[before] = name
        known = dates.setdefault(name, FileDates(when, when))
        known.added, known.changed = min(known.added, when), max(known.changed, when)
    return dates


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
