"""The dbt project: where it lies, the environment it needs, and its manifest, which Dagster reads the graph from."""

import fcntl
import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError

log = structlog.get_logger(__name__)

PROJECT = PROJECT_ROOT / "dbt_cleaning"
DBT = Path(sys.executable).parent / "dbt"
_SOURCES = ("*.yml", "models/**/*.yml", "models/**/*.sql", "macros/**/*.sql", "tests/**/*.sql")
BUILD_LOCK = 7_461_230  # any constant beside the migrations'


def target(settings: Settings) -> Path:
    """The folder that dbt writes to, apart from the project, so that a checkout stays clean."""
    return settings.home.absolute() / "dbt"


def environment(url: str) -> dict[str, str]:
    """What ``profiles.yml`` reads, from a database URL, with a socket folder or with a host and a password."""
    parts: URL = make_url(url)
    query = {key: value if isinstance(value, str) else value[-1] for key, value in parts.query.items()}
    values = {
        "HOST": query.get("host") or parts.host,
        "PORT": query.get("port") or parts.port,
        "USER": parts.username,
        "PASSWORD": parts.password,
        "DATABASE": parts.database,
        "SSLMODE": query.get("sslmode"),
    }
    # dbt finds its executable and its helpers on PATH, which a virtual environment that is not activated is not on.
    return {
        **{f"TWIN_DBT_{name}": str(value) for name, value in values.items() if value},
        "PATH": os.pathsep.join([str(DBT.parent), os.environ.get("PATH", "")]),
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # Of single models only the tests that look at nothing behind them, which such a build leaves as it was.
        "DBT_INDIRECT_SELECTION": "buildable",
    }


@contextmanager
def dbt_core_hidden() -> Iterator[None]:
    """For the import of dagster-dbt, which otherwise pulls in all of dbt-core: 2.5 s of CPU for every run and worker.

    It needs that to evaluate dbt's selection language, which is not used here, and supports environments without dbt-core;
    dbt itself runs as a process of its own either way.
    """
    name = "dbt.version"
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = None  # pyright: ignore[reportArgumentType]  # Python's own way to say: not importable
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "sqlglotrs is deprecated", DeprecationWarning)
            yield
    finally:
        if hidden:
            del sys.modules[name]


@contextmanager
def applied(variables: Mapping[str, str]) -> Iterator[None]:
    """These environment variables, for the time of the block: dagster-dbt takes no others than the process's own."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def one_build_at_a_time(database: Database) -> Iterator[None]:
    """Holds the warehouse's build lock: dbt drops and makes its views anew, so two builds would pull them from each other."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": BUILD_LOCK})
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": BUILD_LOCK})


def run_dbt(settings: Settings, arguments: Sequence[str], url: str | None = None) -> str:
    """Runs dbt on the project.

    Args:
        settings: Say where dbt may write.
        arguments: Of the dbt command line, such as ``["parse"]``.
        url: Database URL; parsing needs none.

    Returns:
        What dbt printed.

    Raises:
        TwinError: When dbt fails; the message ends with its last lines.
    """
    folder = target(settings)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder), "DBT_USE_COLORS": "false"}
    done = subprocess.run(
        [DBT, *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment(url or _database_url(settings)), **paths},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-60:])
        raise TwinError(f"dbt {arguments[0]} failed. The whole log is {folder / 'dbt.log'}; it ends with:\n{tail}{done.stderr}")
    return done.stdout


def manifest(settings: Settings) -> Path:
    """The manifest of the project as it is now, made when it is missing or when a file of the project has changed.

    Raises:
        TwinError: When dbt cannot parse the project.
    """
    folder = target(settings)
    path, stamp = folder / "manifest.json", folder / "manifest.sha256"
    current = digest(settings)
    if _is_current(path, stamp, current):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current(path, stamp, current):
            stamp.unlink(missing_ok=True)
            run_dbt(settings, ["parse"])
            stamp.write_text(current)
            log.info("dbt project parsed", manifest=str(path))
    return path


def digest(settings: Settings) -> str:
    """Hash of the project's files and of what reads them: when it changes, the manifest is made anew."""
    files = sorted(path for pattern in _SOURCES for path in PROJECT.glob(pattern))
    found = hashlib.sha256(f"{version('dbt-core')} {make_url(_database_url(settings)).database}".encode())
    for path in files:
        found.update(f"\n{path.relative_to(PROJECT)}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _is_current(path: Path, stamp: Path, digest: str) -> bool:
    return path.exists() and stamp.exists() and stamp.read_text() == digest


def _database_url(settings: Settings) -> str:
    # Parsing needs no server, but the manifest names the database.
    return settings.database_url.get_secret_value() if settings.database_url else "postgresql:///twin"
