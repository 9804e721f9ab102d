"""Holds axolotl configurations against axolotl's own schema. Runs in the trainer's environment, as ``python -m``.

axolotl checks values and how they go together, but passes over keys that it does not know: a typing error would train with a default. And it
leaves some values to transformers, which refuses them when the model is loaded.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import AliasChoices, AliasPath, BaseModel

MORE_THAN_NOTHING = ("micro_batch_size", "gradient_accumulation_steps", "num_epochs", "sequence_len", "learning_rate")


def main() -> None:
    """Reads configurations by name as one JSON object, and prints what is wrong with each."""
    import contextlib

    with contextlib.redirect_stdout(sys.stderr):  # axolotl prints a banner
        found = {name: problems(config) for name, config in json.load(sys.stdin).items()}
    json.dump(found, sys.stdout)


def problems(config: dict[str, Any]) -> list[str]:
    """What is wrong with a configuration, for a person; empty when a GPU with bfloat16 could train with it."""
    from axolotl.integrations.base import PluginManager  # pyright: ignore[reportMissingImports]
    from axolotl.integrations.config import merge_input_args  # pyright: ignore[reportMissingImports]
    from axolotl.utils.config import validate_config  # pyright: ignore[reportMissingImports]
    from axolotl.utils.dict import DictDefault  # pyright: ignore[reportMissingImports]

    manager, plugins = PluginManager.get_instance(), config.get("plugins") or []
    manager.plugins.clear()  # those of the configuration before
    for name in plugins:
        manager.register(name)
    missing = [f"plugin {name} cannot be loaded" for name in plugins if name not in manager.plugins]  # axolotl would go on without it
    _, schema = merge_input_args()
    unknown = [*missing, *(f"unknown key {key}" for key in unknown_keys(config, schema)), *wrong_values(config)]
    gpu = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 8, "n_node": 1, "compute_capability": "sm_89"}
    try:
        validate_config(DictDefault(config), capabilities=gpu, env_capabilities={"torch_version": "2.8.0"})
    except (ValueError, TypeError, OSError, ImportError) as error:
        return [*unknown, str(error)]
    return unknown


def wrong_values(config: Mapping[str, Any]) -> Iterator[str]:
    """What the schema lets through, and the trainer would fail with, or train nothing."""
    from axolotl.utils.schemas.enums import CustomSupportedOptimizers  # pyright: ignore[reportMissingImports]
    from transformers import SchedulerType
    from transformers.training_args import OptimizerNames

    known = {
        "optimizer": {one.value for names in (OptimizerNames, CustomSupportedOptimizers) for one in names},
        "lr_scheduler": {*(one.value for one in SchedulerType), "one_cycle", "rex"},
    }
    for key, names in known.items():
        if key in config and config[key] not in names:
            yield f"{key} {config[key]!r} is none of {', '.join(sorted(names))}"
    for key in MORE_THAN_NOTHING:
        if isinstance(value := config.get(key), int | float) and value <= 0:
            yield f"{key} is {value}; it is more than 0"
    if isinstance(config.get("deepspeed"), str):
        yield "deepspeed is a path; write what the file holds in its place: the trainer's container has no other file"


def unknown_keys(config: Mapping[str, Any], *models: type[BaseModel]) -> Iterator[str]:
    """Keys of a configuration, and of the mappings in it, that none of the models has a field for."""
    fields = {
        name: field for model in models for key, field in model.model_fields.items() for name in (key, *_aliases(field.validation_alias))
    }
    for key, value in config.items():
        if key not in fields:
            yield key
            continue
        inner = list(_models(fields[key].annotation))
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Mapping) and inner:
                yield from (f"{key}.{name}" for name in unknown_keys(part, *inner))


def _aliases(alias: str | AliasPath | AliasChoices | None) -> list[str]:
    names = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [name for name in names if isinstance(name, str)]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


if __name__ == "__main__":
    main()
