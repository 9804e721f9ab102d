"""A single web page, saved or on the web."""

from collections.abc import Iterator

from twin_assets.ingest.article import Article, read_article
from twin_assets.ingest.posts import Post, State, post_key, settle_all


class Page:
    """Reads one page.

    Args:
        location: Path or URL.
        content: The page's bytes.
        url: Where it was fetched from; None for a file.
        name: What to call it inside of the source; for a file without an address of its own this is the key.
    """

    complete = True

    def __init__(self, location: str, content: bytes, *, url: str | None = None, name: str = "page") -> None:
        self.location = location
        self._content = content
        self._url = url
        self._name = name
        self._article: Article | None = None

    @property
    def platform(self) -> str:
        """The publishing platform, as far as the page tells."""
        return self._read().platform

    def read(self) -> Iterator[Post]:
        """Exactly one post."""
        article = self._read()
        state, reason = _state(article)
        yield from settle_all(
            [
                Post(
                    key=(post_key(article.url) if article.url else None) or self._name,
                    platform=article.platform,
                    kind="post" if article.platform == "linkedin" else "article",
                    origin=self._name,
                    state=state,
                    reason=reason,
                    title=article.title,
                    url=article.url,
                    byline=article.byline,
                    published_at=article.published_at,
                    blocks=() if article.challenge else article.blocks,
                )
            ]
        )

    def _read(self) -> Article:
        if self._article is None:
            self._article = read_article(self._content, self._url)
        return self._article


def _state(article: Article) -> tuple[State, str]:
    if article.challenge:
        return (
            "unreadable",
            f"the site answered with {article.challenge!r}, not with the post: save the page from a browser and add the file",
        )
    if not article.complete:
        return "partial", "behind a paywall: the page holds only a teaser of it"
    return "kept", ""
