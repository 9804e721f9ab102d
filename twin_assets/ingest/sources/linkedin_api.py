"""LinkedIn's Member Data Portability API: what an export holds, and for 28 days what was written, edited and deleted.

https://learn.microsoft.com/en-us/linkedin/dma/member-data-portability/shared/member-snapshot-api: a page per ``start``, each with one
element of ``snapshotData`` rows that have the columns of the export; a domain without data, and the page after the last, answer 404;
``paging.total`` is not to be believed. .../member-changelog-api: events in the order of ``processedAt``, each with ``resourceName``,
``resourceId``, ``method`` and ``activity``; a ``FAILURE`` did not happen.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.plain import paragraphs
from twin_assets.ingest.posts import Block, Kind, Post, State, canonical_url, parse_date
from twin_assets.ingest.shapes import at, items, number_id, text
from twin_assets.ingest.source import Coverage, Source
from twin_assets.ingest.sources.linkedin import (
    PLATFORM,
    comment_blocks,
    comment_key,
    moment,
    read_comments,
    read_shares,
    share_state,
    written_at,
)
from twin_assets.ingest.web import Web

API = "https://api.linkedin.com/rest"
VERSION = "202312"
"""The only one that the API takes."""
_MOST_PAGES = 1000
_EVENTS_A_PAGE = 50
_POST = re.compile(r"urn:li:(?:share|ugcPost|activity|groupPost):[\d-]+")
_COMMENT = re.compile(r"/comments/(\d+)$")
_POSTS = frozenset({"ugcposts", "ugcpost", "shares", "share", "posts", "post"})
_SAME_COMMENT = timedelta(seconds=2)
"""A person does not write two comments within this time; the snapshot and the change log round it differently."""


class LinkedInApi(Source):
    """Reads the posts, comments and articles of the member whose token it is.

    Args:
        location: The member's profile.
        web: What it is read through.
        token: The access token; sent to the API's host alone.
    """

    platform = PLATFORM
    coverage: Coverage = "listing"

    def __init__(self, location: str, web: Web, token: str) -> None:
        self.location = location
        self._web = web
        self._headers = {"Authorization": f"Bearer {token}", "LinkedIn-Version": VERSION, "X-Restli-Protocol-Version": "2.0.0"}

    def read(self) -> Iterator[Post]:
        """One post per row of the snapshots, as the change log left it, and one per later event that is a post or a comment.

        Reactions, messages and other events of the log are no writing; nothing of them is kept.
        """
        posts: list[Post] = []
        try:
            for domain, build in (("MEMBER_SHARE_INFO", read_shares), ("ALL_COMMENTS", read_comments), ("ARTICLES", _read_articles)):
                for page, rows in enumerate(self._snapshot(domain)):
                    posts += build(rows, f"{domain}:{page}" if page else domain)
        except SourceError as error:
            if not posts:
                raise
            self.truncated = str(error)
        changed = _Changes(posts)
        for event in self._events():  # not to be left out: the snapshot still holds what was deleted lately
            changed.apply(event)
        if not changed.posts:
            raise SourceError(
                "LinkedIn's API has no data of this member yet. After the first consent it takes up to a day; try again later.", "truncated"
            )
        yield from changed.posts

    def _snapshot(self, domain: str) -> Iterator[list[dict[str, str]]]:
        before = None
        for page in range(_MOST_PAGES):
            try:
                answer = self._ask("memberSnapshotData", q="criteria", domain=domain, start=page)
            except FetchError as error:
                if error.status == 404:  # no such data, or none beyond the last page
                    return
                raise
            found = [row for element in _elements(answer) for row in _rows(element)]
            if not found or found == before:
                return
            before = found
            yield found
        raise _endless(domain)

    def _events(self) -> Iterator[dict[str, Any]]:
        start = 0
        for _ in range(_MOST_PAGES):
            answer = self._ask("memberChangeLogs", keep=False, q="memberAndApplication", count=_EVENTS_A_PAGE, start=start)
            found = _elements(answer)
            if not found:
                return
            yield from found
            start += len(found)
        raise _endless("the change log")

    def _ask(self, resource: str, *, keep: bool = True, **query: str | int) -> Any:
        """Asks the API. The change log holds messages of other people too: it is not kept.

        Raises:
            FetchError: When there is no readable answer.
        """
        try:
            return self._web.get(f"{API}/{resource}?{urlencode(query)}", headers=self._headers, robots=False, keep=keep).json()
        except FetchError as error:
            if error.status == 401:
                message = "LinkedIn does not take the token of TWIN_LINKEDIN_TOKEN: it has ended or was revoked. Make a new one."
                raise FetchError(message, "needs_login", 401) from error
            if error.status == 403:
                message = (
                    "LinkedIn's API refuses the token of TWIN_LINKEDIN_TOKEN: its application lacks the product Member Data Portability "
                    "(Member), or its member has not consented or does not live in the EEA or Switzerland. Use the export."
                )
                raise FetchError(message, "forbidden", 403) from error
            raise


class _Changes:
    """Brings the posts of a snapshot to what the change log says; the snapshot can be weeks behind."""

    def __init__(self, posts: list[Post]) -> None:
        self.posts = list(posts)
        self._places: dict[str, int] = {}
        for place, post in enumerate(posts):
            self._places.setdefault(post.key, place)
        self._comments: dict[str, str] = {}  # by LinkedIn's number, the keys of those that the log has shown

    def apply(self, event: dict[str, Any]) -> None:
        """Puts one event into effect, the oldest first."""
        resource = text(event.get("resourceName")).lower()
        if text(event.get("activityStatus")).upper() == "FAILURE":
            return
        comment, post, repost = resource.endswith("comments"), resource in _POSTS, resource.endswith("instantreposts")
        actor, owner = text(event.get("actor")), text(event.get("owner"))
        if (comment or post or repost) and actor and owner and actor != owner:
            self._settle(event, _without_words(event, "comment" if comment else "post", "foreign", "written by somebody else"))
        elif comment:
            self._settle(event, self._comment(event))
        elif post:
            self._settle(event, _post(event))
        elif repost:
            self._settle(event, _without_words(event, "post", "shared", "bare repost: no words of the author's own"))

    def _settle(self, event: dict[str, Any], post: Post | None) -> None:
        if post is None:
            return
        place = self._places.get(post.key)
        known = self.posts[place] if place is not None else None
        if _deletes(event):
            when = moment(event.get("capturedAt"))
            on = f" on {when:%Y-%m-%d}" if when else ""
            post = replace(known or post, state="deleted", reason=f"deleted on LinkedIn{on}", title=None, blocks=())
        elif post.state == "unreadable" and known is not None:
            return  # something other than its words was edited
        elif known is not None:
            edited = post.edited_at if post.blocks != known.blocks else known.edited_at
            post = replace(post, published_at=known.published_at or post.published_at, origin=known.origin, edited_at=edited)
        if place is None:
            self._places[post.key] = len(self.posts)
            self.posts.append(post)
        else:
            self.posts[place] = post

    def _comment(self, event: dict[str, Any]) -> Post | None:
        activity = _activity(event)
        uri = text(event.get("resourceUri"))
        in_uri = _COMMENT.search(uri)
        number = number_id(activity.get("id")) or number_id(event.get("resourceId")) or (in_uri[1] if in_uri else "")
        under = _POST.search(text(activity.get("object"))) or _POST.search(uri)
        captured = moment(event.get("capturedAt"))
        written = moment(at(activity, "created", "time")) or written_at(f"urn:li:comment:{number}") or captured
        if written is None or not (under or number):
            return None
        post = under[0] if under else PLATFORM
        created = captured if captured and text(event.get("method")).upper() == "CREATE" else written
        key = self._comments.get(number) or self._same_comment(written) or comment_key(post, f"{created:%Y-%m-%d %H:%M:%S}")
        if number:
            self._comments[number] = key
        message = at(activity, "message", "text")
        state, reason = _readable(message)
        return Post(
            key=key,
            platform=PLATFORM,
            kind="comment",
            origin=_origin(event),
            state=state,
            reason=reason,
            url=f"https://www.linkedin.com/feed/update/{post}" if under else None,
            published_at=written,
            edited_at=_edited(event, activity),
            blocks=tuple(comment_blocks(text(message))),
        )

    def _same_comment(self, written: datetime) -> str | None:
        """The key of the comment that was written at this time."""
        near = [
            (abs(post.published_at - written), post.key)
            for post in self.posts
            if post.kind == "comment" and post.published_at and abs(post.published_at - written) <= _SAME_COMMENT
        ]
        return min(near)[1] if near else None


def _post(event: dict[str, Any]) -> Post | None:
    activity = _activity(event)
    named = (activity.get("id"), event.get("resourceId"), event.get("resourceUri"))
    found = next(filter(None, (_POST.search(text(value)) for value in named)), None)
    if found is None:
        return None
    content = at(activity, "specificContent", "com.linkedin.ugc.ShareContent")
    words = at(content, "shareCommentary", "text")
    if words is None and isinstance(content, dict):
        words = ""  # a picture or a repost without a word
    state, reason = _readable(words)
    said = text(words).strip()
    if state == "kept":
        state, reason = share_state(said)
    if text(activity.get("lifecycleState")).upper() == "DRAFT":
        state, reason = "draft", "not published"
    return Post(
        key=found[0],
        platform=PLATFORM,
        kind="post",
        origin=_origin(event),
        state=state,
        reason=reason,
        url=f"https://www.linkedin.com/feed/update/{found[0]}",
        published_at=moment(activity.get("firstPublishedAt")) or moment(at(activity, "created", "time")) or written_at(found[0]),
        edited_at=_edited(event, activity),
        blocks=tuple(paragraphs(said)),
    )


def _without_words(event: dict[str, Any], kind: Kind, state: State, reason: str) -> Post:
    return Post(
        key=f"{PLATFORM}:{_origin(event)}",
        platform=PLATFORM,
        kind=kind,
        origin=_origin(event),
        state=state,
        reason=reason,
        published_at=moment(event.get("capturedAt")),
    )


def _readable(words: object) -> tuple[State, str]:
    if isinstance(words, str):
        return "kept", ""
    return "unreadable", "the change log names it without its words, and the snapshot does not have it yet"


def _activity(event: dict[str, Any]) -> dict[str, Any]:
    """What an event is about; of a partial update the fields that it sets."""
    activity = event.get("activity")
    activity = activity if isinstance(activity, dict) else {}
    patch = at(activity, "patch", "$set")
    return {**activity, **patch} if isinstance(patch, dict) else activity


def _deletes(event: dict[str, Any]) -> bool:
    return text(event.get("method")).upper() == "DELETE"


def _edited(event: dict[str, Any], activity: dict[str, Any]) -> datetime | None:
    if "UPDATE" not in text(event.get("method")).upper():
        return None
    return moment(at(activity, "lastModified", "time")) or moment(event.get("capturedAt"))


def _origin(event: dict[str, Any]) -> str:
    """The event's own name: the same in every read."""
    return f"change log:{number_id(event.get('id')) or text(event.get('activityId'))[:100] or text(event.get('resourceId'))[:100]}"


def _elements(answer: object) -> list[dict[str, Any]]:
    elements = at(answer, "elements")
    if not isinstance(elements, list):
        raise FetchError("LinkedIn's API answered with something that is no list of elements. Try again later.", "malformed")
    return [element for element in elements if isinstance(element, dict)]


def _rows(element: dict[str, Any]) -> list[dict[str, str]]:
    data = element.get("snapshotData")
    rows = [data] if isinstance(data, dict) else items(data)
    return [{name: text(value) for name, value in row.items()} for row in rows if isinstance(row, dict)]


def _endless(what: str) -> SourceError:
    return SourceError(f"LinkedIn's API does not come to an end: more than {_MOST_PAGES} pages of {what}.", "truncated")


def _read_articles(rows: list[dict[str, str]], name: str) -> list[Post]:
    return [_article(f"{name}:{n}", row) for n, row in enumerate(rows, 1)]


def _article(origin: str, row: dict[str, str]) -> Post:
    """An article out of the snapshot, whose columns the documentation does not name: they are told by the words in their names."""
    url = canonical_url(_column(row, "link", "url"))
    body, published = _column(row, "content", "body", "text", "html"), parse_date(_column(row, "publish"))
    created = parse_date(_column(row, "date", "created"))
    state, reason = ("kept", "") if body.strip() else ("partial", "the API names this article without its text: take the export")
    if not published and not created:
        state, reason = "draft", "not published"
    blocks = html_blocks(body) if "<" in body else list[Block](paragraphs(body))
    return Post(
        key=url or f"{PLATFORM}:{origin}",
        platform=PLATFORM,
        kind="article",
        origin=origin,
        state=state,
        reason=reason,
        title=" ".join(_column(row, "title").split()) or None,
        url=url,
        published_at=published or created,
        blocks=tuple(blocks),
    )


def _column(row: dict[str, str], *words: str) -> str:
    """The first value whose column has one of the words in its name."""
    return next((value for word in words for name, value in row.items() if word in name.lower() and value), "")
