"""Where a training on AWS rests: a prefix in S3 with what it reads, its checkpoints, what it said, and its adapter.

Both sides use it: the run that launches, and the trainer in its container, which has none of this platform's packages.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

INPUT, CHECKPOINTS, OUTPUT, PIPES = "input", "checkpoints", "output", "pipes"
DONE = "done.json"
"""Written when the adapter is there to its last byte: the hash of each of its files."""


class Place:
    """A prefix in a bucket.

    Args:
        url: ``s3://bucket/prefix``.
        client: An S3 client of boto3.

    Raises:
        ValueError: When the address is none of S3.
    """

    def __init__(self, url: str, client: Any) -> None:
        scheme, _, rest = url.partition("://")
        self.bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not self.bucket:
            raise ValueError(f"{url!r} is not an address such as s3://bucket/prefix")
        self.prefix = prefix.strip("/")
        self.client = client

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def key(self, name: str) -> str:
        """The key of a name under this prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def names(self, under: str) -> list[str]:
        """What lies under a folder, from this prefix on."""
        folder = self.key(f"{under}/" if under else "")
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=folder)
        start = len(self.key(""))
        return sorted(found["Key"][start:] for page in pages for found in page.get("Contents", []))

    def upload(self, file: Path, name: str) -> None:
        """Stores a file, in parts where it is large."""
        self.client.upload_file(str(file), self.bucket, self.key(name))

    def upload_folder(self, folder: Path, under: str, last: str = "") -> None:
        """Stores a folder's files; the one called ``last`` when all others are there."""
        files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: (path.name == last, path))
        for file in files:
            self.upload(file, f"{under}/{file.relative_to(folder).as_posix()}")

    def download_folder(self, under: str, folder: Path) -> list[Path]:
        """Fetches what lies under a folder.

        Returns:
            The files.

        Raises:
            ValueError: When a name would lead out of the folder.
        """
        files = []
        for name in self.names(under):
            inside = PurePosixPath(name).relative_to(under)
            if ".." in inside.parts or name.endswith("/"):
                raise ValueError(f"{self}/{name} is no name of a file in {under}")
            file = folder / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(self.bucket, self.key(name), str(file))
            files.append(file)
        return files

    def write(self, name: str, content: bytes) -> None:
        """Stores a small object."""
        self.client.put_object(Bucket=self.bucket, Key=self.key(name), Body=content)

    def read(self, name: str) -> bytes | None:
        """A small object; None where there is none."""
        try:
            return self.client.get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def delete(self, names: Sequence[str]) -> None:
        """Removes objects."""
        for name in names:
            self.client.delete_object(Bucket=self.bucket, Key=self.key(name))
