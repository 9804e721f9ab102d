from twin_assets.voice.controls import stored_voices
from twin_assets.voice.features import units
from twin_assets.voice.held_out import HeldOut, known_share, measure_held_out
from twin_assets.voice.tokens import FUNCTION_WORDS
from twin_assets.voice.voices import Voice, voice
from twin_assets_tests.voice.voices import foreign, renamed, texts


def _measured(own: list[str], *others: Voice) -> HeldOut:
    return measure_held_out("wry", [voice("wry", own), *others])


def test_texts_of_four_lengths_are_judged_and_of_a_short_author_only_the_shorter_ones() -> None:
    others = [voice(name, texts(name, 12, 1)) for name in ("manual", "coach")]
    enough, little = _measured(texts("wry", 20, 1), *others), _measured(texts("wry", 8, 1), *others)
    assert [one.words for one in enough.calibrations] == [50, 100, 150, 300]
    assert [one.words for one in little.calibrations] == [50, 100, 150]
    assert "auc_300" in enough.figures
    assert "auc_300" not in little.figures


def test_with_a_single_control_the_stretches_of_both_are_left_out() -> None:
    found = _measured(texts("wry", 20, 1), voice("manual", texts("manual", 12, 1)))
    assert found.figures == {"recognised": 1, "mistaken": 0, "auc": 1, "auc_low": 1, "auc_300": 1, "judged": 12, "strangers": 0}


def test_people_whom_the_instrument_has_not_met_are_told_from_the_author_unless_they_write_like_the_author() -> None:
    known = [voice(name, texts(name, 12, 1)) for name in ("manual", "coach")]
    unlike = _measured(texts("wry", 20, 1), *known, stored_voices()[0]).figures
    alike = _measured(texts("wry", 20, 1), *known, voice("double", renamed(texts("wry", 12, 2)))).figures
    assert unlike["auc"] > 0.95 > 0.75 > alike["auc"]
    assert unlike["recognised"] == 1 > alike["recognised"]


def test_a_text_is_prose_in_the_language_by_the_share_of_its_small_words() -> None:
    english = units(texts("wry", 1, 1, words=120)[0])
    assert 0.5 < known_share(english, FUNCTION_WORDS) < 1
    assert known_share(units(foreign(texts("wry", 1, 1, words=120))[0]), FUNCTION_WORDS) == 0
    assert known_share(units("so be it 0 , ! " * 20), FUNCTION_WORDS) == 1
    assert known_share(units("12 , ! " * 20), FUNCTION_WORDS) == 0


def test_half_of_what_the_author_has_at_the_least_is_asked_of_a_text() -> None:
    own = voice("wry", texts("wry", 20, 1))
    found = _measured(texts("wry", 20, 1), voice("manual", texts("manual", 12, 1)))
    least = min(known_share([passage], FUNCTION_WORDS) for passage in own.passages) / 2
    assert least <= found.known_share < least + 0.05


def test_a_list_of_names_among_the_authors_passages_lets_not_everything_pass() -> None:
    manual = voice("manual", texts("manual", 12, 1))
    found = _measured([*texts("wry", 40, 1), "Kettle Harbour Ledger Bicycle Compiler " * 30], manual)
    assert found.known_share > 0.2
    assert _measured(["Kettle Harbour Ledger Bicycle Compiler " * 30] * 8, manual).known_share == 0.15


def test_fewer_passages_make_the_figure_less_sure() -> None:
    others = [voice(name, renamed(texts("wry", 12, seed))) for seed, name in enumerate("abcd", 2)]
    many, few = (_measured(texts("wry", number, 1), *others).figures for number in (40, 10))
    assert many["judged"] > 3 * few["judged"]
    assert many["auc"] - many["auc_low"] < few["auc"] - few["auc_low"]
