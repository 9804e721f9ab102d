"""A second opinion: attribution by an encoder that was trained to tell styles apart, such as LUAR or StyleDistance, where one can be had.

Any model that sentence-transformers loads will do. It may speak only after it has told the author from others, some of whom must write on
the author's subjects: else an encoder of meaning, which hears no style, passes too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.space import Vectors

MIN_RIGHT = 0.8
MIN_TEXTS = 4

Encode = Callable[[list[str]], Vectors]


@dataclass(frozen=True, eq=False)
class SecondOpinion:
    """An encoder that has passed its trial.

    Attributes:
        author: Whose voice is asked about.
        right: Share of unseen texts that it gave to the right side, the author's and those of the voice that it mistakes most at equal weight.
        encode: Texts to vectors of unit length.
        centroids: One row per voice, the author's first.
    """

    author: str
    right: float
    encode: Encode
    centroids: Vectors

    def own(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is nearest to the author; an empty one is not."""
        near = self.encode([text or " " for text in texts]) @ self.centroids.T
        return [bool(text.strip()) and int(row.argmax()) == 0 for text, row in zip(texts, near, strict=True)]


def second_opinion(
    author: str, encode: Encode, own: Sequence[str], unseen: Sequence[str], controls: Mapping[str, Sequence[str]]
) -> SecondOpinion | NotEnough:
    """Puts an encoder on trial.

    Args:
        author: Whose voice it is.
        encode: Texts to vectors of unit length.
        own: The author's texts to learn from.
        unseen: Other texts of the author's.
        controls: Texts of others; every second one is learned from, the rest is judged.
    """
    others = {name: list(texts) for name, texts in controls.items() if len(texts) >= MIN_TEXTS}
    if len(own) < MIN_TEXTS or len(unseen) < MIN_TEXTS or not others:
        return NotEnough(f"Not enough evidence: {MIN_TEXTS} texts of each side are needed to try an encoder of style.", 0)
    learned = [encode(list(own)), *(encode(texts[::2]) for texts in others.values())]
    found = SecondOpinion(author, 0.0, encode, np.array([_centroid(rows) for rows in learned]))
    mistaken = max(np.mean(found.own(texts[1::2])) for texts in others.values())
    right = (np.mean(found.own(unseen)) + 1 - mistaken) / 2
    if right < MIN_RIGHT:
        return NotEnough(
            f"Not enough evidence: the encoder of style told {author} from others in {right:.0%} of the cases, {MIN_RIGHT:.0%} are needed.",
            0,
        )
    return SecondOpinion(author, round(float(right), 4), encode, found.centroids)


def _centroid(rows: Vectors) -> Vectors:
    mean = rows.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
