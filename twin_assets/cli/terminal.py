"""What the commands share: the consoles, and how a run is shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

Author = Annotated[str, typer.Argument(help="The author's name: lower-case letters, digits, - and _.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
console = Console(file=sys.stdout, highlight=False)  # a run sends what libraries print to its log
errors = Console(file=sys.stderr, highlight=False)


def registry_of(settings: Settings, author: str | None = None, as_ingest: bool = False) -> Any:
    """The registry, with the rights of the stages after cleaning, or of ingest.

    Args:
        settings: For the database.
        author: Somebody whom it has to know.
        as_ingest: Whether raw text and sources are to be read and changed.

    Raises:
        TwinError: When it does not know that author.
    """
    from twin_assets.store.database import open_database
    from twin_assets.store.registry import Registry
    from twin_assets.store.roles import Role

    registry = Registry(open_database(settings, Role.INGEST if as_ingest else Role.DOWNSTREAM))
    if author is not None:
        registry.require_author(author)
    return registry


def run_graph(author: str, to: str | None, settings: Settings, alone: bool = False) -> Any:
    """Makes the graph for an author and shows how it goes.

    Args:
        author: The partition.
        to: The last asset; all where it is None.
        settings: For the instance and its log.
        alone: Whether that asset is made alone.

    Raises:
        TwinError: When a step or a check of severity ERROR failed.
    """
    from twin_assets.runs import materialize, run_log

    with progress() as show:
        report = materialize(author, to, settings, show, alone)
    if report.success:
        return report
    problem = report.error or "\n".join(report.failed_checks)
    raise TwinError(
        f"The run for {author} did not succeed. {problem}\n"
        f"More is in {run_log(author, settings)}, and under `twin up` in the Dagster UI: run {report.run_id[:8]}."
    )


@contextmanager
def progress() -> Iterator[Any]:
    """Shows the steps of a run: a live table on a terminal, one line per change elsewhere."""
    from rich.live import Live

    marks = {
        "waiting": "·",
        "running": "[yellow]▸[/yellow]",
        "done": "[green]✓[/green]",
        "failed": "[red]✗[/red]",
        "skipped": "[dim]-[/dim]",
    }
    if not console.is_terminal:
        seen: dict[str, str] = {}

        def show_line(steps: list[Any]) -> None:
            for step in steps:
                line = f"{step.name}: {step.state}" + (
                    f" in {step.seconds:.1f} s" if step.seconds else f" ({step.note})" if step.note else ""
                )
                if seen.get(step.name) != line:
                    seen[step.name] = line
                    console.print(escape(line), soft_wrap=True)

        yield show_line
        return
    with Live(console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False) as live:

        def show_table(steps: list[Any]) -> None:
            table = Table.grid(padding=(0, 1))
            for step in steps:
                seconds = f"{step.seconds:.1f} s" if step.seconds else ""
                table.add_row(marks[step.state], step.name, seconds, f"[dim]{escape(step.note[:90])}[/dim]")
            live.update(table)

        yield show_table


def print_unread(author: str, reads: list[Any]) -> None:
    """Says of sources that were not read, or not to their end, why."""
    for read in reads:
        what = "was not read to its end" if read.outcome == "truncated" else f"was not read ({read.outcome})"
        console.print(f"[yellow]{author}: {escape(read.source)} {what}:[/yellow] {escape(read.detail)}")


def say(line: str) -> None:
    """What goes on meanwhile, in a subdued colour."""
    console.print(f"[dim]{escape(line)}[/dim]")
