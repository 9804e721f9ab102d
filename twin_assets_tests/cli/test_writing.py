"""Drafts and the voice of a text: ``twin write`` and ``voice``."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.store.registry import Registry
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, failed
from twin_assets_tests.writing.conftest import ADA, EVE, spoken

pytestmark = DAGSTERS_OWN


def test_write_needs_a_deployment_and_a_prompt(twin: Callable[..., Result], posts: Path) -> None:
    twin("add", "jane", "--source", str(posts))
    failed(twin("write", "jane", "bread"), "not deployed yet", "twin run jane")
    failed(twin("write", "jane", ""), "cannot be written", "prompt")
    failed(twin("write", "jane", "bread", "--platform", "fax"), "cannot be written", "platform", "linkedin")


def test_voice_says_how_much_a_text_sounds_like_the_author_and_what_in_it_does_not(
    twin: Callable[..., Result], ada: Registry, tmp_path: Path
) -> None:
    strange = "However, it is to be noted that [you] could."
    (tmp_path / "draft.md").write_text(f"{spoken(ADA)} {strange} {spoken(ADA, 3)}")
    result = twin("voice", "ada", str(tmp_path / "draft.md"))
    assert result.code == 0
    assert "voice score" in result.out and "sounds most like ada" in result.out
    assert "of ada's own passages sound less like ada" in result.out
    assert "what pulls it away" in result.out
    assert f"least like ada: {strange}" in result.out
    found = json.loads(twin("voice", "ada", str(tmp_path / "draft.md"), "--json").out)
    assert found["own"] and 0 <= found["low"] <= found["score"] <= found["high"] <= 1
    assert found["odd_sentences"][0]["sentence"] == strange


def test_voice_reads_standard_input_and_tells_somebody_else(
    twin: Callable[..., Result], ada: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(spoken(EVE)))
    result = twin("voice", "ada")
    assert result.code == 0
    assert "sounds most like eve" in result.out


def test_voice_says_what_is_missing(twin: Callable[..., Result], ada: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ada.add_author("bob")
    (tmp_path / "draft.md").write_text("I never do.")
    (tmp_path / "long.md").write_text(spoken(ADA))
    failed(twin("voice", "ada", str(tmp_path / "draft.md")), "3 words", "at least 50 are needed")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    failed(twin("voice", "ada", "--json"), "0 words", "at least 50 are needed")
    failed(twin("voice", "bob", str(tmp_path / "long.md")), "twin run bob --to voice_profile")
    failed(twin("voice", "zoe", str(tmp_path / "long.md")), "Known: ada, bob")
    failed(twin("voice", "ada", str(tmp_path / "absent.md")), "No such file", "absent.md")
