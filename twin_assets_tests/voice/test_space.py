from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from twin_assets.voice.features import VIEWS, Counts, Passage, count
from twin_assets.voice.space import RIDGE, Table, Vectors, count_matrix, directions, fit_scale, means_of, products, table, weights_of
from twin_assets.voice.tokens import mask
from twin_assets_tests.voice.voices import texts

PASSAGES = [passage for voice in ("wry", "manual", "coach") for passage in count([mask(text) for text in texts(voice, 6, 1)])]
LABELS = np.repeat([0, 1, 2], 6)


def _passage(**grams: int) -> Passage:
    return dict.fromkeys(VIEWS, Counts(Counter(grams), sum(grams.values())))


def _table(*rows: dict[str, int]) -> Table:
    return table([_passage(**row) for row in rows], "words")


def _rows() -> Vectors:
    return np.hstack([fit_scale(300, table(PASSAGES, view), LABELS).vectors(PASSAGES, view) for view in VIEWS])


def test_groups_of_rows_are_summed() -> None:
    summed = _table({"a": 3, "b": 1}, {"b": 2}, {"c": 5}).summed([[0, 1], [2], [], [0, 0]])
    assert summed.grams == ("a", "b", "c")
    assert summed.counts.toarray().tolist() == [[3, 3, 0], [0, 0, 5], [0, 0, 0], [6, 2, 0]]
    assert summed.totals.tolist() == [6, 5, 0, 8]


def test_shares_are_of_all_n_grams_also_of_those_that_are_not_listed() -> None:
    counted = table([{"words": Counts(Counter(a=3, b=1), 8), "characters": Counts(Counter(), 0)}], "words")
    assert counted.shares(["b", "a"]).tolist() == [[1 / 8, 3 / 8]]
    assert table([_passage()], "words").shares([]).shape == (1, 0)


def test_the_most_frequent_come_first_and_ties_in_alphabetical_order() -> None:
    assert _table({"d": 1, "b": 1, "a": 1, "c": 2}).most_frequent(3, np.array([0])) == ("c", "a", "b")
    assert _table({"a": 1, "c": 2, "b": 1, "d": 1}).most_frequent(9, np.array([0])) == ("c", "a", "b", "d")


def test_a_class_that_wrote_much_does_not_choose_the_n_grams() -> None:
    rows = _table({"loud": 90, "both": 10}, {"loud": 90, "both": 10}, {"both": 10, "quiet": 30})
    assert rows.most_frequent(3, np.array([0, 0, 1])) == ("loud", "quiet", "both")


@given(st.integers(1, 9))
def test_every_class_weighs_the_same_in_the_scale(times: int) -> None:
    few = fit_scale(50, table(PASSAGES, "words"), LABELS)
    again = [*PASSAGES, *(PASSAGES[:6] * times)]
    many = fit_scale(50, table(again, "words"), np.concatenate([LABELS, np.zeros(6 * times, dtype=int)]))
    assert many.grams == few.grams
    np.testing.assert_allclose(many.mean, few.mean)
    np.testing.assert_allclose(many.spread, few.spread)


def test_vectors_have_unit_length_also_of_an_empty_passage() -> None:
    scale = fit_scale(50, table(PASSAGES, "words"), LABELS)
    found = scale.vectors([*PASSAGES, _passage()], "words")
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)


def test_a_passage_looks_the_same_alone_and_in_a_table() -> None:
    counted = table(PASSAGES, "characters")
    scale = fit_scale(80, counted, LABELS)
    np.testing.assert_allclose(scale.vectors(PASSAGES, "characters"), scale.of_frequencies(counted.shares(scale.grams)))


def test_n_grams_without_a_place_are_left_out() -> None:
    assert count_matrix({"a": 0, "b": 1}, [{"b": 4, "z": 9}, {}]).tolist() == [[0, 4], [0, 0]]


@pytest.mark.parametrize("taken", [range(18), [0, 1, 2, 3, 4, 5, 6, 12, 13]])
def test_the_weights_solve_a_ridge_regression_in_which_every_class_weighs_the_same(taken: list[int]) -> None:
    rows, labels = _rows()[taken], LABELS[taken]
    wanted = np.array([[2 / 3 if label == column else -1 / 3 for column in range(3)] for label in labels])
    importance = np.array([len(labels) / 3 / np.sum(labels == label) for label in labels])
    primal = Ridge(RIDGE, fit_intercept=False, solver="cholesky").fit(rows, wanted, sample_weight=importance).coef_.T
    np.testing.assert_allclose(rows.T @ weights_of(rows @ rows.T, labels, 3), primal, atol=1e-9)


def test_a_class_of_which_nothing_is_learned_has_no_say() -> None:
    rows, labels = _rows()[:12], LABELS[:12]
    found = weights_of(rows @ rows.T, labels, 3)
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-12)
    np.testing.assert_allclose(found[:, :2], weights_of(rows @ rows.T, labels, 2))


def test_the_means_are_the_cosine_to_the_nearest_centroid() -> None:
    rows = _rows()
    learned, asked = np.delete(np.arange(18), [5, 11, 17]), [5, 11, 17]
    found = rows[asked] @ rows[learned].T @ means_of(rows[learned] @ rows[learned].T, LABELS[learned], 3)
    centroids = np.array([rows[learned][LABELS[learned] == label].mean(axis=0) for label in range(3)])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    np.testing.assert_allclose(found, rows[asked] @ centroids.T)
    assert found.argmax(axis=1).tolist() == [0, 1, 2]


def test_directions_give_what_the_cosines_give() -> None:
    vectors = {view: fit_scale(300, table(PASSAGES, view), LABELS).vectors(PASSAGES, view) for view in VIEWS}
    cosines = products(vectors)
    np.testing.assert_allclose(np.diag(cosines), 1)
    weights = weights_of(cosines, LABELS, 3)
    inside = directions(vectors, weights)
    np.testing.assert_allclose(np.sum([vectors[view] @ inside[view] for view in VIEWS], axis=0), cosines @ weights)
