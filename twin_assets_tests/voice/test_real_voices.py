from pathlib import Path
from statistics import fmean

import pytest

from twin_assets.voice.profile import build_profile
from twin_assets.voice.score import attribution_rate, score
from twin_assets.voice.tokens import opening, pieces
from twin_assets_tests.voice.corpora import blog, others


@pytest.mark.parametrize("names", [("Maxime Labonne", "Paul Iusztin", "sanand0", "simonw"), ("sanand0", "simonw")])
def test_a_real_author_is_recognised_years_later(test_data: Path, names: tuple[str, ...]) -> None:
    train, held_out = blog(test_data)
    controls = {name: texts for name, texts in others(test_data).items() if name in names}
    seen = {name: texts[: len(texts) * 7 // 10] for name, texts in controls.items()}
    unseen = {name: pieces(texts[len(texts) * 7 // 10 :]) for name, texts in controls.items()}
    profile = build_profile("mtlynch", train, seen)
    ceiling = attribution_rate(profile, pieces(held_out))
    mistaken = {name: attribution_rate(profile, texts) for name, texts in unseen.items()}
    own, short, strange = (
        fmean(score(profile, text).score for text in texts)
        for texts in (pieces(held_out), [opening(text, 40) for text in pieces(held_out)], unseen["simonw"])
    )
    print(f"{len(names) + 1} voices: ceiling {ceiling:.3f}, mistaken {mistaken}, mean scores {own:.2f} {short:.2f} {strange:.2f}")
    assert ceiling >= 0.87
    assert mistaken["simonw"] <= 0.1
    assert max(mistaken.values()) <= 0.5
    assert own > short > 0.55
    assert own > 0.65
    assert strange < 0.2
