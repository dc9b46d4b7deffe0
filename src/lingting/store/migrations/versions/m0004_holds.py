"""Legal holds: who holds a recording against deletion, since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    op.add_column("recordings", sa.Column("held_by", sa.Text))
    op.add_column("recordings", sa.Column("held_at", sa.DateTime(timezone=True)))
