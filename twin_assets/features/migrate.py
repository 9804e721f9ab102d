"""Changes the embedding model: the new vectors grow beside the old ones, are compared with them, and take over in one moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select, text

from twin_assets.cleaning.documents import load_documents
from twin_assets.cleaning.quality import Finding
from twin_assets.features.chunking import MAX_TOKENS
from twin_assets.features.embedders import active, active_embedder, register
from twin_assets.features.embedding import embed, ensure_index, index_name
from twin_assets.features.golden import MIN_QUESTIONS, TOLERANCE, Figures, has_not_regressed, measure
from twin_assets.features.questions import make_questions
from twin_assets.models import Embedder, embedder
from twin_assets.settings import Settings
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.tables import chunks, embedders

log = structlog.get_logger(__name__)

# Nobody adds chunks between the count and the switch; they can be read all the time.
HOLD_CHUNKS = "lock table features.chunks in share mode"

WITHOUT_VECTOR = """
select count(*)
from features.chunks c
where not exists (select from features.embeddings e where e.chunk_id = c.id and e.model = :name)
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The golden set of one author, asked with both models."""

    author: str
    old: Figures
    new: Figures
    finding: Finding

    def __str__(self) -> str:
        old, new = self.old, self.new
        return f"{self.author}: recall@10 {old.recall_at_10:.3f} -> {new.recall_at_10:.3f}, MRR {old.mrr:.3f} -> {new.mrr:.3f}, n={new.n}"


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a migration did.

    Attributes:
        previous: The model that was active before; None if there was none.
        model: The one that is active now.
        embedded: Texts given to the new model.
        comparisons: By author; empty when there was nothing to compare.
        dropped: Vectors of other models that were deleted.
    """

    previous: str | None
    model: str
    embedded: int
    comparisons: tuple[Comparison, ...]
    dropped: int


def migrate(
    database: Database,
    settings: Settings,
    spec: str,
    *,
    force: bool = False,
    drop_old: bool = False,
    tolerance: float = TOLERANCE,
    progress: Callable[[str], None] = lambda line: None,
) -> MigrationReport:
    """Makes another embedding model the active one, when it finds no less than the one before.

    Until the switch every search goes on with the old model, and after it the old vectors stay: migrating back only compares and switches.
    A killed migration is gone on with by calling it again.

    Args:
        database: The warehouse.
        settings: For the models.
        spec: The new model: ``package:NAME``, a hub id, or a folder.
        force: Switch even if the new model is worse, or the old one is not here any more to compare with.
        drop_old: Delete the vectors of all other models afterwards.
        tolerance: How much recall@10 or MRR of an author may fall.
        progress: Told in words how far it is.

    Raises:
        TwinError: When the new model cannot be used, or is worse; then nothing was switched.
    """
    new = embedder(spec, settings)
    with database.begin() as connection:
        held = active(connection)
    previous = held.name if held else None
    embedded, comparisons = 0, []
    if previous != new.name:
        old = _old_embedder(database, settings, force) if held else None
        embedded = _embed_all(database, new, progress)
        if old:
            comparisons = _compare(database, old, new, tolerance, progress)
            _refuse_the_worse(comparisons, old, new, force)
            _refuse_the_unknown(comparisons, old, new, force)
        while not _switch(database, new):
            embedded += _embed_all(database, new, progress)  # what was written meanwhile
        log.info("embedding model switched", previous=previous, model=new.name, compared=[str(one) for one in comparisons])
    dropped = _drop_others(database, new) if drop_old else 0
    return MigrationReport(previous, new.name, embedded, tuple(comparisons), dropped)


def _old_embedder(database: Database, settings: Settings, force: bool) -> Embedder | None:
    try:
        return active_embedder(database, settings)
    except TwinError as error:
        if not force:
            raise
        log.warning("the old embedding model is not compared with", reason=str(error))
        return None


def _embed_all(database: Database, new: Embedder, progress: Callable[[str], None]) -> int:
    with database.begin() as connection:
        register(connection, new)
    embedded = 0
    for author in _authors(database):
        embedded += embed(database, author, new, progress=lambda state, author=author: progress(f"{author}: {state}")).embedded
    progress("Building the index")
    ensure_index(database, new)
    return embedded


def _authors(database: Database) -> Sequence[str]:
    with database.begin() as connection:
        return connection.scalars(select(chunks.c.author).distinct().order_by(chunks.c.author)).all()


def _compare(database: Database, old: Embedder, new: Embedder, tolerance: float, progress: Callable[[str], None]) -> list[Comparison]:
    comparisons = []
    for author in _authors(database):
        questions = make_questions(load_documents(database, author))
        before, now = (measure(database, author, model, questions) for model in (old, new))
        comparisons.append(Comparison(author, before, now, has_not_regressed(now, before, tolerance)))
        progress(str(comparisons[-1]))
    return comparisons


def _refuse_the_worse(comparisons: Sequence[Comparison], old: Embedder, new: Embedder, force: bool) -> None:
    worse = [comparison for comparison in comparisons if not comparison.finding.passed]
    if not worse:
        return
    lines = "\n".join(f"- {comparison}" for comparison in worse)
    if not force:
        raise TwinError(
            f"{new.name} finds less than {old.name}, which stays the active one:\n{lines}\n"
            "Choose another model, or switch in spite of it with --force."
        )
    log.warning("switching to an embedding model that finds less", figures=lines)


def _refuse_the_unknown(comparisons: Sequence[Comparison], old: Embedder, new: Embedder, force: bool) -> None:
    unknown = []
    if comparisons and max(one.new.n for one in comparisons) < MIN_QUESTIONS:
        unknown.append("no author has written enough to make questions of, so nobody knows what it finds")
    if new.max_tokens < min(old.max_tokens, MAX_TOKENS):
        unknown.append(f"it reads {new.max_tokens} tokens of a passage, and passages were cut for {min(old.max_tokens, MAX_TOKENS)}")
    if unknown and not force:
        raise TwinError(f"{new.name} was not switched to: {'; '.join(unknown)}. Switch in spite of it with --force.")
    for reason in unknown:
        log.warning("switching to an embedding model that may find less", reason=reason)


def _switch(database: Database, new: Embedder) -> bool:
    """Makes the model the active one, unless a chunk has no vector of it yet."""
    with database.begin() as connection:
        connection.execute(text(HOLD_CHUNKS))
        if connection.scalar(text(WITHOUT_VECTOR), {"name": new.name}):
            return False
        connection.execute(embedders.update().where(embedders.c.active, embedders.c.name != new.name).values(active=False))
        connection.execute(embedders.update().where(embedders.c.name == new.name).values(active=True))
    return True


def _drop_others(database: Database, kept: Embedder) -> int:
    with database.begin() as connection:
        others = connection.scalars(select(embedders.c.name).where(~embedders.c.active, embedders.c.name != kept.name)).all()
        deleted = connection.execute(text("delete from features.embeddings where model = any(:others)"), {"others": list(others)}).rowcount
        connection.execute(embedders.delete().where(embedders.c.name.in_(others)))
        for name in others:  # last, for it keeps searches waiting
            connection.exec_driver_sql(f"drop index if exists features.{index_name(name)}")
    return deleted
