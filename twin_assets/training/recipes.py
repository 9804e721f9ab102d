"""The training configurations: axolotl files by name, each with what a training with it is expected to take."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.overrides import Overrides

FOLDER = PROJECT_ROOT / "training_configs"
OURS = "twin"
CONFIG = "config"
LAPTOP = "laptop"
WRAPPED = "transformer_layer_cls_to_wrap"
NOTHING = Overrides.model_validate({})
CHECK_MODULE = "twin_assets.training.recipe_check"
CHECK_SECONDS = 300


class Expected(BaseModel):
    """What a training with a recipe is expected to take: the ``twin`` block of its file.

    Attributes:
        instance: What it runs on: an instance type of AWS, or ``laptop``.
        gpus: How many GPUs that has.
        memory_gb: Memory at the peak, of each GPU or else of the process.
        tokens_per_second: Of all GPUs together.
        dollars_per_hour: Price of the instance on demand.
        start_minutes: Until the first step, which is billed: pulling the image, fetching the base model, loading it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance: str
    gpus: int = Field(ge=0)
    memory_gb: float = Field(gt=0)
    tokens_per_second: float = Field(gt=0)
    dollars_per_hour: float = Field(ge=0)
    start_minutes: float = Field(default=0, ge=0)

    def hours(self, tokens: float) -> float:
        """Time for so many tokens, without starting up."""
        return tokens / self.tokens_per_second / 3600

    def dollars(self, tokens: float) -> float:
        """Price of that time."""
        return self.hours(tokens) * self.dollars_per_hour


@dataclass(frozen=True)
class Recipe:
    """How to train: a file that axolotl reads, but for what depends on author, data and machine.

    Attributes:
        name: Of the file.
        base_model: Spec of the model that learns: package:NAME, a hub id, or a path.
        axolotl: What axolotl reads, without the base model.
        expected: What it takes; None where a file does not say.
        shipped: Whether it comes with the project, whose tests hold it against axolotl's schema.
    """

    name: str
    base_model: str
    axolotl: dict[str, Any]
    expected: Expected | None
    shipped: bool = False

    @property
    def method(self) -> Literal["sft", "dpo"]:
        """Whether it learns from answers, or from pairs of a better and a worse one."""
        return "dpo" if self.axolotl.get("rl") == "dpo" else "sft"

    def on(self, base_model: str) -> "Recipe":
        """The recipe for this base model: for another than its own without the names of tokens and layers, which axolotl then finds itself."""
        if base_model == self.base_model:
            return self
        axolotl = {key: value for key, value in self.axolotl.items() if key != "special_tokens"}
        if isinstance(sharded := axolotl.get("fsdp_config"), dict):
            axolotl["fsdp_config"] = {key: value for key, value in sharded.items() if key != WRAPPED}
        return replace(self, base_model=base_model, axolotl=axolotl)

    def launched(self, settings: Settings) -> "Recipe":
        """The recipe where the settings train with it."""
        return self.at_home() if settings.training_launcher == "local" else self

    def at_home(self) -> "Recipe":
        """The recipe on a machine of one's own: what its file says of an instance of AWS costs nothing there."""
        if self.expected is None or self.expected.instance == LAPTOP:
            return self
        return replace(self, expected=self.expected.model_copy(update={"instance": "this machine", "dollars_per_hour": 0.0}))


def names() -> list[str]:
    """The recipes that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def chosen(settings: Settings, own: Overrides = NOTHING) -> Recipe:
    """The recipe for the training on the author's passages: the one that the settings name, and what the author has otherwise.

    Args:
        settings: The recipe's name, and another base model.
        own: The author's overrides; a bound on the steps is the plan's.

    Raises:
        TwinError: When there is none of that name, its file is none, or it learns from pairs.
    """
    said_in = f"The override {CONFIG}" if own.config else "TWIN_TRAINING_CONFIG"
    recipe = read(own.config or settings.training_config, said_in)
    if recipe.method != "sft":
        raise TwinError(
            f"{said_in} names {recipe.name}, which learns from pairs (rl: dpo) and not from passages. Name it in "
            f"TWIN_PREFERENCE_CONFIG, and here one to begin with."
        )
    keys = own.model_dump(exclude={CONFIG, "max_steps"}, exclude_none=True)
    recipe = recipe.on(settings.base_model or recipe.base_model)
    return replace(recipe, axolotl={**recipe.axolotl, **keys})


def preferred(settings: Settings, own: Overrides = NOTHING) -> Recipe | None:
    """The recipe that the settings name for the training on pairs, on the base model of the first training; None when there is none.

    Args:
        settings: The recipe's name, and another base model.
        own: The author's overrides of the first training.

    Raises:
        TwinError: When there is none of that name, its file is none, it does not learn from pairs, or it is for another base model.
    """
    if not settings.preference_config:
        return None
    recipe, first = read(settings.preference_config, "TWIN_PREFERENCE_CONFIG"), chosen(settings, own)
    if recipe.method != "dpo":
        raise TwinError(
            f"TWIN_PREFERENCE_CONFIG names {recipe.name}, which does not learn from pairs (rl: dpo). Name one of "
            f"{', '.join(name for name in names() if read(name).method == 'dpo')}, or leave it empty."
        )
    if not settings.base_model and recipe.base_model != first.base_model:
        raise TwinError(
            f"TWIN_PREFERENCE_CONFIG names {recipe.name}, for {recipe.base_model}, and goes on with what {first.name} trained on "
            f"{first.base_model}. Name two for the same model, or say which one in TWIN_BASE_MODEL."
        )
    return recipe.on(first.base_model)


def read(name: str, setting: str = "TWIN_TRAINING_CONFIG") -> Recipe:
    """A recipe by its name in ``training_configs``, or by the path of another file.

    Args:
        name: The name or path.
        setting: Where it was said.

    Raises:
        TwinError: When there is none, or it is no axolotl file, or names no model.
    """
    if not name:
        raise TwinError(f"{setting} is empty. It is one of {', '.join(names())}, or a path.")
    path = FOLDER / f"{name}.yaml" if name in names() else PROJECT_ROOT / Path(name).expanduser()
    if not path.is_file():
        raise TwinError(
            f"There is no training configuration {name!r}: it is no file at {path}. {setting} is one of {', '.join(names())}, or a path."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TwinError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise TwinError(f"{path} is not an axolotl configuration: a mapping of settings is expected.")
    try:
        expected = Expected.model_validate(content.pop(OURS)) if OURS in content else None
    except ValidationError as error:
        problem = error.errors()[0]
        raise TwinError(f"{path}: {OURS}.{'.'.join(map(str, problem['loc']))}: {problem['msg']}.") from error
    base_model = content.pop("base_model", None)
    if not isinstance(base_model, str) or not base_model:
        raise TwinError(f"{path} names no base_model.")
    return Recipe(path.stem, base_model, content, expected, shipped=path.resolve().parent == FOLDER.resolve())


def problems(configurations: Mapping[str, Mapping[str, Any]], settings: Settings) -> dict[str, list[str]]:
    """What axolotl's own schema says against whole configurations, by name; unknown keys as well, which axolotl passes over.

    Raises:
        TwinError: When the trainer's environment is not there, or the check itself fails.
    """
    if not settings.trainer_python.exists():
        raise TwinError(f"The trainer's environment is not at {settings.trainer_python}. Run `make setup`, or set TWIN_TRAINER_PYTHON.")
    quiet = {"CUDA_VISIBLE_DEVICES": "", "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(PROJECT_ROOT)}
    try:
        ended = subprocess.run(
            [str(settings.trainer_python), "-m", CHECK_MODULE],
            input=json.dumps(configurations),
            capture_output=True,
            text=True,
            env={**os.environ, **quiet},
            timeout=CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TwinError(f"The trainer's check of a configuration did not end within {CHECK_SECONDS} s.") from error
    if ended.returncode:
        raise TwinError(f"The trainer's check of a configuration failed:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout)
