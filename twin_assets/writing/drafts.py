"""From a request to a draft: retrieve, prompt, generate, cite, score."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import structlog

from twin_assets.features.external import ExternalPassage, read_file, read_link
from twin_assets.features.retrieval import Retriever
from twin_assets.features.search import Passage
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.edits import Edit, save_edit
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Deployment, Registry
from twin_assets.voice.evidence import NotEnough
from twin_assets.voice.profile import KIND as VOICE_PROFILE
from twin_assets.voice.profile import VoiceProfile
from twin_assets.voice.quality import instrument_knows_people_apart
from twin_assets.writing.generate import Completion, Generator
from twin_assets.writing.prompts import Brief, excerpt, messages
from twin_assets.writing.request import Citation, Draft, DraftRequest, Published, Voice
from twin_assets.writing.voice import judge

log = structlog.get_logger(__name__)


class UnknownAuthorError(TwinError):
    """Nobody of this name is registered."""


class NothingDeployedError(TwinError):
    """The author has no deployed twin yet."""


class NotMeasurableError(TwinError):
    """The voice of a text cannot be measured."""


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
            ExternalError: When a linked page or a file cannot be read.
            EndpointDownError: When the model does not answer.
            PromptTooLongError: When the model cannot read that much.
        """
        deployment = self.deployment(request.author)
        own, linked = self._retrieve(request)
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
            self._retriever.embedder.encode(["warm"])
        for deployment in self.registry.deployments():
            self._profile(deployment.author)

    @cached_property
    def _retriever(self) -> Retriever:
        return Retriever(self.database, self.settings)

    def _retrieve(self, request: DraftRequest) -> tuple[list[Citation], list[Citation]]:
        """What goes into the prompt: of the author's own writing, and of what was given with the request."""
        given = [read_link(str(link), self.settings) for link in request.links]
        given += [read_file(file.name, file.content) for file in request.files]
        limit = self.settings.context_passages + len(given)
        passages = self._retriever.find(request.author, request.prompt, limit, given=given) if limit else []
        own = [_citation(passage) for passage in passages if not isinstance(passage, ExternalPassage)]
        return own[: self.settings.context_passages], [_citation(passage) for passage in passages if isinstance(passage, ExternalPassage)]

    def _draft(self, author: str, deployment: Deployment, completion: Completion, citations: Sequence[Citation]) -> Draft:
        voice = self._judged(author, completion.text)
        return Draft(
            author=author,
            text=completion.text,
            citations=[citation for citation in citations if citation.quote],
            voice=voice if isinstance(voice, Voice) else None,
            voice_missing=None if isinstance(voice, Voice) else voice,
            model_version=deployment.model_version,
            tokens=completion.tokens,
            seconds=round(completion.seconds, 3),
        )

    def publish(self, published: Published) -> Edit:
        """Keeps what became of a draft, to learn from what its author changed.

        Raises:
            UnknownAuthorError: When nobody of this name is registered.
        """
        if published.author not in (known := self.registry.authors()):
            raise UnknownAuthorError(f"No author {published.author!r}. Known: {', '.join(known) or 'none'}.")
        save_edit(self.database, published.edit)
        return published.edit

    def voice(self, author: str, text: str) -> Voice:
        """How much a text sounds like an author.

        Raises:
            UnknownAuthorError: When nobody of this name is registered.
            NotMeasurableError: When the author has no profile yet, or the text says too little.
        """
        if author not in (known := self.registry.authors()):
            raise UnknownAuthorError(f"No author {author!r}. Known: {', '.join(known) or 'none'}.")
        judged = self._judged(author, text)
        if isinstance(judged, str):
            raise NotMeasurableError(judged)
        return judged

    def _judged(self, author: str, text: str) -> Voice | str:
        try:
            profile = self._profile(author)
        except TwinError as error:  # its file is gone, or of an older format: the draft is whole all the same
            return str(error)
        if profile is None:
            return f"{author} has no voice profile yet. Run: twin run {author} --to voice_profile"
        trusted, why = instrument_knows_people_apart(author, profile.figures)
        if not trusted:
            return why
        judged = judge(profile, text)
        return judged.reason if isinstance(judged, NotEnough) else judged

    def _profile(self, author: str) -> VoiceProfile | None:
        artifact = self.registry.latest_artifact(author, VOICE_PROFILE)
        if artifact is None:
            return None
        if artifact.version not in self._profiles:
            self._profiles[artifact.version] = VoiceProfile.from_bytes(self.artifacts.read_bytes(artifact.uri))
        return self._profiles[artifact.version]


def _citation(passage: Passage) -> Citation:
    own = not isinstance(passage, ExternalPassage)
    return Citation(
        document_id=passage.document_id if own else None,
        title=passage.title,
        url=passage.url,
        published_at=passage.published_at,
        quote=excerpt(passage.text),
    )
