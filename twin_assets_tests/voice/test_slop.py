from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.store.errors import TwinError
from twin_assets.voice.slop import pooled_slop_rate, slop_rate, terms

_PLAIN = st.lists(st.sampled_from(["bread", "rises", "I", "don't", "know,", "why.", "Tuesday"]), min_size=1, max_size=80).map(" ".join)


def test_marks_are_found_in_any_writing_of_them():
    rate = slop_rate("It\u2019s important to note: delving into a rich TAPESTRY is a game-changer, in today's fast\u2011paced world.")
    assert rate.hits == {"in today's fast paced world": 1, "important to note": 1, "delving": 1, "rich tapestry": 1, "game changer": 1}


def test_plain_prose_has_none():
    assert slop_rate("I burned the bread again. The oven runs hot; I knew that. Twice is a habit.").per_1000 == 0


def test_a_long_term_is_one_hit_not_several():
    assert sum(slop_rate("It serves as a testament to patience.").hits.values()) == 1


def test_rate_is_per_thousand_words():
    assert slop_rate("tapestry " + "bread " * 99).per_1000 == 10
    assert pooled_slop_rate(["tapestry", "bread " * 99]).per_1000 == 10


def test_no_words_no_rate():
    assert slop_rate("").per_1000 == 0
    assert slop_rate("\u2014 !? \U0001f600").per_1000 == 0


def test_the_list_is_sound():
    listed = terms()
    assert len(listed) == len(set(listed))
    assert sum(" " not in term for term in listed) >= 140
    assert sum(" " in term for term in listed) >= 80
    assert all(slop_rate(term.replace("*", "ing")).hits for term in listed)


def test_a_list_of_ones_own_is_used_beside_the_projects(slop_terms: Path):
    text = "Stroopwafels rise, as the oven foretold: a rich tapestry."
    assert slop_rate(text).hits == {"rich tapestry": 1}
    assert slop_rate(text, slop_terms).hits == {"stroopwafels": 1, "as the oven foretold": 1, "rich tapestry": 1}
    assert pooled_slop_rate([text, text], slop_terms).per_1000 == slop_rate(text, slop_terms).per_1000
    assert terms(slop_terms) == ["stroopwafel*", "as the oven foretold"]
    assert slop_rate(text).hits == {"rich tapestry": 1}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_list_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "terms.txt").write_bytes(content)
    with pytest.raises(TwinError, match=r"terms\.txt cannot be read .*Mend TWIN_SLOP_TERMS"):
        slop_rate("bread", tmp_path / "terms.txt")


@given(_PLAIN, st.integers(0, 5))
def test_each_mark_added_is_counted(text: str, marks: int):
    assert sum(slop_rate(text + " moreover bread" * marks).hits.values()) == marks


@given(st.text())
def test_any_text_gets_a_finite_rate(text: str):
    assert 0 <= slop_rate(text).per_1000 <= 1000
