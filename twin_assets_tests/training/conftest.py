"""S3, logs and secrets of AWS on this machine, and a training that can be sent there."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from twin_assets.settings import Settings
from twin_assets.training import trainer
from twin_assets.training.trainer import Plan, make_plan

BUCKET = "llm-twin-tests"


@pytest.fixture(scope="module")
def moto_server() -> Iterator[str]:
    """The address of a server that answers for AWS."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a trainer says is read at once, and not waited for when it has ended."""
    monkeypatch.setattr("twin_assets.training.s3_messages.MESSAGE_SECONDS", 0)
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 1)


@pytest.fixture
def s3(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket; every process that is started from here finds it."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    return client


@pytest.fixture
def aws_settings(tmp_path: Path) -> Settings:
    """Settings of a training on SageMaker."""
    return Settings(
        home=tmp_path / "home",
        training_launcher="sagemaker",
        training_config="llama-3.1-8b-qlora",
        training_s3=f"s3://{BUCKET}/twins",
        training_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/llm-twin-trainer:1",
        training_role="arn:aws:iam::123456789012:role/trainer",
    )


@pytest.fixture
def plan(aws_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A training of a model on the hub."""
    monkeypatch.setattr(trainer, "FREE_BYTES", 0)
    return make_plan("jane_doe", "dataset-1", aws_settings)


@pytest.fixture
def training_file(tmp_path: Path) -> Path:
    """Conversations."""
    file = tmp_path / "dataset" / "train.jsonl"
    file.parent.mkdir()
    turns = [{"role": "user", "content": "Write."}, {"role": "assistant", "content": "The author's own words."}]
    file.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(8)))
    return file
