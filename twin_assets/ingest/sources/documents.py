"""Documents: a PDF, DOCX or text file, or a folder, ZIP or Google Takeout of them in any mixture."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath

from twin_assets.ingest.files import Files, UnreadableTextError, not_read
from twin_assets.ingest.posts import Post, not_a_text
from twin_assets.ingest.source import GENERIC, Coverage, Source
from twin_assets.ingest.sources.docx import read_docx
from twin_assets.ingest.sources.google_docs import is_google_doc, read_google_doc
from twin_assets.ingest.sources.page import Page
from twin_assets.ingest.sources.pdf import read_pdf
from twin_assets.ingest.sources.plain_text import read_plain_text
from twin_assets.ingest.texts import Text, date_in_name

RANK = GENERIC
_READERS: dict[str, Callable[[bytes], Text]] = {
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".docm": read_docx,
    ".txt": read_plain_text,
    ".text": read_plain_text,
    ".rst": partial(read_plain_text, suffix=".rst"),
    ".org": partial(read_plain_text, suffix=".org"),
}
_PAGES = (".html", ".htm")
_FOREIGN = {
    ".doc": "the old format of Word",
    ".rtf": "Rich Text",
    ".odt": "an OpenDocument text",
    ".pages": "a document of Pages",
    ".wpd": "a document of WordPerfect",
}
_MARKDOWN = (".md", ".mdx", ".markdown")
_ABOUT = re.compile(
    r"^(readme|licen[cs]e|copying|notice|changelog|changes|authors|contributing|requirements|constraints|robots|humans|ads|security|cmakelists)"
    r"([._-].*)?$",
    re.IGNORECASE,
)
_PRIVATE = re.compile(
    r"((your|my|all) )?("
    r"messages?|direct messages?( group)?|dms?|inbox|outbox|mail|e?mails?|e?mail (list|addresse?s?)|chats?|invitations|contacts?|phone ?numbers?"
    r"|connections?|friends|friends and followers|followers?|following|(users|pubs|topics) following|subscribers?|subscriptions?"
    r"|lists?|blocks?|blocked .*|mutes?|likes?|claps?|highlights?|bookmarks?|saved items|interests?|profile|account|registration"
    r"|devices?|logins?|logged|security( and login)?|security challenges|sessions?|ips?|ip (addresse?s|audit)|passwords?"
    r"|payments?|billing|charges|tippings|purchases|receipts|orders|invoices|earnings|partner program|membership"
    r"|ads?|advertisers?|ads? (targeting|engagements|impressions)|ads clicked|personalization"
    r"|(web|browser|browsing|location|watch) history|search(es)?|search ?(queries|history)|saved search|locations?"
    r")( (information|info|data|history|activity|settings|list))*"
)
"""Names that exports of Medium, LinkedIn, Facebook, Google, Substack and X give to what is private or not writing."""
_COMMENTS = re.compile(r"-comments\.html?$", re.IGNORECASE)


def from_files(files: Files) -> Source | None:
    """A document, or a folder or ZIP with documents and no Markdown but what is about the folder."""
    names = [name for name in files.names if not _set_aside(name, files)]
    if any(_suffix(name) in _MARKDOWN for name in names):
        return None
    if len(files.names) == 1 and _suffix(files.names[0]) in _PAGES:
        return Documents(files) if _holds_google_doc(files) else None
    return Documents(files) if any(_suffix(name) in _READERS.keys() | _FOREIGN.keys() | {*_PAGES} for name in names) else None


class Documents(Source):
    """Reads every document by its kind; all other files are accounted for and not opened."""

    platform = "documents"
    coverage: Coverage = "everything"

    def __init__(self, files: Files) -> None:
        self.location = files.location
        self.files = files

    def read(self) -> Iterator[Post]:
        """One post per file."""
        used: set[str] = set()
        for name in self.files.names:
            reason = _set_aside(name, self.files)
            if reason:
                used.add(name)
                yield not_a_text(name, self.platform, reason)
            elif _suffix(name) in _READERS.keys() | _FOREIGN.keys() | {*_PAGES}:
                used.add(name)
                yield self._post(name)
        yield from not_read(self.files, used, self.platform)

    def _post(self, name: str) -> Post:
        suffix = _suffix(name)
        try:
            if suffix in _FOREIGN:
                raise UnreadableTextError(f"{_FOREIGN[suffix]}: open it in the program that made it and save it as DOCX")
            content = self.files.read(name)
            if suffix in _PAGES and not is_google_doc(content):
                return next(Page(self.location, content, name=name).read())
            text = read_google_doc(content) if suffix in _PAGES else _READERS[suffix](content)
        except UnreadableTextError as error:  # under the key of the text, so that what was read of it before stays
            return Post(key=name, platform=self.platform, kind="article", origin=name, state="unreadable", reason=str(error))
        return Post(
            key=name,
            platform=self.platform,
            kind="article",
            origin=name,
            state="kept",
            reason=text.note,
            title=text.title or (_stem(name) if suffix in _PAGES else None),
            bylines=text.bylines,
            published_at=date_in_name(name) or text.published_at,
            edited_at=text.edited_at,
            blocks=text.blocks,
        )


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _stem(name: str) -> str:
    """The name that a document had in Google Docs, which names its download after it."""
    return PurePosixPath(name).stem


def _set_aside(name: str, files: Files) -> str:
    """Why a file of a folder is never opened; empty when it may be."""
    path = PurePosixPath(name)
    if len(files.names) == 1:
        return ""
    if any(map(_is_private, path.parts[:-1])):
        return "in a folder of private things; it was not opened"
    if _is_private(path.stem):
        return "its name is one that exports give to private things; it was not opened. If you wrote it, rename it"
    if "Takeout" in path.parts and "Drive" not in path.parts:
        return "of a Takeout only what lies in Drive is read; it was not opened"
    if _COMMENTS.search(name):
        return "comments on a document, which others may have written; it was not opened"
    if path.name.startswith(("~$", "._")) or _ABOUT.match(path.name):
        return "not a text of an author but about the folder; it was not opened"
    return ""


def _is_private(name: str) -> bool:
    """Whether a folder or a file without its suffix is called like that, as ``Location History`` or ``bookmarks-0001``."""
    return bool(_PRIVATE.fullmatch(re.sub(r"[\W\d_]+", " ", name).strip().lower()))


def _holds_google_doc(files: Files) -> bool:
    try:
        return is_google_doc(files.read(files.names[0]))
    except UnreadableTextError:
        return False
