"""A data home for one command: the embedded parts alone, in a folder that nothing else uses."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twin_assets.settings import Settings, get_settings
from twin_assets.store.errors import TwinError

EMBEDDED = {"DAGSTER_HOME": "", "TWIN_ARTIFACTS": "", "TWIN_ENVIRONMENT": "ci"}


@contextmanager
def home_of_its_own() -> Iterator[Settings]:
    """Settings with the home that ``TWIN_HOME`` in the environment names, or else with a temporary one that is deleted in the end.

    To be entered before the graph is loaded, which reads the settings.

    Raises:
        TwinError: When the settings name a database, which would be written to, or ``twin up`` runs in that home.
    """
    from twin_assets.cleaning.project import applied

    with _folder() as home, applied({**EMBEDDED, "TWIN_HOME": str(home)}):
        get_settings.cache_clear()
        try:
            settings = get_settings()
            _require_unused(settings)
            yield settings
        finally:
            get_settings.cache_clear()


@contextmanager
def _folder() -> Iterator[Path]:
    if named := os.environ.get("TWIN_HOME"):
        yield Path(named)
        return
    home = Path(tempfile.mkdtemp(prefix="twin-"))
    home.chmod(0o755)  # root's Postgres runs as another account, which must be able to enter
    postgres = Settings(home=home).postgres_home  # pyright: ignore[reportCallIssue]  # every field has a default
    try:
        yield home
    finally:
        for folder in (home, postgres):  # the second lies elsewhere where that account cannot reach the first
            shutil.rmtree(folder, ignore_errors=True)


def _require_unused(settings: Settings) -> None:
    if settings.database_url is not None:
        raise TwinError("TWIN_DATABASE_URL is set, and the sample author would be written there. Unset it: the embedded Postgres is used.")
    from twin_assets.services import supervisor_pid

    if (pid := supervisor_pid(settings)) is not None:
        raise TwinError(f"`twin up` (process {pid}) uses {settings.home}, and would be stopped in the end. Name another TWIN_HOME.")
