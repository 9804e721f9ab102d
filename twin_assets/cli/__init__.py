"""The ``twin`` command: thin calls into the stages."""

import logging
import sys
from typing import NoReturn

import structlog
import typer
from pydantic import ValidationError
from rich.markup import escape

from twin_assets.cli.embedders import features_accept, features_migrate
from twin_assets.cli.graph import approve, checks, compare, demo, gate, push, recipe, run
from twin_assets.cli.services import db_shell, db_start, db_stop, db_url, down, status, up
from twin_assets.cli.sources import add, forget, inspect, login
from twin_assets.cli.terminal import errors
from twin_assets.cli.writing import search, voice, write
from twin_assets.store.errors import TwinError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Learn to write like one person, from that person's own words.",
)
db = typer.Typer(no_args_is_help=True, help="The embedded Postgres.")
features = typer.Typer(no_args_is_help=True, help="What search works with: embedding models, and what they are measured with.")
app.add_typer(db, name="db")
app.add_typer(features, name="features")
for command in (
    up,
    down,
    status,
    add,
    inspect,
    run,
    checks,
    write,
    search,
    voice,
    gate,
    recipe,
    compare,
    approve,
    push,
    forget,
    demo,
    login,
):
    app.command()(command)
db.command("start")(db_start)
db.command("stop")(db_stop)
db.command("url")(db_url)
db.command("shell")(db_shell)
features.command("migrate")(features_migrate)
features.command("accept")(features_accept)

INTERRUPTED = 130


def main() -> None:
    """Entry point: runs the command and turns errors meant for the user into one message."""
    _quiet_logs()
    try:
        ended = app(standalone_mode=False)
    except TwinError as error:
        _fail(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        ended = INTERRUPTED
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), 1)
    except ValidationError as error:
        _fail(f"A setting cannot be used. {_problems(error)} docs/settings.md says what it may be.", 2)
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's own usage errors
            raise
        _fail(error.format_message(), 2)  # pyright: ignore[reportAttributeAccessIssue]
    if ended == INTERRUPTED:  # typer turns Ctrl-C into this code
        _fail("Stopped. Run the same command again: it goes on where it stopped.", INTERRUPTED)
    if ended:
        sys.exit(ended)


def _problems(error: ValidationError) -> str:
    return " ".join(f"TWIN_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}, not {item['input']!r}." for item in error.errors())


def _quiet_logs() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )


def _fail(message: str, code: int) -> NoReturn:
    errors.print(f"[red]✗[/red] {escape(message)}", soft_wrap=True)
    sys.exit(code)
