"""The tables, as typed models. ``migrations`` makes them; a test compares the two.

::

    blobs ──< recordings ──< tags, notes, recording_speakers, recording_shares
                  │
              transcripts ──< revisions ──< revision_segments >── segments ── words
    settings   receipts   glossaries   search_entries ── segments

    recordings ──< jobs ──< job_groups        batches ──< jobs
    job_events   job_requests   job_shares   workers

    webhooks ──< webhook_deliveries        uploads ──< upload_parts

    departments ──< users ──< sessions, links        keys        audit        usage

- A **blob** is content: its digest is its key, many recordings may share it.
- A **segment** row never changes. A revision is a list of segments, so correcting one of 5,000
  costs one new segment row and 5,000 links of three numbers, and every revision stays readable.
- **recording_speakers**, the language of a recording and which of its jobs is the newest say again
  what other tables say, where an index finds it for a page of the history (``summaries``).
- **words** has one row for each segment that has word times, not one for each word: they are only
  ever read and replaced together, and a page of segments does not have to step over them.
- A **note** is about the recording and not about a transcript of it, so no revision touches it.
- What is deleted has ``deleted_at``; only ``purge`` removes rows, and leaves a **receipt**.
- **audit** rows are chained by their digests, see ``audit``; they hold ids and counts only.
- A **delivery** is written in the transaction of what it tells, see ``outbox``; it holds ids and
  counts only.
- An **upload** has come as far as its parts go; they name files beside the blobs (``partials``).
- A **job** is one attempt to transcribe a recording. What was heard of it so far is in its groups,
  which are removed when the transcript is stored.

Later migrations add what needs more of the service to mean anything, and not before, because a
table that nobody fills is a promise that nobody tests. ``owner`` and ``department`` of recordings
and glossaries, and ``user`` of keys, are plain names: programs have names of their own, and a
recording outlives whoever gave it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

# SQLite counts rows only in a column declared INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")


_LONG_AGO = "1970-01-01 00:00:00"
"""Where a column that older rows do not have must have a value until it is filled."""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times; SQLite, which has no time zones, stores them without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "times in the store are aware"
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Root of all tables."""


class BlobRow(Base):
    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    peaks: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Loudness for a player, see ``audio.peaks``; a property of the content, so made once."""


class RecordingRow(Base):
    __tablename__ = "recordings"
    __table_args__ = (
        Index("recordings_by_time", "deleted_at", "created_at", "id"),
        Index("recordings_by_digest", "digest"),
        Index("recordings_by_owner", "owner", "deleted_at", "created_at", "id"),
        Index("recordings_by_department", "department", "deleted_at", "created_at", "id"),
        Index("recordings_by_language", "language", "deleted_at", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    name: Mapped[str] = mapped_column(Text)
    duration_s: Mapped[float | None] = mapped_column(Double)
    """None until the audio was read."""
    sample_rate_hz: Mapped[int | None]
    channels: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    owner: Mapped[str | None] = mapped_column(Text)
    department: Mapped[str | None] = mapped_column(Text)
    held_by: Mapped[str | None] = mapped_column(Text)
    held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Set: a legal hold, under which it is neither deleted nor purged."""
    language: Mapped[str | None] = mapped_column(String(32))
    """Of the current revision, see ``summaries``."""


class SpeakerRow(Base):
    """Somebody who speaks in the current revision, see ``summaries``."""

    __tablename__ = "recording_speakers"
    __table_args__ = (Index("recording_speakers_by_time", "speaker", "created_at", "recording_id"),)

    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"), primary_key=True)
    speaker: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the recording was kept, as of tags."""


class RecordingShareRow(Base):
    """Who else may read a recording, see ``sharing``."""

    __tablename__ = "recording_shares"
    __table_args__ = (
        UniqueConstraint("recording_id", "to_kind", "to_name", name="recording_shares_once"),
        Index("recording_shares_by_time", "to_kind", "to_name", "recorded_at", "recording_id"),
        CheckConstraint(
            "to_kind in ('user', 'department', 'everyone')", name="recording_shares_kind"
        ),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"))
    to_kind: Mapped[str] = mapped_column(String(16))
    to_name: Mapped[str] = mapped_column(Text)
    """"" for everyone, because it is a part of a key."""
    made_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the recording was kept: the order of the list."""


class TagRow(Base):
    __tablename__ = "tags"
    __table_args__ = (Index("tags_by_time", "tag", "created_at", "recording_id"),)

    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, server_default=_LONG_AGO)
    """When the recording was kept, which never changes: the order of the tag's pages."""


class NoteRow(Base):
    __tablename__ = "notes"
    __table_args__ = (Index("notes_of_recording", "recording_id"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"))
    at_s: Mapped[float | None] = mapped_column(Double)
    """None: about the whole recording."""
    end_s: Mapped[float | None] = mapped_column(Double)
    text: Mapped[str] = mapped_column(Text)
    author: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int]
    """How often it was written."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TranscriptRow(Base):
    __tablename__ = "transcripts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"), unique=True)
    current_number: Mapped[int]
    """The revision people see."""


class RevisionRow(Base):
    __tablename__ = "revisions"
    __table_args__ = (
        UniqueConstraint("transcript_id", "number", name="revisions_number"),
        CheckConstraint("origin in ('machine', 'human')", name="revisions_origin"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id"))
    number: Mapped[int]
    origin: Mapped[str] = mapped_column(String(16))
    author: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    restored_from: Mapped[int | None]
    language: Mapped[str | None] = mapped_column(String(32))
    segment_count: Mapped[int]
    excerpt: Mapped[str] = mapped_column(Text, server_default="")
    """How it begins, so that a page of the history opens no segments."""
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Everything of a ``Transcript`` that is not in its segments: durations, damage, model."""


class SegmentRow(Base):
    __tablename__ = "segments"
    __table_args__ = (Index("segments_of_transcript", "transcript_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id"))
    start_s: Mapped[float] = mapped_column(Double)
    end_s: Mapped[float] = mapped_column(Double)
    text: Mapped[str] = mapped_column(Text)
    spoken: Mapped[str] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(String(32))
    speaker: Mapped[str | None] = mapped_column(Text)
    channel: Mapped[int | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The rarer fields of a ``Segment``, those that are set."""


class WordsRow(Base):
    __tablename__ = "words"

    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"), primary_key=True)
    words: Mapped[list[Any]] = mapped_column(JSON)
    """``[text, start_s, end_s, confidence]`` of each."""


class RevisionSegmentRow(Base):
    __tablename__ = "revision_segments"
    __table_args__ = (
        Index("revision_segments_by_segment", "segment_id"),
        {"sqlite_with_rowid": False},
    )

    revision_id: Mapped[int] = mapped_column(ForeignKey("revisions.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))


class SearchEntryRow(Base):
    """A segment of a current revision, as the search knows it, see ``indexing``.

    Its terms are in ``search_index``, which is no model: a virtual table on SQLite.
    """

    __tablename__ = "search_entries"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    segment_id: Mapped[int] = mapped_column(BigInteger)
    """No reference: an index for it would be as large as the table. ``check`` compares instead."""
    confidence: Mapped[float | None] = mapped_column(Double)
    sounds: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Two bytes a unit of its text, see ``lingting.search``; None: written without pypinyin."""


class SettingRow(Base):
    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReceiptRow(Base):
    __tablename__ = "receipts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    recording_id: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    purged_at: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str | None] = mapped_column(Text)
    revisions: Mapped[int]
    segments: Mapped[int]
    audio: Mapped[str] = mapped_column(String(16))


class BatchRow(Base):
    __tablename__ = "batches"
    __table_args__ = (
        Index("batches_by_time", "created_at", "id"),
        Index("batches_of_owner", "owner", "created_at", "id"),
        Index("batches_of_department", "department", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(Text)
    """Here and in jobs: "" where nobody is named, because it is a part of keys."""
    department: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    is_paused: Mapped[bool]


class JobRow(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_queue", "state", "priority", "owner", "created_at", "id"),
        Index("jobs_by_time", "created_at", "id"),
        Index("jobs_of_owner", "owner", "created_at", "id"),
        Index("jobs_of_department", "department", "created_at", "id"),
        Index("jobs_of_batch", "batch_id", "state"),
        Index("jobs_of_recording", "recording_id"),
        Index(
            "jobs_newest", "recording_id", unique=True,
            sqlite_where=text("is_newest = 1"), postgresql_where=text("is_newest"),
        ),
        Index(
            "jobs_newest_by_time", "state", "recorded_at", "recording_id",
            sqlite_where=text("is_newest = 1"), postgresql_where=text("is_newest"),
        ),
        CheckConstraint(
            "state in ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')",
            name="jobs_state",
        ),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"))
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id"))
    owner: Mapped[str] = mapped_column(Text)
    department: Mapped[str | None] = mapped_column(Text)
    """The recording's."""
    state: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int]
    """0 is the first to be served."""
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_s: Mapped[float] = mapped_column(Double)
    total_s: Mapped[float | None] = mapped_column(Double)
    attempts: Mapped[int]
    crashes: Mapped[int]
    """What reading processes this recording has ended, weighted, see ``jobs.run``."""
    epoch: Mapped[int]
    """Counts the claims. Who works under an older one may write nothing any more."""
    worker_id: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[dict[str, str] | None] = mapped_column(JSON)
    revision: Mapped[int | None]
    request_id: Mapped[str | None] = mapped_column(String(64))
    traceparent: Mapped[str | None] = mapped_column(String(64))
    """Which request asked for it: its lines in the logs, and its trace."""
    is_newest: Mapped[bool] = mapped_column(server_default=false())
    """Of its recording: what a page of the history tells."""
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, server_default=_LONG_AGO)
    """When its recording was kept."""


class JobGroupRow(Base):
    __tablename__ = "job_groups"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int]
    clips: Mapped[int]
    end_s: Mapped[float] = mapped_column(Double)
    segments: Mapped[list[Any]] = mapped_column(JSON)
    state: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Of the whole recording up to here: counts and votes, see ``pipeline.hearing``."""
    written_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JobEventRow(Base):
    __tablename__ = "job_events"
    __table_args__ = (
        Index("job_events_by_job", "job_id", "id"),
        Index("job_events_by_batch", "batch_id", "id"),
        Index("job_events_by_time", "at"),
        {"sqlite_autoincrement": True},  # a number that was removed is not given again
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(32))
    job_id: Mapped[str | None] = mapped_column(String(16))
    batch_id: Mapped[str | None] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(Text)
    department: Mapped[str | None] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class JobRequestRow(Base):
    """What was made for an idempotency key."""

    __tablename__ = "job_requests"

    owner: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JobShareRow(Base):
    """Seconds of audio that were taken up for each owner: who had least is next."""

    __tablename__ = "job_shares"

    owner: Mapped[str] = mapped_column(Text, primary_key=True)
    taken_s: Mapped[float] = mapped_column(Double)


class WorkerRow(Base):
    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    beats: Mapped[int] = mapped_column(BigInteger)
    """Others judge by this that it is alive, and not by clocks of two machines."""
    is_live: Mapped[bool]
    jobs: Mapped[int]
    speed: Mapped[float | None] = mapped_column(Double)
    """Seconds of audio in a second, lately."""
    late_writes: Mapped[int]
    """Writes that were refused because the job had been given to another."""


class DepartmentRow(Base):
    __tablename__ = "departments"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    is_shared: Mapped[bool] = mapped_column(server_default=false())
    """Its members read one another's recordings."""


class UserRow(Base):
    __tablename__ = "users"
    __table_args__ = (Index("users_subject", "subject", unique=True),)

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    department: Mapped[str | None] = mapped_column(ForeignKey("departments.name"))
    role: Mapped[str] = mapped_column(String(16), server_default="member")
    scopes: Mapped[list[str]] = mapped_column(JSON)
    limits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Those that are not everybody's, see ``store.limits``; None: none."""
    subject: Mapped[str | None] = mapped_column(Text)
    """Who they are for the identity provider: its address, a space and their id there."""
    failures: Mapped[int] = mapped_column(server_default="0")
    """Wrong passwords in a row."""
    locked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    password_hash: Mapped[str | None] = mapped_column(Text)
    password_id: Mapped[str | None] = mapped_column(String(16))
    """Another with each password; a session of another one has ended."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class KeyRow(Base):
    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    user: Mapped[str] = mapped_column(String(40))
    """Not a reference: a program's key may belong to a name that nobody signs in with."""
    role: Mapped[str] = mapped_column(String(16), server_default="member")
    """Its user's when it was made: a key never reaches further than on that day."""
    limits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_local: Mapped[bool]


class SessionRow(Base):
    __tablename__ = "sessions"
    __table_args__ = (Index("sessions_of_user", "user"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name"))
    sha256: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    password_id: Mapped[str | None] = mapped_column(String(16))


class LinkRow(Base):
    __tablename__ = "links"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name"))
    sha256: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditRow(Base):
    __tablename__ = "audit"
    __table_args__ = (Index("audit_of_object", "object_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Without gaps, so that a row that is missing is seen."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(40))
    object_kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(String(64))
    """Digest of the row before; "" for the first."""
    sha256: Mapped[str] = mapped_column(String(64))


class UsageRow(Base):
    """What was recognised for somebody on a day, in UTC; kept when recordings are purged."""

    __tablename__ = "usage"

    user: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    audio_s: Mapped[float] = mapped_column(Double)


class GlossaryRow(Base):
    __tablename__ = "glossaries"
    __table_args__ = (
        UniqueConstraint("owner", "name", name="glossaries_name"),
        Index(
            "glossaries_for_all", "name", unique=True,
            sqlite_where=text("owner is null and department is null"),
            postgresql_where=text("owner is null and department is null"),
        ),
        Index(
            "glossaries_of_department", "department", "name", unique=True,
            sqlite_where=text("owner is null"), postgresql_where=text("owner is null"),
        ),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Text)
    """None: it is for all, of the department where it has one."""
    department: Mapped[str | None] = mapped_column(Text)
    words: Mapped[list[str]] = mapped_column(JSON)
    revision: Mapped[int]
    """How often it was written."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WebhookRow(Base):
    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    """Who made it."""
    reach: Mapped[str] = mapped_column(String(16))
    """Whose events: own, department or all."""
    department: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]] = mapped_column(JSON)
    includes_text: Mapped[bool]
    secret: Mapped[str] = mapped_column(Text)
    """As it is: a signature needs it."""
    old_secret: Mapped[str | None] = mapped_column(Text)
    old_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The first failure behind the last success."""
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_for: Mapped[str | None] = mapped_column(String(16))
    """user, failures or gone."""


class DeliveryRow(Base):
    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("webhook_deliveries_due", "state", "next_at", "webhook_id"),
        Index("webhook_deliveries_of", "webhook_id", "id"),
        CheckConstraint("state in ('pending', 'done', 'failed')", name="webhook_deliveries_state"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"))
    message_id: Mapped[str] = mapped_column(String(40))
    """The same in every attempt, so that a receiver can tell."""
    kind: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it happened."""
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it is tried next; while one tries, when another one may."""
    holder: Mapped[str | None] = mapped_column(String(16))
    """Who tries it now: who comes back under another one changes nothing."""
    attempts: Mapped[int]
    """Since it was made, or replayed."""
    log: Mapped[list[Any]] = mapped_column(JSON)
    """``[time, status or null, error or null, milliseconds]`` of the latest attempts."""
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class UploadRow(Base):
    __tablename__ = "uploads"
    __table_args__ = (
        Index("uploads_of_owner", "owner", "state"),
        Index("uploads_by_expiry", "expires_at"),
        Index("uploads_by_fingerprint", "fingerprint"),
        CheckConstraint("state in ('open', 'done', 'failed', 'ended')", name="uploads_state"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    department: Mapped[str | None] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    received_bytes: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    """whole, partial (a part of a ``final`` one) or final."""
    asked: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Name, options, batch and priority of the job that it becomes."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    """The same for the same content and wishes of one owner, where the content is known."""
    key: Mapped[str | None] = mapped_column(String(200))
    """The idempotency key it was made with."""
    holder: Mapped[str | None] = mapped_column(String(16))
    """Who writes to it now: who comes back under another one changes nothing."""
    job_id: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UploadPartRow(Base):
    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"), primary_key=True)
    start_bytes: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(32))
    """Of its file, see ``partials``."""
