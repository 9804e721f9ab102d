"""From a source to the posts that count: the rules that hold for every platform."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from twin_assets.ingest.posts import Post, settle
from twin_assets.ingest.source import Source

_READ = frozenset({"kept", "draft", "partial"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the owner said about an author and a source."""

    names: tuple[str, ...] = ()
    """Names and handles that the author publishes under. Empty: the most frequent byline of a source is the author's."""
    until: datetime | None = None
    """Writing from this moment on is not learned from, such as all that an assistant had a hand in."""
    ai_assisted: bool = False
    """Nothing of this source is learned from."""


def collect(source: Source, rules: Rules | None = None) -> list[Post]:
    """Reads a source to its end and settles which of its posts count.

    Raises:
        SourceError: When the source cannot be read as a whole.
    """
    rules = rules or Rules()
    return list(_settle_all(_excluded(mark_foreign(list(source.read()), rules.names), rules)))


def mark_foreign(posts: Sequence[Post], names: Sequence[str] = ()) -> list[Post]:
    """Sets posts aside whose byline is not the author's alone; a post without a byline is the author's.

    Without names, the author is the most frequent byline. Where most posts bear none, a name still counts as the author's from a quarter
    of all posts on.
    """
    mine = {_plain(name) for name in names} or _most_frequent(posts)
    return [
        replace(post, state="foreign", reason=reason)
        if post.state == "kept" and (reason := _foreign(post.bylines, mine, names[0] if names else None))
        else post
        for post in posts
    ]


def _most_frequent(posts: Sequence[Post]) -> set[str]:
    readable = [post for post in posts if post.state in _READ]
    found = Counter(_plain(post.byline) for post in readable if post.byline)
    main, count = found.most_common(1)[0] if found else ("", 0)
    return {main} if count * 4 >= len(readable) and main else set()


def _foreign(bylines: Sequence[str], mine: set[str], main: str | None) -> str:
    """Why a post is not the author's alone; empty when it is."""
    others = [name for name in bylines if _plain(name) not in mine]
    if not others or _plain(", ".join(bylines)) in mine:
        return ""
    if len(others) < len(bylines):
        return f"written together with {', '.join(others)}"
    return f"written by {', '.join(others)}, not by {main or next(iter(sorted(mine)), 'the author of this source')}"


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
