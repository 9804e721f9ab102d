"""Notes beside a prompt: what a draft would be shown of the author's other documents."""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from uuid import UUID

from twin_assets.features.embedders import active_embedder
from twin_assets.features.embedding import vectors_version
from twin_assets.features.quality import in_step, stale_chunks, uncovered_documents, vector_counts
from twin_assets.features.retrieval import Retriever
from twin_assets.features.search import Filters, Options, Passage
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.training.dataset import Note

Notes = Callable[[Set[UUID], str], Sequence[Note]]
"""What the twin would be shown beside a prompt, best first, from the author's documents without these."""


@contextmanager
def retrieved(database: Database, settings: Settings, author: str) -> Iterator[Notes | None]:
    """Finds notes as drafts get them, in the author's documents; None where the settings ask for none.

    The same documents give the same notes, however often they were embedded: all vectors are compared, and a query is taken as it is,
    for how it is understood may depend on a model and on the day.

    Raises:
        TwinError: When what is searched is not in step with the documents, or changed before the block ended: another embedding model
            took over, or new chunks were written.
    """
    if "rag" not in settings.prompt_weights or not settings.context_passages:
        yield None
        return
    retriever = Retriever(database, settings.model_copy(update={"query_url": "", "query_rules": False}))

    def notes(hidden: Set[UUID], query: str) -> list[Note]:
        found = retriever.find(author, query, settings.context_passages, Filters(exclude=frozenset(hidden)), Options(exact=True))
        return [Note(passage.document_id, passage.text) for passage in found if isinstance(passage, Passage)]

    before = _searched(database, settings, author)
    yield notes
    if _searched(database, settings, author) != before:
        raise TwinError(f"What is searched of {author}'s changed while the dataset was made. Materialize training/instruct_dataset again.")


def _searched(database: Database, settings: Settings, author: str) -> str:
    model = active_embedder(database, settings).name
    found = in_step(uncovered_documents(database, author), stale_chunks(database, author), vector_counts(database, author, model))
    if not found.passed:
        raise TwinError(
            f"The search of {author}'s writing is not in step with the documents, which prompts of kind rag need: {found.description} "
            "Materialize features/chunks and features/embeddings first."
        )
    return vectors_version(database, author, model)
