"""Many texts by one local model: it is served for as long as they take, and stopped at the end."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from twin_assets.settings import Settings
from twin_assets.writing import model_server
from twin_assets.writing.generate import Generator

log = structlog.get_logger(__name__)

CONCURRENT = 8

Progress = Callable[[int, int], None]
"""Is told how many of how many texts are written."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A text that is asked for.

    Attributes:
        messages: The conversation; the next turn is the model's.
        words: About how long the text should be.
        seed: For the same text again.
    """

    messages: Sequence[dict[str, str]]
    words: int
    seed: int


@contextmanager
def serving(gguf: Path, alias: str, settings: Settings, log_name: str) -> Iterator[Generator]:
    """Serves a model file on this machine.

    Args:
        gguf: The model.
        alias: Its name there.
        settings: For the sampling, the port and the folder of the logs.
        log_name: Of the server's log.

    Raises:
        ModelServerError: When the model cannot be served.
    """
    server = model_server.start(gguf, settings.model_port, settings.logs / f"{log_name}.log", alias)
    try:
        yield Generator(server.url, settings, model=alias)
    finally:
        model_server.stop(server.pid)


def write_all(generator: Generator, asked: Sequence[Asked], written: Callable[[int, str], None]) -> None:
    """Writes one text for each, several at once.

    Args:
        generator: Who writes.
        asked: What is asked for.
        written: Is given the place and the text of each as soon as it is written, in any order, in the caller's thread.

    Raises:
        EndpointDownError: When one cannot be written; the others are given up.
        PromptTooLongError: The same.
    """
    with ThreadPoolExecutor(CONCURRENT) as pool:
        running = {pool.submit(generator.complete, one.messages, one.words, seed=one.seed): place for place, one in enumerate(asked)}
        try:
            for finished in as_completed(running):
                written(running[finished], finished.result().text)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def asked_words(words: int) -> int:
    """The length that is asked for where a passage of so many words is wanted: as briefs say it, rounded to tens."""
    return max(10, round(words, -1))


def seed_of(key: UUID) -> int:
    """A seed for each prompt, the same in every run."""
    return int.from_bytes(hashlib.sha256(key.bytes).digest()[:4]) >> 1


class Pace:
    """Counts finished texts, tells how many, and estimates the time that is left.

    Args:
        event: What the log calls a finished text.
        total: How many there will be.
        progress: Is told how many of how many.
    """

    def __init__(self, event: str, total: int, progress: Progress) -> None:
        self._event, self._total, self._progress = event, total, progress
        self._done, self._started = 0, time.monotonic()

    def step(self) -> None:
        """One more is finished."""
        self._done += 1
        spent = time.monotonic() - self._started
        left = spent / self._done * (self._total - self._done)
        log.info(self._event, done=self._done, total=self._total, seconds_left=round(left))
        self._progress(self._done, self._total)
