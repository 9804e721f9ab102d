"""Control voices: other people, and a machine, that an author is told from.

A user has only their own writing. So the project brings the voices of others along, as numbers: how often each of many real writers uses
the commonest n-grams of masked text, counted over stretches of 50 words. Function words and marks, no sentences. Where the numbers come
from is in docs/control_voices.md, with the command that makes them.
"""

import io
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from twin_assets.sample import control_texts
from twin_assets.store.errors import TwinError
from twin_assets.voice.features import VIEWS, Counts, Passage, ViewName
from twin_assets.voice.space import table
from twin_assets.voice.voices import MAX_CONTROL_PASSAGES, Voice, voice

NUMBERS = Path(__file__).with_name("control_voices.npz")
MACHINE = "generic-llm"
FORMAT = 1
VOCABULARY: Mapping[ViewName, int] = {"words": 12_000, "characters": 10_000}
STORED_PASSAGES = 14
MIN_PASSAGES = 10


def control_voices() -> list[Voice]:
    """All that come with the project: the invented ones, real writers as numbers, and a language model without instructions."""
    return [*(voice(name, texts) for name, texts in control_texts().items()), *stored_voices()]


@cache
def stored_voices(path: Path = NUMBERS) -> tuple[Voice, ...]:
    """The voices of a file of numbers.

    Raises:
        TwinError: When the file is something else.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes().decode())
            if about["format"] != FORMAT:
                raise TwinError(
                    f"{path} has format {about['format']}, this version reads {FORMAT}. Make it again (docs/control_voices.md)."
                )
            units = _units(
                about["grams"], {view: [stored[f"{view}_{part}"] for part in ("starts", "grams", "counts", "totals")] for view in VIEWS}
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise TwinError(f"{path} does not hold control voices ({error}). Make it again (docs/control_voices.md).") from error
    found, start = [], 0
    for one in about["voices"]:
        found.append(Voice(one["name"], units[start : start + one["units"]], machine=one["machine"], habits=one["habits"]))
        start += one["units"]
    return tuple(found)


def write_voices(people: Mapping[str, Sequence[str]], machine: Sequence[str], path: Path = NUMBERS) -> list[Voice]:
    """Makes the file of numbers; writers are named by number, in the order given.

    Args:
        people: Texts of each writer. Those of fewer than ten passages of 150 words are left out.
        machine: Texts that a language model wrote without any author's example.
        path: Where it goes.

    Returns:
        What is in it.

    Raises:
        TwinError: When nobody wrote enough.
    """
    spoken = [voice(f"writer-{number:02}", texts, STORED_PASSAGES) for number, texts in enumerate(people.values(), 1)]
    voices = [one for one in spoken if len(one.passages) >= MIN_PASSAGES]
    if not voices:
        raise TwinError(f"Nobody has {MIN_PASSAGES} passages of 150 words.")
    if machine:
        one = voice(MACHINE, machine, MAX_CONTROL_PASSAGES)
        voices.append(Voice(MACHINE, one.units, machine=True, habits=one.habits))
    labels = np.array([label for label, one in enumerate(voices) for _ in one.units])
    units = [unit for one in voices for unit in one.units]
    grams = {view: table(units, view).most_frequent(VOCABULARY[view], labels) for view in VIEWS}
    arrays: dict[str, Any] = {}
    for view in VIEWS:
        places = {gram: place for place, gram in enumerate(grams[view])}
        rows = [sorted((places[gram], number) for gram, number in unit[view].grams.items() if gram in places) for unit in units]
        flat = [pair for row in rows for pair in row]
        arrays[f"{view}_starts"] = np.cumsum([0, *(len(row) for row in rows)]).astype(np.uint32)
        arrays[f"{view}_grams"] = np.array([place for place, _ in flat], dtype=np.uint16)
        arrays[f"{view}_counts"] = np.array([min(number, 255) for _, number in flat], dtype=np.uint8)
        arrays[f"{view}_totals"] = np.array([unit[view].total for unit in units], dtype=np.uint16)
    about = {
        "format": FORMAT,
        "grams": grams,
        "voices": [
            {"name": one.name, "units": len(one.units), "machine": one.machine, "habits": {h: round(v, 2) for h, v in one.habits.items()}}
            for one in voices
        ],
    }
    written = io.BytesIO()
    np.savez_compressed(
        written, about=np.frombuffer(json.dumps(about, ensure_ascii=False, sort_keys=True).encode(), dtype=np.uint8), **arrays
    )
    path.write_bytes(written.getvalue())
    return voices


def _units(grams: Mapping[ViewName, Sequence[str]], arrays: Mapping[ViewName, Sequence[Any]]) -> list[Passage]:
    counted: dict[ViewName, list[Counts]] = {}
    for view in VIEWS:
        starts, places, counts, totals = (array.tolist() for array in arrays[view])
        names: Sequence[str] = grams[view]
        counted[view] = [
            Counts(Counter({str(names[places[at]]): counts[at] for at in range(starts[row], starts[row + 1])}), total)
            for row, total in enumerate(totals)
        ]
    return [{view: counted[view][row] for view in VIEWS} for row in range(len(counted[VIEWS[0]]))]
