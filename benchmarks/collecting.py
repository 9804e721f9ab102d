"""How clean real collections come out: documents of another LLM twin, a LinkedIn export, and exports of other platforms.

``--data DIR`` is the folder with the real inputs; what is not in it is left out. Each figure is measured by rules of its own, not by those
of the code that is measured:

* ``twin_*``: the 76 documents that another LLM twin crawled, for both of its authors: documents of other writers that are kept, pairs of
  kept works that are one text (half of the shorter one's five-word runs stand in the longer one, all pairs compared), lines of a
  site's interface, and the share of apostrophes, dashes and paragraph breaks that is left in the text that is kept.
* ``linkedin_*``: rows of the export that became exactly one post, and posts with the export's broken line ends.
* ``items_*``: of exports of other platforms, how many items they hold and how many were read, and posts that are not in exactly one known
  state with its reason.
"""

import argparse
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from time import perf_counter
from typing import get_args

from benchmarks.frame import Result, run, say
from twin_assets.ingest.collect import Rules, collect
from twin_assets.ingest.posts import OWN_WORDS, Post, State
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.web import Web
from twin_assets.ingest.works import Text, own_text, works

DUMP = Path("llm_handbook_raw/data/data_warehouse_raw_data")
LINKEDIN = Path("linkedin_sanand0")
FOREIGN = frozenset(
    {
        "llm-agents-demystified",
        "highly-scalable-data-ingestion-architecture",
        "2-key-llmops-concepts",
        "the-llm-twin-free-course-on-production",
    }
    | {"upskill-your-llm-knowledge-base-with", "dml-new-year-the-new-and-improved"}
)
"""Documents whose page names another writer: Li, Rares Istoc, Alex Razvant three times, and three writers together."""
INTERFACE = re.compile(
    r"share this post|subscribesign in|copy link|previousnext|ready for more\?|requires javascript|privacy ∙ terms|"
    r"start writing ?get the app|discussion about this post|no posts|substack is the home|open in app|sign up to discover|"
    r"see more recommendations|we log user data|followpublished in|listenshare|expand full comment|liked by|a guest post by|"
    r"read full story|reader-supported publication|free or paid subscriber|read with a 7-day free trial|"
    r"distraction-free reading|recommended from medium|see all from|text to speechteams|hands-on gnns|copyright 20|© 20|"
    r"leave a comment|restacks|accept cookies",
    re.IGNORECASE,
)
REFERENCE = {"documents": 76, "foreign": 6, "cross_post_pairs": 5, "with_interface": 69, "comments_by_csv": 337}
"""Of the documents as they were crawled, and what a CSV reader makes of the 323 rows of LinkedIn's comments, whose quotes have backslashes."""
_ROW = re.compile(r"^\"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: UTC)?\"?,\"?http", re.MULTILINE)  # how a row of LinkedIn's begins
_APOSTROPHES = "'’‘“”\""
_DASHES = "–—…"


def measure(arguments: argparse.Namespace) -> Result:
    """Collects each real input and counts."""
    if arguments.data is None:
        raise SystemExit("give the folder with the real inputs: --data DIR")
    figures: dict[str, float | int | None] = {}
    details: list[str] = []
    started = perf_counter()
    for part, folder in ((_twin, DUMP), (_linkedin, LINKEDIN)):
        if (arguments.data / folder).is_dir():
            say(f"reading {folder}")
            figures |= part(arguments.data / folder, details)
    figures |= _exports(arguments.data, details)
    return Result({**figures, "seconds": round(perf_counter() - started, 1)}, dict(REFERENCE), details)


def _read(folder: Path, rules: Rules | None = None) -> list[Post]:
    with Web() as web:
        return collect(open_source(str(folder), web), rules)


def _twin(folder: Path, details: list[str]) -> dict[str, float | int | None]:
    records = json.loads((folder / "ArticleDocument.json").read_text())
    raw = {str(number): record["content"]["Content"] or "" for number, record in enumerate(records, 1)}
    owners = sorted({record["author_full_name"] for record in records})
    kept: list[Post] = []
    standing: list[Post] = []
    seen = 0
    for owner in owners:
        posts = _read(folder, Rules((owner,)))
        seen += len(posts) == len(records)
        mine = [post for post in posts if post.state == "kept"]
        standing += _standing(mine, owner)
        kept += mine
    foreign = [post for post in kept if any(post.url and post.url.endswith(f"/{slug}") for slug in FOREIGN)]
    found = [post.origin for post in kept if _interface_lines("\n".join(block.text for block in post.blocks if block.type != "code"))]
    details += [f"foreign: {post.url}" for post in foreign] + [f"interface: {origin}" for origin in found]
    texts = {post.url or post.key: _shingles(_prose(post)) for post in standing}
    before = {post.url or post.key: _shingles(raw[post.origin.rpartition(":")[2]]) for post in kept}
    pairs = list(_same(texts))
    details += [f"one text: {one} and {other}" for one, other in pairs]
    marks, breaks = Counter[str](), Counter[str]()
    for post in kept:
        text = raw[post.origin.rpartition(":")[2]]
        if "\n\n" in text.strip("\n")[:2000]:
            marks += _marks(text, post)
            breaks += _breaks(text, post)
    return {
        "twin_documents": len(records),
        "twin_readings_complete": seen,
        "twin_kept": len(kept),
        "twin_works": len(standing),
        "twin_foreign_kept": len(foreign),
        "twin_foreign_in_raw": sum(any(record["link"].split("?")[0].endswith(f"/{slug}") for slug in FOREIGN) for record in records),
        "twin_pairs_before": len(list(_same(before))),
        "twin_pairs_left": len(pairs),
        "twin_with_interface": len(found),
        "twin_with_interface_in_raw": sum(bool(_interface_lines(text)) for text in raw.values()),
        "twin_words": sum(post.words for post in kept),
        "twin_words_in_raw": sum(len(raw[post.origin.rpartition(":")[2]].split()) for post in kept),
        "twin_marks": marks["before"],
        "twin_marks_kept": _share(marks),
        "twin_breaks": breaks["before"],
        "twin_breaks_kept": _share(breaks),
        "twin_tracking_in_keys": sum("?" in post.key for post in kept),
    }


def _standing(posts: Sequence[Post], author: str) -> list[Post]:
    texts = [
        Text(post.id(author), "dump", own_text(block.to_json() for block in post.blocks), post.state, post.url, None, post.published_at)
        for post in posts
    ]
    stands = works(texts)
    return [post for post in posts if stands[post.id(author)] == post.id(author)]


def _interface_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if INTERFACE.search(line)]


def _prose(post: Post) -> str:
    return "\n".join(block.text for block in post.blocks if block.type in OWN_WORDS)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return set(zip(*(words[start:] for start in range(5)), strict=False))


def _same(texts: dict[str, set[tuple[str, ...]]]) -> Iterator[tuple[str, str]]:
    for (one, first), (other, second) in combinations(texts.items(), 2):
        smaller, larger = sorted((len(first), len(second)))
        if smaller >= 0.4 * larger > 0 and len(first & second) >= 0.5 * smaller:
            yield one, other


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _paragraphs(text: str) -> list[str]:
    """Of the crawled text, outside of code and of headings: what stands between blank lines, in quotes too."""
    parts = re.split(r"\n[ ]*\n", re.sub(r"(?m)^ *>+ ?", "", text))
    return [part for part in parts if part.strip() and not part.lstrip("\n").startswith(("    ", "#"))]


def _marks(text: str, post: Post) -> Counter[str]:
    """How many apostrophes, quotation marks and dashes stand in paragraphs that were kept, before and after.

    A paragraph is found again by its letters.
    """
    after = {_letters(block.text): block.text for block in post.blocks if block.type in ("paragraph", "heading")}
    counts = Counter[str]()
    for part in _paragraphs(text):
        if (found := after.get(_letters(part))) is not None:
            joined = re.sub(r"(?<=\w)-\n(?=\w)", "-", part)
            counts["before"] += sum(joined.count(mark) for mark in _APOSTROPHES + _DASHES) + len(
                re.findall(r"(?<=[^\W_])-(?=[^\W_])", joined)
            )
            counts["after"] += sum(found.count(mark) for mark in _APOSTROPHES + _DASHES) + len(re.findall(r"(?<=[^\W_])-(?=[^\W_])", found))
    return counts


def _breaks(text: str, post: Post) -> Counter[str]:
    """How many breaks between paragraphs that both were kept, one after the other, are there still."""
    blocks = [block.text for block in post.blocks if block.type != "code"]
    pieces = {_letters(piece) for block in blocks for piece in (block, *block.split("\n\n"), *block.split("\n"))}
    whole = _letters("".join(blocks))
    counts = Counter[str]()
    for one, other in pairwise(_letters(part) for part in _paragraphs(text)):
        if one and other and one + other in whole:
            counts["before"] += 1
            counts["after"] += one in pieces and other in pieces
    return counts


def _share(counts: Counter[str]) -> float | None:
    return round(counts["after"] / counts["before"], 4) if counts["before"] else None


def _linkedin(folder: Path, details: list[str]) -> dict[str, float | int | None]:
    posts = [post for post in _read(folder) if post.origin.rpartition(":")[2].isdigit()]
    figures: dict[str, float | int | None] = {}
    for name in ("Shares.csv", "Comments.csv"):
        rows = len(_ROW.findall((folder / name).read_text(encoding="utf-8-sig")))
        mine = {post.origin for post in posts if post.origin.startswith(name)}
        figures[f"linkedin_{name[:-4].lower()}"] = rows
        figures[f"linkedin_{name[:-4].lower()}_read"] = len(mine)
    broken = [post.origin for post in posts if any('"\n"' in block.text or "\r" in block.text for block in post.blocks)]
    details += [f"broken line ends: {origin}" for origin in broken]
    return {**figures, "linkedin_artifacts": len(broken)}


def _exports(data: Path, details: list[str]) -> dict[str, float | int | None]:
    """Whether every item of the exports is exactly one post, in one known state, with a reason where it is not kept."""
    items = read = wrong = 0
    for pattern, count in EXPORTS.items():
        for place in sorted(data.glob(pattern)):
            posts = _read(place)
            expected = count(place)
            items, read = items + expected, read + min(expected, len({post.key for post in posts}))
            wrong += sum(post.state not in get_args(State) or (post.state != "kept") != bool(post.reason) for post in posts)
            details.append(f"{place.relative_to(data)}: {expected} items, {dict(Counter(post.state for post in posts))}")
    return {"items": items, "items_read": read, "items_without_one_state": wrong}


def _files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def _substack_rows(folder: Path) -> int:
    with (folder / "posts.csv").open(newline="", encoding="utf-8-sig") as file:
        return sum(1 for _ in csv.DictReader(file))


def _wordpress_items(file: Path) -> int:
    return len(re.findall(r"<item>", file.read_text()))


_FIXTURES = "ghost_migrate_fixtures/packages"
EXPORTS = {
    "medium_vincenttatan/content/blog": _files,
    f"{_FIXTURES}/mg-medium-export/test/fixtures/export": _files,
    f"{_FIXTURES}/mg-jekyll-export/test/fixtures": _files,
    f"{_FIXTURES}/mg-substack/test/fixtures": _substack_rows,
    f"{_FIXTURES}/mg-wp-xml/test/fixtures/**/*.xml": _wordpress_items,
}
"""Other exports among the real inputs, and how to count what is in them."""


if __name__ == "__main__":
    run("collecting", measure)
