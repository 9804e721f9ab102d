"""The registry: authors and their sources, versioned artifacts, models, and what serves each author."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from twin_assets.store import tables
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.overrides import Overrides
from twin_assets.store.thresholds import Thresholds

AUTHOR_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
NEXT = func.nextval("registry.sequence")
_MODEL_FIELDS = ("version", "author", "dataset_version", "config_hash", "base_model", "adapter_uri", "status", "figures")

ModelStatus = Literal["candidate", "accepted", "rejected", "deployed", "retired"]
TRAINING = "training"
AUTO = "policy auto"
DEPLOYMENT = "deployment"

Block = TypeVar("Block", bound=BaseModel)
_BLOCKS: dict[type[BaseModel], tuple[str, str]] = {Thresholds: ("threshold", "gate"), Overrides: ("override", "recipe")}
"""Settings of each author: what one is called, and the command that changes it."""


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
    status: ModelStatus = "candidate"
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
class Transition:
    """A step in the life of a model.

    Attributes:
        author: Whose twin it is.
        model_version: Which model.
        before: Its stage before; None for a new one.
        after: Its stage after.
        actor: Who brought it about: a person, or the policy that decided.
        reason: Why.
        figures: What the decision was based on.
        created_at: When.
    """

    author: str
    model_version: str
    before: str | None
    after: str
    actor: str
    reason: str
    figures: dict[str, Any]
    created_at: datetime


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
        """Records a trained model; recording the same version again makes it the newest and keeps its stage."""
        row = {name: getattr(model, name) for name in _MODEL_FIELDS}
        columns = tables.models.c
        with self.database.begin() as connection:
            known = connection.scalar(select(columns.status).where(columns.version == model.version))
            connection.execute(
                insert(tables.models).values(**row).on_conflict_do_update(index_elements=["version"], set_={"sequence": NEXT})
            )
            if known is None:
                _note(connection, model.author, model.version, None, model.status, TRAINING, f"Trained on dataset {model.dataset_version}.")

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

    def decide(
        self,
        version: str,
        after: ModelStatus,
        actor: str,
        reason: str,
        figures: dict[str, Any] | None = None,
        *,
        before: ModelStatus | None = None,
    ) -> bool:
        """Moves a model that does not serve to another stage, and notes who did so and why.

        Args:
            version: The model.
            after: Its new stage: candidate, accepted or rejected.
            actor: A person's name, or the policy that decided.
            reason: Why.
            figures: What the decision was based on.
            before: The stage that it was looked at in: whoever decides on what has changed meanwhile is told so.

        Returns:
            False when it was there already.

        Raises:
            TwinError: When there is no such model, it serves, or somebody else has decided meanwhile; when actor or reason holds
                control characters, which would act on the terminal of whoever reads the audit.
        """
        if _CONTROL.search(actor) or _CONTROL.search(reason):
            raise TwinError("A name and a reason hold no control characters: leave them out.")
        columns = tables.models.c
        with self.database.begin() as connection:
            row = connection.execute(
                select(columns.author, columns.status).where(columns.version == version).with_for_update()
            ).one_or_none()
            if row is None:
                raise TwinError(f"There is no model {version}.")
            if row.status == after:
                return False
            if row.status == "deployed":
                raise TwinError(f"Model {version} is {row.status} and cannot become {after}.")
            if before not in (None, row.status):
                raise TwinError(f"Model {version} became {row.status} meanwhile. Look again, and decide again.")
            connection.execute(update(tables.models).where(columns.version == version).values(status=after))
            _note(connection, row.author, version, row.status, after, actor, reason, figures)
            return True

    def transitions(self, author: str) -> list[Transition]:
        """Every step of the author's models, newest first."""
        columns = tables.transitions.c
        fields = [column for column in columns if column.name != "sequence"]
        with self.database.begin() as connection:
            rows = connection.execute(select(*fields).where(columns.author == author).order_by(columns.sequence.desc()))
            return [Transition(**row._mapping) for row in rows]

    def thresholds(self, author: str) -> Thresholds:
        """What the author's models must show before they serve.

        Raises:
            TwinError: When what is stored can no longer be read.
        """
        return self._own(author, Thresholds)

    def change_thresholds(self, author: str, changes: dict[str, Any]) -> Thresholds:
        """Changes some of the author's thresholds; None takes one back to its default.

        Where the policy becomes manual, a model that the automatic one has accepted and that does not serve yet waits for a person.

        Raises:
            TwinError: When one is unknown or cannot have that value.
        """
        with self.database.begin() as connection:
            found = _change(connection, author, Thresholds, changes)
            if found.policy == "manual":
                _take_back(connection, author)
        return found

    def overrides(self, author: str) -> Overrides:
        """What the author's training does otherwise than its recipe.

        Raises:
            TwinError: When what is stored can no longer be read.
        """
        return self._own(author, Overrides)

    def change_overrides(self, author: str, changes: dict[str, Any]) -> Overrides:
        """Changes some of the author's overrides; None takes one away.

        Raises:
            TwinError: When one is unknown or cannot have that value.
        """
        with self.database.begin() as connection:
            return _change(connection, author, Overrides, changes)

    def _own(self, author: str, block: type[Block]) -> Block:
        name, command = _BLOCKS[block]
        column = tables.authors.c[f"{name}s"]
        with self.database.begin() as connection:
            stored = connection.scalar(select(column).where(tables.authors.c.name == author)) or {}
        try:
            return block(**stored)
        except ValidationError as error:
            hint = f"Set such a one again with `twin {command} {author} --set NAME=VALUE`; `NAME=` takes it away."
            raise TwinError(f"The {name}s of {author} cannot be read: {_problems(error)}. {hint}") from error

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
        """Switches an author over: one transaction marks the new version deployed and the one before retired.

        Raises:
            TwinError: When somebody has rejected it meanwhile.
        """
        row = {name: getattr(deployment, name) for name in ("author", "model_version", "engine", "url", "model_uri", "pid")}
        with self.database.begin() as connection:
            columns = tables.models.c
            before = connection.scalar(select(columns.status).where(columns.version == deployment.model_version).with_for_update())
            if before == "rejected":
                raise TwinError(f"Model {deployment.model_version} was rejected meanwhile, and does not serve.")
            _retire(connection, deployment.author, f"Replaced by {deployment.model_version}.", but=deployment.model_version)
            connection.execute(update(tables.models).where(columns.version == deployment.model_version).values(status="deployed"))
            if before != "deployed":
                _note(
                    connection, deployment.author, deployment.model_version, before, "deployed", DEPLOYMENT, f"Serves at {deployment.url}."
                )
            connection.execute(
                insert(tables.deployments)
                .values(**row)
                .on_conflict_do_update(index_elements=["author"], set_={**row, "deployed_at": func.now()})
            )

    def remove_deployment(self, author: str) -> None:
        """Forgets the author's endpoint, and marks its model retired."""
        with self.database.begin() as connection:
            _retire(connection, author, "Taken down.")
            connection.execute(delete(tables.deployments).where(tables.deployments.c.author == author))


def _change(connection: Connection, author: str, block: type[Block], changes: dict[str, Any]) -> Block:
    name, columns = _BLOCKS[block][0], tables.authors.c
    stored = connection.scalar(select(columns[f"{name}s"]).where(columns.name == author).with_for_update()) or {}
    known = ", ".join(block.model_fields)
    if unknown := sorted(changes.keys() - block.model_fields.keys() - stored.keys()):
        raise TwinError(f"There is no {name} {unknown[0]!r}. {name.capitalize()}s: {known}.")
    wanted = {key: value for key, value in {**stored, **changes}.items() if value is not None}
    try:
        found = block(**wanted)
    except ValidationError as error:
        raise TwinError(f"These {name}s cannot be: {_problems(error)}. {name.capitalize()}s: {known}.") from error
    connection.execute(update(tables.authors).where(columns.name == author).values({f"{name}s": wanted}))
    return found


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


def _retire(connection: Connection, author: str, reason: str, but: str = "") -> None:
    columns = tables.models.c
    served = connection.scalars(
        update(tables.models)
        .where(columns.author == author, columns.status == "deployed", columns.version != but)
        .values(status="retired")
        .returning(columns.version)
    )
    for version in served.all():
        _note(connection, author, version, "deployed", "retired", DEPLOYMENT, reason)


def _take_back(connection: Connection, author: str) -> None:
    """Makes candidates of the models that the automatic policy has accepted."""
    models, steps = tables.models.c, tables.transitions.c
    accepted = connection.scalars(
        select(models.version).where(models.author == author, models.status == "accepted").with_for_update()
    ).all()
    for version in accepted:
        last = select(steps.actor).where(steps.model_version == version, steps.after == "accepted").order_by(steps.sequence.desc()).limit(1)
        if connection.scalar(last) == AUTO:
            connection.execute(update(tables.models).where(models.version == version).values(status="candidate"))
            _note(connection, author, version, "accepted", "candidate", "policy manual", "Waits for a person.")


def _note(
    connection: Connection,
    author: str,
    version: str,
    before: str | None,
    after: str,
    actor: str,
    reason: str,
    figures: dict[str, Any] | None = None,
) -> None:
    row = {"author": author, "model_version": version, "before": before, "after": after, "actor": actor, "reason": reason}
    connection.execute(insert(tables.transitions).values(**row, figures=figures or {}))
