"""An account on Mastodon or another server of its API: its archive (ActivityStreams in ``outbox.json``), or its public posts."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import Files, UnreadableTextError, not_read, read_text
from twin_assets.ingest.html import html_blocks
from twin_assets.ingest.plain import without_leading_mentions
from twin_assets.ingest.posts import Block, Post, State, parse_date, post_key
from twin_assets.ingest.shapes import at, items, number_id, text
from twin_assets.ingest.source import DETECTED, Address, Coverage, Source
from twin_assets.ingest.threads import Entry, join_threads
from twin_assets.ingest.web import Web

RANK = DETECTED
_PUBLIC = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
_NOT_FOR_ALL = {"private": "for followers only", "direct": "a private message", "limited": "for a circle of people only"}
_ACCOUNT = re.compile(r"@\w+([.-]\w+)*", re.ASCII)
_OTHER_HOSTS = ("medium.com", "youtube.com", "tiktok.com", "threads.net", "threads.com", "substack.com", "hashnode.com", "flickr.com")
_NO_SUCH_API = frozenset({"gone", "malformed", "forbidden", "refused", "needs_login", "challenge"})
_QUOTE = re.compile(r'<p class="[^"]*\bquote-inline\b[^"]*">.{0,5000}?</p>|<span class="quote-inline">.{0,5000}?</span>', re.DOTALL)
_PAGE = 40
_MOST_PAGES = 5000


def from_files(files: Files) -> Source | None:
    """An archive, unpacked or not: an ``outbox.json`` that is a collection of activities."""
    name = next((name for name in files.names if name.rpartition("/")[2] == "outbox.json"), None)
    return MastodonArchive(files, name) if name else None


def from_address(address: Address) -> Source | None:
    """A profile, ``https://HOST/@USER``, when the server answers as Mastodon does."""
    if len(address.parts) != 1 or not _ACCOUNT.fullmatch(address.parts[0]) or address.host.endswith(_OTHER_HOSTS):
        return None
    query = urlencode({"acct": address.parts[0].removeprefix("@")})
    try:
        account = address.web.get(f"{address.origin}/api/v1/accounts/lookup?{query}", robots=False).json()
    except FetchError as error:
        if error.outcome in _NO_SUCH_API:
            return None
        raise
    id = number_id(at(account, "id")) or text(at(account, "id"))
    return MastodonProfile(address.url, address.origin, id, address.web) if re.fullmatch(r"[\w-]{1,64}", id, re.ASCII) else None


class MastodonArchive(Source):
    """Reads ``outbox.json``. Likes, bookmarks and the lists of whom one follows are never opened."""

    platform = "mastodon"
    coverage: Coverage = "everything"

    def __init__(self, files: Files, outbox: str) -> None:
        self.location = files.location
        self.files = files
        self._outbox = outbox

    def read(self) -> Iterator[Post]:
        """One post per activity, and one per file that is not read.

        Raises:
            SourceError: When the outbox is no collection of activities.
        """
        try:
            activities = parse_outbox(read_text(self.files, self._outbox))
        except UnreadableTextError as error:
            raise SourceError(f"{self._outbox} in {self.location} cannot be read: {error}. Ask for the archive again.") from error
        actor = _most_frequent([text(at(activity, "actor")) for activity in activities])
        yield from join_threads([_activity(activity, actor, f"{self._outbox}:{number}") for number, activity in enumerate(activities, 1)])
        yield from not_read(self.files, {self._outbox}, self.platform)


class MastodonProfile(Source):
    """Reads the public posts, replies and boosts of an account, newest first.

    Args:
        location: The profile's address.
        origin: The server, as ``https://example.social``.
        id: The account's id there.
        web: What to read through.
    """

    platform = "mastodon"
    coverage: Coverage = "listing"
    truncated = ""

    def __init__(self, location: str, origin: str, id: str, web: Web) -> None:
        self.location = location
        self._statuses = f"{origin}/api/v1/accounts/{id}/statuses"
        self._id = id
        self._web = web

    def read(self) -> Iterator[Post]:
        """One post per status.

        Raises:
            SourceError: When the server does not tell of any.
        """
        yield from join_threads([_status(status, self._id, number) for number, status in enumerate(self._listing(), 1)])

    def _listing(self) -> Iterator[Any]:
        seen: set[str] = set()
        last = ""
        while len(seen) < _MOST_PAGES:
            try:
                page = self._page(last)
            except FetchError as error:
                if not seen:
                    raise
                self.truncated = str(error)
                return
            yield from page
            seen.add(last)
            if not page:
                return
            last = text(at(page[-1], "id"))
            if not last or last in seen:
                break
        self.truncated = f"the list of posts of {self.location} does not come to an end"

    def _page(self, last: str) -> list[Any]:
        asked = {"limit": str(_PAGE), "exclude_reblogs": "false", **({"max_id": last} if last else {})}
        page = self._web.get(f"{self._statuses}?{urlencode(asked)}", robots=False).json()
        if not isinstance(page, list):
            raise FetchError(f"The server's answer about {self.location} is no list of posts. Try again later.", "malformed")
        return page


def parse_outbox(content: str) -> list[Any]:
    """The activities of an outbox, oldest first as the server writes them.

    Raises:
        UnreadableTextError: When it is none.
    """
    try:
        outbox = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableTextError(f"broken JSON: {error}") from error
    activities = at(outbox, "orderedItems")
    if not isinstance(activities, list):
        raise UnreadableTextError("no outbox: it holds no orderedItems")
    return activities


def _most_frequent(actors: list[str]) -> str:
    """Whose archive it is."""
    found = Counter(actor for actor in actors if actor).most_common(1)
    return found[0][0] if found else ""


def _activity(activity: object, actor: str, origin: str) -> Entry:
    """An item of an outbox."""
    type, note = text(at(activity, "type")), at(activity, "object")
    key = post_key(text(at(activity, "id"))) or f"mastodon:{origin}"
    when = parse_date(at(activity, "published"))
    if type == "Announce":
        return Entry(Post(key, "mastodon", "post", origin, "shared", "a boost", published_at=when), key)
    if type != "Create" or not isinstance(note, dict):
        state: State = "empty" if type and type != "Create" else "unreadable"
        reason = f"no post but an activity of type {type}" if state == "empty" else "not a post: it has no text"
        return Entry(Post(key, "mastodon", "post", origin, state, reason, published_at=when), key)
    id, parent = text(note.get("id")) or key, text(note.get("inReplyTo"))
    writer = text(note.get("attributedTo")) or actor
    post = _post(
        origin,
        url=text(note.get("url")) or id,
        content=_content(note),
        warning=text(note.get("summary")),
        visibility=_visibility(note),
        dates=(parse_date(note.get("published")) or when, parse_date(note.get("updated"))),
        options=[text(at(option, "name")) for option in items(note.get("oneOf")) or items(note.get("anyOf"))],
        alts=[text(at(attachment, "name")) for attachment in items(note.get("attachment"))],
        quoted=next((found for name in ("quote", "quoteUrl", "quoteUri", "_misskey_quote") if (found := text(note.get(name)))), ""),
        reply=bool(parent),
        writer="" if writer == actor else writer,
    )
    return Entry(post, id, parent, to_self=bool(actor) and parent.startswith(f"{actor}/"))


def _status(status: object, account: str, number: int) -> Entry:
    """A status as the API has it."""
    id, uri = text(at(status, "id")), text(at(status, "uri"))
    origin = uri or f"status:{id or number}"
    key = post_key(uri) or f"mastodon:{origin}"
    when = parse_date(at(status, "created_at"))
    if at(status, "reblog"):
        return Entry(Post(key, "mastodon", "post", origin, "shared", "a boost", published_at=when), key)
    if not isinstance(at(status, "content"), str):
        return Entry(Post(key, "mastodon", "post", origin, "unreadable", "not a post: it has no text", published_at=when), key)
    parent = text(at(status, "in_reply_to_id"))
    writer = text(at(status, "account", "id")) or account
    post = _post(
        origin,
        url=text(at(status, "url")) or uri,
        content=text(at(status, "content")),
        warning=text(at(status, "spoiler_text")),
        visibility=text(at(status, "visibility")),
        dates=(when, parse_date(at(status, "edited_at"))),
        options=[text(at(option, "title")) for option in items(at(status, "poll", "options"))],
        alts=[text(at(attachment, "description")) for attachment in items(at(status, "media_attachments"))],
        quoted=text(at(status, "quote", "quoted_status", "url")) or text(at(status, "quote", "quoted_status", "uri")),
        reply=bool(parent),
        writer="" if writer == account else text(at(status, "account", "acct")) or writer,
    )
    return Entry(post, id or key, parent, to_self=text(at(status, "in_reply_to_account_id")) == account)


def _post(
    origin: str,
    *,
    url: str,
    content: str,
    warning: str,
    visibility: str,
    dates: tuple[datetime | None, datetime | None],
    options: list[str],
    alts: list[str],
    quoted: str,
    reply: bool,
    writer: str,
) -> Post:
    """A post of either shape. The text of what was not for everyone is not kept."""
    published, edited = dates
    link = post_key(url)
    state: State = "kept"
    reason = ""
    if writer:
        state, reason = "foreign", f"written by {writer}"
    elif visibility in _NOT_FOR_ALL:
        state, reason = "excluded", f"not public: {_NOT_FOR_ALL[visibility]}"
    shown = state == "kept"
    return Post(
        key=link or f"mastodon:{origin}",
        platform="mastodon",
        kind="post",
        origin=origin,
        state=state,
        reason=reason,
        title=(" ".join(warning.split()) or None) if shown else None,
        url=link,
        published_at=published,
        edited_at=edited if edited != published else None,
        blocks=tuple(_blocks(content, options, alts, quoted, reply=reply)) if shown else (),
    )


def _blocks(content: str, options: list[str], alts: list[str], quoted: str, *, reply: bool) -> Iterator[Block]:
    blocks = html_blocks(_QUOTE.sub("", content))
    if reply and blocks and blocks[0].type == "paragraph":
        rest = without_leading_mentions(blocks[0].text).strip()
        blocks[:1] = [Block("paragraph", rest)] if rest else []
    yield from blocks
    if any(options):
        yield Block("list", "\n".join(f"- {option.strip()}" for option in options))
    for alt in alts:
        if alt.strip():
            yield Block("caption", alt.strip())
    if quoted:
        yield Block("embed", quoted)


def _content(note: dict[str, Any]) -> str:
    """The text of a note; some servers give it by language alone."""
    by_language = note.get("contentMap")
    versions = by_language.values() if isinstance(by_language, dict) else ()
    return text(note.get("content")) or next((found for version in versions if (found := text(version))), "")


def _visibility(note: dict[str, Any]) -> str:
    """Public, to followers, or direct: what the addressees say. A note that names none is taken for direct."""
    to, cc = _addressees(note.get("to")), _addressees(note.get("cc"))
    if _PUBLIC & (to | cc):
        return "public"
    return "private" if any(name.endswith("/followers") for name in to | cc) else "direct"


def _addressees(value: object) -> set[str]:
    return {text(value)} if isinstance(value, str) else {text(name) for name in items(value)}
