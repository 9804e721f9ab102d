"""Edits: drafts, and what their authors really published."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
create table registry.edits (
    id uuid primary key,
    author text not null references registry.authors (name) on delete cascade,
    prompt text not null,
    platform text,
    words integer,
    notes jsonb not null default '[]'::jsonb,
    draft text not null,
    published text not null,
    model_version text not null,
    created_at timestamptz not null default now()
);
create index edits_author on registry.edits (author);
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table registry.edits")
