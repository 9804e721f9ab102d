import unicodedata
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from twin_assets.training.leaks import HeldOut, _words, find_leaks


@dataclass(frozen=True)
class Text:
    answer: str
    id: UUID = field(default_factory=uuid4)


def words(start: int, stop: int) -> str:
    return " ".join(f"w{number}" for number in range(start, stop))


def kinds(train: str, held_out: str) -> list[str]:
    return [leak.kind for leak in find_leaks([Text(train)], [Text(held_out)])]


def test_different_texts_do_not_leak() -> None:
    assert kinds(words(0, 100), words(100, 200)) == []
    assert kinds("", "") == []


def test_the_same_words_in_other_dress_are_exact() -> None:
    assert kinds("I don’t like pickles, AT ALL.", "I don't like pickles at all") == ["exact"]


def test_a_passage_inside_a_longer_one_is_near_in_both_directions() -> None:
    assert kinds(words(0, 200), words(50, 80)) == ["near"]
    assert kinds(words(50, 80), words(0, 200)) == ["near"]


def test_half_of_the_shingles_is_the_border() -> None:
    held_out = words(0, 24)  # 20 shingles of 5 words
    assert kinds(words(0, 14) + " " + words(500, 510), held_out) == ["near"]  # shares 10
    assert kinds(words(0, 13) + " x " + words(500, 540), held_out) == ["run"]  # shares 9, which are 13 words in a row
    assert kinds(words(0, 12) + " x " + words(500, 540), held_out) == []


def test_the_leak_names_both_passages() -> None:
    train, clean, held_out = Text(words(0, 50)), Text(words(60, 99)), Text(words(0, 50))
    (leak,) = find_leaks([train, clean], [held_out])
    assert (leak.train, leak.held_out, leak.containment) == (train.id, held_out.id, 1.0)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (unicodedata.normalize("NFD", "Crème brûlée und Käse, très près là"), "Crème brûlée und Käse, très près là"),
        ("The gau\u00adge reads se\u00adven, and I don't trust it", "The gauge reads seven, and I don't trust it"),
        ("The gauge\u200b reads \ufeffseven", "the gauge reads seven"),
        ("the ﬁrst ﬂood", "the first flood"),
    ],
)
def test_the_same_words_in_another_form_of_unicode_are_exact(other: str, text: str) -> None:
    assert kinds(other, text) == ["exact"]


@pytest.mark.parametrize("text", ["नमस्ते हिन्दी में लिखता", "السَّلَامُ عَلَيْكُمْ", "สวัสดี ชาวโลก"])
def test_marks_stay_with_their_word(text: str) -> None:
    assert _words(text) == tuple(text.split())


@dataclass(frozen=True)
class Asking:
    said: str
    id: UUID = field(default_factory=uuid4)

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": words(0, 60)}, {"role": "user", "content": self.said}]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"Write about: {words(0, 13)}", True),
        (f"Write about: {words(0, 12)}", False),  # a long title
        (f"Write about: x\nKey points: {words(0, 8)}; {words(20, 28)}", False),
        (f"Write about: x\nNotes:\n- {words(500, 560)}\n- {words(0, 12)} x {words(13, 24)}", True),
        (f"Write about: {words(0, 8)}\n{words(8, 16)}\n{words(16, 24)}", True),
        (f"Write about: {words(500, 560)}", False),
    ],
)
def test_a_prompt_shows_a_passage_by_a_long_run_or_a_long_part(said: str, shown: bool) -> None:
    assert [leak.kind for leak in HeldOut([Text(words(0, 60))]).shown_by(Asking(said))] == ["prompt"] * shown
