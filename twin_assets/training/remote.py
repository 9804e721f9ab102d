"""What a training on AWS is sent, and what comes back: the same for every service that runs the container."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twin_assets.models import on_hub, trainable
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.budget import Bill
from twin_assets.training.lineage import LINEAGE
from twin_assets.training.place import CHECKPOINTS, DONE, INPUT, OUTPUT, PIPES, Place
from twin_assets.training.trainer import ADAPTER_FILES, FIRST_ADAPTER, QUIET, Plan, make_room, write_remote_config
from twin_assets.training.trainer_main import PLACE, SECONDS, SECRET

BASE_MODEL = "model"
_VERSION = re.compile(r"[0-9a-f]{16}")
"""Of a plan: beside trainings, a prefix may hold other things."""


def place_of(plan: Plan, settings: Settings, s3: Any) -> Place:
    """Where a training rests in S3: the same for the same plan.

    Raises:
        TwinError: When no setting says where.
    """
    root = settings.training_s3 or (f"{settings.artifacts_url.rstrip('/')}/trainings" if settings.artifacts_url.startswith("s3://") else "")
    if not root.startswith("s3://"):
        raise TwinError("A training on AWS needs a place in S3: set TWIN_TRAINING_S3=s3://bucket/prefix.")
    return Place(f"{root.rstrip('/')}/{plan.author}/{plan.version}", s3)


def job_name(plan: Plan) -> str:
    """The name of a plan's job: of the author, and of the version, which is a hash of dataset, base model and recipe.

    At most 63 letters, digits and hyphens, which is what SageMaker takes; with room for the number of an attempt.
    """
    return _job_name(plan.author, plan.version)


def allowed_seconds(bill: Bill, settings: Settings) -> int:
    """How long the next attempt may take: as long as the settings say, and until the cap is used up."""
    return math.floor(min(settings.training_max_hours * 3600, bill.left))


def environment(plan: Plan, place: Place, settings: Settings, seconds: int) -> dict[str, str]:
    """The container's variables. None is a secret: they can be read by whoever may look at the job.

    Args:
        plan: The training.
        place: Where everything lies in S3.
        settings: For the name of the secret.
        seconds: After so many the container ends itself, though nobody watches it.
    """
    found = {
        **QUIET,
        PLACE: str(place),
        SECONDS: str(seconds),
        "AWS_DEFAULT_REGION": place.client.meta.region_name,  # a container on ECS's own machines is not told
        "HF_HUB_OFFLINE": "0" if on_hub(plan.base_model) else "1",
        "WANDB_MODE": "disabled",
    }
    return {**found, SECRET: settings.training_secret} if settings.training_secret else found


def send(plan: Plan, training_file: Path, place: Place, settings: Settings) -> None:
    """Stores what the container reads: configuration, data, and a base model that is not on the hub. Deletes nothing: another run may just do so."""
    make_room(plan)
    if not on_hub(plan.base_model):
        place.upload_folder(trainable(plan.base_model, settings), f"{INPUT}/{BASE_MODEL}")
    if plan.begins_with:
        for name in ADAPTER_FILES:
            place.upload(plan.begins_with / name, f"{INPUT}/{FIRST_ADAPTER}/{name}")
    for data in sorted(training_file.parent.glob("*.jsonl")):
        place.upload(data, f"{INPUT}/{data.name}")
    config = _config(plan, training_file)
    for file in (config, config.with_name(LINEAGE)):
        place.upload(file, f"{INPUT}/{file.name}")


def withdraw(place: Place) -> None:
    """Takes the author's texts out of S3 when no job reads them any more; checkpoints stay, for the next attempt goes on from them."""
    place.delete([*(name for name in place.names(INPUT) if name.endswith(".jsonl")), *place.names(PIPES)])


def withdraw_others(plan: Plan, place: Place, busy: Callable[[str], bool]) -> None:
    """Empties the places of the author's other trainings, which nobody may come back to; an adapter that was delivered stays.

    Args:
        plan: The training whose place is kept.
        place: Its place.
        busy: Whether something runs under the name of a job.
    """
    author = Place(str(place).rpartition("/")[0], place.client)
    for version in sorted({name.split("/")[0] for name in author.names("")} - {plan.version}):
        if not _VERSION.fullmatch(version) or busy(_job_name(plan.author, version)):
            continue
        other = Place(f"{author}/{version}", place.client)
        folders = (INPUT, CHECKPOINTS, PIPES) if delivered(other) else (INPUT, CHECKPOINTS, PIPES, OUTPUT)
        other.delete([name for folder in folders for name in other.names(folder)])


def delivered(place: Place) -> bool:
    """Whether the adapter is there to its last byte."""
    return place.read(DONE) is not None


def fetch(plan: Plan, training_file: Path, place: Place) -> None:
    """Brings the adapter here, with the configuration that it was trained with, and leaves nothing of the author's words in S3.

    Raises:
        TwinError: When the trainer did not say that it was done, or a file is not what it wrote; nothing is deleted then.
    """
    done = place.read(DONE)
    if done is None:
        raise TwinError(
            f"The training ended without {place}/{DONE}, so its adapter is not there. Run again: it goes on from its last checkpoint."
        )
    make_room(plan)
    _config(plan, training_file)  # the machine that sent it may have been another one
    hashes: Mapping[str, str] = json.loads(done)
    place.download_folder(OUTPUT, plan.adapter)
    for name, expected in hashes.items():
        file = plan.adapter / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            raise TwinError(
                f"{place}/{OUTPUT}/{name} is not what the trainer wrote. Remove {place}/{DONE} and run again: it is trained again."
            )
    place.delete([*place.names(INPUT), *place.names(CHECKPOINTS), *place.names(PIPES)])


def _job_name(author: str, version: str) -> str:
    author = author.replace("_", "-").strip("-")[: 63 - len("twin---999") - len(version)]
    return f"twin-{author.strip('-')}-{version}"


def _config(plan: Plan, training_file: Path) -> Path:
    return write_remote_config(plan, training_file, plan.base_model if on_hub(plan.base_model) else BASE_MODEL)
