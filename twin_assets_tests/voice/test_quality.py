import pytest

from twin_assets.voice.quality import author_is_recognised, instrument_knows_people_apart


@pytest.mark.parametrize("rate", [0.6, 1.0])
def test_an_author_who_is_recognised_passes(rate: float) -> None:
    assert author_is_recognised("ada", rate, 20)[0]


@pytest.mark.parametrize("rate", [0.0, 0.59])
def test_an_author_who_is_not_recognised_fails_and_is_told_what_to_do(rate: float) -> None:
    passed, description = author_is_recognised("ada", rate, 20)
    assert not passed
    assert f"{rate:.0%} of 20 unseen passages by ada" in description
    assert "Add more" in description


@pytest.mark.parametrize("auc", [0.85, 1.0])
def test_an_instrument_that_knows_people_apart_passes(auc: float) -> None:
    passed, description = instrument_knows_people_apart("ada", auc, 0.04)
    assert passed
    assert f"in {auc:.0%} of the cases; 4% of strangers' passages" in description


def test_an_instrument_that_does_not_fails_and_says_what_to_do() -> None:
    passed, description = instrument_knows_people_apart("ada", 0.84, 0.3)
    assert not passed
    assert "85% are needed" in description and "Add more" in description
    passed, description = instrument_knows_people_apart("ada", None, 1.0)
    assert not passed
    assert "not measured" in description and "Materialize voice/voice_profile" in description
