"""A negative control: training answers made the way of other LLM twins, put before our instruments.

Those twins let a language model write the answers: it is shown an extract of an article and asked for what is to be learned. ``--data DIR``
is the folder with the real inputs; of an author of the warehouse of the LLM Engineer's Handbook, passages are taken, the base model writes an
answer about each of them as it would there, and both kinds of training answers are judged: those, and the author's own passages, which are
ours. What must show: the answers are not the author's words, not the author's voice, and more like a machine.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.frame import Result, run, say
from twin_assets.ingest.collect import Rules, collect
from twin_assets.ingest.registry import open_source
from twin_assets.ingest.web import Web
from twin_assets.sample import control_texts
from twin_assets.settings import get_settings
from twin_assets.training.gguf import base_gguf
from twin_assets.voice.controls import stored_voices
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.memorisation import VerbatimIndex
from twin_assets.voice.profile import build_profile
from twin_assets.voice.score import VoiceScore, score
from twin_assets.voice.separability import Separability, separability
from twin_assets.voice.slop import pooled_slop_rate
from twin_assets.voice.tokens import pieces, plain
from twin_assets.writing import model_server
from twin_assets.writing.generate import Generator

DUMP = Path("llm_handbook_raw/data/data_warehouse_raw_data")
WORDS = 150
ASKED = "Based on the following extract, write one answer of about 150 words that teaches what it says, for an instruction dataset.\n\nExtract:\n"


def measure(arguments: argparse.Namespace) -> Result:
    """Collects the author, lets the base model answer, and judges both."""
    if arguments.data is None:
        raise SystemExit("give the folder with the real inputs: --data DIR")
    documents = _documents(arguments.data / DUMP, arguments.author)
    held = len(documents) * 4 // 5
    profile = build_profile(arguments.author, documents[:held], control_texts(), stored_voices())
    passages = pieces(documents[held:], WORDS)
    passages = [passages[place * len(passages) // arguments.answers] for place in range(min(arguments.answers, len(passages)))]
    answers = _answers(passages)
    index = VerbatimIndex([plain(document) for document in documents])
    rows = ["| | the author's own passages | answers by a model |", "|---|---|---|"]
    figures: dict[str, float | int | None] = {"passages": len(passages)}
    sides = {"own": passages, "answers": answers}
    for name, texts in sides.items():
        found = [score(profile, text) for text in texts]
        scored = [one for one in found if isinstance(one, VoiceScore)]
        figures |= {
            f"{name}_attributed": round(sum(one.own for one in scored) / len(texts), 3),
            f"{name}_inside_band": round(sum(one.inside for one in scored) / len(texts), 3),
            f"{name}_voice_score": round(sum(one.score for one in scored) / len(texts), 3),
            f"{name}_machine": round(sum(one.attributed_to in profile.machines for one in scored) / len(texts), 3),
            f"{name}_too_short": sum(isinstance(one, NotEnough) for one in found),
            f"{name}_slop": round(pooled_slop_rate(texts).per_1000, 2),
            f"{name}_verbatim_8_grams": round(sum(index.overlap(text) for text in texts) / len(texts), 4),
        }
    apart = separability(answers, passages)
    figures["told_apart"] = round(apart.auc, 3) if isinstance(apart, Separability) else None
    for key in ("attributed", "inside_band", "voice_score", "machine", "slop", "verbatim_8_grams"):
        rows.append(f"| {key.replace('_', ' ')} | {figures[f'own_{key}']} | {figures[f'answers_{key}']} |")
    return Result(figures, {"own": "the author's held-out passages of the same length, in the same run"}, rows)


def _documents(folder: Path, author: str) -> list[str]:
    with Web() as web:
        posts = collect(open_source(str(folder), web), Rules((author,)))
    kept = [post for post in posts if post.state == "kept"]
    return ["\n\n".join(block.text for block in post.blocks if block.type not in ("code", "heading")) for post in kept]


def _answers(passages: list[str]) -> list[str]:
    settings = get_settings()
    server = model_server.start(base_gguf(settings), settings.model_port, settings.logs / "negative-control.log", "base")
    say(f"the base model answers on {len(passages)} extracts")
    try:
        generator = Generator(server.url, settings, model="base")
        with ThreadPoolExecutor(8) as pool:
            asked = [[{"role": "user", "content": ASKED + passage}] for passage in passages]
            return list(pool.map(lambda one: generator.complete(one[1], WORDS, seed=one[0]).text, enumerate(asked)))
    finally:
        model_server.stop(server.pid)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--author", default="Paul Iusztin", help="of the warehouse")
    parser.add_argument("--answers", type=int, default=40, help="how many extracts are answered")


if __name__ == "__main__":
    run("negative_control", measure, _arguments)
