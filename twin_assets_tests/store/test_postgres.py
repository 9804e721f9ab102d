"""The embedded server: started by many at once, killed, started again, and nothing lost."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.errors import TwinError
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.roles import Role


@pytest.fixture
def server(settings: Settings, session_database: Database) -> EmbeddedPostgres:
    return EmbeddedPostgres(settings.postgres_home)


def test_data_stay_where_they_are_whoever_closes_a_folder_above(server: EmbeddedPostgres, settings: Settings) -> None:
    mode = settings.home.stat().st_mode
    settings.home.chmod(0o700)
    try:
        assert settings.postgres_home == server.home
    finally:
        settings.home.chmod(mode)


def test_a_killed_server_comes_back_with_every_committed_row(server: EmbeddedPostgres, settings: Settings) -> None:
    open_database(settings).engine.dispose()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create table if not exists public.survivors (n integer)")
        connection.execute("truncate public.survivors")
        for number in range(100):
            connection.execute("insert into public.survivors values (%s)", (number,))
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    with ThreadPoolExecutor(8) as pool:
        urls = set(pool.map(lambda _: EmbeddedPostgres(settings.postgres_home).ensure(), range(8)))
    assert urls == {server.url}
    with open_database(settings, Role.OWNER).begin() as connection:
        assert connection.execute(text("select count(*), sum(n) from public.survivors")).one() == (100, 4950)
        connection.execute(text("drop table public.survivors"))


def test_a_foreign_process_with_the_recorded_pid_does_not_hold_the_server_back(server: EmbeddedPostgres) -> None:
    server.stop()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (server.data / "postmaster.pid").write_text(f"{stranger.pid}\n{server.data}\n")
        server.ensure()
        assert server.alive()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_half_made_cluster_is_made_again(server: EmbeddedPostgres) -> None:
    fresh = EmbeddedPostgres(server.home.parent / "half")
    fresh._prepare_folders()
    (fresh.data / "base").mkdir()
    (fresh.data / "base" / "junk").write_text("left by a killed initdb")
    try:
        fresh.ensure()
        assert fresh.alive()
        assert not (fresh.data / "base" / "junk").exists()
    finally:
        fresh.stop()


def test_stop_says_whether_something_ran(server: EmbeddedPostgres) -> None:
    assert server.stop() is True
    assert server.stop() is False
    server.ensure()


def test_a_server_that_cannot_start_shows_its_log(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EmbeddedPostgres(server.home.parent / "broken")
    monkeypatch.setattr("twin_assets.store.postgres.SERVER_SETTINGS", {"shared_buffers": "nonsense"})
    with pytest.raises(TwinError, match=r"pg_ctl failed[\s\S]*nonsense"):
        broken.ensure()


def test_a_closed_folder_is_named(server: EmbeddedPostgres, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root's server runs as another account")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(TwinError, match="closed"):
        EmbeddedPostgres(closed / "postgres").ensure()


def test_what_is_no_url_is_said() -> None:
    with pytest.raises(TwinError, match="TWIN_DATABASE_URL is not a database URL"):
        open_database(Settings(database_url="foo"))  # type: ignore[arg-type]


def test_an_unreachable_database_is_an_error_without_its_password() -> None:
    unreachable = Settings(database_url="postgresql://someone:secret@127.0.0.1:1/nothing")  # type: ignore[arg-type]
    with pytest.raises(TwinError) as caught:
        open_database(unreachable)
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)
