"""The hub on this machine: every call is held against the signature of the real client, and what it was given is kept."""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

TOKEN = "hf_aSecretOfAda"
URL = "https://huggingface.co"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    tags: dict[str, dict[str, bytes]] = field(default_factory=dict)


@dataclass
class Hub:
    """What the hub holds, and how it behaves: ``fails`` are raised by the calls of that name."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    tokens: set[Any] = field(default_factory=set)

    def client(self, **options: Any) -> "Client":
        inspect.signature(HfApi).bind(**options)
        self.tokens.add(options.get("token"))
        return Client(self)


class Client:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def __getattr__(self, name: str) -> Callable[..., Any]:
        own = _CALLS[name]

        def call(*arguments: Any, **options: Any) -> Any:
            bound = inspect.signature(getattr(HfApi, name)).bind(self, *arguments, **options)
            self.hub.calls.append(name)
            if name in self.hub.fails:
                raise self.hub.fails[name]
            return own(self.hub, **{key: value for key, value in bound.arguments.items() if key != "self"})

        return call


def refused(status: int, said: str = "") -> HfHubHTTPError:
    """What the client raises when the hub answers with that status."""
    response = httpx2.Response(status, request=httpx2.Request("POST", f"{URL}/api"))
    return HfHubHTTPError(f"{status} for {URL}", response=response, server_message=said or None)


def _create_repo(hub: Hub, repo_id: str, private: bool, exist_ok: bool) -> str:
    assert exist_ok
    hub.repositories.setdefault(repo_id, Repository(private))
    return f"{URL}/{repo_id}"


def _model_info(hub: Hub, repo_id: str) -> SimpleNamespace:
    found = hub.repositories[repo_id]
    return SimpleNamespace(private=found.private, siblings=[SimpleNamespace(rfilename=name) for name in found.files])


def _list_repo_refs(hub: Hub, repo_id: str) -> SimpleNamespace:
    return SimpleNamespace(tags=[SimpleNamespace(name=name) for name in hub.repositories[repo_id].tags])


def _create_commit(hub: Hub, repo_id: str, operations: list[Any], commit_message: str) -> SimpleNamespace:
    found = hub.repositories[repo_id]
    before = dict(found.files)
    for operation in operations:
        if isinstance(operation, CommitOperationAdd):
            with operation.as_file() as file:
                found.files[operation.path_in_repo] = file.read()
        else:
            del found.files[operation.path_in_repo]
    if found.files != before:  # as the client does: no commit is empty
        found.commits.append(commit_message)
    return SimpleNamespace(oid=f"commit-{len(found.commits)}")


def _create_tag(hub: Hub, repo_id: str, tag: str, revision: str, exist_ok: bool) -> None:
    assert exist_ok and revision == f"commit-{len(hub.repositories[repo_id].commits)}"
    hub.repositories[repo_id].tags.setdefault(tag, dict(hub.repositories[repo_id].files))


def _get_paths_info(hub: Hub, repo_id: str, paths: list[str], revision: str) -> list[SimpleNamespace]:
    files = hub.repositories[repo_id].tags[revision]
    found = [SimpleNamespace(sha256=hashlib.sha256(files[path]).hexdigest()) for path in paths if path in files]
    return [SimpleNamespace(lfs=lfs) for lfs in found]


_CALLS: dict[str, Callable[..., Any]] = {
    "create_repo": _create_repo,
    "model_info": _model_info,
    "list_repo_refs": _list_repo_refs,
    "create_commit": _create_commit,
    "create_tag": _create_tag,
    "get_paths_info": _get_paths_info,
}


def use(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """An empty hub in the place of the real one, and a token for it."""
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", hub.client)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub
