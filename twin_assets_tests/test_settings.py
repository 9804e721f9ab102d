"""Settings: paths that mean the same from every folder."""

from pathlib import Path

import pytest

from twin_assets.settings import PROJECT_ROOT, Settings


def test_relative_paths_start_at_the_project_and_a_tilde_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(home=Path("data")).home == PROJECT_ROOT / "data"
    assert Settings(home=Path("~/twin")).home == Path.home() / "twin"
    assert Settings(home=tmp_path).home == tmp_path
    assert Settings(home=Path("data")).dagster_home.is_absolute()
