from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.features import UNIT_WORDS, VIEWS, Passage, count, joined, merged, units
from twin_assets.voice.tokens import mask
from twin_assets_tests.voice.voices import texts

_WORDS = st.lists(st.sampled_from(["I", "x", "xed", "do", "don't", ",", "(so)", "0", "—"]), max_size=30)
_STRETCHES = st.lists(_WORDS.map(" ".join), max_size=6)


def _same(one: Passage, other: Passage) -> bool:
    return all(one[view].grams == other[view].grams and one[view].total == other[view].total for view in VIEWS)


def _of(text: str) -> Passage:
    (found,) = count([mask(text)])
    return found


def test_n_grams_are_of_one_to_three_words_and_of_three_and_four_characters() -> None:
    found = _of("So do I.")
    assert found["words"].grams == Counter(["so", "do", "i", ".", "so do", "do i", "i .", "so do i", "do i ."])
    assert {" So", "So ", " So ", "o d", " I.", " I. "} <= set(found["characters"].grams)
    assert {len(gram) for gram in found["characters"].grams} == {3, 4}


def test_two_subjects_in_the_same_manner_look_the_same() -> None:
    assert _of("But the garden was blooming, and I'd slept.") == _of("But the kernel was crashing, and I'd wept.")


def test_two_manners_on_the_same_subject_differ() -> None:
    assert _of("I broke the server.") != _of("The server was broken by me.")


@given(_STRETCHES.filter(all))
def test_the_counts_of_stretches_add_up_to_those_of_the_whole(stretches: list[str]) -> None:
    (whole,) = count([" ".join(stretches)])
    assert _same(merged(count(stretches)), whole)


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_has_n_grams_that_are_counted_in_full(texts: list[str]) -> None:
    for passage in count([mask(text) for text in texts]):
        for view in VIEWS:
            assert all(number > 0 for number in passage[view].grams.values())
            assert passage[view].total == passage[view].grams.total()


def test_units_are_of_fifty_words_and_a_rest_is_left_over() -> None:
    text = " ".join(f"word{number}" for number in range(3 * UNIT_WORDS - 1))
    assert len(units(text)) == 2
    assert len(units(f"{text} more")) == 3
    assert units("too short") == []
    assert _same(merged(units(f"{text} more")), _of(f"{text} more"))


def test_units_keep_the_words_that_they_are_told_to() -> None:
    text = "и вот кот " * 20
    assert "вот" in units(text, frozenset(("и", "вот")))[0]["words"].grams
    assert "вот" not in units(text)[0]["words"].grams


def test_passages_join_consecutive_units_and_leave_a_rest_over() -> None:
    parts = units(texts("wry", 1, 1, words=400)[0])
    assert len(parts) == 8
    together = joined(parts, 3)
    assert len(together) == 2
    assert _same(together[1], merged(parts[3:6]))


def test_merging_does_not_change_what_is_merged() -> None:
    parts = units(texts("wry", 1, 1, words=400)[0])
    before = [Counter(part["words"].grams) for part in parts]
    merged(parts)
    assert [part["words"].grams for part in parts] == before
    assert merged([])["words"].total == 0
