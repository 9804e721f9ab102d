import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.explain import Explanation, explain, in_words, readable
from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.score import Reading, read, score
from twin_assets.voice.tokens import sentences
from twin_assets_tests.voice.voices import mixed, texts

WRY = texts("wry", 1, 9, words=300)[0]
PLANTED = "Where a ledger is not given, the ledger may be used instead of it."


def _explained(profile: VoiceProfile, text: str) -> Explanation:
    reading = read(profile, text)
    assert isinstance(reading, Reading), reading
    return explain(reading)


def test_a_foreign_habit_is_named_with_its_rate(among_writers: VoiceProfile) -> None:
    planted = {pull.feature: pull for pull in _explained(among_writers, WRY.replace(", ", " however, ")).pulls}
    assert not any("however" in pull.feature for pull in _explained(among_writers, WRY).pulls)
    (found,) = (pull for feature, pull in planted.items() if "however" in feature)
    assert found.text > 20
    assert found.author == 0
    assert found.sentence.endswith("per 1,000 words and marks, the author has 0.0, so more than usual")


def test_a_habit_that_is_missing_is_named(profile: VoiceProfile) -> None:
    bare = WRY.replace("!", ".").replace("?", ".").replace("(", "").replace(")", "")
    pulls = _explained(profile, bare).pulls
    assert any(pull.text == 0 < pull.author and pull.sentence.endswith("so less than usual") for pull in pulls)
    assert any("(" in pull.feature or ")" in pull.feature or "!" in pull.feature or "bracket" in pull.feature for pull in pulls)


def test_pulls_are_ten_at_the_most_the_strongest_first_and_none_repeats_another(profile: VoiceProfile) -> None:
    pulls = _explained(profile, texts("manual", 1, 9, words=300)[0]).pulls
    weights = [pull.weight for pull in pulls]
    assert 5 <= len(pulls) <= 10
    assert weights == sorted(weights, reverse=True)
    assert 0 < sum(weights) <= 1
    assert len({pull.feature for pull in pulls}) == len(pulls)


@pytest.mark.parametrize("text", [WRY, mixed(1, 300), texts("coach", 1, 9, words=300)[0]])
def test_what_is_as_usual_is_no_pull(among_writers: VoiceProfile, text: str) -> None:
    assert all(round(pull.text, 1) != round(pull.author, 1) for pull in _explained(among_writers, text).pulls)


def test_a_planted_sentence_is_the_odd_one_and_without_it_the_score_is_higher(profile: VoiceProfile) -> None:
    own = sentences(texts("wry", 1, 9, words=150)[0])
    text = " ".join([*own[:3], PLANTED, *own[3:]])
    odd = _explained(profile, text).sentences
    assert odd[0].sentence == PLANTED
    assert odd[0].weight > 0
    assert all(odd[0].weight > 5 * other.weight for other in odd[1:])
    with_it, without = score(profile, text), score(profile, " ".join(own))
    assert without.score > with_it.score  # pyright: ignore[reportAttributeAccessIssue]


def test_odd_sentences_of_a_long_text_are_the_foreign_ones(profile: VoiceProfile) -> None:
    own = sentences(texts("wry", 1, 9, words=900)[0])
    planted = sentences(texts("manual", 1, 5, words=30)[0])[:2]
    odd = _explained(profile, " ".join([*own[:20], planted[0], *own[20:40], planted[1], *own[40:]])).sentences
    assert {one.sentence for one in odd[:2]} == set(planted)
    assert len(odd) <= 3


def test_a_single_sentence_cannot_be_left_out(profile: VoiceProfile) -> None:
    reading = read(profile, texts("wry", 1, 7, words=120)[0])
    assert isinstance(reading, Reading)
    one = Reading(profile, reading.sentences[:1], reading.passages[:1], reading.pieces[:1])
    assert explain(one).sentences == ()


@pytest.mark.parametrize(
    ("gram", "said"),
    [
        (";", "semicolons"),
        ("however ,", "“however,”"),
        ("do n't", "“don't”"),
        (", and i", "“, and i”"),
        ("( and", "“(and”"),
        ("0 of", "“(number) of”"),
        ("n't", "n't (contracted not)"),
    ],
)
def test_n_grams_are_named_as_a_person_would(gram: str, said: str) -> None:
    assert in_words(gram) == said


def test_only_n_grams_of_kept_words_and_marks_can_be_named() -> None:
    assert readable("however , i")
    assert readable("0 ( —")
    assert not readable("the xing")
    assert readable("вот ,", frozenset(("вот",)))
    assert not readable("вот ,")


@given(
    st.lists(
        st.sampled_from(["I was there.", "Of it, the kettle is.", "You!", "(so it is)", "Why is the", "not 7 of —"]),
        min_size=20,
        max_size=60,
    )
)
def test_anything_that_can_be_judged_can_be_explained(profile: VoiceProfile, parts: list[str]) -> None:
    reading = read(profile, " ".join(parts))
    if isinstance(reading, Reading):
        found = explain(reading)
        assert all(0 < pull.weight <= 1 for pull in found.pulls)
        assert all(odd.weight > 0 and odd.sentence in reading.sentences for odd in found.sentences)
