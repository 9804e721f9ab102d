"""The profile of a voice: where an author's writing lies among other people's, as one versioned file of numbers."""

import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any
from zipfile import BadZipFile

import numpy as np

from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Artifact, Registry
from twin_assets.voice.calibration import Calibration
from twin_assets.voice.features import VIEWS, Passage, ViewName
from twin_assets.voice.held_out import MIN_STRANGERS, HeldOut, measure_held_out
from twin_assets.voice.language_model import GrammarModels, Grams
from twin_assets.voice.space import Scale, Vectors
from twin_assets.voice.tokens import FUNCTION_WORDS, common_words, english
from twin_assets.voice.voices import PASSAGE_WORDS, Voice, author_voices, shared, voice

KIND = "voice_profile"
FORMAT = 3
MIN_AUTHOR_PASSAGES = 4
MIN_CONTROL_PASSAGES = 2
_SAME_TEXT = 0.3


class VoiceError(TwinError):
    """A voice cannot be measured; the message says what is missing."""


@dataclass(frozen=True, eq=False)
class VoiceProfile:
    """An author's voice among control voices.

    Attributes:
        author: Whose voice it is; the first of ``voices``.
        voices: The author and the controls.
        machines: Those of them that are language models.
        classes: The voice of each column of the directions: voices whose registers are kept apart have two.
        labels: What each column is called.
        passages: Passages per voice.
        scales: Vocabulary and scale per kind of n-gram.
        directions: Per kind of n-gram one column per class.
        typical: Per kind of n-gram the mean vector of the author's passages.
        models: Grammar models, one column per voice.
        calibrations: The meaning of the signals by text length, shortest first.
        figures: How well the instruments know the author from people that they have not met; see ``HeldOut``.
        known_share: Share of kept words below which a text is not in the author's language.
        kept: The words that are not masked.
        habits: Surface habits per voice, where known.
    """

    author: str
    voices: tuple[str, ...]
    machines: tuple[str, ...]
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    passages: dict[str, int]
    scales: dict[ViewName, Scale]
    directions: dict[ViewName, Vectors]
    typical: dict[ViewName, Vectors]
    models: GrammarModels
    calibrations: tuple[Calibration, ...]
    figures: dict[str, float]
    known_share: float
    kept: frozenset[str]
    habits: dict[str, dict[str, float]]

    @cached_property
    def version(self) -> str:
        """Hash of the content."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    @cached_property
    def own(self) -> list[int]:
        """The author's columns."""
        return [column for column, name in enumerate(self.classes) if name == self.author]

    @property
    def recognised(self) -> float:
        """Share of the author's own passages attributed to the author while held out."""
        return self.figures["recognised"]

    def decisions(self, passages: Sequence[Passage]) -> Vectors:
        """How much each passage speaks for each class, one row per passage."""
        return np.sum([self.scales[view].vectors(passages, view) @ self.directions[view] for view in VIEWS], axis=0)

    def to_bytes(self) -> bytes:
        """The profile as an NPZ file, the same for the same content."""
        arrays: dict[str, Any] = {"counts": self.models.counts, "totals": self.models.totals}
        for view in VIEWS:
            arrays |= {f"{view}_mean": self.scales[view].mean, f"{view}_spread": self.scales[view].spread}
            arrays |= {f"{view}_directions": self.directions[view], f"{view}_typical": self.typical[view]}
        content = {
            "format": FORMAT,
            "author": self.author,
            "voices": self.voices,
            "machines": self.machines,
            "classes": self.classes,
            "labels": self.labels,
            "passages": self.passages,
            "grams": {view: self.scales[view].grams for view in VIEWS},
            "grammar": self.models.grams.names,
            "calibrations": [asdict(calibration) for calibration in self.calibrations],
            "figures": self.figures,
            "known_share": self.known_share,
            "kept": sorted(self.kept),
            "habits": self.habits,
        }
        written = io.BytesIO()
        about = np.frombuffer(json.dumps(content, ensure_ascii=False, sort_keys=True).encode(), dtype=np.uint8)
        np.savez_compressed(written, about=about, **arrays)
        return written.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "VoiceProfile":
        """Reads what ``to_bytes`` wrote.

        Raises:
            VoiceError: When it is something else, or was written by another version of the profile's format.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            about = json.loads(arrays["about"].tobytes().decode())
            if about["format"] != FORMAT:
                raise VoiceError(
                    f"The voice profile has format {about['format']}, this version reads {FORMAT}. Materialize voice/voice_profile again."
                )
            return _read(about, arrays)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile, zlib.error) as error:
            raise VoiceError(f"This is not a voice profile ({error}). Materialize voice/voice_profile again.") from error


def build_profile(author: str, texts: Sequence[str], controls: Mapping[str, Sequence[str]], stored: Sequence[Voice] = ()) -> VoiceProfile:
    """Learns how an author differs from the control voices.

    All writing is cut to passages of 150 words, joined across short documents; every voice weighs the same, however much it wrote.
    What the figures and the calibration say is measured on passages that were held out, against people who were held out.

    Args:
        author: Whose voice it is; a control of the same name is left out.
        texts: The author's writing, in order.
        controls: The writing of others. Voices of fewer than two passages are left out, and those in another language.
        stored: Voices that are known by their numbers alone; they are English.

    Raises:
        VoiceError: When the author wrote too little, when no control is left, or when a control has the author's text.
    """
    in_english = english(texts)
    alike = {name: controls[name] for name in sorted(controls) if name != author and english(controls[name]) == in_english}
    kept = FUNCTION_WORDS if in_english else common_words([texts, *alike.values()])
    own = _own(author, texts, kept)
    others = [voice(name, written, kept=kept) for name, written in alike.items()] + [
        one for one in stored if in_english and one.name != author
    ]
    others = [one for one in others if len(one.passages) >= MIN_CONTROL_PASSAGES]
    if not others:
        raise VoiceError(_no_control(author, in_english))
    _refuse_the_same_text(author, own, others)
    classes = [*own, *others]
    return _profile(author, classes, measure_held_out(author, classes, kept), kept)


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
        VoiceError: When none was made yet, or this version cannot read it.
        TwinError: When its file is gone.
    """
    return VoiceProfile.from_bytes(artifacts.read_bytes(latest(registry, author).uri))


def _no_control(author: str, in_english: bool) -> str:
    needed = MIN_CONTROL_PASSAGES * PASSAGE_WORDS
    if in_english:
        return f"Not enough evidence: there is no control voice to tell {author} from. {MIN_STRANGERS} of at least {needed} words each are needed."
    return (
        f"Not enough evidence: {author} does not write in English, and the control voices that come with the project do. At least "
        f"{MIN_STRANGERS} other authors with {needed} words in the same language are needed: register them, and name them in "
        "TWIN_CONTROL_AUTHORS."
    )


def _own(author: str, texts: Sequence[str], kept: frozenset[str]) -> list[Voice]:
    own = author_voices(author, texts, kept)
    if sum(len(one.passages) for one in own) < MIN_AUTHOR_PASSAGES:
        needed, there = MIN_AUTHOR_PASSAGES * PASSAGE_WORDS, sum(len(text.split()) for text in texts)
        raise VoiceError(
            f"Not enough evidence: {author} has {there} words of own prose, a voice needs at least {needed}. Add a source with more writing."
        )
    return own


def _refuse_the_same_text(author: str, own: Sequence[Voice], others: Sequence[Voice]) -> None:
    for other in others:
        refuse_the_same_text(author, other.name, max(shared(one, other) for one in own), "sentences")


def refuse_the_same_text(author: str, other: str, share: float, what: str) -> None:
    """Two authors with a third of their text in common are one person to any instrument.

    Raises:
        VoiceError: When so much of the shorter one's text, sentences or documents, stands in the other's.
    """
    if share >= _SAME_TEXT:
        raise VoiceError(
            f"Not enough evidence: {author} and {other} have the same text ({share:.0%} of the {what} of one stand in the other), "
            "so nothing can tell them apart. Remove one of them, or the source that holds the other's writing."
        )


def _profile(author: str, classes: Sequence[Voice], found: HeldOut, kept: frozenset[str]) -> VoiceProfile:
    voices = tuple(dict.fromkeys(one.name for one in classes))
    own = np.array([classes[label].name == author for label in found.labels])
    return VoiceProfile(
        author=author,
        voices=voices,
        machines=tuple(one.name for one in classes if one.machine),
        classes=tuple(one.name for one in classes),
        labels=tuple(one.label for one in classes),
        passages={name: sum(len(one.passages) for one in classes if one.name == name) for name in voices},
        scales={view: _stored(found.scales[view]) for view in VIEWS},
        directions={view: _single(found.directions[view]) for view in VIEWS},
        typical={view: _single(found.vectors[view][own].mean(axis=0)) for view in VIEWS},
        models=found.models,
        calibrations=found.calibrations,
        figures=found.figures,
        known_share=found.known_share,
        kept=kept,
        habits={one.name: {habit: round(value, 2) for habit, value in one.habits.items()} for one in reversed(classes) if one.habits},
    )


def _stored(scale: Scale) -> Scale:
    return Scale(scale.grams, _single(scale.mean), _single(scale.spread))


def _single(values: Vectors) -> Vectors:
    """In single precision and rounded: what is stored must not hang on the order in which a machine adds up."""
    return np.round(values, 6).astype(np.float32) + np.float32(0)  # no negative zeros


def _read(about: Mapping[str, Any], arrays: Mapping[str, Any]) -> VoiceProfile:
    scales = {view: Scale(tuple(about["grams"][view]), arrays[f"{view}_mean"], arrays[f"{view}_spread"]) for view in VIEWS}
    calibrations = tuple(Calibration(**{**one, "slopes": tuple(one["slopes"]), "own": tuple(one["own"])}) for one in about["calibrations"])
    models = GrammarModels(Grams(tuple(about["grammar"])), arrays["counts"], arrays["totals"])
    listed = {name: tuple(about[name]) for name in ("voices", "machines", "classes", "labels")}
    same = {name: about[name] for name in ("author", "passages", "figures", "known_share", "habits")}
    same["kept"] = frozenset(about["kept"])
    return VoiceProfile(
        **listed,
        **same,
        scales=scales,
        directions={view: arrays[f"{view}_directions"] for view in VIEWS},
        typical={view: arrays[f"{view}_typical"] for view in VIEWS},
        models=models,
        calibrations=calibrations,
    )
