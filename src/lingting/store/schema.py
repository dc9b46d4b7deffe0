"""The tables, as typed models. ``migrations`` makes them; a test compares the two.

::

    blobs ──< recordings ──< tags
                  │
              transcripts ──< revisions ──< revision_segments >── segments ── words
    settings   receipts

- A **blob** is content: its digest is its key, many recordings may share it.
- A **segment** row never changes. A revision is a list of segments, so correcting one of 5,000
  costs one new segment row and 5,000 links of three numbers, and every revision stays readable.
- **words** has one row for each segment that has word times, not one for each word: they are only
  ever read and replaced together, and a page of segments does not have to step over them.
- What is deleted has ``deleted_at``; only ``purge`` removes rows, and leaves a **receipt**.

Later migrations add what needs a service to mean anything, and not before, because a table that
nobody fills is a promise that nobody tests: jobs and workers (durable work keeps its own tables and
needs only a link to a recording), users, departments and keys (``owner`` and ``department`` are
plain names until then, to be turned into references), glossaries, and the audit trail (a chained
log that must cover the API from its first call). The index of the search comes with search proper.
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
)
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

# SQLite counts rows only in a column declared INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")


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
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    name: Mapped[str] = mapped_column(Text)
    duration_s: Mapped[float] = mapped_column(Double)
    sample_rate_hz: Mapped[int | None]
    channels: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    owner: Mapped[str | None] = mapped_column(Text)
    department: Mapped[str | None] = mapped_column(Text)


class TagRow(Base):
    __tablename__ = "tags"
    __table_args__ = (Index("tags_by_tag", "tag"),)

    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(Text, primary_key=True)


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
