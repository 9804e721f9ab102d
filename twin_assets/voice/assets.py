"""The voice of each author, as numbers."""

import base64
from collections.abc import Sequence

import dagster as dg

from twin_assets.cleaning.documents import load_documents, split
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.sample import control_texts
from twin_assets.store.database import Database
from twin_assets.voice.plot import draw, habits_table, traits_table
from twin_assets.voice.profile import KIND, MAX_CONTROL_PIECES, build_profile
from twin_assets.voice.score import attribution_rate
from twin_assets.voice.tokens import pieces


@dg.asset(
    key_prefix="voice",
    deps=[dg.AssetKey(["cleaning", "cleaned_documents"])],
    partitions_def=authors,
    group_name="voice",
    kinds={"python", "numpy"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
)
def voice_profile(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """What sounds like the author: function words, character n-grams and habits, told from control voices, with topics masked.

    Learned from the training side of the documents only. The held-out side says how well the author can be recognised at all: the
    ceiling for every twin. Controls are the two that come with the project and all other registered authors.
    """
    author, database, registry = context.partition_key, platform.database(), platform.registry()
    parts = split(load_documents(database, author), platform.settings().held_out_share)
    controls = control_texts() | _others(database, [other for other in registry.authors() if other != author])
    profile = build_profile(author, [document.text_for_voice for document in parts.train], controls)
    held_out = pieces([document.text_for_voice for document in parts.held_out])
    ceiling = attribution_rate(profile, held_out) if held_out else profile.recognised
    ceiling_pieces = len(held_out) or profile.pieces[author]

    uri = platform.artifacts().put_bytes(author, KIND, "voice_profile.json", profile.to_json().encode())
    figures = {"pieces": profile.pieces, "ceiling": ceiling, "ceiling_pieces": ceiling_pieces, "mistaken": profile.mistaken}
    registry.record_artifact(author, KIND, profile.version, uri, figures)
    shown = {author: held_out, **{voice: pieces(controls[voice])[:MAX_CONTROL_PIECES] for voice in profile.voices[1:]}}
    picture = base64.b64encode(draw(profile, shown)).decode()
    return dg.MaterializeResult(
        data_version=dg.DataVersion(profile.version),
        metadata={
            "pieces": profile.pieces[author],
            "control_pieces": dg.MetadataValue.json({voice: profile.pieces[voice] for voice in profile.voices[1:]}),
            "ceiling": ceiling,
            "ceiling_pieces": ceiling_pieces,
            "controls_taken_for_author": profile.mistaken,
            "traits": dg.MetadataValue.md(traits_table(profile)),
            "habits": dg.MetadataValue.md(habits_table(profile)),
            "plot": dg.MetadataValue.md(f"![Passages and habits](data:image/png;base64,{picture})"),
            "artifact": uri,
        },
    )


def _others(database: Database, names: Sequence[str]) -> dict[str, list[str]]:
    return {name: [document.text_for_voice for document in load_documents(database, name)] for name in names}
