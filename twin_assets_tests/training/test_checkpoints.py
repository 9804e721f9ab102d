"""Which checkpoints can be resumed from."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.training.checkpoints import checkpoints, whole

HEADER = json.dumps({"__metadata__": {"format": "pt"}, "lora": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint as the trainer writes it, with four numbers for weights."""
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(HEADER)) + HEADER + bytes(16))
    for name in ("optimizer.pt", "rng_state.pth", "training_args.bin"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("archive/data.pkl", b"numbers" * 100)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": []}))
    return folder


def test_a_checkpoint_as_it_was_written_is_whole(checkpoint: Path) -> None:
    assert whole(checkpoint)


def _cut(name: str, keep: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return damage


def _flipped(folder: Path) -> None:
    path = folder / "optimizer.pt"
    data = bytearray(path.read_bytes())
    data[data.index(b"numbers") + 50] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        _cut("adapter_model.safetensors", 0.9),
        _cut("adapter_model.safetensors", 0.3),
        _cut("adapter_model.safetensors", 0),
        _cut("optimizer.pt", 0.5),
        _cut("rng_state.pth", 0),
        _flipped,
        lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 64),
        lambda folder: (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]"),
        lambda folder: (folder / "trainer_state.json").unlink(),
        lambda folder: (folder / "trainer_state.json").write_text("{"),
    ],
)
def test_what_was_cut_or_damaged_is_not(checkpoint: Path, damage: Callable[[Path], None]) -> None:
    damage(checkpoint)
    assert not whole(checkpoint)


def test_checkpoints_stand_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for name in ("checkpoint-100", "checkpoint-20", "checkpoint-notes"):
        (tmp_path / name).mkdir()
    assert [folder.name for folder in checkpoints(tmp_path)] == ["checkpoint-20", "checkpoint-100"]
