"""The command on an empty database, something to read, and an author whose model waits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Model, Registry
from twin_assets.voice.profile import KIND
from twin_assets_tests.cli.typed import PARAGRAPH, Result, call
from twin_assets_tests.serving.figures import GOOD
from twin_assets_tests.writing.conftest import voice_of_ada


@pytest.fixture
def twin(database: Database, settings: Settings) -> Callable[..., Result]:
    """The command on an empty database, and with a Dagster that knows of no run."""
    shutil.rmtree(settings.home / "dagster", ignore_errors=True)
    return call


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A folder with two posts and a draft."""
    folder = tmp_path / "my posts"
    folder.mkdir()
    (folder / "one.md").write_text(f"---\ntitle: One [loaf]\ndate: 2024-03-01\n---\n{PARAGRAPH.format('first')}\n")
    (folder / "two.md").write_text(f"---\ntitle: Two\ndate: 2024-04-01\n---\n{PARAGRAPH.format('second')}\n")
    (folder / "three.md").write_text("---\ntitle: Three\ndraft: true\n---\nNot yet.\n")
    return folder


@pytest.fixture
def ada(twin: Callable[..., Result], database: Database, settings: Settings) -> Registry:
    """ada, whose voice is known, with a model that passed and waits, under the manual policy."""
    registry = Registry(database)
    registry.add_author("ada")
    profile = voice_of_ada()
    uri = ArtifactStore(settings.artifacts_url).put_bytes("ada", KIND, "profile.npz", profile.to_bytes())
    registry.record_artifact("ada", KIND, profile.version, uri)
    registry.record_model(Model("m1", "ada", "d1", "c1", "base", "/adapter"))
    registry.record_artifact("ada", "eval_report", "r1", "/report", {**GOOD, "voice_base": 0.1})
    registry.change_thresholds("ada", {"policy": "manual"})
    return registry
