"""Cleaning: from raw posts to two texts per document, one to learn the voice from and one to search."""
