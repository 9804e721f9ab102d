"""``twin push``: an adapter on the hub."""

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_assets.store.registry import Model, Registry
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, failed
from twin_assets_tests.training.hub_fake import TOKEN, Hub, refused, use

pytestmark = DAGSTERS_OWN
TO = ("--to", "jane/ada-voice")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return use(monkeypatch)


@pytest.fixture
def accepted(ada: Registry, tmp_path: Path) -> Registry:
    """ada's model n1 is accepted and has its files; m1, which is older, is a candidate."""
    for name in ("adapter_model.safetensors", "README.md"):
        (tmp_path / name).write_text(name)
    (tmp_path / "adapter_config.json").write_text("{}")
    digest = hashlib.sha256(b"adapter_model.safetensors").hexdigest()
    ada.record_model(Model("n1", "ada", "d1", "c1", "package:llm-x", str(tmp_path), figures={"adapter_sha256": digest}))
    ada.decide("n1", "accepted", "ann", "Why not.")
    ada.record_artifact("ada", "eval_report", "r2", "/report", {"model_version": "n1", "verbatim_longest": 9})
    return ada


def answer(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))


def test_it_is_private_and_asks_nothing_and_says_where_it_is(twin: Callable[..., Result], accepted: Registry, hub: Hub) -> None:
    result = twin("push", "ada", *TO)
    assert result.code == 0, result
    for said in (
        "Model n1: 3 files",
        "https://huggingface.co/jane/ada-voice",
        "private",
        'from_pretrained(your_base_model, "jane/ada-voice")',
    ):
        assert said in result.out
    assert hub.repositories["jane/ada-voice"].private
    assert "was there already" in twin("push", "ada", *TO).out


def test_a_public_voice_is_asked_about_first(
    twin: Callable[..., Result], accepted: Registry, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "n\n")
    result = twin("push", "ada", *TO, "--public")
    failed(result, "Nothing was pushed")
    for said in ("PUBLIC", "does not take it back", "the longest copy in its evaluation was 9 words", "Do you speak for ada"):
        assert said in result.out
    assert not hub.calls
    answer(monkeypatch, "")
    assert twin("push", "ada", *TO, "--public").code == 130
    assert not hub.calls
    answer(monkeypatch, "y\n")
    assert "everybody can read it" in twin("push", "ada", *TO, "--public").out
    assert not hub.repositories["jane/ada-voice"].private


def test_yes_does_not_ask(twin: Callable[..., Result], accepted: Registry, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "")
    assert twin("push", "ada", *TO, "--public", "--yes").code == 0
    assert not hub.repositories["jane/ada-voice"].private


def test_a_model_that_is_not_accepted_is_pushed_with_a_warning_and_never_publicly(
    twin: Callable[..., Result], accepted: Registry, hub: Hub
) -> None:
    accepted.decide("n1", "candidate", "ann", "Look again.")
    failed(twin("push", "ada", *TO), "No model of ada is accepted or serves", "n1 (candidate)", "--model")
    failed(twin("push", "ada", *TO, "--model", "n", "--public", "--yes"), "only one that the gate let through can be public")
    assert not hub.calls
    assert "Model n1 is candidate: the gate did not let it through" in twin("push", "ada", *TO, "--model", "n").out


def test_what_was_pushed_stands_in_the_comparison(twin: Callable[..., Result], accepted: Registry, hub: Hub) -> None:
    twin("push", "ada", *TO)
    newest, older = json.loads(twin("compare", "ada", "--json").out)
    assert (newest["pushed"], older["pushed"]) == (["jane/ada-voice"], [])
    rows = [line.split() for line in twin("compare", "ada", "m1", "n1").out.splitlines()]
    assert ["pushed", "to", "-", "jane/ada-voice"] in rows


def test_what_cannot_be_pushed_is_one_message(twin: Callable[..., Result], accepted: Registry, hub: Hub) -> None:
    failed(twin("push", "joe", *TO), "No author 'joe'")
    failed(twin("push", "ada", "--to", "ada-voice"), "names no repository", "jane-doe/ada-voice")
    failed(twin("push", "ada", *TO, "--model", "q9"), "No model of ada begins with 'q9'")
    assert twin("push", "ada").code == 2
    hub.fails["create_repo"] = refused(403, TOKEN)
    result = twin("push", "ada", *TO)
    failed(result, "may not write to jane/ada-voice")
    assert TOKEN not in result.err + result.out
