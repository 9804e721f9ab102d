"""What search works with."""

from typing import Annotated

import typer
from rich.markup import escape

from twin_assets.cli.terminal import Author, console, registry_of, say
from twin_assets.settings import get_settings


def features_migrate(
    model: Annotated[str, typer.Option("--model", metavar="MODEL", help="The new embedding model: package:NAME, a hub id, or a path.")],
    force: Annotated[bool, typer.Option("--force", help="Switch even if it finds less, or the old model is gone.")] = False,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Delete the vectors of all other models afterwards.")] = False,
) -> None:
    """Embed everything with another model, compare it with the active one, and switch when it finds no less."""
    from twin_assets.features.migrate import migrate
    from twin_assets.store.database import open_database

    settings = get_settings()
    report = migrate(
        open_database(settings),
        settings,
        model,
        force=force,
        drop_old=drop_old,
        progress=say,
    )
    for comparison in report.comparisons:
        console.print(escape(str(comparison)))
    before = "as before" if report.previous == report.model else f"before: {report.previous or 'none'}"
    console.print(f"[bold]{escape(report.model)}[/bold] is searched with ({escape(before)}).")
    console.print(f"{report.embedded:,} texts were embedded, {report.dropped:,} old vectors deleted.")
    if settings.embedder != model:
        console.print(f"Set TWIN_EMBEDDER={escape(model)}, which says what a new home begins with.")


def features_accept(name: Author) -> None:
    """Take the newest measurement of an author's search as the one to hold later ones against, whatever it lost."""
    from twin_assets.features import golden

    artifact = golden.accept(registry_of(get_settings(), name), name)
    console.print(f"Later measurements are held against {artifact.version}: recall@10 {artifact.figures['recall_at_10']:.3f}.")
