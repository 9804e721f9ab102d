"""What this machine has for a training, and whether that is enough; torch is not asked for GPUs, which would take seconds and a context on each."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twin_assets.models import PACKAGE, on_hub, require_on_hub, wheel_gguf
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.overrides import Overrides
from twin_assets.training.recipes import NOTHING, Recipe, chosen, preferred, problems
from twin_assets.training.trainer import whole_config

ASKED = ("nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits")
SECONDS = 30


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        uuid: As CUDA_VISIBLE_DEVICES takes it.
        memory_gb: All of its memory, in GB.
    """

    uuid: str
    memory_gb: float


def gpus(environment: Mapping[str, str] = os.environ) -> list[Gpu]:
    """The GPUs that NVIDIA's driver knows, and that CUDA_VISIBLE_DEVICES does not hide.

    Args:
        environment: Variables of this process.
    """
    try:
        said = subprocess.run(ASKED, capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return []  # no driver, or one that cannot speak to its GPU: torch would find none either
    rows = [[part.strip() for part in line.split(",")] for line in said.splitlines() if line.count(",") == 2]
    shown = environment.get("CUDA_VISIBLE_DEVICES")
    visible = None if shown is None else {one.strip() for one in shown.split(",")}
    return [
        Gpu(uuid, int(memory) * 2**20 / 1e9)
        for index, uuid, memory in rows
        if memory.isdigit() and (visible is None or visible & {index, uuid})
    ]


def gpus_for(recipe: Recipe) -> list[str]:
    """The GPUs of this machine that a training with the recipe sees: as many as it needs, or all where it does not say; none of a CPU's.

    Raises:
        TwinError: When there are not enough with the memory that it takes.
    """
    expected = recipe.expected
    if expected is not None and not expected.gpus:
        return []
    found = gpus()
    if expected is None:
        return [one.uuid for one in found]
    enough = [one.uuid for one in found if one.memory_gb >= expected.memory_gb]
    if len(enough) < expected.gpus:
        there = ", ".join(f"{one.memory_gb:.0f} GB" for one in found) or "none"
        raise TwinError(
            f"{recipe.name} needs {expected.gpus} GPU(s) with {expected.memory_gb:g} GB; this machine has {len(found)} ({there}). Set "
            f"TWIN_TRAINING_LAUNCHER to sagemaker or ecs (docs/training.md, On AWS), or choose a smaller recipe in "
            "TWIN_TRAINING_CONFIG and TWIN_PREFERENCE_CONFIG: those that end in -cpu need no GPU."
        )
    return enough[: expected.gpus]


def require_ready(settings: Settings, own: Overrides = NOTHING) -> list[Recipe]:
    """Looks, before anything starts, whether the next training can: its recipes, their base model, and what a training on this machine needs.

    Args:
        settings: For recipes, base model, launcher and the trainer's environment.
        own: The author's overrides.

    Returns:
        The recipes: of the training on passages, and where there is one, of that on pairs.

    Raises:
        TwinError: When something is missing. A model on the hub is looked for where it is trained on this machine.
    """
    first, second = chosen(settings, own), preferred(settings, own)
    recipes = [first, second] if second else [first]
    if first.base_model.startswith(PACKAGE):
        wheel_gguf(first.base_model)
    elif not on_hub(first.base_model) and not Path(first.base_model).expanduser().is_dir():
        raise TwinError(f"There is no base model at {first.base_model}: name a folder, a hub id, or package:NAME in TWIN_BASE_MODEL.")
    if settings.training_launcher == "local":
        if not settings.trainer_python.exists():
            raise TwinError(f"The trainer's environment is not at {settings.trainer_python}. Run `make setup`, or set TWIN_TRAINER_PYTHON.")
        for recipe in recipes:
            gpus_for(recipe)
        if on_hub(first.base_model):
            require_on_hub(first.base_model, settings)
    for recipe in recipes:
        require_known_keys(recipe, settings)
    return recipes


def require_known_keys(recipe: Recipe, settings: Settings) -> None:
    """Holds a recipe of one's own against axolotl's schema, which takes seconds; those that come with the project are tried in its tests.

    Raises:
        TwinError: When axolotl would refuse it, or pass over one of its keys.
    """
    if recipe.shipped:
        return
    found = problems({recipe.name: whole_config(recipe)}, settings)[recipe.name]
    if found:
        raise TwinError(f"The training configuration {recipe.name} cannot be used: {'; '.join(found)}")
