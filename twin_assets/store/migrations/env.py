"""Alembic environment: runs inside the transaction of the connection that ``Database.migrate`` passes in."""

from alembic import context

from twin_assets.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
