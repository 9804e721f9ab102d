"""In place of torchrun: one process after the other, the first one last."""

import os
import re
import subprocess
import sys


def main(arguments: list[str]) -> None:
    processes = int(re.search(r"--nproc-per-node=(\d+)", " ".join(arguments)).group(1))
    for rank in reversed(range(processes)):
        command = [sys.executable, *arguments[arguments.index("-m") :]]
        subprocess.run(command, env={**os.environ, "LOCAL_RANK": str(rank)}, check=True)
