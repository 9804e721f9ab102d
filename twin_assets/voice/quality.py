"""What must hold for a voice profile, as plain functions: the asset checks are shells around them."""

from collections.abc import Mapping
from typing import Any

from twin_assets.voice.held_out import MIN_STRANGERS
from twin_assets.voice.profile import MIN_CONTROL_PASSAGES
from twin_assets.voice.voices import PASSAGE_WORDS

MIN_RECOGNISED = 0.6
MIN_AUC, MIN_AUC_LOW = 0.85, 0.75
MIN_JUDGED = 12
"""Unseen passages of the author's: with fewer, an instrument that guesses would look good too often."""


def author_is_recognised(author: str, rate: float, passages: int) -> tuple[bool, str]:
    """The author's own unseen passages are attributed to the author; below that no twin can be measured against the voice.

    Args:
        author: Whose voice it is.
        rate: Share of the passages attributed to the author.
        passages: How many there were.

    Returns:
        Whether it holds, and a description for a person.
    """
    found = f"{rate:.0%} of {passages} unseen passages by {author} were recognised as {author}'s"
    if rate >= MIN_RECOGNISED:
        return True, f"{found}."
    return False, (
        f"{found}; at least {MIN_RECOGNISED:.0%} are needed before a voice score means much. Add more of {author}'s own writing, and see "
        f"whether other people's text is among it (twin inspect) or the same person is registered under two names."
    )


def instrument_knows_people_apart(author: str, figures: Mapping[str, Any]) -> tuple[bool, str]:
    """The instrument tells the author from people whom it has never met, on human text; only then may it judge a machine.

    Args:
        author: Whose voice it is.
        figures: Of the profile; see ``HeldOut``.

    Returns:
        Whether it holds, and a description for a person.
    """
    if any(figures.get(name) is None for name in ("auc", "auc_low", "mistaken", "judged", "strangers")):
        return False, f"How well {author} is told from strangers was not measured. Materialize voice/voice_profile again."
    auc, low, mistaken, judged = (figures[name] for name in ("auc", "auc_low", "mistaken", "judged"))
    if judged < MIN_JUDGED:
        return False, (
            f"Not enough evidence: {judged} unseen passages by {author}, at least {MIN_JUDGED} ({MIN_JUDGED * PASSAGE_WORDS:,} words of own "
            "prose) are needed before the instrument may judge a twin. Add a source with more writing."
        )
    if figures["strangers"] < MIN_STRANGERS:
        return False, (
            f"Not enough evidence: there are fewer than {MIN_STRANGERS} control voices to tell {author} from, so nobody whom the instrument "
            f"has not met could be judged. Register others with {MIN_CONTROL_PASSAGES * PASSAGE_WORDS} words each in the same language, and "
            "name them in TWIN_CONTROL_AUTHORS."
        )
    found = (
        f"One of {judged} unseen passages by {author} was put before a stranger's in {auc:.0%} of the cases (at least {low:.0%}, with 97.5 % "
        f"confidence); {mistaken:.0%} of strangers' passages were taken for {author}'s"
    )
    if auc >= MIN_AUC and low >= MIN_AUC_LOW:
        return True, f"{found}."
    return False, (
        f"{found}; {MIN_AUC:.0%} (at least {MIN_AUC_LOW:.0%}) are needed before the instrument may judge a twin. Add more of {author}'s own "
        "writing, or see whether other people's text is among it (twin inspect)."
    )
