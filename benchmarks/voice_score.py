"""How long the voice of a 500-word draft takes: score with its interval, and the explanation.

The sample author's profile among all control voices that come with the project, read from its file as the API does. The reference, in the same
run, is reading the draft alone: masking it and counting its n-grams.
"""

import argparse
from collections.abc import Callable
from statistics import quantiles
from time import perf_counter

from benchmarks.frame import Result, run
from twin_assets.sample import control_texts
from twin_assets.voice.controls import stored_voices
from twin_assets.voice.features import count
from twin_assets.voice.profile import VoiceProfile, build_profile
from twin_assets.voice.tokens import mask, plain, sentences
from twin_assets.writing.request import Voice
from twin_assets.writing.voice import judge

WORDS, TIMES = 500, 50


def measure(arguments: argparse.Namespace) -> Result:
    """Builds the profile and judges drafts."""
    voices = control_texts()
    own = voices.pop("ordinary-blogger")
    started = perf_counter()
    data = build_profile("ordinary-blogger", own, voices, stored_voices()).to_bytes()
    built = perf_counter() - started
    draft = " ".join(" ".join(own).split()[:WORDS])
    started = perf_counter()
    profile = VoiceProfile.from_bytes(data)
    loaded = perf_counter() - started
    first = _seconds(lambda: judge(profile, draft))
    each = sorted(_seconds(lambda: judge(profile, draft)) for _ in range(TIMES))
    plainly = sorted(_seconds(lambda: count([mask(one) for one in sentences(plain(draft))])) for _ in range(TIMES))
    found = judge(profile, draft)
    assert isinstance(found, Voice)
    figures = {
        "first_ms": round(first * 1000, 1),
        "p50_ms": round(each[TIMES // 2] * 1000, 1),
        "p95_ms": round(quantiles(each, n=20)[-1] * 1000, 1),
        "words": found.words,
        "build_seconds": round(built, 1),
        "load_ms": round(loaded * 1000, 1),
        "profile_megabytes": round(len(data) / 2**20, 1),
        "voices": len(profile.voices),
    }
    return Result(figures, {"counting_p50_ms": round(plainly[TIMES // 2] * 1000, 1)})


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


if __name__ == "__main__":
    run("voice_score", measure)
