"""A dry run: what would be learned from a source, and what not, and why."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from pydantic import BaseModel, Field

from twin_assets.ingest.collect import Rules, collect
from twin_assets.ingest.crawls import free_web
from twin_assets.ingest.posts import Kind, Post, State
from twin_assets.ingest.registry import open_source
from twin_assets.settings import Settings


class Item(BaseModel):
    """One row or file."""

    origin: str
    state: State
    reason: str
    kind: Kind
    date: datetime | None
    words: int
    title: str | None


class Inspection(BaseModel):
    """Every row and file of a source, accounted for."""

    source: str
    platform: str
    truncated: str = Field("", description="Why less was read than there is; empty when all was.")
    total: int = Field(description="Rows and files.")
    states: dict[str, int] = Field(description="How many are in each state.")
    kinds: dict[str, int] = Field(description="How many of those kept are of each kind.")
    words: int = Field(description="Words of own prose in what is kept.")
    first: datetime | None = Field(description="Date of the oldest kept one.")
    last: datetime | None = Field(description="Date of the newest kept one.")
    items: list[Item]


def inspect(location: str, settings: Settings, rules: Rules | None = None, say: Callable[[str], None] | None = None) -> Inspection:
    """Reads a source and says what would be learned from it; nothing is written.

    Raises:
        SourceError: When the source cannot be read as a whole.
    """
    with free_web(settings, say) as web:
        source = open_source(location, web)
        posts = collect(source, rules)
    kept = [post for post in posts if post.state == "kept"]
    dates = sorted(post.published_at for post in kept if post.published_at)
    return Inspection(
        source=location,
        platform=source.platform,
        truncated=source.truncated,
        total=len(posts),
        states=dict(Counter(post.state for post in posts)),
        kinds=dict(Counter(post.kind for post in kept)),
        words=sum(post.words for post in kept),
        first=dates[0] if dates else None,
        last=dates[-1] if dates else None,
        items=[_item(post) for post in posts],
    )


def _item(post: Post) -> Item:
    return Item(
        origin=post.origin,
        state=post.state,
        reason=post.reason,
        kind=post.kind,
        date=post.published_at,
        words=post.words,
        title=post.title,
    )
