"""How long recordings stay: rules in order, of which the first that fits a recording decides.

>>> store.set_retention([
...     RetentionRule(tag="contract"),                                  # for ever
...     RetentionRule(department="sales", delete_after_days=30, purge_after_days=7),
...     RetentionRule(delete_after_days=365, purge_after_days=30),      # everything else
... ])

Whatever the rules say, a recording on legal hold stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, true, update
from sqlalchemy.orm import Session

from lingting.errors import OptionInvalid, OptionUnknown
from lingting.store.records import Receipt
from lingting.store.rows import storable
from lingting.store.schema import RecordingRow, TagRow, TranscriptRow

AUTHOR = "retention"
"""Who deleted and purged, in receipts."""
_MAX_DAYS = 36_500.0
_MAX_RULES = 100
_SCOPES = ("tag", "department", "owner")


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """What becomes of recordings that have all of the given tag, department and owner.

    None of these: it fits every recording. No days at all: they stay for ever.
    """

    delete_after_days: float | None = None
    """Out of the history so long after it was kept; it can be brought back."""
    purge_after_days: float | None = None
    """For good, so long after it was deleted, by this rule or by a person."""
    tag: str | None = None
    department: str | None = None
    owner: str | None = None

    def __post_init__(self) -> None:
        for days in (self.delete_after_days, self.purge_after_days):
            if days is not None and not (math.isfinite(days) and 0 <= days <= _MAX_DAYS):
                raise OptionInvalid(f"A retention rule has 0 to {_MAX_DAYS:.0f} days.")

    def as_dict(self) -> dict[str, Any]:
        """What is set, as JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What one run did. Calling it again goes on where it stopped."""

    deleted: tuple[str, ...]
    """Ids of recordings that went out of the history."""
    receipts: tuple[Receipt, ...]
    """Of those that were purged, and of purges that had been interrupted."""
    held: int
    """Recordings whose time is over and that stay for a legal hold."""
    is_done: bool
    """False when more is due than this run was allowed to do."""


def parse_rules(stored: Any) -> tuple[RetentionRule, ...]:
    """Rules from JSON. Raises OptionUnknown, OptionInvalid."""
    if not isinstance(stored, list) or len(stored) > _MAX_RULES:
        raise OptionInvalid(f"Retention is a list of at most {_MAX_RULES} rules.")
    return tuple(_parse_rule(one) for one in stored)


def _parse_rule(given: Any) -> RetentionRule:
    if not isinstance(given, Mapping):
        raise OptionInvalid("A retention rule is an object.")
    known = {field.name for field in fields(RetentionRule)}
    if unknown := sorted(str(name)[:60] for name in set(given) - known):
        raise OptionUnknown(
            f"{unknown[0]} is nothing that a retention rule has; "
            f"there are {', '.join(sorted(known))}."
        )
    for name, value in given.items():
        is_text = name in _SCOPES
        right = str if is_text else (int, float)
        if value is not None and (not isinstance(value, right) or isinstance(value, bool)):
            kind = "a text" if is_text else "a number"
            raise OptionInvalid(f"{name} of a retention rule is {kind}.")
    values: dict[str, Any] = {
        name: storable(value) if isinstance(value, str) else value for name, value in given.items()
    }
    return RetentionRule(**values)


# Finding ---------------------------------------------------------------------------------------


def to_delete(rules: Sequence[RetentionRule], now: datetime) -> ColumnElement[bool]:
    """Recordings in the history whose time there is over, held ones too."""
    return _due(rules, RecordingRow.created_at, "delete_after_days", now, is_deleted=False)


def to_purge(rules: Sequence[RetentionRule], now: datetime) -> ColumnElement[bool]:
    """Deleted recordings whose time is over, held ones too."""
    return _due(rules, RecordingRow.deleted_at, "purge_after_days", now, is_deleted=True)


def _due(
    rules: Sequence[RetentionRule], since: Any, days_of: str, now: datetime, *, is_deleted: bool
) -> ColumnElement[bool]:
    deleted = RecordingRow.deleted_at
    parts = []
    for place, rule in enumerate(rules):
        days: float | None = getattr(rule, days_of)
        if days is not None:
            earlier = [not_(_fits(one)) for one in rules[:place]]
            parts.append(and_(_fits(rule), *earlier, since <= now - timedelta(days=days)))
    state = deleted.is_not(None) if is_deleted else deleted.is_(None)
    return and_(state, or_(false(), *parts))


def _fits(rule: RetentionRule) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [true()]
    if rule.tag is not None:
        parts.append(exists().where(TagRow.recording_id == RecordingRow.id, TagRow.tag == rule.tag))
    # "is", because a comparison with an owner that is not known is neither true nor false.
    if rule.department is not None:
        parts.append(RecordingRow.department.is_not_distinct_from(rule.department))
    if rule.owner is not None:
        parts.append(RecordingRow.owner.is_not_distinct_from(rule.owner))
    return and_(*parts)


def take(session: Session, due: ColumnElement[bool], limit: int) -> list[str]:
    """Ids of due recordings without a hold, which nobody else changes until the transaction ends.

    What others are changing just now is left for the next run. The rows are looked at again after
    they are locked: a hold may have come in between.
    """
    free = and_(due, RecordingRow.held_at.is_(None))
    locked = (
        select(RecordingRow.id)
        .join(TranscriptRow, TranscriptRow.recording_id == RecordingRow.id)
        .where(free)
        .order_by(RecordingRow.created_at, RecordingRow.id)
        .limit(limit)
        .with_for_update(of=TranscriptRow, skip_locked=True)
    )
    ids = session.scalars(locked).all()
    again = select(RecordingRow.id).where(RecordingRow.id.in_(ids), free)
    return list(session.scalars(again.order_by(RecordingRow.created_at, RecordingRow.id)))


def delete(session: Session, ids: Iterable[str], now: datetime) -> None:
    """Out of the history, and all there still."""
    session.execute(
        update(RecordingRow).where(RecordingRow.id.in_(list(ids))).values(deleted_at=now),
        execution_options={"synchronize_session": False},
    )


def count(session: Session, *due: ColumnElement[bool], is_held: bool = False) -> int:
    """How many are due in one way or another and on no hold; or those that only a hold keeps."""
    held = RecordingRow.held_at
    query = select(func.count()).select_from(RecordingRow).where(or_(*due))
    return session.scalar(query.where(held.is_not(None) if is_held else held.is_(None))) or 0
