from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from twin_assets.features import golden
from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.golden import Figures, Outcome, answers, has_not_regressed, measure, measure_with
from twin_assets.features.questions import Question, make_questions
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Registry
from twin_assets_tests.features.test_questions import pickles


@dataclass(frozen=True)
class Place:
    document_id: UUID
    starts: int
    ends: int


def figures(ranks: Sequence[int | None], documents: int = 100, meaning: Sequence[int | None] | None = None) -> Figures:
    """A measurement; by meaning alone, everything was found first where nothing else is said."""
    places = zip(ranks, meaning or [1] * len(ranks), strict=True)
    return Figures("model", documents, 1.0, 2.0, tuple(Outcome(UUID(int=n), f"question {n}", *place) for n, place in enumerate(places)))


# -- measuring


def test_an_answer_is_a_passage_that_shows_half_of_it_or_lies_in_it() -> None:
    key = UUID(int=1)
    question = Question(uuid4(), key, "sentence", "?", 100, 200, None)
    assert answers(Place(key, 0, 150), question)
    assert not answers(Place(key, 0, 149), question)
    assert answers(Place(key, 180, 220), question)  # half of a short passage lies in a long answer
    assert not answers(Place(key, 190, 220), question)
    assert not answers(Place(key, 200, 300), question)
    assert not answers(Place(UUID(int=2), 100, 200), question)


def test_figures_follow_from_the_places_of_the_answers() -> None:
    questions = make_questions([pickles()])[:4]
    right = {question.text: Place(question.document_id, question.starts, question.ends) for question in questions}
    wrong = Place(UUID(int=9), 0, 10)
    before = dict(zip((question.text for question in questions), (0, 1, 6, 10), strict=True))
    asked: list[str] = []

    def find(text: str) -> list[Place]:
        asked.append(text)
        return [*[wrong] * before[text], right[text]][:10]

    found = measure_with(find, lambda text: [wrong, right[text]] if text == questions[0].text else [], questions, "model", 7)
    assert [outcome.rank for outcome in found.outcomes] == [1, 2, 7, None]
    assert (found.recall_at_1, found.recall_at_5, found.recall_at_10) == (0.25, 0.5, 0.75)
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 7) / 4)
    assert [outcome.meaning for outcome in found.outcomes] == [2, None, None, None]
    assert found.recall_by_meaning == 0.25
    assert asked == [questions[0].text, *(question.text for question in questions)]  # the first search warms up
    assert 0 < found.median_ms <= found.p95_ms


def test_among_more_documents_somewhat_fewer_answers_are_no_fault_and_far_fewer_are() -> None:
    before = figures([1] * 200, documents=100)
    assert has_not_regressed(figures([None] * 15 + [1] * 185, documents=111), before).passed
    assert not has_not_regressed(figures([None] * 15 + [1] * 185, documents=110), before).passed
    assert not has_not_regressed(figures([None] * 40 + [1] * 160, documents=111), before).passed


def test_without_questions_nothing_is_searched() -> None:
    empty = measure_with(lambda text: pytest.fail("searched"), lambda text: pytest.fail("searched"), [], "model", 0)
    assert (empty.n, empty.recall_at_10, empty.mrr, empty.p95_ms) == (0, 0.0, 0.0, 0.0)


def test_the_real_search_is_measured(database: Database, minilm: Embedder) -> None:
    documents = [pickles(), pickles("The night express leaves Vienna quietly while travellers dream under woollen blankets.", 2, "Trains")]
    sync_chunks(database, "ada", documents, minilm.count_tokens, minilm.max_tokens)
    sync_embeddings(database, "ada", minilm)
    questions = make_questions(documents)
    found = measure(database, "ada", minilm, questions)
    assert found.n == len(questions) == 10
    assert found.recall_at_10 == found.recall_by_meaning == 1.0
    assert found.model == minilm.name
    assert found.documents == 2
    elsewhere = [replace(question, document_id=uuid4()) for question in questions]
    assert measure(database, "ada", minilm, elsewhere).recall_at_10 == 0.0


# -- comparing


def test_a_first_measurement_passes() -> None:
    finding = has_not_regressed(figures([1] * 20), None)
    assert finding.passed and finding.description.startswith("First measurement; recall@10 is 100.0%, give or take")


def test_the_same_again_passes_and_better_too() -> None:
    assert has_not_regressed(figures([1, 3, None] * 20), figures([1, 3, None] * 20)).passed
    assert has_not_regressed(figures([1, 1, 1] * 20), figures([1, 3, None] * 20)).passed


def test_lost_questions_fail_and_are_named() -> None:
    before, now = figures([1] * 100), figures([None] * 8 + [1] * 92)
    finding = has_not_regressed(now, before)
    assert not finding.passed
    assert "recall@10 fell from 1.000 to 0.920" in finding.description
    assert "'question 0' (place 1, now not found)" in finding.description
    assert finding.figures["lost"] == [f"'question {n}' (place 1, now not found)" for n in range(8)]


def test_answers_that_only_come_later_fail_too() -> None:
    finding = has_not_regressed(figures([9] * 50), figures([1] * 50))
    assert not finding.passed
    assert "MRR fell from 1.000 to 0.111" in finding.description
    assert "recall@10 fell" not in finding.description


def test_a_broken_embedder_fails_although_the_words_still_find_everything() -> None:
    finding = has_not_regressed(figures([1] * 50, meaning=[None] * 30 + [1] * 20), figures([1] * 50, meaning=[None] * 10 + [2] * 40))
    assert not finding.passed
    assert "recall@10 by meaning alone fell from 0.800 to 0.400" in finding.description
    assert "'question 10' (place 2, now not found)" in finding.description
    assert "MRR fell" not in finding.description


def test_what_chance_explains_passes() -> None:
    assert has_not_regressed(figures([None, *[1] * 19]), figures([1] * 20)).passed  # one of twenty: 5 points, but a single question
    swapped_before, swapped_now = [1] * 10 + [None] * 9 + [1] * 81, [None] * 10 + [1] * 9 + [1] * 81
    assert has_not_regressed(figures(swapped_now), figures(swapped_before)).passed
    assert not has_not_regressed(figures([None] * 5 + [1] * 15), figures([1] * 20)).passed


def test_the_tolerance_is_what_large_sets_may_lose() -> None:
    before, now = figures([1] * 1000), figures([None] * 18 + [1] * 982)
    assert has_not_regressed(now, before).passed
    assert not has_not_regressed(now, before, tolerance=0.01).passed


def test_only_questions_asked_both_times_are_compared() -> None:
    now = replace(figures([1] * 30), outcomes=(*figures([1] * 30).outcomes, *(Outcome(uuid4(), "new", None, None) for _ in range(30))))
    finding = has_not_regressed(now, figures([1] * 30))
    assert finding.passed and finding.figures["compared"] == 30


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        (figures([None] * 4), figures([1] * 4), "Only 4 questions could be made"),
        (figures([]), None, "Only 0 questions could be made"),
        (figures([None] * 20), figures([1] * 4), "Only 4 questions were asked before as well"),
    ],
)
def test_what_cannot_be_told_passes_and_says_so(now: Figures, before: Figures | None, said: str) -> None:
    finding = has_not_regressed(now, before)
    assert finding.passed
    assert said in finding.description


# -- keeping


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> tuple[Registry, ArtifactStore]:
    registry = Registry(database)
    registry.add_author("ada")
    return registry, ArtifactStore(str(tmp_path))


def test_a_measurement_is_kept_and_read_again(kept: tuple[Registry, ArtifactStore]) -> None:
    registry, artifacts = kept
    measured = figures([1, 2, None] * 5)
    artifact = golden.record(registry, artifacts, "ada", measured)
    assert artifact.version == measured.version
    assert artifact.figures["recall_at_5"] == pytest.approx(2 / 3, abs=1e-4)
    assert golden.load(artifacts, artifact) == measured
    assert golden.regression(registry, artifacts, "ada").description.startswith("First measurement")


def test_a_loss_fails_until_it_is_made_good_or_accepted(kept: tuple[Registry, ArtifactStore]) -> None:
    registry, artifacts = kept
    good, bad = figures([1] * 50), figures([None] * 10 + [1] * 40)
    golden.record(registry, artifacts, "ada", good)
    for _ in range(2):  # measuring again makes nothing good
        golden.record(registry, artifacts, "ada", bad)
        assert not golden.regression(registry, artifacts, "ada").passed
    golden.accept(registry, "ada")
    assert golden.regression(registry, artifacts, "ada").passed
    golden.record(registry, artifacts, "ada", bad)
    assert golden.regression(registry, artifacts, "ada").passed
    golden.record(registry, artifacts, "ada", good)
    golden.record(registry, artifacts, "ada", bad)  # what was accepted before is no excuse once it was better again
    assert not golden.regression(registry, artifacts, "ada").passed


def test_small_losses_add_up(kept: tuple[Registry, ArtifactStore]) -> None:
    registry, artifacts = kept
    passed = []
    for lost in range(0, 60, 12):
        golden.record(registry, artifacts, "ada", figures([None] * lost + [1] * (1000 - lost)))
        passed.append(golden.regression(registry, artifacts, "ada").passed)
    assert passed == [True, True, False, False, False]


def test_a_measurement_that_says_nothing_is_no_yardstick(kept: tuple[Registry, ArtifactStore]) -> None:
    registry, artifacts = kept
    for one in (figures([1] * 20), figures([1] * 3), figures([None] * 20)):
        golden.record(registry, artifacts, "ada", one)
    assert not golden.regression(registry, artifacts, "ada").passed


def test_the_history_is_in_order_and_can_be_drawn(kept: tuple[Registry, ArtifactStore]) -> None:
    registry, artifacts = kept
    measured = [figures([1] * n + [None] * (20 - n)) for n in (5, 10, 15)]
    for one in measured:
        golden.record(registry, artifacts, "ada", one)
    history = registry.artifacts("ada", golden.KIND)[::-1]
    assert [artifact.version for artifact in history] == [one.version for one in measured]
    assert golden.draw(history).startswith(b"\x89PNG")
    assert registry.artifacts("bob", golden.KIND) == []


def test_nothing_measured_is_told(kept: tuple[Registry, ArtifactStore]) -> None:
    registry, artifacts = kept
    with pytest.raises(TwinError, match=r"never measured.*twin run ada --to golden_set"):
        golden.regression(registry, artifacts, "ada")
    with pytest.raises(TwinError, match="never measured"):
        golden.accept(registry, "ada")


def test_missed_questions_are_a_table_that_nothing_breaks() -> None:
    broken = Figures("model", 1, 0, 0, (Outcome(UUID(int=1), "a | b\nc <img>", None, 1), Outcome(UUID(int=2), "found", 1, None)))
    assert golden.missed(broken).splitlines()[2:] == [r"| a \| b c &lt;img> |"]
    assert golden.missed(figures([None] * 12)).splitlines()[-1] == "| and 2 more |"
    assert golden.missed(figures([1])).splitlines()[-1] == "| none |"
