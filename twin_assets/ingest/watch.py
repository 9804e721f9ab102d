"""What the source sensor remembers between two looks, and what it asks for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.fingerprint import Changes, changes
from twin_assets.store.registry import SourceConfig

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Memory:
    """Fingerprints by author and location."""

    fingerprints: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def load(cls, cursor: str | None) -> "Memory":
        """The memory in a cursor; a cursor that cannot be read is forgotten, which costs a look at every source."""
        try:
            data = json.loads(cursor or "{}")
            return cls({author: {str(k): str(v) for k, v in places.items()} for author, places in data.get("fingerprints", {}).items()})
        except (ValueError, TypeError, AttributeError):
            return cls()

    def dump(self) -> str:
        """The memory as a cursor."""
        return json.dumps({"fingerprints": self.fingerprints}, sort_keys=True)


def look(
    memory: Memory, sources: Mapping[str, list[SourceConfig]], read: Callable[[SourceConfig], str]
) -> tuple[Memory, dict[str, Changes]]:
    """Looks at all sources once.

    A source that cannot be read is not a changed source: it keeps its last fingerprint, and is logged.

    Args:
        memory: What the last look left.
        sources: By author.
        read: Gives a source's fingerprint.

    Returns:
        The new memory, and the changes of the authors who have any.
    """
    after = Memory()
    found: dict[str, Changes] = {}
    for author, configs in sources.items():
        before = memory.fingerprints.get(author, {})
        current: dict[str, str] = {}
        for config in configs:
            fresh = _fingerprint(config, before.get(config.location), read)
            if fresh is not None:
                current[config.location] = fresh
        after.fingerprints[author] = current
        if change := changes(before, current):
            found[author] = change
    return after, found


def _fingerprint(config: SourceConfig, before: str | None, read: Callable[[SourceConfig], str]) -> str | None:
    try:
        return read(config)
    except (SourceError, OSError) as error:
        log.warning("source_not_looked_at", source=config.location, error=str(error))
        return before
