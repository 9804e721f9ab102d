"""What an author's training does otherwise than its recipe: a few keys, and which recipe it is."""

from pydantic import BaseModel, ConfigDict, Field


class Overrides(BaseModel):
    """What `twin recipe` may change for one author; what is None is as the settings and the recipe say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: str | None = Field(None, min_length=1, description="The recipe: a name in training_configs, or a path.")
    learning_rate: float | None = Field(None, gt=0, le=0.1, description="Step size of the optimizer at its peak.")
    num_epochs: int | float | None = Field(None, gt=0, le=100, description="How often every passage is read.")
    max_steps: int | None = Field(None, ge=0, description="Upper bound of optimizer steps; 0 trains all epochs.")
    lora_r: int | None = Field(None, ge=1, le=512, description="Rank of the adapter: how much it can hold.")
    lora_alpha: int | None = Field(None, ge=1, le=2048, description="Strength of the adapter: it counts alpha / r times.")
    lora_dropout: float | None = Field(None, ge=0, lt=1, description="Share of the adapter's input that is left out at random.")
    sequence_len: int | None = Field(None, ge=64, le=131_072, description="Tokens of a conversation that are read.")
    warmup_ratio: float | None = Field(None, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    seed: int | None = Field(None, ge=0, lt=2**32, description="Where chance begins.")
