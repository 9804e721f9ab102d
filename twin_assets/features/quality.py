"""What must hold of the features: nothing that was cleaned is missing from them, and every vector is sound."""

from sqlalchemy import text

from twin_assets.cleaning.quality import Finding
from twin_assets.store.database import Database

UNCOVERED = """
select d.title, d.url
from cleaning.cleaned_documents d
where d.author = :author
  and d.text_for_rag ~ '\\S'
  and not exists (select from features.chunks c where c.document_id = d.document_id)
order by d.document_id
"""

STALE = """
select count(*)
from features.chunks c
left join cleaning.cleaned_documents d on d.document_id = c.document_id
where c.author = :author
  and substr(d.text_for_rag, c.starts + 1, c.ends - c.starts) is distinct from c.text
"""

VECTORS = """
select count(*) as chunks,
       count(e.chunk_id) as vectors,
       count(*) filter (where abs(l2_norm(e.embedding) - 1) > 0.01) as not_of_unit_length
from features.chunks c
left join features.embeddings e on e.chunk_id = c.id and e.model = :model
where c.author = :author
"""


def uncovered_documents(database: Database, author: str) -> list[str]:
    """Titles (or addresses) of the author's cleaned documents that have text but no chunk."""
    with database.begin() as connection:
        rows = connection.execute(text(UNCOVERED), {"author": author}).all()
    return [row.title or row.url or "untitled" for row in rows]


def chunks_cover_documents(uncovered: list[str]) -> Finding:
    """Passes when no document with text is without chunks."""
    if not uncovered:
        return Finding(True, "Every cleaned document with text has chunks.", {"uncovered": 0})
    return Finding(False, f"No chunks of: {', '.join(uncovered[:10])}", {"uncovered": len(uncovered)})


def stale_chunks(database: Database, author: str) -> int:
    """How many of the author's chunks do not stand in the cleaned documents as those are now."""
    with database.begin() as connection:
        return connection.scalar(text(STALE), {"author": author}) or 0


def vector_counts(database: Database, author: str, model: str) -> dict[str, int]:
    """The author's ``chunks``, their ``vectors`` of one model, and those ``not_of_unit_length``."""
    with database.begin() as connection:
        return dict(connection.execute(text(VECTORS), {"author": author, "model": model}).mappings().one())


def every_chunk_embedded(counts: dict[str, int]) -> Finding:
    """Passes when there are as many vectors as chunks, all of unit length."""
    missing = counts["chunks"] - counts["vectors"]
    passed = missing == 0 and counts["not_of_unit_length"] == 0
    description = f"{missing} chunks have no vector; {counts['not_of_unit_length']} vectors are not of unit length."
    return Finding(passed, "Every chunk has its vector." if passed else description, {**counts})


def in_step(uncovered: list[str], stale: int, counts: dict[str, int]) -> Finding:
    """Passes when the search finds the documents as they are: all are covered, no chunk is of an older text, and each has its vector."""
    findings = chunks_cover_documents(uncovered), every_chunk_embedded(counts)
    wrong = [finding.description for finding in findings if not finding.passed]
    if stale:
        wrong.append(f"{stale} chunks are of documents that are gone or were changed.")
    return Finding(not wrong, " ".join(wrong) or "The features are in step with the documents.", {**counts, "stale": stale})
