"""The artifact store: content-addressed, complete or absent, local or remote."""

from pathlib import Path

import pytest

from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.errors import TwinError


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}")


def test_the_same_bytes_have_the_same_place(store: ArtifactStore) -> None:
    first = store.put_bytes("jane", "voice_profile", "profile.json", b"{}")
    assert store.put_bytes("jane", "voice_profile", "profile.json", b"{}") == first
    assert store.put_bytes("jane", "voice_profile", "profile.json", b"[]") != first
    assert store.read_bytes(first) == b"{}"


def test_a_folder_is_kept_with_its_subfolders(store: ArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    (folder / "plots").mkdir(parents=True)
    (folder / "report.md").write_text("good")
    (folder / "plots" / "loss.png").write_bytes(b"png")
    uri = store.put_directory("jane", "eval_report", "v1", folder)
    local = store.local(uri)
    assert (local / "report.md").read_text() == "good"
    assert (local / "plots" / "loss.png").read_bytes() == b"png"


def test_a_complete_folder_is_not_written_again(store: ArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "report.md").write_text("first")
    uri = store.put_directory("jane", "eval_report", "v1", folder)
    (folder / "report.md").write_text("second")
    store.put_directory("jane", "eval_report", "v1", folder)
    assert store.read_bytes(f"{uri}/report.md") == b"first"


def test_a_killed_copy_is_completed(store: ArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "report.md").write_text("whole")
    partial = store.root / "jane" / "eval_report" / "v1"
    partial.mkdir(parents=True)
    (partial / "report.md").write_text("who")
    uri = store.put_directory("jane", "eval_report", "v1", folder)
    assert store.read_bytes(f"{uri}/report.md") == b"whole"


def test_what_is_gone_is_named(store: ArtifactStore) -> None:
    with pytest.raises(TwinError, match="is gone"):
        store.local(f"{store.root}/nothing")
    with pytest.raises(TwinError, match="is gone"):
        store.read_bytes(f"{store.root}/nothing")
