"""The training stage's checks, each shown to fail."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import dagster as dg
import pytest

from twin_assets.cleaning.documents import Split
from twin_assets.settings import Settings
from twin_assets.training import checks
from twin_assets.training.dataset import Example
from twin_assets.training.examples import build_dataset
from twin_assets.training.leaks import Leak
from twin_assets.training.quality import (
    MIN_EXAMPLES,
    OF_DATASET,
    answers_are_verbatim,
    enough_to_learn_from,
    faults,
    key_terms,
    key_terms_are_present,
    no_leaks,
    split_by_document_and_date,
    training_converged,
)
from twin_assets_tests.training.test_dataset import document, prose

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
    assert "TWIN_MAX_PASSAGES" not in finding.description
    assert "raise TWIN_MAX_PASSAGES" in key_terms_are_present([_example(1, "Brine.")], documents, 1).description
    assert key_terms_are_present([], ["and the", "of it"]).passed


def test_a_handful_of_passages_is_not_enough() -> None:
    many = [_example(number, "word " * 60) for number in range(MIN_EXAMPLES)]
    assert enough_to_learn_from(many, 30_000).passed
    few = enough_to_learn_from(many[1:], 30_000).description
    assert "twin add" in few and "TWIN_MAX_PASSAGES" not in few
    assert "raise TWIN_MAX_PASSAGES" in enough_to_learn_from(many[1:], 30_000, MIN_EXAMPLES - 1).description
    assert not enough_to_learn_from([_example(number, "word") for number in range(50)], 3000).passed
    assert enough_to_learn_from([_example(number, "word " * 6) for number in range(MIN_EXAMPLES)], 100).passed


@pytest.mark.parametrize(("documents", "paragraphs"), [(8, 6), (3, 20), (2, 28), (12, 5), (15, 4)])
def test_the_fewest_words_are_enough(settings: Settings, documents: int, paragraphs: int) -> None:
    train = [document(number, prose(number, paragraphs, 50)) for number in range(documents)]
    train.append(document(90, prose(90, 1, max(10, 3000 - documents * paragraphs * 50))))
    found = build_dataset("ada", Split(train, [document(200)]), settings)
    assert enough_to_learn_from(found.train, settings.min_training_words, settings.max_passages).passed


def test_terms_are_looked_for_as_they_are_spelled() -> None:
    documents = ["Die Straße ist groß und weiß.", "Eine Straße, groß und weiß."]
    assert {"straße", "groß", "weiß"} <= set(key_terms(documents))
    assert key_terms_are_present([_example(1, documents[0]), _example(2, documents[1])], documents).passed


def test_terms_of_another_language_are_not_missed(settings: Settings) -> None:
    english = [replace(document(number), language="en") for number in range(16)]
    german = [
        replace(document(50 + n, "Brunnen Garten Winter Fenster Strasse Morgen Kaffee Markt Fluss Freund " * 9), language="de")
        for n in range(9)
    ]
    found = build_dataset("ada", Split([*english, *german], [replace(document(100), language="en")]), settings)
    assert OF_DATASET["key_terms_are_present"](found, [*english, *german], settings).passed
    assert not key_terms_are_present(found.train, [one.text_for_voice for one in [*english, *german]]).passed


def test_what_a_blocking_check_finds_wrong_is_a_fault(settings: Settings) -> None:
    split = Split([document(number) for number in range(24)], [document(number) for number in range(100, 104)])
    found = build_dataset("ada", split, settings)
    documents = [*split.train, *split.held_out]
    assert faults(found, documents, settings) == []
    leaky = replace(found, train=[*found.train, replace(found.held_out[0], document_id=found.train[0].document_id)])
    wrong = faults(leaky, documents, settings)
    assert [fault.partition(":")[0] for fault in wrong] == ["held_out_is_unseen"] and "1 times" in wrong[0]
    assert any(fault.startswith("answers_are_verbatim") for fault in faults(found, documents[12:], settings))


def test_every_blocking_check_of_the_dataset_is_asked_before_something_learns_from_it() -> None:
    keys = {key for check in dg.load_asset_checks_from_modules([checks]) for key in check.check_keys}
    assert set(OF_DATASET) == {key.name for key in keys if key.asset_key.path[-1] == "instruct_dataset"}


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
