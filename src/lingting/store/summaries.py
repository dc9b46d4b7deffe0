"""What a page of the history asks of transcripts, kept on the recording where an index finds it.

The language of the current revision and who speaks in it. Both follow in the transaction that makes
a revision current, so that no page looks at segments.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from lingting.store.queries import is_current
from lingting.store.schema import (
    RecordingRow,
    RevisionRow,
    RevisionSegmentRow,
    SegmentRow,
    SpeakerRow,
    TranscriptRow,
)

MAX_SPEAKER_CHARS = 200
"""A longer one stays in the transcript only: no index of Postgres holds it."""


def follow(session: Session, transcript: TranscriptRow) -> None:
    """Make it that of the transcript's current revision."""
    session.flush()
    recording = session.get_one(RecordingRow, transcript.recording_id)
    revision_id, language = session.execute(
        select(RevisionRow.id, RevisionRow.language)
        .join(TranscriptRow, is_current())
        .where(TranscriptRow.id == transcript.id)
    ).one()
    recording.language = language
    wanted = set(
        session.scalars(
            select(SegmentRow.speaker)
            .join(RevisionSegmentRow, RevisionSegmentRow.segment_id == SegmentRow.id)
            .where(
                RevisionSegmentRow.revision_id == revision_id,
                func.length(SegmentRow.speaker).between(1, MAX_SPEAKER_CHARS),
            )
            .distinct()
        )
    )
    ours = SpeakerRow.recording_id == recording.id
    there = set(session.scalars(select(SpeakerRow.speaker).where(ours)))
    if gone := there - wanted:
        session.execute(delete(SpeakerRow).where(ours, SpeakerRow.speaker.in_(gone)))
    session.add_all(
        SpeakerRow(recording_id=recording.id, speaker=one, created_at=recording.created_at)
        for one in wanted - there
        if one is not None
    )
    session.flush()
