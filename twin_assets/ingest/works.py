"""Which posts are one work: the same text, published in several places.

Posts are one work when the platform says so (a canonical URL), or when their texts are nearly the same: half of the shorter one's runs of
five words stand in the longer one too. Containment, not Jaccard: a cross-post has another platform's additions around the same text, and
that halves what the two have in common without making it another text. Of each work one post stands for it; the others are its aliases,
kept and listed, and not learned from a second time.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from sys import intern
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import RowMapping, bindparam, func, select, update

from twin_assets.ingest.posts import OWN_WORDS, post_key
from twin_assets.ingest.report import markdown_table
from twin_assets.ingest.sync import lock_author
from twin_assets.store.database import Database
from twin_assets.store.tables import raw_posts

log = structlog.get_logger(__name__)

SHINGLE = 5
"""Words in a run that two texts are compared by."""
SAME = 0.5
"""Share of the shorter text's runs that the longer one holds, from which on they are one work."""
SAME_WHEN_SHORT = 0.8
"""The same for texts of fewer than ``LONG`` runs, of which a common phrase is a large part."""
LONG = 40
SHORTEST = 8
"""Runs below which only equal words make one work."""
SHARE_OF_LENGTH = 0.4
"""Length of the shorter text over the longer one's: what is shorter still is an excerpt or a teaser, a work of its own."""
_BOILERPLATE = 3  # a run that more posts of one source hold is the publication's, not the post's
_MOST_PLACES = 12  # nor is one that so many posts hold altogether
_KINDS = ("post", "article", "note")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # written without blanks: each character counts as a word
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_LONGEST_TITLE = 80


@dataclass(frozen=True, slots=True)
class Text:
    """A post, as far as it matters which work it is."""

    id: UUID
    source: str
    words: tuple[str, ...]
    """Of the author's own prose, from ``own_text``."""
    state: str = "kept"
    url: str | None = None
    canonical_url: str | None = None
    published_at: datetime | None = None


def own_text(blocks: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The words of the author's own blocks, in one spelling: without code, quotes, case, marks and decorated letters."""
    prose = "\n".join(block["text"] for block in blocks if block["type"] in OWN_WORDS)
    return tuple(map(intern, _WORD.findall(unicodedata.normalize("NFKC", prose).casefold())))


def works(posts: Sequence[Text]) -> dict[UUID, UUID]:
    """Says of every post which one stands for its work; most stand for themselves.

    What stands is what is kept rather than a part; what others name as their original; the longest; the earliest. Every alias is the same
    text as the one that stands for it, not only as another alias: works do not grow together by way of a text that is a bit of both.
    """
    posts = _ranked(posts)
    same = _neighbours(len(posts), [*_linked(posts), *_equal(posts), *_alike(posts)])
    stands: dict[int, int] = {}
    for index in range(len(posts)):
        if index not in stands:
            stands[index] = index
            for other in same[index]:
                stands.setdefault(other, index)
    return {posts[index].id: posts[standing].id for index, standing in stands.items()}


def _neighbours(count: int, pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in range(count)]
    for one, other in pairs:
        found[one].add(other)
        found[other].add(one)
    return found


def _ranked(posts: Sequence[Text]) -> list[Text]:
    """The posts in the order in which they may stand for a work."""
    originals = {place for post in posts if (place := _original(post))}
    never = datetime.max.replace(tzinfo=UTC)

    def rank(post: Text) -> tuple[Any, ...]:
        copy, named = _original(post) is not None, _place(post.url) in originals
        return post.state != "kept", copy, not named, -len(post.words), post.published_at or never, post.id

    return sorted(posts, key=rank)


def _place(url: str | None) -> str | None:
    """An address that can be one post's: not the front page of a site, which some blogs name as the original of all their posts."""
    key = post_key(url) if url else None
    return key if key and urlsplit(key).path else None


def _original(post: Text) -> str | None:
    """Where a post says that its original stands, if elsewhere."""
    place = _place(post.canonical_url)
    return place if place != _place(post.url) else None


def _linked(posts: Sequence[Text]) -> Iterator[tuple[int, int]]:
    """Pairs of which one names the other's address as its original, or which stand at one address in two sources."""
    at, named = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for index, post in enumerate(posts):
        if place := _place(post.url):
            at[place].append(index)
        if place := _original(post):
            named[place].append(index)
    for places in (at, named):
        for found in places.values():
            if len(found) <= _MOST_PLACES:  # an address of that many posts is no post's
                yield from (pair for pair in combinations(found, 2) if posts[pair[0]].source != posts[pair[1]].source)
    for place, copies in named.items():
        originals = at.get(place, [])
        if len(copies) <= _MOST_PLACES and len(originals) <= _MOST_PLACES:
            yield from ((copy, original) for copy in copies for original in originals)


def _equal(posts: Sequence[Text]) -> Iterator[tuple[int, int]]:
    """Each post with the same words, however few, with the first that has them."""
    first: dict[tuple[str, ...], int] = {}
    for index, post in enumerate(posts):
        if post.words and first.setdefault(post.words, index) != index:
            yield first[post.words], index


def _alike(posts: Sequence[Text]) -> Iterator[tuple[int, int]]:
    """Pairs whose texts are nearly the same: the runs that two posts share are counted exactly, for all pairs that share any."""
    runs, owners, sizes = _shareable(posts)
    pairs, shared = _shared(runs, owners, len(posts))
    one, other = pairs // len(posts), pairs % len(posts)
    shorter, longer = np.minimum(sizes[one], sizes[other]), np.maximum(sizes[one], sizes[other])
    enough = np.where(shorter >= LONG, SAME, SAME_WHEN_SHORT)
    same = (shorter >= SHORTEST) & (shared >= enough * shorter) & (shorter >= SHARE_OF_LENGTH * longer)
    yield from zip(one[same].tolist(), other[same].tolist(), strict=True)


def _shareable(posts: Sequence[Text]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of words that stand in more than one post, each beside its post's index, and how many runs each post has; all without boilerplate."""
    numbers: dict[str, int] = {}
    sources: dict[str, int] = {}
    found = [_runs(np.fromiter((numbers.setdefault(word, len(numbers)) for word in post.words), np.uint64)) for post in posts]
    runs = np.concatenate([*found, np.empty(0, np.uint64)])
    owners = np.repeat(np.arange(len(posts)), [len(of_post) for of_post in found])
    _, place, count = np.unique(runs, return_inverse=True, return_counts=True)
    sizes = np.bincount(owners, minlength=len(posts))
    runs, owners = runs[count[place] > 1], owners[count[place] > 1]
    in_source = np.array([sources.setdefault(post.source, len(sources)) for post in posts], np.uint64)[owners]
    _, place, count = np.unique(runs ^ (in_source * _PRIME), return_inverse=True, return_counts=True)
    common = np.isin(runs, np.unique(runs[count[place] > _BOILERPLATE]))
    return runs[~common], owners[~common], sizes - np.bincount(owners[common], minlength=len(posts))


def _runs(words: np.ndarray) -> np.ndarray:
    """The different runs of a text, each as a hash."""
    if len(words) < SHINGLE:
        return np.empty(0, np.uint64)
    return np.unique(_combined(words))


def _combined(words: np.ndarray) -> np.ndarray:
    last = len(words) - SHINGLE + 1
    runs = np.zeros(last, np.uint64)
    for offset in range(SHINGLE):  # wraps around at 64 bits, as hashes do
        runs = (runs ^ words[offset : offset + last]) * _PRIME
        runs ^= runs >> np.uint64(29)
    return runs


def _shared(runs: np.ndarray, owners: np.ndarray, posts: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of posts that have runs in common, each as one number, and how many these are."""
    order = np.lexsort((owners, runs))
    owners = owners[order]
    _, starts, counts = np.unique(runs[order], return_index=True, return_counts=True)
    found = [np.empty(0, np.int64)]
    for count in range(2, _MOST_PLACES + 1):
        firsts = starts[counts == count]
        for one, other in combinations(range(count), 2):
            found.append(owners[firsts + one] * posts + owners[firsts + other])
    return np.unique(np.concatenate(found), return_counts=True)


def group_works(database: Database, author: str) -> int:
    """Says of every post of an author which one stands for its work, and writes what is different from before.

    Only living posts that are kept are compared, and no comments; all others stand for themselves. When the post that stands for a work is
    deleted, an alias takes its place.

    Returns:
        How many posts now belong to another work than before.
    """
    columns = raw_posts.c
    fields = (columns.id, columns.source, columns.state, columns.url, columns.canonical_url, columns.published_at, columns.blocks)
    compared = (columns.state == "kept", columns.deleted_at.is_(None), columns.kind.in_(_KINDS))
    with database.begin() as connection:
        lock_author(connection, author)
        before = {row.id: row.work for row in connection.execute(select(columns.id, columns.work).where(columns.author == author))}
        stands = works([_text(row) for row in connection.execute(select(*fields).where(columns.author == author, *compared)).mappings()])
        changed = [{"post": id, "stands": work} for id in before if (work := stands.get(id, id)) != (before[id] or id)]
        if None in before.values():  # new posts stand for themselves, unless it turns out otherwise
            connection.execute(update(raw_posts).where(columns.author == author, columns.work.is_(None)).values(work=columns.id))
        if changed:
            connection.execute(update(raw_posts).where(columns.id == bindparam("post")).values(work=bindparam("stands")), changed)
    log.info(
        "works_grouped", author=author, posts=len(before), changed=len(changed), aliases=sum(id != work for id, work in stands.items())
    )
    return len(changed)


def _text(row: RowMapping) -> Text:
    return Text(
        id=row["id"],
        source=row["source"],
        words=own_text(row["blocks"]),
        state=row["state"],
        url=row["url"],
        canonical_url=row["canonical_url"],
        published_at=row["published_at"],
    )


def cross_post_table(database: Database, author: str) -> str:
    """The works that stand in several places: which post is learned from, and which ones are its aliases."""
    copies, originals = raw_posts.alias("copies"), raw_posts.alias("originals")
    where = [func.coalesce(table.c.url, table.c.origin) for table in (originals, copies)]
    query = (
        select(
            func.left(func.coalesce(originals.c.title, originals.c.origin), _LONGEST_TITLE),
            originals.c.platform,
            where[0],
            copies.c.platform,
            where[1],
        )
        .join_from(copies, originals, copies.c.work == originals.c.id)
        .where(copies.c.author == author, copies.c.work != copies.c.id, copies.c.deleted_at.is_(None))
        .order_by(originals.c.published_at.desc().nulls_last(), originals.c.id, copies.c.platform, copies.c.id)
    )
    with database.begin() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    return markdown_table(("work", "learned from", "where", "also on", "where"), rows)
