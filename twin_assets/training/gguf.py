"""The file that llama.cpp serves: base model, or base and adapter merged, as one f16 GGUF.

f16, because q8_0 changed the greedy answers of the small default model.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import structlog

from twin_assets.models import trainable
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.recipes import chosen

log = structlog.get_logger(__name__)


def base_gguf(settings: Settings, base_model: str = "") -> Path:
    """A base model as GGUF, made once.

    Args:
        settings: For the data home, the conversion tools, and the base model where none is given.
        base_model: Spec of the model.
    """
    base = trainable(base_model or chosen(settings).base_model, settings)
    target = _folder(settings) / f"{base.name}-f16.gguf"
    if not target.exists():
        _convert(base, target, settings)
    return target


def merged_gguf(model_version: str, adapter: Path, base_model: str, settings: Settings) -> Path:
    """The base model with an adapter merged into it, as GGUF, made once per model version.

    Args:
        model_version: The registry's version, which names the file.
        adapter: Folder of the LoRA adapter.
        base_model: Spec of the model that the adapter was trained on.
        settings: For the data home and the conversion tools.

    Raises:
        TwinError: When the conversion fails.
    """
    target = _folder(settings) / f"{model_version}-f16.gguf"
    if target.exists():
        return target
    merged = _folder(settings) / f"{model_version}.{os.getpid()}.merged"
    try:
        _merge(trainable(base_model, settings), adapter, merged)
        _convert(merged, target, settings)
    finally:
        shutil.rmtree(merged, ignore_errors=True)
    return target


def _folder(settings: Settings) -> Path:
    folder = settings.home / "models" / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _merge(base: Path, adapter: Path, target: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    log.info("merging adapter into base", adapter=str(adapter))
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().to(torch.float16).save_pretrained(target)
    AutoTokenizer.from_pretrained(base).save_pretrained(target)


def _convert(model: Path, target: Path, settings: Settings) -> None:
    script = settings.gguf_tools / "convert_hf_to_gguf.py"
    if not script.exists():
        raise TwinError(f"The GGUF converter is not in {settings.gguf_tools}. Run `make setup`, or set TWIN_GGUF_TOOLS.")
    log.info("converting to gguf", model=str(model), target=str(target))
    staging = target.with_suffix(f".{os.getpid()}.part")
    result = subprocess.run(
        [sys.executable, str(script), str(model), "--outtype", "f16", "--outfile", str(staging)],
        env={**os.environ, "PYTHONPATH": str(settings.gguf_tools), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        staging.unlink(missing_ok=True)
        free = shutil.disk_usage(target.parent).free / 1e9
        raise TwinError(f"Converting {model} to GGUF failed ({free:.1f} GB of disk free):\n{result.stderr[-1500:]}")
    staging.replace(target)
