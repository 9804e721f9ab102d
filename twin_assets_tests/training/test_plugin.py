"""The plug-in among what it is plugged into: axolotl, transformers and peft of the trainer's environment."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from twin_assets.settings import Settings
from twin_assets.training.trainer import make_plan, trainer_environment, write_config

pytestmark = pytest.mark.skipif(not Settings().trainer_python.exists(), reason="no trainer environment: run `make setup`")

Trainer = Callable[..., str]
TRAINING = """
import sys
import torch
from datasets import Dataset
from dagster_pipes import open_dagster_pipes
from transformers import Trainer, TrainingArguments
from twin_assets.training.axolotl_plugin import StepReporter, TwinPlugin

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.steps = torch.nn.Parameter(torch.ones(1)), 0

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        self.steps += 1
        loss = self.weight.sum() * input_ids.float().mean()
        return {"loss": LOSS}

open_dagster_pipes()
rows = Dataset.from_list([{"input_ids": [1, 2], "attention_mask": [1, 1], "labels": [1, 2]}] * 9)
arguments = TrainingArguments(
    sys.argv[1], max_steps=6, logging_steps=1, report_to=[], save_strategy="no", per_device_train_batch_size=1, disable_tqdm=True,
    **TwinPlugin().get_training_args(None)
)
trainer = Trainer(Model(), arguments, train_dataset=rows, eval_dataset=HELD_OUT)
trainer.add_callback(StepReporter(trainer))
trainer.train()
"""
REFERENCE = """
import sys, torch
from pathlib import Path
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM
from twin_assets.training.axolotl_plugin import go_on_with

sizes = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
def adapted():
    base = LlamaForCausalLM(sizes).to(torch.bfloat16)
    layers = LoraConfig(r=4, target_modules=["q_proj", "embed_tokens"], task_type="CAUSAL_LM")
    return get_peft_model(base, layers, autocast_adapter_dtype=AUTOCAST)

adapted().save_pretrained(sys.argv[1])
model = adapted()
go_on_with(model, Path(sys.argv[1]))
types = {name: value.dtype for name, value in model.named_parameters() if "lora_" in name}
assert sum("ref" in name for name in types) == 4
assert {str(found) for found in types.values()} == {"EXPECTED"}, types
"""
STEPS = """
import json, sys
from axolotl.cli.config import load_cfg
from axolotl.utils.trainer import calculate_total_num_steps
from twin_assets.training.axolotl_plugin import TwinPlugin

cfg = load_cfg(sys.argv[1])
found = TwinPlugin().load_datasets(cfg)
taken, cfg.sample_packing_eff_est = cfg.max_steps, None  # of the first count: with it axolotl guesses
in_the_epochs = calculate_total_num_steps(cfg, found.train_dataset)
cfg.max_steps = 4
assert TwinPlugin().load_datasets(cfg).total_num_steps == cfg.max_steps == 4
print(json.dumps([taken, found.total_num_steps, in_the_epochs]))
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """Runs code in the trainer's environment, and returns what it printed; or what it said when it failed, where that is expected."""
    settings = Settings()

    def run(code: str, *arguments: str, fails: bool = False) -> str:
        environment = {**os.environ, **trainer_environment(settings, {}), "PYTHONWARNINGS": "ignore"}
        command = [str(settings.trainer_python), "-c", code, *(arguments or [str(tmp_path / "out")])]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (ended.returncode != 0) is fails, ended.stderr
        return ended.stderr if fails else ended.stdout

    return run


@pytest.mark.parametrize(
    ("loss", "held_out", "said"),
    [
        ("loss * float('nan') if self.steps > 3 else loss", None, "The loss is nan at step 4"),
        ("torch.sqrt(self.weight.sum() - 1) * 0 + loss", None, "The norm of the gradients is nan at step 1"),
        ("loss * float('nan')", "rows", "The loss on what is held out is nan at step 0"),
    ],
)
def test_what_is_no_number_stops_a_real_training(trainer: Trainer, loss: str, held_out: str | None, said: str) -> None:
    error = trainer(TRAINING.replace("LOSS", loss).replace("HELD_OUT", str(held_out)), fails=True)
    assert f"{said}: the training came apart" in error


def test_a_training_with_numbers_goes_on(trainer: Trainer) -> None:
    trainer(TRAINING.replace("LOSS", "loss").replace("HELD_OUT", "None"))


@pytest.mark.parametrize(("autocast", "dtype"), [("False", "torch.bfloat16"), ("True", "torch.float32")])
def test_the_reference_has_the_number_type_of_what_is_trained(trainer: Trainer, autocast: str, dtype: str) -> None:
    trainer(REFERENCE.replace("AUTOCAST", autocast).replace("EXPECTED", dtype))


@pytest.mark.parametrize(("bound", "packed", "steps"), [(120, True, 20), (1000, False, 240)])
def test_the_bound_on_the_steps_does_not_go_beyond_the_epochs(
    trainer: Trainer, settings: Settings, tmp_path: Path, bound: int, packed: bool, steps: int
) -> None:
    """480 passages, twice: packed by eights of 2,048 tokens about ten steps an epoch, and 120 without."""
    turns = [{"role": "user", "content": "Write."}, {"role": "assistant", "content": "salt and bread " * 100}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(480)))
    plan = make_plan("ada", "d", settings.model_copy(update={"home": tmp_path, "training_max_steps": bound}))
    shape = {"sequence_len": 2048, "sample_packing": packed, "pad_to_sequence_len": packed, "gradient_accumulation_steps": 1 + packed}
    plan = replace(plan, recipe={**plan.recipe, **shape})
    config = write_config(plan, tmp_path / "train.jsonl", settings)
    taken, told, in_the_epochs = json.loads(trainer(STEPS, str(config)).splitlines()[-1])
    assert taken == told == min(bound, in_the_epochs)
    assert abs(taken - steps) <= 2


def test_tokens_are_those_of_every_process_and_of_every_packed_row(trainer: Trainer) -> None:
    code = """
import json, torch
from types import SimpleNamespace as N
from dagster_pipes import open_dagster_pipes
from twin_assets.training.axolotl_plugin import StepReporter
open_dagster_pipes()
told = []
one = StepReporter(trainer := N(data_collator=lambda batch: batch))
one.pipes = N(report_custom_message=told.append, log=N(info=lambda said: None))
one.on_train_begin(N(world_size=8), N(global_step=0, max_steps=9), None)
trainer.data_collator({"attention_mask": torch.tensor([[1, 1, 2, 3, 0]])})
one.on_log(None, N(global_step=1, max_steps=9), None, logs={"loss": 1.0})
assert told[0]["tokens"] == 32, told
"""
    trainer(code)


def test_the_plug_in_measures_a_few_of_the_held_out_passages_before_and_after(trainer: Trainer) -> None:
    code = """
from types import SimpleNamespace as N
from dagster_pipes import open_dagster_pipes
from twin_assets.training.axolotl_plugin import StepReporter

class Rows(list):
    def select(self, places):
        return Rows(self[place] for place in places)

def reporter(rows):
    trainer = N(data_collator=lambda batch: batch, eval_dataset=rows, evaluate=lambda: measured.append(trainer.eval_dataset))
    return StepReporter(trainer)

def after(one, step):
    control = N(should_evaluate=False)
    one.on_step_end(None, N(global_step=step, max_steps=9), control)
    return control.should_evaluate

open_dagster_pipes()
measured = []
one = reporter(Rows(range(100)))
one.on_train_begin(N(world_size=1), N(global_step=0, max_steps=9), None)
assert measured == [list(range(0, 100, 9))], measured
one.on_train_begin(N(world_size=1), N(global_step=5, max_steps=9), None)
assert len(measured) == 1
assert (after(one, 8), after(one, 9), after(reporter(None), 9)) == (False, True, False)
"""
    trainer(code)
