"""Folders that are made once and used ever after: whole or not there, whenever a process is killed, and checked by their hashes."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from twin_assets.store.errors import TwinError

MANIFEST = "twin-model.json"


def prepared(folder: Path, make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Makes a folder unless it is there. Of several processes one makes it, and the others wait.

    Args:
        folder: Named after all that its content depends on.
        make: Fills an empty folder, and returns facts to keep.

    Returns:
        The facts, of now or of whenever it was made.

    Raises:
        TwinError: When a file is not what it was when it was made.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a killed process lets go of it
            if not folder.exists():
                _make(folder, make)
    if not (folder / MANIFEST).is_file():
        raise TwinError(f"{folder} is not whole. Delete it; it is made again.")
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    for name, expected in manifest["files"].items():
        if not (folder / name).is_file() or file_hash(folder / name) != expected:
            raise TwinError(f"{folder / name} does not match its hash. Delete {folder}; it is made again.")
    return manifest


def _make(folder: Path, make: Callable[[Path], dict[str, Any]]) -> None:
    staging = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    facts = make(staging)
    hashes = {str(file.relative_to(staging)): file_hash(file) for file in sorted(staging.rglob("*")) if file.is_file()}
    (staging / MANIFEST).write_text(json.dumps({**facts, "files": hashes}, indent=1), "utf-8")
    file_hash.cache_clear()  # the files are about to have other names
    staging.rename(folder)


@cache
def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
