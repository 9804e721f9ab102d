"""What axolotl needs from us, through its own plug-in interface; this module runs in the trainer's environment."""

import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from axolotl.common.datasets import load_datasets, load_preference_datasets  # pyright: ignore[reportMissingImports]
from axolotl.integrations.base import BasePlugin  # pyright: ignore[reportMissingImports]
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError
from dagster_pipes import PipesContext
from transformers import TrainerCallback

from twin_assets.training import lineage
from twin_assets.training.checkpoints import checkpoints, seal
from twin_assets.training.place import Place
from twin_assets.training.trainer_main import keep, kept_in_s3

MARGIN = "rewards/margins"
MUST_BE_NUMBERS = {"loss": "loss", "grad_norm": "norm of the gradients", "eval_loss": "loss on what is held out"}
TRAINED, REFERENCE = "default", "ref"  # peft's name for the first adapter, and trl's for what the policy is held against
MOST_HELD_OUT = 40 if torch.cuda.is_available() else 12  # seconds, also on two cores


class TwinPlugin(BasePlugin):
    """Lets axolotl train in bfloat16 on a CPU, and reports every step to the Dagster run."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        """Extra training arguments: a loss that is no number is to be seen, and the CPU is meant where there is no GPU.

        By default transformers logs another loss in its place, and goes on; and it refuses bfloat16 without a GPU.
        """
        return {"logging_nan_inf_filter": False, **({} if torch.cuda.is_available() else {"use_cpu": True})}

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> Any:
        """Loads the data as axolotl does, and makes ``max_steps`` a bound: axolotl takes it for the number of steps, beyond the epochs."""
        if preprocess or not cfg.max_steps:
            return None
        found = (load_preference_datasets if cfg.rl else load_datasets)(cfg=cfg)
        cfg.max_steps = found.total_num_steps = min(cfg.max_steps, found.total_num_steps or cfg.max_steps)
        return found

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        """Lets DPO go on with the adapter in ``lora_model_dir``, which axolotl passes over: it would begin with a new one."""
        if cfg.rl == "dpo" and cfg.lora_model_dir:
            go_on_with(trainer.model, Path(cfg.lora_model_dir))

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        """What reports, and what stores the checkpoints of a training whose machine may be taken away."""
        traced = [LineageKeeper(cfg)] if cfg.use_wandb and trainer.is_world_process_zero() else []
        return [*traced, StepReporter(trainer), CheckpointKeeper(kept_in_s3())]

    def post_train_unload(self, cfg: Any) -> None:
        """Links the adapter, which is written by now, to the run in Weights & Biases."""
        lineage.made(Path(cfg.axolotl_config_path), cfg, PipesContext.get().log.warning)


def go_on_with(model: Any, adapter: Path) -> None:
    """Puts an adapter's weights into the new one that is about to be trained, and a frozen copy of them beside it.

    trl takes an adapter named ``ref`` for what the policy is held against: the adapter as it was, not the bare base model, and no second
    model in memory. Neither that copy nor the base model is written with the result.

    Args:
        model: With the new adapter.
        adapter: The folder of the other one.

    Raises:
        ValueError: When the two are not of one shape.
    """
    from peft import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

    weights = load_peft_weights(str(adapter), device="cpu")
    shapes = {name: value.shape for name, value in get_peft_model_state_dict(model).items()}
    if {name: value.shape for name, value in weights.items()} != shapes:
        raise ValueError(f"The adapter in {adapter} has other layers or another rank than the one that is to go on with it.")
    set_peft_model_state_dict(model, weights)
    model.add_adapter(REFERENCE, model.peft_config[TRAINED])
    set_peft_model_state_dict(model, weights, adapter_name=REFERENCE)
    _of_one_type(model)
    model.set_adapter(TRAINED)
    # With both in it, a checkpoint would be resumed from without the trained one: transformers then reads the other's folder alone.
    model.save_pretrained = partial(model.save_pretrained, selected_adapters=[TRAINED])
    model.get_base_model().save_pretrained = lambda *_, **__: None  # axolotl would write it, gigabytes, beside the adapter


def _of_one_type(model: Any) -> None:
    """Gives the reference the number types of what is trained: peft may have made it float32, and ZeRO-3 fails on a mixture."""
    found = dict(model.named_parameters())
    for name, value in found.items():
        parts = name.split(".")
        if REFERENCE in parts:
            value.data = value.data.to(found[".".join(TRAINED if part == REFERENCE else part for part in parts)].dtype)


class StepReporter(TrainerCallback):
    """Sends step, loss, learning rate, tokens per second and the time left through Dagster Pipes, and measures the loss on what is held out."""

    def __init__(self, trainer: Any) -> None:
        self.pipes = PipesContext.get()
        self.trainer = trainer
        self.held_out = bool(getattr(trainer, "eval_dataset", None))
        if self.held_out:
            trainer.eval_dataset = _some(trainer.eval_dataset)
        self.tokens = 0
        self.processes = 1
        self.started = 0.0
        self.first_step = 0
        collate = trainer.data_collator

        def counting(features: Any, *arguments: Any, **options: Any) -> Any:
            batch = collate(features, *arguments, **options)
            self.tokens += int((batch["attention_mask"] != 0).sum())  # of packed rows, it numbers them
            return batch

        trainer.data_collator = counting

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the clock; a resumed training starts at its checkpoint's step."""
        if state.global_step == 0 and self.held_out:
            with torch.random.fork_rng():  # the training goes on as if nothing was measured
                self.trainer.evaluate()
        self.tokens = 0
        self.started, self.first_step = time.monotonic(), state.global_step
        self.processes = args.world_size  # each reads about as much; this one counts its own
        self.pipes.log.info(f"training: step {state.global_step} of {state.max_steps}")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After the last step the loss on what is held out is measured again, before the last checkpoint is written."""
        if self.held_out and state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Reports one step, or a loss on what is held out.

        Raises:
            FloatingPointError: When one of them is no number.
        """
        for name, said in MUST_BE_NUMBERS.items():
            if logs and name in logs and not math.isfinite(float(logs[name])):
                raise FloatingPointError(
                    f"The {said} is {float(logs[name])} at step {state.global_step}: the training came apart and was stopped. Lower "
                    "learning_rate in the training configuration, or see whether the dataset holds rows that are no text."
                )
        if logs and "eval_loss" in logs:
            self.pipes.log.info(f"step {state.global_step}/{state.max_steps}  loss on what is held out {logs['eval_loss']:.3f}")
            self.pipes.report_custom_message({"step": state.global_step, "held_out_loss": float(logs["eval_loss"])})
        if not logs or "loss" not in logs:
            return
        seconds = time.monotonic() - self.started
        done = state.global_step - self.first_step
        tokens = self.tokens * self.processes
        speed = tokens / seconds
        left = seconds / max(done, 1) * (state.max_steps - state.global_step)
        loss = float(logs["loss"])
        rate = float(logs.get("learning_rate", 0))
        margin = f"  margin {float(logs[MARGIN]):+.3f}" if MARGIN in logs else ""
        self.pipes.log.info(
            f"step {state.global_step}/{state.max_steps}  loss {loss:.3f}{margin}  learning rate {rate:.1e}  {speed:.0f} tokens/s  "
            f"{left // 60:.0f}:{left % 60:02.0f} left"
        )
        told = {"step": state.global_step, "steps": state.max_steps, "loss": loss, "learning_rate": rate}
        self.pipes.report_custom_message({**told, "tokens": tokens, "seconds": seconds})


class LineageKeeper(TrainerCallback):
    """Begins the run in Weights & Biases, before the trainer would, and links what is learned from to it."""

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self.warn = PipesContext.get().log.warning
        lineage.begin(self.warn)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Links what is learned from."""
        lineage.used(Path(self.cfg.axolotl_config_path), self.cfg, self.warn)


class CheckpointKeeper(TrainerCallback):
    """Seals every checkpoint as soon as all processes have written their part of it, and stores it in S3 where there is a place."""

    def __init__(self, place: Place | None) -> None:
        self.place = place

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Seals and stores the newest checkpoint; when storing fails the training goes on, and an interruption costs more of it."""
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
        if not state.is_world_process_zero:
            return
        newest = checkpoints(Path(args.output_dir))[-1]
        seal(newest)
        if self.place is None:
            return
        try:
            keep(newest, self.place)
        except (BotoCoreError, ClientError, S3UploadFailedError) as error:
            PipesContext.get().log.warning(f"the checkpoint of step {state.global_step} was not stored in {self.place}: {error}")


def _some(held_out: Any) -> Any:
    """As many of the held-out conversations as are measured in seconds, evenly spread."""
    return held_out.select(range(0, len(held_out), math.ceil(len(held_out) / MOST_HELD_OUT)))
