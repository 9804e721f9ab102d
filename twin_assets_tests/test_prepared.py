import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from twin_assets.prepared import MANIFEST, file_hash, prepared
from twin_assets.store.errors import TwinError


def make(folder: Path) -> dict[str, str]:
    (folder / "inner").mkdir()
    (folder / "inner" / "weights").write_text("heavy")
    return {"colour": "blue"}


def make_slowly(folder: Path) -> dict[str, str]:
    (folder / "half").write_text("done")
    with (folder.parent / "log").open("a") as log:
        log.write("made\n")
    time.sleep(1)
    return make(folder)


def never(folder: Path) -> dict[str, str]:
    raise AssertionError("made again")


def test_it_is_made_once_and_its_facts_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "one"
    assert prepared(folder, make)["colour"] == "blue"
    assert prepared(folder, never)["colour"] == "blue"
    assert set(json.loads((folder / MANIFEST).read_text())["files"]) == {"inner/weights"}


@pytest.mark.parametrize("name", ["inner/weights", MANIFEST])
def test_what_is_missing_is_noticed(tmp_path: Path, name: str) -> None:
    prepared(tmp_path / "one", make)
    (tmp_path / "one" / name).unlink()
    with pytest.raises(TwinError, match="Delete"):
        prepared(tmp_path / "one", never)


def test_what_was_altered_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    prepared(folder, make)
    (folder / "inner" / "weights").write_text("light")
    file_hash.cache_clear()  # as another process would
    with pytest.raises(TwinError, match="weights does not match its hash"):
        prepared(folder, never)


def test_one_process_makes_it_and_the_others_wait(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        facts = pool.starmap(prepared, [(tmp_path / "one", make_slowly)] * 2)
    assert [fact["colour"] for fact in facts] == ["blue", "blue"]
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_killed_process_leaves_nothing_that_counts(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    process = multiprocessing.get_context("spawn").Process(target=prepared, args=(folder, make_slowly))
    process.start()
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert not folder.exists() and (tmp_path / "one.partial" / "half").exists()
    prepared(folder, make)
    assert sorted(path.name for path in folder.iterdir()) == ["inner", MANIFEST]
