import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_assets import encoders
from twin_assets.encoders import PROBES, OpenVinoEncoder, TorchEncoder, batches, export, load, padded
from twin_assets.models import embedder
from twin_assets.prepared import MANIFEST
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

TEXTS = [f"Jar {number} holds " + "salted cucumbers and dill, " * (number % 7) + "nothing more." for number in range(30)]


@pytest.fixture(scope="module")
def source(settings: Settings) -> Path:
    return embedder(settings.embedder, settings).folder


@pytest.fixture(scope="module")
def torch_encoder(source: Path) -> TorchEncoder:
    return TorchEncoder(source)


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> OpenVinoEncoder:
    encoder = load(source, tmp_path_factory.mktemp("models") / "minilm", "openvino")
    assert isinstance(encoder, OpenVinoEncoder)
    return encoder


@given(st.lists(st.integers(1, 300)), st.integers(1, 2000))
def test_batches_hold_everything_once_within_the_budget(sizes: list[int], budget: int) -> None:
    groups = list(batches(sizes, budget))
    assert sorted(position for group in groups for position in group) == list(range(len(sizes)))
    assert all(len(group) == 1 or max(sizes[position] for position in group) * len(group) <= budget for group in groups)
    lengths = [sizes[position] for group in groups for position in group]
    assert lengths == sorted(lengths, reverse=True)


def test_padding_is_masked() -> None:
    tokens, mask = padded([[7, 8, 9], [5]], 4)
    assert tokens.tolist() == [[7, 8, 9, 0], [5, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]


def test_the_export_gives_the_same_vectors_in_the_same_order(exported: OpenVinoEncoder, torch_encoder: TorchEncoder) -> None:
    texts = [*TEXTS, *PROBES]
    expected, found = torch_encoder.encode(texts), exported.encode(texts)
    assert found.shape == expected.shape == (len(texts), exported.dimension) and found.dtype == expected.dtype == np.float32
    assert (expected * found).sum(axis=1).min() > 0.9995
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 0.001
    likeness = expected @ expected[0]
    assert (likeness[1:] < 0.9995).any(), "texts too much alike for their order to be seen"


def test_a_text_has_one_vector_whatever_stands_beside_it(exported: OpenVinoEncoder) -> None:
    texts = [*TEXTS, *PROBES]
    alone = np.concatenate([exported.encode([text]) for text in texts])
    assert np.array_equal(alone, exported.encode(texts))
    assert np.array_equal(alone[::-2], exported.encode(texts[::-2]))


def test_tokens_are_counted_alike_beyond_what_the_model_reads(exported: OpenVinoEncoder, torch_encoder: TorchEncoder) -> None:
    assert exported.max_tokens == torch_encoder.max_tokens == 256
    for text in PROBES:
        assert exported.count_tokens(text) == torch_encoder.count_tokens(text)
    assert exported.count_tokens(PROBES[-1]) > 4000


@pytest.mark.parametrize("fixture", ["exported", "torch_encoder"])
def test_nothing_gives_no_vectors(fixture: str, request: pytest.FixtureRequest) -> None:
    encoder = request.getfixturevalue(fixture)
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_a_model_that_comes_out_differently_is_refused_once_and_runs_by_torch(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Turned(OpenVinoEncoder):
        def encode(self, texts):
            return np.roll(super().encode(texts), 1, axis=1)

    monkeypatch.setattr(encoders, "OpenVinoEncoder", Turned)
    monkeypatch.setattr(encoders, "_has_gpu", lambda: False)
    encoders._load.cache_clear()
    with pytest.raises(TwinError, match=r"other vectors.*TWIN_EMBEDDER_BACKEND=torch"):
        load(source, tmp_path / "minilm", "openvino")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert "other vectors" in json.loads((folder / MANIFEST).read_text())["refusal"]
    monkeypatch.setattr(encoders, "export", lambda source, folder: pytest.fail("exported again"))
    assert isinstance(load(source, tmp_path / "minilm", "auto"), TorchEncoder)
    encoders._load.cache_clear()


def test_a_model_that_cannot_be_traced_is_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: TorchEncoder, folder: Path) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(TorchEncoder, "export", fail)
    assert export(source, tmp_path) == {"refusal": "RuntimeError: no such operator"}


def test_without_openvino_torch_runs_it_unless_openvino_is_asked_for(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda name: None if name == "openvino" else find_spec(name))
    encoders._load.cache_clear()
    assert isinstance(load(source, tmp_path / "minilm", "auto"), TorchEncoder)
    with pytest.raises(TwinError, match="not installed"):
        load(source, tmp_path / "minilm", "openvino")
    encoders._load.cache_clear()


def test_threads_do_not_disturb_each_other(exported: OpenVinoEncoder) -> None:
    expected = [exported.encode(TEXTS[number:]) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(exported.encode, [TEXTS[number:] for number in range(8)]))
    assert all((one * other).sum(axis=1).min() > 0.9999 for one, other in zip(expected, found, strict=True))


def test_an_exported_model_runs_without_torch_reports_to_nobody_and_lets_the_process_end(exported: OpenVinoEncoder) -> None:
    code = f"""
import sys
from pathlib import Path
from twin_assets.encoders import OpenVinoEncoder
sys.modules["kept to the end"] = encoder = OpenVinoEncoder(Path({str(exported._folder)!r}), 384, 256)
encoder.encode(["Fog over the pier. " * 60] * 40)
print([name for name in ("torch", "sentence_transformers", "transformers") if name in sys.modules], sys.modules["openvino_telemetry"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("\n")[0] == "[] None"
