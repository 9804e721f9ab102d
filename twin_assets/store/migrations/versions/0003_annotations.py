"""Annotations: what SQL cannot see of the kept posts."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = """
create table cleaning.annotations (
    document_id uuid primary key references ingest.raw_posts (id) on delete cascade,
    author text not null,
    content_hash text not null,
    annotator text not null,
    language text,
    masks jsonb not null,
    repetition double precision not null,
    machine_markers integer not null
);
create index annotations_author on cleaning.annotations (author);
comment on table cleaning.annotations is 'What SQL cannot see of the kept posts.';
comment on column cleaning.annotations.content_hash is 'Of the raw post that was looked at.';
comment on column cleaning.annotations.annotator is 'Version of what looked at it: its rules, its libraries and their settings.';
comment on column cleaning.annotations.language is 'Of the own prose, ISO 639-1; empty where there is too little to tell.';
comment on column cleaning.annotations.masks is 'Where private things stand: [{"block", "start", "end", "placeholder"}]. Blocks count from 1, '
    '0 is the title; characters from 0; in order, none overlapping another.';
comment on column cleaning.annotations.repetition is 'Share of the own prose that repeats itself, 0 to 1.';
comment on column cleaning.annotations.machine_markers is 'Leftovers of chatbots. A flag, never a verdict.';
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute("drop table cleaning.annotations")
