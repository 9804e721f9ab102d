"""What is given with one request, a link or a file: read, cut and searched together with the author's passages, and kept nowhere."""

import asyncio
import math
import re
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path, PurePath
from unicodedata import normalize
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx

from twin_assets.cleaning.annotate import language
from twin_assets.cleaning.documents import Document
from twin_assets.features.chunking import MAX_TOKENS, Chunk, chunk_document, embedding_text
from twin_assets.features.lexical import searchable
from twin_assets.features.search import LONGEST_QUERY, RRF, Passage
from twin_assets.ingest import files
from twin_assets.ingest.errors import FetchError, SourceError
from twin_assets.ingest.files import UnreadableTextError, decode_text, printable
from twin_assets.ingest.markdown import FrontMatterError, read_markdown
from twin_assets.ingest.pages import read_page
from twin_assets.ingest.posts import OWN_WORDS, Block
from twin_assets.ingest.sources.documents import Documents
from twin_assets.ingest.sources.page import is_built_by_script
from twin_assets.ingest.sources.pdf import MAX_SECONDS
from twin_assets.ingest.web import Limits, Response, Web
from twin_assets.models import Embedder
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

MAX_BYTES = 10 * 1024 * 1024
"""Of a page or a file."""
MAX_CHARACTERS = 400_000
"""Of its text: a book of 250 pages."""
MAX_CHUNKS = 100
"""So many of all that is given with one request are embedded; where there are more, the words of the query choose."""
PDF_SECONDS = 30
LIMITS = Limits(
    pause=0, page_seconds=20, page_bytes=MAX_BYTES, total_seconds=30, total_bytes=2 * MAX_BYTES, requests=20, tries=2, longest_wait=5
)
"""Somebody waits."""
PLATFORM = "external"

_IPV4_INSIDE = [ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")]
"""IPv6 addresses that lead to the IPv4 address in their last bits (RFC 6052, RFC 8215, RFC 4291)."""

_K1, _B = 1.2, 0.75  # of BM25 (Robertson and Zaragoza 2009, doi:10.1561/1500000019)
_MARKDOWN = (".md", ".mdx", ".markdown")
READABLE = (*_MARKDOWN, ".pdf", ".docx", ".docm", ".txt", ".text", ".rst", ".org", ".html", ".htm")
_SUFFIXES = {
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "text/markdown": ".md",
    "text/plain": ".txt",
}
_MATHEMATICAL = re.compile("[\U0001d400-\U0001d7ff]+")
"""Letters that posts write in bold with; cleaning makes plain ones of them."""


class ExternalError(TwinError):
    """What was given with a request cannot be used; the message says why, and what to do."""


class ExternalPassage(Passage):
    """A passage of what was given with the request: somebody's words, not the author's."""


# -- reading


def read_link(url: str, settings: Settings) -> Document:
    """The text of one web page or file on the web; nothing that it links to, and nothing that a script would have to build.

    Raises:
        ExternalError: When it cannot be read or holds no text, or when it stands in a network that callers of a hosted twin must not see.
    """
    try:
        guard = None if settings.private_links else _PublicOnly()
        with Web(LIMITS, contact=settings.crawl_contact, transport=guard) as web:
            response = web.get(url, keep=False)
    except SourceError as error:
        raise ExternalError(f"The link cannot be used: {error}") from error
    suffix = _suffix(response)
    if suffix not in (".html", ".htm"):
        return replace(read_file(PurePath(urlsplit(url).path).stem + suffix, response.content), id=uuid5(NAMESPACE_URL, url), url=url)
    page = read_page(response.content, response.url)
    if page.challenge:
        raise ExternalError(f"The link cannot be used: {url} answered with {page.challenge!r}. Copy what matters from it into the prompt.")
    if not _says_something(page.blocks) and is_built_by_script(response.content):
        raise ExternalError(f"A script builds {url}, and without it there is no text. Copy what matters from it into the prompt.")
    return _document(url, page.title, page.blocks, page.published_at, url)


def read_file(name: str, content: bytes) -> Document:
    """The text of a PDF, DOCX, Markdown, HTML or text file.

    Args:
        name: What it is called; the suffix says what it is. It is never opened as a path.
        content: Its bytes.

    Raises:
        ExternalError: When it is none of these, too large, or cannot be read.
    """
    name = printable(PurePath(name.replace("\\", "/")).name)
    suffix = PurePath(name).suffix.lower()
    if suffix not in READABLE:
        raise ExternalError(f"{name or 'A file without a name'} is no kind of file that can be read here. Give {', '.join(READABLE)}.")
    if len(content) > MAX_BYTES:
        raise ExternalError(f"{name} is larger than {MAX_BYTES // 2**20} MB. Give the part of it that matters.")
    try:
        if suffix in _MARKDOWN:
            found = read_markdown(decode_text(content), mdx=suffix == ".mdx")
            return _document(name, found.title, found.blocks)
        before = MAX_SECONDS.set(PDF_SECONDS)
        try:
            post = next(Documents(_Given(name, content)).read())
        finally:
            MAX_SECONDS.reset(before)
    except (UnreadableTextError, FrontMatterError) as error:
        raise ExternalError(f"{name} cannot be read: {error}.") from error
    if post.state == "unreadable":
        raise ExternalError(f"{name} cannot be read: {post.reason}.")
    return _document(name, post.title, post.blocks, post.published_at)


def read_path(path: Path) -> Document:
    """The text of a file on this machine. For its owner alone: what a caller of the API sends goes to ``read_file``.

    Raises:
        ExternalError: When there is no such file, or it cannot be read.
    """
    try:
        return read_file(path.name, files.read_file(path))
    except (UnreadableTextError, OSError) as error:
        raise ExternalError(f"{path} cannot be read: {error}.") from error


def markdown(blocks: Sequence[Block]) -> str:
    """Blocks as one text in Markdown, in the way in which cleaning writes the author's own."""
    return "\n\n".join(_markdown(block) for block in blocks if block.type != "embed" and block.text.strip())


def _markdown(block: Block) -> str:
    if block.type == "code":
        longest = max((len(run) for run in re.findall("`{3,}", block.text)), default=2)
        fence = "`" * (longest + 1)
        return f"{fence}{block.language or ''}\n{block.text}\n{fence}"
    text = normalize("NFC", _MATHEMATICAL.sub(lambda found: normalize("NFKC", found[0]), block.text))
    match block.type:
        case "heading":
            return f"## {text}"
        case "quote":
            return "> " + text.replace("\n", "\n> ")
        case _:
            return text


def _document(
    origin: str, title: str | None, blocks: Sequence[Block], published_at: datetime | None = None, url: str | None = None
) -> Document:
    text = markdown(blocks).replace("\x00", "")
    if not text.strip():
        raise ExternalError(f"{origin} holds no text to draw on. Copy what matters from it into the prompt.")
    if len(text) > MAX_CHARACTERS:
        raise ExternalError(f"{origin} has {len(text):,} characters; {MAX_CHARACTERS:,} can be read at once. Give the part that matters.")
    return Document(
        id=uuid5(NAMESPACE_URL, origin),
        author="",
        platform=PLATFORM,
        kind="article",
        title=title,
        url=url,
        published_at=published_at,
        text_for_voice="",
        text_for_rag=text,
        voice_words=0,
        content_hash="",
        language=language([block.text for block in blocks if block.type in OWN_WORDS]),
    )


def _says_something(blocks: Sequence[Block]) -> bool:
    return any(block.type in OWN_WORDS and block.text.strip() for block in blocks)


def _suffix(response: Response) -> str:
    kind = response.content_type.partition(";")[0].strip()
    if "html" in kind or b"<html" in response.content[:4096].lower():
        return ".html"
    named = PurePath(urlsplit(response.url).path).suffix.lower()
    # Servers that do not know Markdown and its like call them plain text, or nothing at all.
    is_vague = kind in ("", "text/plain", "application/octet-stream", "binary/octet-stream")
    suffix = named if is_vague and named in READABLE else _SUFFIXES.get(kind, "")
    if not suffix:
        raise ExternalError(
            f"{response.url} is no text but {kind or 'something binary'}. Give a page, or a PDF, DOCX, Markdown or text file."
        )
    return suffix


class _Given:
    """One file in memory, as the sources read files."""

    def __init__(self, name: str, content: bytes) -> None:
        self.location = name
        self.names = [name]
        self.opened: set[str] = set()
        self.refused: dict[str, str] = {}
        self._content = content

    def read(self, name: str) -> bytes:
        return self._content

    def path(self, name: str) -> None:
        return None


class _PublicOnly(httpx.AsyncBaseTransport):
    """Connects to public addresses alone, and to the very address that was looked at: a name may lead elsewhere the next time."""

    def __init__(self) -> None:
        self._transport = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = await _public_address(host, request.url.port or 443)
        checked = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # with the name as Host
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._transport.handle_async_request(checked)

    async def aclose(self) -> None:
        await self._transport.aclose()


async def _public_address(host: str, port: int) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchError(f"{host} has no address. Check the link.") from error
    addresses = [str(address[0]) for *_, address in found]
    if not addresses or not all(map(_is_public, addresses)):
        raise FetchError(
            f"{host} is not a public web address. On a machine of your own, TWIN_PRIVATE_LINKS=true lets links lead there.", "refused"
        )
    return addresses[0]


def _is_public(address: str) -> bool:
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.is_site_local:
            return False
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if any(found in network for network in _IPV4_INSIDE):
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        found = inner or found
    return found.is_global and not found.is_multicast


# -- searching


def search_with(
    own: Sequence[Passage], documents: Sequence[Document], embedder: Embedder, query: str, limit: int
) -> list[Passage | ExternalPassage]:
    """The best of the author's own passages and of what was given, in one ranking: by meaning and by words, fused.

    The two kinds compete on equal terms, but the best passage of each that was given is always there: who gives a link wants it used.

    Args:
        own: What ``search`` found for the query; more than ``limit``, so that there is something to choose from.
        documents: What was given, read.
        embedder: The model that the author's passages were found with.
        query: What to look for.
        limit: How many passages at most.

    Returns:
        Best first. ``score`` and ``lexical`` count within this ranking; what was given comes as ``ExternalPassage``.
    """
    query = query[:LONGEST_QUERY]
    cut = [(document, chunk) for document in documents for chunk in _chunks(document, embedder)]
    if len(cut) > MAX_CHUNKS:
        scores = word_scores(query, [f"{chunk.context} {chunk.text}" for _, chunk in cut])
        best = sorted(range(len(cut)), key=lambda at: (-scores[at], at))[:MAX_CHUNKS]
        cut = [cut[at] for at in sorted(best)]
    if not cut or limit < 1:
        return list(own[: max(limit, 0)])
    query_vector, *vectors = embedder.encode([query, *(embedding_text(chunk.context, chunk.text) for _, chunk in cut)])
    given = [_passage(document, chunk, float(query_vector @ vector)) for (document, chunk), vector in zip(cut, vectors, strict=True)]
    return first_of(_fused([*own, *given], query), limit)


def first_of(ranked: Sequence[Passage], limit: int) -> list[Passage | ExternalPassage]:
    """The first passages of a ranking, the best one of each document that was given among them."""
    given: dict[UUID, int] = {}
    for place, passage in enumerate(ranked):
        if isinstance(passage, ExternalPassage):
            given.setdefault(passage.document_id, place)
    kept = list(given.values())[:limit]
    others = [place for place in range(len(ranked)) if place not in kept][: max(limit - len(kept), 0)]
    return [ranked[place] for place in sorted([*kept, *others])]


def word_scores(query: str, texts: Sequence[str]) -> list[float]:
    """How well each text fits the words of a query, by BM25 among these texts; 0 where none of them occurs."""
    wanted = set(searchable(query).split())
    found = [Counter(searchable(text).split()) for text in texts]
    average = sum(map(Counter.total, found)) / max(len(found), 1) or 1
    spread = Counter(word for words in found for word in wanted & words.keys())
    rarity = {word: math.log(1 + (len(found) - count + 0.5) / (count + 0.5)) for word, count in spread.items()}
    return [
        sum(rarity[word] * words[word] / (words[word] + _K1 * (1 - _B + _B * words.total() / average)) for word in wanted & words.keys())
        for words in found
    ]


def _chunks(document: Document, embedder: Embedder) -> list[Chunk]:
    return chunk_document(document, embedder.count_tokens, min(MAX_TOKENS, embedder.max_tokens))


def _passage(document: Document, chunk: Chunk, similarity: float) -> ExternalPassage:
    return ExternalPassage(
        chunk_id=chunk.id,
        document_id=document.id,
        position=chunk.position,
        title=document.title,
        url=document.url,
        published_at=document.published_at,
        kind=document.kind,
        platform=document.platform,
        headings=chunk.headings,
        starts=chunk.starts,
        ends=chunk.ends,
        text=chunk.text,
        score=0.0,
        similarity=similarity,
        lexical=None,
    )


def _fused(passages: Sequence[Passage], query: str) -> list[Passage | ExternalPassage]:
    words = word_scores(query, [" ".join([passage.title or "", *passage.headings, passage.text]) for passage in passages])
    by_meaning = _places([passage.similarity for passage in passages])
    by_words = _places([score or None for score in words])
    scored = [
        replace(passage, score=meaning + word, lexical=lexical or None)
        for passage, meaning, word, lexical in zip(passages, by_meaning, by_words, words, strict=True)
    ]
    return sorted(scored, key=lambda passage: (-passage.score, passage.chunk_id))


def _places(scores: Sequence[float | None]) -> list[float]:
    """Points of reciprocal rank fusion; none for what has no score."""
    ranked = sorted((at for at, score in enumerate(scores) if score is not None), key=lambda at: (-(scores[at] or 0.0), at))
    points = {at: 1 / (RRF + place) for place, at in enumerate(ranked, 1)}
    return [points.get(at, 0.0) for at in range(len(scores))]
