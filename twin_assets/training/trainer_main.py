"""The trainer's process: axolotl under Dagster Pipes. Runs in the trainer's environment, as ``python -m``."""

import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster_pipes import open_dagster_pipes

POLL_SECONDS = 0.5


def main(config: Path, log: Path) -> None:
    """Trains with an axolotl configuration; everything that axolotl prints goes to the log file.

    Raises:
        BlockingIOError: When another trainer is at work in the configuration's folder.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with open_dagster_pipes():
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, sys.stdout.fileno())
        os.dup2(output, sys.stderr.fileno())
        with alone_in(config.parent):
            from axolotl.cli.train import do_cli  # pyright: ignore[reportMissingImports]

            do_cli(str(config))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds the folder of a training; a process that dies lets go of it.

    Raises:
        BlockingIOError: When another process holds it.
    """
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock, which forked helpers would inherit and hold on to
        except (BlockingIOError, PermissionError) as error:
            lock.seek(0)
            pid = lock.read()
            raise BlockingIOError(
                f"Process {pid} is training in {folder}. Wait until it has ended, or end it with `kill {pid}`; "
                "then run again: the training goes on from its last checkpoint."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it is gone: nobody would take the result."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
