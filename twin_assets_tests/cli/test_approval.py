"""Who lets a model serve: ``twin gate`` and ``approve``."""

import json
from collections.abc import Callable

import pytest

from twin_assets.serving.deploy import SwitchOver
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.store.thresholds import Thresholds
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result, failed

pytestmark = DAGSTERS_OWN


def test_gate_shows_and_changes_what_a_model_must_show(twin: Callable[..., Result], ada: Registry) -> None:
    rows = {line.split()[0]: line.split()[1] for line in twin("gate", "ada").out.splitlines() if len(line.split()) > 2}
    assert rows | {"policy": "manual", "slop_over_author": "2.0", "verbatim_words": "25"} == rows
    assert twin("gate", "ada", "--set", "slop_over_author=3.5", "--set", " policy = auto ").code == 0
    assert (ada.thresholds("ada").slop_over_author, ada.thresholds("ada").policy) == (3.5, "auto")
    found = json.loads(twin("gate", "ada", "--json").out)
    assert (found["slop_over_author"], found["policy"]) == (3.5, "auto")
    assert twin("gate", "ada", "--set", "slop_over_author=").code == 0
    assert ada.thresholds("ada") == Thresholds.model_validate({})


def test_gate_refuses_what_is_no_threshold_and_changes_nothing(twin: Callable[..., Result], ada: Registry) -> None:
    before = ada.thresholds("ada")
    failed(twin("gate", "ada", "--set", "perplexity=3"), "no threshold 'perplexity'", "voice_gain", "slop_over_author")
    failed(twin("gate", "ada", "--set", "policy=auto", "--set", "perplexity="), "no threshold 'perplexity'")
    failed(twin("gate", "ada", "--set", "policy=perhaps"), "policy", "'auto' or 'manual'")
    failed(twin("gate", "ada", "--set", "verbatim_words=2"), "verbatim_words", "greater than or equal to 5")
    failed(twin("gate", "ada", "--set", "policy"), "NAME=VALUE", code=2)
    failed(twin("gate", "joe"), "No author 'joe'")
    assert ada.thresholds("ada") == before


def test_gate_shows_who_let_which_model_serve_and_why(twin: Callable[..., Result], ada: Registry) -> None:
    ada.decide("m1", "rejected", "jo", "Too [bold] for me.")
    ada.decide("m1", "accepted", "ann", "It grew on me.")
    lines = [line.partition(" UTC ")[2] for line in twin("gate", "ada").out.splitlines() if " UTC " in line]
    assert lines == [
        "m1: rejected -> accepted, ann. It grew on me.",
        "m1: candidate -> rejected, jo. Too [bold] for me.",
        "m1: new -> candidate, training. Trained on dataset d1.",
    ]


def test_approve_notes_who_and_why_and_deploys_that_model_alone(
    twin: Callable[..., Result], ada: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed: list[str] = []

    def deploy(model: Model, *_: object) -> SwitchOver:
        deployed.append(model.version)
        deployment = Deployment("ada", model.version, "llama.cpp", "http://127.0.0.1:9/v1", "/model.gguf")
        ada.record_deployment(deployment)
        return SwitchOver(deployment, changed=True, smoke_text="Salt.")

    monkeypatch.setattr("twin_assets.serving.assets.deploy", deploy)
    monkeypatch.setattr("twin_assets.serving.checks.model_server.healthy", lambda *_: True)
    result = twin("approve", "ada", "--reason", "Read ten of them.", "--version", "m1")
    assert result.code == 0, result
    assert "Model m1 is accepted." in result.out
    assert "raw_posts" not in result.out
    assert deployed == ["m1"]
    assert [(step.after, step.reason) for step in ada.transitions("ada")[:2]] == [
        ("deployed", "Serves at http://127.0.0.1:9/v1."),
        ("accepted", "Read ten of them."),
    ]
    assert ada.transitions("ada")[1].actor
    failed(twin("approve", "ada", "--reject"), "m1 is deployed")


def test_approve_can_leave_the_deployment_to_the_platform(twin: Callable[..., Result], ada: Registry) -> None:
    assert "accepted" in twin("approve", "ada", "--no-deploy").out
    assert (ada.deployment("ada"), [model.status for model in ada.models("ada")]) == (None, ["accepted"])


def test_a_rejected_model_stays_rejected_until_it_is_approved(twin: Callable[..., Result], ada: Registry) -> None:
    assert "Model m1 is rejected." in twin("approve", "ada", "--reject", "--reason", "Too stiff.").out
    assert [model.status for model in ada.models("ada")] == ["rejected"]
    assert ada.transitions("ada")[0].reason == "Too stiff."
    assert twin("approve", "ada", "--no-deploy").code == 0
    assert [model.status for model in ada.models("ada")] == ["accepted"]


def test_what_cannot_be_approved_says_why(twin: Callable[..., Result], ada: Registry) -> None:
    ada.record_model(Model("m2", "ada", "d2", "c1", "base", "/adapter"))
    failed(twin("approve", "ada", "--version", "m1"), "Only ada's newest model, m2", "m1 is another one")
    failed(twin("approve", "ada", "--version", "m1", "--reject"), "Only ada's newest model, m2")
    failed(twin("approve", "ada"), "m2 cannot be approved", "no evaluation")
    failed(twin("approve", "joe"), "No author 'joe'")
    ada.add_author("bob")
    failed(twin("approve", "bob"), "no trained model", "twin run bob")
    assert {model.status for model in ada.models("ada")} == {"candidate"}
