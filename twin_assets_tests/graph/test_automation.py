"""What the automation condition requests, tick by tick, on small graphs that really run."""

from collections.abc import Iterator

import dagster as dg
import pytest

from twin_assets.automation import FOLLOW_CONTENT
from twin_assets.definitions import defs as whole_graph
from twin_assets.partitions import authors

RAW, CLEAN, MODEL = dg.AssetKey("raw"), dg.AssetKey("clean"), dg.AssetKey("model")


class Graph:
    """A graph that is ticked and run as the daemon does it."""

    def __init__(self, instance: dg.DagsterInstance, defs: dg.Definitions) -> None:
        self.instance = instance
        self.defs = defs
        self.cursor = None
        self.outcomes: list[bool] = []

    def make(self, *keys: dg.AssetKey, author: str = "jane") -> bool:
        """One run."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        run = job.execute_in_process(instance=self.instance, partition_key=author, asset_selection=list(keys), raise_on_error=False)
        self.outcomes.append(run.success)
        return run.success

    def tick(self) -> set[tuple[str, str]]:
        """One evaluation: which assets it requests, for which authors."""
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        keys = self.defs.resolve_all_asset_keys()
        return {(key.to_user_string(), str(author)) for key in keys for author in result.get_requested_partitions(key)}

    def rounds(self) -> list[set[tuple[str, str]]]:
        """Ticks, and makes what one tick requests for an author in one run, until nothing is requested."""
        requested = []
        for _ in range(12):
            if not (found := self.tick()):
                return requested
            requested.append(found)
            for author in sorted({author for _, author in found}):
                self.make(*(dg.AssetKey(name.split("/")) for name, whose in sorted(found) if whose == author), author=author)
        raise AssertionError(f"it never settles: {requested}")

    def settle(self) -> list[tuple[str, str]]:
        """As above, without the rounds."""
        return [request for found in self.rounds() for request in sorted(found)]


class World(Graph):
    """raw -> clean -> model for some authors, with a blocking check on clean; what it reads can be changed from outside."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.content: dict[str, str] = {}
        self.failing: set[str] = set()
        self.while_model_runs: list[str] = []
        self.during: list[set[tuple[str, str]]] = []
        self.runs: list[tuple[str, str]] = []
        super().__init__(instance, self._definitions())

    def add(self, author: str, content: str) -> None:
        self.instance.add_dynamic_partitions(str(authors.name), [author])
        self.content[author] = content

    def _definitions(self) -> dg.Definitions:
        world = self

        @dg.asset(partitions_def=authors)
        def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            return dg.MaterializeResult(data_version=dg.DataVersion(world.content[context.partition_key]))

        @dg.asset(partitions_def=authors, deps=[raw], automation_condition=FOLLOW_CONTENT)
        def clean(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            world.runs.append(("clean", context.partition_key))
            return dg.MaterializeResult(data_version=dg.DataVersion(world.content[context.partition_key].strip()))

        @dg.asset_check(asset=clean, blocking=True, partitions_def=authors)
        def sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=context.partition_key not in world.failing)

        @dg.asset(partitions_def=authors, deps=[clean], automation_condition=FOLLOW_CONTENT)
        def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            world.runs.append(("model", context.partition_key))
            for content in world.while_model_runs:
                world.content[context.partition_key] = content
                world.make(RAW, CLEAN, author=context.partition_key)
                world.during.append(world.tick())
            world.while_model_runs = []
            return dg.MaterializeResult(data_version=dg.DataVersion(world.content[context.partition_key].strip()))

        return dg.Definitions(assets=[raw, clean, model], asset_checks=[sound])


@pytest.fixture
def world() -> Iterator[World]:
    """Jane's chain, made once, and the condition evaluated once."""
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(instance)
        world.add("jane", "one")
        world.tick()
        assert world.make(RAW, CLEAN, MODEL)
        assert world.settle() == []
        world.runs.clear()
        yield world


def test_new_content_makes_each_asset_behind_it_once(world: World) -> None:
    world.content["jane"] = "two"
    world.make(RAW)
    assert world.settle() == [("clean", "jane"), ("model", "jane")]
    assert world.runs == [("clean", "jane"), ("model", "jane")]
    assert world.settle() == []


def test_the_next_stage_waits_for_a_run_of_its_own(world: World) -> None:
    world.content["jane"] = "two"
    world.make(RAW)
    assert world.tick() == {("clean", "jane")}
    assert world.tick() == set()
    world.make(CLEAN)
    assert world.tick() == {("model", "jane")}


def test_the_same_content_again_requests_nothing(world: World) -> None:
    world.make(RAW)
    assert world.settle() == []
    world.make(CLEAN)
    assert world.settle() == []


def test_a_change_that_cleaning_removes_stops_there(world: World) -> None:
    world.content["jane"] = "one "
    world.make(RAW)
    assert world.settle() == [("clean", "jane")]


def test_a_failing_blocking_check_holds_what_is_behind_it_until_it_passes(world: World) -> None:
    world.content["jane"], world.failing = "two", {"jane"}
    world.make(RAW)
    assert world.settle() == [("clean", "jane")]
    assert world.settle() == []
    world.failing = set()
    world.make(CLEAN)
    assert world.settle() == [("model", "jane")]


def test_a_failing_check_of_one_author_neither_holds_another_nor_is_it_made_good_by_one(world: World) -> None:
    world.add("joe", "uno")
    world.content["jane"], world.failing = "two", {"jane"}
    world.make(RAW)
    assert world.settle() == [("clean", "jane")]
    world.make(RAW, author="joe")
    assert world.settle() == [("clean", "joe"), ("model", "joe")]
    world.make(RAW)
    assert world.settle() == []


def test_a_whole_chain_made_by_hand_is_not_made_again(world: World) -> None:
    world.content["jane"] = "two"
    assert world.make(RAW, CLEAN, MODEL)
    assert world.settle() == []


def test_changes_that_land_while_the_model_is_made_are_made_up_for_once(world: World) -> None:
    world.content["jane"] = "two"
    world.make(RAW)
    world.while_model_runs = ["three", "four"]
    assert world.settle() == [("clean", "jane"), ("model", "jane"), ("model", "jane")]
    assert world.during == [set(), set()]
    assert world.settle() == []


def test_a_new_author_gets_the_whole_chain(world: World) -> None:
    world.add("joe", "uno")
    assert world.tick() == set()
    world.make(RAW, author="joe")
    assert world.settle() == [("clean", "joe"), ("model", "joe")]


def test_authors_do_not_wake_or_hold_each_other(world: World) -> None:
    world.add("joe", "uno")
    world.make(RAW, author="joe")
    world.settle()
    world.content["jane"] = "two"
    world.make(RAW)
    assert world.settle() == [("clean", "jane"), ("model", "jane")]
    world.content = {"jane": "three", "joe": "due"}
    world.make(RAW)
    world.make(RAW, author="joe")
    assert world.tick() == {("clean", "jane"), ("clean", "joe")}


def test_an_asset_that_waits_is_asked_for_once_for_each_content() -> None:
    content, waits, asked = ["one"], [True], []

    @dg.asset(partitions_def=authors)
    def report() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion(content[-1]))

    @dg.asset(partitions_def=authors, deps=[report], automation_condition=FOLLOW_CONTENT, output_required=False)
    def deployment() -> Iterator[dg.MaterializeResult]:
        asked.append(content[-1])
        if not waits[-1]:
            yield dg.MaterializeResult(data_version=dg.DataVersion(content[-1]))

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(authors.name), ["jane"])
        graph = Graph(instance, dg.Definitions([report, deployment]))
        graph.tick()
        for version in ("one", "two"):
            content.append(version)
            graph.make(dg.AssetKey("report"))
            assert graph.settle() == [("deployment", "jane")]
            assert graph.settle() == []
        waits.append(False)
        content.append("three")
        graph.make(dg.AssetKey("report"))
        assert graph.settle() == [("deployment", "jane")]
    assert asked == ["one", "two", "three"]
    assert all(graph.outcomes)


def test_a_dataset_that_refuses_to_be_made_of_features_that_failed_is_made_once_they_are_there() -> None:
    content, indexed, failing, made = ["one"], [""], [False], []

    @dg.asset(partitions_def=authors)
    def documents() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion(content[-1]))

    @dg.asset(partitions_def=authors, deps=[documents], automation_condition=FOLLOW_CONTENT)
    def vectors() -> dg.MaterializeResult:
        if failing[-1]:
            raise dg.Failure("no embedder")
        indexed.append(content[-1])
        return dg.MaterializeResult(data_version=dg.DataVersion(content[-1]))

    @dg.asset(partitions_def=authors, deps=[documents, vectors], automation_condition=FOLLOW_CONTENT)
    def dataset() -> dg.MaterializeResult:
        if indexed[-1] != content[-1]:
            raise dg.Failure("not in step")
        made.append(content[-1])
        return dg.MaterializeResult(data_version=dg.DataVersion(content[-1]))

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(authors.name), ["jane"])
        graph = Graph(instance, dg.Definitions([documents, vectors, dataset]))
        graph.tick()
        graph.make(dg.AssetKey("documents"))
        assert graph.settle() == [("vectors", "jane"), ("dataset", "jane")]
        content.append("two")
        failing.append(True)
        graph.make(dg.AssetKey("documents"))
        assert graph.settle() == [("vectors", "jane"), ("dataset", "jane")]
        assert graph.outcomes[-2:] == [False, False]
        failing.append(False)
        graph.make(dg.AssetKey("vectors"))  # by hand, or by the sensor that looks for what is behind
        assert graph.settle() == [("dataset", "jane")]
        assert graph.settle() == []
    assert made == ["one", "two"]


def stand_in(content: list[str]) -> dg.Definitions:
    """The whole graph with its keys, dependencies and conditions, the dbt models in one build; its assets are as new as the content."""
    graph = whole_graph.resolve_asset_graph()
    specs = [graph.get(key).assets_def.specs_by_key[key] for key in graph.toposorted_asset_keys]

    def made_by(name: str, members: list[dg.AssetSpec]) -> dg.AssetsDefinition:
        bare = [
            dg.AssetSpec(spec.key, deps=spec.deps, automation_condition=spec.automation_condition, partitions_def=authors, skippable=True)
            for spec in members
        ]

        @dg.multi_asset(name=name, specs=bare, can_subset=len(bare) > 1)
        def assets(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
            for spec in bare:
                if spec.key in context.selected_asset_keys:
                    versioned = not spec.key.path[-1].startswith(("stg_", "int_"))
                    yield dg.MaterializeResult(asset_key=spec.key, data_version=dg.DataVersion(content[-1]) if versioned else None)

        return assets

    dbt = [spec for spec in specs if "dbt" in spec.kinds]
    return dg.Definitions([made_by("dbt", dbt), *(made_by(spec.key.to_python_identifier(), [spec]) for spec in specs if spec not in dbt)])


def test_a_crawl_flows_through_the_whole_graph_stage_by_stage_and_stops() -> None:
    content = ["one"]
    stages = [
        {key.to_user_string() for key in whole_graph.resolve_all_asset_keys() if key.path[0] == "cleaning"},
        {"features/chunks", "voice/voice_profile"},
        {"features/embeddings"},
        {"features/golden_set", "training/instruct_dataset"},
        {"training/preference_dataset"},
        {"training/adapter_weights"},
        {"evaluation/eval_texts"},
        {"evaluation/eval_report"},
        {"serving/tgi_deployment"},
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(authors.name), ["jane"])
        graph = Graph(instance, stand_in(content))
        crawl = dg.AssetKey(["ingest", "raw_posts"])
        assert graph.tick() == set()
        assert graph.make(crawl)
        assert [{name for name, _ in found} for found in graph.rounds()] == stages
        assert graph.make(crawl)
        assert graph.rounds() == []
        content.append("two")
        assert graph.make(crawl)
        assert [{name for name, _ in found} for found in graph.rounds()] == stages
        assert all(graph.outcomes)
