"""LinkedIn's data export: posts and comments, and nothing else of what lies in it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.posts import Block, Kind, Post, State, canonical_url, not_a_text, parse_date, settle_all
from twin_assets.ingest.source import files_below
from twin_assets.ingest.tables import read_csv

_SHARES = re.compile(r"^Shares(_.*)?\.csv$", re.IGNORECASE)
_COMMENTS = re.compile(r"^Comments(_.*)?\.csv$", re.IGNORECASE)
_SHARE_COLUMNS = ("Date", "ShareLink", "ShareCommentary", "SharedUrl")
_COMMENT_COLUMNS = ("Date", "Link", "Message")
_URN = re.compile(r"urn:li:\w+:[\w-]+")
_LINK = re.compile(r"https?://\S+")


def is_linkedin_file(path: Path) -> bool:
    """Whether the name is one that LinkedIn gives to posts or comments."""
    return bool(_SHARES.match(path.name) or _COMMENTS.match(path.name))


class LinkedInExport:
    """Reads ``Shares.csv`` and ``Comments.csv``. Messages, connections and the like are never opened."""

    platform = "linkedin"
    complete = True

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.path = path

    def read(self) -> Iterator[Post]:
        """One post per row, and one per file that is not read."""
        files = files_below(self.path) if self.path.is_dir() else [self.path]
        if not any(is_linkedin_file(file) for file in files):
            raise SourceError(f"No Shares.csv or Comments.csv in {self.path}: name the folder that LinkedIn's export was unpacked to.")
        yield from settle_all(post for file in files for post in self._posts(file))

    def _posts(self, file: Path) -> Iterator[Post]:
        origin = file.relative_to(self.path).as_posix() if self.path.is_dir() else file.name
        if _SHARES.match(file.name):
            rows = read_csv(file, _SHARE_COLUMNS)
            texts = repair([row["ShareCommentary"] for row in rows])
            yield from (_share(f"{origin}:{n}", row, text) for n, (row, text) in enumerate(zip(rows, texts, strict=True), 1))
        elif _COMMENTS.match(file.name):
            rows = read_csv(file, _COMMENT_COLUMNS)
            texts = repair([row["Message"] for row in rows])
            yield from (_comment(f"{origin}:{n}", row, text) for n, (row, text) in enumerate(zip(rows, texts, strict=True), 1))
        else:
            yield not_a_text(origin, self.platform, "not a text this source reads; it was not opened")


def repair(texts: Sequence[str]) -> list[str]:
    r"""Restores line breaks that LinkedIn writes as ``"\n"``: a quote, a newline, a quote.

    A file either has all its line breaks like that or none, so a writer's own quotes at the end and start of lines survive.
    """
    broken = [text for text in texts if "\n" in text]
    if not broken or any(re.sub(r'"\r?\n"', "", text).count("\n") for text in broken):
        return [text.replace("\r\n", "\n").strip() for text in texts]
    return [re.sub(r'"\r?\n"', "\n", text).strip() for text in texts]


def _share(origin: str, row: dict[str, str], text: str) -> Post:
    state: State = "kept"
    reason = ""
    if not text:
        state, reason = "shared", "bare repost: no words of the author's own"
    elif not _LINK.sub("", text).strip():
        state, reason = "shared", "only a link: no words of the author's own"
    return _post("post", origin, row["ShareLink"], row["Date"], text, state, reason)


def _comment(origin: str, row: dict[str, str], text: str) -> Post:
    return _post("comment", origin, row["Link"], row["Date"], text, "kept", "")


def _post(kind: Kind, origin: str, link: str, date: str, text: str, state: State, reason: str) -> Post:
    urn = _URN.search(unquote(link))
    key = (urn[0] if urn else canonical_url(link)) or f"linkedin:{origin}"
    return Post(
        key=f"{key}#comment-{date}" if kind == "comment" else key,
        platform="linkedin",
        kind=kind,
        origin=origin,
        state=state,
        reason=reason,
        url=canonical_url(link),
        published_at=parse_date(date),
        blocks=tuple(paragraphs(text)),
    )


def paragraphs(text: str) -> Iterator[Block]:
    """Paragraphs of plain text: blank lines part them, the writer's line breaks stay."""
    for part in re.split(r"\n[ \t]*\n+", text):
        lines = "\n".join(line.rstrip() for line in part.split("\n")).strip("\n")
        if lines.strip():
            yield Block("paragraph", lines.strip())
