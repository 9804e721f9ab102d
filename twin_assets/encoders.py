"""Runs an embedding model: by torch, or exported once for OpenVINO, which is several times as fast on a CPU.

OpenVINO computes in bfloat16 where the processor can. Against float32 that is rounding: the mean cosine of both vectors of a text
is 0.9999 and more, and 99.5 % of the ten nearest neighbours stay the same, so both count as vectors of the same model.
8-bit arithmetic is faster still, and loses 2 to 6 % of the neighbours: it is not used.
"""

import copy
import sys
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import structlog

from twin_assets.prepared import prepared
from twin_assets.store.errors import TwinError

if TYPE_CHECKING:
    import numpy as np

log = structlog.get_logger(__name__)

Backend = Literal["auto", "torch", "openvino"]

TOKENS_AT_ONCE = 1024
"""Of one batch, padding included: 600 to 2,000 were equally fast, and more fall out of a core's cache."""
WIDTH = 16
"""Tokens that the length of a text is rounded up to; 1 is half as fast, for few texts are of one length then."""
MIN_COSINE = 0.999
"""Between what an exported model and its original make of the same text."""
PROBES = (
    "",
    "Fog.",
    "   Leading blanks,\n\n\tline breaks \r\n and trailing ones.   ",
    "Ünïcödé, 你好, مرحبا and 🙂 in one line.",
    "def parse_line(rawLine):\n    return {key.strip(): value for key, _, value in rawLine.partition('=')}",
    "# A heading\n\nThe ferry was late, so we sat on the quay and counted gulls.",
    "A sentence that is repeated until no model reads it to its end. " * 400,
)
_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, and either under Windows' Linux


class Encoder(Protocol):
    """A loaded embedding model."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; the rest is cut off."""
        ...

    def encode(self, texts: Sequence[str]) -> "np.ndarray":
        """Vectors of the texts: float32 of shape (texts, dimension), each row of unit length."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without the special ones around it."""
        ...


class TorchEncoder:
    """A sentence-transformers model as it is, on the GPU where there is one."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self._model: Any = SentenceTransformer(str(folder), local_files_only=True)
        self._counter = copy.deepcopy(self._model.tokenizer)  # to cut or not to cut is a state of a tokenizer, and threads share it

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; the rest is cut off."""
        return int(self._model.max_seq_length)

    def encode(self, texts: Sequence[str]) -> "np.ndarray":
        """Vectors of the texts: float32 of shape (texts, dimension), each row of unit length."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.asarray(self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), dtype=np.float32)

    def export(self, folder: Path) -> None:
        """Writes the model and its tokenizer for ``OpenVinoEncoder``."""
        import torch

        model = self._model.to("cpu").eval()

        class Whole(torch.nn.Module):
            """From tokens to the vector of unit length, whatever modules lie between."""

            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
                features = self.model({"input_ids": input_ids, "attention_mask": attention_mask})
                return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)

        tokens, mask = (torch.from_numpy(array) for array in padded([[5, 6, 7, 8, 9], [5, 6, 7]], 5))
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the tracer; the result is compared
            exported = _openvino().convert_model(Whole(), example_input={"input_ids": tokens, "attention_mask": mask})
        exported.reshape({0: [-1, -1], 1: [-1, -1]})
        _openvino().save_model(exported, folder / "model.xml", compress_to_fp16=False)
        model.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without the special ones around it."""
        return len(self._counter.encode(text, add_special_tokens=False, truncation=False, verbose=False))


class OpenVinoEncoder:
    """An exported model: neither torch nor sentence-transformers is loaded. Safe to call from several threads.

    A text has the same vector, bit by bit, whatever is encoded beside it.

    Args:
        folder: What ``TorchEncoder.export`` filled.
        dimension: Length of a vector.
        max_tokens: Tokens of a text that the model reads; the rest is cut off.
    """

    def __init__(self, folder: Path, dimension: int, max_tokens: int) -> None:
        self._folder = folder
        self.dimension = dimension
        self.max_tokens = max_tokens
        core = _openvino().Core()
        can_round = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if can_round else "f32",
            "PERFORMANCE_HINT": "THROUGHPUT",  # a stream of batches per core: nobody waits for the slower half of one
            "ENABLE_CPU_PINNING": False,  # two processes would sit on the same cores
        }
        self._model = core.compile_model(folder / "model.xml", "CPU", options)
        self._streams: int = self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._tokenizer = self._load_tokenizer()
        self._tokenizer.enable_truncation(self.max_tokens)

    def encode(self, texts: Sequence[str]) -> "np.ndarray":
        """Vectors of the texts: float32 of shape (texts, dimension), each row of unit length."""
        import numpy as np

        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        vectors = np.zeros((len(ids), self.dimension), dtype=np.float32)
        # Waited for in turn: AsyncInferQueue would call back on threads of its own, which can keep the interpreter from ending.
        running: deque[tuple[Any, list[int]]] = deque()
        for width, rows in _of_one_width([min(-(-len(one) // WIDTH) * WIDTH, self.max_tokens) for one in ids]):
            request = _finish(*running.popleft(), vectors) if len(running) == self._streams else self._model.create_infer_request()
            request.start_async(padded([ids[row] for row in rows], width))
            running.append((request, rows))
        for request, rows in running:
            _finish(request, rows, vectors)
        return vectors

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without the special ones around it."""
        return len(self._counter.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _counter(self) -> Any:
        return self._load_tokenizer()

    def _load_tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer


def _finish(request: Any, rows: Sequence[int], vectors: "np.ndarray") -> Any:
    request.wait()
    vectors[rows] = request.get_output_tensor(0).data
    return request


def _of_one_width(widths: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Batches of texts that are padded to one width, the widest first: how far a text is padded moves the last bits of its vector."""
    by_width: dict[int, list[int]] = defaultdict(list)
    for row, width in enumerate(widths):
        by_width[width].append(row)
    for width, rows in sorted(by_width.items(), reverse=True):
        at_once = max(TOKENS_AT_ONCE // width, 1)
        yield from ((width, rows[start : start + at_once]) for start in range(0, len(rows), at_once))


def batches(sizes: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Groups things of like size, the largest first.

    Args:
        sizes: Of each thing.
        budget: What a group may take when each of its members takes as much as its largest; a larger thing is alone.

    Yields:
        Positions in ``sizes``; each occurs once.
    """
    group: list[int] = []
    for position in sorted(range(len(sizes)), key=lambda position: -sizes[position]):
        if group and sizes[group[0]] * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(position)
    if group:
        yield group


def padded(ids: Sequence[Sequence[int]], width: int) -> list["np.ndarray"]:
    """Token ids and attention mask, int64 of shape (texts, width). What is masked is not read, so it may be 0."""
    import numpy as np

    mask = np.zeros((len(ids), width), dtype=np.int64)
    tokens = np.zeros_like(mask)
    for row, one in enumerate(ids):
        tokens[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return [tokens, mask]


def load(folder: Path, cache_folder: Path, backend: Backend) -> Encoder:
    """The model in a folder, as fast as this machine can run it; a folder is loaded once in a process.

    Args:
        folder: A sentence-transformers model.
        cache_folder: Where its export is, or is put when it is needed and not there; named after the model's content.
        backend: ``auto`` is OpenVINO on a CPU, and torch on a GPU, where OpenVINO is not installed, or cannot run the model.

    Raises:
        TwinError: When ``openvino`` is asked for and cannot be had.
    """
    return _load(folder, cache_folder, backend)


@cache
def _load(folder: Path, cache_folder: Path, backend: Backend) -> Encoder:
    if backend == "torch" or (backend == "auto" and (not _has_openvino() or _has_gpu())):
        return TorchEncoder(folder)
    if not _has_openvino():
        raise TwinError("TWIN_EMBEDDER_BACKEND is openvino, which is not installed. Run `make setup`, or choose torch.")
    target = cache_folder.with_name(f"{cache_folder.name}-openvino-{_openvino().__version__.split('-')[0]}")
    facts = prepared(target, partial(export, folder))
    refusal = facts.get("refusal")
    if not refusal:
        return OpenVinoEncoder(target, facts["dimension"], facts["max_tokens"])
    if backend == "openvino":
        raise TwinError(f"OpenVINO cannot run the embedder in {folder}: {refusal}. Set TWIN_EMBEDDER_BACKEND=torch.")
    log.warning("the embedder runs by torch, OpenVINO cannot run it", folder=str(folder), reason=refusal)
    return TorchEncoder(folder)


def export(source: Path, folder: Path) -> dict[str, Any]:
    """Exports a model for OpenVINO, and compares what both make of a few difficult texts.

    Args:
        source: A sentence-transformers model.
        folder: Empty.

    Returns:
        The facts of the manifest; with a ``refusal`` when the export failed or gives other vectors.
    """
    log.info("exporting the embedder for OpenVINO, once", source=str(source), folder=str(folder))
    original = TorchEncoder(source)
    try:
        original.export(folder)
        exported = OpenVinoEncoder(folder, original.dimension, original.max_tokens).encode(PROBES)
    except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:  # whatever a foreign model's code raises
        return {"refusal": f"{type(error).__name__}: {str(error)[:300]}"}
    cosine = float((original.encode(PROBES) * exported).sum(axis=1).min())
    if not cosine >= MIN_COSINE:  # nor when it is no number
        return {"refusal": f"the exported model gives other vectors (cosine {cosine:.3f})"}
    return {"dimension": original.dimension, "max_tokens": original.max_tokens}


def _has_openvino() -> bool:
    return find_spec("openvino") is not None


def _has_gpu() -> bool:
    if sys.platform != "darwin" and not any(Path(device).exists() for device in _DEVICES):
        return False  # without loading torch
    import torch

    return torch.accelerator.is_available()


def _openvino() -> Any:
    # Its import would report itself over the network; where this package cannot be imported, it does without.
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
    import openvino

    return openvino
