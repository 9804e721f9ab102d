from pathlib import Path

import pytest

from twin_assets.voice.controls import stored_voices
from twin_assets.voice.profile import VoiceProfile, build_profile
from twin_assets_tests.voice.voices import texts

CONTROLS = {"manual": texts("manual", 12, 1), "coach": texts("coach", 12, 1)}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="session")
def profile() -> VoiceProfile:
    """The wry voice among two others."""
    return build_profile("wry", texts("wry", 20, 1), CONTROLS)


@pytest.fixture(scope="session")
def among_writers() -> VoiceProfile:
    """The wry voice among two others and real writers."""
    return build_profile("wry", texts("wry", 20, 1), CONTROLS, stored_voices()[:12])


@pytest.fixture
def slop_terms(tmp_path: Path) -> Path:
    """A list of further machine words."""
    path = tmp_path / "more.txt"
    path.write_text("# mine\nstroopwafel*\nas the oven foretold  # a phrase\n\n", "utf-8")
    return path
