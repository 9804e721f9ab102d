"""What a training on AWS is sent, and what comes back: the same for every service that runs the container."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twin_assets.models import on_hub, trainable
from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.lineage import LINEAGE
from twin_assets.training.place import CHECKPOINTS, DONE, INPUT, OUTPUT, PIPES, Place
from twin_assets.training.trainer import ADAPTER_FILES, FIRST_ADAPTER, QUIET, Plan, make_room, write_remote_config
from twin_assets.training.trainer_main import PLACE, SECRET

BASE_MODEL = "model"


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
    author = plan.author.replace("_", "-").strip("-")[: 63 - len("twin---999") - len(plan.version)]
    return f"twin-{author.strip('-')}-{plan.version}"


def environment(plan: Plan, place: Place, settings: Settings) -> dict[str, str]:
    """The container's variables. None is a secret: they can be read by whoever may look at the job."""
    found = {**QUIET, PLACE: str(place), "HF_HUB_OFFLINE": "0" if on_hub(plan.base_model) else "1", "WANDB_MODE": "disabled"}
    return {**found, SECRET: settings.training_secret} if settings.training_secret else found


def send(plan: Plan, training_file: Path, place: Place, settings: Settings) -> None:
    """Stores what the container reads: configuration, data, and a base model that is not on the hub; forgets what an earlier attempt said."""
    make_room(plan)
    place.delete(place.names(PIPES))
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


def _config(plan: Plan, training_file: Path) -> Path:
    return write_remote_config(plan, training_file, plan.base_model if on_hub(plan.base_model) else BASE_MODEL)
