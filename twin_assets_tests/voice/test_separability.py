import pytest

from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.separability import Separability, separability
from twin_assets_tests.voice.voices import texts

OWN = texts("wry", 40, 1, words=120)


def _measured(twin: list[str], author: list[str]) -> Separability:
    found = separability(twin, author)
    assert isinstance(found, Separability), found
    return found


def test_a_twin_that_writes_as_the_author_does_cannot_be_told_apart() -> None:
    found = _measured(texts("wry", 40, 2, words=120), OWN)
    assert 0.3 < found.auc < 0.7
    assert found.low < 0.5 < found.high
    assert found.pairs == 40


@pytest.mark.parametrize("other", ["coach", "manual"])
def test_a_twin_of_another_voice_is_always_told_apart(other: str) -> None:
    found = _measured(texts(other, 20, 2, words=120), OWN[:20])
    assert found.auc > 0.98
    assert found.low > 0.9


def test_half_a_twin_is_told_apart_half_of_the_time() -> None:
    twin = [*texts("wry", 20, 2, words=120), *texts("coach", 20, 2, words=120)]
    found = _measured(twin[::2] + twin[1::2], OWN)
    assert 0.6 < found.auc < 0.95
    assert found.low < found.auc < found.high


def test_more_pairs_make_it_surer() -> None:
    few, many = (_measured(texts("wry", number, 2), texts("wry", number, 1)) for number in (10, 60))
    assert few.high - few.low > 1.3 * (many.high - many.low)


def test_neither_length_nor_subject_tells_a_twin_apart() -> None:
    longer = texts("wry", 40, 2, words=400)
    other_subject = [text.replace("server", "planet").replace("kettle", "nebula") for text in longer]
    assert 0.3 < _measured(other_subject, OWN).auc < 0.7


def test_fewer_than_ten_pairs_are_not_enough() -> None:
    found = separability(texts("coach", 9, 2), OWN[:9])
    assert isinstance(found, NotEnough)
    assert "9 pairs of texts of at least 50 words, 10 are needed" in found.reason
    assert "TWIN_EVAL_PROMPTS" in found.reason
    assert isinstance(separability([], []), NotEnough)


@pytest.mark.parametrize("empty", ["", "  ", "Too short.", "字" * 400])
def test_a_pair_in_which_one_says_nothing_is_left_out(empty: str) -> None:
    twin = [*texts("coach", 12, 2), empty]
    assert _measured(twin, OWN[:13]).pairs == 12
    assert isinstance(separability([*twin[:9], empty], OWN[:10]), NotEnough)


def test_every_text_needs_its_other_half() -> None:
    with pytest.raises(ValueError, match="zip"):
        separability(OWN, OWN[:-1])
