"""The card of an adapter: whose words it learned from, with whose consent, what it is for, and how its texts are to be marked."""

from collections.abc import Mapping
from typing import Any

import yaml

from twin_assets.models import on_hub
from twin_assets.store.registry import Model


def model_card(model: Model, dataset: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """The README of an adapter, as the Hugging Face hub reads it (hub documentation, "Model cards").

    Args:
        model: The adapter, with the figures of its training.
        dataset: The figures of what it learned from.
        recipe: What axolotl was told.
    """
    head = {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        **({"base_model": model.base_model} if on_hub(model.base_model) else {}),
        "license": "other",
        "license_name": "the-authors-own",
        "tags": ["lora", "personal-voice"],
        "model_version": model.version,
    }
    learned = {
        "passages": dataset.get("train_examples"),
        "words": dataset.get("train_words"),
        "documents": dataset.get("train_documents"),
        "held out for the evaluation": dataset.get("held_out_documents"),
    }
    pairs = model.figures.get("preference_version")
    preferences = (
        f"Then preferences {pairs}: the author's words against what the base model or a draft said instead, which is only rejected.\n"
        if pairs
        else ""
    )
    method = f"the author's own answers (SFT){', then preferences (DPO)' if recipe.get('rl') == 'dpo' else ''}"
    took = {
        "method": f"{recipe.get('adapter', 'lora')}, rank {recipe.get('lora_r', '?')}, on {method}",
        "steps": model.figures.get("steps"),
        "pairs": model.figures.get("preference_pairs"),
        "pairs told apart": model.figures.get("reward_accuracy"),
        "loss": _arrow(model.figures.get("loss_first"), model.figures.get("loss_last")),
        "loss on what is held out": _arrow(model.figures.get("held_out_loss_first"), model.figures.get("held_out_loss_last")),
        "SHA-256 of the weights": model.figures.get("adapter_sha256"),
    }
    return f"""---
{yaml.safe_dump(head, sort_keys=False).strip()}
---

# The voice of {model.author}

A LoRA adapter for {model.base_model} that writes like one person.

**Consent.** It was trained on {model.author}'s own writing, for {model.author} and with {model.author}'s consent. Nobody else may let it speak in
that name, and the author can withdraw it at any time.

**Disclosure.** What it writes was written by a machine. A text that is published must be read, answered for and, where law or custom asks for it,
marked as made with AI by the person in whose voice it is. It is not for impersonation, for claims that the author did not make, or for training other
models.

**Data.** Dataset {model.dataset_version}: the answers are the author's own passages, character by character; no answer was written by a model.
{preferences}Private things were masked before. The dataset is not part of this repository. A model can repeat what it learned from: its evaluation
measures that.

{_table(learned)}

**Training.**

{_table(took)}

**Limits.** It knows how the author writes and not what is true: facts come from notes in the prompt, or from nowhere. How near it comes to the voice
stands in the evaluation report of this version.
"""


def _arrow(first: Any, last: Any) -> str | None:
    return f"{first:.3g} to {last:.3g}" if first is not None and last is not None else None


def _table(rows: Mapping[str, Any]) -> str:
    said = [
        f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value} |"
        for name, value in rows.items()
        if value is not None
    ]
    return "\n".join(["| | |", "|---|---|", *said])
