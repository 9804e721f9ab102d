"""Switching an author over to a new model: start it beside the old one, prove it, switch, then stop the old one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import text

from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.training.gguf import merged_gguf
from twin_assets.writing import model_server
from twin_assets.writing.generate import Generator
from twin_assets.writing.prompts import Brief, messages

log = structlog.get_logger(__name__)

ENGINE = "llama.cpp"
SMOKE_BRIEF = Brief(prompt="the week behind me", platform=None, words=20, phrases=())


@dataclass(frozen=True, slots=True)
class SwitchOver:
    """What a deployment did.

    Attributes:
        deployment: What serves now.
        changed: False when the same version served already and was healthy.
        smoke_text: What the new endpoint wrote when it was tried.
    """

    deployment: Deployment
    changed: bool
    smoke_text: str


def deploy(model: Model, registry: Registry, artifacts: ArtifactStore, settings: Settings) -> SwitchOver:
    """Serves a model of the registry on this machine, through llama.cpp's OpenAI-compatible server.

    The server outlives this process. The old version goes on serving until the new one has passed its health check and
    has written a text through ``InferenceClient.chat_completion``; if it does not, nothing changes. Of two deployments of one
    author at the same time, also in other processes, the second waits for the first.

    Raises:
        TwinError: When the new version does not come up or writes nothing; the old one still serves.
    """
    with _locked(model.author, registry.database):
        old = registry.deployment(model.author)
        if old is not None and old.model_version == model.version and model_server.healthy(old.url, model.version):
            return SwitchOver(old, changed=False, smoke_text=_smoke_test(old, settings))
        gguf = merged_gguf(model.version, artifacts.local(model.adapter_uri), model.base_model, settings)
        with _recorded_or_stopped(model.author, model.version, gguf, registry, settings) as new:
            try:
                written = _smoke_test(new, settings)
            except TwinError as error:
                still = f"; {old.model_version} still serves" if old else ""
                raise TwinError(f"Model {model.version} failed its smoke test{still}: {error}") from error
        if old is not None:
            stop(old)
    log.info("switched over", author=model.author, old=old.model_version if old else None, new=model.version, url=new.url)
    return SwitchOver(new, changed=True, smoke_text=written)


def revive(deployment: Deployment, registry: Registry, settings: Settings) -> Deployment:
    """Starts the server of a recorded deployment again when it is not there any more, after a crash, a reboot or ``twin down``.

    Returns:
        What serves the author now: something else when the author was switched over meanwhile. Nothing is started while
        another process is doing that.

    Raises:
        TwinError: When the model's file is gone or the server does not come up.
    """
    if model_server.healthy(deployment.url, deployment.model_version):
        return deployment
    with _locked(deployment.author, registry.database, wait=False) as mine:
        now = registry.deployment(deployment.author)
        if not mine or now is None or (now.model_version, now.pid) != (deployment.model_version, deployment.pid):
            return now or deployment
        stop(deployment)
        gguf = Path(deployment.model_uri)
        with _recorded_or_stopped(deployment.author, deployment.model_version, gguf, registry, settings) as started:
            return started


def stop(deployment: Deployment) -> bool:
    """Stops the local server of a deployment.

    Returns:
        Whether one was running.
    """
    return deployment.pid is not None and model_server.stop(deployment.pid, alias=deployment.model_version)


@contextmanager
def _locked(author: str, database: Database, wait: bool = True) -> Iterator[bool]:
    """Keeps all others from switching this author over; yields whether it does, which without waiting it may not."""
    lock = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    with database.engine.connect() as connection:
        connection.detach()  # the lock ends with the session, also that of a killed process
        query = text(f"select {lock}(hashtext(:key))")
        held = connection.execute(query, {"key": f"deploy:{author}"}).scalar()
        connection.commit()
        yield held is not False


@contextmanager
def _recorded_or_stopped(author: str, version: str, gguf: Path, registry: Registry, settings: Settings) -> Iterator[Deployment]:
    """A new server that is recorded as what serves the author if nothing goes wrong, Ctrl-C included, and stopped otherwise."""
    process = model_server.start(gguf, settings.model_port, settings.logs / f"model-{author}.log", alias=version)
    new = Deployment(author, version, ENGINE, process.url, str(gguf), process.pid)
    try:
        yield new
        registry.record_deployment(new)
    except BaseException:
        stop(new)
        raise


def _smoke_test(deployment: Deployment, settings: Settings) -> str:
    generator = Generator(deployment.url, settings, deployment.engine, deployment.model_version)
    written = generator.complete(messages(SMOKE_BRIEF), max_tokens=24, seed=1).text.strip()
    if not written:
        raise TwinError(f"The endpoint {deployment.url} answered with an empty text.")
    return written
