"""When a text says too little for a number to mean anything."""

from collections.abc import Sequence
from dataclasses import dataclass

from twin_assets.voice.features import Passage
from twin_assets.voice.held_out import known_share
from twin_assets.voice.profile import VoiceProfile

MIN_WORDS = 50
MAX_WORD_LETTERS = 12
"""On average; longer ones are no words with spaces between them."""
MIN_DIFFERENT = 12
"""Of fifty words of prose three quarters differ; what has fewer than these is one phrase over and over."""


@dataclass(frozen=True, slots=True)
class NotEnough:
    """Why a text cannot be judged.

    Attributes:
        reason: What is missing, for a person, with the amount that is needed.
        words: How many words there are.
        needed: How many are needed; 0 where it is not words that are missing.
    """

    reason: str
    words: int
    needed: int = 0


def lacking(profile: VoiceProfile, sentences: Sequence[str], passages: Sequence[Passage]) -> NotEnough | None:
    """What a text lacks to be judged, or None.

    Args:
        profile: The author's voice.
        sentences: Those of the text.
        passages: Their n-grams.
    """
    written = [word for sentence in sentences for word in sentence.lower().split()]
    words, different = len(written), len(set(written))
    if words < MIN_WORDS:
        found = f"Not enough evidence: {words} words, at least {MIN_WORDS} are needed to hear a voice."
        if sum(map(len, written)) > MIN_WORDS * MAX_WORD_LETTERS:
            found += " The text is long, but has no spaces between its words, which the instruments count."
        return NotEnough(found, words, MIN_WORDS)
    share = known_share(passages, profile.kept)
    if share < profile.known_share:
        return NotEnough(
            f"Not enough evidence: {share:.0%} of the words are small words such as {profile.author} writes, at least "
            f"{profile.known_share:.0%} are needed. The text is in another language or script, or is no running prose.",
            words,
        )
    if different < MIN_DIFFERENT:
        return NotEnough(
            f"Not enough evidence: the {words} words are {different} words over and over, at least {MIN_DIFFERENT} different ones are needed.",
            words,
        )
    return None
