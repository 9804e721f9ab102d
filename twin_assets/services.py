"""The services of ``twin up``: started together, watched, and stopped together."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil
from sqlalchemy.exc import SQLAlchemyError

from twin_assets.runs import end_dead_runs, prepare_dagster_home
from twin_assets.serving.deploy import revive, stop
from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.database import open_database
from twin_assets.store.errors import TwinError
from twin_assets.store.ports import next_free_port
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.registry import Deployment, Registry
from twin_assets.writing import model_server

STOP_SECONDS = 15
START_SECONDS = 90
POLL_SECONDS = 2
HEALTH_SECONDS = 10  # between two looks at the model servers
RETRY_SECONDS = 60  # before what failed is tried again


@dataclass(frozen=True, slots=True)
class Service:
    """A process of ``twin up``."""

    name: str
    pid: int
    url: str
    log: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A process to start: its command, its address, and the path that answers once it is ready."""

    name: str
    command: list[str]
    port: int | None
    ready: str | None
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """Where a person or a client finds it."""
        return f"http://127.0.0.1:{self.port}" if self.port else ""


class Supervisor:
    """Starts the services, restarts one that dies, and stops everything in the end.

    Args:
        settings: Ports, data home, database.
        say: Called with one line for the person at the terminal.
        on_ready: Called once, with the services, when all of them answer.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None], on_ready: Callable[[list[Service]], None]) -> None:
        self.settings = settings
        self.say = say
        self.on_ready = on_ready
        self.stopping = threading.Event()
        self._running: dict[str, tuple[Plan, subprocess.Popen[bytes]]] = {}
        self._next_look = 0.0
        self._silent: set[str] = set()
        self._retry_at: dict[str, float] = {}

    def run(self) -> None:
        """Serves until Ctrl-C, SIGTERM or ``twin down``; blocks.

        Raises:
            TwinError: When it runs already, or a service does not come up.
        """
        if (other := supervisor_pid(self.settings)) is not None:
            raise TwinError(f"Everything is up already (process {other}). See `twin status`; `twin down` stops it.")
        for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell's & left SIGINT ignored
            signal.signal(number, lambda *_: self.stopping.set())
        try:
            _reap_left_behind(self.settings)
            self._write_state()  # from here on `twin down` and another `twin up` see this one
            self._start()
            while not self.stopping.wait(POLL_SECONDS):
                self._watch()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
            self._stop()

    def _start(self) -> None:
        self.say("Postgres ...")
        database = open_database(self.settings)
        registry = Registry(database)
        prepare_dagster_home(self.settings)
        for run in end_dead_runs(self.settings, everything=True):
            self.say(f"run {run} did not end with the process that ran it: marked as failed")
        for deployment in registry.deployments():
            if self.stopping.is_set():
                return
            self.say(f"model server of {deployment.author} ...")
            self._keep(f"the model server of {deployment.author}", lambda served=deployment: revive(served, registry, self.settings))
        for plan in plan_services(self.settings, self.say):
            if self.stopping.is_set():
                return
            self.say(f"{plan.name} ...")
            self._running[plan.name] = (plan, self._spawn(plan))
        self._write_state()
        for plan, process in list(self._running.values()):
            self._wait_until_ready(plan, process)
        if not self.stopping.is_set():
            self.on_ready(self._services())

    def _spawn(self, plan: Plan) -> subprocess.Popen[bytes]:
        log = self._log(plan.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return subprocess.Popen(
                plan.command,
                cwd=PROJECT_ROOT,
                env={**os.environ, **plan.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops the others in order
                preexec_fn=_default_sigint,
            )

    def _wait_until_ready(self, plan: Plan, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while plan.ready and not self.stopping.is_set():
            if process.poll() is not None:
                raise TwinError(f"{plan.name} ended while starting. Last lines of {self._log(plan.name)}:\n{_tail(self._log(plan.name))}")
            if _answers(plan.url + plan.ready):
                return
            if time.monotonic() > deadline:
                raise TwinError(f"{plan.name} did not answer within {START_SECONDS} s. See {self._log(plan.name)}.")
            time.sleep(0.3)

    def _watch(self) -> None:
        database_up = self.settings.database_url is not None or self._keep("Postgres", EmbeddedPostgres(self.settings.postgres_home).ensure)
        if database_up and time.monotonic() >= self._next_look:
            self._keep("the list of model servers", self._watch_model_servers)
            self._next_look = time.monotonic() + HEALTH_SECONDS
        for name, (plan, process) in list(self._running.items()):
            if process.poll() is not None:
                self.say(f"{name} ended with {process.returncode}; starting it again. Its log: {self._log(name)}")
                self._running[name] = (plan, self._spawn(plan))
                self._write_state()

    def _watch_model_servers(self) -> None:
        registry = Registry(open_database(self.settings))
        for deployment in registry.deployments():
            if self._needs_revival(deployment) and not self.stopping.is_set():
                what = f"the model server of {deployment.author}"
                self._keep(what, lambda served=deployment: revive(served, registry, self.settings))

    def _needs_revival(self, deployment: Deployment) -> bool:
        """A server without a process at once; one that does not answer at the second look, for it may have been busy at the first."""
        if deployment.pid is None or not model_server.alive(deployment.pid, deployment.model_version):
            return True
        if model_server.healthy(deployment.url, deployment.model_version):
            self._silent.discard(deployment.model_version)
            return False
        suspected = deployment.model_version in self._silent
        self._silent.add(deployment.model_version)
        return suspected

    def _keep(self, what: str, start: Callable[[], object]) -> bool:
        """Starts something unless it runs. A failure is said once, and followed by a new try after a while.

        Returns:
            Whether it runs.
        """
        if time.monotonic() < self._retry_at.get(what, 0):
            return False
        try:
            start()
        except (TwinError, SQLAlchemyError, OSError) as error:
            if what not in self._retry_at:
                self.say(f"{what} failed; it is tried again every {RETRY_SECONDS} s. {error}")
            self._retry_at[what] = time.monotonic() + RETRY_SECONDS
            return False
        if self._retry_at.pop(what, None) is not None:
            self.say(f"{what} runs again")
        return True

    def _stop(self) -> None:
        self.say("stopping ...")
        for _, process in self._running.values():
            if process.poll() is None:
                process.terminate()
        for name, (_, process) in self._running.items():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.say(f"{name} did not stop within {STOP_SECONDS} s: killed")
                process.kill()
        _reap_groups([process.pid for _, process in self._running.values()])
        stop_background(self.settings)
        _state_file(self.settings).unlink(missing_ok=True)
        self.say("stopped")

    def _write_state(self) -> None:
        state = {"pid": os.getpid(), "services": [asdict(service) for service in self._services()]}
        file = _state_file(self.settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        staging = file.with_suffix(".part")
        staging.write_text(json.dumps(state, indent=1))
        staging.replace(file)

    def _services(self) -> list[Service]:
        return [Service(name, process.pid, plan.url, str(self._log(name))) for name, (plan, process) in self._running.items()]

    def _log(self, name: str) -> Path:
        return self.settings.logs / f"{name.replace(' ', '-')}.log"


def plan_services(settings: Settings, say: Callable[[str], None]) -> list[Plan]:
    """The processes of ``twin up`` beside Postgres and the model servers, each on its port or the next free one, which is said."""
    wanted = {"API": settings.api_port, "assistant": settings.assistant_port, "Dagster UI": settings.dagster_port}
    api, assistant, dagster = _ports(wanted, say)
    api_url = settings.api_url or f"http://127.0.0.1:{api}"
    programs = Path(sys.executable).parent
    path = {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}", "DAGSTER_HOME": str(settings.dagster_home)}
    python = [sys.executable, "-m"]
    webserver = [str(programs / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(dagster), "-w", "workspace.yaml"]
    return [
        Plan("api", [*python, "app.api"], api, "/openapi.json", {**path, "TWIN_API_PORT": str(api)}),
        Plan(
            "assistant",
            [*python, "app.assistant"],
            assistant,
            "/_stcore/health",
            {**path, "TWIN_ASSISTANT_PORT": str(assistant), "TWIN_API_URL": api_url},
        ),
        Plan("dagster", webserver, dagster, "/server_info", path),
        Plan("dagster-daemon", [str(programs / "dagster-daemon"), "run", "-w", "workspace.yaml"], None, None, path),
    ]


def supervisor_pid(settings: Settings) -> int | None:
    """Process id of a running ``twin up``."""
    file = _state_file(settings)
    if not file.exists():
        return None
    pid = int(json.loads(file.read_text())["pid"])
    try:
        process = psutil.Process(pid)
        ours = any(Path(word).name == "twin" or word == "twin_assets.cli" for word in process.cmdline())
        return pid if ours and process.status() != psutil.STATUS_ZOMBIE and pid != os.getpid() else None
    except psutil.NoSuchProcess:
        return None


def running_services(settings: Settings) -> list[Service]:
    """The services of a running ``twin up``; empty when none runs."""
    if supervisor_pid(settings) is None:
        return []
    return [Service(**row) for row in json.loads(_state_file(settings).read_text())["services"]]


def take_down(settings: Settings) -> list[str]:
    """Stops everything that runs for this data home.

    Returns:
        What was stopped.
    """
    stopped = []
    if (pid := supervisor_pid(settings)) is not None:
        supervisor = psutil.Process(pid)
        supervisor.terminate()
        try:
            supervisor.wait(STOP_SECONDS * 2)
        except psutil.TimeoutExpired:
            supervisor.kill()
            supervisor.wait(STOP_SECONDS)
        stopped.append("services of twin up")
    if _reap_left_behind(settings):
        stopped.append("services left behind by a killed twin up")
    return stopped + stop_background(settings)


def stop_background(settings: Settings) -> list[str]:
    """Stops what outlives a run: the embedded Postgres and the model servers, also those that a killed run never recorded."""
    stopped = []
    postgres = EmbeddedPostgres(settings.postgres_home)
    if settings.database_url is not None or postgres.alive():
        for deployment in Registry(open_database(settings)).deployments():
            if stop(deployment):
                stopped.append(f"model server of {deployment.author}")
    for pid in model_server.servers_below(settings.home):
        if model_server.stop(pid):
            stopped.append(f"model server that nobody recorded ({pid})")
    if settings.database_url is None and postgres.stop():
        stopped.append("Postgres")
    return stopped


def _ports(wanted: Mapping[str, int], say: Callable[[str], None]) -> list[int]:
    found: list[int] = []
    for name, port in wanted.items():
        candidate = next_free_port(port)
        while candidate in found:
            candidate = next_free_port(candidate + 1)
        if candidate != port:
            say(f"port {port} is in use: the {name} takes {candidate}")
        found.append(candidate)
    return found


def _reap_left_behind(settings: Settings) -> bool:
    """Ends the services of a killed supervisor, which leaves its children, and forgets them."""
    file = _state_file(settings)
    if not file.exists():
        return False
    # After a reboot the ids belong to others.
    ours = file.stat().st_mtime > psutil.boot_time()
    found = ours and _reap_groups([row["pid"] for row in json.loads(file.read_text())["services"]])
    file.unlink()
    return found


def _reap_groups(pids: Sequence[int]) -> bool:
    """Ends what is left of the process groups (each service leads its own), such as Dagster's code servers."""
    found = []
    for process in psutil.process_iter(["pid"]):
        try:
            if os.getpgid(process.pid) in pids and process.status() != psutil.STATUS_ZOMBIE:
                process.terminate()
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    for process in psutil.wait_procs(found, STOP_SECONDS)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return bool(found)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def _state_file(settings: Settings) -> Path:
    return settings.home / "run" / "up.json"


def _default_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
