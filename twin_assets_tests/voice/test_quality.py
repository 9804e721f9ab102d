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


FIGURES = {"auc": 0.9, "auc_low": 0.8, "mistaken": 0.04, "judged": 40, "strangers": 87}


@pytest.mark.parametrize("change", [{}, {"auc": 0.85, "auc_low": 0.75}, {"auc": 1.0, "auc_low": 1.0, "judged": 12, "strangers": 3}])
def test_an_instrument_that_knows_people_apart_passes(change: dict[str, float]) -> None:
    figures = FIGURES | change
    passed, description = instrument_knows_people_apart("ada", figures)
    assert passed
    assert f"One of {figures['judged']} unseen passages by ada was put before a stranger's in {figures['auc']:.0%} of the" in description
    assert "4% of strangers' passages" in description


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auc": 0.84}, "84% of the cases"),
        ({"auc_low": 0.74}, "at least 74%, with"),
        ({"judged": 11, "auc": 1.0, "auc_low": 1.0}, "at least 12 (1,800 words of own prose)"),
        ({"auc": None}, "not measured"),
        ({"auc_low": None}, "not measured"),
        ({"strangers": None}, "not measured"),
        ({"strangers": 2, "auc": 1.0, "auc_low": 1.0}, "fewer than 3 control voices"),
    ],
)
def test_an_instrument_that_does_not_fails_and_says_what_to_do(change: dict[str, float | None], said: str) -> None:
    passed, description = instrument_knows_people_apart("ada", FIGURES | change)
    assert not passed
    assert said in description
    assert any(advice in description for advice in ("Add ", "Materialize voice/voice_profile again", "TWIN_CONTROL_AUTHORS"))
