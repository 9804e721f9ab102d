import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.fingerprint import changes, fingerprint
from twin_assets.ingest.watch import WEB_INTERVAL, Memory, look


def test_a_fingerprint_changes_with_any_file(tmp_path: Path) -> None:
    seen = [fingerprint(str(tmp_path))]
    (tmp_path / "a.md").write_text("one")
    seen.append(fingerprint(str(tmp_path)))
    os.utime(tmp_path / "a.md", ns=(1, 1))
    seen.append(fingerprint(str(tmp_path)))
    (tmp_path / "a.md").rename(tmp_path / "b.md")
    seen.append(fingerprint(str(tmp_path)))
    assert len(set(seen)) == 4
    assert fingerprint(str(tmp_path)) == seen[-1]
    with pytest.raises(SourceError, match="missing"):
        fingerprint(str(tmp_path / "missing"))


PLACES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"))


@given(PLACES, PLACES)
def test_changes_take_one_state_to_the_other(previous: dict[str, str], current: dict[str, str]) -> None:
    found = changes(previous, current)
    rebuilt = {k: v for k, v in previous.items() if k not in found.removed} | {k: current[k] for k in (*found.added, *found.changed)}
    assert rebuilt == current
    assert bool(found) == (previous != current)


def test_looking_twice_finds_a_change_once() -> None:
    marks = {"a": "1", "b": "1"}
    sources = {"jane": ["a"], "joe": ["b"]}
    memory, found = look(Memory(), sources, marks.__getitem__, 0)
    assert set(found) == {"jane", "joe"}
    memory, found = look(Memory.load(memory.dump()), sources, marks.__getitem__, 1)
    assert not found
    marks["a"] = "2"
    memory, found = look(memory, sources, marks.__getitem__, 2)
    assert found["jane"].changed == ("a",) and set(found) == {"jane"}
    marks["a"] = "1"  # back to what it was, which is a change again
    assert set(look(memory, sources, marks.__getitem__, 3)[1]) == {"jane"}


def test_a_failed_look_is_no_change() -> None:
    def fail(place: str) -> str:
        raise SourceError(f"{place} is away")

    memory, found = look(Memory({"jane": {"a": "1"}}), {"jane": ["a"]}, fail, 0)
    assert not found
    assert memory.fingerprints == {"jane": {"a": "1"}}
    assert look(Memory(), {"jane": ["a"]}, fail, 0)[1] == {}


def test_a_web_address_is_not_asked_at_every_tick() -> None:
    asked: list[str] = []

    def read(place: str) -> str:
        asked.append(place)
        return str(len(asked))

    memory = Memory()
    for now in (10_000, 10_030, 10_000 + WEB_INTERVAL):
        memory, _ = look(memory, {"jane": ["https://me.example"]}, read, now)
    assert len(asked) == 2


@given(st.text() | st.just("[1]") | st.just('{"fingerprints": 3}'))
def test_any_cursor_is_survived(cursor: str) -> None:
    assert isinstance(Memory.load(cursor), Memory)
