import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry
from twin_assets.voice.calibration import calibrate, margins
from twin_assets.voice.plot import draw, habits_table, traits, traits_table
from twin_assets.voice.profile import VoiceError, VoiceProfile, build_profile, load_profile
from twin_assets.voice.score import score
from twin_assets.voice.tokens import pieces
from twin_assets_tests.voice.conftest import CONTROLS
from twin_assets_tests.voice.voices import texts


def test_the_same_words_make_the_same_profile(profile: VoiceProfile) -> None:
    again = build_profile("wry", texts("wry", 20, 1), dict(reversed(CONTROLS.items())))
    assert again.to_json() == profile.to_json()
    assert again.version == profile.version


def test_other_words_make_another_version(profile: VoiceProfile) -> None:
    assert build_profile("wry", texts("wry", 20, 2), CONTROLS).version != profile.version


def test_a_profile_survives_json(profile: VoiceProfile) -> None:
    read = VoiceProfile.from_json(profile.to_json())
    text = texts("wry", 1, 9, words=200)[0]
    assert read.version == profile.version
    assert read.voices == profile.voices == ("wry", "coach", "manual")
    assert score(read, text) == score(profile, text)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "views": {"words": 3}}', "null"])
def test_what_is_no_profile_is_said_so(content: str) -> None:
    with pytest.raises(VoiceError, match="not a voice profile"):
        VoiceProfile.from_json(content)


def test_another_format_is_named(profile: VoiceProfile) -> None:
    with pytest.raises(VoiceError, match="format 99"):
        VoiceProfile.from_json(json.dumps(json.loads(profile.to_json()) | {"format": 99}))


def test_too_little_text_says_how_much_is_missing() -> None:
    with pytest.raises(VoiceError, match="wry has 2 words of own prose, a voice needs at least 600"):
        build_profile("wry", ["Two words."], CONTROLS)


@pytest.mark.parametrize("controls", [{}, {"coach": ["Too short."]}, {"wry": texts("wry", 20, 3)}])
def test_without_another_voice_there_is_no_profile(controls: dict[str, list[str]]) -> None:
    with pytest.raises(VoiceError, match="no control voice"):
        build_profile("wry", texts("wry", 20, 1), controls)


def test_the_authors_own_control_is_left_out(profile: VoiceProfile) -> None:
    assert build_profile("wry", texts("wry", 20, 1), CONTROLS | {"wry": texts("wry", 20, 3)}).version == profile.version


def test_a_clear_voice_is_recognised_while_held_out(profile: VoiceProfile) -> None:
    assert profile.recognised == 1
    assert profile.mistaken == 0


def test_a_difference_that_is_not_there_is_not_found() -> None:
    twins = build_profile("wry", texts("wry", 20, 1), {"same": texts("wry", 20, 2)})
    assert twins.recognised < 0.8  # measured on what it had learned from, it would be 1


def test_a_long_voice_does_not_drown_a_short_one() -> None:
    profile = build_profile("wry", texts("wry", 20, 1), {"manual": texts("manual", 200, 1), "coach": texts("coach", 4, 1)})
    assert profile.pieces == {"wry": 12, "manual": 60, "coach": 2}
    grams = set(profile.views["words"].grams[:200])
    assert {"your", "!", "i"} <= grams


def test_traits_name_what_tells_the_author_apart(profile: VoiceProfile) -> None:
    found = {trait.gram: trait for trait in traits(profile)}
    assert found["i"].author > 20 > 1 > found["i"].controls
    assert len(found) == 10
    assert "| `i` |" in traits_table(profile)
    assert habits_table(profile).count("\n") == len(profile.habits["wry"]) + 1


def test_a_mark_that_is_a_table_border_does_not_break_the_table() -> None:
    piped = [text.replace(",", " |") for text in texts("wry", 20, 1)]
    rows = traits_table(build_profile("wry", piped, CONTROLS)).splitlines()
    assert all(row.replace("\\|", "").count("|") == 4 for row in rows)


def test_the_picture_is_a_png(profile: VoiceProfile) -> None:
    png = draw(profile, {"wry": pieces(texts("wry", 5, 5)), "coach": pieces(CONTROLS["coach"]), "manual": []})
    assert png.startswith(b"\x89PNG")


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=8),
    st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=8),
)
def test_any_similarities_can_be_calibrated(own: list[list[float]], other: list[list[float]]) -> None:
    found = calibrate(150, {"me": np.array(own), "a": np.array(other), "b": np.array(other)})
    assert np.isfinite([found.slope, found.threshold, *found.own_margins]).all()
    assert found.slope >= 0
    assert list(found.own_margins) == sorted(found.own_margins)


def test_the_margin_is_to_the_nearest_control() -> None:
    assert margins(np.array([[0.5, 0.1, 0.3], [0.0, 0.4, -1.0]])).tolist() == pytest.approx([0.2, -0.4])


def test_the_newest_profile_is_loaded(database: Database, tmp_path, profile: VoiceProfile) -> None:
    registry, artifacts = Registry(database), ArtifactStore(str(tmp_path))
    with pytest.raises(VoiceError, match="no voice profile yet"):
        load_profile(registry, artifacts, "wry")
    for made in (build_profile("wry", texts("wry", 20, 2), CONTROLS), profile):
        uri = artifacts.put_bytes("wry", "voice_profile", "voice_profile.json", made.to_json().encode())
        registry.record_artifact("wry", "voice_profile", made.version, uri)
    assert load_profile(registry, artifacts, "wry").version == profile.version
