"""Makes the control voices that come with the project: ``--authors DIR`` holds ``DIR/<writer>/*.md`` and ``*.txt``.

Writes ``twin_assets/voice/control_voices.npz``: counts of n-grams of masked text for each writer, and for the base model, which is asked
for 80 passages on everyday subjects without any example, at low and high temperatures in turn. docs/control_voices.md names the writers and
where their texts come from.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.frame import Result, run, say
from benchmarks.voice import read_authors
from twin_assets.settings import get_settings
from twin_assets.training.gguf import base_gguf
from twin_assets.voice.controls import NUMBERS, write_voices
from twin_assets.writing import model_server
from twin_assets.writing.generate import Generator
from twin_assets.writing.prompts import Brief, messages

PLATFORMS = ("blog", "linkedin", "medium", "substack")
SUBJECTS = """
    learning to cook late in life; a bug that took three days; the first week in a new job; why I stopped using to-do lists; how databases
    keep promises; writing tests before code; a train journey in winter; what my grandmother taught me; reading old code; remote work and
    loneliness; choosing a programming language; a garden on a balcony; what makes a good meeting; moving to a smaller city; backups that
    failed; how to ask a good question; my favourite mistake; the price of a free product; running in the rain; keeping a notebook; code
    review without tears; why estimates are wrong; a museum that surprised me; teaching children to program; learning a second language;
    small teams and big plans; what I read this year; migrating to a new cloud provider; how search engines rank; sleep and work; open
    source maintenance; a talk that went badly; saving money on travel; machine learning for beginners; repairing a bicycle; the end of a
    project; writing every day; how caches lie; my first business; a recipe for bread; working with designers; time zones; burnout; what
    users really want; a walk through my home town; documentation that people read; interviewing engineers; quitting social media; neural
    networks explained; an unusual hobby; deploying on Friday; the history of a tool I use; what failure taught me; a book that changed my
    mind; monitoring in production; being a parent and a developer; statistics for everyday life; my desk; the art of naming things; a
    conversation on a plane; moving from Python to Go; how I learn; the problem with passwords; volunteering; a week without a phone;
    vector databases; what I would tell my younger self; building a house; data pipelines that last; music while working; why small
    companies win; an afternoon in a library; prompt engineering; selling what you make; coffee; static websites; honest advertising;
    fear of public speaking; refactoring a monolith; the weather
"""
WORDS = 170
TEMPERATURES = (0.5, 0.8, 1.0)
"""A twin may be asked at any of them; at the lowest a model is most like itself."""


def measure(arguments: argparse.Namespace) -> Result:
    """Counts the writers, lets the base model write, and stores both."""
    if arguments.authors is None or not arguments.authors.is_dir():
        raise SystemExit("give a folder with one folder of texts for each writer: --authors DIR")
    voices = write_voices(read_authors(arguments.authors), _machine(), arguments.to)
    figures = {
        "voices": len(voices),
        "passages": sum(len(one.passages) for one in voices),
        "kilobytes": round(arguments.to.stat().st_size / 1024),
    }
    return Result(figures)


def _machine() -> list[str]:
    settings = get_settings()
    server = model_server.start(base_gguf(settings), settings.model_port, settings.logs / "control-voices.log", "base")
    subjects = [" ".join(subject.split()) for subject in SUBJECTS.split(";")]
    say(f"the base model writes {len(subjects)} passages")
    try:
        generators = [Generator(server.url, settings.model_copy(update={"temperature": one}), model="base") for one in TEMPERATURES]
        with ThreadPoolExecutor(8) as pool:
            asked = [messages(Brief(subject, PLATFORMS[number % len(PLATFORMS)], WORDS)) for number, subject in enumerate(subjects)]
            done = pool.map(lambda one: generators[one[0] % len(generators)].complete(one[1], WORDS, seed=one[0]).text, enumerate(asked))
            return list(done)
    finally:
        model_server.stop(server.pid)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--authors", type=Path, help="folder with one folder of .md or .txt files for each writer")
    parser.add_argument("--to", type=Path, default=NUMBERS, help="the file to write")


if __name__ == "__main__":
    run("control_voices", measure, _arguments)
