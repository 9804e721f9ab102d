import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.features import count_grams, habits
from twin_assets.voice.tokens import FUNCTION_WORDS, PIECE_WORDS, mask, opening, pieces, plain, tokens


def test_the_subject_is_masked_and_the_manner_stays() -> None:
    assert (
        mask("I can't say that Michael's servers were quickly rebuilding 3.5 of them.")
        == "I can't say that X's xs were xly xing 0 of them."
    )


def test_two_subjects_in_the_same_manner_look_the_same() -> None:
    assert count_grams("But the garden was blooming, and I'd slept.") == count_grams("But the kernel was crashing, and I'd wept.")


def test_two_manners_on_the_same_subject_differ() -> None:
    assert count_grams("I broke the server.") != count_grams("The server was broken by me.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't", ["do", "n't"]),
        ("It's you're I'll", ["it", "'s", "you", "'re", "i", "'ll"]),
        ("Wait... what?!", ["wait", "...", "what", "?", "!"]),
    ],
)
def test_contractions_and_marks_are_words_of_their_own(text: str, expected: list[str]) -> None:
    assert list(tokens(text)) == expected


@pytest.mark.parametrize(
    ("typed", "typeset"),
    [
        ('I\'d say "no"...', "I’d say “no”…"),
        ("see x now", "see https://example.com/a?b=c now"),
        ("run x now", "run `rm -rf /` now"),
        ("mail x now", "mail jo@example.com now"),
        ("bold", "**𝗯𝗼𝗹𝗱**"),
    ],
)
def test_what_a_platform_does_to_a_text_does_not_count(typed: str, typeset: str) -> None:
    assert plain(typeset) == typed


def test_the_lists_of_words_are_of_use() -> None:
    assert {"i", "the", "but", "n't", "'s", "ourselves"} <= FUNCTION_WORDS
    assert not {"server", "garden", "x", ""} & FUNCTION_WORDS
    assert 250 <= len(FUNCTION_WORDS) <= 300


def test_pieces_join_short_texts_and_cut_long_ones() -> None:
    cut = pieces(["one " * 100, "two " * 100, "three " * 120])
    assert [len(piece.split()) for piece in cut] == [PIECE_WORDS, PIECE_WORDS]
    assert cut[0].split().count("two") == 50
    assert pieces(["too short"]) == []


def test_only_the_opening_is_looked_at() -> None:
    assert opening("a " * 150 + "b") == opening("a " * 500)
    assert len(opening("字" * 100_000)) <= 40 * PIECE_WORDS


def test_habits_are_counted_per_1000_words() -> None:
    found = habits("I don't know; you do! The dog's bone isn't here.")
    assert found["I per 1,000"] == found["you per 1,000"] == found["; per 1,000"] == found["! per 1,000"] == 100
    assert found["contractions per 1,000"] == 200  # not the dog's
    assert found["sentence length"] == 5
    assert found["sentence length spread"] == 0


@given(st.text())
def test_any_text_has_features(text: str) -> None:
    assert plain(text) == " ".join(plain(text).split())
    assert all(number > 0 for counts in count_grams(text).values() for number in counts.values())
    assert all(value >= 0 for value in habits(text).values())
    assert len(opening(text, 5).split()) <= 5
