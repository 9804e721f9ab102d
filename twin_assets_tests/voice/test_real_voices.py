from pathlib import Path
from statistics import fmean

import pytest

from twin_assets.voice.controls import stored_voices
from twin_assets.voice.profile import VoiceProfile, build_profile
from twin_assets.voice.score import VoiceScore, attribution_rate, score
from twin_assets.voice.tokens import pieces
from twin_assets.voice.trial import trial
from twin_assets_tests.voice.corpora import blog, others

OTHERS = ("Maxime Labonne", "Paul Iusztin", "sanand0", "simonw")


def _scores(profile: VoiceProfile, texts: list[str]) -> list[float]:
    found = [score(profile, text) for text in texts]
    judged = [one.score for one in found if isinstance(one, VoiceScore)]
    assert len(judged) >= 0.9 * len(texts)  # a passage that is all names and titles is no prose
    return judged


@pytest.mark.parametrize("names", [OTHERS, ("sanand0", "simonw")])
def test_a_real_author_is_recognised_years_later(test_data: Path, names: tuple[str, ...]) -> None:
    train, held_out = blog(test_data)
    controls = {name: texts for name, texts in others(test_data).items() if name in names}
    seen = {name: texts[: len(texts) * 7 // 10] for name, texts in controls.items()}
    unseen = {name: pieces(texts[len(texts) * 7 // 10 :])[:40] for name, texts in controls.items()}
    profile = build_profile("mtlynch", train, seen)
    own_pieces = pieces(held_out)[:60]
    ceiling = attribution_rate(profile, own_pieces)
    mistaken = {name: attribution_rate(profile, texts) for name, texts in unseen.items()}
    shorter = [" ".join(text.split()[:50]) for text in own_pieces]
    own, short, strange = (fmean(_scores(profile, texts)) for texts in (own_pieces, shorter, unseen["simonw"]))
    print(f"{len(names) + 1} voices: ceiling {ceiling:.3f}, mistaken {mistaken}, mean scores {own:.2f} {short:.2f} {strange:.2f}")
    assert ceiling >= 0.9
    assert mistaken["simonw"] <= 0.1
    assert max(mistaken.values()) <= 0.5
    assert own > short > 0.55
    assert own > 0.65
    assert strange < 0.2


def test_a_real_author_is_told_from_people_who_were_never_met(test_data: Path) -> None:
    train, held_out = blog(test_data)
    profile = build_profile("mtlynch", train, {}, stored_voices()[::4])
    strangers = {name: pieces(texts)[:30] for name, texts in others(test_data).items() if name in OTHERS}
    own = _scores(profile, pieces(held_out)[:40])
    strange = {name: _scores(profile, texts) for name, texts in strangers.items()}
    before = {name: fmean(mine > theirs for mine in own for theirs in scores) for name, scores in strange.items()}
    means = {name: round(fmean(scores), 2) for name, scores in strange.items()}
    print(f"figures {profile.figures}, own {fmean(own):.2f}, strangers {means}, own text put first {before}")
    assert profile.figures["auc"] >= 0.9
    assert fmean(own) > 0.8
    assert min(before.values()) > 0.7
    assert fmean(before.values()) > 0.85


def test_real_authors_are_told_apart_by_300_words(test_data: Path) -> None:
    written = others(test_data)
    before, after = blog(test_data)
    found = trial({"mtlynch": [*before, *after]} | {name: written[name] for name in OTHERS}, most_texts=60)
    print(f"balanced accuracy {found.balanced_accuracy:.3f}, AUC {found.mean_auc:.3f}, texts {found.texts}, recall {found.recall}")
    assert found.balanced_accuracy >= 0.9
    assert found.mean_auc >= 0.9
