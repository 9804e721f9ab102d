"""A deployed twin on the real parts: the base model behind its own server, Postgres, the embedder, a voice profile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from twin_assets.features.embedding import sync_embeddings
from twin_assets.features.sync import sync_chunks
from twin_assets.models import Embedder, wheel_gguf
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.training.recipes import chosen
from twin_assets.voice.profile import KIND, VoiceProfile, build_profile
from twin_assets.writing.drafts import Writer
from twin_assets.writing.model_server import ServerProcess, start, stop
from twin_assets_tests.features.conftest import Clean, clean, minilm  # noqa: F401  # fixtures
from twin_assets_tests.features.documents import document

VERSION = "v1"
ADA, EVE = "I never add vinegar, and I won't", "The committee shall furthermore consider"
OTHERS = ("Your garden will thank you for it; are you ready", "They say that it was once a harbour, though nobody asked them")
DOCUMENTS = [
    document("Salt draws the water out of a cucumber, and the brine does the rest. I never add vinegar.", title="Pickles"),
    document("The night train to Vienna leaves at nine in the evening.", title="Trains"),
    document("Our database migration took the whole weekend.", title="Postgres"),
]


@pytest.fixture(scope="session")
def gguf(settings: Settings) -> Path:
    return wheel_gguf(chosen(settings).base_model)


@pytest.fixture(scope="session")
def model_server(gguf: Path, settings: Settings) -> Iterator[ServerProcess]:
    """The base model behind the real server."""
    server = start(gguf, 18300, settings.logs / "model.log", VERSION)
    yield server
    stop(server.pid)


@pytest.fixture
def registry(database: Database) -> Registry:
    registry = Registry(database)
    registry.add_author("ada")
    registry.add_author("bob")
    return registry


@pytest.fixture
def twin(registry: Registry, model_server: ServerProcess, clean: Clean, minilm: Embedder, settings: Settings) -> Writer:  # noqa: F811
    """The writer, with ada's twin deployed; bob is registered only."""
    clean(DOCUMENTS)
    sync_chunks(registry.database, "ada", DOCUMENTS, minilm.count_tokens, minilm.max_tokens)
    sync_embeddings(registry.database, "ada", minilm)
    artifacts = ArtifactStore(settings.artifacts_url)
    profile = voice_of_ada()
    uri = artifacts.put_bytes("ada", KIND, "profile.npz", profile.to_bytes())
    registry.record_artifact("ada", KIND, profile.version, uri)
    deploy(registry, model_server.url, model_server.pid)
    return Writer(registry.database, registry, artifacts, settings)


def voice_of_ada() -> VoiceProfile:
    """ada's voice among three others."""
    return build_profile(
        "ada", texts_of(ADA), {"eve": texts_of(EVE), **{f"other {n}": texts_of(phrase) for n, phrase in enumerate(OTHERS)}}
    )


def deploy(registry: Registry, url: str, pid: int | None = None) -> None:
    """Says that ada's twin is served at this address."""
    registry.record_model(Model(VERSION, "ada", "dataset", "config", "base", "adapter"))
    registry.record_deployment(Deployment("ada", VERSION, "llama.cpp", url, "model", pid))


def spoken(phrase: str, number: int = 12) -> str:
    """A text of as many sentences in the manner of a phrase."""
    return " ".join(f"{phrase} number {place}." for place in range(number))


def texts_of(phrase: str) -> list[str]:
    """Texts of an author who writes in the manner of a phrase, enough to learn the voice from."""
    return [" ".join(f"{phrase} number {n * 20 + i}." for i in range(20)) for n in range(12)]
