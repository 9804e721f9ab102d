"""What is asked of a twin and what comes back; the API and ``twin write --json`` speak these types."""

import unicodedata
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field, HttpUrl, StringConstraints

from twin_assets.store.edits import Edit

Platform = Literal["linkedin", "blog", "medium", "substack"]

MAX_PROMPT = 4000
MIN_WORDS, MAX_WORDS = 20, 800
MAX_LINKS = 3
MAX_FILES = 3
MAX_CITATIONS = 40
MAX_PUBLISHED = 20_000
MAX_FILE_BYTES = 10 * 2**20


def _not_too_large(content: bytes) -> bytes:
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"a file may have {MAX_FILE_BYTES // 2**20} MB at most, this one has {len(content) / 2**20:.1f}")
    return content


def _printable(text: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):  # a space that does not break is none of them
        raise ValueError("a name holds no control characters")
    return text


Name = Annotated[str, AfterValidator(_printable)]


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00]*$")]


class GivenFile(BaseModel):
    """A file whose content the draft may draw on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(max_length=255, description="What it is called; the suffix says what it is.", examples=["report.pdf"])
    content: Annotated[Base64Bytes, AfterValidator(_not_too_large)] = Field(
        description="Its bytes in Base64, at most 10 MB of them: PDF, DOCX, Markdown, HTML or plain text."
    )


class DraftRequest(BaseModel):
    """A wish for a draft."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    author: Name = Field(min_length=1, max_length=200, description="Whose voice to write in.", examples=["sample"])
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT)] = Field(
        description="What the text is about.", examples=["why I stopped estimating software projects"]
    )
    platform: Platform | None = Field(
        default=None, description="Where it will be published; empty writes a plain passage.", examples=["linkedin"]
    )
    words: int | None = Field(default=None, ge=MIN_WORDS, le=MAX_WORDS, description="About how long it should be.", examples=[120])
    links: list[HttpUrl] = Field(
        default_factory=list, max_length=MAX_LINKS, description="Pages whose content is given to the model as untrusted notes."
    )
    files: list[GivenFile] = Field(
        default_factory=list, max_length=MAX_FILES, description="Files whose content is given to the model as untrusted notes."
    )
    seed: int | None = Field(default=None, ge=0, lt=2**31, description="The same seed and model give the same draft.")


class Citation(BaseModel):
    """A passage that stood in the prompt, word for word."""

    document_id: UUID | None = Field(description="The author's document; empty for a linked page.")
    title: str | None
    url: str | None
    published_at: datetime | None
    quote: str = Field(description="Exactly what the model was shown.")


class Pull(BaseModel):
    """A feature that pulls a text away from the author."""

    model_config = ConfigDict(from_attributes=True)

    feature: str = Field(description="A function word, a mark or a short run of them, in words.")
    text: float = Field(description="How often it is in the text, per 1,000 words and marks.")
    author: float = Field(description="How often the author has it.")
    weight: float = Field(description="Share of all that pulls away.")
    sentence: str = Field(description="The same as a sentence.")


class OddSentence(BaseModel):
    """A sentence that sounds unlike the author."""

    model_config = ConfigDict(from_attributes=True)

    sentence: str
    weight: float = Field(description="By how much the log-odds of the author rise without it.")


class Voice(BaseModel):
    """How much a text sounds like the author, and what in it does not."""

    score: float = Field(ge=0, le=1, description="Probability that the author wrote it rather than somebody else, at equal odds.")
    low: float = Field(ge=0, le=1, description="Lower end of its 95 % interval; 0 to 1 where the text is too short to tell.")
    high: float = Field(ge=0, le=1, description="Upper end.")
    attributed_to: str = Field(description="The voice that it resembles most.")
    own: bool = Field(description="Whether that is the author.")
    typicality: float = Field(description="Share of the author's own passages that sound less like the author; 0.5 is the median.")
    inside: bool = Field(description="Whether it lies within the band of the author's own writing.")
    words: int = Field(description="How many words were looked at, at most 3,000.")
    nearest: dict[str, float] = Field(description="The voices that it speaks for most.")
    habits: dict[str, float] = Field(description="Surface habits of the text.")
    pulls: list[Pull] = Field(description="What pulls it away from the author, the strongest first.")
    odd_sentences: list[OddSentence] = Field(description="The sentences that are least like the author.")


class Draft(BaseModel):
    """A text in the author's voice, with what it drew on and how it sounds."""

    author: str
    text: str
    citations: list[Citation]
    voice: Voice | None = Field(description="Empty when the voice could not be measured.")
    voice_missing: str | None = Field(default=None, description="Why not: no profile, or not enough evidence, with what is needed.")
    model_version: str = Field(description="The deployed version that wrote it.")
    tokens: int = Field(description="Tokens generated.")
    seconds: float = Field(description="Time that the model took, waiting included.")


class Published(BaseModel):
    """What became of a draft: the text that its author published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    author: Name = Field(min_length=1, max_length=63, description="Whose twin wrote the draft.")
    prompt: _Text = Field(max_length=MAX_PROMPT, description="As the draft was asked for.")
    platform: Platform | None = Field(default=None, description="As the draft was asked for.")
    words: int | None = Field(default=None, ge=MIN_WORDS, le=MAX_WORDS, description="As the draft was asked for.")
    citations: list[Citation] = Field(default_factory=list, max_length=MAX_CITATIONS, description="Those that came with the draft.")
    draft: _Text = Field(max_length=MAX_PUBLISHED, description="The draft's text as it came.")
    model_version: Name = Field(max_length=100, description="The version that wrote it.")
    published: _Text = Field(max_length=MAX_PUBLISHED, description="What was published.")

    @property
    def edit(self) -> Edit:
        """As it is kept."""
        notes = tuple((citation.document_id, citation.quote) for citation in self.citations)
        return Edit(self.author, self.prompt, self.platform, self.words, notes, self.draft, self.published, self.model_version)
