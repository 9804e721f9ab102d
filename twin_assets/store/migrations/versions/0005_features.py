"""Features: chunks with their place, their words and all that is filtered; word statistics; models side by side; rows by author."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What is in the old tables is made anew from the cleaned documents by the next run.
TABLES = """
truncate features.chunks cascade;
alter table features.chunks
    add column starts integer not null,
    add column ends integer not null,
    add column headings text[] not null,
    add column context text not null,
    add column title text,
    add column url text,
    add column kind text not null,
    add column platform text not null,
    add column language text,
    add column published_at timestamptz,
    add column configuration text not null,
    add column lexemes tsvector not null;
-- Ranking looks at a chunk's lexemes once for each word of the query: kept outside of the row, they would be fetched as often.
alter table features.chunks alter column lexemes set storage external, set (toast_tuple_target = 8160);
create extension if not exists btree_gin;
create index chunks_lexemes on features.chunks using gin (author, lexemes) with (fastupdate = off);

create table features.terms (
    author text,
    term text,
    chunks integer not null,
    primary key (author, term)
);
create table features.corpora (
    author text primary key,
    chunks integer not null,
    configurations text[] not null
);
create table features.models (
    name text primary key,
    spec text not null,
    dimension integer not null,
    active boolean not null default false,
    created_at timestamptz not null default now()
);
create unique index models_one_active on features.models (active) where active;
"""

# Holds for everybody but the owner of the tables.
OWN_ROWS = """
alter table features.{table} enable row level security;
create policy own_rows on features.{table} for select using (author = current_setting('twin.author', true));
"""
OF_AUTHORS = ("chunks", "embeddings", "terms", "corpora")

# An index of words is closed to whom row-level security binds: asking it would tell of the words of others. So it is asked here,
# for the one author alone, and nothing but ids and scores comes out.
FIND_WORDS = r"""
create function features.find_words(
    words text, kinds text[], platforms text[], languages text[], since timestamptz, until timestamptz, exclude uuid[],
    label_weights real[], document_weight real, most integer
)
returns table (chunk_id uuid, score real)
language sql stable security definer parallel safe
set search_path = pg_catalog, pg_temp
as $$
    with corpus as materialized (
        select author, chunks, configurations
        from features.corpora
        where author = current_setting('twin.author')
    ),
    -- A word that one of the author's languages passes over says nothing in the others either.
    asked as materialized (
        select distinct unnest(forms.lexemes) as lexeme
        from corpus
        cross join lateral (select distinct word from string_to_table(find_words.words, ' ') as word) as spoken
        cross join lateral (
            select array_agg(form) as lexemes, bool_or(form is null) as is_passed_over
            from unnest(corpus.configurations) as configuration
            left join lateral unnest(tsvector_to_array(to_tsvector(configuration::regconfig, spoken.word))) as form on true
        ) as forms
        where not forms.is_passed_over
    ),
    known as materialized (
        select
            terms.term,
            ('''' || replace(replace(terms.term, '\', '\\'), '''', '''''') || '''')::tsquery as query,
            ln(1 + (corpus.chunks - terms.chunks + 0.5) / (terms.chunks + 0.5)) as idf,
            row_number() over rarest as place,
            sum(terms.chunks) over rarest as reach,
            corpus.chunks * exp(greatest(sum(ln(terms.chunks::float8 / corpus.chunks)) over rarest, -700)) as meet
        from corpus
        cross join asked
        join features.terms as terms on terms.author = corpus.author and terms.term = asked.lexeme
        window rarest as (order by terms.chunks, terms.term)
    ),
    said as materialized (
        select array_agg(query order by place) as queries, array_agg(idf order by place) as idfs
        from known
        where place <= 32
    ),
    -- The rarest words lead to the chunks, and all of them rank. Where even the rarest is in many, those with several of them together; and
    -- where so many would be left, too (reckoned as if words did not go together), the words tell no chunk from the others.
    leading_words as materialized (
        select coalesce(
            (select string_agg(query::text, ' | ')::tsquery from known where reach <= 1000),
            (select string_agg(query::text, ' & ')::tsquery from known where place <= (select min(place) from known where meet <= 1000))
        ) as query
    )
    -- A document that speaks of it elsewhere, too, makes each of its chunks more likely.
    select id, (own + document_weight * max(own) over (partition by document_id))::real as score
    from (
        select chunks.id, chunks.document_id, rank.score as own
        from corpus
        cross join said
        join features.chunks as chunks
            on chunks.author = corpus.author and chunks.lexemes @@ (select query from leading_words)
        cross join lateral (
            select sum(one.idf * ts_rank(label_weights, chunks.lexemes, one.query)) as score
            from unnest(said.queries, said.idfs) as one (query, idf)
        ) as rank
        where (kinds is null or chunks.kind = any(kinds))
            and (platforms is null or chunks.platform = any(platforms))
            and (languages is null or chunks.language = any(languages))
            and (since is null or chunks.published_at >= since)
            and (until is null or chunks.published_at < until)
            and (exclude is null or chunks.document_id <> all(exclude))
    ) as ranked
    order by score desc, id
    limit most
$$;
"""

DOWNGRADE = """
drop function features.find_words;
drop policy own_rows on features.chunks;
drop policy own_rows on features.embeddings;
alter table features.chunks disable row level security;
alter table features.embeddings disable row level security;
drop table features.models, features.corpora, features.terms;
truncate features.chunks cascade;
alter table features.chunks
    drop column starts, drop column ends, drop column headings, drop column context, drop column title, drop column url, drop column kind,
    drop column platform, drop column language, drop column published_at, drop column configuration, drop column lexemes;
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table in OF_AUTHORS:
        op.execute(OWN_ROWS.format(table=table))
    op.execute(FIND_WORDS)


def downgrade() -> None:
    op.execute(DOWNGRADE)
