"""Postgres, embedded or by URL, always at the newest schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.postgres import EmbeddedPostgres

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_461_229  # any constant: one migrating process at a time


class Database:
    """A handle on one Postgres database.

    Args:
        url: ``postgresql://`` URL; psycopg 3 is used whatever driver it names.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, made on first use."""
        return create_engine(make_url(self.url).set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=5)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A connection inside one transaction: committed at the end, rolled back on any error."""
        with self.engine.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Brings the schema to the newest revision; a no-op when it is there already."""
        with self.begin() as connection:
            if _revision(connection) == _head():
                return
            from alembic import command
            from alembic.config import Config

            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def open_database(settings: Settings) -> Database:
    """The database of these settings: the embedded server is started when needed, and the schema brought up to date.

    Raises:
        TwinError: When the server cannot be reached or started.
    """
    url = settings.database_url.get_secret_value() if settings.database_url else EmbeddedPostgres(settings.postgres_home).ensure()
    try:
        database = _database(url)
        database.migrate()
    except ArgumentError as error:
        raise TwinError("TWIN_DATABASE_URL is not a database URL. Write postgresql://user:password@host:5432/database.") from error
    except ProgrammingError as error:
        raise TwinError(f"The database refused its tables: {error.orig}. It must be Postgres 15 or newer with pgvector.") from error
    except OperationalError as error:
        where = make_url(url).render_as_string(hide_password=True)
        raise TwinError(f"No connection to {where}: {error.orig}. Check TWIN_DATABASE_URL and that the server runs.") from error
    return database


@cache
def _database(url: str) -> Database:
    return Database(url)  # one connection pool per process and database


def _head() -> str:
    return max(path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    if connection.execute(text("select to_regclass('public.alembic_version')")).scalar() is None:
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()
