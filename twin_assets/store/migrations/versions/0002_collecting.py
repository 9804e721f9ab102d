"""Collecting: what the owner says of a source, kept pages, how each read ended, and works with several copies."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
alter table registry.authors add column names jsonb not null default '[]'::jsonb;
comment on column registry.authors.names is 'Names and handles that the author publishes under.';

alter table registry.sources add column until timestamptz;
alter table registry.sources add column ai_assisted boolean not null default false;
alter table registry.sources add column schedule text;
comment on column registry.sources.until is 'Writing from this moment on is not learned from.';
comment on column registry.sources.ai_assisted is 'Nothing of this source is learned from.';
comment on column registry.sources.schedule is 'When a source on the web is read, as cron in UTC; empty is the setting''s.';

alter table ingest.raw_posts add column canonical_url text;
alter table ingest.raw_posts add column edited_at timestamptz;
alter table ingest.raw_posts add column revision integer not null default 1;
alter table ingest.raw_posts add column missing_since timestamptz;
alter table ingest.raw_posts add column work uuid;
comment on column ingest.raw_posts.canonical_url is 'Where the platform says the original stands, if not here.';
comment on column ingest.raw_posts.edited_at is 'Last edit, as the platform says.';
comment on column ingest.raw_posts.revision is 'Counts the changes of the content.';
comment on column ingest.raw_posts.missing_since is 'When the post was first found gone; a tombstone needs a second time, a day later.';
comment on column ingest.raw_posts.work is 'The post that stands for this work; another one than itself: this is a cross-post of it.';
update ingest.raw_posts set work = id;

create table ingest.pages (
    author text,
    url text,
    status integer not null,
    final_url text not null,
    headers jsonb not null,
    content bytea not null,
    fetched_at timestamptz not null,
    primary key (author, url)
);
comment on table ingest.pages is 'Web answers, kept so that they are asked for again only when they changed, and once in a crawl.';
comment on column ingest.pages.content is 'The body, gzip.';

create table ingest.reads (
    author text,
    source text,
    started_at timestamptz not null,
    finished_at timestamptz,
    outcome text not null,
    detail text not null,
    requests integer not null default 0,
    reader text not null default '',
    primary key (author, source)
);
comment on table ingest.reads is 'How the last read of each source ended.';
comment on column ingest.reads.started_at is 'When the crawl began; one that was killed is gone on with, not begun anew.';
comment on column ingest.reads.outcome is 'ok, or why not: needs_login, challenge, gone, timeout, truncated, ...';
comment on column ingest.reads.detail is 'The outcome in words, for a person.';
comment on column ingest.reads.reader is 'What read it when it last could be read: a source that turns into another kind of thing is a broken one.';
"""

DOWNGRADE = """
drop table ingest.reads;
drop table ingest.pages;
alter table ingest.raw_posts drop column work, drop column missing_since, drop column revision, drop column edited_at,
    drop column canonical_url;
alter table registry.sources drop column schedule, drop column ai_assisted, drop column until;
alter table registry.authors drop column names;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
