"""Trainings on SageMaker: their whole life, with the trainer's real entry point as the container."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from dagster._core.errors import DagsterExecutionInterruptedError

from twin_assets.settings import PROJECT_ROOT, Settings
from twin_assets.store.errors import TwinError
from twin_assets.training.budget import Bill, BudgetError
from twin_assets.training.place import CHECKPOINTS, DONE, INPUT, OUTPUT, PIPES, Place
from twin_assets.training.recipes import FOLDER, read
from twin_assets.training.remote import fetch, job_name, place_of, send
from twin_assets.training.trainer import Plan, finished, go_on, make_plan, mark_finished
from twin_assets.training.trainer_main import CONFIG
from twin_assets_tests.training.aws_fakes import Contract, FakeSageMaker
from twin_assets_tests.training.runs import Run, until


@pytest.fixture
def fake(s3: Any, no_delay: None, tmp_path: Path) -> FakeSageMaker:
    return FakeSageMaker(tmp_path / "jobs")


@pytest.fixture
def run(aws_settings: Settings, plan: Plan, training_file: Path, fake: FakeSageMaker) -> Run:
    return Run(aws_settings, plan, training_file, fake)


@pytest.fixture
def place(plan: Plan, aws_settings: Settings, s3: Any) -> Place:
    return place_of(plan, aws_settings, s3)


@pytest.fixture
def hold(tmp_path: Path, fake: FakeSageMaker) -> Path:
    """While this file is there, trainings wait in the middle."""
    file = tmp_path / "hold"
    file.touch()
    fake.variables["STAND_IN_HOLD"] = str(file)
    return file


def _resumed_from(plan: Plan) -> int:
    return json.loads(next(plan.adapter.glob("checkpoint-*/trainer_state.json")).read_text())["resumed_from"]


def test_a_training_from_launch_to_adapter(run: Run, plan: Plan, fake: FakeSageMaker, place: Place, training_file: Path) -> None:
    fake.before = ["Starting", "LaunchingMLInstances", "Pending", "Downloading"]
    run()
    name = job_name(plan)
    assert fake.names() == [name]
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]
    assert all(f"{name}: InProgress, {state}" in run.log for state in [*fake.before, "Training"])
    assert "step 4/6" in run.log
    assert (plan.adapter / "adapter_model.safetensors").read_text() == f"weights of {training_file.read_text()}".rstrip()
    figures = mark_finished(plan, run.steps)
    assert finished(plan)
    assert (figures["steps"], figures["loss_first"], figures["tokens_per_second"]) == (6, 3.7, 10.0)
    assert run.bill.seconds == 100


def test_the_job_is_asked_for_as_the_recipe_and_the_settings_say(run: Run, plan: Plan, fake: FakeSageMaker, aws_settings: Settings) -> None:
    run()
    asked = fake.request(job_name(plan))
    assert asked["ResourceConfig"] == {"InstanceType": "ml.g5.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 400}
    assert asked["EnableManagedSpotTraining"] is True
    assert asked["StoppingCondition"]["MaxWaitTimeInSeconds"] > asked["StoppingCondition"]["MaxRuntimeInSeconds"] == 24 * 3600
    assert asked["AlgorithmSpecification"]["TrainingImage"] == aws_settings.training_image
    assert asked["Environment"]["HF_HUB_OFFLINE"] == "0"
    assert "VpcConfig" not in asked
    assert max(map(len, asked["Environment"].values())) <= 512


def test_nothing_of_the_author_stays_in_s3(run: Run, place: Place) -> None:
    run()
    assert place.names(INPUT) == place.names(CHECKPOINTS) == place.names(PIPES) == []
    assert place.read(DONE)


def test_the_name_is_the_same_for_the_same_training_and_one_that_sagemaker_takes(aws_settings: Settings, plan: Plan) -> None:
    long = Plan("a_" * 31, plan.dataset_version, plan.base_model, plan.recipe, plan.home)
    for one in (plan, long):
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", f"{job_name(one)}-999")
        assert one.version in job_name(one)
    assert job_name(plan).startswith("twin-jane-doe-")


def test_on_demand_and_in_a_network(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    run.settings = run.settings.model_copy(
        update={"training_spot": False, "training_subnets": "subnet-1, subnet-2", "training_security_groups": "sg-1"}
    )
    run()
    asked = fake.request(job_name(plan))
    assert asked["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert not asked["EnableManagedSpotTraining"] and "MaxWaitTimeInSeconds" not in asked["StoppingCondition"]


def test_keys_come_from_the_store_of_secrets_and_are_in_no_job(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    boto3.client("secretsmanager").create_secret(Name="twin/training", SecretString=json.dumps({"HF_TOKEN": "hf_secret", "OTHER": "x"}))
    run.settings = run.settings.model_copy(update={"training_secret": "twin/training"})
    run()
    assert fake.request(job_name(plan))["Environment"]["TWIN_TRAINING_SECRET"] == "twin/training"
    assert "hf_secret" not in json.dumps(fake.request(job_name(plan))) + run.log


def test_a_failed_job_shows_its_reason_and_the_end_of_its_log(run: Run, plan: Plan, fake: FakeSageMaker, place: Place) -> None:
    fake.variables["STAND_IN_FAILS"] = "3"
    with pytest.raises(TwinError, match=r"AlgorithmError: FloatingPointError: The loss is nan[\s\S]*Last lines[\s\S]*8 rows on meta-llama"):
        run()
    assert not finished(plan)
    assert place.read(DONE) is None


def test_after_a_failure_the_next_run_goes_on_from_the_checkpoint(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    fake.variables["STAND_IN_FAILS"] = "3"
    with pytest.raises(TwinError):
        run()
    del fake.variables["STAND_IN_FAILS"]
    run()
    assert fake.names() == [job_name(plan), f"{job_name(plan)}-2"]
    assert _resumed_from(plan) == 3
    assert [step["step"] for step in run.steps] == [4, 5, 6]
    assert run.bill.seconds == 200


def test_cancelling_the_run_stops_the_job(run: Run, plan: Plan, fake: FakeSageMaker, hold: Path, place: Place) -> None:
    def cancel() -> None:
        if any("checkpoint-3/trainer_state" in name for name in place.names(CHECKPOINTS)):
            raise DagsterExecutionInterruptedError

    run.meanwhile = cancel
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert (fake.folder / job_name(plan) / "stopping").exists()
    hold.unlink()
    run.meanwhile = lambda: None
    run()
    assert fake.describe_training_job(TrainingJobName=job_name(plan))["TrainingJobStatus"] == "Stopped"
    assert _resumed_from(plan) == 3


def test_a_machine_that_is_taken_away_is_replaced_and_goes_on(run: Run, plan: Plan, fake: FakeSageMaker, hold: Path, place: Place) -> None:
    taken: list[str] = []

    def take() -> None:
        if not taken and any("checkpoint-3/trainer_state" in name for name in place.names(CHECKPOINTS)) and _said(place):
            taken.append("once")
            fake.interrupt(job_name(plan))
            hold.unlink()

    run.meanwhile = take
    run()
    assert fake.names() == [job_name(plan)]
    assert "InProgress, Interrupted" in run.log
    assert _resumed_from(plan) == 3
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]


def test_a_broken_checkpoint_falls_back_to_the_one_before(run: Run, plan: Plan, fake: FakeSageMaker, place: Place) -> None:
    fake.variables["STAND_IN_FAILS"] = "3"
    with pytest.raises(TwinError):
        run()
    place.write(f"{CHECKPOINTS}/checkpoint-3/trainer_state.json", b"half of")
    del fake.variables["STAND_IN_FAILS"]
    run()
    assert _resumed_from(plan) == 2


_LAUNCH = """
import sys; from pathlib import Path
from twin_assets.settings import Settings
from twin_assets_tests.training.aws_fakes import FakeSageMaker
from twin_assets_tests.training.runs import Run, until
from twin_assets.training import trainer
trainer.FREE_BYTES = 0
settings = Settings.model_validate_json(sys.argv[1])
Run(settings, trainer.make_plan("jane_doe", "dataset-1", settings), Path(sys.argv[2]), FakeSageMaker(Path(sys.argv[3]), STAND_IN_HOLD=sys.argv[4]))()
"""


def test_a_run_that_was_killed_finds_its_job_again(run: Run, plan: Plan, fake: FakeSageMaker, hold: Path, place: Place) -> None:
    arguments = [run.settings.model_dump_json(), str(run.training_file), str(fake.folder), str(hold)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *arguments], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until(lambda: _said(place) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    hold.unlink()
    run()
    assert fake.names() == [job_name(plan)]
    assert "runs already: waiting for it" in run.log
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]
    assert _resumed_from(plan) == 0


def test_what_ended_while_nobody_watched_is_fetched_and_not_trained_again(run: Run, plan: Plan, fake: FakeSageMaker, place: Place) -> None:
    class DiedError(Exception):
        pass

    def die() -> None:
        raise DiedError

    run.meanwhile = die
    with pytest.raises(DiedError):
        run()
    until(lambda: fake.describe_training_job(TrainingJobName=job_name(plan))["TrainingJobStatus"] == "Completed")
    run.meanwhile = lambda: None
    run()
    assert fake.names() == [job_name(plan)]
    assert mark_finished(plan, run.steps)["steps"] == 6


def test_another_machine_fetches_what_this_one_sent(run: Run, plan: Plan, place: Place) -> None:
    other = replace(plan, home=plan.home.with_name("elsewhere"))
    run()
    fetch(other, run.training_file, place)
    assert (other.folder / CONFIG).read_text() == (plan.folder / CONFIG).read_text()
    assert mark_finished(other, [])["steps"] == 6


def test_a_failure_leaves_no_text_of_the_author_and_all_attempts_are_paid(run: Run, fake: FakeSageMaker, place: Place) -> None:
    fake.variables["STAND_IN_FAILS"] = "3"
    with pytest.raises(TwinError):
        run()
    assert _texts(place) == place.names(PIPES) == []
    assert place.names(CHECKPOINTS)
    assert (run.bill.seconds, run.bill.open) == (100, False)


def test_a_cancelled_run_leaves_no_text_of_the_author(run: Run, plan: Plan, fake: FakeSageMaker, hold: Path, place: Place) -> None:
    def cancel() -> None:
        if any("checkpoint-3/trainer_state" in name for name in place.names(CHECKPOINTS)):
            raise DagsterExecutionInterruptedError

    run.meanwhile = cancel
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert _texts(place) == place.names(PIPES) == []
    assert run.bill.open == (run.bill.seconds == 0), "until it has stopped, nobody knows what it costs"


def test_a_run_that_is_cancelled_just_as_the_job_begins_stops_it(run: Run, plan: Plan, fake: FakeSageMaker, place: Place) -> None:
    create = fake.create_training_job

    def cancelled(**asked: Any) -> Any:
        create(**asked)
        raise DagsterExecutionInterruptedError

    fake.create_training_job = cancelled  # type: ignore[method-assign]
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert fake.describe_training_job(TrainingJobName=job_name(plan))["TrainingJobStatus"] == "Stopped"
    assert _texts(place) == []


def test_a_run_that_is_cancelled_while_it_waits_for_a_quota_costs_nothing(run: Run, fake: FakeSageMaker, place: Place) -> None:
    fake.refusals = [("ResourceLimitExceeded", "The account-level service limit is 0 Instances")]

    def cancel() -> None:
        raise DagsterExecutionInterruptedError

    run.meanwhile = cancel
    with pytest.raises(DagsterExecutionInterruptedError):
        run()
    assert (fake.names(), run.bill.seconds, run.bill.open) == ([], 0, False)
    assert _texts(place) == []


def test_a_job_that_cannot_be_stopped_because_it_has_ended_is_no_failure_of_the_cancelled_run(
    run: Run, plan: Plan, fake: FakeSageMaker, hold: Path
) -> None:
    stop = fake.stop_training_job

    def ended(**asked: Any) -> None:
        stop(**asked)
        until(lambda: (fake.folder / job_name(plan) / "rc").exists())
        stop(**asked)

    def cancel() -> None:
        if (fake.folder / job_name(plan) / "pid").exists():
            raise DagsterExecutionInterruptedError

    fake.stop_training_job, run.meanwhile = ended, cancel  # type: ignore[method-assign]
    with pytest.raises(DagsterExecutionInterruptedError):
        run()


def test_two_runs_at_once_follow_one_job(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    create = fake.create_training_job

    def another_was_faster(**asked: Any) -> Any:
        create(**asked)
        return create(**asked)

    fake.create_training_job = another_was_faster  # type: ignore[method-assign]
    run()
    assert fake.names() == [job_name(plan)]
    assert "runs already: waiting for it" in run.log
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]


def test_texts_of_other_trainings_go_when_the_next_one_is_sent_but_not_those_of_one_that_runs(
    run: Run, plan: Plan, fake: FakeSageMaker, place: Place, hold: Path
) -> None:
    author = str(place).rpartition("/")[0]
    left, running, done = (Place(f"{author}/{letter * 16}", place.client) for letter in "abc")
    for other in (left, running, done):
        for name in (
            f"{INPUT}/train.jsonl",
            f"{CHECKPOINTS}/checkpoint-1/optimizer.pt",
            f"{OUTPUT}/adapter_config.json",
            "attempts/1.json",
        ):
            other.write(name, b"{}")
    done.write(DONE, b"{}")
    busy = job_name(plan).replace(plan.version, "b" * 16)
    fake.create_training_job(TrainingJobName=busy, **_request(InstanceType="ml.g5.2xlarge"))
    fake.before = ["Starting"] * 1000
    run.meanwhile = lambda: fake.before.clear() if len(fake.names()) == 2 else None
    hold.unlink()
    run()
    assert left.names("") == ["attempts/1.json"]
    assert f"{INPUT}/train.jsonl" in running.names("")
    assert done.names("") == ["attempts/1.json", DONE, f"{OUTPUT}/adapter_config.json"]


def test_a_training_may_take_what_the_caps_leave_and_no_more(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    run.bill = Bill(most=5000.5)
    fake.variables["STAND_IN_FAILS"] = "3"
    with pytest.raises(TwinError):
        run()
    del fake.variables["STAND_IN_FAILS"]
    run()
    bounds = [fake.request(name)["StoppingCondition"]["MaxRuntimeInSeconds"] for name in fake.names()]
    assert bounds == [5000, 4900]
    assert fake.request(job_name(plan))["Environment"]["TWIN_TRAINING_SECONDS"] == "5000"


def test_a_training_that_has_used_up_the_caps_is_not_started(run: Run, fake: FakeSageMaker) -> None:
    run.bill = Bill(seconds=5000, most=5000.5)
    with pytest.raises(BudgetError, match="all that the caps leave"):
        run()
    assert fake.names() == []


def test_a_container_ends_itself_when_its_time_is_used_up(run: Run, fake: FakeSageMaker, hold: Path) -> None:
    fake.variables["TWIN_TRAINING_SECONDS"] = "3"
    with pytest.raises(TwinError, match=r"AlgorithmError: The training was ended after 0\.00 h"):
        run()


def test_a_training_that_ended_while_sagemaker_could_not_be_asked_is_not_started_again(
    run: Run, plan: Plan, fake: FakeSageMaker, place: Place
) -> None:
    describe, busy = fake.describe_training_job, [True] * 3

    def throttled(**asked: Any) -> dict[str, Any]:
        if busy and place.read(DONE) is not None:
            busy.pop()
            raise fake.contract.error("DescribeTrainingJob", "ThrottlingException", "Rate exceeded", ["ThrottlingException"])
        return describe(**asked)

    fake.describe_training_job = throttled  # type: ignore[method-assign]
    run()
    assert fake.names() == [job_name(plan)]
    assert "Rate exceeded" in run.log
    assert (run.bill.seconds, run.bill.open) == (100, False)


def test_what_was_delivered_before_its_job_has_ended_is_paid_whole(run: Run, plan: Plan, fake: FakeSageMaker, place: Place) -> None:
    class DiedError(Exception):
        pass

    def die() -> None:
        if place.read(DONE) is not None:
            raise DiedError

    run.meanwhile = die
    with pytest.raises(DiedError):
        run()
    assert run.bill.open
    until((fake.folder / job_name(plan) / "rc").exists)
    describe, looks = fake.describe_training_job, [True] * 2

    def ending(**asked: Any) -> dict[str, Any]:
        found = describe(**asked)
        uploading = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Uploading", "BillableTimeInSeconds": 0}
        return {**found, **uploading} if looks and looks.pop() else found

    fake.describe_training_job = ending  # type: ignore[method-assign]
    run.meanwhile, run.bill = lambda: None, Bill()
    run()
    assert fake.names() == [job_name(plan)]
    assert (run.bill.seconds, run.bill.open) == (100, False)


def test_where_one_of_several_processes_fails_its_own_reason_is_said(run: Run, fake: FakeSageMaker) -> None:
    fake.variables.update(STAND_IN_GPUS="2", STAND_IN_FAILS="3")
    with pytest.raises(TwinError, match="AlgorithmError: FloatingPointError: The loss is nan"):
        run()


def test_a_quota_is_waited_for(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    fake.refusals = [("ResourceLimitExceeded", "The account-level service limit is 0 Instances"), ("ThrottlingException", "Rate exceeded")]
    run()
    assert fake.names() == [job_name(plan)]
    assert [wait for wait in run.slept if wait >= 30] == [30.0, 60.0]


def test_a_quota_that_stays_ends_with_what_to_do(run: Run, fake: FakeSageMaker) -> None:
    fake.refusals = [("ResourceLimitExceeded", "The account-level service limit is 0 Instances")] * 9
    with pytest.raises(TwinError, match=r"limit is 0 Instances.*Asked 6 times.*Service Quotas"):
        run()
    assert fake.names() == []
    assert (run.bill.seconds, run.bill.open) == (0, False)


def test_a_job_without_a_machine_is_tried_again_later(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    fake.capacity = 2
    run()
    assert fake.names() == [job_name(plan), f"{job_name(plan)}-2", f"{job_name(plan)}-3"]
    assert 30.0 in run.slept and 60.0 in run.slept
    assert run.bill.seconds == 100


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (("ExpiredTokenException", "The security token included in the request is expired"), r"credentials.*ExpiredToken.*aws sso login"),
        (("AccessDeniedException", "not authorized to perform: iam:PassRole"), r"AWS refuses: .*iam:PassRole"),
    ],
)
def test_what_waiting_does_not_help_is_said_at_once(run: Run, fake: FakeSageMaker, refusal: tuple[str, str], said: str) -> None:
    fake.refusals = [refusal]
    with pytest.raises(TwinError, match=said):
        run()
    assert not [wait for wait in run.slept if wait >= 30]


def test_credentials_that_expire_while_it_trains_cost_nothing(run: Run, plan: Plan, fake: FakeSageMaker, hold: Path) -> None:
    describe, failing = fake.describe_training_job, [True]

    def expire(**asked: Any) -> dict[str, Any]:
        if failing and (fake.folder / job_name(plan) / "pid").exists():
            raise fake.contract.error("DescribeTrainingJob", "ExpiredTokenException", "expired", ["ExpiredTokenException"])
        return describe(**asked)

    fake.describe_training_job = expire  # type: ignore[method-assign]
    with pytest.raises(TwinError, match="a training that runs meanwhile goes on"):
        run()
    failing.clear()
    hold.unlink()
    run()
    assert fake.names() == [job_name(plan)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training_s3": ""}, "TWIN_TRAINING_S3=s3://"),
        ({"training_role": "", "training_image": ""}, "needs TWIN_TRAINING_IMAGE, TWIN_TRAINING_ROLE as well"),
        ({"training_config": "smollm2-135m-lora-cpu"}, "smollm2-135m-lora-cpu names no instance of SageMaker.*but laptop"),
        ({"training_subnets": "subnet-1"}, "needs TWIN_TRAINING_SECURITY_GROUPS"),
        ({"training_s3": "s3://llm-twin-tests/" + "long/" * 110}, "longer than the 512 characters"),
        ({"training_s3": "s3://nobody-has-this-bucket/x"}, "AWS refuses.*NoSuchBucket"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_paid(run: Run, fake: FakeSageMaker, changes: dict[str, str], said: str) -> None:
    run.settings = run.settings.model_copy(update=changes)
    with pytest.raises(TwinError, match=said):
        run()
    assert fake.names() == []


def test_an_adapter_that_is_not_what_the_trainer_wrote_is_refused(run: Run, plan: Plan, place: Place) -> None:
    run()
    place.write(f"{OUTPUT}/adapter_model.safetensors", b"other weights")
    with pytest.raises(TwinError, match=r"adapter_model.safetensors is not what the trainer wrote"):
        run()


def test_an_adapter_that_is_gone_on_with_is_sent_along(plan: Plan, place: Place, training_file: Path, aws_settings: Settings) -> None:
    plan.adapter.mkdir(parents=True)
    for name in ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json"):
        (plan.adapter / name).write_text(name)
    send(go_on(plan, read("llama-3.1-8b-dpo"), "pairs-1", aws_settings), training_file, place, aws_settings)
    assert [name for name in place.names(INPUT) if "first" in name] == [
        f"{INPUT}/first/adapter_config.json",
        f"{INPUT}/first/adapter_model.safetensors",
    ]


def test_a_model_that_is_not_on_the_hub_is_sent_along(
    run: Run, plan: Plan, fake: FakeSageMaker, place: Place, tmp_path: Path, hold: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    run.plan = Plan(plan.author, plan.dataset_version, str(model), plan.recipe, plan.home)
    sent: list[str] = []

    def look() -> None:
        sent.extend(place_of(run.plan, run.settings, place.client).names(INPUT))
        hold.unlink(missing_ok=True)

    run.meanwhile = look
    run()
    assert {"input/model/config.json", "input/train.jsonl", "input/axolotl.yaml", "input/lineage.json"} <= set(sent)
    assert fake.request(job_name(run.plan))["Environment"]["HF_HUB_OFFLINE"] == "1"
    assert "8 rows on model from step 0" in fake.output(job_name(run.plan))


def test_where_there_are_several_gpus_each_has_a_process_and_the_first_one_speaks(run: Run, plan: Plan, fake: FakeSageMaker) -> None:
    fake.variables["STAND_IN_GPUS"] = "3"
    run()
    assert all(f"process {rank}" in fake.output(job_name(plan)) for rank in (1, 2))
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]


def test_the_real_trainer_in_the_container(run: Run, fake: FakeSageMaker, tmp_path: Path, settings: Settings) -> None:
    if not settings.trainer_python.exists():
        pytest.skip("no trainer environment: run `make setup`")
    fake.variables["STAND_IN_PYTHON"] = str(settings.trainer_python)
    fake.variables["CUDA_VISIBLE_DEVICES"] = ""
    own = yaml.safe_load((FOLDER / "smollm2-135m-lora-cpu.yaml").read_text())
    own["twin"]["instance"] = "ml.c7i.2xlarge"
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**own, "save_steps": 1}))
    changes = {"training_config": str(tmp_path / "own.yaml"), "training_max_steps": 2, "home": settings.home}
    run.settings = run.settings.model_copy(update=changes)
    run.plan = make_plan("jane_doe", "dataset-1", run.settings)
    run()
    assert [step["step"] for step in run.steps] == [1, 2]
    figures = mark_finished(run.plan, run.steps)
    assert (figures["steps"], len(figures["adapter_sha256"])) == (2, 64)
    assert "step 2/2" in run.log


def test_names_that_lead_out_of_the_folder_are_refused(place: Place, tmp_path: Path) -> None:
    place.write(f"{OUTPUT}/../../evil", b"x")
    with pytest.raises(ValueError, match="no name of a file"):
        place.download_folder(OUTPUT, tmp_path / "here")


def test_the_fake_takes_and_answers_only_what_sagemaker_would(fake: FakeSageMaker) -> None:
    contract = Contract("sagemaker")
    with pytest.raises(AssertionError, match="Missing required parameter"):
        fake.create_training_job(TrainingJobName="x")
    with pytest.raises(AssertionError, match="Unknown parameter"):
        contract.asked("DescribeTrainingJob", {"TrainingJobName": "x", "Wait": True})
    with pytest.raises(AssertionError, match="imaginary"):
        contract.asked("CreateTrainingJob", {"TrainingJobName": "x"} | _request(InstanceType="ml.imaginary"))
    with pytest.raises(AssertionError, match="never answers"):
        contract.error("CreateTrainingJob", "Surprise", "")
    with pytest.raises(AssertionError, match="Missing required parameter"):
        contract.answered("DescribeTrainingJob", {"TrainingJobStatus": "Completed"})
    contract.asked("CreateTrainingJob", {"TrainingJobName": "x"} | _request(InstanceType="ml.g5.2xlarge"))


def _request(**resources: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/trainer",
        "OutputDataConfig": {"S3OutputPath": "s3://x/y"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 1},
        "ResourceConfig": {"InstanceCount": 1, "VolumeSizeInGB": 1, **resources},
    }


def _texts(place: Place) -> list[str]:
    """Of the author's, in all versions."""
    return [name for name in Place(str(place).rpartition("/")[0], place.client).names("") if name.endswith(".jsonl")]


def _said(place: Place) -> bool:
    return any("/messages/" in name for name in place.names(PIPES))
