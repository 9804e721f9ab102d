from dataclasses import dataclass, field
from uuid import UUID, uuid4

from twin_assets.training.leaks import find_leaks


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
