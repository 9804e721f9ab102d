import re
from pathlib import Path

import numpy as np
import pytest

from twin_assets.sample import control_texts
from twin_assets.store.errors import TwinError
from twin_assets.voice.controls import MACHINE, NUMBERS, STORED_PASSAGES, control_voices, stored_voices, write_voices
from twin_assets.voice.explain import readable
from twin_assets.voice.features import VIEWS, count
from twin_assets.voice.tokens import mask, tokens
from twin_assets_tests.voice.voices import texts

_PLACEHOLDER = re.compile(r"x(tion|ment|ness|able|ing|est|ful|ous|ity|ed|ly|er|al|ic|s)?")
PEOPLE = {"ann": texts("wry", 30, 1), "bo": texts("coach", 3, 1), "cy": texts("manual", 30, 1)}


def test_eighty_writers_come_with_the_project_one_of_them_a_machine() -> None:
    voices = stored_voices()
    assert len(voices) == len({one.name for one in voices}) == 80
    assert [one.name for one in voices if one.machine] == [MACHINE]
    assert all(len(one.passages) >= 10 for one in voices)
    assert all(one.habits for one in voices)
    assert [one.name for one in control_voices()] == [*control_texts(), *(one.name for one in voices)]


def test_nobodys_sentence_is_among_the_stored_voices() -> None:
    units = [unit for one in stored_voices() for unit in one.units]
    words = {gram for unit in units for gram in unit["words"].grams}
    characters = {gram for unit in units for gram in unit["characters"].grams}
    assert len(words) > 10_000 < len(characters) + 1
    assert not [gram for gram in words if len(gram.split(" ")) > 3]
    assert not [gram for gram in characters if len(gram) > 4]
    said = {word for gram in words for word in gram.split(" ")}
    assert not [word for word in said if not readable(word) and not _PLACEHOLDER.fullmatch(word)]
    assert not any(one.sentences for one in stored_voices())


def test_the_file_of_the_stored_voices_holds_nothing_else() -> None:
    with np.load(NUMBERS) as stored:
        assert set(stored.files) == {"about", *(f"{view}_{part}" for view in VIEWS for part in ("starts", "grams", "counts", "totals"))}
        about = stored["about"].tobytes().decode()
    assert re.fullmatch(r'\{"format": 1, "grams": \{.*\}, "voices": \[.*\]\}', about, re.DOTALL)


def test_voices_survive_their_file_and_people_with_too_little_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "voices.npz"
    machine = texts("coach", 30, 2)
    written = write_voices(PEOPLE, machine, path)
    read = stored_voices(path)
    assert [one.name for one in read] == [one.name for one in written] == ["writer-01", "writer-03", MACHINE]
    assert [one.machine for one in read] == [False, False, True]
    assert len(read[0].passages) == STORED_PASSAGES
    for one, other in zip(read, written, strict=True):
        assert one.habits == pytest.approx(dict(other.habits), abs=0.006)
        assert len(one.units) == len(other.units)
        for unit, was in zip(one.units, other.units, strict=True):
            assert unit == was  # so few words that every n-gram is among the commonest


def test_the_same_people_make_the_same_file(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_voices(PEOPLE, [], tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_no_word_of_the_people_is_in_their_file(tmp_path: Path) -> None:
    write_voices(PEOPLE, [], tmp_path / "voices.npz")
    with np.load(tmp_path / "voices.npz") as stored:
        about = stored["about"].tobytes().decode()
    assert '"xs"' in about or '"x"' in about
    assert not re.search(r"kettle|harbour|trust|persons|ann\b|cy\b", about)


def test_where_nobody_wrote_enough_there_is_nothing_to_store(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="Nobody has 10 passages"):
        write_voices({"bo": texts("coach", 3, 1)}, [], tmp_path / "voices.npz")
    assert not (tmp_path / "voices.npz").exists()


@pytest.mark.parametrize("keep", [0, 4, 300, -50])
def test_a_broken_file_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(NUMBERS.read_bytes()[:keep])
    with pytest.raises(TwinError, match=r"broken\.npz does not hold control voices"):
        stored_voices(path)


def test_a_missing_file_and_another_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"none\.npz does not hold control voices"):
        stored_voices(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", about=np.frombuffer(b'{"format": 7}', dtype=np.uint8))
    with pytest.raises(TwinError, match=r"other\.npz has format 7, this version reads 1"):
        stored_voices(tmp_path / "other.npz")


def test_stored_counts_are_those_of_masked_text() -> None:
    masked = mask("I can't say that Michael's servers were rebuilding.")
    (passage,) = count([masked])
    assert {gram for gram in passage["words"].grams if " " not in gram} == set(tokens(masked))
