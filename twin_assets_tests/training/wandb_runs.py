"""What lies in the file of an offline run of Weights & Biases."""

import struct
from pathlib import Path
from typing import Any

HEADER, BLOCK, RECORD = 7, 32 * 2**10, struct.Struct("<IHB")


def records(run: Path) -> list[Any]:
    """Every record of a run's folder; its file is a log as LevelDB writes it."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = run.glob("*.wandb")
    data, at, part, found = file.read_bytes(), HEADER, b"", []
    while at + RECORD.size <= len(data):
        if BLOCK - at % BLOCK < RECORD.size:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = RECORD.unpack_from(data, at)
        part += data[at + RECORD.size : at + RECORD.size + length]
        at += RECORD.size + length
        if kind in (1, 4):  # the whole of a record, or its end
            found.append(Record.FromString(part))
            part = b""
    return found


def artifacts(run: Path) -> list[Any]:
    """The artifacts of a run's folder, in the order in which they were linked to it."""
    return [record.artifact for record in records(run) if record.WhichOneof("record_type") == "artifact"]


def runs(home: Path, name: str = "") -> list[Path]:
    """The folders of all offline runs, or of those with a name, in the order in which they began."""
    found = sorted((home / "wandb").glob("offline-run-*"))
    return [run for run in found if not name or any(record.run.display_name == name for record in records(run))]
