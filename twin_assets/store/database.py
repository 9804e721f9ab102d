"""Postgres, embedded or by URL, always at the newest schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

from twin_assets.settings import Settings
from twin_assets.store import roles
from twin_assets.store.errors import TwinError
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.roles import Role

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_461_229  # any constant: one migrating process at a time


class Database:
    """A handle on one Postgres database.

    Args:
        url: ``postgresql://`` URL; psycopg 3 is used whatever driver it names.
        role: As whom every connection works. Where the login may not take the role, connecting fails.
    """

    def __init__(self, url: str, role: Role = Role.OWNER) -> None:
        self.url = url
        self.role = role

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, made on first use."""
        url = make_url(self.url).set(drivername="postgresql+psycopg")
        if self.role:  # as an option of the connection, the role is what RESET ROLE, a rollback and the pool go back to
            options = " ".join([*url.normalized_query.get("options", ()), f"-c role={self.role}"])
            url = url.update_query_dict({"options": options})
        return create_engine(url, pool_pre_ping=True, pool_size=5)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A connection inside one transaction: committed at the end, rolled back on any error."""
        with self.engine.begin() as connection:
            yield connection

    def migrate(self) -> bool:
        """Brings the schema to the newest revision, and the roles to their rights; a no-op when both are there already.

        Returns:
            Whether the roles have their rights. Where they have not, an administrator has to act: ``roles.missing``.
        """
        with self.begin() as connection:
            newest = _revision(connection) == _head()
            if newest and roles.in_force(connection):
                return True
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            if not newest:
                _upgrade(connection)
            return roles.establish(connection)


def open_database(settings: Settings, role: Role = Role.DOWNSTREAM) -> Database:
    """The database of these settings: the embedded server is started when needed, and the schema brought up to date.

    Args:
        settings: Say which server, and with which login.
        role: As whom to work. Where nobody has made the roles who may, the login works as itself, and a warning says what to do.

    Raises:
        TwinError: When the server cannot be reached or started, or the login may not take the role.
    """
    url = settings.database_url.get_secret_value() if settings.database_url else EmbeddedPostgres(settings.postgres_home).ensure()
    with _told_plainly(url, "TWIN_DATABASE_URL"):
        owner = _database(url, Role.OWNER)
        established = owner.migrate()
    if role is Role.OWNER:
        return owner
    if not established:
        _warn_of_missing_roles(owner)
    if role is Role.DOWNSTREAM and settings.downstream_database_url:
        url = settings.downstream_database_url.get_secret_value()
    with _told_plainly(url, "TWIN_DATABASE_URL or TWIN_DOWNSTREAM_DATABASE_URL"):
        return _database(url, role if established else Role.OWNER)


@contextmanager
def _told_plainly(url: str, setting: str) -> Iterator[None]:
    try:
        yield
    except ArgumentError as error:
        raise TwinError(f"{setting} is not a database URL. Write postgresql://user:password@host:5432/database.") from error
    except ProgrammingError as error:
        raise TwinError(f"The database refused its tables: {error.orig}. It must be Postgres 15 or newer with pgvector.") from error
    except OperationalError as error:
        where = make_url(url).render_as_string(hide_password=True)
        raise TwinError(f"No connection to {where}: {error.orig}. Check {setting} and that the server runs.") from error


@cache
def _database(url: str, role: Role) -> Database:
    database = Database(url, role)  # one connection pool per process, database and role
    with database.begin():  # whether the login may take the role is known now, not in the middle of a run
        return database


@cache
def _warn_of_missing_roles(owner: Database) -> None:
    with owner.begin() as connection:
        log.warning("every stage can read raw text, until an administrator of the database has run", sql=roles.missing(connection))


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _head() -> str:
    return max(path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    if connection.execute(text("select to_regclass('public.alembic_version')")).scalar() is None:
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()
