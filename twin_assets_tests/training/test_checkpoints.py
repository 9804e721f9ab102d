"""Which checkpoints can be resumed from."""

import json
import os
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.training.checkpoints import checkpoints, in_order, seal, whole
from twin_assets.training.place import Place
from twin_assets.training.trainer_main import fetch_checkpoints

HEADER = json.dumps({"__metadata__": {"format": "pt"}, "lora": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint as the trainer writes it, with four numbers for weights."""
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(HEADER)) + HEADER + bytes(16))
    for name in ("optimizer.pt", "rng_state.pth", "training_args.bin"):
        _archive(folder / name)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": []}))
    seal(folder)
    return folder


def _archive(path: Path) -> None:
    """A file as torch writes it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"numbers" * 100)


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
        lambda folder: (folder / "optimizer.pt").unlink(),
        lambda folder: (folder / "files.json").unlink(),
        _cut("files.json", 0.5),
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


LAYOUTS = {
    "fsdp": ["optimizer.bin", "pytorch_model_fsdp.bin", "scheduler.pt", "rng_state_0.pth", "rng_state_1.pth"],
    "fsdp, sharded": [
        *("optimizer_0/.metadata", "optimizer_0/__0_0.distcp", "optimizer_0/__1_0.distcp"),
        *("pytorch_model_fsdp_0/.metadata", "pytorch_model_fsdp_0/__0_0.distcp", "pytorch_model_fsdp_0/__1_0.distcp"),
    ],
    "zero-3": [
        *("latest", "rng_state_0.pth", "rng_state_1.pth"),
        *(f"global_step20/zero_pp_rank_{rank}_mp_rank_00_model_states.pt" for rank in (0, 1)),
        *(f"global_step20/bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in (0, 1)),
    ],
}
"""What accelerate and DeepSpeed write, beside the rest, for two processes."""


@pytest.mark.parametrize(("layout", "name"), [(layout, name) for layout, names in LAYOUTS.items() for name in names])
def test_the_part_of_one_process_is_missed(checkpoint: Path, layout: str, name: str) -> None:
    for file in LAYOUTS[layout]:
        path = checkpoint / file
        path.parent.mkdir(exist_ok=True)
        if path.suffix in {".pt", ".pth", ".bin"}:
            _archive(path)
        else:
            path.write_bytes(b"part of a process")
    assert whole(checkpoint)
    seal(checkpoint)
    assert whole(checkpoint)
    (checkpoint / name).rename(checkpoint / "elsewhere")
    assert not whole(checkpoint)
    (checkpoint / name).write_bytes((checkpoint / "elsewhere").read_bytes()[:-1])
    assert not whole(checkpoint)


class _Bucket(Place):
    """Downloads from a folder, in the order of the names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def download_folder(self, under: str, folder: Path) -> list[Path]:
        """A file at a time."""
        for place, file in enumerate(path for path in sorted(self.folder.rglob("*")) if path.is_file()):
            found = folder / file.relative_to(self.folder)
            found.parent.mkdir(parents=True, exist_ok=True)
            found.write_bytes(file.read_bytes())
            os.utime(found.parent, (10.0 * place, 10.0 * place))
        return []


def test_fetched_checkpoints_are_as_old_as_their_steps_say_and_broken_ones_are_left_out(checkpoint: Path, tmp_path: Path) -> None:
    """S3 names them in the order of the alphabet, and transformers removes what was changed first."""
    for step in (100, 60, 1000):
        shutil.copytree(checkpoint, tmp_path / "bucket" / f"checkpoint-{step}")
    (tmp_path / "bucket" / "checkpoint-1000" / "files.json").unlink()
    fetch_checkpoints(_Bucket(tmp_path / "bucket"), tmp_path / "output")
    found = sorted((tmp_path / "output").iterdir(), key=lambda folder: folder.stat().st_mtime)
    assert [folder.name for folder in found] == ["checkpoint-60", "checkpoint-100"]
    assert found[1].stat().st_mtime - found[0].stat().st_mtime > 1  # below, transformers does not trust it
    assert found[1].stat().st_mtime < time.time()
    in_order(tmp_path / "nothing")
