"""Switching over on real servers: what goes wrong in the middle leaves none behind."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from twin_assets.serving import deploy as deploying
from twin_assets.serving.deploy import SwitchOver, deploy, revive
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.registry import Deployment, Registry
from twin_assets.writing import model_server


@pytest.fixture(autouse=True)
def no_server_stays(home: Settings) -> Iterator[None]:
    yield
    for pid in model_server.servers_below(home.home):
        model_server.stop(pid)


def _deploy(version: str, registry: Registry, home: Settings) -> SwitchOver:
    model = registry.model(version)
    assert model is not None
    return deploy(model, registry, ArtifactStore(home.artifacts_url), home)


def _served(registry: Registry) -> Deployment:
    deployment = registry.deployment("ada")
    assert deployment is not None
    return deployment


@pytest.mark.parametrize("moment", ["_smoke_test", "record"])
def test_ctrl_c_before_the_new_server_is_recorded_stops_it(
    moment: str, registry: Registry, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[list[int]] = []

    def interrupt(*_: object) -> str:
        running.append(model_server.servers_below(home.home))
        raise KeyboardInterrupt

    if moment == "record":
        monkeypatch.setattr(registry, "record_deployment", interrupt)
    else:
        monkeypatch.setattr(deploying, "_smoke_test", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _deploy("m1", registry, home)
    assert [len(pids) for pids in running] == [1]
    assert model_server.servers_below(home.home) == []
    assert registry.deployment("ada") is None


def test_deployments_of_one_author_at_the_same_time_leave_one_server(registry: Registry, home: Settings) -> None:
    with ThreadPoolExecutor(3) as pool:
        switched = list(pool.map(lambda version: _deploy(version, registry, home), ["m1", "m2", "m1"]))
    assert any(one.changed for one in switched)
    assert model_server.servers_below(home.home) == [_served(registry).pid]


def test_a_deployment_that_was_switched_over_meanwhile_is_not_revived(registry: Registry, home: Settings) -> None:
    old = _deploy("m1", registry, home).deployment
    new = _deploy("m2", registry, home).deployment
    assert revive(old, registry, home).pid == new.pid
    assert model_server.servers_below(home.home) == [new.pid]


def test_nothing_is_revived_while_the_author_is_switched_over(registry: Registry, home: Settings) -> None:
    deployment = _deploy("m1", registry, home).deployment
    assert deployment.pid is not None
    psutil.Process(deployment.pid).kill()
    with deploying._locked("ada", registry.database) as held:
        assert held
        assert revive(_served(registry), registry, home).pid == deployment.pid
        with deploying._locked("bob", registry.database, wait=False) as others:
            assert others
    after = revive(_served(registry), registry, home)
    assert after.pid != deployment.pid
    assert model_server.servers_below(home.home) == [after.pid]
