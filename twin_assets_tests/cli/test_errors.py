"""What holds for all commands: each error is one message, and says what to do."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.settings import Settings, get_settings
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, call, failed

pytestmark = DAGSTERS_OWN


def test_an_unknown_author_is_told_who_is_known(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    for command in (["run", "joe"], ["forget", "joe"], ["checks", "joe"]):
        failed(twin(*command), "No author 'joe'", "Known: jane", "twin add joe")
    failed(twin("write", "joe", "bread"), "joe")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "jane"], "--source"),
        (["wrong"], "wrong"),
        (["run"], "NAME"),
        (["inspect", "a", "b"], "b"),
        (["inspect"], "PATH_OR_URL"),
        (["inspect", "a", "--author", "jane"], "--author"),
        (["inspect", "--author", "jane", "--until", "2024-01-01"], "--until"),
        (["write", "jane", "bread", "--words", "5"], "20"),
        (["run", "jane", "--fast"], "--fast"),
        (["checks"], "AUTHOR"),
        (["checks", "jane", "--ci"], "AUTHOR"),
    ],
)
def test_a_usage_error_ends_with_2(settings: Settings, arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert result.code == 2
    assert said.lower() in result.err.lower()


def test_a_setting_that_cannot_be_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_HELD_OUT_SHARE", "1.5")
    get_settings.cache_clear()
    try:
        failed(call("status"), "TWIN_HELD_OUT_SHARE", "less than 1", "1.5", code=2)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_the_module_runs_as_the_command_does() -> None:
    asked = subprocess.run([sys.executable, "-m", "twin_assets.cli", "wrong"], capture_output=True, encoding="utf-8", check=False)
    assert asked.returncode == 2
    assert "No such command 'wrong'" in asked.stderr
