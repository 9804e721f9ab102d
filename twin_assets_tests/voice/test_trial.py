import pytest

from twin_assets.store.errors import TwinError
from twin_assets.voice.trial import trial
from twin_assets_tests.voice.voices import foreign, texts, without_spaces

VOICES = {name: texts(name, 8, 1, words=330) for name in ("wry", "manual", "coach")}


@pytest.mark.parametrize("nearest_centroid", [False, True])
def test_different_people_are_told_apart(nearest_centroid: bool) -> None:
    found = trial(VOICES, nearest_centroid=nearest_centroid)
    assert found.authors == ("wry", "manual", "coach")
    assert found.balanced_accuracy == found.mean_auc == 1
    assert found.texts == dict.fromkeys(VOICES, 8)
    assert found.confusion["wry"] == {"wry": 8, "manual": 0, "coach": 0}


def test_one_person_under_two_names_is_told_apart_by_chance() -> None:
    documents = texts("wry", 48, 1, words=330)
    found = trial({"one": documents[::2], "other": documents[1::2]})
    assert 0.25 < found.balanced_accuracy < 0.75  # measured on what was learned from, it would be 1
    assert 0.25 < found.mean_auc < 0.75


def test_someone_who_is_taken_for_another_stands_in_the_confusion() -> None:
    mixed = [*texts("wry", 6, 5, words=330), *texts("coach", 2, 5, words=330)]
    found = trial({**VOICES, "mixed": mixed})
    assert found.recall["manual"] == 1
    assert found.confusion["mixed"]["coach"] == 2
    assert found.recall["mixed"] == found.confusion["mixed"]["mixed"] / 8
    assert found.balanced_accuracy == pytest.approx(sum(found.recall.values()) / 4)


def test_short_documents_count_together_and_many_are_thinned_out() -> None:
    short = {name: texts(name, 40, 1) for name in VOICES}
    assert all(5 <= number <= 12 for number in trial(short).texts.values())
    assert trial(short, most_texts=4).texts == dict.fromkeys(VOICES, 4)
    assert all(number >= 30 for number in trial(short, words=80).texts.values())


def test_who_has_fewer_than_three_documents_is_left_out() -> None:
    found = trial({**VOICES, "coach": VOICES["coach"][:2]})
    assert (found.authors, found.left_out) == (("wry", "manual"), ("coach",))
    assert trial({**VOICES, "coach": VOICES["coach"][:3]}).left_out == ()


def test_one_giant_document_is_not_enough() -> None:
    assert trial({**VOICES, "coach": [" ".join(VOICES["coach"])]}).left_out == ("coach",)
    with pytest.raises(TwinError, match=r"each with 3 documents of 300 words.*Without so many: coach\."):
        trial({"wry": VOICES["wry"], "coach": [" ".join(VOICES["coach"])]})


@pytest.mark.parametrize("documents", [{}, {"wry": VOICES["wry"]}])
def test_one_author_cannot_be_told_apart(documents: dict[str, list[str]]) -> None:
    with pytest.raises(TwinError, match="Not enough evidence: at least two authors"):
        trial(documents)


def test_people_who_write_in_another_script_are_told_apart() -> None:
    assert trial({name: foreign(own) for name, own in VOICES.items()}).balanced_accuracy == 1


def test_a_script_without_spaces_is_not_enough_evidence() -> None:
    with pytest.raises(TwinError, match=r"Not enough evidence: .* Without so many: wry, manual, coach"):
        trial({name: without_spaces(own) for name, own in VOICES.items()})
