"""What cleaning does to real corpora, by rules of its own and not by those of the models that are measured.

Figures per corpus, ``mtlynch_*`` (a blog), ``til_*`` (a folder of notes) and ``handbook_*`` (what another LLM twin crawled of two authors):

* ``posts``, ``kept``: of all that was read, how much becomes a document. The table of the others is by reason.
* ``punctuation_kept``: of the marks in prose blocks that were not removed, as they were collected, the share that stands in
  ``text_for_voice``. Addresses on the web are left out on both sides. ``marks`` is how many there are.
* ``paragraphs_kept``: of those blocks, the share that is a paragraph of ``text_for_voice``, with all of its letters.
* ``boilerplate_lines_left``: lines that the documents of one place repeat. See ``repeated_lines``.
* ``blocks_unaccounted``: prose blocks of which nothing is in the voice, though nothing says that they were removed.
* ``removals``: blocks, lines and addresses that were removed from documents that are kept.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg

from benchmarks.frame import Result, say
from twin_assets.ingest.collect import Rules
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.sync import sync_source
from twin_assets.ingest.web import Web
from twin_assets.ingest.works import group_works
from twin_assets.store.database import Database

DUMP = Path("llm_handbook_raw/data/data_warehouse_raw_data")
CORPORA = {"mtlynch": Path("blog_mtlynch"), "til": Path("til_simonw"), "handbook": DUMP}
MARKS = "'’\"“”…—–,;!?"
PROSE = ("paragraph", "list")
OWN_REASONS = ("no_text", "too_short", "repetitive", "language", "too_long", "after_cutoff")
"""Why the cleaning drops a document, beside what the collecting stage had said."""
REPEATED = 4
"""Texts below which nothing counts as repeated."""
SHARES = {3: 0.3, 8: 0.03}
"""From so many words on, the share of a place's texts that makes a line a repeated one: nobody says eight words alike by chance."""
LONGEST_LINE = 400
_ADDRESS = re.compile(r"(?:https?://|\bwww\.)[^\s<>`\"”]+", re.IGNORECASE)
_AFTER_ADDRESS = ".,;:!?'’…)]*_"
_CONTEXT = 160


@dataclass
class Document:
    """A kept document, and what it was made from."""

    id: UUID
    place: tuple[str, str]
    """Author, and host or platform."""
    title: str
    voice: str
    blocks: Sequence[Mapping[str, Any]]
    masked: frozenset[int]
    """Positions of blocks with placeholders."""
    removed: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What was removed from both lanes, by position."""


@dataclass(frozen=True)
class Removal:
    """Something that was removed, for a person to judge."""

    author: str
    reason: str
    title: str
    text: str
    context: str


def measure(database: Database, build: Callable[[], object], arguments: argparse.Namespace, result: Result) -> None:
    """Collects and cleans the corpora that are there, and adds their figures.

    Args:
        database: An empty warehouse.
        build: Annotates and cleans everything in it.
        arguments: With ``data``, ``removals`` and ``seed``.
        result: Gets the figures and tables.
    """
    authors = {name: collect(database, name, arguments.data / folder) for name, folder in CORPORA.items()}
    build()
    removals: list[Removal] = []
    with psycopg.connect(database.url) as connection:
        for name, names in authors.items():
            if names:
                documents = list(_documents(connection, names))
                result.figures |= {f"{name}_{key}": value for key, value in _figures(connection, names, documents, result.details).items()}
                removals += _removals(connection, names)
    result.figures["boilerplate_lines_left"] = sum(int(result.figures.get(f"{name}_boilerplate_lines_left") or 0) for name in authors)
    result.details += _table(("author", "reason", "removals"), Counter((removal.author, removal.reason) for removal in removals))
    result.details += sampled(removals, arguments.removals, arguments.seed)


def collect(database: Database, name: str, folder: Path) -> list[str]:
    """Brings a corpus into the warehouse, where it is there.

    Returns:
        The authors under whose names it is.
    """
    if not folder.is_dir():
        return []
    say(f"collecting {folder.name}")
    known_as = _known_as(folder) if name == "handbook" else {name: ()}
    for author, names in known_as.items():
        with Web() as web:
            sync_source(database, author, open_source(str(folder), web), Rules(names, author=author))
        group_works(database, author)
    return list(known_as)


def _known_as(folder: Path) -> dict[str, tuple[str, ...]]:
    names = {record["author_full_name"] for record in json.loads((folder / "ArticleDocument.json").read_text())}
    return {name.lower().replace(" ", "-"): (name,) for name in sorted(names)}


def repeated_lines(texts: Iterable[tuple[object, str]]) -> list[tuple[object, str, int]]:
    """Lines that many texts of one place have: the place, the line in its first spelling, and in how many texts.

    Lines are compared without case, marks, list markers and numbers, so that it finds what differs from text to text in a date or in a
    count; and every line counts, not only whole paragraphs. How many is many depends on how long the line is (``SHARES``); lines of one or
    two words are said often and do not count.
    """
    sizes = Counter[object]()
    spelling: dict[tuple[object, str], str] = {}
    found = Counter[tuple[object, str]]()
    for place, text in texts:
        sizes[place] += 1
        lines = {_compared(line): line for line in text.split("\n") if len(line) <= LONGEST_LINE}
        for compared, line in lines.items():
            if compared:
                spelling.setdefault((place, compared), line)
                found[place, compared] += 1
    return [
        (place, spelling[place, compared], count)
        for (place, compared), count in found.most_common()
        if count >= max(REPEATED, _share_asked(compared) * sizes[place])
    ]


def _share_asked(compared: str) -> float:
    words = compared.count(" ") + 1
    return min((share for least, share in SHARES.items() if words >= least), default=2)


def _compared(line: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+", line.casefold()))


def without_addresses(text: str) -> str:
    """A text without its addresses on the web, nor what stands for them; the marks behind them stay."""
    return _ADDRESS.sub(lambda found: found[0][len(found[0].rstrip(_AFTER_ADDRESS)) :], text).replace("[link]", "")


def marks_kept(prose: Iterable[str], voice: str) -> tuple[int, int, Counter[str]]:
    """How many marks the prose has, how many of them the voice has too, and which are lost."""
    before = _marks("\n".join(prose))
    lost = before - _marks(voice)
    return before.total(), before.total() - lost.total(), lost


def _marks(text: str) -> Counter[str]:
    counts = Counter(without_addresses(text))
    return Counter({mark: counts[mark] for mark in MARKS})


def paragraphs_kept(prose: Iterable[str], voice: str) -> tuple[int, int]:
    """How many paragraphs the prose has, and how many of them are paragraphs of the voice too."""
    before = Counter(letters for text in prose for part in text.split("\n\n") if (letters := _letters(part)))
    after = Counter(letters for part in voice.split("\n\n") if (letters := _letters(part)))
    return before.total(), (before & after).total()


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", without_addresses(text))


def _documents(connection: psycopg.Connection, authors: list[str]) -> Iterator[Document]:
    removed = defaultdict[UUID, list[tuple[int, str]]](list)
    for id, position, text in connection.execute(
        "select document_id, position, removed_text from cleaning.dropped_blocks where author = any(%s) and lane = 'both'", [authors]
    ):
        removed[id].append((position, text))
    rows = connection.execute(
        """
        select cleaned.document_id, cleaned.author, cleaned.platform, cleaned.url, coalesce(cleaned.title, ''), cleaned.text_for_voice,
            posts.blocks, annotations.masks
        from cleaning.cleaned_documents as cleaned
        inner join ingest.raw_posts as posts on cleaned.document_id = posts.id
        inner join cleaning.annotations as annotations on cleaned.document_id = annotations.document_id
        where cleaned.author = any(%s)
        order by cleaned.document_id
        """,
        [authors],
    )
    for id, author, platform, url, title, voice, blocks, masks in rows.fetchall():
        place = author, (urlsplit(url).hostname if url else None) or platform
        document = Document(id, place, title, voice, blocks, frozenset(mask["block"] for mask in masks))
        for position, text in removed[id]:
            document.removed[position].append(text)
        yield document


def prose_left(document: Document) -> Iterator[tuple[int, str]]:
    """The prose blocks of a document as they were collected, without those and without the lines that were removed."""
    for position, block in enumerate(document.blocks, 1):
        text, removed = block["text"], document.removed.get(position, [])
        if block["type"] in PROSE and position not in document.masked and text not in removed:
            yield position, "\n".join(line for line in text.split("\n") if line not in removed)


def _figures(
    connection: psycopg.Connection, authors: list[str], documents: list[Document], details: list[str]
) -> dict[str, float | int | None]:
    marks = kept_marks = paragraphs = kept_paragraphs = unaccounted = 0
    for document in documents:
        prose = dict(prose_left(document))
        there, kept, lost = marks_kept(prose.values(), document.voice)
        marks, kept_marks = marks + there, kept_marks + kept
        there, kept = paragraphs_kept(prose.values(), document.voice)
        paragraphs, kept_paragraphs = paragraphs + there, kept_paragraphs + kept
        letters = _letters(document.voice)
        missing = [text for text in prose.values() if _letters(text) not in letters]
        unaccounted += len(missing)
        details += [f"missing in {document.title}: {text[:_CONTEXT]!r}" for text in missing]
        if lost:
            details.append(f"marks lost in {document.title}: {dict(lost)}")
    lines = repeated_lines((document.place, document.voice) for document in documents)
    details += [f"left in {count} documents of {place}: {line!r}" for place, line, count in lines]
    by_reason = connection.execute(
        "select author, reason, count(*) from cleaning.dropped_documents where author = any(%s) group by author, reason order by 1, 3 desc",
        [authors],
    ).fetchall()
    details += _table(("author", "dropped because", "documents"), {(author, reason): count for author, reason, count in by_reason})
    return {
        "posts": len(documents) + sum(count for *_, count in by_reason),
        "kept": len(documents),
        "words": sum(len(document.voice.split()) for document in documents),
        "marks": marks,
        "punctuation_kept": _share(kept_marks, marks),
        "paragraphs": paragraphs,
        "paragraphs_kept": _share(kept_paragraphs, paragraphs),
        "blocks_unaccounted": unaccounted,
        "boilerplate_lines_left": len(lines),
        "removals": sum(removal.reason not in OWN_REASONS for removal in _removals(connection, authors)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None


def _removals(connection: psycopg.Connection, authors: list[str]) -> list[Removal]:
    """Everything that was removed and could have been the author's: not code, quotes and tables, which only the voice goes without."""
    blocks = connection.execute(
        """
        select dropped.author, dropped.reason, coalesce(posts.title, posts.origin), dropped.removed_text, dropped.position, posts.blocks
        from cleaning.dropped_blocks as dropped
        inner join ingest.raw_posts as posts on dropped.document_id = posts.id
        where dropped.author = any(%s) and dropped.reason <> 'not_prose'
        order by dropped.document_id, dropped.position, dropped.reason, dropped.removed_text
        """,
        [authors],
    )
    found = [Removal(*row[:4], context=_around(row[5], row[4], row[3])) for row in blocks]
    masks = connection.execute(
        """
        select annotations.author, coalesce(posts.title, posts.origin), masks, posts.blocks
        from cleaning.annotations
        inner join cleaning.cleaned_documents using (document_id)
        inner join ingest.raw_posts as posts on annotations.document_id = posts.id
        where annotations.author = any(%s) and masks <> '[]'
        order by document_id
        """,
        [authors],
    )
    for author, title, places, raw in masks:
        for mask in places:
            text = title if mask["block"] == 0 else raw[mask["block"] - 1]["text"]
            cut = f"{text[max(0, mask['start'] - _CONTEXT) : mask['start']]}[[{text[mask['start'] : mask['end']]}]]{text[mask['end'] :][:_CONTEXT]}"
            found.append(Removal(author, "masked", title, f"{text[mask['start'] : mask['end']]} as {mask['placeholder']}", cut))
    documents = connection.execute(
        """
        select dropped.author, dropped.reason, coalesce(posts.title, posts.origin), dropped.detail, left(posts.blocks::text, 600)
        from cleaning.dropped_documents as dropped
        inner join ingest.raw_posts as posts on dropped.document_id = posts.id
        where dropped.author = any(%s) and dropped.reason = any(%s)
        order by dropped.document_id
        """,
        [authors, list(OWN_REASONS)],
    )
    return found + [Removal(*row) for row in documents]


def _around(blocks: Sequence[Mapping[str, Any]], position: int, removed: str) -> str:
    """The block that it was removed from, cut around it, and the ends of its neighbours."""
    texts = [block["text"] for block in blocks]
    text = texts[position - 1]
    start = max(0, text.find(removed) - _CONTEXT)
    before = texts[position - 2][-_CONTEXT:] if position > 1 else ""
    after = texts[position][:_CONTEXT] if position < len(texts) else ""
    return f"{before} ¶ {text[start : start + len(removed) + 2 * _CONTEXT]} ¶ {after}"


def sampled(removals: Sequence[Removal], count: int, seed: int) -> list[str]:
    """So many removals, drawn by chance, of each author and reason in turn, so that the rare ones are seen too."""
    kinds = defaultdict[tuple[str, str], list[Removal]](list)
    for removal in Random(seed).sample(removals, len(removals)):
        kinds[removal.author, removal.reason].append(removal)
    drawn = [removal for turn in zip_longest(*(_spread(kinds[kind]) for kind in sorted(kinds))) for removal in turn if removal]
    lines = []
    for number, removal in enumerate(drawn[:count], 1):
        lines += [
            "",
            f"{number}. {removal.reason}, {removal.author}: {removal.title}",
            f"   removed: {removal.text!r}",
            f"   around:  {removal.context!r}",
        ]
    return lines


def _spread(removals: Sequence[Removal]) -> list[Removal]:
    """First one of each document and text, then the second ones: what a list of a hundred addresses loses is judged once."""
    titles, texts = Counter[str](), Counter[str]()
    turns = []
    for removal in removals:
        titles[removal.title] += 1
        texts[removal.text] += 1
        turns.append(max(titles[removal.title], texts[removal.text]))
    return [removal for _, removal in sorted(zip(turns, removals, strict=True), key=lambda pair: pair[0])]


def _table(head: tuple[str, ...], rows: Mapping[tuple[str, ...], int]) -> list[str]:
    body = [f"| {' | '.join(map(str, (*names, count)))} |" for names, count in sorted(rows.items())]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body] if body else []
