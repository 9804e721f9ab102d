"""The graph for one author: making it, what its checks say, and who lets a model serve."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from twin_assets.cli.sources import checked_location
from twin_assets.cli.terminal import AsJson, Author, console, print_unread, progress, registry_of, run_graph
from twin_assets.cli.writing import drafted, print_draft
from twin_assets.settings import get_settings
from twin_assets.store.errors import TwinError

DEMO_PROMPT = "a small thing that went wrong this week"
LOG_WIDTH = 180  # of a table that no terminal shows


def run(
    name: Author,
    to: Annotated[str | None, typer.Option("--to", metavar="ASSET", help="Stop at this asset, such as voice_profile.")] = None,
) -> None:
    """Materialize the chain for one author."""
    from twin_assets.ingest.crawls import last_reads, unanswered

    settings = get_settings()
    registry = registry_of(settings, name)
    run_graph(name, to, settings)
    print_unread(name, unanswered(last_reads(registry.database, name)))
    _print_waiting(name, registry)


def _print_waiting(author: str, registry: Any) -> None:
    from twin_assets.serving.gate import waiting

    for model in (model for model, _ in waiting(registry) if model.author == author):
        console.print(f"[yellow]Model {model.version} passed the gate and waits for a person:[/yellow] twin approve {author}")


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
    registry_of(settings, author)  # first: to load the graph takes seconds
    from twin_assets.checking import newest_verdicts

    return newest_verdicts(author, settings)


def _checks_of_the_sample_author(quiet: bool) -> list[Any]:
    from twin_assets.homes import home_of_its_own

    with home_of_its_own() as settings:  # first: the graph reads the settings when it is loaded
        from twin_assets.checking import check_sample_author

        if quiet:
            return check_sample_author(settings, lambda _: None)
        with progress() as show:
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


def gate(
    name: Author,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a threshold; several times.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change what the author's models must show before they serve, and who let which of them."""
    registry = registry_of(get_settings(), name)
    thresholds = registry.change_thresholds(name, _changes(change)) if change else registry.thresholds(name)
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


def recipe(
    name: Author,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a key of the recipe; several times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change how the author's twin is trained: which recipe, and what is otherwise than in it."""
    from twin_assets.store.artifacts import ArtifactStore
    from twin_assets.store.overrides import Overrides
    from twin_assets.training.budget import estimate
    from twin_assets.training.machine import require_ready
    from twin_assets.training.recipes import chosen, names, preferred
    from twin_assets.training.trainer import make_plan

    settings = get_settings()
    registry = registry_of(settings, name)
    changes = _changes(change or [])
    if config := changes.get("config"):
        if config not in names() and (path := Path(config).expanduser()).is_file():
            config = changes["config"] = str(path.absolute())  # from here; what trains is at home elsewhere
        require_ready(settings, Overrides.model_validate({"config": config}))  # what could not be trained with is not kept
    own = registry.change_overrides(name, changes) if changes else registry.overrides(name)
    taken, pairs, plan = chosen(settings, own), preferred(settings, own), make_plan(name, "", settings, own)
    in_force = {key: plan.recipe.get(key) for key in Overrides.model_fields} | {"config": taken.name}
    said = own.model_dump(exclude_none=True)
    needs, refused = None, None
    if dataset := registry.latest_artifact(name, "instruct_dataset"):
        training_file = ArtifactStore(settings.artifacts_url).local(dataset.uri) / "train.jsonl"
        needs = estimate(training_file, plan.recipe, taken.launched(settings).expected)
    if not config:  # above, it was looked at
        try:
            require_ready(settings, own)
        except TwinError as error:
            refused = str(error)
    if as_json:
        of = {"expected": asdict(needs) if needs else None, "refused": refused}
        typer.echo(json.dumps({"base_model": taken.base_model, "in_force": in_force, "overrides": said, **of}, indent=1))
        return
    table = Table("key", "value", "said by", "meaning", box=None, header_style="bold")
    for key, about in Overrides.model_fields.items():
        value = str(said.get(key, "-" if in_force[key] is None else in_force[key]))
        table.add_row(key, escape(value), name if key in said else "", about.description)
    console.print(table)
    for one in filter(None, (taken, pairs)):
        console.print(escape(_made_for(one)))
    if needs:
        console.print(f"the newest dataset: {needs}{', without the pairs' if pairs else ''}")
    if refused:
        console.print(f"[yellow]The next training will be refused.[/yellow] {escape(refused)}")
    else:
        console.print(f"The next training is with this: [bold]twin run {name}[/bold]")


def _made_for(recipe: Any) -> str:
    learns = "pairs" if recipe.method == "dpo" else "passages"
    if recipe.expected is None:
        return f"{recipe.name} trains {recipe.base_model} on {learns}; it does not say what it is made for"
    gpus = recipe.expected.gpus
    of = f"each of {gpus} GPUs" if gpus > 1 else "the GPU" if gpus else "the process"
    needs = f"{recipe.expected.instance}, with {recipe.expected.memory_gb:g} GB of {of}"
    return f"{recipe.name} trains {recipe.base_model} on {learns}; it is made for {needs}"


def _changes(said: list[str]) -> dict[str, Any]:
    """What `--set` was given, by name; None takes a value away."""
    found: dict[str, Any] = {}
    for change in said:
        name, equals, value = change.partition("=")
        if not equals:
            raise typer.BadParameter(f"{change!r} is no NAME=VALUE; NAME= takes a value back to its default")
        found[name.strip()] = value.strip() or None
    return found


def compare(
    name: Author,
    versions: Annotated[
        list[str] | None, typer.Argument(metavar="VERSION", help="Two models, or how they begin; all when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the author's trainings beside each other, or two of them in full."""
    from twin_assets.evaluation.comparison import compare as differences
    from twin_assets.evaluation.comparison import experiments

    if versions and len(versions) != 2:
        raise typer.BadParameter("give two VERSIONs, or none")
    found = experiments(name, registry_of(get_settings(), name))
    if as_json:
        typer.echo(
            json.dumps([asdict(one) for one in found if not versions or any(one.version.startswith(said) for said in versions)], indent=1)
        )
        return
    if versions:
        table = Table("", *versions, "difference", box=None, header_style="bold")
        rows: list[tuple[str, ...]] = [*differences(found, *versions)]
    else:
        shown = (
            "passages",
            "loss at last",
            "held-out loss at last",
            "dollars",
            "sounds like the author",
            "the same with retrieval",
            "key points kept with retrieval",
        )
        table = Table("model", "stage", "base model", *shown, box=None, header_style="bold")
        rows = [
            (one.version, one.status, one.base_model, *(f"{one.figures[figure]:.3g}" if figure in one.figures else "-" for figure in shown))
            for one in found
        ]
    for row in rows:
        table.add_row(*map(escape, row))
    wide = console if console.is_terminal else Console(file=console.file, highlight=False, width=max(console.width, LOG_WIDTH))
    wide.print(table if rows else f"{name} has no trained model yet. Run: twin run {name}")


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

    settings = get_settings()
    registry = registry_of(settings, name)
    decide = of_models.reject if refuse else of_models.approve
    model = decide(name, getpass.getuser(), registry, version=version, reason=reason)
    console.print(f"Model {model.version} is {'rejected' if refuse else 'accepted'}.")
    if deploy and not refuse:
        run_graph(name, "tgi_deployment", settings, alone=True)  # the model that was approved, not what a crawl might bring


def push(
    name: Author,
    to: Annotated[str, typer.Option("--to", metavar="OWNER/REPO", help="The repository on the hub; made where there is none.")],
    model: Annotated[
        str | None, typer.Option(metavar="VERSION", help="How the model's version begins; the newest accepted one when left out.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody read it; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Push an adapter of the author's to the Hugging Face hub, privately unless it is said otherwise."""
    from twin_assets.models import on_hub
    from twin_assets.store.artifacts import ArtifactStore
    from twin_assets.training import hub

    settings = get_settings()
    registry = registry_of(settings, name)
    release = hub.release(hub.model_to_push(name, model, registry), to, public, ArtifactStore(settings.artifacts_url))
    pushed = release.model
    if public and not yes and not typer.confirm(_asked_of_a_public_voice(name, pushed.version, to, registry)):
        raise TwinError("Nothing was pushed.")
    if pushed.status not in hub.LET_THROUGH:
        console.print(f"[yellow]Model {pushed.version} is {pushed.status}: the gate did not let it through.[/yellow]")
    done = hub.push(release, registry)
    seen_by = "everybody can read it" if public else "private: only its owner, or the members of the organization, can read it"
    what = f"{len(release.files)} files, {release.size / 1e6:.1f} MB" if done.new else "was there already"
    console.print(f"Model {pushed.version}: {what}, {escape(done.url)} ({seen_by}).", soft_wrap=True)
    if not on_hub(pushed.base_model):
        console.print(
            f"Its base model is not on the hub; name yours where you load it: [dim]{escape(hub.load_hint(to))}[/dim]", soft_wrap=True
        )


def _asked_of_a_public_voice(author: str, version: str, to: str, registry: Any) -> str:
    reports = [one.figures for one in registry.artifacts(author, "eval_report") if one.figures.get("model_version") == version]
    longest = reports[0].get("verbatim_longest") if reports else None
    copied = f"the longest copy in its evaluation was {longest} words" if longest is not None else "how much is not measured"
    return (
        f"{to} is going to be PUBLIC. Anybody can download the voice of {author} and write with it what {author} never said, and who has it "
        "keeps it: deleting the repository does not take it back. A model can also repeat what it learned from, word for word "
        f"({copied}). Its card says that {author} consents.\nDo you speak for {author}, and is everybody to have this voice?"
    )


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
        locations = [checked_location(str(source))]
        author = _author_name(Path(locations[0]))
    registry = register(author, locations, settings)
    report = run_graph(author, None, settings)
    _print_summary(author, report.metadata, registry)
    print_draft(drafted(settings, author=author, prompt=DEMO_PROMPT, platform=None, words=120, links=[], seed=7))
    console.print("\nPostgres and the model server go on running ([bold]twin down[/bold] stops them).")
    console.print("Next: [bold]make up[/bold] opens the Dagster UI, the API and the writing assistant;")
    console.print(
        f'      [bold]twin write {author} "..."[/bold] writes another draft; [bold]twin add YOU --source PATH[/bold] starts your own twin.'
    )


def _author_name(path: Path) -> str:
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in path.stem.lower()).strip("-")
    return name[:63] or "author"


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
