"""A local OpenAI-compatible model server: llama.cpp's own, as a process that outlives the one that started it.

``python -m twin_assets.writing.model_server --model PATH --port N --alias NAME`` is the process itself.
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import structlog

from twin_assets.store import ports
from twin_assets.store.errors import TwinError
from twin_assets.store.ports import HOST

log = structlog.get_logger(__name__)

MODULE = "twin_assets.writing.model_server"
SLOTS = 8
CONTEXT = 2048  # tokens per slot: prompt and answer

_children: dict[int, subprocess.Popen[bytes]] = {}  # a Popen that is dropped while its process runs warns


class ModelServerError(TwinError):
    """A local model server did not come up; the message ends with its last lines."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server: the base URL of its OpenAI-compatible interface, and its process."""

    url: str
    pid: int


def start(gguf: Path, port_from: int, log_file: Path, alias: str, timeout: float = 120) -> ServerProcess:
    """Starts a server on the next free port and waits until it answers under its alias.

    Args:
        gguf: The model.
        port_from: The first port to try.
        log_file: Where the server's output is appended.
        alias: The model's name in the interface; ``healthy`` asks for it.
        timeout: Seconds until the server must be ready.

    Raises:
        ModelServerError: When the model cannot be served.
    """
    if not gguf.is_file():
        raise ModelServerError(f"There is no model {gguf}. Materialize the adapter again.")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    port, last = port_from, port_from + ports.PORTS_TRIED
    while True:
        port = ports.next_free_port(port, last)
        if port != port_from:
            log.info(f"port {port_from} is in use: the model server takes {port}", alias=alias)
        process = _spawn(gguf, port, log_file, alias)
        url = f"http://{HOST}:{port}/v1"
        try:
            ready = _becomes_healthy(process, url, alias, timeout)
        except BaseException:  # Ctrl-C: it has a session of its own and would stay
            stop(process.pid)
            raise
        if ready:
            log.info("model server started", url=url, pid=process.pid, alias=alias)
            return ServerProcess(url, process.pid)
        lost_race = process.poll() is not None and not ports.is_free(port)
        stop(process.pid)
        if not lost_race:
            tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-8:])
            raise ModelServerError(f"The model server for {gguf} did not come up within {timeout:.0f} s. Last lines of {log_file}:\n{tail}")
        port += 1


def healthy(url: str, alias: str, timeout: float = 3) -> bool:
    """Whether the server at this base URL is ready and serves the model of this name."""
    try:
        if not httpx.get(f"{url.removesuffix('/').removesuffix('/v1')}/health", timeout=timeout).is_success:
            return False
        listed = httpx.get(f"{url.removesuffix('/')}/models", timeout=timeout)
        return listed.is_success and alias in {model["id"] for model in listed.json()["data"]}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return False


def alive(pid: int, alias: str | None = None) -> bool:
    """Whether the process is there and is a server, of this model if one is named; says nothing about its health."""
    try:
        return _is_server(psutil.Process(pid).cmdline(), alias)
    except psutil.NoSuchProcess:
        return False


def servers_below(folder: Path) -> list[int]:
    """Process ids of the servers, whoever started them, whose model lies below a folder."""
    home = folder.resolve()
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if _is_server(command) and "--model" in command[:-1]:
            model = Path(command[command.index("--model") + 1])
            if model.parent.resolve().is_relative_to(home):
                found.append(process.pid)
    return found


def stop(pid: int, alias: str | None = None, timeout: float = 10) -> bool:
    """Stops a server; harmless when it is gone already, or when its process id belongs to something else by now.

    Args:
        pid: Its process id.
        alias: Stops the server only if it serves this model: after a reboot, the id may belong to another twin's server.
        timeout: Seconds until it is killed.

    Returns:
        Whether a server was stopped.
    """
    try:
        process = psutil.Process(pid)
        if not _is_server(process.cmdline(), alias):
            return False
        process.terminate()
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout)
        return True
    except psutil.NoSuchProcess:
        return False
    finally:
        if pid in _children and _children[pid].poll() is not None:
            del _children[pid]


def _is_server(command: list[str], alias: str | None = None) -> bool:
    # The command of a finished child that was not waited for is empty.
    return MODULE in command and alias in (None, command[-1])


def _spawn(gguf: Path, port: int, log_file: Path, alias: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", MODULE, "--model", str(gguf.absolute()), "--port", str(port), "--alias", alias]
    with log_file.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    _children[process.pid] = process
    return process


def _becomes_healthy(process: subprocess.Popen[bytes], url: str, alias: str, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and process.poll() is None:
        # A stranger that took the port meanwhile may answer as well: the process must be alive after the answer.
        if healthy(url, alias) and process.poll() is None:
            return True
        time.sleep(0.1)
    return False


def _serve(model: Path, port: int, alias: str) -> None:
    # Threads that spin while they wait are 30 times slower as soon as anything else wants the cores; libgomp reads this when loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    llama: Any = importlib.import_module("xllamacpp")
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's & leaves SIGINT ignored
        signal.signal(number, lambda *_: asked_to_stop.set())
    params = llama.CommonParams()
    params.model.path = str(model)
    params.model_alias = {alias}
    params.hostnames = [HOST]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _cores()
    params.cache_ram_mib = 0  # otherwise up to 8 GiB of old prompts are kept
    params.cors_origins = f"http://{HOST}"  # by default every web page may use the model
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = True
    server = llama.Server(params)
    asked_to_stop.wait()
    del server


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Serves one model until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog=MODULE)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alias", required=True)
    arguments = parser.parse_args()
    _serve(arguments.model, arguments.port, arguments.alias)


if __name__ == "__main__":
    main()
