"""What leaves for the hub, and what does not."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Model, Registry
from twin_assets.training.card import model_card
from twin_assets.training.hub import PUSHED, Pushed, model_to_push, push, release
from twin_assets_tests.training.hub_fake import TOKEN, Hub, Repository, refused, use

REPOSITORY = "jane/ada-voice"
WEIGHTS = b"weights of ada"
LOCAL = "/home/jane/models/base"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return use(monkeypatch)


@pytest.fixture
def registry(database: Database) -> Registry:
    found = Registry(database)
    found.add_author("ada")
    return found


@pytest.fixture
def trained(registry: Registry, tmp_path: Path) -> Callable[..., Model]:
    """Makes a model with its files, and with others that must not leave."""

    def make(version: str = "m1", base: str = "org/base", status: str = "accepted", weights: bytes = WEIGHTS) -> Model:
        folder = tmp_path / "artifacts" / version
        (folder / "checkpoint-6").mkdir(parents=True)
        model = Model(version, "ada", "d1", "c1", base, str(folder), figures={"adapter_sha256": hashlib.sha256(weights).hexdigest()})
        files = {
            "adapter_model.safetensors": weights,
            "adapter_config.json": json.dumps({"base_model_name_or_path": LOCAL, "r": 32}).encode(),
            "README.md": model_card(model, {}, {}).encode(),
            "tokenizer.json": b"{}",
            "chat_template.jinja": b"{{ messages }}",
            "axolotl.yaml": b"base_model: /home/jane",
            "config.json": b"{}",
            "optimizer.pt": b"pickle",
            "train.jsonl": b"the author's words",
            "checkpoint-6/adapter_model.safetensors": b"older",
            ".complete": b"",
        }
        for name, data in files.items():
            (folder / name).write_bytes(data)
        registry.record_model(model)
        if status != "candidate":
            registry.decide(version, status, "ann", "Why not.")  # pyright: ignore[reportArgumentType]
        return replace(model, status=status)  # pyright: ignore[reportArgumentType]

    return make


def pushed(model: Model, registry: Registry, public: bool = False, repository: str = REPOSITORY) -> Pushed:
    return push(release(model, repository, public, ArtifactStore("/nowhere")), registry)


def test_only_what_loads_the_adapter_leaves_and_nothing_names_this_machine(
    hub: Hub, registry: Registry, trained: Callable[..., Model]
) -> None:
    done = pushed(trained(), registry)
    found = hub.repositories[REPOSITORY]
    assert done == Pushed(f"https://huggingface.co/{REPOSITORY}", True)
    assert set(found.files) == {"adapter_model.safetensors", "adapter_config.json", "README.md", "tokenizer.json", "chat_template.jinja"}
    assert found.private and found.commits == ["The voice of ada, model m1"] and set(found.tags) == {"m1"}
    assert found.files["adapter_model.safetensors"] == WEIGHTS
    assert json.loads(found.files["adapter_config.json"]) == {"base_model_name_or_path": "org/base", "r": 32}
    assert b"base_model: org/base" in found.files["README.md"]
    assert hub.tokens == {TOKEN}


@pytest.mark.parametrize(("base", "named"), [(LOCAL, b"A LoRA adapter for base that"), ("package:llm-x", b"for package:llm-x that")])
def test_a_base_model_that_is_not_on_the_hub_is_not_named_by_its_path(
    hub: Hub, registry: Registry, trained: Callable[..., Model], base: str, named: bytes
) -> None:
    pushed(trained(base=base), registry)
    files = hub.repositories[REPOSITORY].files
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] is None
    assert named in files["README.md"]
    assert not [name for name, data in files.items() if b"/home/jane" in data]


def test_what_is_there_already_is_left_alone(hub: Hub, registry: Registry, trained: Callable[..., Model]) -> None:
    model = trained()
    pushed(model, registry)
    assert pushed(model, registry) == Pushed(f"https://huggingface.co/{REPOSITORY}", False)
    assert hub.calls.count("create_commit") == 1


def test_one_that_was_killed_before_its_tag_is_tagged_without_another_commit(
    hub: Hub, registry: Registry, trained: Callable[..., Model]
) -> None:
    model = trained()
    pushed(model, registry)
    hub.repositories[REPOSITORY].tags.clear()
    assert pushed(model, registry).new
    assert len(hub.repositories[REPOSITORY].commits) == 1 and set(hub.repositories[REPOSITORY].tags) == {"m1"}


def test_another_version_takes_the_place_of_the_one_before_which_keeps_its_tag(
    hub: Hub, registry: Registry, trained: Callable[..., Model]
) -> None:
    pushed(trained(), registry)
    later = trained("m2", weights=b"later")
    (Path(later.adapter_uri) / "chat_template.jinja").unlink()
    hub.repositories[REPOSITORY].files["LICENSE"] = b"mine"
    pushed(later, registry)
    found = hub.repositories[REPOSITORY]
    assert found.files["adapter_model.safetensors"] == b"later"
    assert "chat_template.jinja" not in found.files and "LICENSE" in found.files
    assert found.tags["m1"]["adapter_model.safetensors"] == WEIGHTS


@pytest.mark.parametrize("there", [{"adapter_model.safetensors": b"others"}, {}])
def test_a_tag_with_other_weights_is_not_taken_for_this_model(
    hub: Hub, registry: Registry, trained: Callable[..., Model], there: dict[str, bytes]
) -> None:
    hub.repositories[REPOSITORY] = Repository(True, tags={"m1": there})
    with pytest.raises(TwinError, match="other weights under the tag m1"):
        pushed(trained(), registry)
    assert "create_commit" not in hub.calls


def test_where_a_model_was_pushed_to_is_noted(hub: Hub, registry: Registry, trained: Callable[..., Model]) -> None:
    model = trained()
    pushed(model, registry)
    pushed(model, registry, public=True, repository="jane/open")
    (row,) = registry.artifacts("ada", PUSHED)
    assert row.version == "m1" and {name: about["public"] for name, about in row.figures.items()} == {REPOSITORY: False, "jane/open": True}


@pytest.mark.parametrize("status", ["candidate", "rejected"])
def test_only_an_accepted_voice_can_be_public(hub: Hub, registry: Registry, trained: Callable[..., Model], status: str) -> None:
    model = trained(status=status)
    with pytest.raises(TwinError, match=f"is {status}: only one that the gate let through can be public"):
        pushed(model, registry, public=True)
    assert not hub.calls
    assert pushed(model, registry).new


def test_a_voice_that_was_to_be_private_goes_into_no_public_repository(hub: Hub, registry: Registry, trained: Callable[..., Model]) -> None:
    hub.repositories[REPOSITORY] = Repository(private=False)
    with pytest.raises(TwinError, match="is public, and the voice was to be private"):
        pushed(trained(), registry)
    assert not hub.repositories[REPOSITORY].files and not registry.artifacts("ada", PUSHED)


def test_a_private_repository_does_not_become_public(hub: Hub, registry: Registry, trained: Callable[..., Model]) -> None:
    hub.repositories[REPOSITORY] = Repository(private=True)
    with pytest.raises(TwinError, match="is private, and all that was pushed to it before would become public"):
        pushed(trained(), registry, public=True)
    assert hub.repositories[REPOSITORY].private and not hub.repositories[REPOSITORY].files


def test_weights_that_the_registry_does_not_know_do_not_leave(hub: Hub, registry: Registry, trained: Callable[..., Model]) -> None:
    model = trained()
    (Path(model.adapter_uri) / "adapter_model.safetensors").write_bytes(b"somebody else's")
    with pytest.raises(TwinError, match="not the registry's"):
        pushed(model, registry)
    assert not hub.calls


def test_a_model_without_its_files_names_them(hub: Hub, registry: Registry, trained: Callable[..., Model]) -> None:
    model = trained()
    (Path(model.adapter_uri) / "README.md").unlink()
    with pytest.raises(TwinError, match=r"README.md is not in"):
        pushed(model, registry)
    with pytest.raises(TwinError, match="is gone"):
        pushed(replace(model, adapter_uri="/nowhere/m1"), registry)


@pytest.mark.parametrize("name", ["ada-voice", "a/b/c", "jane/", "jane/a--b", "ja ne/x", "https://huggingface.co/jane/x"])
def test_a_name_that_is_no_repository_is_refused(hub: Hub, registry: Registry, trained: Callable[..., Model], name: str) -> None:
    with pytest.raises(TwinError, match="names no repository"):
        pushed(trained(), registry, repository=name)
    assert not hub.calls


def test_without_a_token_it_says_where_to_get_one(
    hub: Hub, registry: Registry, trained: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(TwinError, match=r"no token for the hub.*HF_TOKEN"):
        pushed(trained(), registry)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_\x00secret")
    with pytest.raises(TwinError, match="characters that are in no token") as told:
        pushed(trained("m2"), registry)
    assert "secret" not in str(told.value) and not hub.calls


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ("create_repo", refused(401), "does not take the token"),
        ("create_repo", refused(403), f"may not write to {REPOSITORY}"),
        ("create_commit", refused(404), f"may not write to {REPOSITORY}"),
        ("create_commit", refused(402, f"No room left for {TOKEN}."), "No room left for \\*\\*\\*"),
        ("create_repo", httpx2.ConnectError(f"no route for {TOKEN}"), "no route for \\*\\*\\*.*network"),
        ("create_repo", ConnectionError("Offline mode is enabled."), "Offline mode.*HF_HUB_OFFLINE"),
        ("create_commit", RuntimeError("Error while uploading"), "Error while uploading.*run the same command again"),
    ],
)
def test_a_hub_that_refuses_is_one_message_without_the_token(
    hub: Hub, registry: Registry, trained: Callable[..., Model], call: str, error: Exception, said: str
) -> None:
    hub.fails[call] = error
    with pytest.raises(TwinError, match=said) as told:
        pushed(trained(), registry)
    assert TOKEN not in str(told.value) and not registry.artifacts("ada", PUSHED)


def test_the_newest_accepted_model_is_meant_unless_one_is_named(registry: Registry, trained: Callable[..., Model]) -> None:
    with pytest.raises(TwinError, match="ada has no trained model yet"):
        model_to_push("ada", None, registry)
    trained("a1", status="candidate")
    with pytest.raises(TwinError, match=r"No model of ada is accepted.*a1 \(candidate\)"):
        model_to_push("ada", None, registry)
    for version, status in (("b1", "accepted"), ("b2", "accepted"), ("c1", "rejected")):
        trained(version, status=status)
    assert model_to_push("ada", None, registry).version == "b2"
    assert model_to_push("ada", "c", registry).version == "c1"
    for version, said in (("b", "More than one model"), ("q", "No model of ada begins with 'q'")):
        with pytest.raises(TwinError, match=said):
            model_to_push("ada", version, registry)
