"""Finds passages of one author by meaning and by words: the only way by which chunks are read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal
from uuid import UUID

from pgvector import HalfVector
from sqlalchemy import Connection, Text, TextClause, bindparam, text

from twin_assets.features.lexical import searchable
from twin_assets.models import Embedder
from twin_assets.store.database import Database
from twin_assets.store.errors import TwinError
from twin_assets.store.roles import Role

RANKING = "v3"
"""How passages are found and ranked: the golden set is measured anew when it changes."""
POOL = 100
"""Candidates of each way of searching: what is fused, and chosen from."""
EXACT = 10_000
"""Chunks up to which all of an author's vectors are compared: quicker there than the index, and nothing is missed."""
RRF = 10
"""The constant of reciprocal rank fusion (Cormack et al. 2009, doi:10.1145/1571941.1572114); their 60 loses the first places of short lists."""
LONGEST_QUERY = 10_000
SHORTEST = 300
"""Characters that a neighbour usually has at least, for how many of them are looked at."""

WEIGHTS = ("meaning_weight", "word_weight", "document_weight")
LABEL_WEIGHTS = [0.5, 0.0, 1.0, 0.5]
"""Of a word in the text (D), none (C), in the names that code defines (B), in the context (A), in the order of ``ts_rank``."""

FILTERS = """(cast(:kinds as text[]) is null or c.kind = any(cast(:kinds as text[])))
          and (cast(:platforms as text[]) is null or c.platform = any(cast(:platforms as text[])))
          and (cast(:languages as text[]) is null or c.language = any(cast(:languages as text[])))
          and (cast(:since as timestamptz) is null or c.published_at >= cast(:since as timestamptz))
          and (cast(:until as timestamptz) is null or c.published_at < cast(:until as timestamptz))
          and (cast(:exclude as uuid[]) is null or c.document_id <> all(cast(:exclude as uuid[])))"""

# The model is written into the statement as a literal: only then does every plan, a cached one too, match the partial index.
# A scan in relaxed order may swap neighbours, so the rows are put in order once more.
SEARCH = """
with nearest as materialized (
    select e.chunk_id, {distance} as distance
    from features.embeddings e
    {filtered}
    where e.author = :author and e.model = :model
    order by {order}
    limit :pool
),
meaning as (
    select
        chunk_id,
        row_number() over (order by closeness desc, chunk_id) as place,
        (closeness - min(closeness) over () + 0.01) / (max(closeness) over () - min(closeness) over () + 0.01) as share
    from (
        select
            nearest.chunk_id,
            1 - distance + cast(:document_weight as float8) * max(1 - distance) over (partition by c.document_id) as closeness
        from nearest
        join features.chunks c on c.id = nearest.chunk_id
    ) as close
),
words as materialized (
    select
        chunk_id,
        score,
        row_number() over (order by score desc, chunk_id) as place,
        score / nullif(max(score) over (), 0) as share
    from features.find_words(
        cast(:words as text), cast(:kinds as text[]), cast(:platforms as text[]), cast(:languages as text[]),
        cast(:since as timestamptz), cast(:until as timestamptz), cast(:exclude as uuid[]),
        cast(:label_weights as real[]), cast(:document_weight as real), cast(:pool as int)
    )
),
found as (
    select chunk_id, sum(points) as points
    from (
        select chunk_id, cast(:meaning_weight as float8) * {worth} as points from meaning
        union all
        select chunk_id, cast(:word_weight as float8) * {worth} from words
    ) as ranked
    group by chunk_id
    {cut}
)
select
    c.id as chunk_id, c.document_id, c.position, c.title, c.url, c.published_at, c.kind, c.platform, c.headings, c.starts, c.ends, c.text,
    {points} as score, 1 - ({distance}) as similarity, words.score as lexical, (select count(*) from nearest) as near{vector}
from found
join features.chunks c on c.id = found.chunk_id
left join features.embeddings e on e.chunk_id = c.id and e.model = :model
left join words on words.chunk_id = c.id
order by score desc, c.id
limit :most
"""

WORTH = {"scores": "coalesce(share, 1)", "ranks": "1.0 / (:rrf + place)"}

# Of a passage without a date nobody knows how old it is: it counts as one that is half as much worth.
AGED = """found.points * power(
        0.5::float8,
        coalesce(least(greatest(extract(epoch from now() - c.published_at)::float8, 0) / 86400 / cast(:half_life as float8), 1000), 1)
    )"""

NEIGHBOURS = """
select n.document_id, n.position, n.starts, n.ends, n.text, n.headings
from unnest(cast(:documents as uuid[]), cast(:positions as int[])) as hit (document_id, position)
join features.chunks n on n.document_id = hit.document_id and n.position between hit.position - :reach and hit.position + :reach
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk beside a passage."""

    position: int
    starts: int
    ends: int
    text: str
    headings: list[str]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a passage must be; an empty field asks for nothing. The author is no filter, but who is searched.

    Attributes:
        kinds: Such as ``post``, ``article``, ``note``, ``comment``, ``code``.
        platforms: Such as ``blog``, ``linkedin``, ``github``.
        languages: ISO 639-1.
        since: Published then or later.
        until: Published before.
        exclude: Documents to leave out, such as those held out for evaluation.
    """

    kinds: frozenset[str] = frozenset()
    platforms: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    exclude: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Options:
    """How to choose among what was found.

    Attributes:
        diversity: Between 0 and 1: how much a passage that is like one chosen before loses (maximal marginal relevance,
            Carbonell and Goldstein 1998, doi:10.1145/290941.291025). 0 chooses by rank alone.
        half_life_days: Age at which a passage counts half; undated ones count half. None: age does not count.
        expand: Characters up to which a passage grows into its neighbours under the same heading. 0 leaves it as it is.
        fusion: What counts of each way of searching. ``scores``: how much less a passage fits than the best one, so that a word that
            stands nowhere else decides (Bruch et al. 2023, doi:10.1145/3596512); ``ranks``: its place alone (reciprocal rank fusion).
        meaning_weight: Weight of the search by meaning.
        word_weight: Weight of the search by words.
        document_weight: How much the best passage of a document adds to the others of it, in both ways of searching.
        pool: Candidates of each way of searching.
        exact: Whether all of the author's vectors are compared, however many there are: the same question finds the same.
    """

    diversity: float = 0.0
    half_life_days: float | None = None
    expand: int = 0
    fusion: Literal["scores", "ranks"] = "scores"
    meaning_weight: float = 0.5
    word_weight: float = 1.0
    document_weight: float = 0.6
    pool: int = POOL
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the author's own writing, and where it stands.

    Attributes:
        starts: First character in the document's text for retrieval.
        ends: One behind the last.
        score: Fused from both ways of searching; comparable within one search only.
        similarity: Cosine with the query; None while the passage has no vector.
        lexical: Score of the words; None where only meaning led here.
    """

    chunk_id: UUID
    document_id: UUID
    position: int
    title: str | None
    url: str | None
    published_at: datetime | None
    kind: str
    platform: str
    headings: tuple[str, ...]
    starts: int
    ends: int
    text: str
    score: float
    similarity: float | None
    lexical: float | None


def search(
    database: Database,
    author: str,
    embedder: Embedder,
    query: str,
    limit: int,
    filters: Filters = Filters(),
    options: Options = Options(),
) -> list[Passage]:
    """The author's passages that fit a query, best first: by meaning and by words, in one statement.

    Args:
        database: The warehouse.
        author: Whose writing is searched; the rows of others cannot be seen while it runs.
        embedder: The model that the passages were embedded with.
        query: What to look for, in plain words; nothing in it is an operator.
        limit: How many passages at most. Fewer come only where fewer fit the filters.
        filters: What they must be.
        options: How to choose among them.

    Raises:
        TwinError: When the author has no chunks yet.
    """
    query = query[:LONGEST_QUERY].replace("\0", " ").encode("utf-8", "replace").decode()
    vector = embedder.encode([query])[0]
    with database.begin() as connection:
        size = _enter(connection, database, author, options.pool)
        values = {
            "author": author,
            "model": embedder.name,
            "query": HalfVector(vector).to_text(),
            "words": searchable(query),
            **({"rrf": RRF} if options.fusion == "ranks" else {}),
            "label_weights": LABEL_WEIGHTS,
            "most": max(limit, options.pool) if options.diversity else limit,
            "half_life": options.half_life_days,
            **_values(filters),
            **{name: getattr(options, name) for name in WEIGHTS},
            "pool": max(limit, options.pool),
        }
        is_exact = options.exact or size <= EXACT
        rows = connection.execute(_statement(embedder.dimension, filters, options, is_exact), values).all()
        # The index gives up before it meets the few that fit among many, or that lie far from the query.
        wanted = min(limit, size) if filters == Filters() else values["pool"]
        if not is_exact and (not rows or rows[0].near < wanted):
            rows = connection.execute(_statement(embedder.dimension, filters, options, True), values).all()
        if options.diversity:
            rows = _diverse(rows, limit, options.diversity)
        passages = [_passage(row._mapping) for row in rows]
        return _expanded(connection, passages, options.expand) if options.expand else passages


def _enter(connection: Connection, database: Database, author: str, pool: int) -> int:
    """Takes the role that sees this author's rows alone. Returns how many chunks there are."""
    settings = {
        "twin.author": author,
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.ef_search": str(min(max(2 * pool, 40), 1000)),
    }
    if database.role is Role.DOWNSTREAM:
        settings["role"] = Role.READER
    calls = ", ".join(f"set_config('{name}', :{name.replace('.', '_')}, true)" for name in settings)
    connection.execute(text(f"select {calls}"), {name.replace(".", "_"): value for name, value in settings.items()})
    size = connection.scalar(text("select chunks from features.corpora where author = :author"), {"author": author})
    if size is None:
        raise TwinError(f"There is nothing of {author} to search yet. Run: twin run {author} --to embeddings")
    return size


def _values(filters: Filters) -> dict[str, Any]:
    return {
        "kinds": sorted(filters.kinds) or None,
        "platforms": sorted(filters.platforms) or None,
        "languages": sorted(filters.languages) or None,
        "since": filters.since,
        "until": filters.until,
        "exclude": sorted(filters.exclude) or None,
    }


def _statement(dimension: int, filters: Filters, options: Options, is_exact: bool) -> TextClause:
    distance = f"(e.embedding::halfvec({dimension})) <=> cast(:query as halfvec({dimension}))"
    statement = SEARCH.format(
        distance=distance,
        order=f"({distance}) + 0, e.chunk_id" if is_exact else distance,
        filtered="" if filters == Filters() else f"join features.chunks c on c.id = e.chunk_id and {FILTERS}",
        worth=WORTH[options.fusion],
        points="found.points" if options.half_life_days is None else AGED,
        cut="order by points desc, chunk_id limit :most" if options.half_life_days is None else "",
        vector=", e.embedding::text as vector" if options.diversity else "",
    )
    return text(statement).bindparams(bindparam("model", type_=Text, literal_execute=True))


def _passage(row: Any) -> Passage:
    values = {name: row[name] for name in Passage.__slots__}
    return Passage(**{**values, "headings": tuple(row["headings"])})


def _diverse(rows: Sequence[Any], limit: int, diversity: float) -> list[Any]:
    """Maximal marginal relevance: one after the other, the best that is not too much like those chosen already."""
    import numpy as np

    if not rows:
        return []
    known = [HalfVector.from_text(row.vector).to_numpy() if row.vector else None for row in rows]
    nothing = np.zeros(max((len(vector) for vector in known if vector is not None), default=1))
    vectors = np.array([nothing if vector is None else vector for vector in known], dtype=np.float32)
    relevance = np.array([row.score for row in rows]) / rows[0].score
    likeness = np.zeros(len(rows))
    chosen: list[int] = []
    while len(chosen) < min(limit, len(rows)):
        gains = (1 - diversity) * relevance - diversity * likeness
        gains[chosen] = -np.inf
        chosen.append(int(np.argmax(gains)))
        likeness = np.maximum(likeness, vectors @ vectors[chosen[-1]])
    return [rows[at] for at in chosen]


def _expanded(connection: Connection, passages: Sequence[Passage], most: int) -> list[Passage]:
    """Each passage with its neighbours under the same heading; what meets in a document becomes one passage, at the better place."""
    reach = 1 + most // SHORTEST
    hits = {"documents": [p.document_id for p in passages], "positions": [p.position for p in passages], "reach": reach}
    around: dict[UUID, dict[int, Piece]] = defaultdict(dict)
    for document_id, *piece in connection.execute(text(NEIGHBOURS), hits):
        around[document_id][piece[0]] = Piece(*piece)
    grown: list[Passage] = []
    for passage in passages:
        run = _run(around[passage.document_id], passage.position, most)
        wide = replace(passage, starts=run[0].starts, ends=run[-1].ends, text=_joined(run))
        met = [other for other in grown if other.document_id == wide.document_id and _meet(other, wide)]
        if not met:
            grown.append(wide)
            continue
        pieces = around[passage.document_id]
        starts, ends = min(one.starts for one in (*met, wide)), max(one.ends for one in (*met, wide))
        inside = [pieces[at] for at in sorted(pieces) if starts <= pieces[at].starts and pieces[at].ends <= ends]
        grown[grown.index(met[0])] = replace(met[0], starts=starts, ends=ends, text=_joined(inside))
        grown = [other for other in grown if other not in met[1:]]
    return grown


def _run(pieces: Mapping[int, Piece], position: int, most: int) -> list[Piece]:
    """A piece with as many of its neighbours as fit, the one behind it first."""
    first = last = position
    open_ends = {1, -1}
    while open_ends:
        for step in (1, -1):
            at = (last if step == 1 else first) + step
            piece = pieces.get(at)
            span = max(pieces[last].ends, piece.ends) - min(pieces[first].starts, piece.starts) if piece else most + 1
            if step not in open_ends or piece is None or piece.headings != pieces[position].headings or span > most:
                open_ends.discard(step)
            elif step == 1:
                last = at
            else:
                first = at
    return [pieces[at] for at in range(first, last + 1)]


def _joined(run: Sequence[Piece]) -> str:
    """The text of pieces that follow each other; what separates them is white space, or they overlap."""
    text = run[0].text
    for before, piece in pairwise(run):
        gap = piece.starts - before.ends
        text += "\n\n"[:gap] + piece.text if gap > 0 else piece.text[-gap:]
    return text


def _meet(one: Passage, other: Passage) -> bool:
    return one.starts <= other.ends and other.starts <= one.ends
