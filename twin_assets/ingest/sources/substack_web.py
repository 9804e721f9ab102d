"""Publications and posts of Substack on the web, through the JSON that Substack's own pages are made from.

* ``/api/v1/archive?sort=new&search=&offset=0&limit=12``: a list of posts without their bodies; an empty one ends it.
* ``/api/v1/posts/SLUG`` and ``https://substack.com/api/v1/posts/by-id/ID``: one post; ``body_html`` of a paid one holds its free start, or
  is null, and nothing in it says so: ``audience`` does, and ``wordcount``, which counts the whole post.

Neither is documented by Substack, so its robots.txt, which allows both, has a say.

A post has one key, ``substack:ID``: the export names posts by ID and slug and knows no address, the API and the pages name both, and
addresses change with the slug or the domain. Only a feed knows no ID; it is read when the API is refused, and then looks the ID up in what
the API answered before.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import structlog

from twin_assets.ingest.errors import FetchError, Outcome
from twin_assets.ingest.failures import Failures
from twin_assets.ingest.html import node_blocks, parse
from twin_assets.ingest.pages import decode_html
from twin_assets.ingest.posts import Block, Post, State, bylines, canonical_url, count_words, not_a_text, parse_date
from twin_assets.ingest.shapes import at, items, number_id, text
from twin_assets.ingest.source import DETECTED, Address, Coverage, Source
from twin_assets.ingest.sources.feed import Feed
from twin_assets.ingest.sources.page import Page
from twin_assets.ingest.sources.site import list_pages
from twin_assets.ingest.web import Response, Web
from twin_assets.settings import get_settings

log = structlog.get_logger(__name__)

RANK = DETECTED
_PAGE = 12
_WHOLE = 0.8
"""Share of its words from which on a paid post that was read with the owner's cookie is whole; the two counts differ a little."""
_HALF = 0.5
_REFUSED: frozenset[Outcome] = frozenset({"forbidden", "challenge", "needs_login", "refused", "gone", "malformed"})
_GENERATOR = re.compile(rb"<generator>\s*(<!\[CDATA\[)?\s*substack\s*(\]\]>)?\s*</generator>", re.I)
_PRELOADS = re.compile(r"window\._preloads\s*=\s*JSON\.parse\(\s*")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_CLUTTER = (
    ".file-embed-wrapper, .embedded-publication-wrap, .twitter-embed, .bluesky-wrap, .native-video-embed, .native-audio-embed, "
    ".apple-podcast-container, .paywall-jump, .paywall, .image-gallery-embed svg, div.comment[data-attrs], .directMessage, .poll-embed"
)


def from_address(address: Address) -> Source | None:
    """A publication, or a post of it, on a domain of its own: its feed and its pages tell."""
    response = address.page()
    if not _GENERATOR.search(response.content[:16_384]) and b"substackcdn.com/bundle/" not in response.content:
        return None
    return publication_or_post(address.url, _origin(response.url), address.parts, address.web)


def publication_or_post(location: str, origin: str, parts: list[str], web: Web) -> Source:
    """What a path on a publication's host means: ``/p/SLUG`` is a post, everything else the publication."""
    if len(parts) > 1 and parts[0] == "p":
        return SubstackPost(location, f"{origin}/api/v1/posts/{quote(parts[1], safe='%')}", web)
    return SubstackPublication(location, origin, web)


class SubstackPublication(Source):
    """Reads all posts of a publication, newest first.

    Args:
        location: As it was registered.
        origin: Scheme and host of the publication.
        web: What it is read through.
    """

    platform = "substack"

    def __init__(self, location: str, origin: str, web: Web) -> None:
        self.location = location
        self.coverage: Coverage = "listing"
        self.truncated = ""
        self._origin = origin
        self._web = web
        self._api = _Api(web)

    def read(self) -> Iterator[Post]:
        """One post per entry of the archive; where the API is refused, one per entry of the feed.

        Raises:
            SourceError: When neither answers.
        """
        try:
            listed = self._listing()
        except FetchError as error:
            if error.outcome not in _REFUSED:
                raise
            log.info("substack_api_refused", source=self.location, why=str(error))
            yield from self._newest()
            return
        changed = self._changes() if listed else {}
        failures = Failures()
        for number, item in enumerate(listed, 1):
            try:
                post = self._read(number, item, changed)
                failures.succeeded()
            except FetchError as error:
                if failures.ends_reading(error):
                    if number == 1:
                        raise
                    self.truncated = str(error)
                    return
                post = replace(read_post(item, f"post:{number}"), state="unreadable", reason=str(error), blocks=())
            yield post

    def _read(self, number: int, item: object, changed: Mapping[str, datetime]) -> Post:
        slug = text(at(item, "slug"))
        if not slug:
            return not_a_text(f"post:{number}", self.platform, "the archive's entry is broken", "unreadable")
        if at(item, "type") != "newsletter" or _is_restack(item):  # no words of the author's: not asked for
            return read_post(item, slug)
        post, signed_in = self._api.post(f"{self._origin}/api/v1/posts/{quote(slug, safe='')}", changed.get(slug))
        return read_post(post, slug, signed_in=signed_in)

    def _listing(self) -> list[object]:
        """The archive's entries, each once: one that is published meanwhile moves the others on to the next page."""
        found: dict[str, object] = {}
        offset = 0
        while True:
            url = f"{self._origin}/api/v1/archive?sort=new&search=&offset={offset}&limit={_PAGE}"
            try:
                response = self._web.get(url)
                page = response.json()
                if not isinstance(page, list):
                    raise FetchError(f"{url} answered with something that is no list of posts. Try again later.", "malformed")
            except FetchError as error:
                if not found:
                    raise
                self.truncated = str(error)
                break
            self._origin = _origin(response.url)  # a publication with a domain of its own leads there
            known = len(found)
            for index, item in enumerate(page):
                found.setdefault(number_id(at(item, "id")) or text(at(item, "slug")) or f"entry {index}", item)
            if not page:
                break
            if len(found) == known:
                self.truncated = f"The archive of {self.location} repeats itself after {known} posts."
                break
            offset += len(page)
        return list(found.values())

    def _changes(self) -> dict[str, datetime]:
        """When each post changed last, as the sitemap says, so that not every post is asked for each time. It names days, not hours."""
        pages, _ = list_pages(self._web, [f"{self._origin}/sitemap.xml"])
        return {urlsplit(page.url).path.rpartition("/")[2]: page.changed + timedelta(days=1) for page in pages if page.changed}

    def _newest(self) -> Iterator[Post]:
        self.coverage = "newest"
        response = self._web.get(f"{self._origin}/feed")
        for post in Feed(self.location, response.content).read():
            yield self._from_feed(post)

    def _from_feed(self, post: Post) -> Post:
        """An entry of the feed: a paid post ends with a link, ``Read more``."""
        slug = urlsplit(post.url or "").path.rpartition("/")[2]
        stored = self._web.pages.load(f"{self._origin}/api/v1/posts/{quote(slug, safe='%')}") if slug else None
        try:
            known = number_id(at(stored.json(), "id")) if stored else ""
        except FetchError:
            known = ""
        cut = bool(post.blocks) and post.blocks[-1].text.strip().lower() == "read more"
        return replace(
            post,
            key=f"substack:{known}" if known else post.key,
            platform=self.platform,
            state="partial" if cut else post.state,
            reason="for paying readers: the feed holds only its free start, the export holds it all" if cut else post.reason,
            blocks=post.blocks[:-1] if cut else post.blocks,
        )


class SubstackPost(Source):
    """Reads one post.

    Args:
        location: Its address, as it was registered.
        api: Where its JSON is.
        web: What it is read through.
    """

    platform = "substack"
    coverage: Coverage = "everything"

    def __init__(self, location: str, api: str, web: Web) -> None:
        self.location = location
        self._api = api
        self._web = web

    def read(self) -> Iterator[Post]:
        """Exactly one post: from the API, or where that is refused from the page."""
        try:
            post, signed_in = _Api(self._web).post(self._api)
            yield read_post(post, self.location, signed_in=signed_in)
        except FetchError as error:
            if error.outcome not in _REFUSED:
                raise
            yield from self._from_page(self._web.get(self.location))

    def _from_page(self, response: Response) -> Iterator[Post]:
        post = preloaded_post(response.content)
        if post:
            yield read_post(post, self.location)
        else:
            yield from Page(self.location, response.content, url=response.url, name=self.location).read()


class _Api:
    """Asks for posts, and for paid ones again with the owner's cookie, if there is one and the host is Substack's."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._hosts: dict[str, bool] = {}

    def post(self, url: str, changed: datetime | None = None) -> tuple[dict[str, Any], bool]:
        """A post, and whether it was read as its owner."""
        response = self._web.get(url, changed=changed)
        post = _one_post(response)
        cookie = _cookie() if _is_locked(post) else ""
        if not cookie or not self._is_substacks(response.url, post):
            return post, False
        try:  # under an address of its own, so that the two answers are not taken for each other
            return _one_post(self._web.get(f"{response.url}#signed-in", headers={"Cookie": cookie})), True
        except FetchError as error:
            log.info("substack_cookie_refused", url=response.url, why=str(error))
            return post, False

    def _is_substacks(self, url: str, post: Mapping[str, Any]) -> bool:
        """Whether a host may see the cookie: Substack's own, or the one that Substack leads to from the publication's name there."""
        host = _host(url)
        if urlsplit(url).scheme != "https":
            return False
        if _is_substack_host(host):
            return True
        if host not in self._hosts:
            self._hosts[host] = self._leads_to(_subdomain(post), host)
        return self._hosts[host]

    def _leads_to(self, name: str, host: str) -> bool:
        if not _NAME.fullmatch(name):
            return False
        try:
            found = self._web.get(f"https://{name}.substack.com/api/v1/archive?sort=new&search=&offset=0&limit=1").url
        except FetchError:
            return False
        return found.startswith("https://") and _host(found) == host


def read_post(post: object, origin: str, *, signed_in: bool = False) -> Post:
    """A post of the API, or of its archive, which holds no bodies.

    Args:
        post: The JSON.
        origin: What to call it inside of the source.
        signed_in: Whether it was read with the owner's cookie.
    """
    blocks = body_blocks(text(at(post, "body_html")))
    state, reason = _state(post, blocks, signed_in)
    id, url = number_id(at(post, "id")), canonical_url(text(at(post, "canonical_url")))
    names = [at(byline, "name") for byline in items(at(post, "publishedBylines"))]
    return Post(
        key=f"substack:{id}" if id else url or f"substack:{origin}",
        platform="substack",
        kind="article",
        origin=origin,
        state=state,
        reason=reason,
        title=" ".join(text(at(post, "title")).split()) or None,
        url=url,
        bylines=bylines(names),
        published_at=parse_date(at(post, "post_date")),
        edited_at=parse_date(at(post, "updated_at")),
        blocks=() if state == "shared" else tuple(blocks),
    )


def body_blocks(html: str) -> list[Block]:
    """The blocks of a body as the editor of Substack makes it."""
    body = parse(html).body if html else None
    if body is None:
        return []
    for clutter in body.css(_CLUTTER):
        clutter.decompose()
    return node_blocks(body)


def preloaded_post(content: bytes) -> dict[str, Any] | None:
    """The post's JSON in its page: ``window._preloads = JSON.parse("...")``."""
    html = decode_html(content)
    found = _PRELOADS.search(html)
    if not found:
        return None
    try:
        literal, _ = json.JSONDecoder().raw_decode(html, found.end())
        post = at(json.loads(literal) if isinstance(literal, str) else None, "post")
    except (ValueError, RecursionError):
        return None
    return post if isinstance(post, dict) and number_id(post.get("id")) else None


def _state(post: object, blocks: list[Block], signed_in: bool) -> tuple[State, str]:
    kind = text(at(post, "type"))
    if _is_restack(post):
        return "shared", f"restacked from {text(at(post, 'restacked_pub_name'))[:100] or 'another publication'}"
    if at(post, "is_published") is False:
        return "draft", "not published"
    if kind != "newsletter":
        return "empty", f"not a written post: its type is {kind[:50] or 'not given'}"
    words, expected = sum(count_words(block.text) for block in blocks), int(number_id(at(post, "wordcount")) or 0)
    share = words / expected if expected else 1.0
    if _is_locked(post) and not (signed_in and blocks and share >= _WHOLE):
        return "partial", f"for paying readers: {words} of {expected or 'its'} words are free, the export holds them all"
    if not isinstance(at(post, "body_html"), str) or share < _HALF:
        return "partial", f"only {words} of {expected or 'its'} words came: the export holds them all"
    return "kept", ""


def _is_locked(post: object) -> bool:
    return text(at(post, "audience")) not in ("", "everyone")


def _is_restack(post: object) -> bool:
    return at(post, "restacked_post_id") is not None


def _one_post(response: Response) -> dict[str, Any]:
    """A post, which the route by ID wraps."""
    answer = response.json()
    post = at(answer, "post") or answer
    if not isinstance(post, dict) or not number_id(post.get("id")):
        raise FetchError(f"{response.url} answered with something that is no post. Try again later.", "malformed")
    return post


def _subdomain(post: Mapping[str, Any]) -> str:
    users = [user for byline in items(post.get("publishedBylines")) for user in items(at(byline, "publicationUsers"))]
    theirs = (at(user, "publication") for user in users)
    return next((text(at(one, "subdomain")) for one in theirs if at(one, "id") == post.get("publication_id")), "")


def _cookie() -> str:
    """The owner's session: ``substack.sid`` on Substack's hosts, ``connect.sid`` on a publication's own."""
    secret = get_settings().substack_cookie
    value = secret.get_secret_value().strip().removeprefix("substack.sid=").removeprefix("connect.sid=") if secret else ""
    return f"substack.sid={value}; connect.sid={value}" if value else ""


def _is_substack_host(host: str) -> bool:
    return host == "substack.com" or host.endswith(".substack.com")


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
