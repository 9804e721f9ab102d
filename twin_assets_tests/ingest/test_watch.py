import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.fingerprint import changes, fingerprint
from twin_assets.ingest.watch import Memory, look
from twin_assets.store.registry import SourceConfig

HOURLY = "0 * * * *"
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def mark(location: object) -> str:
    return fingerprint(SourceConfig(str(location)), HOURLY, NOW)


def test_a_fingerprint_changes_with_any_file(tmp_path: Path) -> None:
    seen = [mark(tmp_path)]
    (tmp_path / "a.md").write_text("one")
    seen.append(mark(tmp_path))
    os.utime(tmp_path / "a.md", ns=(1, 1))
    seen.append(mark(tmp_path))
    (tmp_path / "a.md").rename(tmp_path / "b.md")
    seen.append(mark(tmp_path))
    assert len(set(seen)) == 4
    assert mark(tmp_path) == seen[-1]
    with pytest.raises(SourceError, match="missing"):
        mark(tmp_path / "missing")


PLACES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"))


@given(PLACES, PLACES)
def test_changes_take_one_state_to_the_other(previous: dict[str, str], current: dict[str, str]) -> None:
    found = changes(previous, current)
    rebuilt = {k: v for k, v in previous.items() if k not in found.removed} | {k: current[k] for k in (*found.added, *found.changed)}
    assert rebuilt == current
    assert bool(found) == (previous != current)


def test_looking_twice_finds_a_change_once() -> None:
    marks = {"a": "1", "b": "1"}
    sources = {"jane": [SourceConfig("a")], "joe": [SourceConfig("b")]}

    def read(config: SourceConfig) -> str:
        return marks[config.location]

    memory, found = look(Memory(), sources, read)
    assert set(found) == {"jane", "joe"}
    memory, found = look(Memory.load(memory.dump()), sources, read)
    assert not found
    marks["a"] = "2"
    memory, found = look(memory, sources, read)
    assert found["jane"].changed == ("a",) and set(found) == {"jane"}
    marks["a"] = "1"  # back to what it was, which is a change again
    assert set(look(memory, sources, read)[1]) == {"jane"}


def test_a_failed_look_is_no_change() -> None:
    def fail(config: SourceConfig) -> str:
        raise SourceError(f"{config.location} is away")

    memory, found = look(Memory({"jane": {"a": "1"}}), {"jane": [SourceConfig("a")]}, fail)
    assert not found
    assert memory.fingerprints == {"jane": {"a": "1"}}
    assert look(Memory(), {"jane": [SourceConfig("a")]}, fail)[1] == {}


def test_the_web_is_read_by_its_schedule() -> None:
    def at(minutes: int, schedule: str | None = None) -> str:
        return fingerprint(SourceConfig("https://me.example", schedule=schedule), HOURLY, NOW + timedelta(minutes=minutes))

    assert at(0) == at(29) != at(31)
    assert at(0, "0 6 * * *") == at(60 * 17, "0 6 * * *") != at(60 * 18, "0 6 * * *")


def test_what_the_owner_says_of_a_source_is_a_change(tmp_path: Path) -> None:
    assert mark(tmp_path) != fingerprint(SourceConfig(str(tmp_path), ai_assisted=True), HOURLY, NOW)


@given(st.text() | st.just("[1]") | st.just('{"fingerprints": 3}'))
def test_any_cursor_is_survived(cursor: str) -> None:
    assert isinstance(Memory.load(cursor), Memory)
