"""Threads: what somebody writes as several short posts in a row, each a reply to the one before, is one text."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from twin_assets.ingest.posts import Post

LONGEST_PAUSE = timedelta(days=1)
"""A reply to oneself that comes later than this takes a subject up again: it is a post of its own."""
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """A short post and what it replies to."""

    post: Post
    id: str
    parent: str = ""
    """The id of what it replies to; empty when it replies to nothing."""
    to_self: bool = False
    """Whether the platform says that it replies to its own author; not needed where the replied-to post is among the entries."""


def join_threads(entries: Sequence[Entry]) -> list[Post]:
    """Joins threads into their first posts, in the order of the entries.

    A reply to somebody else becomes a comment, and so does what its author adds to it. Later parts of a thread stay accounted for, without
    their text, in state duplicate. A part that is not kept, such as a deleted one, does not break the thread it stood in.
    """
    by_id: dict[str, Entry] = {}
    for entry in entries:
        by_id.setdefault(entry.id, entry)
    unique = list(by_id.values())
    roots = _roots(by_id)
    threads: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(unique, key=lambda entry: entry.post.published_at or _BEFORE_ALL):
        if entry.post.state == "kept":
            threads[roots[entry.id]].append(entry)
    settled: dict[str, Post] = {}
    for root, thread in threads.items():
        settled.update(_joined(thread, comment=_answers_others(by_id[root])))
    return [settled.get(entry.id, entry.post) if by_id[entry.id] is entry else entry.post for entry in entries]


def _roots(by_id: dict[str, Entry]) -> dict[str, str]:
    """For every entry the first one of its thread. Entries that reply to each other in a circle begin with the one met first."""
    roots: dict[str, str] = {}
    for start in by_id:
        path: dict[str, None] = {}
        current = start
        while current not in roots and current not in path and by_id[current].parent in by_id:
            path[current] = None
            current = by_id[current].parent
        root = roots.get(current, current)
        for id in (*path, current):
            roots.setdefault(id, root)
    return roots


def _answers_others(root: Entry) -> bool:
    return bool(root.parent) and not root.to_self


def _joined(thread: list[Entry], *, comment: bool) -> dict[str, Post]:
    """The posts of one thread, in the order of time, by id."""
    settled: dict[str, Post] = {}
    head, last = "", None
    for entry in thread:
        post = replace(entry.post, kind="comment") if comment else entry.post
        when = post.published_at
        if head and when and last and when - last <= LONGEST_PAUSE:
            first = settled[head]
            edits = [date for date in (first.edited_at, post.edited_at) if date]
            settled[head] = replace(first, blocks=first.blocks + post.blocks, edited_at=max(edits, default=None))
            settled[entry.id] = replace(post, state="duplicate", reason=f"part of the thread that begins with {first.origin}", blocks=())
        else:
            settled[entry.id], head = post, entry.id
        last = when
    return settled
