"""What an author's models must show before they serve: one block of settings per author."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Policy = Literal["auto", "manual"]


class Thresholds(BaseModel):
    """The thresholds of one author, of the gate and of new datasets; every author has these until `twin gate` changes some."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Policy = Field("auto", description="Whether what passes serves at once (auto) or waits for a person (manual).")
    voice_gain: float = Field(
        0.0,
        ge=-1,
        le=1,
        description="The twin's attribution over base + few-shot + retrieval: the lower end of the interval is above this.",
    )
    verbatim_words: int = Field(25, ge=5, description="A run of as many words from the training texts, outside quotes, is a recitation.")
    slop_over_author: float = Field(2.0, ge=0, description="Marks of machine prose per 1,000 words that the twin may have over the author.")
    content_margin: float = Field(
        0.05, ge=0, le=1, description="How much further from the real passage the twin may be than the base model, in cosine similarity."
    )
    deployed_margin: float = Field(
        0.05, ge=0, le=1, description="How much less of its texts may sound like the author than the served twin's."
    )
    dataset_words: int = Field(
        0, ge=0, description="New words of own prose from which a new dataset is published; 0 publishes each change."
    )
    dataset_days: float = Field(0.0, ge=0, description="Days after which fewer new words are published as well; 0 waits for the words.")
