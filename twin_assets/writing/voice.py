"""What the twin's users are told of a text's voice."""

from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.explain import explain
from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.score import read, score_of
from twin_assets.writing.request import OddSentence, Pull, Voice

NEAREST = 3


def judge(profile: VoiceProfile, text: str) -> Voice | NotEnough:
    """How much a text sounds like the author, and what in it does not; or why nothing can be said of it."""
    reading = read(profile, text)
    if isinstance(reading, NotEnough):
        return reading
    found, reasons = score_of(reading), explain(reading)
    order = sorted(found.similarities, key=lambda name: -found.similarities[name])
    return Voice(
        score=found.score,
        low=found.low,
        high=found.high,
        attributed_to=found.attributed_to,
        own=found.own,
        typicality=found.typicality,
        inside=found.inside,
        words=found.words,
        nearest={name: round(found.similarities[name], 4) for name in order[:NEAREST]},
        habits={name: round(value, 2) for name, value in found.habits.items()},
        pulls=[Pull.model_validate(pull) for pull in reasons.pulls],
        odd_sentences=[OddSentence.model_validate(odd) for odd in reasons.sentences],
    )
