"""What runs beside the graph: the services, and the embedded Postgres."""

import os
import shutil
from typing import Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from twin_assets.cli.terminal import console, print_unread, say
from twin_assets.settings import Settings, get_settings
from twin_assets.store.errors import TwinError


def up() -> None:
    """Start everything (Postgres, model servers, API, assistant, Dagster) and stop it all on Ctrl-C."""
    from twin_assets.services import Supervisor

    Supervisor(get_settings(), say=say, on_ready=_print_services).run()


def down() -> None:
    """Stop everything that runs: services, model servers, Postgres."""
    from twin_assets.services import take_down

    stopped = take_down(get_settings())
    console.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


def status() -> None:
    """Show services, authors, newest versions, and what is stale."""
    from twin_assets.services import running_services
    from twin_assets.status import author_status, raw_text_exposure
    from twin_assets.store.postgres import EmbeddedPostgres

    settings = get_settings()
    services = running_services(settings)
    _print_services(services) if services else console.print("Services: not up (`twin up` starts them).")
    if settings.database_url is None and not EmbeddedPostgres(settings.postgres_home).alive():
        console.print("Postgres: stopped; nothing is known about authors until it runs (`twin db start`).")
        return
    table = Table("author", "documents", "words", "newest model", "voice base -> twin", "serves", "stale", box=None, header_style="bold")
    rows = author_status(settings)
    for row in rows:
        table.add_row(row.author, str(row.documents), f"{row.words:,}", row.model, row.voice, row.serves, ", ".join(row.stale) or "nothing")
    console.print(table)
    for row in rows:
        print_unread(row.author, row.unread)
    if exposure := raw_text_exposure(settings):
        console.print(f"[yellow]{escape(exposure)}[/yellow]", soft_wrap=True)


def _print_services(services: list[Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for service in services:
        table.add_row(f"[bold]{service.name}[/bold]", service.url or "(no page)", f"[dim]{escape(service.log)}[/dim]")
    console.print(Panel(table, title="up (Ctrl-C stops everything)", border_style="green"))


def db_start() -> None:
    """Start the embedded Postgres."""
    settings = get_settings()
    if settings.database_url is not None:
        raise TwinError("TWIN_DATABASE_URL is set: that server is not ours to start. `twin db shell` connects to it.")
    console.print(f"Postgres runs: {escape(_url(settings))}", soft_wrap=True)


def db_stop() -> None:
    """Stop the embedded Postgres."""
    from twin_assets.store.postgres import EmbeddedPostgres

    console.print("Stopped." if EmbeddedPostgres(get_settings().postgres_home).stop() else "It was not running.")


def db_url() -> None:
    """Print the connection URL, starting the server when needed."""
    typer.echo(_url(get_settings()))


def db_shell() -> None:
    """Open psql on the database."""
    from sqlalchemy.engine import make_url

    from twin_assets.store.postgres import EmbeddedPostgres

    settings = get_settings()
    url = _url(settings)
    program = shutil.which("psql")
    if settings.database_url is None:
        program = str(EmbeddedPostgres(settings.postgres_home).program("psql"))
    if program is None:
        raise TwinError("psql is not installed. Any Postgres client works with the URL that `twin db url` prints.")
    parsed = make_url(url)
    environment = {**os.environ, **({"PGPASSWORD": parsed.password} if parsed.password else {})}  # other users see a command line
    os.execve(program, [program, parsed._replace(password=None).render_as_string()], environment)  # noqa: S606


def _url(settings: Settings) -> str:
    """Where the database is for its owner; it runs after that."""
    from twin_assets.store.database import open_database
    from twin_assets.store.roles import Role

    return open_database(settings, Role.OWNER).url
