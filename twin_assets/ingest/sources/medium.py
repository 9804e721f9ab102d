"""Medium: the export of an account, the feeds of people and publications, and single stories.

A story has one key everywhere, ``https://medium.com/p/ID``: the export names the ID in the file name and the footer, a feed as ``guid``, and
every address of a story ends with it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Files, UnreadableTextError, not_read
from twin_assets.ingest.html import node_blocks, parse
from twin_assets.ingest.pages import ExtractedPage, decode_html, read_page
from twin_assets.ingest.posts import Block, Post, State, bylines, canonical_url, count_words, not_a_text, parse_date, post_key
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.sources.feed import Feed
from twin_assets.ingest.web import Web

RANK = EXACT
_STORY = "https://medium.com/p/"
_POST_FILE = re.compile(r"(?:draft_|\d{4}-\d{2}-\d{2}_).*[0-9a-f]{10,12}\.html$", re.S)
_FILE_ID = re.compile(r"(?:^|[-_])([0-9a-f]{10,12})\.html$")
_OTHER_PARTS = frozenset(
    {"profile", "about", "bookmarks", "claps", "highlights", "interests", "ips", "sessions", "lists", "blocks", "followers", "earnings"}
    | {"partner-program", "membership", "payments", "charges", "tippings", "twitter"}
    | {"pubs-following", "topics-following", "users-following"}
)
_OTHER_FILE = re.compile(r"(?:^|/)(?:profile/profile|(bookmarks|claps|highlights|ips|sessions|lists)/\1-\d{4})\.html$")
_HANDLE = re.compile(r"https?://(?:(?:www\.)?medium\.com/@([^/?#]+)|([\w-]+)\.medium\.com)")
_PLACES = frozenset({"m", "me", "p", "tag", "tags", "topic", "topics", "search", "about", "membership", "plans", "partner-program"})
_LONG_TITLE = 10
"""Words from which on a text does not begin with its title by chance."""
_GO_ON = re.compile(r"continue reading on .{1,120}»\W*$", re.I | re.S)


def from_files(files: Files) -> Source | None:
    """An export, whole or only its folder ``posts``.

    Raises:
        SourceError: When it is an export without that folder.
    """
    profile = next((name for name in files.names if name.endswith("profile/profile.html")), None)
    for name in files.names:
        folder, _, file = name.rpartition("/")
        in_export = folder == "posts" or folder.endswith("/posts")
        known = profile is not None and folder == f"{profile.removesuffix('profile/profile.html')}posts" and file.endswith(".html")
        if known or (_POST_FILE.match(file) and (in_export or (not folder and len(files.names) > 1))):
            return MediumExport(files, folder)
    if _is_without_posts(files.names):
        raise SourceError(
            f"{files.location} is an export of Medium that holds no posts: the folder `posts` is missing. Nothing in it was opened. Ask Medium "
            "for the export again, and add the ZIP as it comes; see docs/sources/medium.md."
        )
    return None


def _is_without_posts(names: list[str]) -> bool:
    """Whether these are all of them parts of an export, or what explains it, and none of them is a post."""
    paths = [PurePosixPath(name) for name in names]
    parts = [path for path in paths if not path.name.lower().startswith((".", "readme"))]
    return any(map(_OTHER_FILE.search, names)) and all(_OTHER_PARTS.intersection(path.parts[:-1]) for path in parts)


def from_address(address: Address) -> Source | None:
    """A story, or the feed of a person or a publication."""
    host, parts = address.host, address.parts
    if host != "medium.com" and not host.endswith(".medium.com"):
        return None
    if _may_be_story(host, parts) and (key := post_key(address.url)) and key.startswith(_STORY):
        return MediumStory(address.url, key, address.web)
    feed = _feed_address(host, parts)
    return MediumFeed(address.url, feed, address.web) if feed else None


def _may_be_story(host: str, parts: list[str]) -> bool:
    """Handles, publications and lists of stories may end like a story's ID."""
    return len(parts) > (host == "medium.com") and parts[0] != "feed" and "list" not in parts[:2]


def _feed_address(host: str, parts: list[str]) -> str | None:
    """``https://medium.com/feed/@user``, ``https://medium.com/feed/publication`` or ``https://user.medium.com/feed``."""
    if host != "medium.com":
        return f"https://{host}/feed"
    name = (parts[1:] if parts[:1] == ["feed"] else parts)[:1]
    return f"https://medium.com/feed/{name[0]}" if name and name[0] not in _PLACES else None


class MediumExport(Source):
    """Reads an export, unpacked or not. Only ``posts/`` is opened: everything else is private, or not the author's words.

    Args:
        files: The export.
        folder: Where its posts lie.
    """

    platform = "medium"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, folder: str) -> None:
        self.location = files.location
        self.files = files
        self._folder = folder

    def read(self) -> Iterator[Post]:
        """One post per file in ``posts/``, and one for every other file.

        All of an account's export is its owner's, so authors are named only where the files name several.
        """
        names = [name for name in self.files.names if name.rpartition("/")[0] == self._folder and name.endswith(".html")]
        read = [self._post(name) for name in names]
        accounts = {account for _, account in read if account}
        yield from (post if len(accounts) > 1 else replace(post, bylines=()) for post, _ in read)
        yield from not_read(self.files, set(names), self.platform)

    def _post(self, name: str) -> tuple[Post, str]:
        """A post and the handle of its author."""
        try:
            tree = parse(decode_html(self.files.read(name)))
        except UnreadableTextError as error:
            return not_a_text(name, self.platform, f"cannot be read: {error}", "unreadable"), ""
        return _exported(name, tree), _handle(_link(tree, "a.p-author"))


class MediumFeed(Source):
    """Reads a feed: the ten newest stories of a person or a publication.

    Args:
        location: As it was registered.
        feed: The feed's address.
        web: What it is read through.
    """

    platform = "medium"
    coverage: Coverage = "newest"

    def __init__(self, location: str, feed: str, web: Web) -> None:
        self.location = location
        self.feed = feed
        self._web = web

    def read(self) -> Iterator[Post]:
        """One post per entry; the author is named by ``dc:creator``."""
        for post in Feed(self.location, self._web.get(self.feed).content).read():
            yield _from_feed(post)


class MediumStory(Source):
    """Reads the page of one story.

    Args:
        location: The story's address, as it was registered.
        key: The story's key.
        web: What it is read through.
    """

    platform = "medium"
    coverage: Coverage = "everything"

    def __init__(self, location: str, key: str, web: Web) -> None:
        self.location = location
        self.key = key
        self._web = web

    def read(self) -> Iterator[Post]:
        """Exactly one post."""
        response = self._web.get(self.location)
        page = read_page(response.content, response.url)
        if page.challenge:
            raise SourceError(f"{self.location} answered with {page.challenge!r}, not with the story. Use Medium's export.", "challenge")
        url, elsewhere = _places(self.key, page.url)
        state, reason = _page_state(page)
        yield Post(
            key=self.key,
            platform=self.platform,
            kind="article",
            origin=self.location,
            state=state,
            reason=reason,
            title=page.title,
            url=url,
            bylines=page.bylines,
            published_at=page.published_at,
            canonical_url=elsewhere,
            blocks=page.blocks,
        )


def _page_state(page: ExtractedPage) -> tuple[State, str]:
    if not page.blocks:
        return "unreadable", "the page came without its text: Medium's export holds it"
    if not page.complete:
        return "partial", "for members only: the page may hold only the start of it, Medium's export holds it all"
    return "kept", ""


def _exported(name: str, tree: LexborHTMLParser) -> Post:
    """A page of ``posts/``: ``article.h-entry`` with ``h1.p-name``, ``section[data-field=body]`` and a footer of links."""
    body = tree.css_first("section[data-field=body], section.e-content")
    if body is None:
        return not_a_text(name, "medium", "no page of Medium's export: it has no section with the text", "unreadable")
    title, has_title, blocks = _title(tree), bool(tree.css_first(".graf--title")), _blocks(body)
    response = not has_title and _begins_with(blocks, title)
    state, reason = _exported_state(name, tree)
    key = _id(name, tree)
    url, elsewhere = _places(key, _link(tree, "a.p-canonical"))
    author = tree.css_first("a.p-author")
    return Post(
        key=key or f"medium:{name}",
        platform="medium",
        kind="comment" if response else "article",
        origin=name,
        state=state,
        reason=reason,
        title=None if response else title,
        url=url,
        bylines=bylines(author.text(deep=True)) if author else (),
        published_at=parse_date(_time(tree)),
        canonical_url=elsewhere,
        blocks=tuple(_without_title(blocks, title)),
    )


def _exported_state(name: str, tree: LexborHTMLParser) -> tuple[State, str]:
    published = _time(tree) or _link(tree, "a.p-canonical")
    if name.rpartition("/")[2].startswith("draft") or not published:
        return "draft", "not published"
    return "kept", ""


def _title(tree: LexborHTMLParser) -> str | None:
    heading = tree.css_first("h1.p-name") or tree.css_first("title")
    return " ".join(heading.text(deep=True).split()) or None if heading else None


def _blocks(body: LexborNode) -> list[Block]:
    for title in body.css(".graf--title"):
        title.decompose()
    return node_blocks(body)


def _without_title(blocks: list[Block], title: str | None) -> list[Block]:
    """Blocks without the heading at their top that only repeats the title."""
    first = next((i for i, block in enumerate(blocks[:3]) if block.type == "heading" and _plain(block.text) == _plain(title or "")), None)
    return blocks if first is None else blocks[:first] + blocks[first + 1 :]


def _begins_with(blocks: list[Block], title: str | None) -> bool:
    """Whether a text begins with what is called its title: Medium names texts without one, as responses are, by their first words."""
    start = _plain((title or "").rstrip(" .…"))
    return bool(start) and _plain(" ".join(block.text for block in blocks[:5] if block.type != "heading")).startswith(start)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _id(name: str, tree: LexborHTMLParser) -> str:
    """The story's key: from the file's name, else from the link in the footer, else from the canonical address."""
    links = [link.attributes.get("href") or "" for link in tree.css("footer a[href*='medium.com/p/']")]
    named = _FILE_ID.search(name)
    candidates = [f"{_STORY}{named[1]}" if named else "", *links, _link(tree, "a.p-canonical") or ""]
    return next((key for link in candidates if (key := post_key(link)) and re.fullmatch(r"[0-9a-f]{10,12}", key.removeprefix(_STORY))), "")


def _places(key: str, canonical: str | None) -> tuple[str | None, str | None]:
    """The story's address, and where its original stands if that is not on Medium; publications have domains of their own."""
    found = canonical_url(canonical) if canonical else None
    story = key.removeprefix(_STORY)
    if found is None or not story:
        return found or key or None, None
    host = urlsplit(found).hostname or ""
    if host == "medium.com" or host.endswith(".medium.com") or found.endswith(story):
        return found, None
    return key, found


def _from_feed(post: Post) -> Post:
    blocks = list(post.blocks)
    cut = bool(blocks) and bool(_GO_ON.search(blocks[-1].text))
    blocks = blocks[:-1] if cut else blocks
    title = post.title or ""
    response = (title.endswith("…") or count_words(title) >= _LONG_TITLE or len(blocks) == 1) and _begins_with(blocks, title)
    return replace(
        post,
        platform="medium",
        kind="comment" if response else "article",
        state="partial" if cut else post.state,
        reason="the feed holds only the start of it; Medium's export holds it all" if cut else post.reason,
        title=None if response else post.title,
        blocks=tuple(_without_title(blocks, post.title)),
    )


def _link(tree: LexborHTMLParser, selector: str) -> str | None:
    node = tree.css_first(selector)
    return node.attributes.get("href") if node else None


def _time(tree: LexborHTMLParser) -> str | None:
    node = tree.css_first("time.dt-published")
    return node.attributes.get("datetime") if node else None


def _handle(url: str | None) -> str:
    found = _HANDLE.match(url or "")
    return (found[1] or found[2]).lower() if found else ""
