from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twin_assets.training import passages as cutting

MIN, MAX = 60, 200


def passages(text: str, min_words: int, max_words: int) -> list[str]:
    return [text[start:end] for start, end in cutting.passages(text, min_words, max_words)]


def sentence(words: int) -> str:
    return " ".join(["word"] * (words - 1) + ["end."])


def squeezed(text: str) -> str:
    return "".join(text.split())


sentences = st.integers(1, 260).map(sentence)
paragraphs = st.lists(sentences, min_size=1, max_size=5).map(" ".join)
texts = st.lists(st.one_of(paragraphs, st.text('ab.!?’" \n\t\u00a0🙂', max_size=400)), max_size=6).map("\n\n".join)


@given(texts)
def test_every_passage_is_verbatim_and_of_the_right_length(text: str) -> None:
    found = passages(text, MIN, MAX)
    assert all(passage == passage.strip() for passage in found)
    spans = cutting.passages(text, MIN, MAX)
    assert spans == sorted(spans) and all(end <= start for (_, end), (start, _) in pairwise(spans))
    if len(text.split()) > MAX:
        assert all(MIN <= len(passage.split()) <= MAX for passage in found)


@given(texts)
def test_nothing_is_lost_where_no_run_can_be_too_short(text: str) -> None:
    found = passages(text, 1, MAX)
    if len(text.split()) >= 10:
        assert squeezed("".join(found)) == squeezed(text)


def test_a_short_text_is_one_passage() -> None:
    text = "I ate a pickle today.\n\nIt was, frankly, the best part of my day 🙂"
    assert passages(f"\n{text}\n", MIN, MAX) == [text]


def test_a_word_or_two_is_no_passage() -> None:
    assert passages("So true!", MIN, MAX) == []


def test_paragraphs_stay_whole_and_a_short_tail_is_not_lost() -> None:
    paragraphs = [sentence(50) for _ in range(4)] + [sentence(30)]
    found = passages("\n\n".join(paragraphs), MIN, MAX)
    assert "\n\n".join(found) == "\n\n".join(paragraphs)
    assert len(found) == 2


def test_a_long_paragraph_is_cut_at_sentence_ends() -> None:
    text = " ".join(sentence(40) for _ in range(12))
    found = passages(text, MIN, MAX)
    assert " ".join(found) == text
    assert all(passage.endswith("end.") for passage in found)


def test_an_endless_sentence_is_cut_between_words() -> None:
    text = " ".join(f"word{number}" for number in range(500))
    assert " ".join(passages(text, MIN, MAX)) == text
