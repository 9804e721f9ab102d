"""The features of an author: chunks of the cleaned documents, and their vectors."""

import hashlib

import dagster as dg
from sqlalchemy import select

from twin_assets import models
from twin_assets.cleaning.documents import load_documents
from twin_assets.features.chunking import CHUNKER, MAX_TOKENS
from twin_assets.features.embedding import sync_chunks, sync_embeddings
from twin_assets.partitions import authors
from twin_assets.resources import PlatformResource
from twin_assets.store import tables
from twin_assets.store.database import Database


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
    """Pieces of the author's documents, split along headings, paragraphs and code, small enough for the embedder to read whole.

    Only what changed is written; chunks of what was edited or deleted go, and their vectors with them.
    """
    author, database, settings = context.partition_key, platform.database(), platform.settings()
    embedder = models.embedder(settings.embedder, settings)
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
    code_version="v1",
)
def embeddings(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
    """One vector per chunk in pgvector (``halfvec``, HNSW): what drafts are grounded in is found through them.

    Only text that this model has never read is embedded; a killed run goes on where it stopped.
    """
    author, database, settings = context.partition_key, platform.database(), platform.settings()
    embedder = models.embedder(settings.embedder, settings)
    report = sync_embeddings(
        database, author, embedder, progress=lambda done, total: context.log.info(f"Embedded {done:,} of {total:,} chunks")
    )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(_vectors_version(database, author, embedder.name)),
        metadata={
            "chunks": report.total,
            "embedded": report.embedded,
            "reused": report.reused,
            "model": embedder.name,
            "dimension": embedder.dimension,
            "dagster/partition_row_count": report.total,
        },
    )


def _sample(database: Database, author: str, rows: int = 5) -> dg.MetadataValue:
    columns = [tables.chunks.c.position, tables.chunks.c.words, tables.chunks.c.text]
    with database.begin() as connection:
        found = connection.execute(select(*columns).where(tables.chunks.c.author == author).order_by(tables.chunks.c.id).limit(rows)).all()
    records = [dg.TableRecord({"position": row.position, "words": row.words, "text": row.text[:200]}) for row in found]
    schema = dg.TableSchema([dg.TableColumn("position", "int"), dg.TableColumn("words", "int"), dg.TableColumn("text", "string")])
    return dg.MetadataValue.table(records, schema=schema)


def _vectors_version(database: Database, author: str, model: str) -> str:
    held = tables.embeddings.c
    query = select(held.chunk_id, held.content_hash).where(held.author == author, held.model == model).order_by(held.chunk_id)
    digest = hashlib.sha256(model.encode())
    with database.begin() as connection:
        for row in connection.execute(query):
            digest.update(f"\n{row.chunk_id} {row.content_hash}".encode())
    return digest.hexdigest()[:16]
