"""Where each author stands: what was learned from, the newest versions, and what is behind."""

from collections.abc import Sequence
from dataclasses import dataclass

from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from sqlalchemy import text

from twin_assets.ingest.crawls import Read, last_reads, unanswered
from twin_assets.reconcile import Behind, behind
from twin_assets.settings import Settings
from twin_assets.store import roles
from twin_assets.store.database import Database, open_database
from twin_assets.store.registry import Deployment, Registry
from twin_assets.writing import model_server

_CLEANED = "select count(*), coalesce(sum(voice_words), 0) from cleaning.cleaned_documents where author = :author"


@dataclass(frozen=True, slots=True)
class AuthorStatus:
    """One line of ``twin status``."""

    author: str
    documents: int
    words: int
    model: str
    voice: str
    serves: str
    stale: list[str]
    unread: list[Read]
    """Sources whose last read did not end well."""


def author_status(settings: Settings) -> list[AuthorStatus]:
    """The state of every author."""
    from twin_assets.definitions import defs
    from twin_assets.runs import dagster_instance

    database = open_database(settings)
    registry = Registry(database)
    graph = defs.resolve_asset_graph()
    with dagster_instance(settings) as instance:
        stale = {author: _names(graph, behind(instance, graph, author)) for author in registry.authors()}
    return [_status(author, database, registry, late) for author, late in stale.items()]


def raw_text_exposure(settings: Settings) -> str:
    """Whether the stages after cleaning can read raw text, tried as they would, and what to do about it; empty when they cannot."""
    with open_database(settings).begin() as connection:
        if not roles.raw_text_is_readable(connection):
            return ""
        statements = roles.missing(connection)
    if statements:
        return f"Every stage can read raw text. An administrator of the database has to run: {statements}"
    return f"Every stage can read raw text: {roles.Role.DOWNSTREAM} was given rights that are not in twin_assets/store/roles.py."


def _names(graph: BaseAssetGraph, late: Sequence[Behind]) -> list[str]:
    """Assets by name; those that are made together, such as the dbt models, by the name of what makes them."""
    made = [graph.get(asset.key).assets_def for asset in late]
    return list(dict.fromkeys(one.op.name if len(one.keys) > 1 else one.key.path[-1] for one in made))


def _status(author: str, database: Database, registry: Registry, stale: list[str]) -> AuthorStatus:
    model, report = registry.latest_model(author), registry.latest_artifact(author, "eval_report")
    documents, words = _counts(database, author)
    figures = report.figures if report else {}
    return AuthorStatus(
        author=author,
        documents=documents,
        words=words,
        model=f"{model.version} ({model.status})" if model else "none",
        voice=f"{figures['voice_base']:.2f} -> {figures['voice_twin']:.2f}" if "voice_twin" in figures else "not measured",
        serves=_serves(registry.deployment(author)),
        stale=stale,
        unread=unanswered(last_reads(database, author)),
    )


def _serves(deployment: Deployment | None) -> str:
    if deployment is None:
        return "nothing"
    up = model_server.healthy(deployment.url, deployment.model_version)
    return f"{deployment.model_version} at {deployment.url}" if up else f"{deployment.model_version} (stopped; `twin up` starts it)"


def _counts(database: Database, author: str) -> tuple[int, int]:
    """Documents and their words."""
    with database.begin() as connection:
        if connection.execute(text("select to_regclass('cleaning.cleaned_documents')")).scalar() is None:
            return 0, 0
        documents, words = connection.execute(text(_CLEANED), {"author": author}).one()
    return int(documents), int(words)
