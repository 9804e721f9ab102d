"""The gate: thresholds of each author, stages of models, and an audit of every step."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
alter table registry.authors add column thresholds jsonb not null default '{}'::jsonb;
update registry.models set status = 'candidate' where status in ('trained', 'evaluated');
create table registry.transitions (
    sequence bigint primary key default nextval('registry.sequence'),
    author text not null,
    model_version text not null,
    before text,
    after text not null,
    actor text not null,
    reason text not null,
    figures jsonb not null default '{}'::jsonb,
    created_at timestamptz not null default now()
);
create index transitions_author on registry.transitions (author, sequence);
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table registry.transitions")
    op.execute("update registry.models set status = 'evaluated' where status in ('candidate', 'accepted', 'rejected')")
    op.execute("alter table registry.authors drop column thresholds")
