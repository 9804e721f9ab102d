from math import log
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.evidence import MIN_WORDS, NotEnough
from twin_assets.voice.profile import VoiceError, VoiceProfile
from twin_assets.voice.score import MAX_WORDS, Reading, VoiceScore, attribution_rate, read, score, score_of
from twin_assets_tests.voice.voices import foreign, mixed, texts, without_spaces

_ANY = st.lists(
    st.sampled_from(
        ["I", "was", "the", "kettle", "(and", "this)", "—", "don't", "You", "of.", "No!", "is", "it.", "\n\n", "7", "why?", "字"]
    ),
    min_size=30,
    max_size=150,
).map(" ".join)


def _found(profile: VoiceProfile, text: str) -> VoiceScore:
    found = score(profile, text)
    assert isinstance(found, VoiceScore), found
    return found


def _opening(text: str, words: int) -> str:
    return " ".join(text.split()[:words])


def test_own_texts_score_high_and_others_low(profile: VoiceProfile) -> None:
    own = [_found(profile, text) for text in texts("wry", 20, 7, words=160)]
    others = [_found(profile, text) for voice in ("manual", "coach") for text in texts(voice, 10, 7, words=160)]
    assert min(found.score for found in own) > 0.8
    assert max(found.score for found in others) < 0.2
    assert all(found.own and found.attributed_to == "wry" for found in own)
    assert not any(found.own or found.inside for found in others)
    assert fmean(found.inside for found in own) > 0.8


def test_real_writers_are_not_taken_for_the_author(among_writers: VoiceProfile) -> None:
    assert min(_found(among_writers, text).score for text in texts("wry", 10, 7, words=160)) > 0.8
    assert max(_found(among_writers, text).score for voice in ("manual", "coach") for text in texts(voice, 10, 7, words=160)) < 0.2


def test_a_known_control_is_named(profile: VoiceProfile) -> None:
    assert {_found(profile, text).attributed_to for text in texts("coach", 10, 7)} == {"coach"}


def test_typicality_is_the_rank_among_the_authors_own_passages(profile: VoiceProfile) -> None:
    found = [_found(profile, text).typicality for text in texts("wry", 60, 7, words=160)]
    assert 0.3 < fmean(found) < 0.7
    stranger = _found(profile, texts("manual", 1, 7, words=160)[0])
    assert (stranger.typicality, stranger.inside) == (0, False)


def test_short_texts_are_calibrated_for_their_length(profile: VoiceProfile) -> None:
    own, other = ([_opening(text, MIN_WORDS) for text in texts(voice, 20, 7)] for voice in ("wry", "manual"))
    assert fmean(_found(profile, text).score for text in own) > 0.8
    assert max(_found(profile, text).score for text in other) < 0.2
    assert read(profile, own[0]).calibration.words == 50  # pyright: ignore[reportAttributeAccessIssue]


def test_the_interval_holds_the_score_and_narrows_with_the_length(profile: VoiceProfile) -> None:
    widths: list[float] = []
    for words in (60, 300, 2400):
        found = [_found(profile, mixed(seed, words)) for seed in range(6)]
        assert all(one.low <= one.score <= one.high for one in found)
        widths.append(fmean(_log_odds(one.high) - _log_odds(one.low) for one in found))
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2] > 0


def _log_odds(chance: float) -> float:
    return log(chance / (1 - chance))


def test_the_same_text_has_the_same_interval(profile: VoiceProfile) -> None:
    text = mixed(1, 200)
    assert score(profile, text) == score(profile, text)


def test_three_sentences_say_nothing_of_how_sure_it_is(profile: VoiceProfile) -> None:
    found = _found(
        profile, " ".join(["It's not that I mind the kettle, the garden, the server or the parser that I had and never trusted."] * 3)
    )
    assert (found.low, found.high) == (0, 1)


def test_the_more_of_a_text_is_anothers_the_lower_it_scores(profile: VoiceProfile) -> None:
    own, other = texts("wry", 1, 7, words=400)[0].split(), texts("manual", 1, 7, words=400)[0].split()
    scores = [
        _found(profile, " ".join([*own[: 300 - foreign_words], *other[:foreign_words]])).score for foreign_words in (0, 100, 200, 300)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.8 > 0.2 > scores[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("  \n", 0), ("...!?", 1), ("123 456", 2), (" ".join(["so"] * 49), 49), (without_spaces(texts("wry", 5, 1))[0], 1)],
)
def test_fewer_than_fifty_words_are_not_enough(profile: VoiceProfile, text: str, words: int) -> None:
    found = score(profile, text)
    assert found == NotEnough(f"Not enough evidence: {words} words, at least 50 are needed to hear a voice.", words, 50)


@pytest.mark.parametrize(
    "text",
    [
        foreign(texts("wry", 1, 1, words=200))[0],
        "12 345 6,789 " * 60,
        ", ! — " * 60,
        "def parse(rows, width):\n    return [row.strip() for row in rows[width:] if row]\n\nprint(parse(sys.argv, 7))\n" * 12,
        "字文 語書 人心 手水。 " * 40,
        "🎉 🎂 " * 60,
        "Kettle garden server parser invoice violin harbour ledger bicycle compiler. " * 12,
    ],
    ids=["another script", "digits", "marks", "code", "Chinese", "emoji", "a list of nouns"],
)
def test_what_is_no_prose_in_the_authors_language_is_not_enough(profile: VoiceProfile, text: str) -> None:
    found = score(profile, text)
    assert isinstance(found, NotEnough)
    assert "small words such as wry writes" in found.reason
    assert found.words >= MIN_WORDS
    assert found.needed == 0


@pytest.mark.parametrize("text", ["so " * 400, "I didn't think so, but there it was. " * 30], ids=["one word", "one sentence"])
def test_what_says_one_thing_over_and_over_is_not_enough(profile: VoiceProfile, text: str) -> None:
    found = score(profile, text)
    assert isinstance(found, NotEnough)
    assert "over and over, at least 12 different ones are needed" in found.reason


def test_of_a_very_long_text_the_first_3000_words_are_looked_at(profile: VoiceProfile) -> None:
    start = " ".join(texts("wry", 40, 7)).split()[:MAX_WORDS]
    whole = " ".join([*start, *(" ".join(texts("manual", 40, 7)).split())])
    found = _found(profile, whole)
    assert found.words == MAX_WORDS
    assert found == _found(profile, " ".join(start))


def test_a_long_text_is_judged_in_pieces_of_300_words_at_the_most(profile: VoiceProfile) -> None:
    reading = read(profile, texts("wry", 1, 7, words=1100)[0])
    assert isinstance(reading, Reading)
    assert sorted(set(reading.pieces.tolist())) == [0, 1, 2, 3]
    sizes = [sum(len(s.split()) for s, at in zip(reading.sentences, reading.pieces, strict=True) if at == piece) for piece in range(4)]
    assert max(sizes) < 320
    assert reading.calibration.words <= 300


def test_a_sentence_without_an_end_is_cut(profile: VoiceProfile) -> None:
    reading = read(profile, "i was there and so was it but then she had to go with them for as long as we could " * 150)
    assert isinstance(reading, Reading)
    assert max(len(sentence.split()) for sentence in reading.sentences) <= 40
    assert reading.words == MAX_WORDS


def test_markup_and_line_breaks_change_nothing(profile: VoiceProfile) -> None:
    text = texts("wry", 1, 7, words=120)[0]
    assert score(profile, text.replace(" I ", "\n\n**I** ").replace("'", "’")) == score(profile, text)


def test_the_score_is_that_of_the_whole_text_drawn_once(profile: VoiceProfile) -> None:
    reading = read(profile, mixed(3, 700))
    assert isinstance(reading, Reading)
    once = reading.log_odds_of(reading.lengths[None, :] * 0 + 1)
    assert once[0] == pytest.approx(reading.log_odds, abs=1e-4)
    assert score_of(reading) == score(profile, mixed(3, 700))


def test_the_rate_is_a_share_of_all_texts_also_of_those_that_cannot_be_judged(profile: VoiceProfile) -> None:
    assert attribution_rate(profile, [*texts("wry", 3, 7), *texts("coach", 1, 7)]) == 0.75
    assert attribution_rate(profile, [*texts("wry", 3, 7), "Too short."]) == 0.75


def test_the_rate_of_nothing_is_an_error(profile: VoiceProfile) -> None:
    with pytest.raises(VoiceError, match="no text"):
        attribution_rate(profile, [])


@given(st.one_of(st.text(), _ANY))
def test_any_text_has_a_score_within_its_bounds_or_a_reason_why_not(profile: VoiceProfile, text: str) -> None:
    found = score(profile, text)
    if isinstance(found, NotEnough):
        assert found.reason.startswith("Not enough evidence")
        return
    assert 0 <= found.low <= found.score <= found.high <= 1
    assert 0 <= found.typicality <= 1
    assert MIN_WORDS <= found.words <= MAX_WORDS
    assert set(found.similarities) == set(profile.voices)
    assert all(abs(similarity) < 10 for similarity in found.similarities.values())
    assert found.own == (found.attributed_to == "wry")
