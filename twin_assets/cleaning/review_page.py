"""The review of an author's documents as one HTML page that needs nothing beside it, and in short as Markdown.

The texts in it were taken from anyone's pages: every one is escaped, there is no script, and the page may load nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import groupby

from upath import UPath

from twin_assets.cleaning.review import (
    Block,
    Dropped,
    Piece,
    Review,
    Reviewed,
    Words,
    label,
    mask_name,
    read_ranked,
    read_review,
    review_version,
)
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry

KIND = "cleaning_review"
LAYOUT = "1"
"""Goes up when the page looks different: then it is written again."""

_OPEN = 5
_FOLDED = 3
_IN_TABLE = 10
_LINES_IN_TABLE = 3
_LONGEST_LINE = 120
_LONGEST_TITLE = 200

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2230; --soft: #5b6576; --line: #e0e5ec; --ground: #f6f7f9; --card: #fff; --accent: #2f6fdf;
  --gone: #fbe3e1; --gone-ink: #a3261b; --search: #e2ecfb; --search-ink: #1f4f9e; --mask: #fbf0cf; --mask-ink: #7a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --soft: #9aa5b5; --line: #2c3442; --ground: #12161d; --card: #1a202a;
  --accent: #7ba7f5; --gone: #45211f; --gone-ink: #ff9d94; --search: #1c2f4d; --search-ink: #9cc1ff; --mask: #3d3315; --mask-ink: #f0cf6b; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 12px; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 20px 80px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.02em; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 10px; }
p.lead, p.note { color: var(--soft); margin: 0 0 16px; overflow-wrap: anywhere; }
a { color: var(--accent); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; }
.card b { display: block; font-size: 26px; line-height: 1.25; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 14px; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 12px; align-items: start; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 12px; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.day { white-space: nowrap; }
tbody tr:last-child td { border-bottom: 0; }
.key { display: flex; flex-wrap: wrap; gap: 8px 18px; font-size: 14px; color: var(--soft); margin: 0 0 12px; }
details.document { background: var(--card); border: 1px solid var(--line); border-radius: 12px; margin: 0 0 12px; }
details.document > summary { cursor: pointer; padding: 14px 16px; list-style: none; }
details.document > summary::-webkit-details-marker { display: none; }
summary h3 { font-size: 17px; line-height: 1.35; margin: 0 0 4px; overflow-wrap: anywhere; }
summary h3::before { content: "\\25B8"; color: var(--soft); display: inline-block; width: 1.1em; }
details[open] > summary h3::before { content: "\\25BE"; }
.meta { color: var(--soft); font-size: 14px; overflow-wrap: anywhere; }
.pill { display: inline-block; border-radius: 99px; padding: 0 8px; font-size: 13px; background: var(--gone); color: var(--gone-ink); }
.bar { display: flex; height: 6px; border-radius: 3px; overflow: hidden; background: var(--gone-ink); margin-top: 8px; }
.bar i { display: block; height: 100%; }
.bar .voice { background: var(--accent); } .bar .search { background: color-mix(in srgb, var(--accent) 40%, var(--card)); }
.text { border-top: 1px solid var(--line); padding: 8px 0 12px; }
.block { display: grid; grid-template-columns: 92px minmax(0, 1fr); gap: 12px; padding: 5px 16px; }
.type { color: var(--soft); font-size: 12px; line-height: 26px; text-align: right; overflow-wrap: anywhere; }
.words { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 0; unicode-bidi: plaintext; }
.block.code .words, .block.table .words { font: 13px/1.55 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
del { background: var(--gone); color: var(--gone-ink); border-radius: 3px; text-decoration-thickness: 1px; }
.search { background: var(--search); border-radius: 3px; }
.mask { background: var(--mask); color: var(--mask-ink); border-radius: 3px; }
small { font-size: 12px; font-family: system-ui, sans-serif; white-space: normal; unicode-bidi: isolate; }
small.gone { color: var(--gone-ink); } small.only { color: var(--search-ink); } small.hid { color: var(--mask-ink); }
.key del, .key .search, .key .mask { color: var(--ink); padding: 0 4px; }
details.fold { margin: 2px 16px 2px 120px; color: var(--soft); font-size: 14px; }
details.fold > summary { cursor: pointer; }
details.fold .block { display: block; padding: 4px 0; color: var(--ink); font-size: 16px; }
details.fold .type { display: none; }
@media (max-width: 640px) {
  main { padding: 24px 12px 60px; } h1 { font-size: 23px; } .cards { grid-template-columns: 1fr 1fr; } .card b { font-size: 21px; }
  .block { display: block; padding: 4px 14px; } .type { text-align: left; line-height: 1.4; }
  details.fold { margin: 2px 14px; } th, td { padding: 7px 8px; }
}
"""


@dataclass(frozen=True, slots=True)
class Published:
    """Where the page lies, and what was removed in short as Markdown."""

    page: str
    removed: str


def publish(database: Database, registry: Registry, artifacts: ArtifactStore, author: str) -> Published:
    """Puts the review of an author's documents into the artifact store; where nothing has changed, it lies there already.

    Raises:
        TwinError: When nothing of the author was cleaned yet.
    """
    version = f"{LAYOUT}-{review_version(database, author)}"
    known = registry.artifact(author, KIND, version)
    if known is not None and UPath(known.uri).exists():
        return Published(known.uri, removed_table(read_ranked(database, author, _IN_TABLE)))
    review = read_review(database, author)
    page = artifacts.put_bytes(author, KIND, "review.html", to_html(review, author).encode())
    registry.record_artifact(author, KIND, version, page, {"kept": review.kept, "dropped": review.all_dropped})
    return Published(page, removed_table(review.documents))


# -- Markdown


def removed_table(documents: Iterable[Reviewed]) -> str:
    """The documents that lost most, with the first lines that they lost, as a Markdown table in which no text is Markdown."""
    rows = ["| document | words | searched | voice | removed from both |", "| --- | ---: | ---: | ---: | --- |"]
    for document in [*documents][:_IN_TABLE]:
        lines = [
            f"{_literal(_short(removed))} ({_literal(why)}{f', {times} times' if times > 1 else ''})"
            for (removed, why), times in document.removed().items()
        ]
        more = f"<br>and {len(lines) - _LINES_IN_TABLE} more" if len(lines) > _LINES_IN_TABLE else ""
        words = document.words
        removed = "<br>".join(lines[:_LINES_IN_TABLE]) + more or "nothing"
        rows.append(
            f"| {_literal(document.name[:_LONGEST_TITLE])} | {words.collected:,} | {words.search:,} | {words.voice:,} | {removed} |"
        )
    return "\n".join(rows)


def _literal(text: str) -> str:
    """Text that Markdown takes for nothing but text: each sign that could mean something as its number."""
    return "".join(letter if letter.isalnum() or letter == " " else f"&#{ord(letter)};" for letter in text)


def _short(text: str) -> str:
    line = " ".join(text[: 4 * _LONGEST_LINE].split())
    return line if len(line) <= _LONGEST_LINE and len(text) <= 4 * _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


# -- HTML


def to_html(review: Review, heading: str) -> str:
    """The review as one HTML page.

    Args:
        review: What to show.
        heading: The author's name, or the location of a source that nobody has added yet.
    """
    shown = [
        _section("Documents that lost most", _most_said(review), review.documents, _OPEN),
        _section("A sample of the others", "", review.sample),
        _section("Dropped documents with their text", "", review.dropped_texts),
    ]
    body = f"""<p class="lead">{_said(review)}</p>
{_cards(review)}
<div class="two">{_removals(review)}{_reasons(review)}</div>
{"".join(shown)}
{_listed(review)}"""
    return _page(f"What cleaning made of {heading}", body)


def document_to_html(document: Reviewed) -> str:
    """One document in full as an HTML page."""
    return _page(f"What cleaning made of “{document.name[:_LONGEST_TITLE]}”", _KEY + _document(document, is_open=True))


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body><main>
<h1 dir="auto">{escape(title)}</h1>
{body}
</main></body>
</html>
"""


_KEY = """<div class="key"><span><del>struck out</del> is in neither text</span><span><span class="search">tinted</span> is searched, and not
learned from</span><span><span class="mask">[email 1]</span> stands for something private</span><span>all else is in both</span></div>
"""


def _said(review: Review) -> str:
    return (
        f"{review.kept:,} documents are learned from and searched, {review.all_dropped:,} are dropped. "
        f"From {review.touched:,} of those kept something was taken: lines that are not the author's from both texts, "
        "and what is no running prose (headings, code, quotations, tables, URLs) from the text that the voice is learned from."
    )


def _most_said(review: Review) -> str:
    others = review.kept - len(review.documents)
    most = f"These are {len(review.documents):,} of {review.kept:,}, and of the others {len(review.sample):,}." if others > 0 else ""
    return f"{most} First those with most lines that neither text has, then those with most words that only the search has.".strip()


def _cards(review: Review) -> str:
    words = review.words
    cards = [
        (review.kept, "documents kept"),
        (review.all_dropped, "documents dropped"),
        (words.collected, "words collected in those kept"),
        (words.search, "of them searched"),
        (words.voice, "learned from as the voice"),
    ]
    return f'<div class="cards">{"".join(f"<div class=card><b>{value:,}</b><span>{name}</span></div>" for value, name in cards)}</div>'


def _removals(review: Review) -> str:
    rows = [(removal.what, f"{removal.times:,}", "the voice" if removal.searched else "both") for removal in review.removals]
    rows += [(f"masked: {mask_name(kind)}", f"{times:,}", "both") for kind, times in review.masked.items()]
    return _table("What was removed from the documents kept", ("what", "times", "from"), rows)


def _reasons(review: Review) -> str:
    rows = [(reason.replace("_", " "), f"{count:,}") for reason, count in review.dropped.items()]
    return _table("Why documents were dropped", ("why", "documents"), rows)


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th{_NUMBER if place == 1 else ''}>{escape(name)}</th>" for place, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td{_NUMBER if place == 1 else ''}>{escape(cell)}</td>" for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f'<div><h2>{escape(title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></div>'
    )


_NUMBER = ' class="number"'


def _section(title: str, said: str, documents: Sequence[Reviewed], opened: int = 0) -> str:
    if not documents:
        return ""
    shown = "".join(_document(document, place < opened) for place, document in enumerate(documents))
    return f"<h2>{escape(title)}</h2>{f'<p class=note>{escape(said)}</p>' if said else ''}{_KEY}{shown}"


def _document(document: Reviewed, is_open: bool = False) -> str:
    pill = f'<span class="pill">dropped: {escape(document.reason.replace("_", " "))}</span> ' if document.reason else ""
    known = [_day(document.published_at), f"{document.platform} {document.kind}".strip()]
    said = f"<p class=note>{escape(document.detail)}</p>" if document.detail else ""
    left = f'<p class="note block"><i></i><span>{document.unshown:,} more blocks are too long to be shown here.</span></p>'
    return f"""<details class="document" id="d-{document.id}"{" open" if is_open else ""}>
<summary><h3 dir="auto">{escape(document.name[:_LONGEST_TITLE])}</h3>
<div class="meta">{pill}{escape(" · ".join(filter(None, known)))}{_link(document.url)}<br>{_words(document.words, bool(document.reason))}</div>
</summary>
<div class="text">{f'<div class="block"><i></i>{said}</div>' if said else ""}{_blocks(document.blocks)}{left if document.unshown else ""}</div>
</details>
"""


def _words(words: Words, dropped: bool) -> str:
    gone = words.collected - words.search
    parts = [f"{words.collected:,} words"]
    if not dropped:
        parts += [f"{words.search:,} searched", f"{words.voice:,} in the voice"]
    parts += [f"{gone:,} removed from both"] if gone else []
    if dropped or not words.collected:
        return " · ".join(parts)
    voice, search = (100 * share / words.collected for share in (words.voice, words.search - words.voice))
    widths = f'<i class="voice" style="width:{voice:.1f}%"></i><i class="search" style="width:{search:.1f}%"></i>'
    return f'{" · ".join(parts)}<div class="bar">{widths}</div>'


def _blocks(blocks: Sequence[Block]) -> str:
    """The blocks, with runs of untouched ones folded away."""
    parts = []
    for untouched, group in groupby(blocks, key=lambda block: block.untouched):
        run = list(group)
        html = "".join(map(_block, run))
        if untouched and len(run) >= _FOLDED:
            html = f'<details class="fold"><summary>{len(run)} blocks in both texts as they were collected</summary>{html}</details>'
        parts.append(html)
    return "".join(parts)


def _block(block: Block) -> str:
    kind = escape(block.type + (f" {block.language}" if block.language else ""))
    pieces = "".join(
        "".join(map(_piece, run)) + _label(run[0], block)
        for run in (list(group) for _, group in groupby(block.pieces, key=lambda piece: (piece.lane, piece.reason)))
    )
    more = f"<small> … and {block.unshown:,} more characters</small>" if block.unshown else ""
    plain = (
        f'<small class="only" title="{escape(_short(block.searched_as))}"> plain letters in the search</small>' if block.searched_as else ""
    )
    words = f'<div class="words" dir="auto">{pieces}{more}{plain}</div>'
    return f'<div class="block {escape(block.type)}"><div class="type">{kind}</div>{words}</div>'


def _piece(piece: Piece) -> str:
    text = escape(piece.text)
    if piece.masked:
        text = f'<span class="mask" title="{escape(mask_name(piece.masked))}">{text}</span>'
    if piece.lane == "both":
        return text
    return f"<del>{text}</del>" if piece.lane == "none" else f'<span class="search">{text}</span>'


def _label(piece: Piece, block: Block) -> str:
    if piece.lane == "both" or (piece.reason == "not_prose" and len(block.pieces) == 1):  # its type stands beside it
        return ""
    return f' <small class="{"gone" if piece.lane == "none" else "only"}">{escape(label(piece, block))}</small> '


def _listed(review: Review) -> str:
    if not review.listed:
        return ""
    shown = {document.id for document in review.dropped_texts}
    rows = "".join(_listed_row(document, document.id in shown) for document in review.listed)
    more = review.all_dropped - len(review.listed)
    rest = f"<p class=note>{more:,} more are not listed here; those with the rarest reasons come first.</p>" if more > 0 else ""
    head = "<tr><th>date</th><th>document</th><th>why</th></tr>"
    return f'<h2>Dropped documents</h2>{rest}<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _listed_row(document: Dropped, is_shown: bool) -> str:
    name = escape(document.name[:_LONGEST_TITLE])
    name = f'<a href="#d-{document.id}">{name}</a>' if is_shown else name
    why = f"<b>{escape(document.reason.replace('_', ' '))}</b> {escape(document.detail or '')}"
    return f'<tr><td class="day">{_day(document.published_at)}</td><td dir="auto">{name}</td><td>{why}</td></tr>'


def _day(when: datetime | None) -> str:
    return when.date().isoformat() if when else ""


def _link(url: str | None) -> str:
    if not url or not url.startswith(("https://", "http://")):
        return f" · {escape(url)}" if url else ""
    return f' · <a href="{escape(url)}" rel="noreferrer noopener">{escape(url[:_LONGEST_TITLE])}</a>'
