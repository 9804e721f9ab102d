"""Whether the instruments know people apart, on any folder of authors: ``--authors DIR`` holds ``DIR/<author>/*.md`` and ``*.txt``.

Texts of 300 words, topics masked, one document left out at a time: balanced accuracy of attribution among the authors, and the AUC of
verification against people whom the instrument has not met. The reference, in the same run, is the nearest centroid by the same cosines,
which is what Delta is. In any language; where one is not English, the words that are kept are taken from the authors themselves.
"""

import argparse
import re
from pathlib import Path
from time import perf_counter

from benchmarks.frame import Result, run, say
from twin_assets.store.errors import TwinError
from twin_assets.voice.trial import MIN_DOCUMENTS, TEXT_WORDS, trial

FRONT_MATTER = re.compile(r"\A(?:---|\+\+\+)\n.*?\n(?:---|\+\+\+)\n", re.DOTALL)
NO_PROSE = re.compile(
    r"^(```|~~~)[^\n]*\n.*?^\1[ \t]*$|^(?: {4}|\t)[^\n]*$|<[^>\n]+>|!\[[^\]]*\]\([^)\n]*\)|\{\{.*?\}\}|^#+ [^\n]*$|^\|[^\n]*$",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"\[([^\]]*)\]\([^)\n]*\)")


def measure(arguments: argparse.Namespace) -> Result:
    """Reads the authors and puts the instruments on trial."""
    if arguments.authors is None or not arguments.authors.is_dir():
        raise SystemExit("give a folder with one folder of texts for each author: --authors DIR")
    documents = read_authors(arguments.authors)
    say(f"{len(documents)} authors, {sum(len(own) for own in documents.values())} documents")
    started = perf_counter()
    try:
        found = trial(documents, arguments.words, arguments.texts)
    except TwinError as error:
        raise SystemExit(str(error)) from error
    seconds = perf_counter() - started
    if found.left_out:
        say(f"left out, with fewer than {MIN_DOCUMENTS} documents of {arguments.words} words: {', '.join(found.left_out)}")
    plainly = trial(documents, arguments.words, arguments.texts, nearest_centroid=True)
    rows = ["| author | texts | recall | AUC | most taken for |", "|---|---|---|---|---|"]
    for name in found.authors:
        others = {other: number for other, number in found.confusion[name].items() if other != name and number}
        wrong = max(others, key=lambda other: others[other]) if others else "nobody"
        rows.append(f"| {name} | {found.texts[name]} | {found.recall[name]:.3f} | {found.auc[name]:.3f} | {wrong} |")
    figures = {
        "authors": len(found.authors),
        "left_out": len(found.left_out),
        "texts": sum(found.texts.values()),
        "balanced_accuracy": round(found.balanced_accuracy, 4),
        "auc": round(found.mean_auc, 4),
        "seconds": round(seconds, 1),
    }
    reference = {
        "nearest_centroid_balanced_accuracy": round(plainly.balanced_accuracy, 4),
        "nearest_centroid_auc": round(plainly.mean_auc, 4),
        "chance": round(1 / len(found.authors), 4),
    }
    return Result(figures, reference, rows)


def read_authors(folder: Path) -> dict[str, list[str]]:
    """The prose of each author's files, in the order of their names."""
    people = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {
        person.name: [
            prose(path.read_text(encoding="utf-8", errors="replace"))
            for path in sorted(person.rglob("*"))
            if path.suffix in (".md", ".txt")
        ]
        for person in people
    }


def prose(text: str) -> str:
    """A Markdown text without front matter, code, tables, headings, markup and link targets."""
    return LINK.sub(r"\1", NO_PROSE.sub("", FRONT_MATTER.sub("", text)))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--authors", type=Path, help="folder with one folder of .md or .txt files for each author")
    parser.add_argument("--words", type=int, default=TEXT_WORDS, help="length of a text")
    parser.add_argument("--texts", type=int, default=120, help="texts of each author at most")


if __name__ == "__main__":
    run("voice", measure, _arguments)
