"""What a trainer on AWS says, read from its place in S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster_aws.pipes import PipesS3MessageReader

from twin_assets.training.place import PIPES, Place

MESSAGE_SECONDS = 5.0


class S3Messages(PipesS3MessageReader):
    """Reads from a folder that is the attempt's own, so that a run which comes back reads everything from the beginning.

    All that is there is read at once: one message file a look, as the base does it, never catches up with a trainer that is far ahead.
    """

    def __init__(self, place: Place, attempt: str) -> None:
        super().__init__(interval=MESSAGE_SECONDS, bucket=place.bucket, client=place.client)
        self.prefix = place.key(f"{PIPES}/{attempt}/messages")

    @contextmanager
    def get_params(self) -> Iterator[dict[str, Any]]:
        """Where the trainer writes."""
        with super().get_params() as params:
            yield {**params, "key_prefix": self.prefix}

    def download_messages(self, cursor: int | None, params: Any) -> tuple[int, str] | None:
        """Everything after the last message that was read."""
        chunks = []
        while chunk := self.download_messages_chunk(self.counter, params):
            self.counter += 1
            chunks.append(chunk)
        return (self.counter, "\n".join(chunks)) if chunks else None
