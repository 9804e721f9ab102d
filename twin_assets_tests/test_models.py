import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from twin_assets.models import embedder
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError


def test_the_name_tells_models_apart_by_their_content(settings: Settings, tmp_path: Path) -> None:
    original = embedder(settings.embedder, settings)
    assert original.name.startswith(f"{settings.embedder}@") and original.spec == settings.embedder
    names = {original.name.partition("@")[2]}
    for change in ("nothing", "config.json", "1_Pooling/config.json", "tokenizer.json"):
        copy = tmp_path / change.replace("/", "-")
        shutil.copytree(original.folder, copy)
        if change != "nothing":
            (copy / change).write_text((copy / change).read_text() + "\n")
        names.add(embedder(str(copy), settings).name.rpartition("@")[2])
    assert len(names) == 4


def test_the_name_does_not_depend_on_what_runs_the_model(settings: Settings) -> None:
    by_torch = settings.model_copy(update={"embedder_backend": "torch"})
    assert embedder(settings.embedder, settings).name == embedder(settings.embedder, by_torch).name


def test_nothing_is_loaded_before_it_is_used(settings: Settings, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"home": tmp_path})
    assert embedder(settings.embedder, elsewhere).name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("package:no-such-package-anywhere", "not installed"),
        ("package:structlog", "carries no sentence-transformers model"),
        ("/no/such/folder", "There is no model folder"),
    ],
)
def test_what_is_no_model_is_told_plainly(settings: Settings, spec: str, message: str) -> None:
    assert version("structlog")
    with pytest.raises(TwinError, match=message):
        embedder(spec, settings)
