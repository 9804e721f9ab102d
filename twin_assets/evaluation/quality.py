"""What an evaluation must show before a twin may be deployed, as plain functions: the asset checks are shells around them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twin_assets.cleaning.quality import Finding
from twin_assets.store.thresholds import Thresholds

Figures = Mapping[str, Any]
"""Of the newest report; ``deployed_voice`` is that of what serves, where anything does."""


MIN_PROMPTS = 10
MIN_WORDS = 5
MAX_EMPTY = 0.1


def every_rung_wrote(prompts: int, texts: Mapping[str, Sequence[str]]) -> Finding:
    """Every rung wrote a text for every prompt, and hardly any of them is as good as empty; else nothing can be compared.

    Args:
        prompts: How many there are.
        texts: Those of each rung.
    """
    if not prompts or not texts:
        return Finding(False, "There are no texts. Materialize evaluation/eval_texts.", {})
    lacking = {rung: prompts - len(written) for rung, written in texts.items() if len(written) != prompts}
    shares = {rung: sum(len(text.split()) < MIN_WORDS for text in written) / prompts for rung, written in texts.items()}
    mute = [rung for rung, share in shares.items() if share > MAX_EMPTY]
    problems = [f"{rung} has {prompts - count} texts for {prompts} prompts." for rung, count in lacking.items()]
    problems += [f"{shares[rung]:.0%} of the texts of {rung} are empty or of fewer than {MIN_WORDS} words." for rung in mute]
    figures: dict[str, int | float | list[str]] = {"prompts": prompts, "rungs": len(texts), "most_empty": max(shares.values())}
    if not problems:
        return Finding(True, f"{len(texts)} rungs wrote on {prompts} prompts each.", figures)
    return Finding(False, f"{' '.join(problems)} The log of the model server says more (logs/evaluation-model.log).", figures)


def figures_on(model_version: str, figures: Figures) -> Figures:
    """The figures if they are of this model's evaluation; none if they are another one's, which prove nothing about it."""
    return figures if figures.get("model_version") == model_version else {}


def twin_beats_base(figures: Figures, thresholds: Thresholds) -> Finding:
    """The twin, with retrieval and without, is attributed to the author more often than the prompted base model, beyond chance."""
    needed = [f"{name}_gain{end}" for name in ("voice", "voice_rag") for end in ("", "_low", "_high")]
    if (known := _numbers(figures, "voice_twin", "voice_twin_rag", "voice_base_few_shot_rag", "prompts", "compared", *needed)) is None:
        return _no_report()
    twin, informed, base, prompts, compared, *gains = known
    if compared < MIN_PROMPTS:
        return Finding(
            False,
            f"Not enough evidence: {compared:.0f} prompts on which the base model wrote enough to be heard, at least {MIN_PROMPTS} are needed "
            f"to say whether the twin sounds more like the author. Raise TWIN_EVAL_PROMPTS ({prompts:.0f} were asked), or add more of the "
            "author's writing.",
            {"prompts": prompts, "compared": compared},
        )
    (gain, low, high), (rag_gain, rag_low, rag_high) = gains[:3], gains[3:]
    description = (
        f"{twin:.0%} of the twin's texts sound like the author, {informed:.0%} with retrieval, {base:.0%} of the base model's with examples and "
        f"retrieval: a difference of {gain:+.2f} ({low:+.2f} to {high:+.2f}), with retrieval {rag_gain:+.2f} ({rag_low:+.2f} to "
        f"{rag_high:+.2f}), on {compared:.0f} prompts."
    )
    passed = min(low, rag_low) > thresholds.voice_gain
    if not passed:
        description += (
            f" A lower end is not above {thresholds.voice_gain:.2f}: train on more text, for more steps or with a larger base model, or "
            "evaluate on more prompts (TWIN_EVAL_PROMPTS)."
        )
    return Finding(
        passed,
        description,
        {"gain": gain, "low": low, "high": high, "rag_gain": rag_gain, "rag_low": rag_low, "limit": thresholds.voice_gain},
    )


def no_memorised_passages(figures: Figures, thresholds: Thresholds) -> Finding:
    """No text of the twin holds a long run of its training words outside quotes."""
    if (known := _numbers(figures, "verbatim_longest")) is None:
        return _no_report()
    longest, limit = int(known[0]), thresholds.verbatim_words
    passed = longest < limit
    description = f"The longest run of training words outside quotes is {longest}; {limit} and more is a recited passage."
    if not passed:
        memorised = int(figures.get("memorised_longest", longest))
        description += (
            " It stood in the prompt: retrieve less (TWIN_CONTEXT_PASSAGES), or raise TWIN_COPY_PENALTY."
            if memorised < limit
            else " Train fewer epochs (training_configs), or on more passages (TWIN_MAX_PASSAGES)."
        )
    return Finding(passed, description, {"verbatim_longest": longest, "limit": limit})


def slop_like_the_authors(figures: Figures, thresholds: Thresholds) -> Finding:
    """The twin has hardly more marks of machine prose than the author."""
    if (known := _numbers(figures, "slop_twins", "slop_author")) is None:
        return _no_report()
    twin, author = known
    limit = author + thresholds.slop_over_author
    description = f"{twin:.1f} marks of machine prose per 1,000 words, the author has {author:.1f}; up to {limit:.1f} is allowed."
    if twin > limit:
        description += " The report lists them. See whether machine-written text is among what was learned from (twin inspect)."
    return Finding(twin <= limit, description, {"twin": twin, "author": author, "limit": limit})


def content_not_worse(figures: Figures, thresholds: Thresholds) -> Finding:
    """With retrieval, the twin is as close to what the author really wrote as the base model is, but for a margin."""
    needed = ("content_twin_rag", "content_base_few_shot_rag")
    if (known := _numbers(figures, *needed)) is None:
        return _no_report()
    twin, base = known
    limit = base - thresholds.content_margin
    description = f"Closeness to the real passages: {twin:.2f}, the base model's {base:.2f}; at least {limit:.2f} is needed."
    if twin < limit:
        description += " The twin lost the subject: train fewer epochs, or with prompts that say more (key points)."
    return Finding(twin >= limit, description, {"twin": twin, "base": base, "limit": limit})


def not_worse_than_deployed(figures: Figures, thresholds: Thresholds) -> Finding:
    """The twin sounds as much like the author as the one that serves now, but for a margin."""
    if _numbers(figures, "voice_twin") is None or "deployed_voice" not in figures:
        return _no_report()
    if figures["deployed_voice"] is None and not figures.get("deployed_version"):
        return Finding(True, "Nothing else serves this author.", {})
    if thresholds.deployed_margin >= 1:
        return Finding(True, "The author's threshold deployed_margin lets anything replace what serves.", {})
    if (known := _numbers(figures, "voice_twin", "deployed_voice")) is None:
        return Finding(
            False,
            f"Model {figures['deployed_version']} serves, and what it wrote in its evaluation is not there any more to compare with. "
            "`twin gate AUTHOR --set deployed_margin=1` lets the new one take its place unseen; set it back afterwards.",
            {},
        )
    twin, served = known
    limit = served - thresholds.deployed_margin
    description = f"{twin:.0%} of the twin's texts sound like the author, {served:.0%} of those of the twin that serves now."
    if twin < limit:
        description += f" At least {limit:.0%} is needed to take its place."
    return Finding(twin >= limit, description, {"twin": twin, "deployed": served, "limit": limit})


GATE: tuple[Callable[[Figures, Thresholds], Finding], ...] = (
    twin_beats_base,
    no_memorised_passages,
    slop_like_the_authors,
    content_not_worse,
    not_worse_than_deployed,
)
"""All that must hold."""


def _numbers(figures: Figures, *names: str) -> list[float] | None:
    """The figures of these names; None where one is missing or is no number, which proves nothing."""
    found = [figures.get(name) for name in names]
    numbers = [float(value) for value in found if isinstance(value, int | float) and math.isfinite(value)]
    return numbers if len(numbers) == len(names) else None


def _no_report() -> Finding:
    return Finding(False, "There is no evaluation of the author's newest model. Materialize evaluation/eval_report.", {})
