from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from twin_assets.cleaning.documents import Document
from twin_assets.models import Embedder, embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database

# The columns that the features read of the mart; dbt makes the real one.
CLEANED = """
create table if not exists cleaning.cleaned_documents (
    document_id uuid, author text, platform text, kind text, title text, url text, published_at timestamptz,
    text_for_voice text, text_for_rag text, voice_words int, rag_words int, content_hash text, boilerplate_lines int,
    language text
);
grant select on cleaning.cleaned_documents to twin_downstream
"""

INSERT = """
insert into cleaning.cleaned_documents
    (document_id, author, platform, kind, title, url, published_at, text_for_voice, text_for_rag, voice_words, rag_words, content_hash,
     boilerplate_lines, language)
values (:id, :author, :platform, :kind, :title, :url, :published_at, :text_for_voice, :text_for_rag, :voice_words, :voice_words,
        :content_hash, 0, :language)
"""

Clean = Callable[[list[Document]], None]


@pytest.fixture
def clean(database: Database) -> Iterator[Clean]:
    """Puts documents where cleaning would, in place of all others."""
    with database.begin() as connection:
        existed = connection.scalar(text("select to_regclass('cleaning.cleaned_documents')")) is not None
        connection.execute(text(CLEANED))

    def put(documents: list[Document]) -> None:
        with database.begin() as connection:
            connection.execute(text("delete from cleaning.cleaned_documents"))
            for document in documents:
                connection.execute(text(INSERT), {name: getattr(document, name) for name in Document.__slots__})

    yield put
    if not existed:
        with database.begin() as connection:
            connection.execute(text("drop table cleaning.cleaned_documents"))


@pytest.fixture(scope="session")
def minilm(settings: Settings) -> Embedder:
    """The real default embedder."""
    return embedder(settings.embedder, settings)
