"""What a page of the history shows and is narrowed by; shares of recordings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"

Time = sa.DateTime(timezone=True)
_LONG_AGO = "1970-01-01 00:00:00"
_CURRENT = (
    " from transcripts join revisions on revisions.transcript_id = transcripts.id"
    " and revisions.number = transcripts.current_number"
)


def upgrade() -> None:
    _add_languages()
    _add_speakers()
    _mark_newest_jobs()
    op.create_table(
        "recording_shares",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("recording_id", sa.String(16), sa.ForeignKey("recordings.id"), nullable=False),
        sa.Column("to_kind", sa.String(16), nullable=False),
        sa.Column("to_name", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("expires_at", Time),
        sa.Column("recorded_at", Time, nullable=False),
        sa.UniqueConstraint("recording_id", "to_kind", "to_name", name="recording_shares_once"),
        sa.CheckConstraint(
            "to_kind in ('user', 'department', 'everyone')", name="recording_shares_kind"
        ),
    )
    op.create_index(
        "recording_shares_by_time", "recording_shares",
        ["to_kind", "to_name", "recorded_at", "recording_id"],
    )  # fmt: skip


def _add_languages() -> None:
    op.add_column("recordings", sa.Column("language", sa.String(32)))
    op.execute(
        f"update recordings set language = (select revisions.language{_CURRENT}"  # noqa: S608 - of our own text
        " where transcripts.recording_id = recordings.id)"
    )
    op.create_index(
        "recordings_by_language", "recordings", ["language", "deleted_at", "created_at", "id"]
    )


def _add_speakers() -> None:
    op.create_table(
        "recording_speakers",
        sa.Column("recording_id", sa.String(16), sa.ForeignKey("recordings.id"), primary_key=True),
        sa.Column("speaker", sa.Text, primary_key=True),
        sa.Column("created_at", Time, nullable=False),
    )
    op.execute(
        "insert into recording_speakers (recording_id, speaker, created_at)"
        f" select distinct recordings.id, segments.speaker, recordings.created_at{_CURRENT}"
        " join recordings on recordings.id = transcripts.recording_id"
        " join revision_segments on revision_segments.revision_id = revisions.id"
        " join segments on segments.id = revision_segments.segment_id"
        " where length(segments.speaker) between 1 and 200"
    )
    op.create_index(
        "recording_speakers_by_time", "recording_speakers",
        ["speaker", "created_at", "recording_id"],
    )  # fmt: skip


def _mark_newest_jobs() -> None:
    op.add_column(
        "jobs", sa.Column("is_newest", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("jobs", sa.Column("recorded_at", Time, nullable=False, server_default=_LONG_AGO))
    op.execute(
        "update jobs set recorded_at ="
        " (select created_at from recordings where recordings.id = jobs.recording_id)"
    )
    jobs = sa.table(
        "jobs", sa.column("id"), sa.column("recording_id"), sa.column("created_at"),
        sa.column("is_newest", sa.Boolean),
    )  # fmt: skip
    newer = jobs.alias("newer")
    has_newer = sa.exists().where(
        newer.c.recording_id == jobs.c.recording_id,
        sa.or_(
            newer.c.created_at > jobs.c.created_at,
            sa.and_(newer.c.created_at == jobs.c.created_at, newer.c.id > jobs.c.id),
        ),
    )
    op.execute(jobs.update().where(~has_newer).values(is_newest=True))
    for name, columns, is_unique in (
        ("jobs_newest", ["recording_id"], True),
        ("jobs_newest_by_time", ["state", "recorded_at", "recording_id"], False),
    ):
        op.create_index(
            name, "jobs", columns, unique=is_unique,
            sqlite_where=sa.text("is_newest = 1"), postgresql_where=sa.text("is_newest"),
        )  # fmt: skip
