"""What Weights & Biases is told of where an adapter comes from: names, versions and hashes, never a text and never a weight.

An artifact is a reference to a SHA-256: the same file is the same artifact, whichever run names it. Runs in the trainer's environment, too.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

LINEAGE = "lineage.json"
"""Beside a training's configuration: what axolotl has no keys for."""
WEIGHTS = "adapter_model.safetensors"
QUIET_WANDB = {
    "WANDB_CONSOLE": "off",  # what is printed may hold what is read
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_DISABLE_META": "true",
}
"""Variables that keep a run to its figures."""
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Traced:
    """Something that a run used or made.

    Attributes:
        author: Whose it is.
        kind: What it is.
        version: Its version in the registry.
        file: Name of its one file.
        sha256: Of that file.
        about: What else is told of it.
    """

    author: str
    kind: Literal["dataset", "preferences", "adapter"]
    version: str
    file: str
    sha256: str
    about: dict[str, Any] = field(default_factory=dict)

    def artifact(self) -> Any:
        """What W&B knows it by."""
        import wandb

        metadata = {"author": self.author, "version": self.version, "sha256": self.sha256, **self.about}
        found = wandb.Artifact(f"{self.author}-{self.kind}", type="model" if self.kind == "adapter" else "dataset", metadata=metadata)
        found.add_reference(f"sha256:{self.sha256}", name=self.file, checksum=False)
        return found


def wandb_folders(home: Path) -> dict[str, str]:
    """Variables that keep all of W&B's files under the data home."""
    return {
        "WANDB_DIR": str(home),
        **{f"WANDB_{kind.upper()}_DIR": str(home / "wandb" / kind) for kind in ("cache", "config", "data", "artifact")},
    }


def adapter(author: str, version: str, sha256: str, base_model: str, dataset_version: str) -> Traced:
    """A trained adapter."""
    return Traced(author, "adapter", version, WEIGHTS, sha256, {"base_model": base_model, "dataset_version": dataset_version})


def begin(warn: Warn) -> None:
    """Begins the run of a training; where that fails the training goes on without one.

    Args:
        warn: Is told why.
    """
    import wandb

    with _never_in_the_way(warn):
        wandb.init(job_type="training")
        return
    os.environ["WANDB_MODE"] = "disabled"
    wandb.init(mode="disabled")  # so that nobody else begins one


def used(config: Path, told: Mapping[str, Any], warn: Warn) -> None:
    """Links what a training learns from to its run: the dataset, or the pairs and the adapter that it goes on with.

    Args:
        config: The training's configuration, with its lineage beside it.
        told: What the configuration says.
        warn: Is told why it failed.
    """
    with _never_in_the_way(warn):
        if (run := _run()) is None:
            return
        plan, data = _plan(config), Path(told["datasets"][0]["path"])
        rows = len(data.read_bytes().splitlines())
        kind, version = ("preferences", plan["preferences"]) if plan["after"] else ("dataset", plan["dataset_version"])
        use(run, Traced(plan["author"], kind, version, data.name, _hash(data), {"rows": rows}))
        if plan["after"]:
            first = _hash(Path(told["lora_model_dir"]) / WEIGHTS)
            use(run, adapter(plan["author"], plan["after"], first, plan["base_model"], plan["dataset_version"]))


def made(config: Path, told: Mapping[str, Any], warn: Warn) -> None:
    """Links the adapter to the run that made it; see ``used``."""
    with _never_in_the_way(warn):
        if (run := _run()) is None:
            return
        plan, digest = _plan(config), _hash(Path(told["output_dir"]) / WEIGHTS)
        found = adapter(plan["author"], plan["version"], digest, plan["base_model"], plan["dataset_version"])
        run.log_artifact(found.artifact(), aliases=[found.version])


def use(run: Any, traced: Traced) -> None:
    """Links something to a run that uses it.

    This is what ``run.use_artifact`` does with a new artifact; that one refuses offline, and waits for the network otherwise.
    """
    run._log_artifact(traced.artifact(), aliases=[traced.version], is_user_created=True, use_after_commit=True)


def _run() -> Any:
    import wandb

    return None if wandb.run is None or wandb.run.disabled else wandb.run


def _plan(config: Path) -> dict[str, str]:
    return json.loads(config.with_name(LINEAGE).read_text("utf-8"))


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _never_in_the_way(warn: Warn) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever W&B raises: a training is worth more than its traces
        key = os.environ.get("WANDB_API_KEY", "")
        said = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        warn(f"not told to W&B: {said.replace(key, '***') if key else said}")
