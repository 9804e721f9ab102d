"""Where each author stands: what was learned from, the newest versions, and what is behind."""

from dataclasses import dataclass

from sqlalchemy import text

from twin_assets.settings import Settings
from twin_assets.store.database import Database, open_database
from twin_assets.store.registry import Artifact, Deployment, Model, Registry
from twin_assets.writing import model_server

_CLEANED = "select count(*), coalesce(sum(voice_words), 0) from cleaning.cleaned_documents where author = :author"
_KEPT = """
select count(*) from ingest.raw_posts
where author = :author and state = 'kept' and deleted_at is null and jsonb_array_length(blocks) > 0
"""
_NEW = f"{_KEPT} and id not in (select document_id from cleaning.int_blocks where author = :author)"  # noqa: S608  # no input in it
_GONE = """
select count(*) from cleaning.cleaned_documents as documents
left join ingest.raw_posts as posts on posts.id = documents.document_id and posts.deleted_at is null and posts.state = 'kept'
where documents.author = :author and posts.id is null
"""


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


def author_status(settings: Settings) -> list[AuthorStatus]:
    """The state of every author."""
    database = open_database(settings)
    registry = Registry(database)
    return [_status(author, database, registry) for author in registry.authors()]


def stale_assets(dataset: Artifact | None, model: Model | None, report: Artifact | None, deployment: Deployment | None) -> list[str]:
    """The assets that are missing or older than what they are made from, from the dataset on."""
    if dataset is None:
        return ["instruct_dataset"]
    if model is None or model.dataset_version != dataset.version:
        return ["adapter_weights"]
    if report is None or model.status == "trained":
        return ["eval_report"]
    if deployment is None or deployment.model_version != model.version:
        return ["tgi_deployment"]
    return []


def _status(author: str, database: Database, registry: Registry) -> AuthorStatus:
    model, deployment = registry.latest_model(author), registry.deployment(author)
    report = registry.latest_artifact(author, "eval_report")
    stale = stale_assets(registry.latest_artifact(author, "instruct_dataset"), model, report, deployment)
    documents, words, uncleaned = _counts(database, author)
    if uncleaned:
        stale.insert(0, "cleaned_documents")
    figures = report.figures if report else {}
    return AuthorStatus(
        author=author,
        documents=documents,
        words=words,
        model=f"{model.version} ({model.status})" if model else "none",
        voice=f"{figures['voice_base']:.2f} -> {figures['voice_twin']:.2f}" if "voice_twin" in figures else "not measured",
        serves=_serves(deployment),
        stale=stale,
    )


def _serves(deployment: Deployment | None) -> str:
    if deployment is None:
        return "nothing"
    up = model_server.healthy(deployment.url, deployment.model_version)
    return f"{deployment.model_version} at {deployment.url}" if up else f"{deployment.model_version} (stopped; `twin up` starts it)"


def _counts(database: Database, author: str) -> tuple[int, int, int]:
    """Documents, their words, and how many posts came or went since they were cleaned."""
    own = {"author": author}
    with database.begin() as connection:
        if connection.execute(text("select to_regclass('cleaning.cleaned_documents')")).scalar() is None:
            return 0, 0, connection.execute(text(_KEPT), own).scalar_one()
        documents, words = connection.execute(text(_CLEANED), own).one()
        behind = connection.execute(text(_GONE), own).scalar_one()
        if connection.execute(text("select to_regclass('cleaning.int_blocks')")).scalar() is not None:
            behind += connection.execute(text(_NEW), own).scalar_one()
    return int(documents), int(words), int(behind)
