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


def test_the_api_answers_to_this_machine_and_to_the_names_that_are_listed() -> None:
    assert Settings().api_names == ["localhost", "127.0.0.1", "[::1]"]
    assert Settings(api_hosts=" twin.example.org, *.lan,").api_names[3:] == ["twin.example.org", "*.lan"]
    assert Settings(api_hosts="*").api_names[3:] == ["*"]


def test_kinds_of_prompts_have_a_weight_each() -> None:
    assert Settings().prompt_weights == {"brief": 6, "rag": 3, "continue": 1}
    assert Settings(prompt_kinds="brief=3, rag, code=0.5").prompt_weights == {"brief": 3, "rag": 1, "code": 0.5}


@pytest.mark.parametrize("kinds", ["", "poem", "brief=", "brief=-1", "brief=0", "brief rag"])
def test_what_is_no_kind_of_prompt_is_refused(kinds: str) -> None:
    with pytest.raises(ValueError, match="kind of prompt"):
        Settings(prompt_kinds=kinds)


@pytest.mark.parametrize("name", ["https://twin.example.org", "twin.example.org:8000", "twin*", "a.*.org", "two names", "[fe80"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no host name"):
        Settings(api_hosts=f"localhost,{name}")
