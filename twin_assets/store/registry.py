"""The registry: authors and their sources, versioned artifacts, models, and what serves each author."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from twin_assets.store import tables
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError

AUTHOR_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

NEXT = func.nextval("registry.sequence")
_MODEL_FIELDS = ("version", "author", "dataset_version", "config_hash", "base_model", "adapter_uri", "status", "figures")

ModelStatus = Literal["trained", "evaluated", "deployed", "retired"]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A versioned file or folder of the artifact store."""

    author: str
    kind: str
    version: str
    uri: str
    figures: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Model:
    """A trained adapter and what it was made from."""

    version: str
    author: str
    dataset_version: str
    config_hash: str
    base_model: str
    adapter_uri: str
    status: ModelStatus = "trained"
    figures: dict[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """The endpoint that serves an author's twin."""

    author: str
    model_version: str
    engine: str
    url: str
    model_uri: str
    pid: int | None = None
    deployed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A source of an author, and what the owner said of it."""

    location: str
    until: datetime | None = None
    """Writing from this moment on is not learned from."""
    ai_assisted: bool = False
    """Nothing of it is learned from."""
    schedule: str | None = None
    """When it is read, as cron in UTC, where it is on the web; None is the setting's."""
    names: tuple[str, ...] = ()
    """Names and handles that the author publishes under."""


class Registry:
    """Reads and writes the registry tables; every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add_author(self, name: str) -> bool:
        """Registers an author.

        Returns:
            False when the author was known already.

        Raises:
            TwinError: When the name is not lower-case letters, digits, ``-`` and ``_``.
        """
        if not AUTHOR_NAME.fullmatch(name):
            raise TwinError(f"{name!r} cannot name an author: use up to 63 lower-case letters, digits, - and _, such as jane-doe.")
        with self.database.begin() as connection:
            statement = insert(tables.authors).values(name=name).on_conflict_do_nothing()
            return connection.execute(statement.returning(tables.authors.c.name)).first() is not None

    def authors(self) -> list[str]:
        """All authors, in alphabetical order."""
        with self.database.begin() as connection:
            return list(connection.scalars(select(tables.authors.c.name).order_by(tables.authors.c.name)))

    def require_author(self, name: str) -> None:
        """Checks that an author is registered.

        Raises:
            TwinError: When not; the message names those who are.
        """
        known = self.authors()
        if name not in known:
            raise TwinError(f"No author {name!r}. Known: {', '.join(known) or 'none'}. Add one with `twin add {name} --source PATH`.")

    def change_names(self, author: str, added: Sequence[str] = (), removed: Sequence[str] = ()) -> None:
        """Adds and takes away names and handles that the author publishes under.

        Raises:
            TwinError: When a name to take away is not there.
        """
        columns = tables.authors.c
        with self.database.begin() as connection:
            known = connection.scalar(select(columns.names).where(columns.name == author).with_for_update()) or []
            if unknown := [name for name in removed if name not in known]:
                raise TwinError(f"{author} has no name {unknown[0]!r}. Known: {', '.join(known) or 'none'}.")
            names = [name for name in dict.fromkeys([*known, *added]) if name not in removed]
            connection.execute(update(tables.authors).where(columns.name == author).values(names=names))

    def names(self, author: str) -> tuple[str, ...]:
        """Names and handles that the author publishes under."""
        with self.database.begin() as connection:
            return tuple(connection.scalar(select(tables.authors.c.names).where(tables.authors.c.name == author)) or ())

    def add_source(self, author: str, location: str, **said: Any) -> bool:
        """Adds a source to an author; of one that is known already, what is said is changed.

        Args:
            author: Whose source it is.
            location: A path or a URL.
            said: Fields of ``SourceConfig``: ``until``, ``ai_assisted``, ``schedule``. What is left out stays.

        Returns:
            False when it was known already.
        """
        said = {name: value for name, value in said.items() if name != "ai_assisted" or value is not None}
        statement = insert(tables.sources).values(author=author, location=location, **said)
        keys = [tables.sources.c.author, tables.sources.c.location]
        statement = statement.on_conflict_do_update(index_elements=keys, set_=said) if said else statement.on_conflict_do_nothing()
        with self.database.begin() as connection:
            known = connection.scalar(select(func.count()).where(keys[0] == author, keys[1] == location))
            connection.execute(statement)
            return not known

    def source_configs(self, author: str) -> list[SourceConfig]:
        """The author's sources with what the owner said of them, in the order in which they were added."""
        columns = tables.sources.c
        fields = (columns.location, columns.until, columns.ai_assisted, columns.schedule)
        names = self.names(author)
        with self.database.begin() as connection:
            rows = connection.execute(select(*fields).where(columns.author == author).order_by(columns.created_at, columns.location))
            return [SourceConfig(**row._mapping, names=names) for row in rows]

    def remove_source(self, author: str, location: str) -> None:
        """Reads a source no longer."""
        columns = tables.sources.c
        with self.database.begin() as connection:
            connection.execute(delete(tables.sources).where(columns.author == author, columns.location == location))

    def sources(self, author: str) -> list[str]:
        """The author's sources, in the order in which they were added."""
        return [config.location for config in self.source_configs(author)]

    def record_artifact(self, author: str, kind: str, version: str, uri: str, figures: dict[str, Any] | None = None) -> None:
        """Records a version of an artifact and makes it the newest; recording it again refreshes its place and figures."""
        row = {"author": author, "kind": kind, "version": version, "uri": uri, "figures": figures or {}}
        statement = insert(tables.artifacts).values(**row)
        newest = {"uri": uri, "figures": row["figures"], "sequence": NEXT}
        with self.database.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["author", "kind", "version"], set_=newest))

    def artifact(self, author: str, kind: str, version: str) -> Artifact | None:
        """One version of an artifact."""
        return next((one for one in self.artifacts(author, kind) if one.version == version), None)

    def latest_artifact(self, author: str, kind: str) -> Artifact | None:
        """The newest version of an artifact."""
        return next(iter(self.artifacts(author, kind)), None)

    def artifacts(self, author: str, kind: str) -> list[Artifact]:
        """All versions of an artifact, newest first."""
        columns = tables.artifacts.c
        fields = (columns.author, columns.kind, columns.version, columns.uri, columns.figures, columns.created_at)
        query = select(*fields).where(columns.author == author, columns.kind == kind).order_by(columns.sequence.desc())
        with self.database.begin() as connection:
            return [Artifact(**row._mapping) for row in connection.execute(query)]

    def record_model(self, model: Model) -> None:
        """Records a trained model; recording the same version again makes it the newest and keeps its status."""
        row = {name: getattr(model, name) for name in _MODEL_FIELDS}
        with self.database.begin() as connection:
            connection.execute(
                insert(tables.models).values(**row).on_conflict_do_update(index_elements=["version"], set_={"sequence": NEXT})
            )

    def model(self, version: str) -> Model | None:
        """One model."""
        return self._model(tables.models.c.version == version)

    def latest_model(self, author: str) -> Model | None:
        """The author's newest model, whatever its status."""
        return self._model(tables.models.c.author == author)

    def models(self, author: str) -> list[Model]:
        """All models of an author, newest first."""
        columns = tables.models.c
        query = select(*(columns[name] for name in (*_MODEL_FIELDS, "created_at"))).where(columns.author == author)
        with self.database.begin() as connection:
            return [Model(**row._mapping) for row in connection.execute(query.order_by(columns.sequence.desc()))]

    def _model(self, condition: Any) -> Model | None:
        columns = tables.models.c
        query = select(*(columns[name] for name in (*_MODEL_FIELDS, "created_at"))).where(condition)
        with self.database.begin() as connection:
            row = connection.execute(query.order_by(columns.sequence.desc()).limit(1)).one_or_none()
        return Model(**row._mapping) if row else None

    def set_status(self, version: str, status: ModelStatus) -> None:
        """Moves a model on in its life; a deployed model is not set back to evaluated."""
        columns = tables.models.c
        statement = update(tables.models).where(columns.version == version).values(status=status)
        if status == "evaluated":
            statement = statement.where(columns.status != "deployed")
        with self.database.begin() as connection:
            connection.execute(statement)

    def deployment(self, author: str) -> Deployment | None:
        """What serves the author now."""
        columns = tables.deployments.c
        with self.database.begin() as connection:
            row = connection.execute(select(tables.deployments).where(columns.author == author)).one_or_none()
        return Deployment(**row._mapping) if row else None

    def deployments(self) -> list[Deployment]:
        """What serves each author now."""
        with self.database.begin() as connection:
            rows = connection.execute(select(tables.deployments).order_by(tables.deployments.c.author)).all()
        return [Deployment(**row._mapping) for row in rows]

    def record_deployment(self, deployment: Deployment) -> None:
        """Switches an author over: one transaction marks the new version deployed and the one before retired."""
        row = {name: getattr(deployment, name) for name in ("author", "model_version", "engine", "url", "model_uri", "pid")}
        models = tables.models
        with self.database.begin() as connection:
            connection.execute(
                update(models).where(models.c.author == deployment.author, models.c.status == "deployed").values(status="retired")
            )
            connection.execute(update(models).where(models.c.version == deployment.model_version).values(status="deployed"))
            connection.execute(
                insert(tables.deployments)
                .values(**row)
                .on_conflict_do_update(index_elements=["author"], set_={**row, "deployed_at": func.now()})
            )

    def remove_deployment(self, author: str) -> None:
        """Forgets the author's endpoint, and marks its model retired."""
        models = tables.models
        with self.database.begin() as connection:
            connection.execute(update(models).where(models.c.author == author, models.c.status == "deployed").values(status="retired"))
            connection.execute(delete(tables.deployments).where(tables.deployments.c.author == author))
