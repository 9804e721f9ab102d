import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.features import UNIT_WORDS, count, units
from twin_assets.voice.language_model import GrammarModels, grammar_models, ratio
from twin_assets.voice.tokens import mask, tokens
from twin_assets_tests.voice.voices import texts

_WORDS = "abcd"
_TEXT = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=40)
Grammar = tuple[Counter[str], int]


def _grammar(text: str) -> Grammar:
    (passage,) = count([text])
    return passage["words"].grams, len(list(tokens(text)))


def _grams(*grammars: Grammar) -> list[str]:
    return sorted({gram for counted, _ in grammars for gram in counted})


def _chance(models: GrammarModels, *words: str) -> float:
    """Of the last word after the others."""
    return math.exp(models.log_likelihoods({" ".join(words): 1})[0])


def _voice(name: str, seed: int) -> Grammar:
    return _grammar(mask(" ".join(texts(name, 20, seed))))


@given(_TEXT, st.tuples(st.sampled_from("abcdz"), st.sampled_from("abcdz")))
def test_probabilities_of_what_may_follow_are_probabilities(words: list[str], before: tuple[str, str]) -> None:
    own = _grammar(" ".join(words))
    models = grammar_models(_grams(own), [own])
    after = [_chance(models, *before, word) for word in {*words, "never"}]
    assert all(chance > 0 for chance in after)
    assert sum(after) <= 1 + 1e-9


def test_what_was_seen_more_often_is_more_likely() -> None:
    own = _grammar("so do i so do i so do you so am i")
    models = grammar_models(_grams(own), [own])
    assert _chance(models, "so", "do", "i") > _chance(models, "so", "do", "you") > _chance(models, "so", "do", "am") > 0
    assert _chance(models, "so", "do", "am") > _chance(models, "so", "do", "never")


def test_a_word_after_strange_words_is_as_likely_as_it_is_at_all() -> None:
    own = _grammar("so do i so do i")
    models = grammar_models(_grams(own), [own])
    assert _chance(models, "not", "here", "do") == pytest.approx((2 - 0.75 + 3 * 0.75 / 2000) / 6)


def test_of_two_words_each_is_judged_alone_and_of_none_nothing() -> None:
    own = _grammar("so do i so do i")
    models = grammar_models(_grams(own), [own])
    alone = math.log((2 - 0.75 + 3 * 0.75 / 2000) / 6)
    assert models.log_likelihoods({"do": 1, "i": 3, "do i": 1}).tolist() == pytest.approx([alone])
    assert models.log_likelihoods({}).tolist() == [0]


@pytest.mark.parametrize("own", range(3))
def test_a_voice_explains_its_own_words_best(own: int) -> None:
    names = ["wry", "manual", "coach"]
    voices = [_voice(name, 1) for name in names]
    found = grammar_models(_grams(*voices), voices).log_likelihoods(_voice(names[own], 2)[0])
    assert found.argmax() == own
    assert ratio(found, own, [other for other in range(3) if other != own]) > 0.5
    assert all(ratio(found, other, [own]) < 0 for other in range(3) if other != own)


def test_the_ratio_is_to_the_mean_of_the_others() -> None:
    assert ratio(np.array([-1.0, -2.0, -4.0, -9.0]), 0, [1, 2]) == 2


@pytest.mark.parametrize("left_out", [1, 3])
def test_a_voice_without_a_text_is_as_if_that_had_never_been_learned(left_out: int) -> None:
    parts = units(" ".join(texts("wry", 12, 1)))
    kept, out = parts[:-left_out], parts[-left_out:]
    counted = [sum((part["words"].grams for part in some), Counter()) for some in (parts, kept, out)]
    sizes = [len(some) * UNIT_WORDS for some in (parts, kept, out)]
    whole, without, removed = zip(counted, sizes, strict=True)
    stranger = _voice("coach", 1)
    grams = _grams(whole, stranger)
    found = grammar_models(grams, [stranger, whole]).only(1, *removed)
    wanted = grammar_models(grams, [without])
    assert found.totals.tolist() == wanted.totals.tolist()
    assert (found.counts == wanted.counts).all()
    text = _voice("wry", 2)[0]
    assert found.log_likelihoods(text).tolist() == wanted.log_likelihoods(text).tolist()
    assert found.log_likelihoods(text)[0] != grammar_models(grams, [whole]).log_likelihoods(text)[0]


def test_more_than_a_voice_has_cannot_be_taken_from_it() -> None:
    own = _grammar("so do i")
    models = grammar_models(_grams(own), [own]).only(0, {"so": 9, "never": 3}, 100)
    assert models.counts.min() == 0
    assert models.totals.tolist() == [0]
    assert np.isfinite(models.log_likelihoods(own[0])).all()
