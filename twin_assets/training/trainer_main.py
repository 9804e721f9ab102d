"""The trainer's process: axolotl under Dagster Pipes. Runs in the trainer's environment, as ``python -m``."""

import os
import sys
from pathlib import Path

from dagster_pipes import open_dagster_pipes


def main(config: Path, log: Path) -> None:
    """Trains with an axolotl configuration; everything that axolotl prints goes to the log file."""
    with open_dagster_pipes():
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, sys.stdout.fileno())
        os.dup2(output, sys.stderr.fileno())
        from axolotl.cli.train import do_cli  # pyright: ignore[reportMissingImports]

        do_cli(str(config))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
