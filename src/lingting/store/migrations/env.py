"""Alembic runs this; the connection and its transaction are those of ``store.migrating``."""

from alembic import context

from lingting.store.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
)
context.run_migrations()
