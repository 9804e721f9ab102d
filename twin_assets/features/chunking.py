"""Splits a cleaned document into pieces small enough to embed, along its own structure."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid5

from twin_assets.cleaning.documents import Document

CHUNKER = "v1"
MAX_TOKENS = 256
SPECIAL_TOKENS = 2  # around every text; the embedder's count leaves them out
TITLE_CHARACTERS = 120
MARKDOWN_KINDS = frozenset({"article", "code"})


@dataclass(frozen=True, slots=True)
class Chunk:
    """A verbatim piece of a document's text for retrieval."""

    id: UUID
    document_id: UUID
    position: int
    text: str
    words: int
    content_hash: str


def embedding_text(title: str | None, text: str) -> str:
    """What the embedder reads: a piece alone seldom says what it is about, its title does."""
    return f"{title[:TITLE_CHARACTERS]}\n\n{text}" if title else text


def chunk_document(document: Document, count_tokens: Callable[[str], int], max_tokens: int = MAX_TOKENS) -> list[Chunk]:
    """Splits one document.

    A short post stays whole. Articles are split at headings, paragraphs and sentences, in that order of preference, and a
    code block is broken only when it alone is too long. Nothing but white space between pieces is lost.

    Args:
        document: A cleaned document.
        count_tokens: The embedder's own count.
        max_tokens: What the embedder reads of one text, title included.
    """
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    room = max_tokens - SPECIAL_TOKENS
    capacity = max(room - count_tokens(embedding_text(document.title, "")), room // 2)
    text = document.text_for_rag.strip()
    if count_tokens(text) <= capacity:
        pieces = [text] if text else []
    else:
        splitter = MarkdownSplitter if document.kind in MARKDOWN_KINDS else TextSplitter
        pieces = splitter.from_callback(count_tokens, capacity).chunks(text)
    return [_chunk(document, position, piece) for position, piece in enumerate(pieces)]


def _chunk(document: Document, position: int, text: str) -> Chunk:
    content_hash = hashlib.sha256(embedding_text(document.title, text).encode()).hexdigest()
    return Chunk(
        id=uuid5(document.id, f"{CHUNKER}/{position}/{content_hash}"),
        document_id=document.id,
        position=position,
        text=text,
        words=len(text.split()),
        content_hash=content_hash,
    )
