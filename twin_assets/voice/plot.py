"""What a profile looks like: the tables and the picture that stand beside it."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.tokens import FUNCTION_WORDS

_OWN, _OTHERS = "#c0392b", ("#2c7fb8", "#7f8c8d", "#8e6bbf", "#3a9d6b", "#b8860b")


@dataclass(frozen=True, slots=True)
class Trait:
    """A function word, mark or short run of them that tells the author from the controls; rates per 1,000 words and marks."""

    gram: str
    author: float
    controls: float


def traits(profile: VoiceProfile, count: int = 10) -> list[Trait]:
    """The most characteristic function words, marks and runs of them, whether overused or avoided; none repeats another."""
    view = profile.views["words"]
    difference = view.centroids[0] - view.centroids[1:].mean(axis=0)
    rates = np.maximum(view.centroids * view.scale + view.mean, 0) * 3000  # every word begins three n-grams
    chosen: dict[int, set[str]] = {}
    for place in np.argsort(-np.abs(difference), kind="stable").tolist():
        words = set(view.grams[place].split(" "))
        readable = all(word in FUNCTION_WORDS or not re.search(r"\w", word) for word in words)
        if readable and not any(words & others for others in chosen.values()):
            chosen[place] = words
        if len(chosen) == count:
            break
    return [Trait(view.grams[place], round(float(rates[0, place]), 2), round(float(rates[1:, place].mean()), 2)) for place in chosen]


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
    """A PNG: on the left each passage by whom it resembles, on the right the author's habits beside the controls'.

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
        found = profile.similarities(texts)
        own = voice == profile.author
        color = _OWN if own else _OTHERS[number % len(_OTHERS)]
        left.scatter(
            found[:, 1:].max(axis=1), found[:, 0], s=14, color=color, alpha=0.8 if own else 0.4, label=voice, zorder=3 if own else 2
        )
    left.axline((0, 0), slope=1, color="#999999", linewidth=1, linestyle="--")
    left.set(
        xlabel="similarity to the nearest control", ylabel=f"similarity to {profile.author}", title="Passages (above the line: the author)"
    )
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
    controls = [profile.habits[voice] for voice in profile.voices[1:]]
    return {name: float(np.mean([habits[name] for habits in controls])) for name in controls[0]}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
