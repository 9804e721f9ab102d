"""The features of an author: chunks of the cleaned documents, their vectors, and how well search finds what it is asked for."""

import base64

import dagster as dg
from sqlalchemy import select

from twin_assets.cleaning.documents import load_documents
from twin_assets.features import golden
from twin_assets.features.chunking import CHUNKER, MAX_TOKENS
from twin_assets.features.embedders import active_embedder
from twin_assets.features.embedding import sync_embeddings, vectors_version
from twin_assets.features.questions import make_questions
from twin_assets.features.search import RANKING
from twin_assets.features.sync import sync_chunks
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.store import tables
from twin_assets.store.database import Database

VERSIONS_SHOWN = 30


@dg.asset(
    key_prefix="features",
    group_name="features",
    deps=[dg.AssetKey(["cleaning", "cleaned_documents"])],
    partitions_def=authors,
    kinds={"python", "postgres"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version=CHUNKER,
)
def chunks(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """Pieces of the author's documents, small enough for the embedder to read whole.

    Posts stay as they are; articles are split along headings and paragraphs, code along classes and functions. Each keeps its place in the
    document, the headings above it, and all that a search filters by; its words are counted for the search by words. Only what changed is
    written; chunks of what was edited or deleted go, and their vectors with them.
    """
    author, database, settings = context.partition_key, platform.database(), platform.settings()
    embedder = active_embedder(database, settings)
    documents = load_documents(database, author)
    report = sync_chunks(database, author, documents, embedder.count_tokens, min(MAX_TOKENS, embedder.max_tokens))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.version),
        metadata={
            "documents": len(documents),
            "chunks": report.written + report.kept,
            "written": report.written,
            "kept": report.kept,
            "deleted": report.deleted,
            "sample": _sample(database, author),
            "dagster/partition_row_count": report.written + report.kept,
        },
    )


@dg.asset(
    key_prefix="features",
    group_name="features",
    deps=[chunks],
    partitions_def=authors,
    kinds={"python", "postgres", "huggingface"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version="v2",
)
def embeddings(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """One vector per chunk in pgvector (``halfvec``, HNSW): what drafts are grounded in is found through them.

    Only text that this model has never read is embedded; a killed run goes on where it stopped. Another model takes over by
    ``twin features migrate``.
    """
    author, database, settings = context.partition_key, platform.database(), platform.settings()
    embedder = active_embedder(database, settings)
    report = sync_embeddings(database, author, embedder, progress=lambda state: context.log.info(str(state)))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(vectors_version(database, author, embedder.name)),
        metadata={
            "chunks": report.total,
            "embedded": report.embedded,
            "reused": report.reused,
            "model": embedder.name,
            "dimension": embedder.dimension,
            "dagster/partition_row_count": report.total,
        },
    )


@dg.asset(
    key_prefix="features",
    group_name="features",
    deps=[embeddings],
    partitions_def=authors,
    kinds={"python", "postgres"},
    owners=["team:twin"],
    tags={"cost": "cpu"},
    code_version=RANKING,
)
def golden_set(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """How well the search finds what it is asked for: questions with known answers, asked anew whenever the features change.

    They are made by rules from headings and first sentences of the author's documents.
    ``recall_at_10`` is the share of questions whose answer is among the first ten passages, ``mrr`` the mean of one over its place. The
    questions are easier than those of people: the figures tell one version from another, and the check below them fails when answers
    that were found before are lost. The plot shows all versions.
    """
    author, database, settings = context.partition_key, platform.database(), platform.settings()
    questions = make_questions(load_documents(database, author))
    figures = golden.measure(database, author, active_embedder(database, settings), questions)
    golden.record(platform.registry(), platform.artifacts(), author, figures)
    picture = base64.b64encode(golden.draw(platform.registry().artifacts(author, golden.KIND)[:VERSIONS_SHOWN][::-1])).decode()
    return dg.MaterializeResult(
        data_version=dg.DataVersion(figures.version),
        metadata={
            **figures.numbers(),
            "over_time": dg.MetadataValue.md(f"![recall and latency, version by version](data:image/png;base64,{picture})"),
            "missed": dg.MetadataValue.md(golden.missed(figures)),
        },
    )


def _sample(database: Database, author: str, rows: int = 5) -> dg.MetadataValue:
    held = tables.chunks.c
    query = select(held.context, held.starts, held.ends, held.words, held.text).where(held.author == author).order_by(held.id).limit(rows)
    with database.begin() as connection:
        records = [dg.TableRecord({**row, "text": row["text"][:200]}) for row in connection.execute(query).mappings()]
    types = {"context": "string", "starts": "int", "ends": "int", "words": "int", "text": "string"}
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name, kind) for name, kind in types.items()]))
