"""What the embedding benchmark measures with."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from benchmarks.embedding import Counting, cosines, neighbours_kept, read, shuffled, sync_twice, texts_of, writes
from twin_assets.models import Embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets_tests.features.conftest import minilm  # noqa: F401  # fixture
from twin_assets_tests.features.embedders import Hashing


def circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_neighbours_are_counted_without_the_row_itself() -> None:
    before = circle(0, 10, 30, 60, 100)
    assert neighbours_kept(before, before, k=2) == 1
    assert neighbours_kept(before, 7 * before[:, ::-1], k=2) == 1, "neither length nor direction of the whole counts"
    # 0 has 10, 30; 10 has 0, 30; 30 has 10, 0 (by 30) or 60; 60 has 30, 100; 100 has 60, 30
    after = circle(0, 10, 45, 60, 100)  # 30 moved: it has 60, 10 now, and 60 has 30, 100 still; 0 and 10 keep theirs
    assert neighbours_kept(before, after, k=1) == pytest.approx(4 / 5)


@given(st.integers(0, 1000))
def test_noise_keeps_some_neighbours(seed: int) -> None:
    choose = np.random.default_rng(seed)
    one, other = choose.normal(size=(2, 30, 5))
    kept = neighbours_kept(one, other)
    assert 0 < kept < 0.8
    assert kept == pytest.approx(neighbours_kept(other, one))


def test_cosines_are_by_row_and_without_length() -> None:
    assert cosines(circle(0, 0, 0), 3 * circle(0, 60, 180)) == pytest.approx([1, 0.5, -1])


def test_markdown_files_are_read_and_split_like_articles(tmp_path: Path, minilm: Embedder) -> None:  # noqa: F811
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.md").write_text("# Salt\n\n" + "The cook counts the jars again, and one is missing. " * 60)
    (tmp_path / "two.md").write_text("Short.")
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "three.txt").write_text("Not Markdown.")
    documents = read(tmp_path)
    assert len(documents) == 2 and len({document.id for document in documents}) == 2
    texts = texts_of(documents, minilm)
    assert len(texts) > 3 and "Short." in texts
    assert all(minilm.count_tokens(one) <= minilm.max_tokens - 2 for one in texts)


def test_shuffling_keeps_every_text_once() -> None:
    texts = [f"text {number}" for number in range(50)]
    mixed = shuffled([*texts, *texts])
    assert sorted(mixed) == sorted(texts) and mixed != texts
    assert mixed == shuffled(texts)


class Words(Hashing):
    """Counts as the benchmark asks a model to."""

    max_tokens = 64


def test_a_second_sync_is_counted(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# Salt\n\n" + "The cook counts the jars again, and one is missing. " * 60)
    home = settings.model_copy(update={"home": settings.home / "benchmark"})
    figures = sync_twice(home, Words(), read(tmp_path), 10)  # pyright: ignore[reportArgumentType]
    assert (figures["noop_writes"], figures["noop_encodes"]) == (0, 0)


def test_every_write_is_counted(database: Database) -> None:
    before = writes(database)
    for statement in (
        "insert into features.models (name, spec, dimension) select n, 'x', 3 from unnest(array['a', 'b', 'c']) as n",
        "update features.models set dimension = 4 where name <> 'a'",
        "delete from features.models where name = 'a'",
        "insert into features.models (name, spec, dimension) values ('b', 'x', 3) on conflict do nothing",
    ):
        with database.begin() as connection:
            connection.execute(text(statement))
    assert writes(database) - before == 3 + 2 + 1


def test_encodes_are_counted(minilm: Embedder) -> None:  # noqa: F811
    counting = Counting(minilm)
    assert counting.encode(["one", "two"]).shape == (2, counting.dimension) and counting.encoded == 2
