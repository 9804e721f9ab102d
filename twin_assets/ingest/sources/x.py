"""The archive of an account on X, formerly Twitter. Messages, contacts, advertisers and the like in it are never opened.

Each file of ``data/`` assigns JSON to a variable, as ``window.YTD.tweets.part0 = [...]``: what follows the sign is parsed, never run.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Files, UnreadableTextError, not_read, read_text
from twin_assets.ingest.plain import paragraphs, without_leading_mentions
from twin_assets.ingest.posts import Block, BlockType, Post, State, not_a_text, parse_date
from twin_assets.ingest.shapes import at, items, number_id, text
from twin_assets.ingest.source import EXACT, Address, Coverage, Source
from twin_assets.ingest.threads import Entry, join_threads

RANK = EXACT
_HOSTS = frozenset({"x.com", "twitter.com", "mobile.x.com", "mobile.twitter.com"})
_READ = re.compile(r"(?:[^/]+/)*(tweets?|note-tweet|article|deleted-tweets?|community-note)(?:-part\d+)?\.js")
_TWEETS = frozenset({"tweet", "tweets"})
_RETWEET = re.compile(r"RT @\w")
_QUOTED_RETWEET = re.compile(r"[\s\"“]RT @\w+:?\s")
_SHORT_LINK = re.compile(r"https?://t\.co/\w+")
_STATUS = re.compile(r"^https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/\w+/(?:web/)?status(?:es)?/\d+")
_MONTHS = {
    name: number for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
_DATE = re.compile(r"^[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d) \+0000 (\d{4})$", re.ASCII)
_SNOWFLAKE_EPOCH = datetime(2010, 11, 4, 1, 42, 54, 657000, tzinfo=UTC)
_FIRST_SNOWFLAKE = 30_000_000_000
_SAME_MOMENT = timedelta(seconds=5)
_TELLING = 100
"""Letters in which the beginnings of two texts have to agree to be the same text, when their dates say nothing."""
_COMPARED = 200
_ARTICLE_BLOCKS: dict[str, tuple[BlockType, int | None]] = {
    "header-one": ("heading", 1),
    "header-two": ("heading", 2),
    "header-three": ("heading", 3),
    "blockquote": ("quote", None),
    "code-block": ("code", None),
    "unordered-list-item": ("list", None),
    "ordered-list-item": ("list", None),
}


def from_files(files: Files) -> Source | None:
    """An archive, unpacked or not: tweets in its ``data`` folder, or the file of tweets alone."""
    return XArchive(files) if any(_kind(name) in _TWEETS and _is_archive_file(files, name) for name in files.names) else None


def from_address(address: Address) -> Source | None:
    """Nothing: X shows posts to those who are logged in alone.

    Raises:
        SourceError: For any address there, with how to get the archive.
    """
    if address.host in _HOSTS:
        _ask_for_archive(address.url)
    return None


def _ask_for_archive(url: str) -> NoReturn:
    raise SourceError(
        f"X shows {url} only to who is logged in, and its API is not free. Ask for your archive instead: on x.com, Settings and privacy, Your "
        "account, Download an archive of your data. It takes a day or so; then add the ZIP. See docs/sources/x.md.",
        "needs_login",
    )


def _kind(name: str) -> str:
    found = _READ.fullmatch(name)
    return found[1] if found else ""


def _is_archive_file(files: Files, name: str) -> bool:
    """Other programs have files of this name too. One that cannot be opened is taken for the archive's, so that it is said why."""
    try:
        return b"YTD" in files.read(name)[:200]
    except UnreadableTextError:
        return True


class XArchive(Source):
    """Reads the posts, long posts, articles and community notes of an archive."""

    platform = "x"
    coverage: Coverage = "everything"
    truncated = ""

    def __init__(self, files: Files) -> None:
        self.location = files.location
        self.files = files

    def read(self) -> Iterator[Post]:
        """One post per row of the files that hold posts, and one per file that is not read.

        Raises:
            SourceError: When no file of tweets can be read.
        """
        rows: dict[str, list[_Row]] = defaultdict(list)
        unreadable: list[Post] = []
        used: set[str] = set()
        for name in self.files.names:
            if kind := _kind(name):
                used.add(name)
                try:
                    found = _rows(name, read_text(self.files, name))
                    rows[kind.rstrip("s")] += found
                except UnreadableTextError as error:
                    unreadable.append(not_a_text(name, self.platform, str(error), "unreadable"))
        if unreadable:
            self.truncated = f"{unreadable[0].origin} cannot be read: {unreadable[0].reason}"
            if "tweet" not in rows:
                raise SourceError(f"No posts in {self.location} can be read; {self.truncated}. Download the archive again.")
        yield from _settled(rows)
        yield from unreadable
        yield from not_read(self.files, used, self.platform)


@dataclass(frozen=True, slots=True)
class _Row:
    """An element of one of the lists: its fields, and where it stands."""

    fields: Any
    origin: str


@dataclass(frozen=True, slots=True)
class _Tweet:
    row: _Row
    id: str
    when: datetime | None
    full_text: str
    parent: str
    to: str
    """The id of the account that it replies to."""
    versions: tuple[str, ...]
    """Ids of all versions of an edited tweet, oldest first."""

    @property
    def identity(self) -> str:
        """The id that stays when the tweet is edited."""
        return self.versions[0] if self.versions else self.id


def parse_archive_file(content: str) -> list[Any]:
    """The list that a file of the archive assigns.

    Raises:
        UnreadableTextError: When it assigns none.
    """
    head, sign, tail = content.partition("=")
    if not sign or "YTD" not in head:
        raise UnreadableTextError("no file of an archive: it does not begin with window.YTD")
    try:
        found = json.loads(tail.strip().rstrip(";"))
    except (ValueError, RecursionError) as error:
        raise UnreadableTextError(f"broken JSON: {error}") from error
    if not isinstance(found, list):
        raise UnreadableTextError("not a list of posts")
    return found


def _rows(name: str, content: str) -> list[_Row]:
    return [_Row(fields, f"{name}:{number}") for number, fields in enumerate(parse_archive_file(content), 1)]


def _settled(rows: dict[str, list[_Row]]) -> Iterator[Post]:
    tweets = [_tweet(row) for row in rows["tweet"]]
    deleted = [_tweet(row) for row in rows["deleted-tweet"]]
    known = [tweet for tweet in (*tweets, *deleted) if tweet]
    notes = _Notes(rows["note-tweet"])
    archive = _Archive(
        ids={tweet.id for tweet in known},
        identities={version: tweet.identity for tweet in known for version in tweet.versions},
        deleted={id for tweet in deleted if tweet for id in (tweet.id, *tweet.versions)},
    )
    accounts = {tweet.to for tweet in known if tweet.to and tweet.parent in archive.ids}
    entries: list[Entry] = []
    for tweet, row in zip((*tweets, *deleted), (*rows["tweet"], *rows["deleted-tweet"]), strict=True):
        if tweet is None:
            entries.append(Entry(_broken(row), row.origin))
            continue
        post = _post(tweet, archive, notes)
        parent = archive.identities.get(tweet.parent, tweet.parent) or (tweet.to and f"account {tweet.to}")
        id = row.origin if post.state == "duplicate" else tweet.identity
        entries.append(Entry(post, id, parent, to_self=tweet.to in accounts))
    yield from join_threads(entries)
    yield from notes.posts({entry.post.origin for entry in entries if entry.post.state == "deleted"})
    yield from map(_article, rows["article"])
    yield from map(_community_note, rows["community-note"])


@dataclass(frozen=True, slots=True)
class _Archive:
    """What has to be known of all tweets to read one."""

    ids: set[str]
    identities: dict[str, str]
    """For every version of an edited tweet, the first one."""
    deleted: set[str]


def _tweet(row: _Row) -> _Tweet | None:
    """The tweet in a row; older archives do not wrap it."""
    fields = at(row.fields, "tweet") or row.fields
    id = number_id(at(fields, "id_str")) or number_id(at(fields, "id"))
    full_text = at(fields, "full_text") or at(fields, "text")
    if not id or not isinstance(full_text, str):
        return None
    edits = at(fields, "edit_info", "initial", "editTweetIds") or at(fields, "edit_info", "edit", "editControlInitial", "editTweetIds")
    versions = tuple(filter(None, map(number_id, items(edits))))
    return _Tweet(
        row=_Row(fields, row.origin),
        id=id,
        when=_date(at(fields, "created_at"), id),
        full_text=text(full_text),
        parent=number_id(at(fields, "in_reply_to_status_id_str")) or number_id(at(fields, "in_reply_to_status_id")),
        to=number_id(at(fields, "in_reply_to_user_id_str")) or number_id(at(fields, "in_reply_to_user_id")),
        versions=versions if len(versions) > 1 and id in versions else (),
    )


def _broken(row: _Row) -> Post:
    reason = "not a post: it has no id or no text"
    return Post(f"x:{row.origin}", "x", "post", row.origin, "unreadable", reason)


def _post(tweet: _Tweet, archive: _Archive, notes: "_Notes") -> Post:
    origin, key = tweet.row.origin, f"urn:x:status:{tweet.id}"
    if _RETWEET.match(tweet.full_text):
        state: State = "deleted" if tweet.id in archive.deleted else "shared"
        return Post(key, "x", "post", origin, state, "a repost of somebody else's words", published_at=tweet.when)
    note = notes.match(tweet)
    if tweet.id in archive.deleted:
        return Post(_key(tweet), "x", "post", origin, "deleted", "the author deleted it", published_at=tweet.when)
    newer = [id for id in tweet.versions[tweet.versions.index(tweet.id) + 1 :] if id in archive.ids] if tweet.versions else []
    if newer:
        reason = f"an earlier version of post {newer[-1]}, which was edited"
        return Post(f"urn:x:version:{tweet.id}", "x", "post", origin, "duplicate", reason, published_at=tweet.when)
    edited = tweet.id != tweet.identity
    return Post(
        key=_key(tweet),
        platform="x",
        kind="post",
        origin=origin,
        state="kept",
        url=f"https://x.com/i/status/{tweet.id}",
        published_at=(_snowflake_date(tweet.identity) or tweet.when) if edited else tweet.when,
        edited_at=tweet.when if edited else None,
        blocks=tuple(_blocks(tweet, note)),
    )


def _key(tweet: _Tweet) -> str:
    return f"urn:x:status:{tweet.identity}"


def _blocks(tweet: _Tweet, note: Any) -> Iterator[Block]:
    fields = tweet.row.fields
    links = _links(at(fields, "entities", "urls"), "url", "expanded_url")
    written = _unescaped(tweet.full_text)
    if note is not None:
        links |= _links(at(note, "core", "urls"), "shortUrl", "expandedUrl")
        written = text(at(note, "core", "text"))
    pictures = {text(at(medium, "url")) for medium in items(at(fields, "entities", "media"))}
    written = _SHORT_LINK.sub(lambda found: "" if found[0] in pictures else found[0], written).strip()
    quoted = next((link for short, link in links.items() if _STATUS.match(link) and written.endswith(short)), None)
    written = _SHORT_LINK.sub(lambda found: links.get(found[0], found[0]), written)
    if quoted:
        written = written.removesuffix(quoted)
    own, others = _parted(without_leading_mentions(written) if tweet.parent or tweet.to else written)
    yield from paragraphs(own)
    if others:
        yield Block("quote", others)
    for medium in items(at(fields, "extended_entities", "media")):
        if alt := text(at(medium, "ext_alt_text")).strip():
            yield Block("caption", alt)
    if quoted:
        yield Block("embed", quoted)


def _parted(written: str) -> tuple[str, str]:
    """One's own words, and the words of others that they were put before by hand, as one did before there were quotes."""
    found = _QUOTED_RETWEET.search(written)
    return (written[: found.start()], written[found.start() :].strip(' "“”')) if found else (written, "")


def _links(urls: object, short: str, long: str) -> dict[str, str]:
    pairs = ((text(at(url, short)), text(at(url, long))) for url in items(urls))
    return {name: target for name, target in pairs if name and target}


def _unescaped(written: str) -> str:
    """X writes these three signs as HTML does, and no other."""
    return written.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class _Notes:
    """Long posts: ``note-tweet.js`` holds their whole text, ``tweets.js`` its beginning. No id leads from one to the other.

    What they share is the moment, and how they begin.
    """

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = [_Row(at(row.fields, "noteTweet"), row.origin) for row in rows]
        self._owners: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._by_moment: dict[int, dict[str, _Row]] = defaultdict(dict)
        self._by_beginning: dict[str, dict[str, _Row]] = defaultdict(dict)
        for row in self._rows:
            self._texts[row.origin] = start = _comparable(text(at(row.fields, "core", "text")))
            self._by_beginning[start[:_TELLING]][row.origin] = row
            if when := parse_date(at(row.fields, "createdAt")):
                self._by_moment[int(when.timestamp()) // 10][row.origin] = row

    def match(self, tweet: _Tweet) -> Any:
        """The fields of the note that completes a tweet, which is then taken; None when there is none."""
        start = _comparable(_unescaped(tweet.full_text))
        if not start:
            return None
        for row in self._near(tweet.when):
            if self._texts[row.origin].startswith(start) and self._same_moment(row, tweet):
                return self._take(row, tweet)
        for row in self._by_beginning.get(start[:_TELLING], {}).values() if len(start) >= _TELLING else ():
            if self._texts[row.origin].startswith(start):
                return self._take(row, tweet)
        return None

    def _near(self, when: datetime | None) -> Iterator[_Row]:
        slot = int(when.timestamp()) // 10 if when else None
        for index in (slot - 1, slot, slot + 1) if slot is not None else ():
            yield from self._by_moment.get(index, {}).values()

    def _take(self, row: _Row, tweet: _Tweet) -> Any:
        self._owners[row.origin] = tweet.row.origin
        self._by_beginning[self._texts[row.origin][:_TELLING]].pop(row.origin, None)
        if when := parse_date(at(row.fields, "createdAt")):
            self._by_moment[int(when.timestamp()) // 10].pop(row.origin, None)
        return row.fields

    def posts(self, gone: set[str]) -> Iterator[Post]:
        """One post per note, which is only accounted for.

        Args:
            gone: Origins of tweets that were deleted.
        """
        for row in self._rows:
            id = number_id(at(row.fields, "noteTweetId"))
            key = f"urn:x:note:{id}" if id else f"x:{row.origin}"
            when = parse_date(at(row.fields, "createdAt"))
            owner = self._owners.get(row.origin)
            if not text(at(row.fields, "core", "text")):
                yield Post(key, "x", "note", row.origin, "unreadable", "not a long post: it has no text")
            elif owner in gone:
                yield Post(key, "x", "note", row.origin, "deleted", "the author deleted it", published_at=when)
            elif owner:
                reason = f"the whole text of {owner}, where it is counted"
                yield Post(key, "x", "note", row.origin, "duplicate", reason, published_at=when)
            else:
                reason = "no post of the archive begins with this text: perhaps it was deleted"
                yield Post(key, "x", "note", row.origin, "excluded", reason, published_at=when)

    def _same_moment(self, row: _Row, tweet: _Tweet) -> bool:
        when = parse_date(at(row.fields, "createdAt"))
        return when is not None and tweet.when is not None and abs(when - tweet.when) <= _SAME_MOMENT


def _comparable(written: str) -> str:
    """Letters and digits of the beginning up to the first link, which is spelled differently in the two files."""
    beginning = without_leading_mentions(written).split("http")[0][: 4 * _COMPARED]
    return "".join(sign for sign in beginning if sign.isalnum())[:_COMPARED].casefold()


def _article(row: _Row) -> Post:
    """A long article. Its text is a list of blocks as the editor Draft.js keeps them, or plain text."""
    fields = at(row.fields, "article") or row.fields
    id = next((found for name in ("id", "articleId", "id_str", "rest_id") if (found := number_id(at(fields, name)))), "")
    state = at(fields, "content_state") or at(fields, "contentState") or at(fields, "content")
    blocks = _draft_blocks(state) if isinstance(state, dict) else paragraphs(text(state) or text(at(fields, "text")))
    post = Post(
        key=f"urn:x:article:{id}" if id else f"x:{row.origin}",
        platform="x",
        kind="article",
        origin=row.origin,
        state="kept",
        title=" ".join(text(at(fields, "title")).split()) or None,
        published_at=_date(at(fields, "createdAt") or at(fields, "created_at"), id),
        blocks=tuple(blocks),
    )
    if post.blocks:
        return post
    return replace(post, state="unreadable", reason="its text is not where articles have it")


def _draft_blocks(state: object) -> Iterator[Block]:
    for block in items(at(state, "blocks")):
        written = text(at(block, "text"))
        type, level = _ARTICLE_BLOCKS.get(text(at(block, "type")), ("paragraph", None))
        if written.strip():
            yield Block(type, f"- {written.strip()}" if type == "list" else written.strip(), level=level)


def _community_note(row: _Row) -> Post:
    fields = at(row.fields, "communityNote") or row.fields
    id = number_id(at(fields, "noteId")) or number_id(at(fields, "id"))
    written = text(at(fields, "summary")) or text(at(fields, "text"))
    if not written:
        return Post(f"x:{row.origin}", "x", "note", row.origin, "unreadable", "not a community note: it has no text")
    key = f"urn:x:community-note:{id}" if id else f"x:{row.origin}"
    when = _date(at(fields, "createdAt"), id)
    return Post(key, "x", "note", row.origin, "kept", published_at=when, blocks=tuple(paragraphs(_unescaped(written))))


def _date(value: object, id: str) -> datetime | None:
    """``Wed Oct 10 20:19:24 +0000 2018``, or ISO 8601, or else what the id tells."""
    found = _DATE.match(value) if isinstance(value, str) else None
    if found and found[1] in _MONTHS:
        try:
            return datetime(int(found[6]), _MONTHS[found[1]], *map(int, found.group(2, 3, 4, 5)), tzinfo=UTC)
        except ValueError:
            return _snowflake_date(id)
    return parse_date(value) or _snowflake_date(id)


def _snowflake_date(id: str) -> datetime | None:
    """Since November 2010 ids begin with the milliseconds since then."""
    if not id or int(id) < _FIRST_SNOWFLAKE:
        return None
    try:
        return (_SNOWFLAKE_EPOCH + timedelta(milliseconds=int(id) >> 22)).replace(microsecond=0)
    except OverflowError:
        return None
