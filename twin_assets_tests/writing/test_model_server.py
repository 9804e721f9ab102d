import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from twin_assets.store import ports
from twin_assets.store.errors import TwinError
from twin_assets.writing import model_server as servers
from twin_assets.writing.model_server import ModelServerError, ServerProcess, healthy, start, stop


def test_a_server_is_healthy_only_under_its_own_alias(model_server: ServerProcess) -> None:
    assert healthy(model_server.url, "v1")
    assert not healthy(model_server.url, "v2")
    assert not healthy("http://127.0.0.1:1/v1", "v1")
    assert not healthy("no address", "v1")


def test_it_stands_in_a_session_of_its_own_and_keeps_web_pages_out(model_server: ServerProcess) -> None:
    assert os.getsid(model_server.pid) == model_server.pid
    answer = httpx.get(f"{model_server.url}/models", headers={"Origin": "https://elsewhere.example"})
    assert answer.headers.get("access-control-allow-origin") not in ("*", "https://elsewhere.example")


def test_a_second_server_takes_the_next_free_port_and_stops_once(model_server: ServerProcess, gguf: Path, tmp_path: Path) -> None:
    first = int(model_server.url.split(":")[2].removesuffix("/v1"))
    second = start(gguf, first, tmp_path / "logs" / "model.log", "other")
    try:
        assert second.url != model_server.url
        assert int(second.url.split(":")[2].removesuffix("/v1")) > first
        assert healthy(second.url, "other")
        assert healthy(model_server.url, "v1")
    finally:
        assert stop(second.pid, alias="other")
    assert not stop(second.pid)
    assert not psutil.pid_exists(second.pid)
    assert not healthy(second.url, "other")
    assert healthy(model_server.url, "v1")


def test_stop_leaves_other_processes_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        assert not stop(stranger.pid)
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_stop_leaves_the_server_of_another_model_alone(model_server: ServerProcess) -> None:
    assert not stop(model_server.pid, alias="another")
    assert healthy(model_server.url, "v1")


def test_interrupt_stops_it_even_when_a_shell_had_it_ignored(gguf: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = start(gguf, 18400, tmp_path / "log", "v1")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        os.kill(server.pid, signal.SIGINT)
        psutil.Process(server.pid).wait(10)
        assert not healthy(server.url, "v1")
    finally:
        stop(server.pid)


def test_a_file_that_is_no_model_is_an_error_with_the_log(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelServerError, match=r"(?s)broken\.gguf did not come up.*Failed to init server"):
        start(broken, 18450, tmp_path / "log", "v1")
    with pytest.raises(ModelServerError, match="There is no model"):
        start(tmp_path / "absent.gguf", 18450, tmp_path / "log", "v1")


def test_interrupted_while_it_waits_it_leaves_no_server(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def interrupted(url: str, alias: str) -> bool:
        asked.extend(process.pid for process in psutil.Process().children() if servers.alive(process.pid, alias))
        raise KeyboardInterrupt

    monkeypatch.setattr(servers, "healthy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(gguf, 18470, tmp_path / "log", "interrupted")
    assert len(asked) == 1
    assert not psutil.pid_exists(asked[0])


def test_servers_are_found_by_the_folder_of_their_model(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "models").mkdir(parents=True)
    model = tmp_path / "home" / "models" / "twin.gguf"
    model.symlink_to(gguf)
    server = start(model, 18480, tmp_path / "log", "v1")
    try:
        assert servers.alive(server.pid) and servers.alive(server.pid, "v1") and not servers.alive(server.pid, "v2")
        assert servers.servers_below(tmp_path / "home") == [server.pid]
        assert servers.servers_below(tmp_path / "hom") == []
    finally:
        stop(server.pid)
    assert servers.servers_below(tmp_path / "home") == []
    assert not servers.alive(server.pid)


def test_ports_in_use_are_skipped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert ports.next_free_port(port, port + 50) > port
        with pytest.raises(TwinError, match="No free port"):
            ports.next_free_port(port, port + 1)


def test_a_port_lost_to_another_program_at_the_last_moment_is_given_up(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free, asked = ports.is_free, []

        def free_at_first(candidate: int) -> bool:
            asked.append(candidate)
            return len(asked) == 1 or free(candidate)

        monkeypatch.setattr(ports, "is_free", free_at_first)
        server = start(gguf, port, tmp_path / "log", "v1")
    try:
        assert int(server.url.split(":")[2].removesuffix("/v1")) > port
    finally:
        stop(server.pid)
