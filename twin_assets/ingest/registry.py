"""From a path or a URL to the source that can read it."""

import pkgutil
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twin_assets.ingest import sources
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import open_files
from twin_assets.ingest.posts import canonical_url
from twin_assets.ingest.source import EXACT, Address, Source
from twin_assets.ingest.web import Web
from twin_assets.settings import Settings
from twin_assets.store.database import open_database
from twin_assets.store.registry import Registry
from twin_assets.store.roles import Role


def is_url(location: str) -> bool:
    """Whether a location is on the web."""
    return location.lower().startswith(("http://", "https://"))


def normalized(location: str) -> str:
    """The location as it is registered, one for all its spellings: URLs without tracking and fragment, paths absolute."""
    if not is_url(location):
        return str(Path(location).expanduser().absolute())
    canonical = canonical_url(location)
    if canonical is None:
        return location
    folder = urlsplit(location).path.endswith("/") and urlsplit(canonical).path and "?" not in canonical
    return f"{canonical}/" if folder else canonical  # some servers tell a folder from a page


def register(author: str, locations: Sequence[str], settings: Settings) -> Registry:
    """Registers an author who is learned from these sources and no others.

    Args:
        author: A name, known already or not.
        locations: Paths and URLs; sources that are registered beside them are removed.
        settings: For the database.
    """
    registry = Registry(open_database(settings, Role.INGEST))
    registry.add_author(author)
    for location in set(registry.sources(author)) - set(locations):  # such as those of a checkout that was moved
        registry.remove_source(author, location)
    for location in locations:
        registry.add_source(author, location)
    return registry


def open_source(location: str, web: Web) -> Source:
    """The source for a location.

    Args:
        location: The path of a folder, a ZIP or a file, or the URL of a profile, a blog, a feed or a page.
        web: What a source that is on the web reads through.

    Raises:
        SourceError: When there is nothing to read, or nothing that any platform knows.
    """
    if is_url(location):
        address = Address(location, web)
        for platform in platforms("from_address"):
            if source := platform.from_address(address):
                return source
        kind = address.page().content_type or "something binary"
        raise SourceError(f"{location} is neither a page nor a feed but {kind}. Name a feed, a post, or a profile; see docs/sources.")
    files = open_files(Path(location).expanduser())
    if not files.names:
        raise SourceError(f"{location} is empty: put texts or an export into it, or name another folder.", "missing")
    for platform in platforms("from_files"):
        if source := platform.from_files(files):
            return source
    zips = [name for name in files.names if name.lower().endswith(".zip")]
    if zips:
        raise SourceError(
            f"{location} holds ZIPs ({', '.join(zips[:3])}{', ...' if len(zips) > 3 else ''}) and nothing else that can be read. Add each ZIP "
            "as a source of its own: `twin add NAME --source` with its path."
        )
    raise SourceError(
        f"Nothing in {location} is a text or an export that is known. Name the export's ZIP or the folder that it was unpacked to, each "
        "export as a source of its own, or a Markdown, HTML, PDF, DOCX or text file; see docs/sources."
    )


def known_platform(location: str, web: Web) -> Source | None:
    """The source for a web address that its host or path gives away, without asking the network; None for any other.

    Raises:
        SourceError: When the platform cannot be read that way; the message says which way it can.
    """
    address = Address(location, web)
    exact = (platform for platform in platforms("from_address") if platform.RANK == EXACT)
    return next((source for platform in exact if (source := platform.from_address(address))), None)


@cache
def platforms(hook: str) -> tuple[Any, ...]:
    """The modules that have a hook, in the order in which they are asked."""
    modules = [import_module(f"{sources.__name__}.{module.name}") for module in pkgutil.iter_modules(sources.__path__)]
    return tuple(sorted((module for module in modules if hasattr(module, hook)), key=lambda module: (module.RANK, module.__name__)))
