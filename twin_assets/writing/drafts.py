"""From a request to a draft: retrieve, prompt, generate, cite, score."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from functools import cached_property
from urllib.parse import urlparse

import structlog

from twin_assets.features.search import search
from twin_assets.models import Embedder, embedder
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Deployment, Registry
from twin_assets.voice.profile import KIND as VOICE_PROFILE
from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.score import score
from twin_assets.writing.generate import Completion, Generator
from twin_assets.writing.prompts import Brief, excerpt, messages
from twin_assets.writing.request import Citation, Draft, DraftRequest, Voice

log = structlog.get_logger(__name__)


class UnknownAuthorError(TwinError):
    """Nobody of this name is registered."""


class NothingDeployedError(TwinError):
    """The author has no deployed twin yet."""


class LinkRefusedError(TwinError):
    """A linked page may not, or cannot, be read."""


class Writer:
    """Writes drafts in the voice of any deployed author.

    Args:
        database: The warehouse.
        registry: Says what is deployed.
        artifacts: Holds the voice profiles.
        settings: For retrieval and sampling.
    """

    def __init__(self, database: Database, registry: Registry, artifacts: ArtifactStore, settings: Settings) -> None:
        self.database = database
        self.registry = registry
        self.artifacts = artifacts
        self.settings = settings
        self._profiles: dict[str, VoiceProfile] = {}

    def write(self, request: DraftRequest) -> Draft:
        """A finished draft.

        Raises:
            TwinError: See ``stream``.
        """
        *_, draft = self.stream(request)
        assert isinstance(draft, Draft)
        return draft

    def stream(self, request: DraftRequest) -> Iterator[str | Draft]:
        """The text piece by piece, then the whole draft, whose text counts where the two differ.

        Raises:
            UnknownAuthorError: When nobody of this name is registered.
            NothingDeployedError: When the author's twin was not deployed yet.
            LinkRefusedError: When a linked page cannot be read.
            EndpointDownError: When the model does not answer.
            PromptTooLongError: When the model cannot read that much.
        """
        deployment = self.deployment(request.author)
        linked = [read_link(str(link), self.settings) for link in request.links]
        own = self._retrieve(request)
        brief = Brief(request.prompt, request.platform, request.words)
        conversation = messages(brief, [citation.quote for citation in own], linked=[citation.quote for citation in linked])
        generator = Generator(deployment.url, self.settings, deployment.engine, model=deployment.model_version)
        completion = yield from generator.stream(conversation, request.words, seed=request.seed)
        if not completion.text:
            raise TwinError(f"The twin of {request.author} answered with nothing. Try again, or say more in the prompt.")
        yield self._draft(request.author, deployment, completion, [*own, *linked])

    def deployment(self, author: str) -> Deployment:
        """What serves an author.

        Raises:
            UnknownAuthorError: When nobody of this name is registered.
            NothingDeployedError: When the author's twin was not deployed yet.
        """
        if found := self.registry.deployment(author):
            return found
        known = self.registry.authors()
        if author not in known:
            raise UnknownAuthorError(
                f"No author {author!r}. Known: {', '.join(known) or 'none'}. Add one with `twin add NAME --source PATH`."
            )
        raise NothingDeployedError(f"The twin of {author} is not deployed yet. Train and deploy it with `twin run {author}`.")

    def warm(self) -> None:
        """Loads what the first draft would wait for."""
        if self.settings.context_passages:
            self._embedder.encode(["warm"])
        for deployment in self.registry.deployments():
            self._profile(deployment.author)

    @cached_property
    def _embedder(self) -> Embedder:
        return embedder(self.settings.embedder, self.settings)

    def _retrieve(self, request: DraftRequest) -> list[Citation]:
        if not self.settings.context_passages:
            return []
        passages = search(self.database, request.author, self._embedder, request.prompt, self.settings.context_passages)
        return [
            Citation(document_id=p.document_id, title=p.title, url=p.url, published_at=p.published_at, quote=excerpt(p.text))
            for p in passages
        ]

    def _draft(self, author: str, deployment: Deployment, completion: Completion, citations: Sequence[Citation]) -> Draft:
        profile = self._profile(author)
        return Draft(
            author=author,
            text=completion.text,
            citations=[citation for citation in citations if citation.quote],
            voice=Voice.model_validate(score(profile, completion.text)) if profile else None,
            model_version=deployment.model_version,
            tokens=completion.tokens,
            seconds=round(completion.seconds, 3),
        )

    def _profile(self, author: str) -> VoiceProfile | None:
        artifact = self.registry.latest_artifact(author, VOICE_PROFILE)
        if artifact is None:
            return None
        if artifact.version not in self._profiles:
            self._profiles[artifact.version] = VoiceProfile.from_json(self.artifacts.read_bytes(artifact.uri).decode())
        return self._profiles[artifact.version]


def read_link(url: str, settings: Settings) -> Citation:
    """The beginning of a web page, as a note for the model.

    Raises:
        LinkRefusedError: When the page cannot be read, holds no text, or stands in a network that callers of a hosted twin must not see.
    """
    from twin_assets.ingest.errors import SourceError
    from twin_assets.ingest.pages import read_page
    from twin_assets.ingest.web import Limits, Web

    try:
        limits = Limits(pause=0, tries=2, page_seconds=20, total_seconds=30)  # somebody waits
        with Web(limits, contact=settings.crawl_contact, allow=lambda address: _check_address(address, settings)) as web:
            response = web.get(url)
        article = read_page(response.content, response.url)
    except SourceError as error:
        raise LinkRefusedError(f"The link cannot be used: {error}") from error
    text = " ".join(block.text for block in article.blocks if block.type in {"paragraph", "quote", "list"})
    if article.challenge or not text.strip():
        raise LinkRefusedError(f"{url} holds no text to draw on. Copy what matters from it into the prompt.")
    return Citation(document_id=None, title=article.title, url=url, published_at=article.published_at, quote=excerpt(text))


def _check_address(url: str, settings: Settings) -> None:
    if settings.environment != "aws":  # on one's own machine a local page is as good as any
        return
    host = urlparse(url).hostname or ""
    try:
        addresses = {ipaddress.ip_address(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise LinkRefusedError(f"{url} has no address. Check the link.") from error
    if not all(address.is_global for address in addresses):
        raise LinkRefusedError(f"{url} is not a public web address.")
