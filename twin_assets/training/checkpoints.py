"""Checkpoints of a training, and which of them are whole: what a kill or a full disk left half-written must not be resumed from."""

import json
import os
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

STATE = "trainer_state.json"
FILES = "files.json"
"""What a checkpoint holds, names and sizes: written when every process has written its part."""
TORCH_FILES = frozenset({".pt", ".pth", ".bin"})


def checkpoints(output: Path) -> list[Path]:
    """The checkpoints in a training's output, oldest first."""
    found = (folder for folder in output.glob("checkpoint-*") if folder.name.split("-")[-1].isdigit())
    return sorted(found, key=lambda folder: int(folder.name.split("-")[-1]))


def in_order(output: Path) -> None:
    """Gives checkpoints that were fetched the order of their steps: transformers takes that with the earliest time for the oldest, and removes it."""
    found, now = checkpoints(output), time.time()
    for number, folder in enumerate(found):
        changed = now - 60 * (len(found) - number)
        os.utime(folder, (changed, changed))


def seal(checkpoint: Path) -> None:
    """Notes what a complete checkpoint holds: a file that is lost later, of one process of many, is then missed."""
    partial = checkpoint / f"{FILES}.partial"
    partial.write_text(json.dumps({name: size for name, size in _sizes(checkpoint).items() if name not in (FILES, partial.name)}))
    partial.replace(checkpoint / FILES)


def state(checkpoint: Path) -> dict[str, Any] | None:
    """The trainer's state: None when it is not there to its end."""
    try:
        found = json.loads((checkpoint / STATE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and "log_history" in found else None


def whole(checkpoint: Path) -> bool:
    """Whether a checkpoint can be resumed from: all that it was sealed with is there, and weights and optimizer can be read to their ends."""
    try:
        sealed = json.loads((checkpoint / FILES).read_text())
    except (FileNotFoundError, ValueError):
        return False
    found = _sizes(checkpoint)
    if not isinstance(sealed, dict) or any(found.get(name) != size for name, size in sealed.items()) or state(checkpoint) is None:
        return False
    files = [checkpoint / name for name in sealed]
    weights = all(_safetensors(path) for path in files if path.suffix == ".safetensors")
    return weights and all(_torch(path) for path in files if path.suffix in TORCH_FILES)


def _sizes(checkpoint: Path) -> dict[str, int]:
    return {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in checkpoint.rglob("*") if path.is_file()}


def _safetensors(path: Path) -> bool:
    """Whether the file is as long as its header says (safetensors format: header length, header, tensors)."""
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return False
        length = struct.unpack("<Q", start)[0]
        if length > path.stat().st_size:
            return False
        try:
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return False
    return path.stat().st_size == 8 + length + max(ends, default=0)


def _torch(path: Path) -> bool:
    """Whether the archive that torch writes is closed, and its parts have their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, OSError):
        return False
