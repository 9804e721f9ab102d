"""An adapter on the Hugging Face hub: only what is needed to load it leaves, and only if it is what the registry knows."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twin_assets.models import PACKAGE, on_hub
from twin_assets.prepared import file_hash
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Model, Registry

PUSHED = "pushed"
"""Kind of the artifact that says where a model was pushed to: its figures are by repository."""
LET_THROUGH = ("accepted", "deployed", "retired")
"""Stages of a model that has passed the gate."""
WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "README.md"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "chat_template.jinja")
FILES = (WEIGHTS, CONFIG, CARD, *TOKENIZER)
"""All that ever leaves."""
TOKENS = "https://huggingface.co/settings/tokens"
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Release:
    """What is about to be pushed, and where to.

    Attributes:
        model: The adapter.
        repository: ``owner/name`` on the hub.
        public: Whether everybody may read it.
        files: By their names in the repository: where they lie, or what is in them.
    """

    model: Model
    repository: str
    public: bool
    files: Mapping[str, Path | bytes]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(file) if isinstance(file, bytes) else file.stat().st_size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Pushed:
    """A model on the hub.

    Attributes:
        url: Where.
        new: False when it was there already.
    """

    url: str
    new: bool


def model_to_push(author: str, version: str | None, registry: Registry) -> Model:
    """The model that is meant.

    Args:
        author: Whose voice.
        version: How its version begins; the newest one that is accepted or serves where it is left out.
        registry: Where the models are.

    Raises:
        TwinError: When there is none, or more than one.
    """
    models = registry.models(author)
    if not models:
        raise TwinError(f"{author} has no trained model yet. Run: twin run {author}")
    known = ", ".join(f"{model.version} ({model.status})" for model in models)
    if version is None:
        found = next((model for model in models if model.status in ("accepted", "deployed")), None)
        if found is None:
            raise TwinError(
                f"No model of {author} is accepted or serves. Name one with --model, or see `twin approve {author}`. Known: {known}."
            )
        return found
    matches = [model for model in models if model.version.startswith(version)]
    if len(matches) != 1:
        raise TwinError(f"{'No' if not matches else 'More than one'} model of {author} begins with {version!r}. Known: {known}.")
    return matches[0]


def release(model: Model, repository: str, public: bool, artifacts: ArtifactStore) -> Release:
    """What would be pushed; nothing is sent.

    A base model that is not on the hub is not named to it: a path of this machine would help nobody and says where somebody's files are.

    Args:
        model: The adapter.
        repository: ``owner/name``.
        public: Whether everybody may read it.
        artifacts: Where its files are.

    Raises:
        TwinError: When the name is none, a model that is to be public did not pass the gate, a file is missing, or the weights are not those
            that the registry knows.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise TwinError(f"{repository!r} names no repository. {error}") from error
    if "/" not in repository:
        raise TwinError(f"{repository!r} names no repository: say whose it is, as in jane-doe/{repository}.")
    if public and model.status not in LET_THROUGH:
        raise TwinError(
            f"Model {model.version} is {model.status}: only one that the gate let through can be public. "
            f"See `twin gate {model.author}` and `twin approve {model.author}`, or push it privately, without --public."
        )
    folder = artifacts.local(model.adapter_uri)
    if missing := [name for name in (WEIGHTS, CONFIG, CARD) if not (folder / name).is_file()]:
        raise TwinError(f"{', '.join(missing)} is not in {model.adapter_uri}. Materialize training/adapter_weights again.")
    if file_hash(folder / WEIGHTS) != model.figures.get("adapter_sha256"):
        raise TwinError(
            f"The weights in {model.adapter_uri} are not those that were trained: their SHA-256 is not the registry's. Nothing was pushed. "
            "Delete the folder and materialize training/adapter_weights again."
        )
    mended = {CONFIG: _config(folder / CONFIG, model), CARD: _card(folder / CARD, model)}
    found = {name: folder / name for name in FILES if (folder / name).is_file()}
    return Release(model, repository, public, {**found, **mended})


def push(release: Release, registry: Registry) -> Pushed:
    """Pushes a model as one commit with its version as a tag, and notes where it is; one that is there already is left alone.

    Raises:
        TwinError: When there is no token, or it has no right to the repository; when who may read the repository is not what was said; when the
            hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    model, repository = release.model, release.repository
    token = _token()
    api = HfApi(token=token)
    with _plainly(repository, token):
        url = str(api.create_repo(repository, private=not release.public, exist_ok=True))
        there = api.model_info(repository)
        _require_visibility(release, private=bool(there.private))
        new = model.version not in {tag.name for tag in api.list_repo_refs(repository).tags}
        if new:
            stale = {file.rfilename for file in there.siblings or []} & set(FILES) - release.files.keys()
            added = [CommitOperationAdd(name, file) for name, file in release.files.items()]
            deleted = [CommitOperationDelete(name) for name in sorted(stale)]
            said = f"The voice of {model.author}, model {model.version}"
            commit = api.create_commit(repository, [*added, *deleted], commit_message=said)
            api.create_tag(repository, tag=model.version, revision=commit.oid, exist_ok=True)
        else:
            (weights,) = api.get_paths_info(repository, [WEIGHTS], revision=model.version) or [None]
            lfs = getattr(weights, "lfs", None)
            if lfs is None or lfs.sha256 != model.figures["adapter_sha256"]:
                raise TwinError(
                    f"{repository} has other weights under the tag {model.version}. Delete the tag there, or take another repository."
                )
    before = registry.artifact(model.author, PUSHED, model.version)
    where = {**(before.figures if before else {}), repository: {"public": release.public, "url": url}}
    registry.record_artifact(model.author, PUSHED, model.version, url, where)
    return Pushed(url, new)


def load_hint(repository: str) -> str:
    """How an adapter is loaded whose base model the hub does not know."""
    return f'PeftModel.from_pretrained(your_base_model, "{repository}")'


def _config(file: Path, model: Model) -> bytes:
    """What peft reads, with the base model's name on the hub in the place of where it lay when it was trained on."""
    config = json.loads(file.read_text("utf-8"))
    config["base_model_name_or_path"] = model.base_model if on_hub(model.base_model) else None
    return json.dumps(config, indent=2, sort_keys=True).encode()


def _card(file: Path, model: Model) -> bytes:
    card = file.read_text("utf-8")
    if on_hub(model.base_model) or model.base_model.startswith(PACKAGE):
        return card.encode()
    return card.replace(model.base_model, Path(model.base_model).name).encode()


def _token() -> str:
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        raise TwinError(f"There is no token for the hub. Make one with write access at {TOKENS} and set HF_TOKEN, or run `hf auth login`.")
    if not _TOKEN.fullmatch(token):
        raise TwinError(f"HF_TOKEN holds characters that are in no token. Copy it again from {TOKENS}.")
    return token


def _require_visibility(release: Release, private: bool) -> None:
    if private != release.public:
        return
    hint = f"Change that in its settings on the hub (https://huggingface.co/{release.repository}/settings), or take another repository."
    if release.public:
        raise TwinError(f"{release.repository} is private, and all that was pushed to it before would become public with this. {hint}")
    raise TwinError(f"{release.repository} is public, and the voice was to be private. Nothing was pushed. {hint} Or say --public.")


@contextmanager
def _plainly(repository: str, token: str) -> Iterator[None]:
    """Makes one plain message of whatever the hub and its client raise, never with the token in it."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # pyright: ignore[reportPrivateImportUsage]  # of its own HTTP client

    again = "Then run the same command again."
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise TwinError(
                f"The hub does not take the token. Make one with write access at {TOKENS}, and set HF_TOKEN. {again}"
            ) from error
        if status in (403, 404):
            raise TwinError(
                f"The token may not write to {repository}, or there is no such user or organization. Give it write access to that at {TOKENS}, "
                f"or name another repository. {again}"
            ) from error
        raise TwinError(f"The hub refused {repository}: {_hidden(error.server_message or str(error), token)}") from error
    except (HTTPError, OSError, RuntimeError, ValueError) as error:  # the client has no error of its own for a failed upload
        raise TwinError(
            f"The hub did not take {repository} ({type(error).__name__}: {_hidden(str(error), token)}). "
            f"Look whether there is a network, and whether HF_HUB_OFFLINE is set. {again}"
        ) from error


def _hidden(text: str, token: str) -> str:
    return " ".join(text.replace(token, "***").split())
