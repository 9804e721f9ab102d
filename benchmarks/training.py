"""Our training on this machine against a plain TRL ``SFTTrainer`` loop: same model, same passages, same adapter, same number of steps.

Figures: tokens per second of ours (tokens that are read, padding not counted, after two steps to warm up), how many times as fast as the
plain loop that is, and the peak memory of the training's processes. The plain loop is TRL with its defaults on the CPU; the second reference
is the same loop without the gradient checkpointing that is among them. ``--passages FILE`` are conversations (``messages``, JSON lines)
instead of the sample author's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.frame import ROOT, PeakMemory, Result, run, say
from twin_assets.models import trainable
from twin_assets.sample import sample_sources
from twin_assets.settings import Settings
from twin_assets.training import trainer
from twin_assets.training.passages import passages
from twin_assets.writing.prompts import Brief, messages

WARM_UP = 2
REFERENCE = ROOT / "benchmarks" / "training_reference.py"


def measure(arguments: argparse.Namespace) -> Result:
    """Trains three times, for so many steps each."""
    with tempfile.TemporaryDirectory(prefix="twin-training-") as name:
        home = Path(name)
        settings = Settings(home=home, training_max_steps=arguments.steps)
        conversations = arguments.passages or _sample(home / "train.jsonl")
        base = trainable(trainer.make_plan("benchmark", "d", settings).base_model, settings)
        ours, memory = _ours(settings, conversations)
        plain, plain_memory = _reference(settings, base, conversations, arguments.steps, checkpointing=True)
        bare, bare_memory = _reference(settings, base, conversations, arguments.steps, checkpointing=False)
    figures = {
        "tokens_per_second": round(ours, 1),
        "speedup": round(ours / plain, 3),
        "speedup_without_checkpointing": round(ours / bare, 3),
        "peak_memory_gb": round(memory, 2),
        "steps": arguments.steps,
    }
    reference = {
        "plain_tokens_per_second": round(plain, 1),
        "plain_peak_memory_gb": round(plain_memory, 2),
        "without_checkpointing_tokens_per_second": round(bare, 1),
        "without_checkpointing_peak_memory_gb": round(bare_memory, 2),
    }
    return Result(figures, reference)


def speed(steps: Sequence[Mapping[str, float]], warm_up: int = WARM_UP) -> float:
    """Tokens per second between the end of the warm-up and the last step.

    Args:
        steps: Tokens and seconds so far, at each step; what is told of anything else does not count.
        warm_up: Steps that do not count.
    """
    counted = [step for step in steps if "tokens" in step]
    first, last = counted[warm_up - 1], counted[-1]
    return (last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"])


def _sample(path: Path) -> Path:
    """The sample author's blog as conversations."""
    rows = []
    for file in sorted(sample_sources()[0].rglob("*.md")):
        text = file.read_text(encoding="utf-8").split("---\n", 2)[-1].strip()
        for start, end in passages(text, 60, 200):
            turns = messages(Brief(file.stem.replace("-", " "), "blog", len(text[start:end].split())))
            rows.append({"messages": [*turns, {"role": "assistant", "content": text[start:end]}]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    say(f"{len(rows)} passages of the sample author")
    return path


def _ours(settings: Settings, conversations: Path) -> tuple[float, float]:
    from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, DAGSTER_PIPES_MESSAGES_ENV_VAR, encode_param

    plan = trainer.make_plan("benchmark", "d", settings)
    config = trainer.write_config(plan, conversations, settings)
    context, reported = plan.folder / "context.json", plan.folder / "messages.jsonl"
    nothing = ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "partition_key_range")
    context.write_text(
        json.dumps(
            {
                **dict.fromkeys((*nothing, "partition_time_window", "job_name")),
                "run_id": "benchmark",
                "retry_number": 0,
                "extras": {},
            }
        )
    )
    environment = {
        **os.environ,
        **trainer.trainer_environment(settings, dict(os.environ)),
        DAGSTER_PIPES_CONTEXT_ENV_VAR: encode_param({"path": str(context)}),
        DAGSTER_PIPES_MESSAGES_ENV_VAR: encode_param({"path": str(reported)}),
    }
    memory = _watched("ours", trainer.trainer_command(plan, config, settings), environment)
    lines = [json.loads(line) for line in reported.read_text().splitlines()]
    steps = [line["params"]["payload"] for line in lines if line["method"] == "report_custom_message"]
    return speed(steps), memory


def _reference(settings: Settings, base: Path, conversations: Path, steps: int, *, checkpointing: bool) -> tuple[float, float]:
    reported = settings.home / f"reference-{checkpointing}.json"
    command = [
        str(settings.trainer_python),
        str(REFERENCE),
        str(base),
        str(conversations),
        str(steps),
        str(int(checkpointing)),
        str(reported),
    ]
    environment = {**os.environ, **trainer.trainer_environment(settings, dict(os.environ)), "WANDB_MODE": "disabled"}
    memory = _watched("plain TRL" if checkpointing else "plain TRL without checkpointing", command, environment)
    found: list[dict[str, Any]] = json.loads(reported.read_text())
    return speed(found), memory


def _watched(what: str, command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Runs to the end, and returns the peak memory in GB."""
    say(what)
    process = subprocess.Popen(command, env=dict(environment), cwd=ROOT, stdout=sys.stderr)
    with PeakMemory(_family(process.pid)).watching() as memory:
        if process.wait():
            raise SystemExit(f"{what} failed with {process.returncode}: {' '.join(command)}")
    return memory.peak_gb()


def _family(pid: int) -> Callable[[], list[psutil.Process]]:
    def found() -> list[psutil.Process]:
        try:
            parent = psutil.Process(pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    return found


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--passages", type=Path, help="conversations as JSON lines instead of the sample author's passages")
    parser.add_argument("--steps", type=int, default=40, help="optimizer steps of each training")


if __name__ == "__main__":
    run("training", measure, _arguments)
