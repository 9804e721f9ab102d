"""When assets are made again by themselves: named conditions, each with its reason, and the sensors that evaluate them."""

import dagster as dg

AC = dg.AutomationCondition

_new_content = AC.any_deps_match(AC.data_version_changed() & ~AC.executed_with_root_target())

FOLLOW_CONTENT = (
    (AC.newly_missing() | _new_content).since(AC.newly_requested() | AC.initial_evaluation())
    & ~AC.any_deps_match(AC.will_be_requested())
    & ~AC.any_deps_missing()
    & ~AC.any_deps_in_progress()
    & ~AC.in_progress()
    & AC.all_deps_blocking_checks_passed()
).with_label("follow_content")
"""Made again when the *content* of what it is made from changed and the blocking checks on that passed.

Not ``eager()``: that has no check gate, it follows re-materializations that changed nothing, and it loses what arrives while
the asset itself is being made. The check gate also gives each stage its own run, so that training never rides on a crawl.
"""

FOLLOW_TOGETHER = (FOLLOW_CONTENT | (AC.any_deps_match(AC.will_be_requested()) & ~AC.in_progress())).with_label("follow_together")
"""As above, and made in the same run as what it is made from: for the dbt models, which one dbt build makes together."""


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
