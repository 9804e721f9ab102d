"""The voice of each author, as numbers."""

import base64
from collections.abc import Sequence

import dagster as dg
import structlog

from twin_assets.cleaning.documents import Document, load_documents, same_text, split
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.sample import control_texts
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.voice.controls import stored_voices
from twin_assets.voice.drift import Period, draw_drift, drift
from twin_assets.voice.memorisation import without_copies
from twin_assets.voice.plot import draw, habits_table, traits_table
from twin_assets.voice.profile import KIND, VoiceProfile, build_profile, refuse_the_same_text
from twin_assets.voice.score import attribution_rate
from twin_assets.voice.tokens import pieces

log = structlog.get_logger(__name__)


@dg.asset(
    key_prefix="voice",
    deps=[dg.AssetKey(["cleaning", "cleaned_documents"])],
    partitions_def=authors,
    group_name="voice",
    kinds={"python", "numpy"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version="3",
)
def voice_profile(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """What sounds like the author: function words, character n-grams and habits, told from control voices, with topics masked.

    Learned from the training side of the documents only, without paragraphs that stand on the held-out side as well. That side says
    how well the author can be recognised at all: the ceiling for every twin. Controls come with the project: invented ones, many real
    writers as numbers, and a language model. The other authors registered here are none, unless TWIN_CONTROL_AUTHORS names them.
    """
    author, settings, database, registry = context.partition_key, platform.settings(), platform.database(), platform.registry()
    try:
        documents = load_documents(database, author)
        parts = split(documents, settings.held_out_share)
        controls = control_texts() | _registered(database, [name for name in settings.controls if name != author])
        for other, share in same_text(database, author).items():
            refuse_the_same_text(author, other, share, "documents")
        train, held_out = ([document.text_for_voice for document in side] for side in (parts.train, parts.held_out))
        learned = without_copies(train, held_out)
        if repeated := sum(len(text.split()) for text in train) - sum(len(text.split()) for text in learned):
            context.log.info(f"{repeated} words stand in held-out documents as well, and are not learned from")
        profile = build_profile(author, learned, controls, stored_voices())
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    unseen = pieces(held_out)
    ceiling = attribution_rate(profile, unseen) if unseen else profile.recognised
    ceiling_pieces = len(unseen) or profile.passages[author]
    uri = platform.artifacts().put_bytes(author, KIND, "voice_profile.npz", profile.to_bytes())
    figures = {"passages": profile.passages, **profile.figures, "ceiling": ceiling, "ceiling_pieces": ceiling_pieces}
    registry.record_artifact(author, KIND, profile.version, uri, figures)
    shown = {author: unseen, **{name: pieces(texts)[:60] for name, texts in controls.items() if name in profile.voices}}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(profile.version),
        metadata={
            "passages": profile.passages[author],
            "repeated_words": repeated,
            "registers": ", ".join(profile.labels[column] for column in profile.own),
            "control_voices": len(profile.voices) - 1,
            "ceiling": ceiling,
            "ceiling_pieces": ceiling_pieces,
            "strangers_taken_for_author": profile.figures["mistaken"],
            "verification_auc": profile.figures["auc"],
            "traits": dg.MetadataValue.md(traits_table(profile)),
            "habits": dg.MetadataValue.md(habits_table(profile)),
            "plot": _picture("Passages and habits", draw(profile, shown)),
            **_drift(documents, profile, controls),
            "artifact": uri,
        },
    )


def _registered(database: Database, names: Sequence[str]) -> dict[str, list[str]]:
    found = {name: [document.text_for_voice for document in load_documents(database, name)] for name in names}
    if empty := [name for name, texts in found.items() if not texts]:
        log.warning("control authors have no cleaned documents and are left out", names=empty, setting="TWIN_CONTROL_AUTHORS")
    return found


def _drift(documents: Sequence[Document], profile: VoiceProfile, controls: dict[str, list[str]]) -> dict[str, dg.MetadataValue]:
    from twin_assets.voice.voices import voice

    dated = [(document.published_at, document.text_for_voice) for document in documents if document.published_at]
    others = [*(voice(name, texts, kept=profile.kept) for name, texts in controls.items()), *stored_voices()]
    periods = drift(dated, [one for one in others if one.name in profile.voices[1:]], profile.kept)
    if not periods:
        return {"drift": dg.MetadataValue.text("Not enough evidence: fewer than two periods of 900 dated words.")}
    return {"drift": _picture("The voice over time", draw_drift(periods)), "drift_weights": dg.MetadataValue.md(_weights(periods))}


def _weights(periods: Sequence[Period]) -> str:
    rows = [f"| {one.name} | {one.passages} | {one.likeness:.2f} ({one.low:.2f} to {one.high:.2f}) | {one.weight:.2f} |" for one in periods]
    return "\n".join(["| period | passages | likeness to the newest | weight |", "|---|---|---|---|", *rows])


def _picture(title: str, png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")
