"""The keys of a training recipe that are an author's own."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table registry.authors add column overrides jsonb not null default '{}'::jsonb")


def downgrade() -> None:
    op.execute("alter table registry.authors drop column overrides")
