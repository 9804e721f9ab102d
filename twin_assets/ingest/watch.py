"""What the source sensor remembers between two looks, and what it asks for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.fingerprint import Changes, changes
from twin_assets.ingest.registry import is_url

log = structlog.get_logger(__name__)

WEB_INTERVAL = 900.0
"""Seconds between two looks at a web address: it is someone's server."""


@dataclass(slots=True)
class Memory:
    """Fingerprints by author and location, and when each web address was looked at."""

    fingerprints: dict[str, dict[str, str]] = field(default_factory=dict)
    looked: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, cursor: str | None) -> "Memory":
        """The memory in a cursor; a cursor that cannot be read is forgotten, which costs a look at every source."""
        try:
            data = json.loads(cursor or "{}")
            return cls(
                {author: {str(k): str(v) for k, v in places.items()} for author, places in data.get("fingerprints", {}).items()},
                {str(place): float(when) for place, when in data.get("looked", {}).items()},
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def dump(self) -> str:
        """The memory as a cursor."""
        return json.dumps({"fingerprints": self.fingerprints, "looked": self.looked}, sort_keys=True)


def look(memory: Memory, sources: Mapping[str, list[str]], read: Callable[[str], str], now: float) -> tuple[Memory, dict[str, Changes]]:
    """Looks at all sources once.

    A source that cannot be read is not a changed source: it keeps its last fingerprint, and is logged.

    Args:
        memory: What the last look left.
        sources: Locations by author.
        read: Gives a location's fingerprint.
        now: Seconds since the epoch.

    Returns:
        The new memory, and the changes of the authors who have any.
    """
    after = Memory(looked={place: when for place, when in memory.looked.items() if any(place in places for places in sources.values())})
    found: dict[str, Changes] = {}
    for author, places in sources.items():
        before = memory.fingerprints.get(author, {})
        current: dict[str, str] = {}
        for place in places:
            fresh = _fingerprint(place, before.get(place), after.looked, read, now)
            if fresh is not None:
                current[place] = fresh
        after.fingerprints[author] = current
        if change := changes(before, current):
            found[author] = change
    return after, found


def _fingerprint(place: str, before: str | None, looked: dict[str, float], read: Callable[[str], str], now: float) -> str | None:
    if is_url(place):
        if now - looked.get(place, 0.0) < WEB_INTERVAL:
            return before
        looked[place] = now
    try:
        return read(place)
    except (SourceError, OSError) as error:
        log.warning("source_not_looked_at", source=place, error=str(error))
        return before
