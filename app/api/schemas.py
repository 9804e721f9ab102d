"""What the REST interface says, beside drafts."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from twin_assets.writing.request import DraftRequest, Name


class DraftBody(DraftRequest):
    """A wish for a draft, whole or streamed."""

    stream: bool = Field(default=False, description="Stream the text as server-sent events; `Accept: text/event-stream` does the same.")


class VoiceBody(BaseModel):
    """A text whose voice is asked for."""

    author: Name = Field(max_length=63, description="Whose voice it is compared with.")
    text: str = Field(max_length=100_000, description="The text; at least 50 words, of which the first 3,000 are looked at.")


class Saved(BaseModel):
    """What was published is kept."""

    id: UUID = Field(description="The same for the same draft: saving it again replaces what was published.")
    changed: bool = Field(description="Whether it differs from the draft; there is nothing to learn from one that does not.")


class Author(BaseModel):
    """An author and the twin that is deployed, if any."""

    name: str
    deployed: bool = Field(description="Whether drafts can be asked for.")
    model_version: str | None = None
    deployed_at: datetime | None = None


class Waiting(BaseModel):
    """A model that passed every check of the gate and waits for a person."""

    author: str
    model_version: str
    figures: dict[str, float] = Field(description="What the evaluation measured.")
    report: str = Field(description="Where the report lies.")


class Decision(BaseModel):
    """What a person says about a model that waits."""

    author: Name = Field(max_length=63)
    model_version: Name = Field(max_length=100, description="The model that is meant: the newest one.")
    approve: bool = Field(description="Whether it may serve.")
    by: Name = Field(min_length=1, max_length=100, pattern=r"\S", description="Who says so; it is noted.")
    reason: str = Field(default="", max_length=1000, pattern=r"^[^\x00]*$", description="Why; it is noted.")


class Decided(BaseModel):
    """What became of it."""

    author: str
    model_version: str
    status: str


class Training(BaseModel):
    """One training of an author's: what it learned from, what it took, how its twin writes."""

    model_version: str
    status: str = Field(description="candidate, accepted, rejected, deployed or retired.")
    base_model: str
    dataset_version: str
    figures: dict[str, float] = Field(description="By what they mean; what is not known is left out.")


class Endpoint(BaseModel):
    """A deployed twin's model server."""

    author: str
    url: str
    model_version: str
    healthy: bool


class Health(BaseModel):
    """Whether drafts can be written."""

    status: Literal["ok", "degraded"]
    database: str = Field(description="`ok`, or what is wrong.")
    endpoints: list[Endpoint]


class Problem(BaseModel):
    """An error, after RFC 9457."""

    type: str = "about:blank"
    title: str = Field(examples=["Nothing deployed"])
    status: int = Field(examples=[409])
    detail: str = Field(description="What happened, to what, and what to do.")
