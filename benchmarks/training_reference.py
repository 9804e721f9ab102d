"""The reference of ``benchmarks.training``: a plain TRL loop with its defaults. Runs in the trainer's environment."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets import load_dataset  # pyright: ignore[reportMissingImports]
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportMissingImports]


class Clock(TrainerCallback):
    """Counts the tokens that are read, padding not counted, and the seconds, at each step."""

    def __init__(self, trainer: Any) -> None:
        self.rows: list[dict[str, float]] = []
        self.tokens, self.started = 0, 0.0
        collate = trainer.data_collator

        def counting(features: Any, *arguments: Any, **options: Any) -> Any:
            batch = collate(features, *arguments, **options)
            self.tokens += int(batch["attention_mask"].sum())
            return batch

        trainer.data_collator = counting

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the clock."""
        self.started = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Reads it."""
        self.rows.append({"tokens": self.tokens, "seconds": time.monotonic() - self.started})


def main(base: str, conversations: str, steps: int, checkpointing: bool, reported: Path) -> None:
    """Trains for so many steps and writes down what the clock said."""
    with tempfile.TemporaryDirectory() as output:
        settings = SFTConfig(
            output_dir=output,
            max_steps=steps,
            per_device_train_batch_size=4,
            max_length=512,
            learning_rate=3e-4,
            gradient_checkpointing=checkpointing,
            dataloader_num_workers=0,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            seed=7,
        )
        trainer = SFTTrainer(
            model=base,
            args=settings,
            train_dataset=load_dataset("json", data_files=conversations, split="train"),
            peft_config=LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        clock = Clock(trainer)
        trainer.add_callback(clock)
        trainer.train()
    reported.write_text(json.dumps(clock.rows))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1", Path(sys.argv[5]))
