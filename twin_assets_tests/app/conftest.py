"""The REST interface on the real parts, in this process and on a port."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi.testclient import TestClient

from app.api.main import create_app
from twin_assets.settings import Settings
from twin_assets.writing.drafts import Writer
from twin_assets_tests.writing.conftest import clean, gguf, minilm, model_server, registry, twin  # noqa: F401  # fixtures


@pytest.fixture
def api(twin: Writer, settings: Settings) -> Iterator[TestClient]:  # noqa: F811
    """A client of the API; ada is deployed, bob is not."""
    with TestClient(create_app(settings), "http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def live_api(twin: Writer, settings: Settings) -> Iterator[str]:  # noqa: F811
    """The API's address on a real port."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.started
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
