"""Made-up documents."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from twin_assets.cleaning.documents import Document


def document(text: str, kind: str = "article", title: str | None = "On pickles", key: UUID | None = None, author: str = "ada") -> Document:
    return Document(
        id=key or uuid4(),
        author=author,
        platform="blog",
        kind=kind,
        title=title,
        url="https://example.org/pickles",
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
        text_for_voice=text,
        text_for_rag=text,
        voice_words=len(text.split()),
        content_hash="",
    )
