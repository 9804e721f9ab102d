import pytest

from twin_assets.voice.quality import author_is_recognised


@pytest.mark.parametrize("rate", [0.6, 1.0])
def test_an_author_who_is_recognised_passes(rate: float) -> None:
    assert author_is_recognised("ada", rate, 20)[0]


@pytest.mark.parametrize("rate", [0.0, 0.59])
def test_an_author_who_is_not_recognised_fails_and_is_told_what_to_do(rate: float) -> None:
    passed, description = author_is_recognised("ada", rate, 20)
    assert not passed
    assert f"{rate:.0%} of 20 unseen passages by ada" in description
    assert "Add more" in description
