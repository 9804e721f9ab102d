"""Everything around a training that is not the training itself: its configuration, its folder, its traces."""

import hashlib
import json
import platform
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from twin_assets.models import file_hash, trainable
from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.overrides import Overrides
from twin_assets.training.checkpoints import checkpoints, state, whole
from twin_assets.training.lineage import LINEAGE, QUIET_WANDB, wandb_folders
from twin_assets.training.recipes import NOTHING, Recipe, chosen
from twin_assets.training.trainer_main import CONFIG, MODULE, OUTPUT, alone_in

PLUGIN = "twin_assets.training.axolotl_plugin.TwinPlugin"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
SFT_DATA = {"ds_type": "json", "type": "chat_template", "field_messages": "messages"}
DPO_DATA = {
    "ds_type": "json",
    "split": "train",
    "type": "chat_template.default",
    "field_messages": "messages",
    "field_chosen": "chosen",
    "field_rejected": "rejected",
}
REWARDS = {"reward_accuracy": "rewards/accuracies", "reward_margin": "rewards/margins"}
"""What a training on pairs logs: share of pairs whose chosen text it prefers more than it did before, and by how much (nats times beta)."""
QUIET = {"AXOLOTL_DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1", **QUIET_WANDB}
ADAPTER_SHAPE = (
    "lora_r",
    "lora_alpha",
    "lora_target_linear",
    "lora_target_modules",
    "lora_modules_to_save",
    "peft_use_rslora",
    "peft_use_dora",
)
"""What two trainings of one adapter must agree on."""
FIRST_ADAPTER = "first"
FREE_BYTES = 2 * 2**30
LOG_TAIL = 12
FINISHED = "finished.json"
HELD_OUT = "held_out.jsonl"
"""Beside the conversations to train on: those that the loss is measured on before and after."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"[\w.]+(?:Error|Exception|Interrupt|Exit)\b")
_ADVICE = "wandb: "


@dataclass(frozen=True)
class Plan:
    """A training that is fully decided: the same plan has the same version and the same folder.

    Attributes:
        author: Whose voice.
        dataset_version: What is trained on.
        base_model: Spec of the model that learns.
        recipe: The configuration file's content and the bounds set by settings: what changes the result.
        home: The data home, which holds the training's folder; a killed training is resumed there from its last checkpoint.
        after: Version of the training whose adapter it goes on with; empty where it begins with a new one.
        preferences: Version of the pairs that it learns from, where it goes on.
    """

    author: str
    dataset_version: str
    base_model: str
    recipe: dict[str, Any]
    home: Path
    after: str = ""
    preferences: str = ""

    @cached_property
    def config_hash(self) -> str:
        """Hash of the recipe."""
        return _digest(self.recipe)

    @cached_property
    def version(self) -> str:
        """Version of the model that this plan makes."""
        more = [self.after, self.preferences] if self.after else []
        return _digest([self.author, self.dataset_version, self.base_model, self.config_hash, *more])

    @property
    def folder(self) -> Path:
        """The training's own folder."""
        return self.home / "training" / self.version

    @property
    def begins_with(self) -> Path | None:
        """The adapter that it goes on with."""
        return self.home / "training" / self.after / OUTPUT if self.after else None

    @property
    def log(self) -> Path:
        """What the trainer printed."""
        return self.folder / "trainer.log"

    @property
    def adapter(self) -> Path:
        """Where the finished adapter appears."""
        return self.folder / OUTPUT


def make_plan(author: str, dataset_version: str, settings: Settings, own: Overrides = NOTHING) -> Plan:
    """Decides a training.

    Args:
        author: Whose voice.
        dataset_version: What is trained on.
        settings: The recipe and the bound on the steps.
        own: What the author has otherwise.

    Raises:
        TwinError: When there is no such recipe.
    """
    recipe = chosen(settings, own)
    return Plan(author, dataset_version, recipe.base_model, {**recipe.axolotl, **_bounds(settings, own)}, settings.home)


def go_on(first: Plan, recipe: Recipe, preferences: str, settings: Settings, own: Overrides = NOTHING) -> Plan:
    """Decides a training on pairs that goes on with the adapter of another one.

    Args:
        first: The other training. The adapter keeps its shape, whatever the recipe says.
        recipe: Of the training on pairs.
        preferences: Version of the pairs.
        settings: The bound on the steps.
        own: What the author has otherwise; of it, the bound holds here as well.
    """
    shape = {name: first.recipe.get(name) for name in ADAPTER_SHAPE}
    kept = {name: value for name, value in recipe.axolotl.items() if name not in ADAPTER_SHAPE}
    axolotl = {**kept, **{name: value for name, value in shape.items() if value is not None}, **_bounds(settings, own)}
    return replace(first, recipe=axolotl, after=first.version, preferences=preferences)


def write_config(plan: Plan, training_file: Path, settings: Settings, gpus: Sequence[str] = ()) -> Path:
    """Writes the configuration that axolotl reads on this machine: the recipe, and what depends on where it runs.

    Args:
        plan: The training.
        training_file: The conversations.
        settings: For the trainer's environment and the base model.
        gpus: Those that it runs on.

    Returns:
        Its path.

    Raises:
        TwinError: When the trainer's environment is not there, the disk is full, or another process is at this training.
    """
    if not settings.trainer_python.exists():
        raise TwinError(f"The trainer's environment is not at {settings.trainer_python}. Run `make setup`, or set TWIN_TRAINER_PYTHON.")
    make_room(plan)
    _remove_unfinished(plan)
    base_model = str(trainable(plan.base_model, settings))
    first = str(plan.begins_with)
    return _write(plan, training_file, str(training_file), base_model, first, f"{plan.folder}/", bool(gpus) or bf16_is_fast())


def write_remote_config(plan: Plan, training_file: Path, base_model: str) -> Path:
    """Writes the configuration for a container, in which everything has its place beside it.

    Args:
        plan: The training.
        training_file: The conversations; in the container it has the same name.
        base_model: The hub id, or the name of the folder that lies beside the configuration.

    Returns:
        Its path.
    """
    return _write(plan, training_file, training_file.name, base_model, FIRST_ADAPTER, "", True)


def whole_config(recipe: Recipe) -> dict[str, Any]:
    """A recipe with all that axolotl asks for, as its schema is held against it."""
    return {
        **recipe.axolotl,
        "base_model": recipe.base_model,
        "datasets": [{"path": "train.jsonl", **_format(recipe.axolotl)}],
        **_held_out(recipe.axolotl, "train.jsonl"),
        "output_dir": OUTPUT,
    }


def make_room(plan: Plan) -> None:
    """Makes the training's folder.

    Raises:
        TwinError: When there is too little space for it.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(plan.folder).free
    if free < FREE_BYTES:
        raise TwinError(
            f"There are {free / 2**30:.1f} GiB free where {plan.folder} is, and a training needs {FREE_BYTES / 2**30:.0f}. Make room, or "
            "set TWIN_HOME to another disk."
        )


def _write(plan: Plan, training_file: Path, data: str, base_model: str, first: str, beside: str, bf16: bool) -> Path:
    config = {
        **plan.recipe,
        "bf16": bool(plan.recipe.get("bf16")) and bf16,
        "base_model": base_model,
        **({"lora_model_dir": first} if plan.after else {}),
        "datasets": [{"path": data, **_format(plan.recipe)}],
        **(_held_out(plan.recipe, data) if (held_out := training_file.with_name(HELD_OUT)).exists() and held_out.stat().st_size else {}),
        # the data enter axolotl's cache key by their path alone
        "dataset_prepared_path": f"{beside}prepared-{file_hash(training_file)[:12]}",
        "output_dir": f"{beside}{OUTPUT}",
        "auto_resume_from_checkpoints": True,
        "plugins": [*(plan.recipe.get("plugins") or []), PLUGIN],
        "dataloader_num_workers": 0,  # the plug-in counts tokens in this process
        "logging_steps": 1,  # every loss is looked at, and drawn
        "wandb_project": plan.recipe.get("wandb_project") or "llm-twin",
        "wandb_name": f"{plan.author}-{plan.version}",
    }
    path = plan.folder / CONFIG
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    told = ("author", "version", "dataset_version", "base_model", "after", "preferences")
    path.with_name(LINEAGE).write_text(json.dumps({name: getattr(plan, name) for name in told}))
    return path


def trainer_command(plan: Plan, config: Path, settings: Settings) -> list[str]:
    """The trainer's command line."""
    return [str(settings.trainer_python), "-m", MODULE, str(config), str(plan.log)]


def trainer_environment(settings: Settings, inherited: Mapping[str, str], gpus: Sequence[str] = ()) -> dict[str, str]:
    """The trainer's environment variables: offline unless W&B is asked for, and with these GPUs alone."""
    return {
        **QUIET,
        "PYTHONPATH": str(PROJECT_ROOT),
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": inherited.get("WANDB_MODE") or ("online" if inherited.get("WANDB_API_KEY") else "offline"),
        **wandb_folders(settings.home),
        "OMP_WAIT_POLICY": "passive",  # spinning threads crawl as soon as anything else wants the cores
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
    }


def bf16_is_fast() -> bool:
    """Whether this machine's processor computes in bfloat16 itself; elsewhere it is emulated, slower than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpuinfo.exists():
        return False
    return bool(BF16_FLAGS & set(cpuinfo.read_text().split()))


def finished(plan: Plan) -> bool:
    """Whether the plan's adapter is complete."""
    return (plan.folder / FINISHED).exists() and all((plan.adapter / name).exists() for name in ADAPTER_FILES)


def mark_finished(plan: Plan, steps: list[dict[str, float]]) -> dict[str, Any]:
    """Records a training that ended well, with its figures.

    Args:
        plan: The training.
        steps: What the plug-in reported: step, loss, tokens and seconds so far; or step and held-out loss.

    Returns:
        Figures: ``adapter_sha256``, ``steps``, ``loss_first``, ``loss_last``, ``tokens_per_second`` and ``losses`` as [step, loss] pairs;
        ``held_out_loss_first`` and ``held_out_loss_last`` where something was held out;
        of a training on pairs also ``reward_accuracy`` and ``reward_margin``, the means of the last five steps.

    Raises:
        TwinError: When the trainer ended without an adapter.
    """
    missing = [name for name in ADAPTER_FILES if not (plan.adapter / name).exists()]
    if missing:
        raise TwinError(f"The trainer ended without {', '.join(missing)} in {plan.adapter}. Its last lines:\n{log_tail(plan)}")
    losses, held_out = (_history(plan, key) or _rows(steps, said) for key, said in (("loss", "loss"), ("eval_loss", "held_out_loss")))
    last = next((row for row in reversed(steps) if "tokens" in row), {"tokens": 0, "seconds": 0})
    measured = {step: loss for step, loss in held_out}
    figures = {
        "adapter_sha256": hashlib.sha256((plan.adapter / ADAPTER_FILES[0]).read_bytes()).hexdigest(),
        "steps": len(losses),
        "loss_first": _mean(losses[:5]),
        "loss_last": _mean(losses[-5:]),
        "held_out_loss_first": measured.get(0),
        "held_out_loss_last": measured.get(losses[-1][0]) if losses else None,
        "tokens_per_second": round(last["tokens"] / last["seconds"], 1) if last["seconds"] else None,
        "tokens": last["tokens"],
        "losses": losses,
        **{name: _mean(found[-5:]) for name, logged in REWARDS.items() if (found := _history(plan, logged))},
    }
    (plan.folder / FINISHED).write_text(json.dumps(figures))
    return figures


def restore(plan: Plan, stored: Path, figures: Mapping[str, Any]) -> None:
    """Puts a finished training's folder back where it is gone, or on another machine, from what was stored of it.

    Args:
        plan: The training.
        stored: The adapter's folder in the artifact store.
        figures: What the registry says of it.

    Raises:
        TwinError: When the stored weights are not those that the registry knows.
    """
    weights = stored / ADAPTER_FILES[0]
    if not weights.exists() or hashlib.sha256(weights.read_bytes()).hexdigest() != figures.get("adapter_sha256"):
        raise TwinError(
            f"The weights of model {plan.version} in {stored} are not those that were trained. Put them back from a backup, or delete "
            "that folder and set another `seed` with `twin recipe`: the next training is then another model."
        )
    plan.adapter.mkdir(parents=True, exist_ok=True)
    for file in stored.iterdir():
        shutil.copy(file, plan.folder if file.name == CONFIG else plan.adapter)
    (plan.folder / FINISHED).write_text(json.dumps(figures))


def finished_figures(plan: Plan) -> dict[str, Any]:
    """The figures of a finished training."""
    return json.loads((plan.folder / FINISHED).read_text())


def log_tail(plan: Plan) -> str:
    """The last lines that the trainer printed, after the error that it ended with, if it is among them."""
    if not plan.log.exists():
        return f"(nothing was printed to {plan.log})"
    lines = _COLOUR.sub("", plan.log.read_text(errors="replace")).replace("\r", "\n").split("\n")
    last = [line for line in lines if line.strip() and not line.startswith(_ADVICE)][-LOG_TAIL:]
    error = next((line for line in reversed(last) if _ERROR.match(line)), None)
    return "\n".join([error, *(line for line in last if line != error)] if error else last)


def loss_plot(losses: list[list[float]], held_out: tuple[float | None, float | None] = (None, None)) -> bytes:
    """The loss over the steps, as PNG.

    Args:
        losses: Step and loss.
        held_out: The loss on what is held out, before and after; None where it was not measured.
    """
    import io

    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(6.5, 3), layout="constrained")
    axes = figure.subplots()
    steps, values = [row[0] for row in losses], [row[1] for row in losses]
    window = max(1, len(values) // 8)
    smooth = [sum(values[max(0, i - window + 1) : i + 1]) / len(values[max(0, i - window + 1) : i + 1]) for i in range(len(values))]
    axes.plot(steps, values, color="#b8c4d6", linewidth=1, label="each step")
    axes.plot(steps, smooth, color="#2456a6", linewidth=2, label=f"mean of {window}")
    marks = [(place, loss) for place, loss in zip((0, max(steps, default=0)), held_out, strict=True) if loss is not None]
    if marks:
        axes.plot(*zip(*marks, strict=True), color="#c2571a", linewidth=1.5, linestyle="--", marker="o", label="held out")
    axes.set(xlabel="step", ylabel="loss on the author's words")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _bounds(settings: Settings, own: Overrides) -> dict[str, int]:
    most = settings.training_max_steps if own.max_steps is None else own.max_steps
    return {"max_steps": most} if most else {}


def _format(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return DPO_DATA if recipe.get("rl") == "dpo" else SFT_DATA


def _held_out(recipe: Mapping[str, Any], data: str) -> dict[str, Any]:
    """What the plug-in measures the loss on: not with pairs, of which none are held out, nor where a recipe says what else to measure."""
    if recipe.get("rl") or recipe.get("val_set_size") or recipe.get("test_datasets"):
        return {}
    return {"test_datasets": [{"path": str(Path(data).with_name(HELD_OUT)), "split": "train", **SFT_DATA}], "eval_sample_packing": False}


def _remove_unfinished(plan: Plan) -> None:
    """Removes what a killed trainer may have left half-written and the next one would stumble over."""
    try:
        with alone_in(plan.folder):
            prepared = plan.folder.glob("prepared-*")  # complete or not: it is made again in seconds
            for folder in (*prepared, *(folder for folder in checkpoints(plan.adapter) if not whole(folder))):
                shutil.rmtree(folder)
    except BlockingIOError as error:
        raise TwinError(str(error)) from error


def _history(plan: Plan, key: str) -> list[list[float]]:
    states = [found for folder in checkpoints(plan.adapter) if (found := state(folder)) is not None]
    return _rows(states[-1]["log_history"], key) if states else []


def _rows(log: Iterable[Mapping[str, float]], key: str) -> list[list[float]]:
    return [[row["step"], float(row[key])] for row in log if key in row]


def _mean(rows: list[list[float]]) -> float | None:
    return round(sum(row[1] for row in rows) / len(rows), 4) if rows else None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
