"""The embedding models whose vectors are kept, and the one that is searched with."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog
from sqlalchemy import Connection, func, select, text

from twin_assets.models import Embedder, embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.tables import embedders

log = structlog.get_logger(__name__)

MAX_DIMENSION = 4000
"""Of a ``halfvec`` that pgvector can index."""

KNOWN_DIMENSION = """
select coalesce(
    (select dimension from features.models where name = :name),
    (select vector_dims(embedding) from features.embeddings where model = :name limit 1)
)
"""

REGISTER = """
insert into features.models (name, spec, dimension, active)
select :name, :spec, :dimension, not exists (select from features.models where active)
on conflict (name) do nothing
"""


@dataclass(frozen=True, slots=True)
class Registered:
    """A model of which there are vectors."""

    name: str
    spec: str
    dimension: int


def active(connection: Connection) -> Registered | None:
    """The model that is searched with; None before the first vectors."""
    columns = embedders.c
    row = connection.execute(select(columns.name, columns.spec, columns.dimension).where(columns.active)).one_or_none()
    return Registered(*row) if row else None


def active_embedder(database: Database, settings: Settings) -> Embedder:
    """The embedder to search and to embed with: the active one, or that of the settings before there is any.

    Cheap enough to be asked before each search, so that a running service follows a switch.

    Raises:
        TwinError: When the model is not here any more, or is another one now under the same name.
    """
    with database.begin() as connection:
        held = active(connection)
    if held is None:
        return embedder(settings.embedder, settings)
    if held.spec != settings.embedder:
        _warn_of_another(settings.embedder, held.spec)
    return _loaded(held, settings)


def register(connection: Connection, model: Embedder) -> None:
    """Notes that vectors of this model are kept; the first one becomes the active one.

    Raises:
        TwinError: When the vectors cannot be stored, or do not go with those that are stored.
    """
    name, dimension = model.name, model.dimension
    if dimension > MAX_DIMENSION:
        raise TwinError(f"{name} has vectors of {dimension} numbers; pgvector indexes up to {MAX_DIMENSION}. Choose another TWIN_EMBEDDER.")
    known = connection.scalar(text(KNOWN_DIMENSION), {"name": name})
    if known not in (None, dimension):
        raise TwinError(
            f"{name} has vectors of {dimension} numbers now, the stored ones have {known}. Nothing was written. "
            "Bring the model back that they were made with, or migrate to another one: `twin features migrate --model NAME`."
        )
    if connection.scalar(select(embedders.c.name).where(embedders.c.name == name)) is None:
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("features.models"))))  # one becomes the active one
        connection.execute(text(REGISTER), {"name": name, "spec": model.spec, "dimension": dimension})


def _loaded(held: Registered, settings: Settings) -> Embedder:
    key = (held.name, settings.home, settings.embedder_backend)
    if key not in _known:
        model = embedder(held.spec, settings)
        if model.name != held.name:
            raise TwinError(
                f"{held.spec} is not the model any more that the passages were embedded with: {model.name} instead of {held.name}. "
                f"Bring the old one back, or embed anew: `twin features migrate --model {held.spec} --force`."
            )
        _known[key] = model
    return _known[key]


_known: dict[tuple[str, Path, str], Embedder] = {}  # a hub would be asked each time


@cache
def _warn_of_another(wanted: str, used: str) -> None:
    log.warning(
        "TWIN_EMBEDDER is not the model that the passages were embedded with, which goes on being used",
        setting=wanted,
        used=used,
        what_to_do=f"`twin features migrate --model {wanted}`, or TWIN_EMBEDDER={used}",
    )
