"""What the chunking benchmark reads, and how it scores."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import chunking
from benchmarks.chunking import Corpora, Question, by_pieces, language, length, means, overlap, read, score, splitters, union

spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda ends: (min(ends), max(ends))), max_size=6)


class Letters:
    """An embedder for which texts are alike that have the same letters."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        counts = np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], dtype=np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)


def characters(some: Sequence[tuple[int, int]]) -> set[int]:
    return {at for starts, ends in some for at in range(starts, ends)}


@given(spans, spans)
def test_spans_are_sets_of_characters(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    assert characters(union(some)) == characters(some)
    assert length(union(some)) == len(characters(some))
    assert overlap(union(some), union(others)) == len(characters(some) & characters(others))


def test_a_score_counts_what_was_asked_for_against_all_that_came() -> None:
    question = Question("Why?", "jars", ((0, 10), (20, 30)))
    found = score(question, {"jars": [(5, 15), (10, 25)], "lids": [(0, 20)]})
    assert (found.recall, found.precision, found.iou) == (10 / 20, 10 / 40, 10 / 50)
    assert score(question, {}).recall == 0.0
    assert score(question, {"lids": [(0, 30)]}).precision == 0.0


def test_means_of_nothing_are_nothing() -> None:
    assert means("token_", []) == {"token_recall": None, "token_precision": None, "token_iou": None}


def test_the_public_format_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "general_evaluation_data"
    (folder / "corpora").mkdir(parents=True)
    (folder / "corpora" / "jars.md").write_text("Où est le sel? Ici.", "utf-8")
    with (folder / "questions_df.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["question", "references", "corpus_id"])
        rows.writerow(["Where?", json.dumps([{"content": "Ici.", "start_index": 15, "end_index": 19}]), "jars"])
    (corpora,) = read(tmp_path)
    assert corpora.questions == [Question("Where?", "jars", ((15, 19),))]
    assert corpora.texts["jars"][15:19] == "Ici."


@pytest.mark.parametrize("key", ["corpus", "corpus_id"])
@pytest.mark.parametrize("references", [{"spans": [[0, 4]]}, {"references": [{"start": 0, "end": 4}]}])
@pytest.mark.parametrize("name", ["jars", "jars.txt"])
def test_lines_of_json_are_read(tmp_path: Path, key: str, references: dict[str, object], name: str) -> None:
    (tmp_path / "jars.txt").write_text("Salt.")
    (tmp_path / "other.jsonl").write_text('{"nothing": "of ours"}\n')
    (tmp_path / "questions.jsonl").write_text(json.dumps({"question": "What?", key: name, **references}) + "\n\n")
    (corpora,) = read(tmp_path)
    assert corpora.questions == [Question("What?", name, ((0, 4),))]
    assert corpora.texts == {name: "Salt."}


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text('{"question": "What?", "corpus": "lids", "spans": [[0, 4]]}')
    with pytest.raises(SystemExit, match="no corpus lids"):
        list(read(tmp_path))


def test_golden_chunks_of_code_become_spans_within_their_fence(tmp_path: Path) -> None:
    content = "use jars;\n\nfn salt() {\n}\n\nfn time() {\n}\n"
    pieces = [content[:10], content[11:24], content[26:]]
    chunks = [{"chunk_id": str(at), "original_index": at, "content": piece} for at, piece in enumerate(pieces)]
    (tmp_path / "codebase_chunks.json").write_text(
        json.dumps([{"doc_id": "1", "original_uuid": "u", "content": content, "chunks": chunks}])
    )
    (tmp_path / "evaluation_set.jsonl").write_text(json.dumps({"query": "How long?", "golden_chunk_uuids": [["u", 2], ["gone", 0]]}))
    (corpora,) = read(tmp_path)
    (question,) = corpora.questions
    assert corpora.kind == "code"
    assert corpora.texts["u"] == f"```rust\n{content}\n```"
    assert [corpora.texts["u"][starts:ends] for starts, ends in question.references] == [pieces[2]]


def test_the_language_of_a_file_is_told_by_its_lines() -> None:
    assert language("def f():\n    return 1\n") == "python"
    assert language("#include <jar.h>\nnamespace jars {}\n") == "cpp"
    assert language("12 34 56") == ""


def test_windows_are_found_by_their_likeness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "WINDOW", 10)
    corpora = Corpora("set", {"jars": "a" * 10 + "b" * 10 + "c" * 5}, [Question("bb", "jars", ((12, 15),))])
    windows = splitters()["windows"]
    (found,) = by_pieces(corpora, Letters(), 1, windows)  # pyright: ignore[reportArgumentType]
    assert (found.recall, found.precision) == (1.0, 0.3)


def test_a_splitting_library_gives_spans_of_the_text() -> None:
    text = "# Jars\n\n" + "A jar is closed well. " * 60
    spans = list(splitters()["semantic_text_splitter"](text))
    assert len(spans) > 1
    assert "".join("".join(text[slice(*span)].split()) for span in spans) == "".join(text.split())
