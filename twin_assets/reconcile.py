"""What is behind: assets that are missing, or were made from content that has changed since, as Dagster's data versions tell.

Automation reacts to changes as they happen. A change that lands between two of its ticks, or a run that failed, would wait for the
next change; looking at what each asset consumed and what there is now finds both.
"""

import hashlib
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus  # as the UI does; dagster is pinned
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.loader import LoadingContext
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from twin_assets.partitions import authors

IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, slots=True)
class Behind:
    """An asset of an author that has to be made again."""

    key: dg.AssetKey
    consumed: str
    """Hash of the versions that it would be made from: the same ones are not tried twice."""


@dataclass
class _Loading(LoadingContext):
    """One look at the instance: what was read once is not read again."""

    _instance: dg.DagsterInstance
    _loaders: dict[type, Any] = field(default_factory=dict)

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, Any]:
        return self._loaders


def behind(instance: dg.DagsterInstance, graph: BaseAssetGraph, author: str) -> list[Behind]:
    """The first assets that are behind on each path of the graph; what follows them is behind because of them.

    Args:
        instance: Where the materializations are recorded.
        graph: The assets of the code location.
        author: The partition.
    """
    resolver = CachingStaleStatusResolver(instance, graph, _Loading(instance))
    status = {key: resolver.get_status(key, author) for key in graph.get_all_asset_keys()}
    late = {key for key, found in status.items() if found != StaleStatus.FRESH}
    first = sorted(key for key in late if not set(graph.get(key).parent_keys) & late)
    return [Behind(key, _versions(resolver, graph.get(key).parent_keys, author)) for key in first]


def busy(instance: dg.DagsterInstance, author: str) -> bool:
    """Whether a run of the author is waiting or going on."""
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": author}, statuses=IN_PROGRESS), limit=1)
    return bool(runs)


def known_authors(instance: dg.DagsterInstance) -> list[str]:
    """The partitions of the graph."""
    return list(instance.get_dynamic_partitions(str(authors.name)))


def held(instance: dg.DagsterInstance, graph: BaseAssetGraph, key: dg.AssetKey, author: str) -> bool:
    """Whether a blocking check on something that the asset is made from has not passed the last time it looked at the author.

    One that broke or never looked has said nothing, as for the automation condition.
    """
    checks = [
        check
        for check in graph.get_check_keys_for_assets(set(graph.get(key).parent_keys))
        if graph.get(check).blocking  # pyright: ignore[reportAttributeAccessIssue]  # a check's node
    ]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks, PartitionKeyFilter(key=author))
    return any(check not in latest or latest[check].status != AssetCheckExecutionRecordStatus.SUCCEEDED for check in checks)


def _versions(resolver: CachingStaleStatusResolver, keys: Set[dg.AssetKey], author: str) -> str:
    versions = [f"{key.to_user_string()}={resolver.get_current_data_version(key, author).value}" for key in sorted(keys)]
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]
