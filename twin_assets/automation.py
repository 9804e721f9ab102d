"""When assets are made again by themselves: named conditions, each with its reason, and the sensors that evaluate them."""

import dagster as dg

from twin_assets.reconcile import behind, busy, held, known_authors
from twin_assets.resources import PlatformResource
from twin_assets.serving.gate import held_back

DEPLOYMENT = dg.AssetKey(["serving", "tgi_deployment"])

AC = dg.AutomationCondition

_being_made = AC.will_be_requested() | AC.in_progress()

_new_content = AC.any_deps_match(AC.data_version_changed() & ~AC.executed_with_root_target())

FOLLOW_CONTENT = (
    (AC.newly_missing() | _new_content).since(AC.newly_requested() | AC.initial_evaluation())
    & ~AC.any_deps_match(AC.will_be_requested())
    & ~AC.any_deps_missing()
    & ~AC.any_deps_in_progress()
    & ~AC.any_deps_match(AC.any_deps_match(_being_made | AC.any_deps_match(_being_made)))
    & ~AC.in_progress()
    & AC.all_deps_blocking_checks_passed()
).with_label("follow_content")
"""Made again when the *content* of what it is made from changed and the blocking checks on that passed.

Not ``eager()``: that has no check gate, it follows re-materializations that changed nothing, and it loses what arrives while
the asset itself is being made. It waits for what its dependencies are made from, too, three steps back: a new voice profile
makes no report on old texts while the chunks, the pairs or the model are being made that new ones come from. The check gate
also gives each stage its own run, so that training never rides on a crawl.
"""

FOLLOW_TOGETHER = (FOLLOW_CONTENT | (AC.any_deps_match(AC.will_be_requested()) & ~AC.in_progress())).with_label("follow_together")
"""As above, and made in the same run as what it is made from: for the dbt models, which one dbt build makes together."""


RECONCILE_SECONDS = 300


@dg.sensor(
    asset_selection=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=RECONCILE_SECONDS,
    description="Makes what is behind all the same: after a change that fell between two ticks, or a run that failed.",
)
def reconcile(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
    """Requests the first assets that are behind, of authors for whom nothing runs; each once for the same content."""
    assert context.repository_def is not None
    graph = context.repository_def.asset_graph
    requests = []
    for author in known_authors(context.instance):
        if busy(context.instance, author):
            continue
        late = [asset for asset in behind(context.instance, graph, author) if not held(context.instance, graph, asset.key, author)]
        if any(asset.key == DEPLOYMENT for asset in late) and held_back(author, platform.registry()):
            late = [asset for asset in late if asset.key != DEPLOYMENT]
        # What one dbt build makes together is requested together.
        made = {frozenset(graph.get(asset.key).assets_def.keys): asset for asset in late}
        requests += [
            dg.RunRequest(
                run_key=f"{author}:{asset.key.to_user_string()}:{asset.consumed}", partition_key=author, asset_selection=sorted(keys)
            )
            for keys, asset in made.items()
        ]
    return dg.SensorResult(run_requests=requests)


def automation_sensors() -> list[dg.AutomationConditionSensorDefinition]:
    """The sensors that evaluate the conditions; the one that Dagster makes by itself would be stopped at first."""
    return [
        dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=15,  # every stage waits for one tick
        )
    ]
