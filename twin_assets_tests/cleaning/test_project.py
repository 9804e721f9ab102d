import os
import subprocess
import sys
from pathlib import Path

import pytest

from twin_assets.cleaning import project
from twin_assets.settings import Settings


def variables(url: str) -> dict[str, str]:
    return {name.removeprefix("TWIN_DBT_"): value for name, value in project.environment(url).items() if name.startswith("TWIN_DBT_")}


def test_the_profile_takes_a_socket_folder() -> None:
    found = variables("postgresql://twin@/twin?host=%2Fhome%2Fa%20b%2Fs&port=5432")
    assert found == {"HOST": "/home/a b/s", "PORT": "5432", "USER": "twin", "DATABASE": "twin"}


def test_the_profile_takes_a_server_with_a_password() -> None:
    found = variables("postgresql+psycopg://ada:p%40ss%2F%C3%A9@db.example.org:5433/warehouse?sslmode=require")
    assert found == {
        "HOST": "db.example.org",
        "PORT": "5433",
        "USER": "ada",
        "PASSWORD": "p@ss/é",
        "DATABASE": "warehouse",
        "SSLMODE": "require",
    }


def test_variables_are_applied_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_KEPT", "before")
    with project.applied({"TWIN_KEPT": "during", "TWIN_NEW": "during"}):
        assert (os.environ["TWIN_KEPT"], os.environ["TWIN_NEW"]) == ("during", "during")
    assert os.environ["TWIN_KEPT"] == "before"
    assert "TWIN_NEW" not in os.environ


def test_the_manifest_follows_the_project(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "project"
    copy.mkdir()
    (copy / "model.sql").write_text("select 1")
    parsed = []

    def parse(settings: Settings, arguments: list[str]) -> str:
        parsed.append(arguments)
        (project.target(settings) / "manifest.json").write_text("{}")
        return ""

    monkeypatch.setattr(project, "PROJECT", copy)
    monkeypatch.setattr(project, "run_dbt", parse)
    here = settings.model_copy(update={"home": tmp_path / "home"})
    project.manifest(here)
    project.manifest(here)
    assert parsed == [["parse"]]
    (copy / "models").mkdir()
    (copy / "models" / "new.sql").write_text("select 2")
    project.manifest(here)
    assert len(parsed) == 2
    (copy / "models" / "new.sql").unlink()
    project.manifest(here)
    assert len(parsed) == 3


def test_the_assets_load_without_dbt() -> None:
    code = "import sys, twin_assets.cleaning.assets; print(any(name.startswith('dbt.') for name in sys.modules))"
    env = {name: value for name, value in os.environ.items() if name != "TWIN_HOME"}  # with the manifest that is there already
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
