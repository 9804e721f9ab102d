"""The training stage's checks, each shown to fail."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from twin_assets.training.dataset import Example
from twin_assets.training.leaks import Leak
from twin_assets.training.quality import (
    MIN_EXAMPLES,
    answers_are_verbatim,
    enough_to_learn_from,
    key_terms,
    key_terms_are_present,
    no_leaks,
    split_by_document_and_date,
    training_converged,
)

LEAK = Leak(train=UUID(int=1), held_out=UUID(int=2), kind="near", containment=0.7)


def test_leaks_fail() -> None:
    assert no_leaks([], 5).passed
    assert not no_leaks([LEAK], 5).passed
    assert not no_leaks([], 0).passed


def test_only_a_falling_finite_loss_passes() -> None:
    def figures(*losses: float) -> dict[str, object]:
        return {"losses": list(enumerate(losses)), "loss_first": losses[0], "loss_last": losses[-1]}

    assert training_converged(figures(*[3.0] * 6, *[2.0] * 6)).passed
    assert not training_converged(figures(*[2.0] * 6, *[3.0] * 6)).passed
    assert not training_converged(figures(3.0, float("nan"), 2.0)).passed
    assert "Too few steps" in training_converged(figures(2.0, 3.0)).description
    assert not training_converged({}).passed


def test_a_training_on_pairs_is_as_good_as_the_one_before_it() -> None:
    pairs = {"losses": [[step, 0.7 - step / 100] for step in range(12)], "loss_first": 0.7, "loss_last": 0.6}
    rising = {"losses": [[step, 2 + step / 10] for step in range(12)], "loss_first": 2.0, "loss_last": 3.0}
    assert training_converged({**pairs, "first_training": pairs}).passed
    found = training_converged({**pairs, "first_training": rising})
    assert not found.passed and found.description.startswith("Of the training on passages, before that on pairs: Loss 2.0 -> 3.0")


def test_a_loss_that_falls_on_what_was_read_alone_does_not_pass() -> None:
    fell = {"losses": list(enumerate([3.0] * 6 + [2.0] * 6)), "loss_first": 3.0, "loss_last": 2.0}
    assert training_converged({**fell, "held_out_loss_first": 3.2, "held_out_loss_last": 2.9}).passed
    by_heart = training_converged({**fell, "held_out_loss_first": 3.2, "held_out_loss_last": 3.2})
    assert not by_heart.passed and "by heart" in by_heart.description
    assert training_converged({**fell, "held_out_loss_first": 3.2, "held_out_loss_last": None}).passed
    short = {"losses": [[1, 3.0]], "loss_first": 3.0, "loss_last": 3.0, "held_out_loss_first": 3.2, "held_out_loss_last": 3.3}
    assert training_converged(short).passed


def _example(document: int, answer: str, day: int | None = 1, kind: str = "article") -> Example:
    date = datetime(2026, 1, day, tzinfo=UTC) if day else None
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
    return Example(UUID(int=document), UUID(int=document), "train", "blog", None, date, messages, answer, len(answer.split()), kind)


def test_words_that_the_author_did_not_write_fail() -> None:
    documents = {UUID(int=number): f"So I salted jar {number}. " * 10 for number in range(20)}
    own = [_example(number, documents[UUID(int=number)].strip()) for number in range(20)]
    strange = _example(1, "In conclusion, salt is a testament to jars everywhere and always.")
    assert answers_are_verbatim(own, documents).passed
    assert answers_are_verbatim([*own, strange], documents).passed  # one in twenty may be off
    finding = answers_are_verbatim([*own, *[strange] * 5], documents)
    assert not finding.passed
    assert "Materialize training/instruct_dataset again" in finding.description
    assert not answers_are_verbatim([_example(99, "Of no document.")], documents).passed
    assert not answers_are_verbatim([], documents).passed


def test_what_the_author_writes_about_must_be_among_the_answers() -> None:
    documents = [f"The {word} and the {word} stood by the {other}." for word in ("brine", "cellar") for other in ("kettle", "window")]
    assert key_terms(documents) == ["brine", "cellar", "stood", "kettle", "window"]
    assert key_terms_are_present([_example(1, " ".join(documents))], documents).passed
    finding = key_terms_are_present([_example(1, "Brine stood by the window.")], documents)
    assert not finding.passed
    assert "60% of the 5 key terms" in finding.description and "Missing: cellar, kettle" in finding.description
    assert key_terms_are_present([], ["and the", "of it"]).passed


def test_a_handful_of_passages_is_not_enough() -> None:
    many = [_example(number, "word " * 60) for number in range(MIN_EXAMPLES)]
    assert enough_to_learn_from(many, 3000).passed
    assert "twin add" in enough_to_learn_from(many[1:], 3000).description
    assert not enough_to_learn_from([_example(number, "word") for number in range(50)], 3000).passed
    assert enough_to_learn_from([_example(number, "word " * 6) for number in range(MIN_EXAMPLES)], 100).passed


@pytest.mark.parametrize(
    ("changed", "passed"),
    [
        (_example(1, "word " * 60, 9), False),
        (_example(1, "word " * 60, 9, kind="comment"), True),
        (_example(1, "word " * 20, 9), True),
        (_example(1, "word " * 60, None), True),
        (_example(7, "word " * 60, 1), False),
    ],
)
def test_what_is_held_out_is_newer_and_of_other_documents(changed: Example, passed: bool) -> None:
    held_out = [_example(7, "word " * 60, 5), _example(8, "word " * 60, 6)]
    assert split_by_document_and_date([_example(2, "word " * 60)], held_out).passed
    finding = split_by_document_and_date([_example(2, "word " * 60), changed], held_out)
    assert finding.passed is passed
    assert passed or str(changed.document_id) in finding.description
