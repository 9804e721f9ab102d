"""How well and how fast the text of a web page is found.

``--data DIR`` is searched for three kinds of pages, each of which may be absent:

* a folder with ``ground-truth.json`` and ``html/*.html.gz``: the public article extraction benchmark
  (github.com/scrapinghub/article-extraction-benchmark). Its ``evaluate.py`` is followed: texts are cut into words, counted as
  runs of four words, and each page's hits, surplus and misses are fractions of their sum, so that long pages weigh no more than short ones;
  precision is the mean over pages where something was found, recall the mean over pages where something was to be found, F1 is of these two.
* folders with ``source.html`` and ``expected.html``, as Readability keeps them, and ``fixtures/*.html`` beside ``expected/*.md``, as Defuddle
  does. What is expected there was made by those programs.
* ``fixtures/*.html`` of which nothing is expected: read for speed and for lines of the interface only.

Figures: ``f1``, ``precision`` and ``recall`` of the generic path, which no platform's selectors help, on every page of the public benchmark;
``overall_*`` of what ``extract`` returns for them; ``pairs_*`` of the expected pages by platform; ``interface_lines`` that are left on
Substack and Medium pages; pages per second of CPU time on pages of known platforms, beside BeautifulSoup with lxml (all text of the page)
and trafilatura, each the median of several rounds over the same pages in turn.
"""

import argparse
import gzip
import json
import os
import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

from benchmarks.frame import Result, run, say
from twin_assets.ingest.pages import ExtractedPage, decode_html, extract, extract_generic

_WORD = re.compile(r"\w+")
_ADDRESS = re.compile(r'^\s*<!--\s*\{"url":\s*"([^"]+)"')
_FRONT = re.compile(r"^```json\n.*?\n```\n", re.S)
_INTERFACE = re.compile(
    r"(share|listen|subscribe|subscribed|follow(ing)?|like|comments?|reply|restack|more|save|write|sign (up|in)|log in|open in app|get app"
    r"|[\d.,]+k?( (followers?|claps?|likes?|comments?|responses?|subscribers?))?|\d+ min(ute)? read|--|member-only story|upgrade to paid"
    r"|share this post|leave a comment|subscribe now|get \d+% off.*|thanks for reading.*|.*requires javascript.*|type your email.*"
    r"|(more|recommended) from .*|written by|responses( \(\d+\))?|discussion about this (post|podcast)|press enter or click.*"
    r"|privacy|terms|help|about|status|careers|© .*|see all|previous|next|top|new|ready for more\?)",
    re.I,
)
_Shares = tuple[float, float, float]
_Figures = dict[str, float | int | None]


@dataclass(frozen=True)
class Sample:
    """A page and, if it is known, what is to be found in it."""

    name: str
    html: str
    url: str
    expected: str | None = None


def measure(arguments: argparse.Namespace) -> Result:
    """Reads every page under ``--data``."""
    if arguments.data is None or not arguments.data.is_dir():
        raise SystemExit("name a folder with pages by --data")
    public, pairs, others = public_pages(arguments.data), expected_pages(arguments.data), other_pages(arguments.data)
    say(f"{len(public)} pages of the public benchmark, {len(pairs)} pages with an expected text, {len(others)} more")
    figures: _Figures = {"documents": len(public)}
    figures |= scores("", [(sample, generic_text(sample)) for sample in public])
    figures |= scores("overall_", [(sample, extract(sample.html, sample.url).text) for sample in public])
    read = [(sample, extract(sample.html, sample.url)) for sample in (*public, *pairs, *others)]
    figures |= by_platform([(sample, page) for sample, page in read if sample in pairs])
    platform_pages = [(sample, page) for sample, page in read if not page.generic]
    published = [(sample, page) for sample, page in platform_pages if page.platform in ("substack", "medium")]
    lines = [(sample, line) for sample, page in published for line in interface_lines(sample, page)]
    figures |= {"platform_pages": len(platform_pages), "interface_lines": len(lines) if published else None}
    figures |= speed([sample for sample, _ in platform_pages], arguments.rounds)
    details = [f"interface: {sample.name}: {line}" for sample, line in lines]
    details += [f"{sample.name:52} {page.platform:9} f1 {_f1(sample, page.text):.3f}" for sample, page in read if sample in pairs]
    reference = {"trafilatura, precise, on the public benchmark": 0.964, "bs4": "BeautifulSoup(html, 'lxml').get_text()"}
    return Result(figures, reference, details)


def public_pages(data: Path) -> list[Sample]:
    """The pages of the public benchmark; one whose file is missing is an empty page."""
    samples = []
    for truth in sorted(data.rglob("ground-truth.json")):
        for name, entry in json.loads(truth.read_text("utf-8")).items():
            path = truth.parent / "html" / f"{name}.html.gz"
            html = decode_html(gzip.decompress(path.read_bytes())) if path.exists() else ""
            samples.append(Sample(name, html, entry.get("url") or "", entry.get("articleBody") or ""))
    return samples


def expected_pages(data: Path) -> list[Sample]:
    """Pages that stand beside what is expected of them."""
    samples = []
    for path in sorted(data.rglob("source.html")):
        expected = path.with_name("expected.html")
        if expected.exists():
            samples.append(_sample(path, path.parent.name, _text(expected.read_text("utf-8"))))
    for path in sorted(data.rglob("fixtures/*.html")):
        expected = path.parent.parent / "expected" / f"{path.stem}.md"
        if expected.exists():
            samples.append(_sample(path, path.stem, _text(_rendered(expected.read_text("utf-8")))))
    return samples


def other_pages(data: Path) -> list[Sample]:
    """Saved pages without anything to compare with."""
    paths = [path for path in sorted(data.rglob("fixtures/*.html")) if not (path.parent.parent / "expected").is_dir()]
    return [_sample(path, path.stem, None) for path in paths]


def _sample(path: Path, name: str, expected: str | None) -> Sample:
    html = decode_html(path.read_bytes())
    found = _ADDRESS.match(html)
    return Sample(name, html, found[1] if found else "", expected)


def _text(html: str) -> str:
    return LexborHTMLParser(html).text(separator=" ")


def _rendered(markdown: str) -> str:
    from markdown_it import MarkdownIt

    return MarkdownIt().enable("table").render(_FRONT.sub("", markdown))


def generic_text(sample: Sample) -> str:
    """What would be found if the page's platform were not known."""
    return extract_generic(sample.html, sample.url).text


def scores(prefix: str, results: list[tuple[Sample, str]]) -> _Figures:
    """Precision, recall and F1 over pages, as the public benchmark has them."""
    shares = [matching(sample.expected or "", text) for sample, text in results]
    precisions = [hit / (hit + surplus) for hit, surplus, _ in shares if hit + surplus > 0]
    recalls = [hit / (hit + missed) for hit, _, missed in shares if hit + missed > 0]
    if not precisions or not recalls:
        return {f"{prefix}{name}": None for name in ("f1", "precision", "recall")}
    precision, recall = statistics.mean(precisions), statistics.mean(recalls)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {f"{prefix}f1": round(f1, 4), f"{prefix}precision": round(precision, 4), f"{prefix}recall": round(recall, 4)}


def matching(expected: str, found: str) -> _Shares:
    """Hits, surplus and misses among runs of four words, as fractions of their sum."""
    true, predicted = _runs(expected), _runs(found)
    counts = ((true & predicted).total(), (predicted - true).total(), (true - predicted).total())
    total = sum(counts) or 1
    return counts[0] / total, counts[1] / total, counts[2] / total


def _runs(text: str) -> Counter[tuple[str, ...]]:
    words = _WORD.findall(text)
    return Counter(tuple(words[start : start + 4]) for start in range(max(1, len(words) - 3)) if words)


def _f1(sample: Sample, text: str) -> float:
    return scores("", [(sample, text)])["f1"] or 0.0


def by_platform(read: list[tuple[Sample, ExtractedPage]]) -> _Figures:
    """F1 on the expected pages, together and for each platform."""
    groups: dict[str, list[tuple[Sample, str]]] = defaultdict(list)
    for sample, page in read:
        for group in ("pairs", page.platform):
            groups[group].append((sample, page.text))
    figures: _Figures = {}
    for group in ("pairs", "substack", "medium", "web"):
        figures |= {f"{group}_pages": len(groups[group]), f"{group}_f1": scores("", groups[group])["f1"]}
    return figures


def interface_lines(sample: Sample, page: ExtractedPage) -> list[str]:
    """Lines of a body that are the platform's, not the author's; numbers in code and tables are none."""
    texts = [block.text for block in page.blocks if block.type not in ("code", "table", "embed")]
    lines = [line.strip(" -") for text in texts for line in text.splitlines()]
    return [line for line in lines if _INTERFACE.fullmatch(line)]


def speed(samples: list[Sample], rounds: int) -> _Figures:
    """Pages per second of CPU time of each reader, and how many times faster this one is."""
    readers = dict(_readers())
    figures: _Figures = {f"{name}_docs_per_cpu_second": None for name in readers}
    figures |= {"speedup_vs_bs4": None, "speedup_vs_trafilatura": None}
    if not samples:
        return figures
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(rounds + 1):  # the first round warms up
        for name, read in readers.items():
            start = time.process_time()
            for sample in samples:
                read(sample)
            if number:
                seconds[name].append(time.process_time() - start)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    figures |= {f"{name}_docs_per_cpu_second": round(len(samples) / taken, 1) for name, taken in median.items()}
    figures |= {f"speedup_vs_{name}": round(median[name] / median["twin"], 1) for name in ("bs4", "trafilatura")}
    return figures


def _readers() -> Iterator[tuple[str, Callable[[Sample], object]]]:
    import trafilatura
    from bs4 import BeautifulSoup

    yield "twin", lambda sample: extract(sample.html, sample.url).text
    yield "bs4", lambda sample: BeautifulSoup(sample.html, "lxml").get_text()
    yield "trafilatura", lambda sample: trafilatura.extract(sample.html, include_comments=False, favor_precision=True)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the speed measurement")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run("extraction", measure, _arguments)
