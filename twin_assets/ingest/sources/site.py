"""A whole site: every article that its sitemap lists, or else what its feed holds.

A feed shows the newest posts only, so a sitemap (sitemaps.org) is preferred: it lists everything, and when it changed.
"""

import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import iterparse

from twin_assets.ingest.errors import FetchError
from twin_assets.ingest.failures import Failures
from twin_assets.ingest.pages import feed_link
from twin_assets.ingest.posts import Post, canonical_url, not_a_text, parse_date
from twin_assets.ingest.source import DETECTED, FOLDERS, Address, Coverage, Source
from twin_assets.ingest.sources.feed import Feed, host_of, is_feed
from twin_assets.ingest.sources.page import Page
from twin_assets.ingest.web import Response, Web

RANK = DETECTED + 20
_MOST_SITEMAPS = 500
_MOST_PAGES = 100_000
_UNPACKED_BYTES = 50 * 1024 * 1024  # the protocol's own limit
_NAMED = re.compile(r"^[ \t]*sitemap[ \t]*:[ \t]*(\S{1,2000})", re.I | re.M)
_LISTS = frozenset(
    {
        "tag",
        "tags",
        "category",
        "categories",
        "author",
        "authors",
        "label",
        "labels",
        "topic",
        "topics",
        "taxonomy",
        "feed",
        "search",
        "page",
    }
)
_LIST_SITEMAP = re.compile(r"\b(post_)?(tag|categor(y|ie)|author|user|label|taxonom(y|ie))s?\b", re.I)
_BY_DATE = re.compile(r"(19|20)\d\d(/\d{1,2}){0,2}$")
_FILE = re.compile(r"\.(pdf|jpe?g|png|gif|webp|svg|ico|css|xml|rss|atom|json|zip|gz|mp[34]|m4a|ogg|wav|txt|docx?|epub)$", re.I)
_A_LIST = "a list of posts, not a post"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page that a sitemap lists."""

    url: str
    changed: datetime | None = None
    skipped: str = ""
    """Why it is not read; empty when it is."""


def from_address(address: Address) -> Source | None:
    """The front page of a site or a blog, or a sitemap."""
    response = address.page()
    if _is_sitemap(response.content):
        pages, truncated = list_pages(address.web, [response.url])
        return Site(address.url, address.web, _under(pages, urljoin(response.url, "/")), truncated)
    if not address.is_front_page or b"<" not in response.content:
        return None
    folder = _folder(response.url)
    pages, truncated = list_pages(address.web, _sitemaps(address.web, folder), folder)
    found = _under(pages, folder)
    if any(not page.skipped for page in found):
        return Site(address.url, address.web, found, truncated)
    return _feed(address, response)


def _feed(address: Address, response: Response) -> Source | None:
    offered = feed_link(response.content, response.url)
    if offered is None or not address.web.same_network(response.url, offered):
        return None
    try:
        feed = address.web.get(offered, listing=True)
    except FetchError as error:
        if error.outcome == "gone":
            return None
        raise
    return Feed(address.url, feed.content, web=address.web, url=feed.url) if is_feed(feed.content, feed.content_type) else None


class Site(Source):
    """Reads the pages of a site, newest first.

    Args:
        location: The address that was named.
        web: What pages are read through.
        pages: What the sitemap lists.
        truncated: Why it may list less than there is.
    """

    platform = "web"
    coverage: Coverage = "listing"

    def __init__(self, location: str, web: Web, pages: list[Listed], truncated: str = "") -> None:
        self.location = location
        self.truncated = truncated
        self._web = web
        self._listed = sorted(pages, key=lambda page: page.changed or datetime.min.replace(tzinfo=UTC), reverse=True)

    def read(self) -> Iterator[Post]:
        """One post per page that the sitemap lists.

        Raises:
            FetchError: When none could be read.
        """
        failures, read, failed = Failures(), 0, None
        for page in self._listed:
            if page.skipped:
                yield not_a_text(page.url, self.platform, page.skipped)
                continue
            try:
                response = self._web.get(page.url, changed=page.changed)
            except FetchError as error:
                failed = error
                if failures.ends_reading(error):
                    if not read:
                        raise
                    self.truncated = str(error)
                    return
                yield not_a_text(page.url, self.platform, str(error), "unreadable")
                continue
            failures.succeeded()
            read += 1
            yield self._post(page, response)
        if failed is not None and not read:
            raise failed

    def _post(self, page: Listed, response: Response) -> Post:
        if response.content_type and "html" not in response.content_type:
            return not_a_text(page.url, self.platform, f"not a page but {response.content_type[:100]}")
        here = canonical_url(page.url) or page.url
        if canonical_url(response.url) != here and host_of(response.url) != host_of(page.url):
            return not_a_text(page.url, self.platform, f"it leads away, to {response.url}")
        [post] = Page(page.url, response.content, url=response.url, name=page.url).read()
        if post.url and urlsplit(post.url).path in ("", "/") and urlsplit(here).path:
            return replace(post, key=here, url=here)  # a theme that calls the front page the canonical address of every post
        return post


def list_pages(web: Web, sitemaps: list[str], home: str = "") -> tuple[list[Listed], str]:
    """Every page that sitemaps list, indexes followed.

    Args:
        web: What they are read through.
        sitemaps: Their addresses.
        home: An address of the site that they are for; empty when the first one is. On another host sitemaps are read when they do not
            lead from the web into a private network, and when that host's robots.txt allows it.

    Returns:
        The pages, each once, and why there may be more; that is empty when there are not.
    """
    found: dict[str, Listed] = {}
    home = home or sitemaps[0]
    pending, seen, truncated = deque(sitemaps), set[str](), ""
    while pending:
        url = pending.popleft()
        if url in seen or not web.same_network(home, url):
            continue
        if len(seen) >= _MOST_SITEMAPS or len(found) >= _MOST_PAGES:
            return list(found.values()), f"The sitemaps list more than is read: {_MOST_PAGES:,} pages of {_MOST_SITEMAPS} sitemaps."
        seen.add(url)
        try:
            # A site's own robots.txt is where its sitemaps are named for everyone.
            content = web.get(url, robots=host_of(url) != host_of(home), listing=True).content
        except FetchError as error:
            if error.outcome == "truncated":
                return list(found.values()), str(error)
            if error.outcome not in ("gone", "malformed"):
                truncated = str(error)
            continue
        pages, inner, cut = read_sitemap(content)
        if cut:
            truncated = f"The sitemap {url} breaks off or cannot be read to its end."
        lists = bool(_LIST_SITEMAP.search(urlsplit(url).path.rpartition("/")[2].replace("-", " ").replace("_", " ")))
        for page in pages:
            if key := canonical_url(page.url):
                found.setdefault(key, replace(page, skipped=_A_LIST) if lists else page)
        pending.extend(urljoin(url, link) for link in inner)
    return list(found.values()), truncated


def read_sitemap(content: bytes) -> tuple[list[Listed], list[str], bool]:
    """What one sitemap holds: XML, packed or not, or lines of addresses.

    Returns:
        Its pages, the sitemaps that it names, and whether it breaks off.
    """
    content, cut = _unpacked(content)
    content = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not content.startswith(b"<"):
        lines = content.decode("utf-8", errors="replace").split()
        return [Listed(line) for line in lines if line.startswith(("http://", "https://"))], [], cut
    pages: list[Listed] = []
    inner: list[str] = []
    try:
        for event, element in iterparse(io.BytesIO(content), events=("start", "end")):
            name = _local(element.tag)
            if event == "start" and name == "html":
                return [], [], False
            if event == "end" and name in ("url", "sitemap"):
                fields = {_local(child.tag): (child.text or "").strip() for child in element}
                if name == "url" and fields.get("loc"):
                    pages.append(Listed(fields["loc"], parse_date(fields.get("lastmod"))))
                elif fields.get("loc"):
                    inner.append(fields["loc"])
                element.clear()
    except (ParseError, ValueError, LookupError):  # defusedxml's refusals are ValueErrors
        cut = b"<urlset" in content[:4096] or b"<sitemapindex" in content[:4096]
    return pages, inner, cut


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _unpacked(content: bytes) -> tuple[bytes, bool]:
    if not content.startswith(b"\x1f\x8b"):
        return content, False
    unpacker = zlib.decompressobj(31)
    try:
        unpacked = unpacker.decompress(content, _UNPACKED_BYTES)
    except zlib.error:
        return b"", True
    return unpacked, not unpacker.eof


def _is_sitemap(content: bytes) -> bool:
    head = content[:2048]
    return b"<urlset" in head or b"<sitemapindex" in head or content.startswith(b"\x1f\x8b")


def _sitemaps(web: Web, folder: str) -> list[str]:
    """Where the sitemaps of a site lie: where its robots.txt says, or in the usual places."""
    try:
        robots = web.get(urljoin(folder, "/robots.txt"), robots=False, listing=True).content[: 512 * 1024].decode("utf-8", errors="replace")
    except FetchError as error:
        if error.outcome == "truncated":
            raise
        robots = ""
    named = [urljoin(folder, link) for link in _NAMED.findall(robots)]
    usual = [urljoin(folder, path) for path in ("/sitemap.xml", "/sitemap_index.xml")]
    return list(dict.fromkeys([*(named or usual), urljoin(folder, "sitemap.xml")]))


def _folder(url: str) -> str:
    """The address of a front page, with a slash at its end."""
    parts = urlsplit(url)
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    path = re.sub(r"/(index|home)\.\w+/$", "/", path)
    return f"{parts.scheme}://{parts.netloc}{path}"


def _under(pages: list[Listed], folder: str) -> list[Listed]:
    """The pages of the folder's site that lie in it, those that only list others marked."""
    host, path = host_of(folder), _path(folder)
    here = [page for page in pages if host_of(page.url) == host and f"{_path(page.url)}/".startswith(path)]
    return [page if page.skipped else replace(page, skipped=_why_skipped(page.url, path)) for page in here]


def _why_skipped(url: str, folder: str) -> str:
    path = _path(url)
    parts = [part.lower() for part in path.split("/") if part]
    if not parts or path.rstrip("/") + "/" == folder or parts[-1] in FOLDERS | _LISTS or _BY_DATE.match("/".join(parts)):
        return _A_LIST
    if _LISTS.intersection(parts[:-1]) and (parts[-2] in _LISTS or "page" in parts):
        return _A_LIST
    if _FILE.search(parts[-1]):
        return "not a page"
    return ""


def _path(url: str) -> str:
    try:
        return urlsplit(url).path or "/"
    except ValueError:
        return "/"
