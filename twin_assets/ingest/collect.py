"""From a source to the posts that count: the rules that hold for every platform."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from twin_assets.ingest.posts import Post, settle
from twin_assets.ingest.source import Source

_READ = frozenset({"kept", "draft", "partial"})
_FEW = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """What the owner said about an author and a source."""

    names: tuple[str, ...] = ()
    """Names and handles that the author publishes under. Empty: the most frequent byline of a source is the author's."""
    until: datetime | None = None
    """Writing from this moment on is not learned from, such as all that an assistant had a hand in."""
    ai_assisted: bool = False
    """Nothing of this source is learned from."""
    author: str = ""
    """The name under which the author is registered, such as ``jane-doe``: tells whose a byline is where no names are given."""


def collect(source: Source, rules: Rules | None = None) -> list[Post]:
    """Reads a source to its end and settles which of its posts count.

    Raises:
        SourceError: When the source cannot be read as a whole.
    """
    rules = rules or Rules()
    return list(_settle_all(_excluded(mark_foreign(list(source.read()), rules.names, rules.author), rules)))


def mark_foreign(posts: Sequence[Post], names: Sequence[str] = (), author: str = "") -> list[Post]:
    """Sets posts aside whose byline is not the author's alone; a post without a byline is the author's.

    Without names, the author is who is called like the registered name (Jane Doe for ``jane-doe``), or else the most frequent byline.
    Where most posts bear none, that has to stand on a quarter of all, and on two at least: a single name among unsigned posts is a guest's.
    """
    mine = {_plain(name) for name in names} or _called(posts, author) or _most_frequent(posts)
    return [
        replace(post, state="foreign", reason=reason)
        if post.state == "kept" and (reason := _foreign(post.bylines, mine, names[0] if names else None))
        else post
        for post in posts
    ]


def _called(posts: Sequence[Post], author: str) -> set[str]:
    wanted = set(re.findall(r"[a-z0-9]+", author))
    bylines = {_plain(name) for post in posts for name in post.bylines}
    return {name for name in bylines if wanted and set(re.findall(r"\w+", name)) == wanted}


def _most_frequent(posts: Sequence[Post]) -> set[str]:
    readable = [post for post in posts if post.state in _READ]
    found = Counter(_plain(post.byline) for post in readable if post.byline).most_common(2)
    if not found or (len(found) == 2 and found[0][1] == found[1][1]):
        return set()  # nobody, or nobody more than another
    main, count = found[0]
    return {main} if count * 2 >= len(readable) or (count >= _FEW and count * 4 >= len(readable)) else set()


def _foreign(bylines: Sequence[str], mine: set[str], main: str | None) -> str:
    """Why a post is not the author's alone; empty when it is."""
    others = [name for name in bylines if _plain(name) not in mine]
    if not others or _plain(", ".join(bylines)) in mine:
        return ""
    if len(others) < len(bylines):
        return f"written together with {', '.join(others)}"
    if not mine:
        return f"written by {', '.join(others)}, and nothing tells whether that is the author: say so with --known-as"
    return f"written by {', '.join(others)}, not by {main or min(mine)}"


def _plain(name: str) -> str:
    return " ".join(name.casefold().removeprefix("@").split())


def _excluded(posts: Iterable[Post], rules: Rules) -> Iterator[Post]:
    for post in posts:
        if post.state != "kept":
            yield post
        elif rules.ai_assisted:
            yield replace(post, state="excluded", reason="the owner marked this source as written with an assistant's help")
        elif rules.until and post.published_at is None:
            yield replace(
                post, state="excluded", reason=f"it bears no date, and only what was written before {rules.until:%Y-%m-%d} counts"
            )
        elif rules.until and post.published_at and post.published_at >= rules.until:
            yield replace(post, state="excluded", reason=f"published on or after {rules.until:%Y-%m-%d}, the owner's cut-off date")
        elif rules.until and post.edited_at and post.edited_at >= rules.until:
            yield replace(post, state="excluded", reason=f"edited on or after {rules.until:%Y-%m-%d}, the owner's cut-off date")
        else:
            yield post


def _settle_all(posts: Iterable[Post]) -> Iterator[Post]:
    """Tells empty posts apart, and keeps a post that comes twice once.

    A repeated key gets a number, so that every row and file stays accounted for under an id of its own.
    """
    keys: Counter[str] = Counter()
    origins: dict[str, str] = {}
    contents: dict[object, str] = {}
    seen: set[object] = set()
    for post in map(settle, posts):
        keys[post.key] += 1
        content = (post.kind == "comment", post.title, post.blocks)
        key = post.key if keys[post.key] == 1 else f"{post.key}#{keys[post.key]}"
        same_key = keys[post.key] > 1 and (post.kind != "comment" or (post.key, content) in seen)  # two comments can share a second
        if same_key:
            yield replace(post, key=key, state="duplicate", reason=f"same post as {origins[post.key]}")
        elif post.state == "kept" and content in contents:
            yield replace(post, key=key, state="duplicate", reason=f"same text as {contents[content]}")
        else:
            if post.state == "kept":
                contents[content] = post.origin
            yield replace(post, key=key)
        seen.add((post.key, content))
        origins.setdefault(post.key, post.origin)
