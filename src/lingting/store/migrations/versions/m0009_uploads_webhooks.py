"""Resumable uploads; webhooks and what is to be delivered to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"

Time = sa.DateTime(timezone=True)
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("reach", sa.String(16), nullable=False),
        sa.Column("department", sa.Text),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("includes_text", sa.Boolean, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_until", Time),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("changed_at", Time, nullable=False),
        sa.Column("failing_since", Time),
        sa.Column("disabled_at", Time),
        sa.Column("disabled_for", sa.String(16)),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("webhook_id", sa.String(16), sa.ForeignKey("webhooks.id"), nullable=False),
        sa.Column("message_id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("next_at", Time, nullable=False),
        sa.Column("holder", sa.String(16)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("log", sa.JSON, nullable=False),
        sa.Column("finished_at", Time),
        sa.CheckConstraint(
            "state in ('pending', 'done', 'failed')", name="webhook_deliveries_state"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "webhook_deliveries_due", "webhook_deliveries", ["state", "next_at", "webhook_id"]
    )
    op.create_index("webhook_deliveries_of", "webhook_deliveries", ["webhook_id", "id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("department", sa.Text),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("received_bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("asked", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("key", sa.String(200)),
        sa.Column("holder", sa.String(16)),
        sa.Column("job_id", sa.String(16)),
        sa.Column("error", sa.JSON),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("changed_at", Time, nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.CheckConstraint("state in ('open', 'done', 'failed', 'ended')", name="uploads_state"),
    )
    op.create_index("uploads_of_owner", "uploads", ["owner", "state"])
    op.create_index("uploads_by_expiry", "uploads", ["expires_at"])
    op.create_index("uploads_by_fingerprint", "uploads", ["fingerprint"])
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.String(16), sa.ForeignKey("uploads.id"), primary_key=True),
        sa.Column("start_bytes", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
    )
