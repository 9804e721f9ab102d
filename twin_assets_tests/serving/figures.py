"""Figures of a report that passes the gate."""

from typing import Any

GOOD: dict[str, Any] = {
    "model_version": "m1",
    "prompts": 16,
    "compared": 16,
    "voice_twin": 0.9,
    "voice_twin_rag": 0.9,
    "voice_base_few_shot_rag": 0.2,
    "voice_gain": 0.7,
    "voice_gain_low": 0.4,
    "voice_gain_high": 0.9,
    "voice_rag_gain": 0.7,
    "voice_rag_gain_low": 0.4,
    "voice_rag_gain_high": 0.9,
    "verbatim_longest": 7,
    "memorised_longest": 7,
    "slop_twins": 1.0,
    "slop_author": 1.0,
    "content_twin_rag": 0.6,
    "content_base_few_shot_rag": 0.6,
    "deployed_voice": None,
    "deployed_version": None,
}
