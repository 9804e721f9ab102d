"""Roles. Changes no table: the rights stand in ``twin_assets/store/roles.py`` and follow every migration."""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing beside what ``Database.migrate`` does after it."""


def downgrade() -> None:
    """Nothing: the roles may serve another database, and rights on tables go with the tables."""
