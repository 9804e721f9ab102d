"""What the routes stand on, opened once and only when it is needed."""

import threading
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

if TYPE_CHECKING:
    from twin_assets.store.registry import Registry
    from twin_assets.writing.drafts import Writer

log = structlog.get_logger(__name__)


class Services:
    """Database, registry and writer of one process; safe to share between threads.

    Args:
        settings: Where things are.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._warming = threading.Thread(target=self._warm, name="warm", daemon=True)

    @property
    def writer(self) -> "Writer":
        """The writer; opens the database first.

        Raises:
            TwinError: When there is no database; the next call tries again.
        """
        with self._lock:
            return self._writer

    @property
    def registry(self) -> "Registry":
        """The registry; opens the database first."""
        return self.writer.registry

    def warm(self) -> None:
        """Loads in the background what the first draft would wait for."""
        self._warming.start()

    def close(self, patience: float = 10) -> None:
        """Closes the connections; a warm-up on its way is given a few seconds to end."""
        self._warming.join(patience)
        if "_writer" in self.__dict__:
            self._writer.database.engine.dispose()

    @cached_property
    def _writer(self) -> "Writer":
        from twin_assets.store.artifacts import ArtifactStore
        from twin_assets.store.database import open_database
        from twin_assets.store.registry import Registry
        from twin_assets.writing.drafts import Writer

        database = open_database(self.settings)
        return Writer(database, Registry(database), ArtifactStore(self.settings.artifacts_url), self.settings)

    def _warm(self) -> None:
        try:
            self.writer.warm()
        except TwinError as error:
            log.warning("not warmed up", reason=str(error))
