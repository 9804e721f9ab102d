"""What a model said, kept by a hash of all that it was asked: nothing is asked twice, also after a kill."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from upath import UPath

from twin_assets.store.artifacts import write_whole


@dataclass(frozen=True, slots=True)
class Kept:
    """Answers in a folder, which may be a remote one.

    Attributes:
        folder: Where they are.
    """

    folder: UPath

    def find(self, asked: Sequence[Any]) -> str | None:
        """What was said, or None where nobody asked.

        Args:
            asked: All that the answer depends on, as JSON may hold it.
        """
        file = self._file(asked)
        return file.read_bytes().decode() if file.exists() else None  # read_text would turn line ends around

    def keep(self, asked: Sequence[Any], said: str) -> None:
        """Keeps an answer, whole or not at all."""
        write_whole(self._file(asked), said.encode())

    def _file(self, asked: Sequence[Any]) -> UPath:
        return self.folder / f"{hashlib.sha256(json.dumps(list(asked)).encode()).hexdigest()[:32]}.json"
