"""What the voice benchmark reads, and what it says of two invented people."""

import argparse
from pathlib import Path

import pytest

from benchmarks.voice import measure, prose, read_authors
from twin_assets_tests.voice.voices import texts


@pytest.fixture
def people(tmp_path: Path) -> Path:
    for name in ("wry", "manual"):
        (tmp_path / name / "deep").mkdir(parents=True)
        for number, text in enumerate(texts(name, 4, 3, words=330)):
            folder = tmp_path / name / ("deep" if number % 2 else "")
            (folder / f"{number}.{'md' if number % 2 else 'txt'}").write_text(text)
    (tmp_path / "notes.txt").write_text("of nobody")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "notes.txt").write_text("of nobody")
    return tmp_path


def _arguments(authors: Path | None) -> argparse.Namespace:
    return argparse.Namespace(authors=authors, words=300, texts=120)


def test_invented_people_are_told_apart_and_beside_the_reference(people: Path) -> None:
    found = measure(_arguments(people))
    assert found.figures["authors"] == 2
    assert found.figures["balanced_accuracy"] == 1
    assert {"auc", "seconds"} <= set(found.figures)
    assert found.reference["chance"] == 0.5
    assert found.reference["nearest_centroid_balanced_accuracy"] <= 1


def test_every_text_of_an_author_is_read_whatever_its_folder(people: Path) -> None:
    assert {name: len(own) for name, own in read_authors(people).items()} == {"manual": 4, "wry": 4}


def test_a_lone_author_is_told_from_nobody(people: Path) -> None:
    for path in (people / "manual").rglob("*.*"):
        path.unlink()
    with pytest.raises(SystemExit, match=r"Not enough evidence: .*Without so many: manual"):
        measure(_arguments(people))
    with pytest.raises(SystemExit, match="--authors DIR"):
        measure(_arguments(None))


def test_markdown_is_read_without_what_is_not_prose() -> None:
    text = "---\ntitle: x\n---\n# Head\nI [said](https://a.b) so.\n\n```py\ncode()\n```\n| a | b |\nAnd <b>why</b>?\n\n    indented()\n"
    assert prose(text).split() == ["I", "said", "so.", "And", "why?"]
