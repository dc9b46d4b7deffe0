"""Glossaries: names and terms to expect, of one person or for all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "glossaries",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("department", sa.Text),
        sa.Column("words", sa.JSON, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("changed_at", Time, nullable=False),
        sa.UniqueConstraint("owner", "name", name="glossaries_name"),
    )
    # No owner is not equal to no owner, so the names of those for all need an index of their own.
    op.create_index(
        "glossaries_for_all", "glossaries", ["name"], unique=True,
        sqlite_where=sa.text("owner is null"), postgresql_where=sa.text("owner is null"),
    )  # fmt: skip
