"""The surface of a voice, for people to look at: how two bodies of text differ in what the eye sees."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from twin_assets.voice.tokens import FUNCTION_WORDS, mask, plain, sentences, tokens

PRONOUNS = ("i", "you", "we", "he", "she", "it", "they")
MARKS: Mapping[str, str] = {",": "comma", ";": "semicolon", ":": "colon", "!": "!", "?": "?", "—": "dash", "(": "bracket", '"': "quotation"}
OPENINGS = 8
OTHER = "(another)"
_LIST_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+")
_PARAGRAPHS = re.compile(r"\n\s*\n")
_VARIATION = "\ufe0f"


@dataclass(frozen=True, slots=True)
class Surface:
    """What the eye sees of some texts.

    Attributes:
        sentence_words: Words of each sentence.
        paragraph_words: Words of each paragraph.
        marks: Punctuation per 1,000 words.
        pronouns: Pronouns per 1,000 words.
        openings: Share of sentences that begin with each function word, and with another word.
        emoji: Emoji per 1,000 words.
        list_share: Share of the lines that are items of a list.
        words: How many words there are in all.
    """

    sentence_words: tuple[int, ...]
    paragraph_words: tuple[int, ...]
    marks: dict[str, float]
    pronouns: dict[str, float]
    openings: dict[str, float]
    emoji: float
    list_share: float
    words: int


def surface(texts: Iterable[str]) -> Surface:
    """Counts what the eye sees of some texts."""
    texts = list(texts)
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    flat = [plain(text) for text in texts]
    every = [sentence for text in flat for sentence in sentences(text)]
    masked = Counter(token for text in flat for token in tokens(mask(text)))
    words = sum(len(text.split()) for text in flat)
    per = 1000 / max(words, 1)
    first_words = (first for sentence in every if (first := next(tokens(mask(sentence)), "")) and first[0].isalpha())
    starts = Counter(first if first in FUNCTION_WORDS else OTHER for first in first_words)
    return Surface(
        sentence_words=tuple(len(sentence.split()) for sentence in every),
        paragraph_words=tuple(len(part.split()) for text in texts for part in _PARAGRAPHS.split(text) if part.strip()),
        marks={name: sum(text.count(mark) for text in flat) * per for mark, name in MARKS.items()},
        pronouns={pronoun: masked[pronoun] * per for pronoun in PRONOUNS},
        openings={first: number / len(every) for first, number in starts.most_common()},
        emoji=sum(_is_emoji(character) for text in texts for character in text) * per,
        list_share=sum(bool(_LIST_ITEM.match(line)) for line in lines) / max(len(lines), 1),
        words=words,
    )


def draw_surfaces(shown: Mapping[str, Surface], colours: Sequence[str]) -> bytes:
    """A PNG with the distributions of several bodies of text side by side, the first one being the author's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3).flatten().tolist()
    _lengths(axes[0], "Words in a sentence", {name: one.sentence_words for name, one in shown.items()}, colours)
    _lengths(axes[1], "Words in a paragraph", {name: one.paragraph_words for name, one in shown.items()}, colours)
    _bars(axes[2], "Punctuation per 1,000 words", {name: one.marks for name, one in shown.items()}, colours)
    _bars(axes[3], "Pronouns per 1,000 words", {name: one.pronouns for name, one in shown.items()}, colours)
    first = next(iter(shown.values()))
    usual = list(first.openings)[:OPENINGS]
    opened = {name: {word: 100 * one.openings.get(word, 0) for word in usual} for name, one in shown.items()}
    _bars(axes[4], "Sentences that open with ..., %", opened, colours)
    rest = {name: {"emoji per 1,000 words": one.emoji, "list items, % of lines": 100 * one.list_share} for name, one in shown.items()}
    _bars(axes[5], "Emoji and lists", rest, colours)
    axes[2].legend(frameon=False, fontsize=8)  # bars are there also for those who wrote nothing
    written = BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def _lengths(axes: Any, title: str, values: Mapping[str, Sequence[int]], colours: Sequence[str]) -> None:
    longest = max((int(np.quantile(lengths, 0.97)) for lengths in values.values() if lengths), default=1)
    edges = np.linspace(0, max(longest, 10), 16)
    for (name, lengths), colour in zip(values.items(), colours, strict=False):
        if lengths:
            axes.hist(np.minimum(lengths, edges[-1]), bins=edges, density=True, histtype="step", linewidth=1.8, color=colour, label=name)
    _tidy(axes, title)


def _bars(axes: Any, title: str, values: Mapping[str, Mapping[str, float]], colours: Sequence[str]) -> None:
    names = list(next(iter(values.values())))
    width = 0.8 / len(values)
    for number, ((label, rates), colour) in enumerate(zip(values.items(), colours, strict=False)):
        axes.bar(
            np.arange(len(names)) + number * width - 0.4 + width / 2, [rates[name] for name in names], width, color=colour, label=label
        )
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=30 if len(names) > 3 else 0)
    _tidy(axes, title)


def _tidy(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color="#1b2230")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, labelsize=8)


def _is_emoji(character: str) -> bool:
    return (
        character != _VARIATION
        and unicodedata.category(character) == "So"
        and ord(character) > 0x2190
        and not 0x2500 <= ord(character) < 0x2600
    )
