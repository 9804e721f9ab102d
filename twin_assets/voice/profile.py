"""The profile of a voice: where an author's writing lies among other people's, as a versioned, readable file."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Registry
from twin_assets.voice.calibration import Calibration, calibrate
from twin_assets.voice.features import VIEWS, ViewName, count_grams, habits
from twin_assets.voice.tokens import PIECE_WORDS, opening, pieces
from twin_assets.voice.views import Vectors, View, cosine, fit

KIND = "voice_profile"
FORMAT = 1
VOCABULARY: dict[ViewName, int] = {"words": 2000, "characters": 4000}
MAX_AUTHOR_PIECES = 120
MAX_CONTROL_PIECES = 60
MIN_AUTHOR_PIECES = 4
MIN_CONTROL_PIECES = 2
FOLDS = 5
CALIBRATED_WORDS = (40, 80, PIECE_WORDS)

Grams = dict[ViewName, Counter[str]]


class VoiceError(TwinError):
    """A voice cannot be measured; the message says what is missing."""


@dataclass(frozen=True, eq=False)
class VoiceProfile:
    """An author's voice among control voices.

    Attributes:
        author: Whose voice it is; the first of ``voices``.
        voices: The author and the controls, in the order of the centroids.
        pieces: Passages per voice.
        views: Vocabulary, scale and centroids per kind of n-gram.
        calibrations: The meaning of margins by text length, shortest first.
        recognised: Share of the author's own passages attributed to the author while held out.
        mistaken: Share of the controls' held-out passages attributed to the author.
        habits: Surface habits per voice.
    """

    author: str
    voices: tuple[str, ...]
    pieces: dict[str, int]
    views: dict[ViewName, View]
    calibrations: tuple[Calibration, ...]
    recognised: float
    mistaken: float
    habits: dict[str, dict[str, float]]

    @cached_property
    def version(self) -> str:
        """Hash of the content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def similarities(self, texts: Sequence[str]) -> Vectors:
        """Mean cosine similarity over the views, one row per text, one column per voice."""
        counts = [count_grams(text) for text in texts]
        return np.mean([cosine(view.vectors([c[name] for c in counts]), view.centroids) for name, view in self.views.items()], axis=0)

    def to_json(self) -> str:
        """The profile as JSON, the same for the same content."""
        views = {
            name: {field: _listed(getattr(view, field)) for field in ("grams", "mean", "scale", "centroids")}
            for name, view in self.views.items()
        }
        content = {
            "format": FORMAT,
            "author": self.author,
            "voices": self.voices,
            "pieces": self.pieces,
            "views": views,
            "calibrations": [asdict(calibration) for calibration in self.calibrations],
            "recognised": self.recognised,
            "mistaken": self.mistaken,
            "habits": self.habits,
        }
        return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "VoiceProfile":
        """Reads what ``to_json`` wrote.

        Raises:
            VoiceError: When it is something else, or was written by another version of the profile's format.
        """
        try:
            content = json.loads(text)
            found = content.pop("format")
            if found != FORMAT:
                raise VoiceError(
                    f"The voice profile has format {found}, this version reads {FORMAT}. Materialize voice/voice_profile again."
                )
            views = {name: _view(content["views"][name]) for name in VIEWS}
            calibrations = tuple(Calibration(**{**c, "own_margins": tuple(c["own_margins"])}) for c in content["calibrations"])
            return cls(**{**content, "voices": tuple(content["voices"]), "views": views, "calibrations": calibrations})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VoiceError(f"This is not a voice profile ({error}). Materialize voice/voice_profile again.") from error


def build_profile(author: str, texts: Sequence[str], controls: Mapping[str, Sequence[str]]) -> VoiceProfile:
    """Learns how an author differs from the control voices.

    All texts are cut to passages of 150 words, joined across short documents; every voice weighs the same, however much it wrote.
    The calibration is honest: each passage is measured against centroids made without its own fifth of the voice's writing.

    Args:
        author: Whose voice it is; a control of the same name is left out.
        texts: The author's writing, in order.
        controls: The writing of others. Voices of fewer than two passages are left out.

    Raises:
        VoiceError: When the author wrote too little, or no control is left.
    """
    passages = _passages(author, texts, controls)
    counts = {voice: [count_grams(passage) for passage in own] for voice, own in passages.items()}
    views: dict[ViewName, View] = {
        name: fit(size, {voice: [count[name] for count in own] for voice, own in counts.items()}) for name, size in VOCABULARY.items()
    }
    probes = {words: counts if words == PIECE_WORDS else _shortened(passages, words) for words in CALIBRATED_WORDS}
    held_out = {words: _held_out_similarities(views, counts, probe) for words, probe in probes.items()}
    attributed = {voice: float(np.mean(found.argmax(axis=1) == 0)) for voice, found in held_out[PIECE_WORDS].items()}
    return VoiceProfile(
        author=author,
        voices=tuple(passages),
        pieces={voice: len(own) for voice, own in passages.items()},
        views=views,
        calibrations=tuple(calibrate(words, found) for words, found in held_out.items()),
        recognised=round(attributed.pop(author), 4),
        mistaken=round(float(np.mean(list(attributed.values()))), 4),
        habits={voice: _habits(own) for voice, own in passages.items()},
    )


def latest(registry: Registry, author: str) -> Artifact:
    """Where the author's newest voice profile lies, with its figures.

    Raises:
        VoiceError: When none was made yet.
    """
    artifact = registry.latest_artifact(author, KIND)
    if artifact is None:
        raise VoiceError(f"{author} has no voice profile yet. Run: twin run {author} --to voice_profile")
    return artifact


def load_profile(registry: Registry, artifacts: ArtifactStore, author: str) -> VoiceProfile:
    """The author's newest voice profile.

    Raises:
        VoiceError: When none was made yet.
        TwinError: When its file is gone.
    """
    return VoiceProfile.from_json(artifacts.read_bytes(latest(registry, author).uri).decode())


def _passages(author: str, texts: Sequence[str], controls: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    own = pieces(texts)
    if len(own) < MIN_AUTHOR_PIECES:
        needed, there = MIN_AUTHOR_PIECES * PIECE_WORDS, sum(len(text.split()) for text in texts)
        raise VoiceError(f"{author} has {there} words of own prose, a voice needs at least {needed}. Add a source with more writing.")
    others = {voice: pieces(controls[voice]) for voice in sorted(controls) if voice != author}
    others = {voice: _spread(cut, MAX_CONTROL_PIECES) for voice, cut in others.items() if len(cut) >= MIN_CONTROL_PIECES}
    if not others:
        needed = MIN_CONTROL_PIECES * PIECE_WORDS
        raise VoiceError(f"There is no control voice to tell {author} from. Add another author with at least {needed} words.")
    return {author: _spread(own, MAX_AUTHOR_PIECES), **others}


def _spread(cut: list[str], most: int) -> list[str]:
    return cut if len(cut) <= most else [cut[i * len(cut) // most] for i in range(most)]


def _shortened(passages: Mapping[str, Sequence[str]], words: int) -> dict[str, list[Grams]]:
    return {voice: [count_grams(opening(passage, words)) for passage in own] for voice, own in passages.items()}


def _held_out_similarities(
    views: Mapping[ViewName, View], counts: Mapping[str, Sequence[Grams]], probes: Mapping[str, Sequence[Grams]]
) -> dict[str, Vectors]:
    """Similarities of each probe to centroids made without its own fold; folds are stretches of a voice's writing."""
    folds = {voice: np.arange(len(own)) * FOLDS // len(own) for voice, own in counts.items()}
    found = {voice: np.zeros((len(own), len(counts))) for voice, own in counts.items()}
    for name, view in views.items():
        known = {voice: view.vectors([c[name] for c in own]) for voice, own in counts.items()}
        for fold in range(FOLDS):
            centroids = np.array([known[voice][folds[voice] != fold].mean(axis=0) for voice in known])
            for voice, own in probes.items():
                inside = np.flatnonzero(folds[voice] == fold).tolist()
                found[voice][inside] += cosine(view.vectors([own[i][name] for i in inside]), centroids) / len(views)
    return found


def _habits(passages: Sequence[str]) -> dict[str, float]:
    measured = [habits(passage) for passage in passages]
    return {name: round(float(np.mean([one[name] for one in measured])), 2) for name in measured[0]}


def _listed(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _view(content: Mapping[str, Any]) -> View:
    arrays = {field: np.array(content[field], dtype=float) for field in ("mean", "scale", "centroids")}
    return View(grams=tuple(content["grams"]), **arrays)
