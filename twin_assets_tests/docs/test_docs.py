"""The pages say what is: every setting, command and asset stands in them, and what they link to exists."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from twin_assets.cli import app
from twin_assets.definitions import defs
from twin_assets.settings import PROJECT_ROOT, Settings

DOCS = PROJECT_ROOT / "docs"
PAGES = [PROJECT_ROOT / "README.md", *sorted(DOCS.glob("**/*.md"))]
HOME_OF_NOBODY = re.compile(r"/work/|/var/tmp|\.\./shared")
MAY_NAME_IT = {".ci/run", "twin_assets_tests/docs/test_docs.py"}
OTHER_VARIABLES = (
    "DAGSTER_HOME",
    "WANDB_API_KEY",
    "WANDB_MODE",
    "HF_TOKEN",
    "PIP_FIND_LINKS",
    "TORCH_BACKEND",
    "PYTHON",
    "TWIN_TEST_DATA",
)


def default(value: Any) -> str:
    """A default as the page writes it: paths inside the project are relative to it."""
    if isinstance(value, Path):
        value = value.relative_to(PROJECT_ROOT).as_posix()
    return "empty" if value is None or value == "" else f"`{value}`"


def settings_row(name: str) -> str:
    field = Settings.model_fields[name]
    return f"| `TWIN_{name.upper()}` | {default(field.default)} | {field.description} |"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_stands_in_the_page_with_its_default(name: str) -> None:
    assert settings_row(name) in (DOCS / "settings.md").read_text().splitlines()


def test_the_page_names_no_setting_that_is_gone() -> None:
    named = set(re.findall(r"^\| `(TWIN_\w+)` \|", (DOCS / "settings.md").read_text(), re.MULTILINE)) - {"TWIN_TEST_DATA"}
    assert named == {f"TWIN_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("variable", OTHER_VARIABLES)
def test_other_variables_that_are_honoured_stand_in_the_page(variable: str) -> None:
    assert re.search(rf"^\| `{variable}` \| \S", (DOCS / "settings.md").read_text(), re.MULTILINE)


def commands() -> dict[str, Any]:
    """Every command of ``twin`` by its words, from the application itself."""
    found: dict[str, Any] = {}

    def walk(group: Any, words: list[str]) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, [*words, name])
            else:
                found[" ".join([*words, name])] = command

    walk(typer.main.get_command(app), ["twin"])
    return found


def section(command: str) -> str:
    """What the page says about a command: from its heading to the next."""
    found = re.search(rf"^## `{re.escape(command)}\b[^\n]*\n(.*?)(?=^## |\Z)", (DOCS / "cli.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section ## `{command} ...`"
    return found[0]


def test_the_command_line_is_as_large_as_we_think() -> None:
    assert {"twin run", "twin write", "twin inspect", "twin db url"} <= set(commands())


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_stands_in_the_page_with_its_options_and_an_example(command: str) -> None:
    said = section(command)
    for parameter in commands()[command].params:
        option = parameter.param_type_name == "option"
        for name in parameter.opts if option else [parameter.metavar or parameter.name.upper()]:
            assert name in said, f"{command} {name}"
    example = re.search(r"```\n(.*?)```", said, re.DOTALL)
    assert example and command in example[1]


def test_the_page_has_no_command_that_is_gone() -> None:
    headings = re.findall(r"^## `(twin(?: [a-z]+)+)", (DOCS / "cli.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(commands())


@pytest.mark.parametrize("key", sorted(key.to_user_string() for key in defs.resolve_all_asset_keys()))
def test_every_asset_stands_in_the_table_of_the_readme(key: str) -> None:
    table = [line for line in (PROJECT_ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert any(f"`{key}`" in line for line in table)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT_ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in target]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert missing == []


def tracked_texts() -> list[tuple[str, str]]:
    """Path and text of every text file under version control."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        file = PROJECT_ROOT / name
        data = file.read_bytes() if file.is_file() else b""
        if b"\0" not in data:
            found.append((name, data.decode("utf-8", errors="replace")))
    return found


def test_no_file_names_a_path_of_one_machine() -> None:
    if not (PROJECT_ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    texts = tracked_texts()
    assert len(texts) > 50
    named = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts
        if name not in MAY_NAME_IT
        for number, line in enumerate(text.splitlines(), 1)
        if HOME_OF_NOBODY.search(line) and "TWIN_TEST_DATA" not in line
    ]
    assert named == []
