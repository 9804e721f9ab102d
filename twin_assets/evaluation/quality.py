"""What an evaluation must show before a twin may be deployed, as plain functions: the asset checks are shells around them."""

from collections.abc import Mapping
from typing import Any

from twin_assets.cleaning.quality import Finding

# Two people meet in idioms, names and quotations of up to a dozen words, and an author's stock phrases reach a sentence, about
# 15 to 20 words. Beyond 25 no chance is left: the model recites a passage.
MEMORISED_WORDS = 25


def figures_on(model_version: str, figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figures if they are of this model's evaluation; none if they are another one's, which prove nothing about it."""
    return figures if figures.get("model_version") == model_version else {}


def no_memorised_passages(figures: Mapping[str, Any]) -> Finding:
    """No text of the twin holds a long run of training words that neither the prompt nor the base model accounts for."""
    if "memorised_longest" not in figures:
        return _no_report()
    longest = int(figures["memorised_longest"])
    passed = longest < MEMORISED_WORDS
    description = f"The longest run of memorised words is {longest}; {MEMORISED_WORDS} and more is a recited passage."
    if not passed:
        description += " Train fewer epochs (training_configs), or on more passages (TWIN_MAX_PASSAGES)."
    return Finding(
        passed,
        description,
        {"memorised_longest": longest, "limit": MEMORISED_WORDS, "verbatim_longest": int(figures.get("verbatim_longest", longest))},
    )


def twin_beats_base(figures: Mapping[str, Any]) -> Finding:
    """More of the twin's texts than of the base model's are attributed to the author; as many is not enough."""
    if "voice_own_twin" not in figures or "voice_own_base" not in figures:
        return _no_report()
    base, twin, prompts = (int(figures[name]) for name in ("voice_own_base", "voice_own_twin", "prompts"))
    description = f"{twin} of {prompts} texts of the twin sound like the author, {base} of the base model's do."
    if twin <= base:
        description += " The training taught no voice: train on more text, for more steps, or with a larger base model."
    return Finding(twin > base, description, {"twin": twin, "base": base, "prompts": prompts})


def _no_report() -> Finding:
    return Finding(False, "There is no evaluation of the author's newest model. Materialize evaluation/eval_report.")
