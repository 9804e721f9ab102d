import numpy as np
import pytest

from twin_assets.voice.encoder import SecondOpinion, second_opinion
from twin_assets.voice.evidence import NotEnough
from twin_assets_tests.voice.voices import texts

OTHERS = {"manual": texts("manual", 8, 1), "coach": texts("coach", 8, 1)}


def by_marks(many: list[str]) -> np.ndarray:
    """An encoder of style: how often each mark and small word occurs."""
    counts = np.array(
        [[text.lower().count(mark) + 0.1 for mark in ("i ", "you", "the ", "'", "!", ";", ":", "?", " is ", "—")] for text in many]
    )
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def by_nothing(many: list[str]) -> np.ndarray:
    """An encoder that sees no style."""
    return np.ones((len(many), 3)) / np.sqrt(3)


def test_an_encoder_that_knows_the_author_may_speak() -> None:
    found = second_opinion("wry", by_marks, texts("wry", 8, 1), texts("wry", 8, 2), OTHERS)
    assert isinstance(found, SecondOpinion)
    assert found.right > 0.9
    assert found.own([*texts("wry", 3, 9), *texts("coach", 3, 9), ""]) == [True] * 3 + [False] * 4


def test_an_encoder_that_knows_nobody_may_not() -> None:
    found = second_opinion("wry", by_nothing, texts("wry", 8, 1), texts("wry", 8, 2), OTHERS)
    assert isinstance(found, NotEnough)
    assert "50% of the cases, 80% are needed" in found.reason


@pytest.mark.parametrize(
    ("own", "unseen", "others"), [(2, 8, OTHERS), (8, 2, OTHERS), (8, 8, {}), (8, 8, {"manual": texts("manual", 2, 1)})]
)
def test_a_trial_needs_texts_of_both_sides(own: int, unseen: int, others: dict[str, list[str]]) -> None:
    found = second_opinion("wry", by_marks, texts("wry", own, 1), texts("wry", unseen, 2), others)
    assert isinstance(found, NotEnough)
    assert "4 texts of each side" in found.reason
