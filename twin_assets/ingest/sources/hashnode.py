"""Hashnode: the export, and blogs by the GraphQL API where their plan includes it.

Since May 2026 the API answers only for publications on a paid plan (https://hashnode.com/changelog/2026-05-13-graphql-api-paid-access), at
another address than before. Any other blog is read like any site: by its sitemap, page by page.
"""

import json
from collections.abc import Iterator
from typing import Any

from twin_assets.ingest import shapes
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import Files, UnreadableTextError, not_read, read_text
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.markdown import markdown_blocks
from twin_assets.ingest.posts import Block, Post, State, bylines, canonical_url, not_a_text, parse_date, post_key
from twin_assets.ingest.source import DETECTED, Address, Coverage, Source
from twin_assets.ingest.web import Web

RANK = DETECTED
API = "https://gql-beta.hashnode.com"
_MOST_LOOKED_AT = 20
_MOST_PAGES = 500
_SIGN = b"https://cdn.hashnode.com/"
_POST = "id slug title url canonicalUrl publishedAt updatedAt author{name username} coAuthors{name username} content{markdown}"
_BLOG = f"""query Blog($host:String!,$after:String){{publication(host:$host){{
posts(first:20,after:$after){{edges{{node{{{_POST}}}}} pageInfo{{hasNextPage endCursor}}}}}}}}"""
_MEMBER = f"""query Member($member:String!,$page:Int!){{user(username:$member){{
posts(pageSize:20,page:$page){{nodes{{{_POST}}} pageInfo{{hasNextPage nextPage}}}}}}}}"""


def from_files(files: Files) -> Source | None:
    """The export: a JSON file with ``posts`` that have ``contentMarkdown``."""
    names = [name for name in files.names if name.lower().endswith(".json")]
    for name in names if len(names) <= _MOST_LOOKED_AT else []:
        try:
            content = files.read(name)
        except UnreadableTextError:
            continue
        if b'"contentMarkdown"' in content and b'"posts"' in content:
            return HashnodeExport(files, name)
    return None


def from_address(address: Address) -> Source | None:
    """A member's profile, or a blog, if the API answers for it."""
    if address.host == "hashnode.com":
        member = address.parts[0].removeprefix("@") if len(address.parts) == 1 and address.parts[0].startswith("@") else ""
        return HashnodePosts(address.url, address.web, member=member) if member else None
    if not address.is_front_page or not (address.host.endswith(".hashnode.dev") or _bears_signs(address.page().content)):
        return None
    source = HashnodePosts(address.url, address.web, host=address.host)
    try:
        source.ask(None)
    except FetchError as error:
        if error.outcome == "truncated":
            raise
        return None  # not on a paid plan
    return source


def _bears_signs(content: bytes) -> bool:
    """Whether a page with a domain of its own is Hashnode's: any site may show one of its pictures."""
    return content.count(_SIGN) > 2


class HashnodePosts(Source):
    """Reads every published post of a blog or a member by the API.

    Args:
        location: The address that was named.
        web: What the API is asked through.
        host: The blog, or
        member: The member.
    """

    platform = "hashnode"
    coverage: Coverage = "listing"

    def __init__(self, location: str, web: Web, *, host: str = "", member: str = "") -> None:
        self.location = location
        self._web = web
        self._host = host
        self._member = member

    def read(self) -> Iterator[Post]:
        """One post per post.

        Raises:
            FetchError: When not even the first answer can be read.
        """
        following: Any = None
        asked: set[str] = set()
        for page in range(1, _MOST_PAGES + 1):
            try:
                posts, after = self.ask(following)
            except FetchError as error:
                if page == 1:
                    raise
                self.truncated = str(error)
                return
            yield from (_post(item, f"{page}:{number}", self._member) for number, item in enumerate(posts, 1))
            if after is None or str(after) in asked:
                return
            asked.add(str(after))
            following = after
        self.truncated = f"{self.location} lists more than {_MOST_PAGES} pages of posts."

    def ask(self, after: Any) -> tuple[list[Any], Any]:
        """One page of posts, and what to ask for next; None at the end.

        Raises:
            FetchError: When the API does not answer, or not for this blog.
        """
        if self._member:
            query, variables = _MEMBER, {"member": self._member, "page": after if isinstance(after, int) else 1}
        else:
            query, variables = _BLOG, {"host": self._host, "after": after}
        answer = self._web.post(API, {"query": query, "variables": variables}).json()
        posts = shapes.at(answer, "data", "user" if self._member else "publication", "posts")
        if not isinstance(posts, dict):
            why = next((shapes.at(error, "message") for error in shapes.items(shapes.at(answer, "errors"))), None)
            raise FetchError(
                f"Hashnode's API does not show the posts of {self.location}: {str(why)[:300] if why else 'there is no such blog'}. Name the "
                "blog's own address, such as https://NAME.hashnode.dev, or add the export.",
                "forbidden",
            )
        nodes = posts.get("nodes")
        edges = posts.get("edges")
        items = nodes if isinstance(nodes, list) else [shapes.at(edge, "node") for edge in edges] if isinstance(edges, list) else []
        more = shapes.at(posts, "pageInfo", "hasNextPage") is True
        return items, (shapes.at(posts, "pageInfo", "nextPage" if self._member else "endCursor") if more else None)


class HashnodeExport(Source):
    """Reads the posts of an export."""

    platform = "hashnode"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, name: str) -> None:
        self.location = files.location
        self.files = files
        self._name = name

    def read(self) -> Iterator[Post]:
        """One post per post, and one per file that is not the export.

        Raises:
            SourceError: When it cannot be read.
        """
        try:
            posts = shapes.at(json.loads(read_text(self.files, self._name)), "posts")
        except (UnreadableTextError, ValueError, RecursionError) as error:
            raise SourceError(f"{self._name} in {self.location} cannot be read: {error}. Export again.") from error
        if not isinstance(posts, list):
            raise SourceError(f"{self._name} in {self.location} holds no list of posts. Export again.")
        yield from (_post(item, f"{self._name}:{number}", "") for number, item in enumerate(posts, 1))
        yield from not_read(self.files, {self._name}, self.platform)


def _post(item: Any, origin: str, member: str) -> Post:
    """A post, as the API or the export gives it."""
    if not isinstance(item, dict):
        return not_a_text(origin, "hashnode", "not a post, as Hashnode gives one", "unreadable")
    url = canonical_url(shapes.text(item.get("url")))
    elsewhere = canonical_url(shapes.text(item.get("canonicalUrl")) or shapes.text(item.get("originalArticleURL")))
    identity = shapes.text(item.get("cuid")) or shapes.text(item.get("id")) or shapes.text(item.get("_id"))
    published = parse_date(item.get("publishedAt")) or parse_date(item.get("dateAdded"))
    edited = parse_date(item.get("updatedAt")) or parse_date(item.get("dateUpdated"))
    state, reason, blocks = _read(item)
    return Post(
        key=(post_key(url) if url else None) or (f"urn:hashnode:{identity[:100]}" if identity else f"hashnode:{origin}"),
        platform="hashnode",
        kind="article",
        origin=origin,
        state=state,
        reason=reason,
        title=" ".join(shapes.text(item.get("title")).split()) or None,
        url=url,
        bylines=_bylines(item, member),
        published_at=published,
        edited_at=edited if edited and published and edited > published else None,
        canonical_url=elsewhere if elsewhere != url else None,
        blocks=tuple(blocks),
    )


def _read(item: dict[str, Any]) -> tuple[State, str, list[Block]]:
    markdown = shapes.text(shapes.at(item, "content", "markdown")) or shapes.text(item.get("contentMarkdown"))
    blocks = markdown_blocks(markdown) if markdown else html_blocks(shapes.text(item.get("content")))
    if item.get("isActive") is False:
        return "deleted", "deleted", []
    if item.get("isDraft") is True:
        return "draft", "a draft", blocks
    return "kept", "", blocks


def _bylines(item: dict[str, Any], member: str) -> tuple[str, ...]:
    """The names of who wrote it, unless that is the member whose profile it stands in, alone."""
    author, others = item.get("author"), item.get("coAuthors")
    people = [author, *(others if isinstance(others, list) else [])]
    if member and not others and shapes.text(shapes.at(author, "username")).casefold() == member.casefold():
        return ()
    return bylines([person for person in people if isinstance(person, dict)])
