"""In place of axolotl: six steps with checkpoints, messages and an adapter, without learning anything."""

import json
import os
import shutil
import time
from pathlib import Path

import yaml
from dagster_pipes import PipesContext

from twin_assets.training.checkpoints import checkpoints, seal
from twin_assets.training.trainer_main import keep, kept_in_s3

STEPS = 6


def do_cli(path: str) -> None:
    if os.environ.get("LOCAL_RANK", "0") != "0":
        PipesContext.get().report_custom_message({"step": 0, "loss": 0.0, "tokens": 0, "seconds": 0})
        print(f"process {os.environ['LOCAL_RANK']}", flush=True)
        return
    config = yaml.safe_load(Path(path).read_text())
    rows = Path(config["datasets"][0]["path"]).read_text().splitlines()
    output = Path(config["output_dir"])
    output.mkdir(exist_ok=True)
    found = checkpoints(output)
    first = int(found[-1].name.split("-")[1]) if found else 0
    print(f"{len(rows)} rows on {config['base_model']} from step {first}", flush=True)
    hold = Path(os.environ.get("STAND_IN_HOLD", "/nonexistent"))
    for step in range(first + 1, STEPS + 1):
        PipesContext.get().log.info(f"step {step}/{STEPS}")
        PipesContext.get().report_custom_message({"step": step, "loss": 4.0 - step / 10, "tokens": 10.0 * step, "seconds": float(step)})
        folder = output / f"checkpoint-{step}"
        folder.mkdir()
        history = [{"step": done, "loss": 4.0 - done / 10} for done in range(1, step + 1)]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": history, "resumed_from": first}))
        seal(folder)
        for old in checkpoints(output)[:-2]:
            shutil.rmtree(old)
        if place := kept_in_s3():
            keep(folder, place)
        while step >= STEPS // 2 and hold.exists():
            time.sleep(0.05)
        if os.environ.get("STAND_IN_FAILS") == str(step):
            raise FloatingPointError("The loss is nan at step 3: the training came apart")
    (output / "adapter_model.safetensors").write_bytes(b"weights of " + "\n".join(rows).encode())
    (output / "adapter_config.json").write_text("{}")
