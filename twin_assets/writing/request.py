"""What is asked of a twin and what comes back; the API and ``twin write --json`` speak these types."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field, HttpUrl, StringConstraints

Platform = Literal["linkedin", "blog", "medium", "substack"]

MAX_PROMPT = 4000
MIN_WORDS, MAX_WORDS = 20, 800
MAX_LINKS = 3
MAX_FILES = 3
MAX_FILE_BYTES = 10 * 2**20


def _not_too_large(content: bytes) -> bytes:
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"a file may have {MAX_FILE_BYTES // 2**20} MB at most, this one has {len(content) / 2**20:.1f}")
    return content


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

    author: str = Field(min_length=1, max_length=200, description="Whose voice to write in.", examples=["sample"])
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


class Voice(BaseModel):
    """How much a text sounds like the author."""

    model_config = ConfigDict(from_attributes=True)

    score: float = Field(ge=0, le=1, description="Probability that the author wrote it rather than one of the control voices.")
    attributed_to: str = Field(description="The voice that it resembles most.")
    own: bool = Field(description="Whether that is the author.")
    typicality: float = Field(description="Share of the author's own passages that sound less like the author; 0.5 is the median.")
    words: int = Field(description="How many words were looked at; below 40 the score is a guess.")
    similarities: dict[str, float] = Field(description="Cosine similarity to every voice.")
    habits: dict[str, float] = Field(description="Surface habits of the text.")


class Draft(BaseModel):
    """A text in the author's voice, with what it drew on and how it sounds."""

    author: str
    text: str
    citations: list[Citation]
    voice: Voice | None = Field(description="Empty when the author has no voice profile.")
    model_version: str = Field(description="The deployed version that wrote it.")
    tokens: int = Field(description="Tokens generated.")
    seconds: float = Field(description="Time that the model took, waiting included.")
