"""Jobs, batches, their groups and events, workers; recordings whose length is not known yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    _allow_unknown_durations()
    _create_jobs()
    op.create_table(
        "job_groups",
        sa.Column("job_id", sa.String(16), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("clips", sa.Integer, nullable=False),
        sa.Column("end_s", sa.Double, nullable=False),
        sa.Column("segments", sa.JSON, nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("written_at", Time, nullable=False),
    )
    op.create_table(
        "job_events",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("at", Time, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(16)),
        sa.Column("batch_id", sa.String(16)),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("job_events_by_job", "job_events", ["job_id", "id"])
    op.create_index("job_events_by_batch", "job_events", ["batch_id", "id"])
    op.create_index("job_events_by_time", "job_events", ["at"])
    op.create_table(
        "job_requests",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", Time, nullable=False),
    )
    op.create_table(
        "job_shares",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("taken_s", sa.Double, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("seen_at", Time, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("is_live", sa.Boolean, nullable=False),
        sa.Column("jobs", sa.Integer, nullable=False),
        sa.Column("speed", sa.Double),
        sa.Column("late_writes", sa.Integer, nullable=False),
    )


def _create_jobs() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("is_paused", sa.Boolean, nullable=False),
    )
    op.create_index("batches_by_time", "batches", ["created_at", "id"])
    op.create_index("batches_of_owner", "batches", ["owner", "created_at", "id"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column(
            "recording_id", sa.String(16), sa.ForeignKey("recordings.id"), nullable=False
        ),
        sa.Column("batch_id", sa.String(16), sa.ForeignKey("batches.id")),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("started_at", Time),
        sa.Column("finished_at", Time),
        sa.Column("done_s", sa.Double, nullable=False),
        sa.Column("total_s", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.String(64)),
        sa.Column("error", sa.JSON),
        sa.Column("revision", sa.Integer),
        sa.CheckConstraint(
            "state in ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')",
            name="jobs_state",
        ),
    )  # fmt: skip
    op.create_index("jobs_queue", "jobs", ["state", "priority", "owner", "created_at", "id"])
    op.create_index("jobs_by_time", "jobs", ["created_at", "id"])
    op.create_index("jobs_of_owner", "jobs", ["owner", "created_at", "id"])
    op.create_index("jobs_of_batch", "jobs", ["batch_id", "state"])
    op.create_index("jobs_of_recording", "jobs", ["recording_id"])


def _allow_unknown_durations() -> None:
    """SQLite cannot take NOT NULL away; a new column takes the place of the old one."""
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("recordings", "duration_s", existing_type=sa.Double, nullable=True)
        return
    op.add_column("recordings", sa.Column("length_s", sa.Double))
    op.execute("update recordings set length_s = duration_s")
    op.execute("alter table recordings drop column duration_s")
    op.execute("alter table recordings rename column length_s to duration_s")
