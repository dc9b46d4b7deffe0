"""Legal holds; indices for pages of a tag and of an owner."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"

Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("recordings", sa.Column("held_by", sa.Text))
    op.add_column("recordings", sa.Column("held_at", Time))
    op.create_index(
        "recordings_by_owner", "recordings", ["owner", "deleted_at", "created_at", "id"]
    )
    op.add_column(
        "tags",
        sa.Column("created_at", Time, nullable=False, server_default="1970-01-01 00:00:00"),
    )
    op.execute(
        "update tags set created_at ="
        " (select r.created_at from recordings r where r.id = tags.recording_id)"
    )
    op.drop_index("tags_by_tag", "tags")
    op.create_index("tags_by_time", "tags", ["tag", "created_at", "recording_id"])
