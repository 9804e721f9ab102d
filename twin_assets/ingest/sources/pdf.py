"""PDF: the running text of born-digital files. Each is opened in a process of its own, for the format lets a file ask for any time or memory."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from twin_assets.ingest.files import UnreadableTextError
from twin_assets.ingest.pdf_layout import Word, read_pages
from twin_assets.ingest.posts import Block
from twin_assets.ingest.texts import Text, persons, sane_title

MAX_PAGES = 1000
MAX_SECONDS: ContextVar[float] = ContextVar("seconds that reading one PDF may take", default=300)
MAX_MEMORY = 3 * 1024**3
MAX_WORDS = 2_000_000
_UNKNOWN_LETTER = re.compile(r"\(cid:\d+\)")
_DATE = re.compile(r"^(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+-])(\d\d)'?(\d\d)?)?")
_OVERPRINTED = 0.95
"""Of the letters, when fewer stand in places of their own, some are printed twice to look bold."""
_FEW_WORDS = 5
"""On average on a page: fewer are stamps on a picture."""


def read_pdf(content: bytes) -> Text:
    """Reads a document.

    Raises:
        UnreadableTextError: When it is scanned, encrypted, broken, too long, or asks for too much time or memory.
    """
    if b"%PDF-" not in content[:1024]:
        raise UnreadableTextError("no PDF, whatever its name says")
    found = _answer(content)
    info = found["info"]
    created, modified = parse_pdf_date(info.get("CreationDate", "")), parse_pdf_date(info.get("ModDate", ""))
    return Text(
        blocks=tuple(Block(**block) for block in found["blocks"]),
        title=_chosen_title(found["title"], sane_title(info.get("Title", "")), found["blocks"]),
        bylines=persons(info.get("Author", "")),
        published_at=created,
        edited_at=modified if modified and (created is None or modified > created) else None,
    )


def parse_pdf_date(value: str) -> datetime | None:
    """A date as PDF writes it (ISO 32000-1, 7.9.4): ``D:20240131120000+01'00'``, of which all but the year may be missing."""
    found = _DATE.match(value.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) if part else None for part in found.groups()[:6])
    away = timedelta(hours=int(found[8] or 0), minutes=int(found[9] or 0))
    with suppress(ValueError, OverflowError):
        zone = timezone(-away if found[7] == "-" else away)
        return datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=zone).astimezone(UTC)
    return None


def _chosen_title(printed: str | None, noted: str | None, blocks: list[dict[str, Any]]) -> str | None:
    """What stands largest on the first page, else what the properties say; the heading that says the same is then no block."""
    title = printed or noted
    same = [block for block in blocks[:3] if block["type"] == "heading" and title and block["text"].casefold() == title.casefold()]
    for block in same[:1]:
        blocks.remove(block)
    return title


def _answer(content: bytes) -> dict[str, Any]:
    """What the process that opens the file says of it."""
    try:
        done = subprocess.run([sys.executable, "-m", __name__], input=content, capture_output=True, timeout=MAX_SECONDS.get(), check=False)
    except subprocess.TimeoutExpired as error:
        raise UnreadableTextError(f"reading it takes longer than {MAX_SECONDS.get()} seconds: export its text as DOCX") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0].rpartition(".")[2]
        raise UnreadableTextError(f"a broken PDF ({last or done.returncode}): print it to a new PDF") from error
    if "error" in answer:
        raise UnreadableTextError(answer["error"])
    return answer


def _main() -> None:
    """Reads a PDF from standard input and writes what it holds, or why it cannot be read, as JSON to standard output."""
    _limit_memory()
    try:
        answer = _read(sys.stdin.buffer.read())
    except UnreadableTextError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"it asks for more than {MAX_MEMORY // 2**30} GB of memory: print it to a new PDF"}
    except RecursionError:
        answer = {"error": "a broken PDF: it refers to itself. Print it to a new PDF"}
    sys.stdout.write(json.dumps(answer))


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # a system without such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def _read(content: bytes) -> dict[str, Any]:
    import pdfplumber
    from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect
    from pdfplumber.utils.exceptions import PdfminerException

    try:
        with pdfplumber.open(io.BytesIO(content), unicode_norm="NFC", raise_unicode_errors=False) as pdf:
            if len(pdf.pages) > MAX_PAGES:
                raise UnreadableTextError(f"more than {MAX_PAGES:,} pages: save it in parts")
            pages, pictures = _words(pdf.pages)
            info = {str(name): value for name, value in pdf.metadata.items() if isinstance(value, str)}
    except PdfminerException as error:
        cause = error.args[0] if error.args else error
        if isinstance(cause, PDFPasswordIncorrect | PDFEncryptionError):
            raise UnreadableTextError("encrypted: open it with its password and save it without one") from error
        raise UnreadableTextError(f"a broken PDF ({type(cause).__name__}): print it to a new PDF") from error
    _check_words(pages, pictures)
    layout = read_pages(pages)
    return {"info": info, "title": layout.title, "blocks": [asdict(block) for block in layout.blocks]}


def _words(pages: Any) -> tuple[list[list[Word]], int]:
    """The words of each page, and how many pages hold a picture."""
    found: list[list[Word]] = []
    pictures = count = 0
    for page in pages:
        found.append(list(_words_of(page)))
        pictures += bool(page.images)
        count += len(found[-1])
        if count > MAX_WORDS:
            raise UnreadableTextError(f"more than {MAX_WORDS:,} words: save it in parts")
        page.close()
    return found, pictures


def _words_of(page: Any) -> Iterator[Word]:
    letters = page.chars
    places = {(letter["text"], round(letter["x0"]), round(letter["top"])) for letter in letters}
    if len(places) < _OVERPRINTED * len(letters):  # costs twice as much as all the rest
        page = page.dedupe_chars()
    words = page.extract_words(x_tolerance_ratio=0.15, extra_attrs=["fontname", "size"])
    for word in words:
        text = word["text"].replace("\x00", "").strip()
        if text and word["upright"] and 0 <= word["x0"] <= page.width and 0 <= word["top"] <= page.height:
            yield Word(text, word["x0"], word["x1"], word["top"], word["bottom"], max(word["size"], 0.1), word["fontname"])


def _check_words(pages: list[list[Word]], pictures: int) -> None:
    count = sum(map(len, pages))
    if count < _FEW_WORDS * len(pages) and pictures * 2 > len(pages):
        raise UnreadableTextError("scanned: its pages are pictures of text. Run a text recognition over it, and check what it makes of it")
    unknown = sum(bool(_UNKNOWN_LETTER.search(word.text)) for page in pages for word in page)
    if unknown > 0.2 * count:
        raise UnreadableTextError("its fonts do not say which letters they show: export its text as DOCX")


if __name__ == "__main__":
    _main()
