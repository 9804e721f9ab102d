"""Sources on disk, as tests write them down and read them."""

from collections.abc import Mapping
from pathlib import Path

from twin_assets.ingest.collect import collect
from twin_assets.ingest.posts import Post
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.web import Web


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """The folder, with these files in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(location: Path) -> dict[str, Post]:
    """What is collected from there, by origin."""
    return {post.origin: post for post in collect(open_source(str(location), Web()))}
