"""Drafts, search, and the voice of a text."""

import json
import sys
from base64 import b64encode
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from twin_assets.cli.terminal import AsJson, Author, console, registry_of
from twin_assets.settings import Settings, get_settings
from twin_assets.store.errors import TwinError


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
    draft = drafted(get_settings(), author=name, prompt=prompt, platform=platform, words=words, links=link or [], files=files)
    if as_json:
        typer.echo(draft.model_dump_json(indent=1))
    else:
        print_draft(draft)


def _content(path: Path) -> bytes:
    from twin_assets.writing.request import MAX_FILE_BYTES

    if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
        raise TwinError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB. Give the part of it that matters.")
    return path.read_bytes()


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
    registry = registry_of(settings, name)
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


def voice(
    name: Author,
    file: Annotated[Path | None, typer.Argument(help="A text file; standard input when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how much a text sounds like the author, how sure that is, and what in it does not."""
    writer = _writer(get_settings())
    text = _content(file).decode(errors="replace") if file else sys.stdin.read()
    judged = writer.voice(name, text)
    if as_json:
        typer.echo(judged.model_dump_json(indent=1))
    else:
        _print_voice(name, judged)


def drafted(settings: Settings, **request: Any) -> Any:
    """A draft by the deployed twin.

    Raises:
        TwinError: When the request is none, or nothing can be written.
    """
    from twin_assets.writing.request import DraftRequest

    try:
        wanted = DraftRequest(**request)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise TwinError(f"This cannot be written: {problems}.") from error
    return _writer(settings).write(wanted)


def _writer(settings: Settings) -> Any:
    from twin_assets.store.artifacts import ArtifactStore
    from twin_assets.writing.drafts import Writer

    registry = registry_of(settings)
    return Writer(registry.database, registry, ArtifactStore(settings.artifacts_url), settings)


def print_draft(draft: Any) -> None:
    """The draft, how it sounds, and what it drew on."""
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
