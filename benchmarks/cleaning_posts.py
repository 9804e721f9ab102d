"""Invented posts for the cleaning benchmark, written straight into ``ingest.raw_posts``.

A post is a function of the seed and its number, so that a larger corpus begins with the smaller one. Words are made by code: common English
(some German) function words around invented ones, with the punctuation, typography, page furniture and odd states of real corpora.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg

AUTHOR = "bench"
OTHERS = ("bench-other", "bench-third")
COLUMNS = (
    "id",
    "author",
    "source",
    "origin",
    "platform",
    "kind",
    "state",
    "reason",
    "title",
    "url",
    "published_at",
    "blocks",
    "words",
    "content_hash",
    "deleted_at",
    "work",
)
PUBLICATIONS = (
    ("linkedin", "post", "https://www.linkedin.com/posts", 40),
    ("linkedin", "comment", "https://www.linkedin.com/comments", 12),
    ("substack", "article", "https://letters.example.org", 9),
    ("substack", "article", "https://ledger.example.net", 7),
    ("medium", "article", "https://medium.com/@bench", 8),
    ("blog", "article", "https://bench.example.com", 9),
    ("documents", "article", "", 3),
    ("x", "note", "https://x.com/bench", 6),
    ("github", "code", "https://github.com/bench", 6),
)
"""Platform, kind, place, and how many of 100 posts are there."""
STATES = (("kept", 885), ("shared", 35), ("foreign", 25), ("draft", 20), ("partial", 10), ("duplicate", 10), ("empty", 10), ("excluded", 5))
"""States, and how many of 1,000 posts have them."""
SMALL = "https://small.example.org"
SMALL_POSTS = 6
"""The posts of a small publication, half of which end alike: one more of them, and that end is boilerplate."""
INTERFACE = (
    "Share this post",
    "Subscribe",
    "Copy link",
    "Leave a comment",
    "Thanks for reading! Subscribe for free to receive new posts and support my work.",
)
_ENGLISH = """
the of and to a in is it that for was on are with as be this have from or had by not but what all were we when your can said there
each which she do how their if will up other about out many then them these so some her would make like him into time has look two
more go see no way could my than first been who its now people did get come made over new after also back only year work three
great where much before right too mean old any same tell does set want air well such because turn here why ask went need land even
must big high we’re don’t it’s I’m can't that's you’ll didn’t isn't
"""
_GERMAN = """
der die das und in zu den nicht von sie ist des sich mit dem dass er es ein ich auf so eine auch als an nach wie im für man aber
aus durch wenn nur war noch werden bei hat wir was wird sein einen welche sind oder um haben einer mir über ihm diese einem ihr
uns da zum kann doch vor dieser mich ihn du hatte seine mehr am denn nun unter sehr selbst schon hier bis habe ihre dann ihnen
seiner alle wieder
"""
_START = datetime(2012, 1, 1, tzinfo=UTC)
_BOLD = {ord(letter): chr(0x1D5D4 + index) for index, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")} | {
    ord(letter): chr(0x1D5EE + index) for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")
}
_STREAM = 200_000
_OWN = ("paragraph", "heading", "list", "caption")


class Writer:
    """Writes posts.

    Args:
        seed: Another seed, other words and other posts.
    """

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        random = Random(seed)
        words = list(dict.fromkeys(_word(random) for _ in range(6000)))
        self._english = _stream(random, _ENGLISH.split(), words)
        self._german = _stream(random, _GERMAN.split(), words)
        self._footers = {
            place: [self._footer(random, place) for _ in range(2)] for place in [SMALL, *(place for _, _, place, _ in PUBLICATIONS)]
        }
        self._publications = list(accumulate(share for *_, share in PUBLICATIONS))
        self._states = list(accumulate(share for _, share in STATES))

    def post(self, number: int) -> dict[str, Any]:
        """One row of ``ingest.raw_posts``: the first six belong to the small publication."""
        if number < SMALL_POSTS:
            return self.small_post(number, ends_alike=number < SMALL_POSTS // 2)
        random = Random(self.seed * 1_000_003 + number)
        platform, kind, place, _ = random.choices(PUBLICATIONS, cum_weights=self._publications)[0]
        state = random.choices(STATES, cum_weights=self._states)[0][0]
        article = kind == "article"
        return {
            **_row(number, platform, kind, place),
            "author": OTHERS[number % 2] if random.random() < 0.05 else AUTHOR,
            "published_at": _START + timedelta(minutes=random.randrange(7_000_000)),
            "state": state,
            "reason": "" if state == "kept" else f"invented as {state}",
            "deleted_at": _START if random.random() < 0.01 else None,
            "work": post_id(number - 1 if article and random.random() < 0.05 else number),
            **_content(self._title(random) if article else None, [] if state == "empty" else self._blocks(random, kind, place)),
        }

    def small_post(self, number: int, ends_alike: bool) -> dict[str, Any]:
        """A post of the small publication, with or without the end that others have."""
        random = Random(self.seed * 1_000_003 + number)
        blocks = [*self._short(random, self._english, 80), *(self._footers[SMALL][:1] if ends_alike else [])]
        return {**_row(number, "blog", "article", SMALL), **_content(self._title(random), blocks)}

    def paragraph(self, number: int) -> dict[str, Any]:
        """A paragraph that no post has, to edit one with."""
        return _paragraph(self._sentences(Random(-number - 1), self._english, 3))

    def _blocks(self, random: Random, kind: str, place: str) -> list[dict[str, Any]]:
        stream = self._german if random.random() < 0.015 else self._english
        if random.random() < 0.02:
            return [_paragraph(random.choice(("Yes!", "🎉", "So true.", "👏👏", "Congrats, well done…")))]
        if random.random() < 0.003:
            return [_paragraph(self._sentence(random, stream))] * 12
        match kind:
            case "post":
                blocks = self._short(random, stream, random.randint(30, 200))
            case "comment" | "note":
                blocks = self._short(random, stream, random.randint(8, 60))
            case "code":
                blocks = [_heading(self._title(random), 1), *self._short(random, stream, 60), _code(random), _code(random)]
            case _:
                blocks = self._article(random, stream, int(300 + 1200 * random.random() ** 2))
        if kind == "article" and place:
            blocks += [footer for footer, share in zip(self._footers[place], (0.7, 0.45), strict=True) if random.random() < share]
            if random.random() < 0.2:
                blocks.insert(random.randrange(len(blocks)), _paragraph(random.choice(INTERFACE)))
                blocks.append(_paragraph(f"{self._sentence(random, stream)}\n{random.choice(INTERFACE)}"))
        return blocks

    def _short(self, random: Random, stream: list[str], words: int) -> list[dict[str, Any]]:
        """Of one to three sentences a paragraph, as people write on social networks."""
        blocks: list[dict[str, Any]] = []
        while words > 0:
            text = self._sentences(random, stream, random.randint(1, 3))
            words -= text.count(" ") + 1
            blocks.append(_paragraph(text))
        if random.random() < 0.06:
            blocks[0]["text"] = blocks[0]["text"].translate(_BOLD)
        if random.random() < 0.15:
            blocks.append(_paragraph(f"{self._sentence(random, stream)} https://example.com/{_word(random)}?utm_source=share"))
        if random.random() < 0.25:
            blocks[-1]["text"] += f" {random.choice('🚀🙂🔥👇✅')} #{_word(random)}"
        return blocks

    def _article(self, random: Random, stream: list[str], words: int) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        while words > 0:
            block = self._block(random, stream)
            words -= block["text"].count(" ") + 1
            blocks.append(block)
        return blocks

    def _block(self, random: Random, stream: list[str]) -> dict[str, Any]:
        what = random.random()
        if what < 0.72:
            return _paragraph(self._sentences(random, stream, random.randint(1, 6)) + self._aside(random))
        if what < 0.83:
            return _heading(self._title(random), random.choice((2, 2, 3)))
        if what < 0.90:
            mark = random.choice(("- ", "- ", "1. "))
            return {"type": "list", "text": "\n".join(mark + self._sentence(random, stream) for _ in range(random.randint(2, 6)))}
        if what < 0.94:
            return {"type": "quote", "text": self._sentences(random, stream, 2)}
        if what < 0.98:
            return _code(random)
        if what < 0.99:
            return {"type": "caption", "text": self._sentence(random, stream)}
        return {"type": "table", "text": "| a | b |\n|---|---|\n" + "\n".join(f"| {_word(random)} | {number} |" for number in range(4))}

    def _aside(self, random: Random) -> str:
        """What now and then stands at the end of a paragraph: an address on the web, an e-mail, a number, a key."""
        what = random.random()
        if what < 0.05:
            return f" See https://www.example.com/{_word(random)}/{_word(random)}, it is short."
        if what < 0.06:
            return f" Write to {_word(random)}.{_word(random)}@example.com, please."
        if what < 0.065:
            return f" Call +44 20 7946 0{random.randrange(100, 999)}."
        if what < 0.066:
            return " The old key was AKIA" + "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)) + "."
        return ""

    def _sentences(self, random: Random, stream: list[str], count: int) -> str:
        return " ".join(self._sentence(random, stream) for _ in range(count))

    @staticmethod
    def _sentence(random: Random, stream: list[str]) -> str:
        start = int(random.random() * (_STREAM - 30))
        text = " ".join(stream[start : start + 5 + int(random.random() * 18)]).rstrip(",; –—")
        return text[0].upper() + text[1:] + "....?!…"[int(random.random() * 7)]

    def _title(self, random: Random) -> str:
        return self._sentence(random, self._english)[:60].rpartition(" ")[0]

    def _footer(self, random: Random, place: str) -> dict[str, Any]:
        return _paragraph(f"{self._sentences(random, self._english, 2)} {place}/about")


def post_id(number: int) -> UUID:
    """The id of the post with this number."""
    return uuid5(NAMESPACE_URL, f"benchmark {number}")


def content_hash(title: str | None, content: str) -> str:
    """Changes with the content, as the collecting stage's does."""
    return hashlib.sha256(f"{title}\n{content}".encode()).hexdigest()


def write(connection: psycopg.Connection, posts: Iterable[dict[str, Any]]) -> None:
    """Copies posts into the warehouse."""
    with connection.cursor().copy(f"copy ingest.raw_posts ({', '.join(COLUMNS)}) from stdin") as copy:  # pyright: ignore
        for post in posts:
            copy.write_row([post[column] for column in COLUMNS])


def _row(number: int, platform: str, kind: str, place: str) -> dict[str, Any]:
    return {
        "id": post_id(number),
        "author": AUTHOR,
        "source": place or "/documents",
        "origin": str(number),
        "platform": platform,
        "kind": kind,
        "state": "kept",
        "reason": "",
        "url": f"{place}/{number}" if place else None,
        "published_at": _START,
        "deleted_at": None,
        "work": post_id(number),
    }


def _content(title: str | None, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    content = json.dumps(blocks, ensure_ascii=False)
    words = sum(len(block["text"].split()) for block in blocks if block["type"] in _OWN)
    return {"title": title, "blocks": content, "words": words, "content_hash": content_hash(title, content)}


def _stream(random: Random, common: Sequence[str], rare: Sequence[str]) -> list[str]:
    """Running text without an end: common words by Zipf's law, invented ones, and the marks between them."""
    weights = [1 / (rank + 2) for rank in range(len(common))]
    frequent = iter(random.choices(common, weights, k=_STREAM))
    own = iter(random.choices(rare, [1 / (rank + 20) for rank in range(len(rare))], k=_STREAM))
    return [_token(random.random(), frequent, own) for _ in range(_STREAM)]


def _token(chance: float, frequent: Iterator[str], own: Iterator[str]) -> str:
    word = next(own) if chance * 1000 % 1 < 0.42 else next(frequent)
    if chance < 0.07:
        return f"{word},"
    if chance < 0.085:
        return f"{word} —"
    if chance < 0.09:
        return f"{word} –"
    if chance < 0.10:
        return f"“{word} {next(own)}”"
    if chance < 0.105:
        return f"‘{word}’"
    if chance < 0.11:
        return f'"{word}"'
    if chance < 0.115:
        return f"{word};"
    return f"({word})" if chance < 0.12 else word


def _word(random: Random) -> str:
    syllables = (random.choice("bcdfghlmnprstvw") + random.choice("aeiou") + random.choice(("", "", "n", "r", "st")) for _ in range(2))
    return "".join(syllables) + random.choice(("", "", "s", "ed", "ing", "er", "tion", "ly"))


def _paragraph(text: str) -> dict[str, Any]:
    return {"type": "paragraph", "text": text}


def _heading(text: str, level: int) -> dict[str, Any]:
    return {"type": "heading", "text": text, "level": level}


def _code(random: Random) -> dict[str, Any]:
    lines = [f"    {_word(random)} = {_word(random)}({random.randrange(100)}, '{_word(random)}')" for _ in range(random.randint(2, 12))]
    return {"type": "code", "text": "\n".join([f"def {_word(random)}():", *lines]), "language": "python"}
