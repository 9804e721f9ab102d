"""What the retrieval benchmark reads, what it compares with, and what its figures mean."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.retrieval import (
    Group,
    Question,
    Task,
    by_meaning,
    by_search,
    by_words,
    fused,
    judged,
    load,
    looks_like_code,
    placed,
    ranked,
)
from twin_assets.store.database import Database

CODE = "def open_jar(lid):\n    return lid.twist()\n"
MORE = "class Shelf:\n    jars = []\n\n```\nnot a fence\n```\n"


class Letters:
    """An embedder that counts letters."""

    name = "letters@1"
    spec = "letters"
    dimension = 26
    max_tokens = 256

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        counts = np.array([[1e-3 + text.lower().count(chr(97 + at)) for at in range(26)] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def task(kind: str = "recall", **chunks: str) -> Task:
    return Task(kind, [Group(id, None, {id: text}) for id, text in chunks.items()], [Question("which?", ("a", "b"))])


def write(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        lines = "\n".join(map(json.dumps, content)) if name.endswith("_lines") else json.dumps(content)
        (folder / f"{name}.{'jsonl' if name.endswith('_lines') else 'json'}").write_text(lines)
    return folder


def cookbook(uuid: str, *texts: str) -> dict[str, Any]:
    chunks = [{"chunk_id": f"doc_1_chunk_{at}", "original_index": at, "content": text} for at, text in enumerate(texts)]
    return {"doc_id": "doc_1", "original_uuid": uuid, "content": "".join(texts), "chunks": chunks}


def asked(query: str, *golden: list[Any]) -> dict[str, Any]:
    return {"query": query, "answer": "?", "golden_chunk_uuids": list(golden), "golden_documents": [{"uuid": "u1", "content": "whole"}]}


def test_the_cookbooks_format_is_read(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        codebase_chunks=[cookbook("u1", CODE, MORE), cookbook("u2", "x = 1")],
        evaluation_set_lines=[asked("how?", ["u1", 1], ["u2", 0])],
    )
    found = load(folder)
    assert found.kind == "pass"
    assert found.chunks == {"u1/0": CODE, "u1/1": MORE, "u2/0": "x = 1"}
    assert found.questions == [Question("how?", ("u1/1", "u2/0"))]


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("names", [("chunks", "questions"), ("corpus", "queries"), ("documents", "a_test_set")])
def test_plain_chunks_and_questions_are_read_whatever_their_files_are_called(tmp_path: Path, lines: bool, names: tuple[str, str]) -> None:
    chunks = [{"chunk_id": 1, "text": "on pickles"}, {"chunk_id": "b", "text": "on bread", "title": "Bread"}]
    questions = [{"question": "sour?", "correct_chunks": [1]}, {"question": "soft?", "correct_chunks": "b"}]
    suffix = "_lines" if lines else ""
    found = load(write(tmp_path, **{names[0] + suffix: chunks, names[1] + suffix: questions}))
    assert found.kind == "recall"
    assert found.chunks == {"1": "on pickles", "b": "on bread"}
    assert found.questions == [Question("sour?", ("1",)), Question("soft?", ("b",))]


def test_lists_inside_of_objects_and_a_single_line_are_read(tmp_path: Path) -> None:
    folder = write(
        tmp_path, everything={"chunks": [{"chunk_id": "a", "text": "sour"}]}, one_lines=[{"question": "q", "correct_chunks": ["a"]}]
    )
    assert load(folder).questions == [Question("q", ("a",))]
    folder.joinpath("one_lines.jsonl").write_text("")
    assert load(write(folder, codebook=[cookbook("u", "x")], line_lines=[asked("y", ["u", 0])])).questions == [Question("y", ("u/0",))]


def test_answers_that_are_not_there_are_left_out_and_nothing_to_ask_is_an_error(tmp_path: Path) -> None:
    chunks = [{"chunk_id": "a", "text": "sour"}]
    folder = write(
        tmp_path, chunks=chunks, questions=[{"question": "q", "correct_chunks": ["a", "z"]}, {"question": "r", "correct_chunks": ["z"]}]
    )
    assert load(folder).questions == [Question("q", ("a",))]
    with pytest.raises(SystemExit, match="1 chunks, and 0 questions"):
        load(write(tmp_path, questions=[]))
    tmp_path.joinpath("broken.json").write_text("{")
    with pytest.raises(SystemExit, match="neither JSON nor JSON lines"):
        load(tmp_path)


def test_every_piece_of_a_document_lies_in_one_chunk() -> None:
    group = Group("u", None, {"first": CODE, "second": MORE})
    document = placed(group, "en", is_code=True)
    text = document.document.text_for_rag
    assert text.count("````") == 4, "longer than any fence inside"
    for id, chunk in group.chunks.items():
        at = text.index(chunk)
        assert {document.chunk_at(at), document.chunk_at(at + len(chunk) - 1)} == {id}
    assert placed(group, "en", is_code=False).document.kind == "article"


def test_programs_look_like_code_and_prose_does_not() -> None:
    assert looks_like_code(CODE * 3) and looks_like_code("fn open() {\n    shut();\n}\n")
    assert not looks_like_code("I keep jars.\nSome are sour.\n\nOthers are not; I like them.\n")
    assert not looks_like_code("")


def test_pass_at_k_is_the_share_of_golden_texts_among_the_first_k() -> None:
    chunks = {letter: f"text {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"}
    order = ["z", "y", "a", *"cdefghijk", "b"]
    assert judged(task("pass", **chunks), {"which?": order}) == {"pass_at_5": 50, "pass_at_10": 50, "pass_at_20": 100}
    same = {**chunks, "z": " text b\n"}
    assert judged(task("pass", **same), {"which?": order})["pass_at_5"] == 100, "two chunks of one text are one"


def test_recall_and_the_place_of_the_first_answer() -> None:
    found = judged(task(a="1", b="2", c="3"), {"which?": ["c", "b", "c", "c", "a"]})
    assert found == {"recall_at_3": 0.5, "recall_at_10": 1, "mrr": 0.5}
    assert judged(task(a="1", b="2", c="3"), {"which?": ["c"]}) == {"recall_at_3": 0, "recall_at_10": 0, "mrr": 0}


def test_bm25_prefers_the_rare_word_and_the_shorter_text_and_splits_identifiers() -> None:
    texts = {"a": "the salt", "b": "the salt " + "and the lid " * 9, "c": "the pickleJar"}
    asked_for = [Question(text, ("a",)) for text in ("salt", "pickle", "the jar", "?")]
    scores = by_words(Task("pass", task(**texts).groups, asked_for))
    assert scores[0, 0] > scores[0, 1] > 0 == scores[0, 2]
    assert scores[1].argmax() == scores[2].argmax() == 2
    assert scores[2, 2] > 2 * scores[2, 0] > 0
    assert not scores[3].any()


def test_fusion_adds_the_inverse_of_places() -> None:
    one, other = np.array([[3.0, 2.0, 1.0]]), np.array([[0.1, 0.3, 0.2]])
    assert fused(one, other)[0] == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62])
    assert ranked(task(a="1", b="2", c="3"), fused(one, other)) == {"which?": ["b", "a", "c"]}


def test_the_real_search_finds_chunks_of_code(database: Database) -> None:
    texts = {"jar": CODE, "shelf": MORE, "salt": "def salt_water(grams):\n    return grams * 10\n"}
    questions = [Question("How do I open the jar?", ("jar",)), Question("What does salt_water do?", ("salt",))]
    asking = Task("pass", [Group("kitchen", None, texts), Group("cellar", None, {"wine": "class Wine:\n    year = 1999\n"})], questions)
    embedder: Any = Letters()
    found = by_search(database, asking, embedder)
    assert [found[question.text][0] for question in questions] == ["jar", "salt"]
    assert set(found[questions[0].text]) == {"jar", "shelf", "salt", "wine"}
    assert by_meaning(asking, embedder).shape == (2, 4)
