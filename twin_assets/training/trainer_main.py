"""The trainer's process: axolotl under Dagster Pipes. Runs in the trainer's environment, as ``python -m``.

On a laptop it is given a configuration and a log; in a container it finds everything in S3, under ``TWIN_TRAINING_PLACE``. Where there are several
GPUs, it starts itself once for each.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    PipesContext,
    PipesParams,
    PipesS3ContextLoader,
    PipesS3MessageWriter,
    PipesS3MessageWriterChannel,
    open_dagster_pipes,
)

from twin_assets.training.checkpoints import FILES, STATE, checkpoints, in_order, whole
from twin_assets.training.place import CHECKPOINTS, DONE, INPUT, OUTPUT, Place

MODULE = "twin_assets.training.trainer_main"
PLACE = "TWIN_TRAINING_PLACE"
SECRET = "TWIN_TRAINING_SECRET"  # noqa: S105  # the name of a variable
SECONDS = "TWIN_TRAINING_SECONDS"
FOLDER = "TWIN_TRAINING_FOLDER"
SECRETS = ("HF_TOKEN", "WANDB_API_KEY")
CONFIG = "axolotl.yaml"
ADAPTER_SUFFIXES = frozenset({".safetensors", ".json", ".jinja"})
WORK = "/opt/ml/twin"
FAILURE = "output/failure"
"""Beside the folder of the work: what is written here, SageMaker shows as the reason of a failure."""
POLL_SECONDS = 0.5
UPLOAD_SECONDS = 5.0


def main(arguments: list[str]) -> None:
    """Trains: one of several processes, in a container, or beside the run that waits for it."""
    if "LOCAL_RANK" in os.environ:
        _one_of_several(Path(arguments[0]))
    elif PLACE in os.environ:
        remote(Path(os.environ.get(FOLDER, WORK)))
    else:
        local(Path(arguments[0]), Path(arguments[1]))


def local(config: Path, log: Path) -> None:
    """Trains with an axolotl configuration; everything that axolotl prints goes to the log file.

    Raises:
        BlockingIOError: When another trainer is at work in the configuration's folder.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    with alone_in(config.parent):
        _on_every_gpu(config)


def remote(work: Path) -> None:
    """Trains what lies in S3, from its last whole checkpoint on; checkpoints and adapter go back there, and all output to the container's log.

    Args:
        work: A folder with room for the base model.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))  # by default the first process of a container does not hear it
    if SECONDS in os.environ:
        limit = threading.Timer(float(os.environ[SECONDS]), _end_at_limit)
        limit.daemon = True
        limit.start()
    try:
        place = Place(os.environ[PLACE], _client("s3"))
        _secrets()
        work.mkdir(parents=True, exist_ok=True)
        os.chdir(work)
        os.environ.setdefault("HF_HOME", str(work / "hub"))
        place.download_folder(INPUT, work)
        output = work / OUTPUT
        fetch_checkpoints(place, output)
        _on_every_gpu(work / CONFIG)
        deliver(output, place)
    except BaseException as error:
        _say_why(f"{type(error).__name__}: {error}")
        raise


def fetch_checkpoints(place: Place, output: Path) -> None:
    """Fetches the checkpoints that can be resumed from."""
    place.download_folder(CHECKPOINTS, output)
    for broken in [folder for folder in checkpoints(output) if not whole(folder)]:
        shutil.rmtree(broken)
    in_order(output)


def _end_at_limit() -> None:
    """Nobody may be watching, and every hour is paid."""
    why = f"The training was ended after {float(os.environ[SECONDS]) / 3600:.2f} h, which is all that it may take"
    sys.stderr.write(f"{why}\n")
    _say_why(why)
    os._exit(1)


def _say_why(why: str) -> None:
    """The first one to fail says it: of a process that failed, the one that started it knows nothing but its exit code."""
    failure = Path(os.environ.get(FOLDER, WORK)).parent / FAILURE
    if PLACE in os.environ and failure.parent.is_dir() and not failure.exists():
        failure.write_text(why[:1000])


def deliver(output: Path, place: Place) -> None:
    """Stores the adapter, and when it is all there the hashes of its files."""
    files = sorted(path for path in output.iterdir() if path.is_file() and path.suffix in ADAPTER_SUFFIXES)
    for file in files:
        place.upload(file, f"{OUTPUT}/{file.name}")
    found = checkpoints(output)
    if found:  # the history of the losses
        place.upload(found[-1] / STATE, f"{OUTPUT}/{found[-1].name}/{STATE}")
    place.write(DONE, json.dumps({file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}).encode())


def keep(checkpoint: Path, place: Place) -> None:
    """Stores a checkpoint, the list of its files last, and then removes those from S3 that are no longer here."""
    place.upload_folder(checkpoint, f"{CHECKPOINTS}/{checkpoint.name}", last=FILES)
    here = {folder.name for folder in checkpoints(checkpoint.parent)}
    place.delete([name for name in place.names(CHECKPOINTS) if name.split("/")[1] not in here])


def kept_in_s3() -> Place | None:
    """Where checkpoints go: nowhere on a laptop."""
    return Place(os.environ[PLACE], _client("s3")) if PLACE in os.environ else None


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


class _Writer(PipesS3MessageWriter):
    """Goes on where the process before it stopped: a reader counts on, and what is written again under a number it knows is never read."""

    def make_channel(self, params: PipesParams) -> PipesS3MessageWriterChannel:
        """The channel, with the number of its first message."""
        channel = super().make_channel(params)
        under = str(params["key_prefix"])
        written = Place(f"s3://{params['bucket']}/{under}", self._client).names("")
        channel._counter = 1 + max((int(Path(name).stem) for name in written if Path(name).stem.isdigit()), default=0)
        return channel


def _pipes() -> PipesContext:
    if PLACE not in os.environ:
        return open_dagster_pipes()
    client = _client("s3")
    return open_dagster_pipes(context_loader=PipesS3ContextLoader(client), message_writer=_Writer(client, interval=UPLOAD_SECONDS))


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(retries={"mode": "standard", "total_max_attempts": 10}))


def _secrets() -> None:
    """Keys come from AWS's store of secrets: the variables of a training job can be read by everyone who may look at it."""
    if name := os.environ.get(SECRET):
        found = json.loads(_client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
        os.environ.update({key: str(found[key]) for key in SECRETS if key in found})
        if "WANDB_API_KEY" in found:
            os.environ["WANDB_MODE"] = "online"


def _on_every_gpu(config: Path) -> None:
    import torch

    found, given = torch.cuda.device_count(), [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    if found < len(given):
        raise RuntimeError(
            f"torch in {sys.prefix} sees {found} of {len(given)} GPUs: install the build of torch {torch.__version__.split('+')[0]} for the "
            "CUDA of this machine's driver there (https://pytorch.org)."
        )
    if found < 2:
        _axolotl(config)
        return
    from torch.distributed.run import main as torchrun

    torchrun(["--standalone", f"--nproc-per-node={found}", "-m", MODULE, str(config)])


def _one_of_several(config: Path) -> None:
    """The first process speaks with the run, for all; each ends with the one that started it, in whose session it is not."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if os.environ["LOCAL_RANK"] != "0":
        for name in (DAGSTER_PIPES_CONTEXT_ENV_VAR, DAGSTER_PIPES_MESSAGES_ENV_VAR):
            os.environ.pop(name, None)
    try:
        _axolotl(config)
    except BaseException as error:
        _say_why(f"{type(error).__name__}: {error}")
        raise


def _axolotl(config: Path) -> None:
    with _pipes():
        from axolotl.cli.train import do_cli  # pyright: ignore[reportMissingImports]

        do_cli(str(config))


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it is gone: nobody would take the result."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
