from uuid import UUID

import pytest

from twin_assets.evaluation.content import Content
from twin_assets.evaluation.rungs import Ladder, Rung, RungName, Task
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.memorisation import NO_RUN, Run
from twin_assets.voice.score import VoiceScore
from twin_assets.voice.separability import Separability
from twin_assets.voice.slop import pooled_slop_rate

HOSTILE = "</div><script>alert('x')</script> ``` <img src=x onerror=alert(1)> | \u202e # [a](javascript:alert(1))"
_PROSE = "I burned the bread again. The oven runs hot, and I knew that: twice is a habit.\n\n"
_PROSE += "So I bought a thermometer. Nine dollars, a magnet on the back. "
_SLOP = "In today's fast-paced world, it's important to note that bread is a testament to the rich tapestry of human culture. "


def rung(name: RungName, own: int, texts: tuple[str, ...], verbatim: Run = NO_RUN, memorised: Run = NO_RUN, meaning: float = 0.61) -> Rung:
    voices = tuple(_voice(text, place < own) for place, text in enumerate(texts))
    content = Content(meaning, 0.14, 0.27, 0.55, (meaning,) * len(texts))
    separable = None if name == "human" else Separability(0.75, 0.6, 0.88, len(texts))
    facts = (0.5,) * len(texts)
    return Rung(name, texts, voices, pooled_slop_rate(texts), verbatim, memorised, 0.01, content, facts, separable)


def _voice(text: str, own: bool) -> VoiceScore | NotEnough:
    if not text:
        return NotEnough("Not enough evidence: 0 words, at least 50 are needed to hear a voice.", 0, 50)
    like = "ana" if own else "control"
    return VoiceScore(0.9 if own else 0.2, 0.1, 0.95, like, own, 0.5, own, {"ana": 0.1, "control": 0.2}, 120, {})


def make_ladder(base: int = 3, twin: int = 7, memorised: int = 0, prompts: int = 8, meaning: float = 0.61) -> Ladder:
    tasks = tuple(
        Task(UUID(int=place), f"Write a post about bread, part {place}. {HOSTILE if place == 4 else ''}", _PROSE, 60, place)
        for place in range(prompts)
    )
    copied = Run(memorised, " ".join(["word"] * memorised), 0)
    quoted = Run(9, "the oven runs hot, and I knew that: twice is", 3)
    return Ladder(
        "ana",
        "0123456789abcdef",
        tasks,
        (
            rung("base", base, (_SLOP * 3,) * prompts),
            rung("base_few_shot", min(base + 1, prompts), (_SLOP + _PROSE,) * prompts),
            rung("base_few_shot_rag", min(base + 2, prompts), (_SLOP + _PROSE,) * prompts, quoted),
            rung("twin", twin, (*(_PROSE,) * (prompts - 4), HOSTILE, _PROSE, "", _PROSE * 3)[:prompts], copied, copied),
            rung("twin_rag", twin, (_PROSE * 2,) * prompts, quoted, meaning=meaning),
            rung("other_twin", base, (_PROSE * 2,) * prompts),
            rung("human", prompts, (_PROSE,) * prompts),
        ),
    )


@pytest.fixture
def ladder() -> Ladder:
    return make_ladder()
