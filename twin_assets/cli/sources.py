"""Authors and where their writing is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from twin_assets.cli.terminal import AsJson, Author, console, errors, registry_of
from twin_assets.settings import get_settings
from twin_assets.store.errors import TwinError

_NONE = "none"


def add(
    name: Author,
    source: Annotated[list[str] | None, typer.Option("--source", "-s", help="A path or a URL; may be given several times.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A source to read no longer; its posts leave with the next run.")] = None,
    known_as: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name or handle that the author publishes under; several times.")
    ] = None,
    not_known_as: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A name to take away again.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Learn only from what these sources hold of before this day; 'none' takes it back.")
    ] = None,
    ai_assisted: Annotated[
        bool | None, typer.Option(help="Whether an assistant helped to write these sources: then they teach nothing.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="CRON", help="When these sources on the web are read, in UTC; 'none': as all.")
    ] = None,
) -> None:
    """Register an author and the sources to learn from."""
    from twin_assets.ingest.collect import collect
    from twin_assets.ingest.crawls import forget_reads, free_web
    from twin_assets.ingest.registry import is_url, known_platform, normalized, open_source
    from twin_assets.runs import add_partition

    if not source and (until or schedule or ai_assisted is not None):
        raise typer.BadParameter("say with --source which sources --until, --ai-assisted or --schedule is about")
    if not (source or remove or known_as or not_known_as):
        raise typer.BadParameter("give at least one --source PATH_OR_URL to add, --remove to take one away, or --known-as to add a name")
    day = _day(until)
    _check_schedule(schedule, source or [])
    settings = get_settings()
    registry = registry_of(settings, as_ingest=True)
    locations = [checked_location(entry) for entry in source or []]
    with free_web(settings) as web:
        for location in locations:
            if is_url(location):  # the network may be away
                known_platform(location, web)
            else:  # a file that cannot be read is refused now, not in every run
                collect(open_source(location, web))
    if not locations:
        registry.require_author(name)
    for location in locations:
        if registry.add_author(name):
            console.print(f"New author {name}.")
        new = registry.add_source(name, location, **day, ai_assisted=ai_assisted, **_given(schedule))
        later = " (read with the next run)" if is_url(location) else ""
        console.print(f"{'Added' if new else 'Known already:'} {escape(location)}{later}")
    if known_as or not_known_as:
        registry.change_names(name, known_as or [], not_known_as or [])
        console.print(f"{name} publishes as {', '.join(registry.names(name)) or 'no name in particular'}.")
    for entry in remove or []:
        known = registry.sources(name)
        location = next((known_one for known_one in known if known_one in {entry, normalized(entry)}), None)
        if location is None:
            raise TwinError(f"{entry} is no source of {name}. Its sources: {', '.join(known) or 'none'}.")
        registry.remove_source(name, location)
        forget_reads(registry.database, name, registry.sources(name))
        console.print(f"Removed {escape(location)}")
    add_partition(name, settings)
    console.print(f"{len(registry.sources(name))} source(s). Next: [bold]twin run {name}[/bold]")


def _day(until: str | None) -> dict[str, Any]:
    """The cut-off as the registry takes it: left out, taken back, or a day."""
    if until is None:
        return {}
    if until == _NONE:
        return {"until": None}
    try:
        return {"until": datetime.strptime(until, "%Y-%m-%d").replace(tzinfo=UTC)}
    except ValueError as error:
        raise TwinError(f"{until!r} is no day. Write year, month and day, such as 2023-01-31, or none.") from error


def _given(schedule: str | None) -> dict[str, str | None]:
    return {} if schedule is None else {"schedule": None if schedule == _NONE else schedule}


def _check_schedule(schedule: str | None, sources: list[str]) -> None:
    from croniter import croniter

    from twin_assets.ingest.registry import is_url

    if schedule is None or schedule == _NONE:
        return
    if not croniter.is_valid(schedule):
        raise TwinError(f"{schedule!r} is no schedule. Give minute, hour, day, month and weekday as cron does, such as '0 6 * * *'.")
    if files := [source for source in sources if not is_url(source)]:
        raise TwinError(f"{files[0]} is no web address: files are read when they change, and need no schedule.")


def checked_location(entry: str) -> str:
    """An absolute path or a URL that some source can read."""
    from twin_assets.ingest.registry import is_url, normalized

    location = normalized(entry)
    if "://" in entry and not is_url(entry):
        raise TwinError(f"{entry} is no web address that can be read: it must begin with http:// or https://.")
    if not is_url(location) and not Path(location).exists():
        raise TwinError(f"There is no file or folder {location}. Check the path, or give a URL that begins with http:// or https://.")
    return location


def inspect(
    location: Annotated[str | None, typer.Argument(metavar="PATH_OR_URL")] = None,
    known_as: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name or handle that the author publishes under; several times.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Learn only from what it holds of before this day.")] = None,
    clean: Annotated[bool, typer.Option("--clean", help="Clean it too, and show what is removed from the texts and why.")] = False,
    author: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of a source: show what was removed from this author's documents.")
    ] = None,
    document: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --clean: one document in full, by its id, URL, title or a part of the title.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="With --clean: write it as a page for the browser, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Dry run: what would be learned from a source, and what not and why. Writes nothing."""
    from twin_assets.ingest.collect import Rules
    from twin_assets.ingest.inspect import inspect as inspect_source

    if (location is None) == (author is None):
        raise typer.BadParameter("give a PATH_OR_URL, or --author NAME for what was cleaned already")
    if author and (known_as or until):
        raise typer.BadParameter("--known-as and --until are about a source: with --author what `twin add` was told holds")
    rules = Rules(tuple(known_as or ()), until.replace(tzinfo=UTC) if until else None)
    if clean or author or document or html:
        _inspect_cleaned(location, author, rules, document, html, as_json)
        return
    assert location is not None
    with errors.status(f"reading {escape(location)}") as status:
        found = inspect_source(location, get_settings(), rules, lambda text: status.update(escape(text)))
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return
    table = Table("date", "kind", "state", "words", "title", "why", box=None, header_style="bold")
    for item in found.items:
        day = item.date.date().isoformat() if item.date else ""
        style = None if item.state == "kept" else "dim"
        table.add_row(
            day, item.kind, item.state, str(item.words), escape((item.title or item.origin)[:60]), escape(item.reason), style=style
        )
    console.print(table)
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items()))
    _print_truncated(found.truncated)
    console.print(f"\n{found.platform}: {found.total} rows and files ({states}); {found.words:,} words would be learned from.")


def _inspect_cleaned(location: str | None, author: str | None, rules: Any, document: str | None, html: Path | None, as_json: bool) -> None:
    from pydantic import TypeAdapter

    from twin_assets.cleaning.review import Reviewed, read_document, read_review
    from twin_assets.cleaning.review_page import document_to_html, to_html
    from twin_assets.cleaning.review_terminal import document_in_full, overview

    what = author or location or ""
    with _cleaned(location, author, rules) as (database, name, truncated):
        found = read_document(database, name, document) if document else read_review(database, name)
    if html is not None:
        html.write_text(document_to_html(found) if isinstance(found, Reviewed) else to_html(found, what), encoding="utf-8")
    if as_json:
        said = {"author" if author else "source": what, "truncated": truncated, **TypeAdapter(type(found)).dump_python(found, mode="json")}
        typer.echo(json.dumps(said, ensure_ascii=False, indent=1))
        return
    plain = console.color_system is None
    console.print(document_in_full(found, plain) if isinstance(found, Reviewed) else overview(found, what))
    _print_truncated(truncated)
    if html is not None:
        console.print(f"\nThe page for the browser: {escape(str(html))}", soft_wrap=True)


def _print_truncated(why: str) -> None:
    if why:
        console.print(f"\n[yellow]Not all was read:[/yellow] {escape(why)}")


@contextmanager
def _cleaned(location: str | None, author: str | None, rules: Any) -> Iterator[tuple[Any, str, str]]:
    """Where something lies cleaned, under which author's name, and why less was read than there is."""
    from twin_assets.cleaning import scratch

    settings = get_settings()
    if author is not None:
        registry = registry_of(settings, author, as_ingest=True)  # the tables on the way to the marts are closed to all others
        yield registry.database, author, ""
        return
    with (
        errors.status("making room to clean in") as status,
        scratch.cleaned_source(location or "", settings, rules, lambda text: status.update(escape(text))) as source,
    ):
        yield source.database, scratch.AUTHOR, source.truncated


def login(
    platform: Annotated[str, typer.Argument(help="The platform to log in to: linkedin.")],
    timeout: Annotated[int, typer.Option(min=10, metavar="SECONDS", help="How long to wait for you.")] = 600,
) -> None:
    """Open a browser window in which you log in by hand, and keep that you are logged in; never a password."""
    from twin_assets.ingest.browser import log_in

    hint = "Log in by hand in the window that opens; it closes by itself. What you type is neither read nor kept."
    path = log_in(platform, get_settings(), seconds=timeout, on_open=lambda: console.print(hint))
    console.print(f"Kept in {escape(str(path))}, readable by you alone. To log out again, delete that file.", soft_wrap=True)


def forget(
    name: Author,
    document: Annotated[str | None, typer.Option(metavar="ID", help="Forget one document only.")] = None,
) -> None:
    """Forget an author, or one document, everywhere. Not built yet: says so and deletes nothing."""
    registry_of(get_settings(), name)
    what = f"document {document} of {name}" if document else name
    raise TwinError(f"Forgetting {what} everywhere is not built yet; nothing was deleted. Remove the file from its source and run again.")
