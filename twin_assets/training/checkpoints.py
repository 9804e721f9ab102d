"""Checkpoints of a training, and which of them are whole: what a kill or a full disk left half-written must not be resumed from."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

STATE = "trainer_state.json"
TORCH_FILES = frozenset({".pt", ".pth", ".bin"})


def checkpoints(output: Path) -> list[Path]:
    """The checkpoints in a training's output, oldest first."""
    found = (folder for folder in output.glob("checkpoint-*") if folder.name.split("-")[-1].isdigit())
    return sorted(found, key=lambda folder: int(folder.name.split("-")[-1]))


def state(checkpoint: Path) -> dict[str, Any] | None:
    """The trainer's state, which is written last: None when the checkpoint is not complete."""
    try:
        found = json.loads((checkpoint / STATE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and "log_history" in found else None


def whole(checkpoint: Path) -> bool:
    """Whether a checkpoint can be resumed from: its state is there, and every file of weights and of the optimizer can be read to its end."""
    files = [path for path in checkpoint.rglob("*") if path.is_file()]
    weights = all(_safetensors(path) for path in files if path.suffix == ".safetensors")
    return state(checkpoint) is not None and weights and all(_torch(path) for path in files if path.suffix in TORCH_FILES)


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
