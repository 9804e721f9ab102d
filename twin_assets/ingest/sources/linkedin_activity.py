"""One's own newest posts on LinkedIn, as a browser shows them to somebody who has logged in.

LinkedIn has two layouts: cards that are ``div.feed-shared-update-v2[data-urn]``, and since 2026 ones with a ``componentkey`` that begins
with ``update-card-focus``, whose names of posts, if any, stand in other attributes and in links. Class names change often, so little is
relied on: the name of the post, whom the links above its text lead to, and the text.
"""

import hashlib
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from selectolax.lexbor import LexborNode

from twin_assets.ingest.browser import render
from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.html import node_blocks, parse
from twin_assets.ingest.posts import Block, Post, State
from twin_assets.ingest.source import Coverage, Source
from twin_assets.ingest.sources.linkedin import PLATFORM, share_state, written_at
from twin_assets.settings import Settings

_CARDS = "div.feed-shared-update-v2, div[data-urn^='urn:li:activity:'], [componentkey^='update-card-focus']"
_TEXTS = (
    ".update-components-text, [data-testid=expandable-text-box], .feed-shared-inline-show-more-text, .feed-shared-update-v2__description"
)
_OTHERS = (
    ".comments-comments-list, .comments-comment-entity, .comments-comment-item, [componentkey^=replaceableComment_], "
    ".feed-shared-update-v2__update-content-wrapper, .update-components-mini-update-v2"
)
_LOGIN = "input[name=session_password], form[action*='login-submit'], .authwall-join-form, meta[name=pageKey][content*=auth_wall]"
_POST = re.compile(r"urn:li:(?:activity|ugcPost|share):\d+")
_PROFILE = re.compile(r"/(in|company|school|showcase)/([^/?#]+)")
_MORE = re.compile(r"\s*…\s*more\s*$")
_SCROLLS = 4
_PAUSE = (5.0, 10.0)
"""Seconds between two looks at LinkedIn."""


class LinkedInActivity(Source):
    """Reads the page of what a member posted lately, the member's own posts only.

    Args:
        location: The profile, as it is registered.
        page: Where it shows what was posted lately.
        name: The last part of the profile's address.
        settings: Where the browser is, and how long a page may take.
        session: Where ``twin login linkedin`` has kept that somebody is logged in.
    """

    platform = PLATFORM
    coverage: Coverage = "newest"

    def __init__(self, location: str, page: str, name: str, settings: Settings, session: Path) -> None:
        self.location = location
        self._page = page
        self._name = name
        self._settings = settings
        self._session = session

    def read(self) -> Iterator[Post]:
        """One post per card of the page.

        Raises:
            SourceError: When LinkedIn asks for a login or whether a human reads it: nothing more is asked of it then.
        """
        rendered = render(self._page, self._settings, session=self._session, wait_for=_CARDS, scrolls=_SCROLLS, pause=_PAUSE)
        yield from read_activity(rendered.html, self._name)


def read_activity(html: str, name: str) -> list[Post]:
    """The cards of a page of activity.

    Args:
        html: The page.
        name: Whose page it is, as in the address of the profile.

    Raises:
        SourceError: When it shows no cards, as a login wall or a new layout does.
    """
    tree = parse(html)
    nodes = {node.mem_id: node for node in tree.css(_CARDS)}  # one that matches twice comes twice
    outer = [node for node in nodes.values() if not _inside(node, nodes.keys())]
    if not outer and tree.css_first(_LOGIN) is not None:
        raise SourceError("LinkedIn asks for a login: what was remembered has ended. Run `twin login linkedin` again.", "needs_login")
    if not outer:
        raise SourceError(
            "LinkedIn's page shows no posts: there are none, or its layout is one that is not known. Nothing was changed; use the export.",
            "malformed",
        )
    return [_post(card, name, number) for number, card in enumerate(outer, 1)]


def _post(card: LexborNode, name: str, number: int) -> Post:
    others = {node.mem_id for node in card.css(_OTHERS)}
    body = next((node for node in card.css(_TEXTS) if not _inside(node, others)), None)
    above = list(_above(card, body, others))
    urn = _urn(card, above)
    blocks = _words(body)
    state, reason = _state(_people(above), ("in", name.casefold()), "\n\n".join(block.text for block in blocks))
    digest = hashlib.sha256("\n\n".join(block.text for block in blocks).encode()).hexdigest()[:16]
    return Post(
        key=urn or f"{PLATFORM}:{name}:{digest}",
        platform=PLATFORM,
        kind="post",
        origin=urn or f"post {number}",
        state=state,
        reason=reason,
        url=f"https://www.linkedin.com/feed/update/{urn}" if urn else None,
        published_at=written_at(urn) if urn else None,
        blocks=blocks if state == "kept" else (),
    )


def _state(people: set[tuple[str, str]], owner: tuple[str, str], said: str) -> tuple[State, str]:
    """Whose a card is: the owner's when the links above its text lead to nobody else."""
    if not people:
        return "unreadable", "the page does not say who wrote it"
    if people == {owner}:
        return share_state(said) if said else ("kept", "")
    if owner in people:
        return "shared", "somebody else's post, passed on or reacted to"
    return "foreign", "somebody else's post"


def _words(body: LexborNode | None) -> tuple[Block, ...]:
    blocks = node_blocks(body) if body is not None else []
    if blocks:
        blocks[-1] = replace(blocks[-1], text=_MORE.sub("", blocks[-1].text))
    return tuple(block for block in blocks if block.text)


def _above(card: LexborNode, body: LexborNode | None, others: Container[int]) -> Iterator[LexborNode]:
    """What stands in a card before its text, and in one without text what is no comment or embedded post."""
    for node in card.traverse():
        if body is not None and node.mem_id == body.mem_id:
            return
        if not _inside(node, others):
            yield node


def _people(nodes: list[LexborNode]) -> set[tuple[str, str]]:
    found = (_PROFILE.search(unquote(node.attributes.get("href") or "")) for node in nodes if node.tag == "a")
    return {(match[1], match[2].casefold()) for match in found if match}


def _urn(card: LexborNode, above: list[LexborNode]) -> str | None:
    """LinkedIn's name for a card: on it, above its text, or the only one that is anywhere in it."""
    for nodes in ([card], above):
        if found := _urns(nodes):
            return found[0]
    everywhere = set(_urns(card.traverse()))
    return everywhere.pop() if len(everywhere) == 1 else None


def _urns(nodes: Iterable[LexborNode]) -> list[str]:
    return [urn for node in nodes for value in node.attributes.values() if value for urn in _POST.findall(unquote(value))]


def _inside(node: LexborNode, outer: Container[int]) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.mem_id in outer:
            return True
        parent = parent.parent
    return False
