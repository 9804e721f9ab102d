import pytest

from twin_assets.voice.profile import VoiceProfile, build_profile
from twin_assets_tests.voice.voices import texts

CONTROLS = {"manual": texts("manual", 12, 1), "coach": texts("coach", 12, 1)}


@pytest.fixture(scope="session")
def profile() -> VoiceProfile:
    """The wry voice among two others."""
    return build_profile("wry", texts("wry", 20, 1), CONTROLS)
