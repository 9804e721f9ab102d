"""What runs and what is known of it: ``twin status``, ``twin db``."""

from collections.abc import Callable
from pathlib import Path

import psycopg

from twin_assets.store.registry import Deployment, Registry
from twin_assets_tests.cli.typed import DAGSTERS_OWN, Result

pytestmark = DAGSTERS_OWN


def test_status_names_what_is_stale(twin: Callable[..., Result], posts: Path) -> None:
    assert "not up" in twin("status").out
    twin("add", "jane", "--source", str(posts))
    result = twin("status")
    assert result.code == 0
    row = next(line for line in result.out.splitlines() if line.split()[:1] == ["jane"])
    assert "nothing" in row and "not measured" in row and "raw_posts" in row


def test_status_shows_the_stage_of_the_newest_model(twin: Callable[..., Result], ada: Registry) -> None:
    assert "m1 (candidate)" in twin("status").out
    assert "0.10 -> 0.90" in twin("status").out
    ada.decide("m1", "rejected", "jo", "Too stiff.")
    assert "m1 (rejected)" in twin("status").out
    ada.decide("m1", "accepted", "jo", "Fine.")
    ada.record_deployment(Deployment("ada", "m1", "llama.cpp", "http://127.0.0.1:9/v1", "/model.gguf"))
    result = twin("status").out
    assert "m1 (deployed)" in result and "m1 (stopped; `twin up` starts it)" in result


def test_db_url_is_one_line_that_connects(twin: Callable[..., Result]) -> None:
    result = twin("db", "url")
    assert result.code == 0
    url = result.out.strip()
    assert "\n" not in url
    with psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
