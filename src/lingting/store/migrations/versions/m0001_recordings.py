"""Blobs, recordings, and transcripts with revisions, segments and words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", Time, nullable=False),
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("digest", sa.String(64), sa.ForeignKey("blobs.digest"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("duration_s", sa.Double, nullable=False),
        sa.Column("sample_rate_hz", sa.Integer),
        sa.Column("channels", sa.Integer),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("deleted_at", Time),
        sa.Column("owner", sa.Text),
        sa.Column("department", sa.Text),
    )
    op.create_index("recordings_by_time", "recordings", ["deleted_at", "created_at", "id"])
    op.create_index("recordings_by_digest", "recordings", ["digest"])
    _create_transcripts()
    _create_segments()


def _create_transcripts() -> None:
    op.create_table(
        "transcripts",
        sa.Column("id", BigId, primary_key=True),
        sa.Column(
            "recording_id", sa.String(16), sa.ForeignKey("recordings.id"), nullable=False,
            unique=True,
        ),
        sa.Column("current_number", sa.Integer, nullable=False),
    )  # fmt: skip
    op.create_table(
        "revisions",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("transcript_id", BigId, sa.ForeignKey("transcripts.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("author", sa.Text),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("restored_from", sa.Integer),
        sa.Column("language", sa.String(32)),
        sa.Column("segment_count", sa.Integer, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.UniqueConstraint("transcript_id", "number", name="revisions_number"),
        sa.CheckConstraint("origin in ('machine', 'human')", name="revisions_origin"),
    )


def _create_segments() -> None:
    op.create_table(
        "segments",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("transcript_id", BigId, sa.ForeignKey("transcripts.id"), nullable=False),
        sa.Column("start_s", sa.Double, nullable=False),
        sa.Column("end_s", sa.Double, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("spoken", sa.Text, nullable=False),
        sa.Column("language", sa.String(32)),
        sa.Column("speaker", sa.Text),
        sa.Column("channel", sa.Integer),
        sa.Column("details", sa.JSON, nullable=False),
    )
    op.create_index("segments_of_transcript", "segments", ["transcript_id"])
    op.create_table(
        "words",
        sa.Column("segment_id", BigId, sa.ForeignKey("segments.id"), primary_key=True),
        sa.Column("words", sa.JSON, nullable=False),
    )
    op.create_table(
        "revision_segments",
        sa.Column("revision_id", BigId, sa.ForeignKey("revisions.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("segment_id", BigId, sa.ForeignKey("segments.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("revision_segments_by_segment", "revision_segments", ["segment_id"])
