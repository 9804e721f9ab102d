"""First tables."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
create extension if not exists vector;
create schema if not exists ingest;
create schema if not exists cleaning;
create schema if not exists features;
create schema if not exists registry;
create sequence registry.sequence;

create table registry.authors (
    name text primary key,
    created_at timestamptz not null default now()
);
comment on table registry.authors is 'One row per author: a partition of the asset graph.';

create table registry.sources (
    author text references registry.authors (name) on delete cascade,
    location text,
    created_at timestamptz not null default now(),
    primary key (author, location)
);
comment on table registry.sources is 'Where an author''s writing is read from.';
comment on column registry.sources.location is 'A path or a URL.';

create table ingest.raw_posts (
    id uuid primary key,
    author text not null,
    source text not null,
    origin text not null,
    platform text not null,
    kind text not null,
    state text not null,
    reason text not null,
    title text,
    url text,
    byline text,
    published_at timestamptz,
    blocks jsonb not null,
    words integer not null,
    content_hash text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create index raw_posts_author on ingest.raw_posts (author);

create table features.chunks (
    id uuid primary key,
    author text not null,
    document_id uuid not null,
    position integer not null,
    text text not null,
    words integer not null,
    content_hash text not null,
    chunker text not null
);
create index chunks_author on features.chunks (author);
create index chunks_document on features.chunks (document_id);

create table features.embeddings (
    chunk_id uuid references features.chunks (id) on delete cascade,
    model text,
    author text not null,
    content_hash text not null,
    embedding halfvec not null,
    primary key (chunk_id, model)
);
create index embeddings_author on features.embeddings (author);
create index embeddings_content on features.embeddings (model, content_hash);

create table registry.artifacts (
    author text,
    kind text,
    version text,
    uri text not null,
    figures jsonb not null default '{}'::jsonb,
    sequence bigint not null default nextval('registry.sequence'),
    created_at timestamptz not null default now(),
    primary key (author, kind, version)
);

create table registry.models (
    version text primary key,
    author text not null,
    dataset_version text not null,
    config_hash text not null,
    base_model text not null,
    adapter_uri text not null,
    figures jsonb not null default '{}'::jsonb,
    status text not null,
    sequence bigint not null default nextval('registry.sequence'),
    created_at timestamptz not null default now()
);
create index models_author on registry.models (author);

create table registry.deployments (
    author text primary key,
    model_version text not null references registry.models (version),
    engine text not null,
    url text not null,
    model_uri text not null,
    pid integer,
    deployed_at timestamptz not null default now()
);
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute("drop schema ingest, cleaning, features, registry cascade")
