"""The artifact store: files under content-addressed names, in a local folder or in an s3:// bucket."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from upath import UPath

from twin_assets.store.errors import TwinError


def write_whole(target: UPath, data: bytes) -> None:
    """Writes a file that is whole or not there, whenever this process is killed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(target, Path):
        target.write_bytes(data)
        return
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as staging:
        staging.write(data)
    complete = Path(staging.name)
    complete.chmod(0o644)
    complete.replace(target)


class ArtifactStore:
    """Files of the graph: datasets, adapters, profiles, reports.

    Writing the same content twice changes nothing; a name is visible only when its content is complete.

    Args:
        root: A folder, or any URL that fsspec knows (``s3://bucket/prefix``).
    """

    def __init__(self, root: str) -> None:
        self.root = UPath(root)

    def put_bytes(self, author: str, kind: str, name: str, data: bytes) -> str:
        """Stores one file as ``author/kind/<hash>-name``.

        Returns:
            Its URI.
        """
        target = self.root / author / kind / f"{hashlib.sha256(data).hexdigest()[:16]}-{name}"
        if target.exists():
            return str(target)
        write_whole(target, data)
        return str(target)

    def put_directory(self, author: str, kind: str, version: str, directory: Path) -> str:
        """Stores a folder as ``author/kind/version``; the version must name the content.

        Returns:
            Its URI.
        """
        target = self.root / author / kind / version
        if (target / ".complete").exists():
            return str(target)
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            destination = target / file.relative_to(directory).as_posix()
            destination.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(destination, Path):
                shutil.copyfile(file, destination)
            else:
                destination.write_bytes(file.read_bytes())
        (target / ".complete").write_text("")
        return str(target)

    def read_bytes(self, uri: str) -> bytes:
        """The content of one file.

        Raises:
            TwinError: When it is gone.
        """
        try:
            return UPath(uri).read_bytes()
        except FileNotFoundError as error:
            raise TwinError(f"The artifact {uri} is gone. Materialize the asset that makes it again.") from error

    def local(self, uri: str) -> Path:
        """A local path of a file or folder; remote ones are copied to a cache first.

        Raises:
            TwinError: When it is gone.
        """
        source = UPath(uri)
        if not source.exists():
            raise TwinError(f"The artifact {uri} is gone. Materialize the asset that makes it again.")
        if isinstance(source, Path):
            return Path(source)
        cache = Path(tempfile.gettempdir()) / f"twin-artifacts-{os.geteuid()}" / hashlib.sha256(uri.encode()).hexdigest()[:16]
        target = cache / source.name
        if target.exists():
            return target
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=cache)) / source.name
        source.fs.get(source.path, str(staging), recursive=source.is_dir())
        staging.replace(target)
        return target
