"""What a profile looks like: the tables and the picture that stand beside it."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twin_assets.voice.explain import readable
from twin_assets.voice.features import count
from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.tokens import mask

TRAITS = 10
_OWN, _OTHERS = "#c0392b", ("#2c7fb8", "#7f8c8d", "#8e6bbf", "#3a9d6b", "#b8860b")


@dataclass(frozen=True, slots=True)
class Trait:
    """A function word, mark or short run of them that tells the author from the controls; rates per 1,000 words and marks."""

    gram: str
    author: float
    controls: float


def traits(profile: VoiceProfile, most: int = TRAITS) -> list[Trait]:
    """The most characteristic function words, marks and runs of them, whether overused or avoided; none repeats another."""
    direction = profile.directions["words"][:, profile.own].mean(axis=1) * profile.typical["words"]
    column = profile.voices.index(profile.author)
    others = [at for at in range(len(profile.voices)) if at != column]
    rates = 1000 * profile.models.counts / np.maximum(profile.models.totals, 1)
    places = profile.models.grams.places
    chosen: dict[str, Trait] = {}
    used: list[set[str]] = []
    for place in np.argsort(-direction, kind="stable").tolist():
        gram = profile.scales["words"].grams[place]
        words = set(gram.split(" "))
        if len(chosen) == most:
            break
        if gram in places and readable(gram, profile.kept) and not any(words & others for others in used):
            row = rates[places[gram]]
            chosen[gram] = Trait(gram, round(float(row[column]), 2), round(float(row[others].mean()), 2))
            used.append(words)
    return list(chosen.values())


def traits_table(profile: VoiceProfile) -> str:
    """The traits as a Markdown table."""
    rows = [f"| `{trait.gram.replace('|', chr(92) + '|')}` | {trait.author:.1f} | {trait.controls:.1f} |" for trait in traits(profile)]
    return "\n".join([f"| per 1,000 words and marks | {profile.author} | controls |", "|---|---|---|", *rows])


def habits_table(profile: VoiceProfile) -> str:
    """The surface habits of the author and the mean of the controls as a Markdown table."""
    controls = _control_habits(profile)
    rows = [f"| {name} | {value:.1f} | {controls[name]:.1f} |" for name, value in profile.habits[profile.author].items()]
    return "\n".join([f"| habit | {profile.author} | controls |", "|---|---|---|", *rows])


def draw(profile: VoiceProfile, passages: Mapping[str, Sequence[str]]) -> bytes:
    """A PNG: on the left each passage by whom it speaks for, on the right the author's habits beside the controls'.

    Args:
        profile: The profile.
        passages: Passages to place, by voice; the author's should be held-out ones.
    """
    from matplotlib.figure import Figure  # no pyplot: it keeps state and is not safe in threads

    figure = Figure(figsize=(11, 4.6), layout="constrained", dpi=90)
    left, right = figure.subplots(1, 2)
    for number, (voice, texts) in enumerate(passages.items()):
        if not texts:
            continue
        found = profile.decisions([count([mask(text, profile.kept)])[0] for text in texts])
        others = [column for column in range(len(profile.classes)) if column not in profile.own]
        own = voice == profile.author
        color = _OWN if own else _OTHERS[number % len(_OTHERS)]
        left.scatter(
            found[:, others].max(axis=1),
            found[:, profile.own].max(axis=1),
            s=14,
            color=color,
            alpha=0.8 if own else 0.4,
            label=voice,
            zorder=3 if own else 2,
        )
    left.axline((0, 0), slope=1, color="#999999", linewidth=1, linestyle="--")
    left.set(xlabel="speaks for the nearest control", ylabel=f"speaks for {profile.author}", title="Passages (above the line: the author)")
    left.legend(fontsize=8)
    own_habits, controls = profile.habits[profile.author], _control_habits(profile)
    places = np.arange(len(own_habits))
    right.barh(places - 0.2, list(own_habits.values()), 0.4, color=_OWN, label=profile.author)
    right.barh(places + 0.2, [controls[name] for name in own_habits], 0.4, color=_OTHERS[1], label="controls")
    right.set_yticks(places, list(own_habits), fontsize=8)
    right.invert_yaxis()
    right.set(title="Habits")
    right.legend(fontsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _control_habits(profile: VoiceProfile) -> dict[str, float]:
    controls = [profile.habits[voice] for voice in profile.voices[1:] if voice in profile.habits]
    return {name: float(np.mean([habits[name] for habits in controls])) for name in controls[0]}
