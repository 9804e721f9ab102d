"""The graph as a whole: what every asset carries, what it is made from, and what loading it costs."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator

import dagster as dg
import pytest
import yaml

from twin_assets.automation import FOLLOW_CONTENT, FOLLOW_TOGETHER
from twin_assets.definitions import build_defs, defs
from twin_assets.freshness import FRESHNESS
from twin_assets.partitions import authors
from twin_assets.settings import PROJECT_ROOT

PARENTS = {
    "ingest/raw_posts": set(),
    "cleaning/annotations": {"ingest/raw_posts"},
    "cleaning/stg_social": {"ingest/raw_posts"},
    "cleaning/stg_publications": {"ingest/raw_posts"},
    "cleaning/stg_code": {"ingest/raw_posts"},
    "cleaning/stg_files": {"ingest/raw_posts"},
    "cleaning/stg_posts": {
        "cleaning/stg_social",
        "cleaning/stg_publications",
        "cleaning/stg_code",
        "cleaning/stg_files",
        "cleaning/annotations",
    },
    "cleaning/int_posts": {"cleaning/stg_posts", "cleaning/annotations", "ingest/raw_posts"},
    "cleaning/int_blocks": {"cleaning/stg_posts", "cleaning/int_posts"},
    "cleaning/int_repeated_blocks": {"cleaning/int_posts", "cleaning/int_blocks"},
    "cleaning/int_documents": {"ingest/raw_posts", "cleaning/int_posts", "cleaning/int_blocks", "cleaning/int_repeated_blocks"},
    "cleaning/cleaned_documents": {"cleaning/int_posts", "cleaning/int_documents"},
    "cleaning/dropped_documents": {"cleaning/int_posts", "cleaning/int_documents", "cleaning/cleaned_documents"},
    "cleaning/dropped_blocks": {"cleaning/int_blocks", "cleaning/int_repeated_blocks", "cleaning/cleaned_documents"},
    "cleaning/documents": {"cleaning/cleaned_documents"},
    "cleaning/posts": {"cleaning/cleaned_documents"},
    "cleaning/articles": {"cleaning/cleaned_documents"},
    "cleaning/code": {"cleaning/cleaned_documents"},
    "features/chunks": {"cleaning/cleaned_documents"},
    "features/embeddings": {"features/chunks"},
    "features/golden_set": {"features/embeddings"},
    "voice/voice_profile": {"cleaning/cleaned_documents"},
    "training/instruct_dataset": {"cleaning/cleaned_documents", "features/embeddings"},
    "training/preference_dataset": {"training/instruct_dataset"},
    "training/adapter_weights": {"training/instruct_dataset", "training/preference_dataset"},
    "evaluation/eval_texts": {"training/adapter_weights", "training/instruct_dataset", "features/golden_set"},
    "evaluation/eval_report": {"evaluation/eval_texts", "training/instruct_dataset", "voice/voice_profile"},
    "serving/tgi_deployment": {"evaluation/eval_report"},
}
GATES = {
    "cleaning/int_documents": {"no_text_is_dropped_as_none"},
    "cleaning/cleaned_documents": {
        "documents_present",
        "no_interface_lines",
        "apostrophes_survive",
        "paragraphs_survive",
        "own_words_only",
        "punctuation_is_kept",
    },
    "cleaning/dropped_documents": {"every_post_accounted_for", "every_post_is_accounted_for"},
    "cleaning/annotations": {"every_post_annotated"},
    "features/chunks": {"chunks_cover_documents"},
    "features/embeddings": {"every_chunk_embedded"},
    "features/golden_set": {"search_has_not_regressed"},
    "training/instruct_dataset": {
        "held_out_is_unseen",
        "answers_are_verbatim",
        "key_terms_are_present",
        "enough_to_learn_from",
        "split_by_document_and_date",
    },
    "training/preference_dataset": {"chosen_is_verbatim", "held_out_is_in_no_pair", "rejected_is_not_the_authors", "enough_pairs"},
    "training/adapter_weights": {"loss_fell"},
    "voice/voice_profile": {"instrument_knows_people_apart"},
    "evaluation/eval_texts": {"every_rung_wrote"},
    "evaluation/eval_report": {
        "twin_beats_base",
        "no_memorised_passages",
        "slop_like_the_authors",
        "content_not_worse",
        "not_worse_than_deployed",
    },
}
HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "playwright",
    "pandas",
    "sklearn",
    "matplotlib",
    "streamlit",
    "ragas",
    "trafilatura",
    "semantic_text_splitter",
    "xllamacpp",
)


def specs() -> Iterator[dg.AssetSpec]:
    for assets_def in defs.resolve_asset_graph().assets_defs:
        yield from assets_def.specs


@pytest.fixture(params=sorted(PARENTS))
def spec(request: pytest.FixtureRequest) -> dg.AssetSpec:
    return next(spec for spec in specs() if spec.key.to_user_string() == request.param)


def test_each_asset_is_made_from_what_the_architecture_says() -> None:
    graph = defs.resolve_asset_graph()
    made = {key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()}
    assert made == PARENTS


def test_an_asset_says_what_it_is_and_what_it_costs(spec: dg.AssetSpec) -> None:
    assert len(spec.description or "") > 20
    assert spec.group_name == spec.key.path[0]
    assert spec.owners == ["team:twin"]
    assert spec.kinds
    assert spec.tags["cost"] == ("gpu" if spec.key.path[-1] in {"preference_dataset", "adapter_weights", "eval_texts"} else "cpu")


def test_an_asset_is_partitioned_by_author(spec: dg.AssetSpec) -> None:
    assert defs.resolve_asset_graph().get(spec.key).partitions_def == authors


def test_an_asset_has_a_check(spec: dg.AssetSpec) -> None:
    assert [key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key == spec.key]


def test_a_check_is_partitioned_by_author() -> None:
    """Else what one author's data failed would hold back everybody's assets."""
    graph = defs.resolve_asset_graph()
    assert {graph.get(key).partitions_def for key in graph.asset_check_keys} == {authors}


def test_everything_but_the_crawl_follows_content(spec: dg.AssetSpec) -> None:
    reads_raw_posts = {"annotations", "stg_social", "stg_publications", "stg_code", "stg_files"}
    together = spec.group_name == "cleaning" and spec.key.path[-1] not in reads_raw_posts
    expected = None if spec.group_name == "ingest" else FOLLOW_TOGETHER if together else FOLLOW_CONTENT
    assert spec.automation_condition == expected


def test_what_must_hold_before_training_and_deployment_is_blocking() -> None:
    graph = defs.resolve_asset_graph()
    for asset, names in GATES.items():
        blocking = {key.name for key in graph.asset_check_keys if key.asset_key.to_user_string() == asset and graph.get(key).blocking}
        assert names <= blocking, asset


def test_three_assets_have_a_freshness_policy() -> None:
    fresh = {spec.key: spec.freshness_policy for spec in specs() if spec.freshness_policy is not None}
    assert fresh == FRESHNESS
    assert {key.to_user_string() for key in fresh} == {"ingest/raw_posts", "features/embeddings", "serving/tgi_deployment"}


def test_only_the_training_waits_for_the_gpu() -> None:
    graph = defs.resolve_asset_graph()
    pools = {key.to_user_string(): graph.get(key).pools for key in graph.get_all_asset_keys() if graph.get(key).pools}
    assert pools == {"training/adapter_weights": {"gpu"}}


def test_sensors_run_without_a_click_and_cover_the_whole_graph() -> None:
    sensors = {sensor.name: sensor for sensor in defs.sensors or []}
    assert set(sensors) == {"automation", "reconcile", "source_changes"}
    assert all(sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in sensors.values())  # pyright: ignore
    automation = sensors["automation"]
    assert isinstance(automation, dg.AutomationConditionSensorDefinition)
    graph = defs.resolve_asset_graph()
    assert automation.asset_selection.resolve(graph) == graph.get_all_asset_keys()


def test_one_job_makes_the_whole_chain() -> None:
    made = {key.to_user_string() for key in defs.resolve_job_def("twin").asset_layer.executable_asset_keys}
    assert made == set(PARENTS)


def test_resources_can_be_replaced() -> None:
    resources = build_defs({"platform": "another"}).resources or {}
    assert resources["platform"] == "another"
    assert "pipes" in resources


def test_workspace_and_project_name_the_same_module() -> None:
    workspace = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text())["load_from"]
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert [entry["python_module"] for entry in workspace] == [{"module_name": "twin_assets.definitions", "working_directory": "."}]
    assert project["code_location_target_module"] == workspace[0]["python_module"]["module_name"]
    assert project["code_location_target_module"].startswith(f"{project['root_module']}.")


def loaded_by(module: str) -> set[str]:
    """Top-level packages in memory after a fresh interpreter imported a module."""
    program = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_loading_the_graph_loads_nothing_heavy() -> None:
    loaded = loaded_by("twin_assets.definitions")
    assert "dagster" in loaded
    assert loaded & set(HEAVY) == set()


def test_the_api_starts_without_dagster_and_without_models() -> None:
    loaded = loaded_by("app.api.main")
    assert "fastapi" in loaded
    assert {name for name in loaded if name.startswith("dagster")} == set()
    assert loaded & set(HEAVY) == set()


def test_the_command_line_answers_without_dagster() -> None:
    assert {name for name in loaded_by("twin_assets.cli") if name.startswith("dagster")} == set()
