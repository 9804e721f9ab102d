"""Embedders without a model."""

import hashlib
import time
from collections.abc import Sequence

import numpy as np


class Hashing:
    """Adds up one fixed direction per word, so that texts with common words are alike; remembers what it was asked to read."""

    def __init__(self, name: str = "hashing@1", dimension: int = 16, delay: float = 0.0) -> None:
        self.name, self.dimension, self.delay = name, dimension, delay
        self.max_tokens = 256
        self.spec = name.partition("@")[0]
        self.read: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        time.sleep(self.delay)
        self.read += texts
        vectors = np.array([self._sum(text) for text in texts], dtype=np.float32).reshape(len(texts), self.dimension)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def _sum(self, text: str) -> np.ndarray:
        words = [word.strip(".,:;!?()#").lower() for word in text.split()] or [""]
        return np.sum([self._direction(word) for word in words], axis=0)

    def _direction(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(f"{self.name} {word}".encode()).digest()[:4], "big")
        return np.random.default_rng(seed).normal(size=self.dimension)


class Noise(Hashing):
    """Gives each text a direction that has nothing to do with it."""

    def _sum(self, text: str) -> np.ndarray:
        return self._direction(text)
