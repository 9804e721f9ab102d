import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.voice.memorisation import (
    SHORTEST,
    VerbatimIndex,
    longest_memorised_run,
    longest_verbatim_run,
    outside_quotes,
    without_copies,
)
from twin_assets.voice.words import words

_TEXT = st.lists(st.sampled_from(["a", "b", "c", "d", "it's"]), max_size=25).map(" ".join)
_CORPUS = st.lists(_TEXT, max_size=4)


def _by_brute_force(text: str, corpus: list[str]) -> int:
    tokens = words(text)
    padded = [f" {' '.join(words(source))} " for source in corpus]
    lengths = (
        end - start
        for start in range(len(tokens))
        for end in range(start + SHORTEST, len(tokens) + 1)
        if any(f" {' '.join(tokens[start:end])} " in source for source in padded)
    )
    return max(lengths, default=0)


@given(_TEXT, _CORPUS)
def test_longest_run_is_the_one_that_brute_force_finds(text: str, corpus: list[str]):
    run = longest_verbatim_run(text, corpus)
    assert run.words == _by_brute_force(text, corpus) == len(words(run.quote))
    if run.words:
        assert run.quote in text
        assert f" {' '.join(words(run.quote))} " in f" {' '.join(words(corpus[run.source_index]))} "


@given(_TEXT, _CORPUS)
def test_no_run_lies_inside_another(text: str, corpus: list[str]):
    runs = VerbatimIndex(corpus).runs(text)
    assert [run.words for run in runs] == sorted((run.words for run in runs), reverse=True)
    assert len(runs) <= len(words(text))


@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_text_is_accepted(text: str, corpus: list[str]):
    index = VerbatimIndex([*corpus, text])
    count = len(words(text))
    assert index.longest(text).words == (count if count >= SHORTEST else 0)


def test_case_punctuation_and_typography_do_not_hide_a_copy():
    run = longest_verbatim_run("So: I DON\u2019T know \u2014 why it rained, he said", ["x y z", "But I don't know why it rained. Then"])
    assert (run.words, run.quote, run.source_index) == (6, "I DON\u2019T know \u2014 why it rained", 1)


def test_no_run_crosses_from_one_corpus_text_into_the_next():
    assert longest_verbatim_run("one two three four five six seven eight", ["one two three four", "five six seven eight"]).words == 4


def test_a_run_that_the_base_model_writes_too_is_excused():
    learned = VerbatimIndex(["it was the best of times it was the worst of times and my oven smoked all night long"])
    text = "As they say, it was the best of times it was the worst of times. My oven smoked all night."
    excused = VerbatimIndex(["It was the best of times, it was the worst of times!"])
    assert longest_memorised_run(text, learned, VerbatimIndex([])).words == 12
    assert longest_memorised_run(text, learned, excused).quote == "My oven smoked all night"


def test_copies_are_found_whole_among_half_a_million_words():
    corpus = [" ".join(f"w{(i * i + j) % 5000}" for j in range(1000)) for i in range(500)]
    index = VerbatimIndex(corpus)
    assert all(index.longest(text).words == 1000 for text in corpus[:20])


@given(_TEXT, _CORPUS)
def test_the_overlap_is_the_share_of_n_grams_that_stand_in_the_corpus(text: str, corpus: list[str]):
    tokens, padded = words(text), [f" {' '.join(words(source))} " for source in corpus]
    grams = [" ".join(tokens[start : start + 5]) for start in range(len(tokens) - 4)]
    there = [any(f" {gram} " in source for source in padded) for gram in grams]
    assert VerbatimIndex(corpus).overlap(text, 5) == (sum(there) / len(there) if there else 0)


def test_the_overlap_of_what_is_new_and_what_is_copied():
    corpus = ["it was the best of times it was the worst of times and my oven smoked all night long"]
    index = VerbatimIndex(corpus)
    assert index.overlap(corpus[0].upper()) == 1
    assert index.overlap("My oven hums. It was the best of times; it was the worst of all ovens, and that is that.") == 4 / 13
    assert index.overlap("the best of times it was the") == index.overlap("") == 0  # fewer than eight words


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('He said "it was the best of times" and left.', "He said  …  and left."),
        ("He said “it was the best” and «la vie».", "He said  …  and  … ."),
        ("Mine.\n> theirs, all of it\nMine again.", "Mine.\n … \nMine again."),
        ("Five > four, don't you think?", "Five > four, don't you think?"),
        ('A 5" pipe\nand no more', 'A 5" pipe\nand no more'),
    ],
)
def test_what_is_cited_is_left_out(text: str, left: str):
    assert outside_quotes(text) == left


@pytest.mark.parametrize("cited", ['"{}"', "“{}”", "> {}", "> {} \n> and more"])
def test_a_recited_passage_is_none_the_less_for_quotation_marks(cited: str):
    passage = " ".join(f"word{number}" for number in range(25))
    index = VerbatimIndex([passage])
    assert _longest(index, cited.format(passage)) == 25
    assert _longest(index, cited.format(" ".join(passage.split()[:20]))) == 0
    assert _longest(index, cited.format("And as they say: " + " ".join(passage.split()[:20]))) == 0


def test_quotation_marks_inside_a_recited_passage_do_not_cut_it():
    said = [f"word{number}" for number in range(60)]
    index = VerbatimIndex([" ".join(said)])
    assert _longest(index, " ".join((*said[:28], f'"{said[28]} {said[29]}"', *said[30:]))) == 58
    assert _longest(index, " ".join(f'"{" ".join(said[start : start + 20])}."' for start in (0, 20, 40))) == 60
    assert _longest(index, " ".join((*said[:5], f'"{" ".join(said[5:25])}"', *said[25:30]))) == 10


def _longest(index: VerbatimIndex, text: str) -> int:
    return max((run.words for run in index.copied(text)), default=0)


@given(_TEXT, _CORPUS)
def test_without_quotes_all_of_a_run_counts(text: str, corpus: list[str]):
    index = VerbatimIndex(corpus)
    assert index.copied(text) == index.runs(text)


@given(st.text())
def test_any_text_has_an_outside(text: str):
    assert len(outside_quotes(text)) <= len(text) + 2 * text.count(">")


def test_paragraphs_that_stand_elsewhere_are_left_out_but_not_short_ones_or_a_phrase() -> None:
    corpus = ["One two three four five six seven eight nine ten eleven twelve thirteen fourteen.\n\nThank you for reading this."]
    kept = "A paragraph of its own, which says one two three four five six seven eight, and then goes on about kettles and about harbours."
    text = f"{kept}\n\none two three four five six seven eight nine ten eleven twelve THIRTEEN!\n\nThank you for reading this."
    assert without_copies([text, ""], corpus) == [f"{kept}\n\nThank you for reading this.", ""]
    assert without_copies([text], []) == [text]


def test_a_line_that_stands_elsewhere_is_left_out_of_its_paragraph() -> None:
    copy = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."
    own = "This line is of its own, and it goes on about kettles and about harbours for a good while longer than that."
    assert without_copies([f"{own}\n{copy}\nShort."], [f"Before. {copy} After."]) == [f"{own}\nShort."]
