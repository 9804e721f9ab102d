import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.surface import MARKS, OTHER, PRONOUNS, draw_surfaces, surface
from twin_assets_tests.voice.conftest import PNG
from twin_assets_tests.voice.voices import texts

COLOURS = ("#111111", "#222222", "#333333")


def test_what_the_eye_sees_is_counted() -> None:
    found = surface(["I came; you saw! We won (twice).\n\nI left — “so there”?", "- tea\n2. milk\nnot 1 item\n\n\n* salt 🎉"])
    assert found.paragraph_words == (7, 5, 7, 3)
    assert found.sentence_words[:3] == (4, 3, 5)
    assert sum(found.sentence_words) == found.words
    per = 1000 / found.words
    assert found.marks == pytest.approx(
        {"comma": 0, "semicolon": per, "colon": 0, "!": per, "?": per, "dash": per, "bracket": per, "quotation": 2 * per}
    )
    assert found.pronouns == pytest.approx({"i": 2 * per, "you": per, "we": per, "he": 0, "she": 0, "it": 0, "they": 0})
    assert found.emoji == pytest.approx(per)
    assert found.list_share == pytest.approx(3 / 6)


def test_openings_are_shares_of_the_sentences_the_commonest_first() -> None:
    found = surface(["I know. The kettle sang. I left! Kettles do. 3 of them. I slept."])
    assert found.openings == pytest.approx({"i": 3 / 6, "the": 1 / 6, OTHER: 1 / 6})
    assert next(iter(found.openings)) == "i"


@pytest.mark.parametrize(("text", "emoji"), [("👍🏽 yes", 1), ("❤️ yes", 1), ("§ ™ © ─ ▒ →", 0), ("yes 🎉🎉", 2)])
def test_emoji_are_told_from_other_signs(text: str, emoji: int) -> None:
    found = surface([text])
    assert found.emoji == pytest.approx(emoji * 1000 / found.words)


@given(st.lists(st.text(), max_size=4))
def test_any_texts_have_a_surface(written: list[str]) -> None:
    found = surface(written)
    assert set(found.marks) == set(MARKS.values())
    assert set(found.pronouns) == set(PRONOUNS)
    assert 0 <= found.list_share <= 1
    assert sum(found.openings.values()) <= 1 + 1e-9
    assert found.emoji >= 0


@pytest.mark.parametrize(
    "shown",
    [
        {"ada": texts("wry", 4, 1), "twin": texts("coach", 4, 1), "model": texts("manual", 4, 1)},
        {"ada": texts("wry", 4, 1), "nobody": []},
        {"nobody": []},
        {"$ada_1$": ["One."], "twin": ["字 🎉"]},
    ],
)
def test_the_picture_is_a_png_also_of_nothing(shown: dict[str, list[str]]) -> None:
    png = draw_surfaces({name: surface(written) for name, written in shown.items()}, COLOURS)
    assert png.startswith(PNG)


def test_the_same_surfaces_make_the_same_picture() -> None:
    shown = {"ada": surface(texts("wry", 4, 1)), "twin": surface(texts("coach", 4, 1))}
    assert draw_surfaces(shown, COLOURS) == draw_surfaces(shown, COLOURS)
    assert draw_surfaces(shown, COLOURS) != draw_surfaces(dict(reversed(shown.items())), COLOURS)
