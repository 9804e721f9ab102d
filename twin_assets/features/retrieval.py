"""Retrieval as drafts, evaluation and the command line get it: the search with the stages that are switched on."""

from collections.abc import Sequence
from functools import cached_property

from twin_assets.cleaning.documents import Document
from twin_assets.features.embedders import active_embedder
from twin_assets.features.external import ExternalPassage, first_of, search_with
from twin_assets.features.queries import QueryModel, known_of, read_query, search_as_read
from twin_assets.features.rerank import TOP, Reranker, rerank, reranker
from twin_assets.features.search import Filters, Options, Passage, search
from twin_assets.models import Embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError


class Retriever:
    """Finds passages of any author.

    Args:
        database: The warehouse.
        settings: Say which stages are on, and with which models.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings

    @property
    def embedder(self) -> Embedder:
        """The model that is searched with; another one from the moment on that a migration has switched."""
        return active_embedder(self.database, self.settings)

    @cached_property
    def _reranker(self) -> Reranker | None:
        return reranker(self.settings.reranker, self.settings)

    @cached_property
    def _query_model(self) -> QueryModel | None:
        settings = self.settings
        return QueryModel(settings.query_url, settings.query_model or None, settings.query_key) if settings.query_url else None

    def find(
        self,
        author: str,
        query: str,
        limit: int,
        filters: Filters = Filters(),
        options: Options = Options(),
        given: Sequence[Document] = (),
    ) -> list[Passage | ExternalPassage]:
        """The passages for a query, best first.

        Args:
            author: Whose writing is searched; no stage can change it.
            query: What to look for.
            limit: How many passages at most.
            filters: What they must be; a stage that reads the query can only narrow them.
            options: How to choose among them.
            given: What was given with the request: searched together with the author's passages, and kept nowhere.

        Raises:
            TwinError: When a model that the settings name cannot be had, or when age or diversity are to count together with a stage that
                ranks anew.
        """
        if (options.diversity or options.half_life_days) and (self.settings.reranker or self.settings.query_url):
            raise TwinError(
                "Age and diversity cannot count while TWIN_RERANKER or TWIN_QUERY_URL is set: those stages rank anew what was chosen by "
                "them. Leave one of the two out."
            )
        embedder = self.embedder
        reads = self._query_model is not None or self.settings.query_rules
        known = known_of(self.database, author) if reads else None
        reading = read_query(query, known, self._query_model, rules=self.settings.query_rules)
        wide = max(limit, TOP) if self._reranker or given else limit
        found = search_as_read(
            lambda words, narrowed: search(self.database, author, embedder, words, wide, narrowed, options), reading, filters, wide
        )
        if given:
            found = search_with(found, given, embedder, query, wide)
        if self._reranker:
            found = rerank(query, found, self._reranker)
        return first_of(found, limit)
