"""A warehouse for one look at a source: made beside the real one, cleaned by the same models, and dropped again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from twin_assets.cleaning.annotate import parse_regions
from twin_assets.cleaning.annotations import sync_annotations
from twin_assets.cleaning.project import run_dbt
from twin_assets.ingest.collect import Rules
from twin_assets.ingest.crawls import free_web
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sync import sync_source
from twin_assets.ingest.works import group_works
from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.errors import TwinError
from twin_assets.store.roles import Role

AUTHOR = "inspected"
"""Whose the posts are in there."""

_LOCK = 7_461_231  # any constant beside the migrations' and the builds'
_SLOTS = 8
_LONGEST_NAME = 40  # of the 63 bytes that Postgres keeps of a name, the rest is for what comes behind


@dataclass(frozen=True, slots=True)
class CleanedSource:
    """A source, read and cleaned; ``truncated`` says why less was read than there is."""

    database: Database
    truncated: str


@contextmanager
def cleaned_source(
    location: str, settings: Settings, rules: Rules | None = None, say: Callable[[str], None] | None = None
) -> Iterator[CleanedSource]:
    """Reads a source into a warehouse of its own, cleans it there as any author's, and drops that warehouse at the end.

    Args:
        location: A path or a URL.
        settings: Of the platform.
        rules: What the owner says of the author and the source.
        say: Told what is being done.

    Raises:
        SourceError: When the source cannot be read as a whole.
        TwinError: When the server lets no database be made.
    """
    say = say or (lambda _: None)
    regions = parse_regions(settings.phone_regions)
    with scratch_warehouse(settings) as (database, slot):
        say(f"reading {location}")
        with free_web(settings, say) as web:
            source = open_source(location, web)
            report = sync_source(database, AUTHOR, source, rules, web)
        if not report.total:
            raise TwinError(f"There is nothing in {location} to clean.")
        group_works(database, AUTHOR)
        say(f"cleaning {report.by_state.get('kept', 0):,} posts: looking for private things")
        sync_annotations(database, AUTHOR, regions, say)
        say(f"cleaning {report.by_state.get('kept', 0):,} posts: building the two texts")
        # dbt keeps what it parsed in the settings' home: this is another database, and not that of the asset graph's manifest.
        run_dbt(settings.model_copy(update={"home": settings.home / "scratch" / str(slot)}), ["run"], database.url)
        yield CleanedSource(database, source.truncated)


@contextmanager
def scratch_warehouse(settings: Settings) -> Iterator[tuple[Database, int]]:
    """An empty warehouse on the server of the real one, with its number; what a killed process has left there is dropped before.

    Raises:
        TwinError: When the server lets no database be made, or too many are in use.
    """
    warehouse = open_database(settings, Role.OWNER)
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        slot = _free_slot(connection)
        url = make_url(warehouse.url)
        names = {number: f"{(url.database or 'twin')[:_LONGEST_NAME]}_scratch_{number}" for number in range(1, _SLOTS + 1)}
        database = Database(url.set(database=names[slot]).render_as_string(hide_password=False))
        try:
            _drop_leftovers(connection, names, slot)
            _make(connection, names[slot], database)
            yield database, slot
        finally:
            database.engine.dispose()
            _drop(connection, names[slot])
            _let_go(connection, slot)


def _free_slot(connection: Connection) -> int:
    slot = next((slot for slot in range(1, _SLOTS + 1) if _take(connection, slot)), None)
    if slot is None:
        raise TwinError(f"{_SLOTS} sources are being inspected with --clean now. Wait until one of them is done.")
    return slot


def _take(connection: Connection, slot: int) -> bool:
    """Whether no living process uses the slot: the lock is let go when its process ends, however it does."""
    return bool(connection.scalar(text("select pg_try_advisory_lock(:lock, :slot)"), {"lock": _LOCK, "slot": slot}))


def _let_go(connection: Connection, slot: int) -> None:
    connection.execute(text("select pg_advisory_unlock(:lock, :slot)"), {"lock": _LOCK, "slot": slot})


def _drop_leftovers(connection: Connection, names: Mapping[int, str], mine: int) -> None:
    known = set(connection.scalars(text("select datname from pg_database where datname = any(:names)"), {"names": list(names.values())}))
    for slot, name in names.items():
        if name in known and (slot == mine or _take(connection, slot)):
            _drop(connection, name)
            if slot != mine:
                _let_go(connection, slot)


def _drop(connection: Connection, name: str) -> None:
    connection.execute(text(f"drop database if exists {_quoted(connection, name)} with (force)"))


def _make(connection: Connection, name: str, database: Database) -> None:
    try:
        connection.execute(text(f"create database {_quoted(connection, name)} template template0"))
        database.migrate()
    except ProgrammingError as error:
        reason = str(error.orig).splitlines()[0]
        raise TwinError(
            f"--clean cleans in a database of its own, and this Postgres lets none be made: {reason}. Let its user do that "
            "(`alter role NAME createdb`), or add the source, run it, and look with `twin inspect --clean --author NAME`."
        ) from error


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name).replace(":", "\\:")  # a colon would begin a parameter
