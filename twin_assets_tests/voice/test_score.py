from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.profile import VoiceError, VoiceProfile
from twin_assets.voice.score import attribute, attribution_rate, score
from twin_assets.voice.tokens import opening
from twin_assets_tests.voice.voices import texts


def test_own_texts_score_high_and_others_low(profile: VoiceProfile) -> None:
    own = [score(profile, text) for text in texts("wry", 20, 7, words=160)]
    others = [score(profile, text) for voice in ("manual", "coach") for text in texts(voice, 10, 7, words=160)]
    assert min(found.score for found in own) > 0.8
    assert max(found.score for found in others) < 0.2
    assert all(found.own and found.attributed_to == "wry" and found.margin > 0 for found in own)
    assert not any(found.own or found.margin > 0 for found in others)


def test_a_known_control_is_named(profile: VoiceProfile) -> None:
    assert {attribute(profile, text).author for text in texts("coach", 10, 7)} == {"coach"}


def test_typicality_is_the_rank_among_the_authors_own_passages(profile: VoiceProfile) -> None:
    found = [score(profile, text).typicality for text in texts("wry", 60, 7, words=160)]
    assert 0.3 < sum(found) / len(found) < 0.7
    assert score(profile, texts("manual", 1, 7, words=160)[0]).typicality == 0


def test_short_texts_are_calibrated_for_their_length(profile: VoiceProfile) -> None:
    short = [opening(text, 40) for text in texts("wry", 20, 7)]
    assert fmean(score(profile, text).score for text in short) > 0.8
    assert max(score(profile, opening(text, 40)).score for text in texts("manual", 20, 7)) < 0.2


def test_what_comes_after_150_words_is_not_looked_at(profile: VoiceProfile) -> None:
    start = " ".join(texts("wry", 1, 7, words=200)[0].split()[:150])
    assert score(profile, f"{start} {texts('manual', 1, 7, words=400)[0]}") == score(profile, start)


@pytest.mark.parametrize("text", ["", "  \n", "...!?", "123 456"])
def test_no_words_are_nobodys(profile: VoiceProfile, text: str) -> None:
    found = score(profile, text)
    assert (found.score, found.attributed_to, found.own) == (0, "", False)


def test_the_rate_is_a_share(profile: VoiceProfile) -> None:
    assert attribution_rate(profile, [*texts("wry", 3, 7), *texts("coach", 1, 7)]) == 0.75


def test_the_rate_of_nothing_is_an_error(profile: VoiceProfile) -> None:
    with pytest.raises(VoiceError, match="no text"):
        attribution_rate(profile, [])


@given(st.text())
def test_any_text_has_a_score(profile: VoiceProfile, text: str) -> None:
    found = score(profile, text)
    assert 0 <= found.score <= 1
    assert 0 <= found.typicality <= 1
    assert found.words <= 150
    assert set(found.similarities) == set(profile.voices)
    assert all(-1.001 <= similarity <= 1.001 for similarity in found.similarities.values())
    assert found.own == (found.attributed_to == "wry")
