import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.features import habits
from twin_assets.voice.tokens import CLITICS, FUNCTION_WORDS, common_words, english, mask, pieces, plain, sentences, tokens
from twin_assets_tests.voice.voices import foreign, texts

_PROSE = st.lists(st.sampled_from(["Ann", "went", "on.", "Why?!", "No.", "3.5", '"Oh!"', "(So.)", "...", "e.g.", "I"]), max_size=40).map(
    " ".join
)


def test_the_subject_is_masked_and_the_manner_stays() -> None:
    assert (
        mask("I can't say that Michael's servers were quickly rebuilding 3.5 of them.")
        == "I can't say that X's xs were xly xing 0 of them."
    )


def test_the_words_that_stay_can_be_those_of_another_language() -> None:
    assert mask("Вот кот и кит, и вот.", kept=frozenset(("вот", "и"))) == "Вот x и x, и вот."
    assert mask("the cat and the whale", kept=frozenset(("cat",))) == "x cat x x x"


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
        ("First: one two and three", "## First:\n- one\n  * two\n\n3. and\n > - three"),
        ("before after", "before\n```python\nfor x in y: pass  # and so on\n```\nafter"),
        ("before after", "before\n> ~~~~\n> ~~~ is not the end\n> ~~~~\nafter"),
        ("in 1984. - So - 3. Yes", "in\n1984. - So - 3. Yes"),
    ],
)
def test_what_a_platform_does_to_a_text_does_not_count(typed: str, typeset: str) -> None:
    assert plain(typeset) == typed


@given(_PROSE.map(lambda text: text.replace(" ", "\n")) | st.text(alphabet="ab.> \n-1)", max_size=40))
def test_a_plain_text_is_plain_already(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.lists(_PROSE, max_size=5), st.sampled_from(("- ", "* ", "12. ", "> ", "• ")))
def test_a_text_made_a_list_is_the_same_text(lines: list[str], marker: str) -> None:
    assert plain("\n".join(marker + line for line in lines)) == plain("\n".join(lines))


def test_the_lists_of_words_are_of_use() -> None:
    assert {"i", "the", "but", "n't", "'s", "ourselves"} <= FUNCTION_WORDS
    assert not {"server", "garden", "x", ""} & FUNCTION_WORDS
    assert 250 <= len(FUNCTION_WORDS) <= 300


def test_pieces_join_short_texts_and_cut_long_ones() -> None:
    cut = pieces(["one " * 100, "two " * 100, "three " * 120])
    assert [len(piece.split()) for piece in cut] == [150, 150]
    assert cut[0].split().count("two") == 50
    assert pieces(["too short"]) == []
    assert len(pieces(["字" * 9000] * 150)[0]) <= 40 * 150


@pytest.mark.parametrize("voice", ["wry", "manual", "coach"])
def test_english_is_told_from_another_language(voice: str) -> None:
    documents = texts(voice, 4, 3)
    assert english(documents)
    assert not english(foreign(documents))


@pytest.mark.parametrize(
    "foreign_text",
    [
        "Ich war in der Stadt, und so wie er will, war an was man denn so macht, also gut: wo war er, will er was, so war es.",
        "We zijn in de stad en over de brug, of is er nog een weg? Dan was het toch beter om met de trein te gaan, want die is er.",
        "No me he dado cuenta de que ha pasado el tiempo, y a mi me ha gustado; no he sido yo, me han dado no se que.",
    ],
)
def test_a_language_with_words_that_english_has_too_is_another_one(foreign_text: str) -> None:
    assert not english([foreign_text])


def test_marks_that_nobody_closes_hide_nothing() -> None:
    prose = "So I went home, and that was that."
    assert prose in plain(f"```\n{prose}")
    assert prose in plain(f"```\n```\n~~~~ so\n{prose}\n~~~")
    assert "printed" not in plain(f"```\nprinted\n```\n{prose}")
    assert "printed" not in plain(f"~~~\n```\nprinted\n~~~\n{prose}\n```")
    assert prose in plain(f"A ` here.\n{prose}\nAnd a ` there.")
    assert plain("the `mark` is") == "the x is"


def test_common_words_are_those_that_most_voices_use() -> None:
    voices = [["ka mi ka lu brot"] * 9, ["mi ka ka lu stolp"] * 9, ["ka mi mi ka fnord"] * 9]
    assert common_words(voices) == CLITICS | {"ka", "mi", "lu"}
    assert common_words(voices, most=1) == CLITICS | {"ka"}


def test_a_voice_that_wrote_much_does_not_choose_the_common_words() -> None:
    voices = [["lu " * 900 + "ka ka ka"], ["ka ka ka lu"], ["ka ka ka lu"]]
    assert common_words(voices, most=1) == CLITICS | {"ka"}


def test_sentences_end_at_their_marks() -> None:
    assert sentences('I went. "Why?" she asked! It was 3.5 m... or so') == ["I went.", '"Why?"', "she asked!", "It was 3.5 m...", "or so"]


@given(st.one_of(st.text(), _PROSE))
def test_sentences_keep_everything(text: str) -> None:
    line = plain(text)
    found = sentences(line)
    assert " ".join(found) == line
    assert all(found)


def test_habits_are_counted_per_1000_words() -> None:
    found = habits("I don't know; you do! The dog's bone isn't here.")
    assert found["I per 1,000"] == found["you per 1,000"] == found["; per 1,000"] == found["! per 1,000"] == 100
    assert found["contractions per 1,000"] == 200  # not the dog's
    assert found["sentence length"] == 5
    assert found["sentence length spread"] == 0


@given(st.text())
def test_any_text_has_habits(text: str) -> None:
    assert plain(text) == " ".join(plain(text).split())
    assert all(value >= 0 for value in habits(text).values())


def test_a_run_of_marks_ends_one_sentence_and_costs_no_more_than_its_length() -> None:
    assert sentences('He left!?..."  She stayed.') == ['He left!?..."', "She stayed."]
    assert sentences("!" * 1_000_000) == ["!" * 1_000_000]
