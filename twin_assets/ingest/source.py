"""The interface of a source.

A platform is one module in ``twin_assets/ingest/sources/``. It has a ``RANK`` (lower ones are asked first) and one or both of

* ``from_files(files: Files) -> Source | None``: the source for a folder, ZIP or file, None when these are not the platform's;
* ``from_address(address: Address) -> Source | None``: the same for a web address.

Nothing else has to know the platform.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

from twin_assets.ingest.files import Files
from twin_assets.ingest.posts import Post
from twin_assets.ingest.web import Response, Web

EXACT, DETECTED, GENERIC = 0, 50, 100
"""Ranks: known by its name or host alone, known by what is in it, or able to read anything of its kind."""

FOLDERS = frozenset(
    {"blog", "blogs", "weblog", "posts", "post", "articles", "article", "writing", "writings", "essays", "notes", "journal", "diary", "log"}
    | {"archive", "archives", "news", "til", "stories", "texts", "home", "index.html", "index.htm", "index.php"}
)
"""Names of folders whose own page lists posts."""
_FRONT_PAGE = re.compile(r"[~@].|[a-z]{2}(-[a-z]{2})?$")  # a person's folder; a language

Coverage = Literal["everything", "listing", "newest"]
"""What a source shows: ``everything`` there is, as a full export, so that what is missing is gone; a ``listing`` that may err, so that what
is missing has to be missing again a day later; only the ``newest``, as a feed."""


class Source(Protocol):
    """Somewhere an author's writing is read from."""

    location: str
    """The path or URL, as it is registered."""
    platform: str
    """Where this kind of writing comes from."""
    coverage: Coverage
    truncated: str = ""
    """Set while reading: why less was read than there is. Then nothing that is missing counts as gone."""

    def read(self) -> Iterator[Post]:
        """Every row, file and item as exactly one post, in a stable order.

        What holds for all platforms (duplicates, other people's bylines, the owner's cut-off) is applied afterwards, in ``collect``.

        Raises:
            SourceError: When the source cannot be read as a whole. A single broken item is a post in state unreadable instead.
        """
        ...


class Platform(Protocol):
    """A module in ``sources/``."""

    RANK: int

    def from_files(self, files: Files) -> Source | None:
        """The source for these files, if they are the platform's."""
        ...

    def from_address(self, address: "Address") -> Source | None:
        """The source for this address, if it is the platform's."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """A web address that somebody wants to be read.

    Raises:
        SourceError: From ``page``, when the address does not answer.
    """

    url: str
    web: Web

    @property
    def host(self) -> str:
        """The host, lower-case, without ``www.``."""
        return (urlsplit(self.url).hostname or "").lower().removeprefix("www.")

    @property
    def parts(self) -> list[str]:
        """The segments of the path."""
        return [part for part in urlsplit(self.url).path.split("/") if part]

    @property
    def origin(self) -> str:
        """Scheme and host, as ``https://example.com``."""
        found = urlsplit(self.url)
        return f"{found.scheme}://{found.netloc}"

    @property
    def is_front_page(self) -> bool:
        """Whether it looks like the front page of a site, a blog or a language, where posts are listed, and not like one post."""
        parts = urlsplit(self.url)
        last = self.parts[-1].lower() if self.parts else ""
        return not parts.query and (not last or last in FOLDERS or bool(_FRONT_PAGE.match(last)))

    def page(self) -> Response:
        """What the address answers with; asked for once in a read, however many platforms look at it."""
        return self.web.get(self.url, listing=True)
