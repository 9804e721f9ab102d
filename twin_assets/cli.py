"""The ``twin`` command: thin calls into the stages."""

import json
import logging
import os
import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from twin_assets.settings import Settings, get_settings
from twin_assets.store.errors import TwinError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Learn to write like one person, from that person's own words.",
)
db = typer.Typer(no_args_is_help=True, help="The embedded Postgres.")
app.add_typer(db, name="db")
features = typer.Typer(no_args_is_help=True, help="What search works with: embedding models, and what they are measured with.")
app.add_typer(features, name="features")

INTERRUPTED = 130
LOG_WIDTH = 180  # of a table that no terminal shows
DEMO_PROMPT = "a small thing that went wrong this week"

console = Console(file=sys.stdout, highlight=False)  # a run sends what libraries print to its log
errors = Console(file=sys.stderr, highlight=False)

Author = Annotated[str, typer.Argument(help="The author's name: lower-case letters, digits, - and _.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


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


@app.command()
def up() -> None:
    """Start everything (Postgres, model servers, API, assistant, Dagster) and stop it all on Ctrl-C."""
    from twin_assets.services import Supervisor

    Supervisor(get_settings(), say=lambda line: console.print(f"[dim]{escape(line)}[/dim]"), on_ready=_print_services).run()


@app.command()
def down() -> None:
    """Stop everything that runs: services, model servers, Postgres."""
    from twin_assets.services import take_down

    stopped = take_down(get_settings())
    console.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


@app.command()
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
        _print_unread(row.author, row.unread)
    if exposure := raw_text_exposure(settings):
        console.print(f"[yellow]{escape(exposure)}[/yellow]", soft_wrap=True)


def _print_unread(author: str, reads: list[Any]) -> None:
    for read in reads:
        what = "was not read to its end" if read.outcome == "truncated" else f"was not read ({read.outcome})"
        console.print(f"[yellow]{author}: {escape(read.source)} {what}:[/yellow] {escape(read.detail)}")


@app.command()
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
    registry = _registry(settings, as_ingest=True)
    locations = [_checked_location(entry) for entry in source or []]
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


_NONE = "none"


def _day(until: str | None) -> dict[str, Any]:
    """The cut-off as the registry takes it: left out, taken back, or a day."""
    if until is None or until == _NONE:
        return {} if until is None else {"until": None}
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


@app.command()
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
    if found.truncated:
        console.print(f"\n[yellow]Not all was read:[/yellow] {escape(found.truncated)}")
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
    if truncated:
        console.print(f"\n[yellow]Not all was read:[/yellow] {escape(truncated)}")
    if html is not None:
        console.print(f"\nThe page for the browser: {escape(str(html))}", soft_wrap=True)


@contextmanager
def _cleaned(location: str | None, author: str | None, rules: Any) -> Iterator[tuple[Any, str, str]]:
    """Where something lies cleaned, under which author's name, and why less was read than there is."""
    from twin_assets.cleaning import scratch

    settings = get_settings()
    if author is not None:
        registry = _registry(settings, as_ingest=True)  # the tables on the way to the marts are closed to all others
        registry.require_author(author)
        yield registry.database, author, ""
        return
    with (
        errors.status("making room to clean in") as status,
        scratch.cleaned_source(location or "", settings, rules, lambda text: status.update(escape(text))) as source,
    ):
        yield source.database, scratch.AUTHOR, source.truncated


@app.command()
def run(
    name: Author,
    to: Annotated[str | None, typer.Option("--to", metavar="ASSET", help="Stop at this asset, such as voice_profile.")] = None,
) -> None:
    """Materialize the chain for one author."""
    settings = get_settings()
    from twin_assets.ingest.crawls import last_reads, unanswered

    registry = _registry(settings)
    registry.require_author(name)
    _run(name, to, settings)
    _print_unread(name, unanswered(last_reads(registry.database, name)))
    _print_waiting(name, registry)


def _print_waiting(author: str, registry: Any) -> None:
    from twin_assets.serving.gate import waiting

    for model in (model for model, _ in waiting(registry) if model.author == author):
        console.print(f"[yellow]Model {model.version} passed the gate and waits for a person:[/yellow] twin approve {author}")


@app.command()
def checks(
    author: Annotated[str | None, typer.Argument(metavar="AUTHOR", help="Whose checks; not with --ci.")] = None,
    ci: Annotated[
        bool, typer.Option("--ci", help="Materialize the graph for the sample author in a home of its own; end with 1 if a check fails.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML; checks.xml with --ci.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a Markdown table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how each asset check ended: the newest verdicts on an author, or those of a run made for it."""
    from twin_assets import verdicts

    if ci == (author is not None):
        raise typer.BadParameter("give an AUTHOR, or --ci for the sample author")
    found = _checks_of_the_sample_author(as_json) if author is None else _checks_of(author)
    if as_json:
        typer.echo(json.dumps({"checks": [asdict(verdict) for verdict in found]}, indent=1, ensure_ascii=False))
    else:
        _print_verdicts(found)
    if xml_file := junit or (Path("checks.xml") if ci else None):
        xml_file.write_text(verdicts.junit_xml(found), "utf-8")
    if markdown:
        markdown.write_text(verdicts.markdown(found), "utf-8")
    if ci and verdicts.exit_code(found):
        raise TwinError(f"Failed, or did not run: {', '.join(f'{one.asset} {one.check}' for one in found if one.is_error) or 'no checks'}.")


def _checks_of(author: str) -> list[Any]:
    settings = get_settings()
    _registry(settings).require_author(author)
    from twin_assets.checking import newest_verdicts

    return newest_verdicts(author, settings)


def _checks_of_the_sample_author(quiet: bool) -> list[Any]:
    from twin_assets.homes import home_of_its_own

    with home_of_its_own() as settings:  # first: the graph reads the settings when it is loaded
        from twin_assets.checking import check_sample_author

        if quiet:
            return check_sample_author(settings, lambda _: None)
        with _progress() as show:
            return check_sample_author(settings, show)


def _print_verdicts(found: list[Any]) -> None:
    from twin_assets.verdicts import COLUMNS, summary, table_rows

    styles = {"failed": "red", "not run": "yellow"}
    table = Table(box=None, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, overflow="fold")  # a name that is cut off cannot be looked for
    for row in table_rows(found):
        table.add_row(*map(escape, row), style=styles.get(row[2]))
    wide = console if console.is_terminal else Console(file=console.file, highlight=False, width=max(console.width, LOG_WIDTH))
    wide.print(table)
    wide.print(summary(found))


@app.command()
def write(
    name: Author,
    prompt: Annotated[str, typer.Argument(help="What the draft is about.")],
    platform: Annotated[str | None, typer.Option(help="linkedin, blog, medium or substack.")] = None,
    words: Annotated[int | None, typer.Option(min=20, max=800, help="About how many words.")] = None,
    link: Annotated[list[str] | None, typer.Option(help="A page to draw on; may be given several times.")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="A file to draw on: PDF, DOCX, Markdown, HTML, text; several times.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a draft with the deployed twin."""
    files = [{"name": path.name, "content": b64encode(_content(path))} for path in file or []]
    draft = _draft(get_settings(), author=name, prompt=prompt, platform=platform, words=words, links=link or [], files=files)
    if as_json:
        typer.echo(draft.model_dump_json(indent=1))
    else:
        _print_draft(draft)


def _content(path: Path) -> bytes:
    from twin_assets.writing.request import MAX_FILE_BYTES

    if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
        raise TwinError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB. Give the part of it that matters.")
    return path.read_bytes()


@app.command()
def search(
    name: Author,
    query: Annotated[str, typer.Argument(help="What to look for, in plain words.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many passages.")] = 5,
    kind: Annotated[list[str] | None, typer.Option(help="post, article, note, comment or code; may be given several times.")] = None,
    platform: Annotated[list[str] | None, typer.Option(help="Such as blog or linkedin; may be given several times.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="ISO 639-1, such as en; may be given several times.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Published on this day or later, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Published before this day, UTC.")] = None,
    expand: Annotated[int, typer.Option(min=0, max=20_000, help="Characters up to which a passage grows into what stands around it.")] = 0,
    diversity: Annotated[float, typer.Option(min=0, max=1, help="How much a passage loses that is like one shown before.")] = 0.0,
    half_life: Annotated[float | None, typer.Option(min=1, help="Age in days at which a passage counts half.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find passages of an author's own writing, by meaning and by words."""
    from twin_assets.features.retrieval import Retriever
    from twin_assets.features.search import Filters, Options

    settings = get_settings()
    registry = _registry(settings)
    registry.require_author(name)
    filters = Filters(
        frozenset(kind or ()),
        frozenset(platform or ()),
        frozenset(language or ()),
        since and since.replace(tzinfo=UTC),
        until and until.replace(tzinfo=UTC),
    )
    options = Options(diversity=diversity, half_life_days=half_life, expand=expand)
    passages = Retriever(registry.database, settings).find(name, query, limit, filters, options)
    if as_json:
        typer.echo(json.dumps([asdict(passage) for passage in passages], indent=1, default=str, ensure_ascii=False))
    else:
        _print_passages(passages)


@app.command()
def voice(
    name: Author,
    file: Annotated[Path | None, typer.Argument(help="A text file; standard input when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how much a text sounds like the author, how sure that is, and what in it does not."""
    from twin_assets.writing.drafts import Writer

    settings = get_settings()
    registry = _registry(settings)
    text = _content(file).decode(errors="replace") if file else sys.stdin.read()
    judged = Writer(registry.database, registry, _artifacts(settings), settings).voice(name, text)
    if as_json:
        typer.echo(judged.model_dump_json(indent=1))
    else:
        _print_voice(name, judged)


@app.command()
def gate(
    name: Author,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a threshold; several times.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change what the author's models must show before they serve, and who let which of them."""
    registry = _registry(get_settings())
    registry.require_author(name)
    thresholds = registry.change_thresholds(name, dict(_threshold(one) for one in change)) if change else registry.thresholds(name)
    if as_json:
        typer.echo(thresholds.model_dump_json(indent=1))
        return
    table = Table("threshold", "value", "meaning", box=None, header_style="bold")
    for field, about in type(thresholds).model_fields.items():
        table.add_row(field, str(getattr(thresholds, field)), about.description)
    console.print(table)
    for step in registry.transitions(name):
        when = f"{step.created_at:%Y-%m-%d %H:%M} UTC"
        console.print(
            f"[dim]{when}[/dim] {step.model_version}: {step.before or 'new'} -> {step.after}, {escape(step.actor)}. {escape(step.reason)}"
        )


def _threshold(change: str) -> tuple[str, Any]:
    name, said, value = change.partition("=")
    if not said:
        raise typer.BadParameter(f"{change!r} is no NAME=VALUE; NAME= takes a threshold back to its default")
    return name.strip(), value.strip() or None


@app.command()
def approve(
    name: Author,
    refuse: Annotated[bool, typer.Option("--reject", help="Keep the model from serving instead.")] = False,
    version: Annotated[str | None, typer.Option(help="The model that is meant; refused when another one is newer.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is noted.")] = "",
    deploy: Annotated[bool, typer.Option(help="Deploy it at once.")] = True,
) -> None:
    """Let the newest model serve where the policy is manual, or keep it from serving."""
    import getpass

    from twin_assets.serving import gate as of_models

    registry = _registry(get_settings())
    registry.require_author(name)
    decide = of_models.reject if refuse else of_models.approve
    model = decide(name, getpass.getuser(), registry, version=version, reason=reason)
    console.print(f"Model {model.version} is {'rejected' if refuse else 'accepted'}.")
    if deploy and not refuse:
        _run(name, "tgi_deployment", get_settings(), alone=True)  # the model that was approved, not what a crawl might bring


@app.command()
def forget(
    name: Author,
    document: Annotated[str | None, typer.Option(metavar="ID", help="Forget one document only.")] = None,
) -> None:
    """Forget an author, or one document, everywhere. Not built yet: says so and deletes nothing."""
    _registry(get_settings()).require_author(name)
    what = f"document {document} of {name}" if document else name
    raise TwinError(f"Forgetting {what} everywhere is not built yet; nothing was deleted. Remove the file from its source and run again.")


@app.command()
def demo(
    source: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="Learn from this folder instead of the sample author.")
    ] = None,
) -> None:
    """Set up an author, run the whole graph, and show a draft by the trained, evaluated, deployed twin."""
    from twin_assets.ingest.registry import register
    from twin_assets.sample import SAMPLE_AUTHOR, sample_sources

    settings = get_settings()
    author, locations = SAMPLE_AUTHOR, [str(path) for path in sample_sources()]
    if source is not None:
        locations = [_checked_location(str(source))]
        author = _author_name(Path(locations[0]))
    registry = register(author, locations, settings)
    report = _run(author, None, settings)
    _print_summary(author, report.metadata, registry)
    _print_draft(_draft(settings, author=author, prompt=DEMO_PROMPT, platform=None, words=120, links=[], seed=7))
    console.print("\nPostgres and the model server go on running ([bold]twin down[/bold] stops them).")
    console.print("Next: [bold]make up[/bold] opens the Dagster UI, the API and the writing assistant;")
    console.print(
        f'      [bold]twin write {author} "..."[/bold] writes another draft; [bold]twin add YOU --source PATH[/bold] starts your own twin.'
    )


@app.command()
def login(
    platform: Annotated[str, typer.Argument(help="The platform to log in to: linkedin.")],
    timeout: Annotated[int, typer.Option(min=10, metavar="SECONDS", help="How long to wait for you.")] = 600,
) -> None:
    """Open a browser window in which you log in by hand, and keep that you are logged in; never a password."""
    from twin_assets.ingest.browser import log_in

    hint = "Log in by hand in the window that opens; it closes by itself. What you type is neither read nor kept."
    path = log_in(platform, get_settings(), seconds=timeout, on_open=lambda: console.print(hint))
    console.print(f"Kept in {escape(str(path))}, readable by you alone. To log out again, delete that file.", soft_wrap=True)


@features.command("migrate")
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
        progress=lambda line: console.print(f"[dim]{escape(line)}[/dim]"),
    )
    for comparison in report.comparisons:
        console.print(escape(str(comparison)))
    before = "as before" if report.previous == report.model else f"before: {report.previous or 'none'}"
    console.print(f"[bold]{escape(report.model)}[/bold] is searched with ({escape(before)}).")
    console.print(f"{report.embedded:,} texts were embedded, {report.dropped:,} old vectors deleted.")
    if settings.embedder != model:
        console.print(f"Set TWIN_EMBEDDER={escape(model)}, which says what a new home begins with.")


@features.command("accept")
def features_accept(name: Author) -> None:
    """Take the newest measurement of an author's search as the one to hold later ones against, whatever it lost."""
    from twin_assets.features import golden

    registry = _registry(get_settings())
    registry.require_author(name)
    artifact = golden.accept(registry, name)
    console.print(f"Later measurements are held against {artifact.version}: recall@10 {artifact.figures['recall_at_10']:.3f}.")


@db.command("start")
def db_start() -> None:
    """Start the embedded Postgres."""
    from twin_assets.store.database import open_database
    from twin_assets.store.roles import Role

    settings = get_settings()
    if settings.database_url is not None:
        raise TwinError("TWIN_DATABASE_URL is set: that server is not ours to start. `twin db shell` connects to it.")
    console.print(f"Postgres runs: {escape(open_database(settings, Role.OWNER).url)}", soft_wrap=True)


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded Postgres."""
    from twin_assets.store.postgres import EmbeddedPostgres

    console.print("Stopped." if EmbeddedPostgres(get_settings().postgres_home).stop() else "It was not running.")


@db.command("url")
def db_url() -> None:
    """Print the connection URL, starting the server when needed."""
    from twin_assets.store.database import open_database
    from twin_assets.store.roles import Role

    typer.echo(open_database(get_settings(), Role.OWNER).url)


@db.command("shell")
def db_shell() -> None:
    """Open psql on the database."""
    from sqlalchemy.engine import make_url

    from twin_assets.store.database import open_database
    from twin_assets.store.postgres import EmbeddedPostgres
    from twin_assets.store.roles import Role

    settings = get_settings()
    url = open_database(settings, Role.OWNER).url
    program = shutil.which("psql")
    if settings.database_url is None:
        program = str(EmbeddedPostgres(settings.postgres_home).program("psql"))
    if program is None:
        raise TwinError("psql is not installed. Any Postgres client works with the URL that `twin db url` prints.")
    parsed = make_url(url)
    environment = {**os.environ, **({"PGPASSWORD": parsed.password} if parsed.password else {})}  # other users see a command line
    os.execve(program, [program, parsed._replace(password=None).render_as_string()], environment)  # noqa: S606


def _registry(settings: Settings, as_ingest: bool = False) -> Any:
    from twin_assets.store.database import open_database
    from twin_assets.store.registry import Registry
    from twin_assets.store.roles import Role

    return Registry(open_database(settings, Role.INGEST if as_ingest else Role.DOWNSTREAM))


def _artifacts(settings: Settings) -> Any:
    from twin_assets.store.artifacts import ArtifactStore

    return ArtifactStore(settings.artifacts_url)


def _draft(settings: Settings, **request: Any) -> Any:
    from twin_assets.store.artifacts import ArtifactStore
    from twin_assets.store.database import open_database
    from twin_assets.store.registry import Registry
    from twin_assets.writing.drafts import Writer
    from twin_assets.writing.request import DraftRequest

    try:
        wanted = DraftRequest(**request)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise TwinError(f"This cannot be written: {problems}.") from error
    database = open_database(settings)
    return Writer(database, Registry(database), ArtifactStore(settings.artifacts_url), settings).write(wanted)


def _run(author: str, to: str | None, settings: Settings, alone: bool = False) -> Any:
    from twin_assets.runs import materialize, run_log

    with _progress() as show:
        report = materialize(author, to, settings, show, alone)
    if report.success:
        return report
    problem = report.error or "\n".join(report.failed_checks)
    raise TwinError(
        f"The run for {author} did not succeed. {problem}\n"
        f"More is in {run_log(author, settings)}, and under `twin up` in the Dagster UI: run {report.run_id[:8]}."
    )


@contextmanager
def _progress() -> Iterator[Any]:
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


def _print_summary(author: str, metadata: dict[str, dict[str, Any]], registry: Any) -> None:
    model, report = registry.latest_model(author), registry.latest_artifact(author, "eval_report")
    cleaned = metadata.get("cleaning/cleaned_documents", {})
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "learned from", f"{cleaned.get('documents', '?')} documents, {cleaned.get('voice_words', 0):,} words of {author}'s own prose"
    )
    table.add_row(
        "training loss", f"{model.figures['loss_first']:.3f} -> {model.figures['loss_last']:.3f} in {model.figures['steps']} steps"
    )
    figures = report.figures
    scores = f"base {figures['voice_base']:.2f} -> twin {figures['voice_twin']:.2f}"
    table.add_row("voice score", f"{scores} of texts sound like {author}; of their real texts {figures['voice_human']:.2f}")
    table.add_row("report", escape(report.uri))
    console.print(Panel(table, title="the twin", border_style="green"))


def _print_draft(draft: Any) -> None:
    console.print(Panel(escape(draft.text), title=f"a draft by the twin of {draft.author}", subtitle=f"model {draft.model_version}"))
    if draft.voice:
        console.print(_voice_line(draft.voice))
    elif draft.voice_missing:
        console.print(escape(draft.voice_missing))
    for number, citation in enumerate(draft.citations, 1):
        day = citation.published_at.date().isoformat() if citation.published_at else ""
        console.print(f"[dim]{number}. drew on {escape(citation.title or citation.url or 'an untitled piece')} {day}[/dim]")


def _voice_line(voice: Any) -> str:
    return f"voice score {voice.score:.2f} ({voice.low:.2f} to {voice.high:.2f}): sounds most like {escape(voice.attributed_to)}"


def _print_voice(author: str, voice: Any) -> None:
    console.print(_voice_line(voice))
    console.print(f"{voice.typicality:.0%} of {author}'s own passages sound less like {author}; {voice.words} words were looked at.")
    if voice.pulls:
        table = Table("what pulls it away", "here", author, title="per 1,000 words and marks", title_justify="left", box=None)
        for pull in voice.pulls:
            table.add_row(escape(pull.feature), f"{pull.text:.1f}", f"{pull.author:.1f}")
        console.print(table)
    for odd in voice.odd_sentences:
        console.print(f"[dim]least like {author}:[/dim] {escape(odd.sentence)}")


def _print_passages(passages: list[Any]) -> None:
    if not passages:
        console.print("Nothing fits.")
    for place, passage in enumerate(passages, 1):
        where = " > ".join(part for part in (passage.title, *passage.headings) if part) or passage.kind
        when = f", {passage.published_at:%Y-%m-%d}" if passage.published_at else ""
        likeness = f", similarity {passage.similarity:.2f}" if passage.similarity is not None else ""
        words = f", words {passage.lexical:.1f}" if passage.lexical is not None else ""
        console.print(Panel(escape(passage.text), title=f"{place}. {escape(where)}", title_align="left", border_style="dim"))
        console.print(
            f"   [dim]{escape(passage.url or 'no address')}{when}; characters {passage.starts} to {passage.ends}{likeness}{words}[/dim]"
        )


def _print_services(services: list[Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for service in services:
        table.add_row(f"[bold]{service.name}[/bold]", service.url or "(no page)", f"[dim]{escape(service.log)}[/dim]")
    console.print(Panel(table, title="up (Ctrl-C stops everything)", border_style="green"))


def _checked_location(entry: str) -> str:
    """An absolute path or a URL that some source can read."""
    from twin_assets.ingest.registry import is_url, normalized

    location = normalized(entry)
    if "://" in entry and not is_url(entry):
        raise TwinError(f"{entry} is no web address that can be read: it must begin with http:// or https://.")
    if not is_url(location) and not Path(location).exists():
        raise TwinError(f"There is no file or folder {location}. Check the path, or give a URL that begins with http:// or https://.")
    return location


def _author_name(path: Path) -> str:
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in path.stem.lower()).strip("-")
    return name[:63] or "author"


def _problems(error: ValidationError) -> str:
    return " ".join(f"TWIN_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}, not {item['input']!r}." for item in error.errors())


def _quiet_logs() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )


def _fail(message: str, code: int) -> NoReturn:
    errors.print(f"[red]✗[/red] {escape(message)}", soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
