"""The verdicts of an author's asset checks, from Dagster's records, and a run of the whole graph that brings them all about."""

from collections.abc import Callable, Iterable

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord, AssetCheckExecutionRecordStatus

from twin_assets.definitions import defs
from twin_assets.ingest.registry import register
from twin_assets.runs import RunReport, Step, dagster_instance, materialize
from twin_assets.sample import SAMPLE_AUTHOR, sample_sources
from twin_assets.services import stop_background
from twin_assets.settings import Settings
from twin_assets.verdicts import Verdict

ENDED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}

Seconds = dict[tuple[str, str], float]
"""How long each step of each run took."""


def newest_verdicts(author: str, settings: Settings) -> list[Verdict]:
    """How each check of the graph ended when it last looked at this author."""
    with dagster_instance(settings) as instance:
        return _verdicts(instance, author, lambda _: f"It has not looked at {author} yet.")


def run_verdicts(author: str, report: RunReport, settings: Settings) -> list[Verdict]:
    """How each check of the graph ended in the author's last run, and why those that did not run did not."""
    with dagster_instance(settings) as instance:
        return _verdicts(instance, author, lambda key: _why_not_run(key, report), report.run_id)


def check_sample_author(settings: Settings, on_change: Callable[[list[Step]], None]) -> list[Verdict]:
    """Materializes the whole graph for the sample author, however its checks end, and stops what that has started.

    Args:
        settings: Of a data home for this purpose: what runs in it is stopped.
        on_change: Called with the steps of the run whenever one of them moves.
    """
    try:
        register(SAMPLE_AUTHOR, [str(path) for path in sample_sources()], settings)
        return run_verdicts(SAMPLE_AUTHOR, materialize(SAMPLE_AUTHOR, None, settings, on_change), settings)
    finally:
        stop_background(settings)


def _verdicts(
    instance: dg.DagsterInstance, author: str, why_not_run: Callable[[dg.AssetCheckKey], str], run: str | None = None
) -> list[Verdict]:
    """The newest verdict of each check on the author; of one run alone where it is named."""
    keys = sorted(defs.resolve_asset_graph().asset_check_keys)
    newest = {key: _newest_record(instance, key, author, run) for key in keys}
    seconds = _step_seconds(instance, {record.run_id for record in newest.values() if record})
    return [_verdict(key, newest[key], seconds, why_not_run) for key in keys]


def _newest_record(instance: dg.DagsterInstance, key: dg.AssetCheckKey, author: str, run: str | None) -> AssetCheckExecutionRecord | None:
    records = instance.event_log_storage.get_asset_check_execution_history(key, 1, None, ENDED, PartitionKeyFilter(key=author))
    return next((record for record in records if run in (None, record.run_id)), None)


def _step_seconds(instance: dg.DagsterInstance, runs: Iterable[str]) -> Seconds:
    stats = [step for run in runs for step in instance.get_run_step_stats(run)]
    return {(step.run_id, step.step_key): step.end_time - step.start_time for step in stats if step.start_time and step.end_time}


def _verdict(
    key: dg.AssetCheckKey, record: AssetCheckExecutionRecord | None, seconds: Seconds, why_not_run: Callable[[dg.AssetCheckKey], str]
) -> Verdict:
    node = defs.resolve_asset_graph().get(key)
    asset, evaluation = key.asset_key.to_user_string(), record.evaluation if record else None
    if record is None or evaluation is None:
        return Verdict(asset, key.name, "not run", blocking=node.blocking, description=why_not_run(key))
    return Verdict(
        asset,
        key.name,
        "passed" if evaluation.passed else "failed",
        evaluation.severity.value,
        node.blocking,
        evaluation.description or _said(evaluation, node.description or ""),
        _seconds(record, evaluation, seconds),
    )


def _said(evaluation: dg.AssetCheckEvaluation, must_hold: str) -> str:
    """For an evaluation that says nothing itself, such as that of a dbt test."""
    if evaluation.passed:
        return must_hold
    rows = evaluation.metadata.get("dagster_dbt/failed_row_count")
    return f"{f'{rows.value} rows are against it.' if rows else 'This does not hold.'} {must_hold}".strip()


def _seconds(record: AssetCheckExecutionRecord, evaluation: dg.AssetCheckEvaluation, seconds: Seconds) -> float | None:
    """What dbt says of its test; otherwise the time of the check's own step."""
    if duration := evaluation.metadata.get("Execution Duration"):
        return float(str(duration.value))
    return seconds.get((record.run_id, str(record.event.step_key))) if record.event else None


def _why_not_run(key: dg.AssetCheckKey, report: RunReport) -> str:
    asset = key.asset_key.to_user_string()
    maker = defs.resolve_asset_graph().get(key.asset_key).assets_def.op.name.replace("__", "/")
    for step in (f"{asset}_{key.name}", asset, maker):
        if step in report.errors:
            return report.errors[step]
    return f"{asset} was not made, because of what failed before it."
