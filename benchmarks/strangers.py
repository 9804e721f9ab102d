"""How well a profile keeps people of the author's kind out whom it has never met, when only the project's own control voices are known.

``--authors DIR`` holds ``DIR/<author>/*.md`` and ``*.txt``; ``--author`` names one of them. The profile learns the first four fifths of
that author's documents, as a profile of the platform does; the last fifth is put against all the others. So is what the others wrote with
every line made an item of a list, which must change nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.frame import Result, run
from benchmarks.voice import read_authors
from twin_assets.sample import control_texts
from twin_assets.voice.controls import stored_voices
from twin_assets.voice.profile import VoiceProfile, build_profile
from twin_assets.voice.score import VoiceScore, score
from twin_assets.voice.tokens import pieces, sentences

LEARNED = 0.8


def measure(arguments: argparse.Namespace) -> Result:
    """Scores the author's last documents and everybody else's."""
    if arguments.authors is None or not arguments.authors.is_dir():
        raise SystemExit("give a folder with one folder of texts for each author: --authors DIR")
    people = read_authors(arguments.authors)
    if arguments.author not in people:
        raise SystemExit(f"{arguments.authors} has no folder {arguments.author}: name one of them with --author")
    documents = people.pop(arguments.author)
    learned = round(LEARNED * len(documents))
    profile = build_profile(arguments.author, documents[:learned], control_texts(), stored_voices())
    own = _scores(profile, pieces(documents[learned:], arguments.words)[: arguments.texts])
    rows = ["| texts of | texts | mean probability | given to the author | AUC | AUC as a list |", "|---|---|---|---|---|---|"]
    rows.append(_row(arguments.author, own, []))
    aucs: list[float] = []
    listed: list[float] = []
    for name, written in people.items():
        texts = pieces(written, arguments.words)[: arguments.texts]
        if not (theirs := _scores(profile, texts)):
            continue
        aucs.append(_auc(own, theirs))
        listed.append(_auc(own, _scores(profile, ["\n".join(f"- {sentence}" for sentence in sentences(text)) for text in texts])))
        rows.append(_row(name, theirs, [aucs[-1], listed[-1]]))
    if not own or not aucs:
        raise SystemExit(f"no text of {arguments.words} words is left to judge: give longer documents, or fewer --words")
    figures = {
        "auc_mean": round(float(np.mean(aucs)), 4),
        "auc_worst": round(min(aucs), 4),
        "auc_as_lists": round(float(np.mean(listed)), 4),
    }
    return Result(figures, {f"profile_{name}": value for name, value in profile.figures.items()}, rows)


def _scores(profile: VoiceProfile, texts: Sequence[str]) -> list[VoiceScore]:
    return [found for text in texts if isinstance(found := score(profile, text), VoiceScore)]


def _auc(own: Sequence[VoiceScore], theirs: Sequence[VoiceScore]) -> float:
    return float(roc_auc_score([1] * len(own) + [0] * len(theirs), [one.score for one in [*own, *theirs]]))


def _row(name: str, found: Sequence[VoiceScore], aucs: Sequence[float]) -> str:
    mean, given = (np.mean([value(one) for one in found]) if found else 0.0 for value in (lambda one: one.score, lambda one: one.own))
    return " | ".join([f"| {name}", str(len(found)), f"{mean:.2f}", f"{given:.2f}", *(f"{auc:.3f}" for auc in aucs or ())]) + " |"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--authors", type=Path, help="folder with one folder of .md or .txt files for each author")
    parser.add_argument("--author", default="", help="whose profile is made")
    parser.add_argument("--words", type=int, default=300, help="length of a text")
    parser.add_argument("--texts", type=int, default=60, help="texts of each person at most")


if __name__ == "__main__":
    run("strangers", measure, _arguments)
