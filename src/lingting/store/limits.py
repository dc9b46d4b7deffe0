"""What one user may take: requests a minute, audio a day, bytes kept. Rows only; no refusals.

Defaults are settings of the program, which values of this store may replace while it runs, and a
user or a key may have their own. ``None`` is no limit; a name that is missing means the default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from lingting.errors import OptionInvalid, OptionUnknown
from lingting.store import audit, settings
from lingting.store.database import lock
from lingting.store.records import ACTIVE, Actor, Limits
from lingting.store.schema import BlobRow, JobRow, RecordingRow, UsageRow

SETTING = "limits"
_MOST = 1e15
GUESSED_BYTES_PER_S = 16_000
"""Of audio whose length nobody knows yet."""
NAMES = tuple(field.name for field in fields(Limits))


def parse_limits(given: Mapping[str, Any]) -> dict[str, float | None]:
    """As they are kept. Raises OptionUnknown, OptionInvalid."""
    if unknown := sorted(str(name)[:60] for name in set(given) - set(NAMES)):
        raise OptionUnknown(f"{unknown[0]} is no limit; there are {', '.join(NAMES)}.")
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise OptionInvalid(f"{name} is a number, or null for no limit.")
        if not (math.isfinite(value) and 0 <= value <= _MOST):
            raise OptionInvalid(f"{name} is 0 to {_MOST:.0e}, or null for no limit.")
    return {name: None if one is None else float(one) for name, one in given.items()}


def set_here(session: Session) -> dict[str, float | None]:
    """Limits that were set in this store for everybody."""
    value = settings.get(session, SETTING)
    return {name: one for name, one in (value or {}).items() if name in NAMES}


def set_for_all(
    session: Session, given: Mapping[str, float | None], *, actor: Actor | None = None
) -> None:
    """What is left out stays; None takes back what was set here; 0 is no limit."""
    changed = parse_limits(given)

    def merged(value: Mapping[str, Any] | None) -> dict[str, float | None]:
        kept = {name: one for name, one in (value or {}).items() if name not in changed}
        return kept | {name: one or None for name, one in changed.items() if one is not None}

    settings.change(session, SETTING, merged)
    audit.note(session, actor, "setting.changed", "setting", SETTING, names=",".join(changed))


def note_audio(session: Session, user: str, audio_s: float) -> None:
    """So much was recognised for them now. It stays counted when the recording goes."""
    day = _day(datetime.now(UTC))
    lock(session, f"usage:{user}")
    row = session.get(UsageRow, (user, day))
    if row is None:
        session.add(UsageRow(user=user, day=day, audio_s=audio_s))
    else:
        row.audio_s += audio_s
    session.flush()


def audio_s(session: Session, user: str) -> float:
    """What was recognised for them today and what waits, by its length or the size of its file."""
    heard = session.scalar(
        select(UsageRow.audio_s).where(
            UsageRow.user == user, UsageRow.day == _day(datetime.now(UTC))
        )
    )
    length = case(
        (JobRow.total_s.is_not(None), JobRow.total_s),
        else_=BlobRow.size_bytes / GUESSED_BYTES_PER_S,
    )
    waiting = session.scalar(
        select(func.sum(length))
        .select_from(JobRow)
        .join(RecordingRow, RecordingRow.id == JobRow.recording_id)
        .join(BlobRow, BlobRow.digest == RecordingRow.digest)
        .where(JobRow.owner == user, JobRow.state.in_(ACTIVE))
    )
    return (heard or 0.0) + float(waiting or 0.0)


def stored_bytes(session: Session, user: str) -> int:
    """Of the audio of their recordings, each counted as if nobody shared it."""
    found = session.scalar(
        select(func.sum(BlobRow.size_bytes))
        .join(RecordingRow, RecordingRow.digest == BlobRow.digest)
        .where(RecordingRow.owner == user)
    )
    return int(found or 0)


def left_of_day_s(now: datetime) -> float:
    """Until the next one begins, in UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight + timedelta(days=1) - now).total_seconds()


def usage(session: Session, user: str) -> dict[str, float]:
    """What they have taken of what is limited for longer than a minute."""
    return {
        "audio_s_per_day": audio_s(session, user),
        "stored_bytes": float(stored_bytes(session, user)),
    }


def _day(now: datetime) -> str:
    return now.date().isoformat()
