"""The audit trail: who did what, as rows that are written in the transactions that did it.

Each row names the digest of the one before and carries its own, over all its fields. So a row that
was changed, removed or moved is found by ``verify``; the newest id and digest are a setting too, so
that the last rows cannot go unseen. Whoever may write to the database could make a whole new chain:
against them, note the newest id and digest elsewhere and hand them to ``verify`` as an anchor.

A row holds ids and counts. No text, file name or hotword belongs in it: rows outlive purges.

On Postgres a lock makes the chain one; it is taken as the last act of a transaction and so held for
an insert only.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from lingting.errors import OptionInvalid
from lingting.store import changes, outbox
from lingting.store.database import LastAct, at_the_end, lock
from lingting.store.records import Actor, AuditEntry
from lingting.store.rows import storable
from lingting.store.schema import AuditRow, SettingRow, UserRow

_HEAD = "audit.head"
_PENDING = "lingting_audit"
_PLAIN = re.compile(r"[A-Za-z0-9._:,-]{0,100}")
_ANCHOR = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading the whole trail showed."""

    rows: int
    """How many are as they were written, from the first on."""
    last_id: int
    last_sha256: str
    bad_id: int | None = None
    """The first that is not as it was written, or is not there."""
    reason: str = ""

    @property
    def anchor(self) -> str:
        """To be noted elsewhere, see ``verify``."""
        return f"{self.last_id}:{self.last_sha256}"


def local_actor() -> Actor:
    """Whoever runs this program."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        name = f"uid-{os.getuid()}"
    return Actor(storable(name), "local")


def note(
    session: Session,
    actor: Actor | None,
    action: str,
    object_kind: str,
    object_id: str,
    /,
    **details: int | str,
) -> None:
    """Write a row when the transaction ends. ``actor`` None: whoever runs this program."""
    for value in details.values():
        assert not isinstance(value, str) or _PLAIN.fullmatch(value), "ids and counts only"
    who = actor or local_actor()
    at_the_end(session, LastAct.AUDIT, _write_pending)
    session.info.setdefault(_PENDING, []).append(
        {
            "actor": who.name, "by": who.by, "action": action, "object_kind": object_kind,
            "object_id": object_id, "details": details,
        }
    )  # fmt: skip
    if object_kind == "recording":
        outbox.of_note(session, action, object_id, details)


def _write_pending(session: Session) -> None:
    lock(session, "audit")
    last_id, previous = _newest(session)
    rows = []
    for row in session.info.pop(_PENDING):
        last_id += 1
        row |= {"id": last_id, "at": changes.now(), "previous": previous}
        previous = row["sha256"] = _digest(row)
        rows.append(row)
    session.execute(insert(AuditRow), rows)
    head = {"id": last_id, "sha256": previous}
    session.merge(SettingRow(name=_HEAD, value=head, changed_at=changes.now()))


def _newest(session: Session) -> tuple[int, str]:
    """Where the chain goes on. Behind a head that lost its rows there stays a gap."""
    head_id, head_sha256 = _head(session)
    newest = select(AuditRow.id, AuditRow.sha256).order_by(AuditRow.id.desc()).limit(1)
    found = session.execute(newest).one_or_none()
    if found is None or found.id <= head_id:
        return head_id, head_sha256
    return found.id, found.sha256


def _head(session: Session) -> tuple[int, str]:
    value = session.scalar(select(SettingRow.value).where(SettingRow.name == _HEAD))
    return (0, "") if value is None else (value["id"], value["sha256"])


def _digest(row: dict[str, Any]) -> str:
    """SHA-256 of all fields but itself as JSON: keys in order, ASCII, no spaces, UTC times."""
    told = {name: value for name, value in row.items() if name != "sha256"}
    told["at"] = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    written = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(written.encode("ascii")).hexdigest()


# Reading ---------------------------------------------------------------------------------------


def entries(
    session: Session,
    *,
    limit: int = 50,
    before: int | None = None,
    action: str | None = None,
    object_id: str | None = None,
    departments: Collection[str] | None = None,
) -> list[AuditEntry]:
    """A page, the newest first; go on with ``before=page[-1].id``.

    ``departments``: only what their users did.
    """
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.id < before)
    if action is not None:
        query = query.where(AuditRow.action == action)
    if object_id is not None:
        query = query.where(AuditRow.object_id == object_id)
    if departments is not None:
        theirs = select(UserRow.name).where(UserRow.department.in_(sorted(departments)))
        query = query.where(AuditRow.actor.in_(theirs), AuditRow.by != "local")
    return [AuditEntry(**_fields(row)) for row in session.scalars(query)]


def verify(session: Session, anchor: str | None = None) -> Verdict:
    """Read every row and say which is the first that is not as it was written.

    ``anchor`` is what an earlier ``Verdict`` had: that row must still be there. Raises
    OptionInvalid for one that has another form.
    """
    wanted = _anchor(anchor)
    count = 0
    last_id, previous = 0, ""
    for row in _in_order(session):
        reason = _fault(row, last_id, previous, wanted)
        if reason:
            bad_id = min(row["id"], last_id + 1)
            return Verdict(count, last_id, previous, bad_id, reason)
        count, last_id, previous = count + 1, row["id"], row["sha256"]
    head_id, head_sha256 = _head(session)
    if max(head_id, wanted[0]) > last_id:
        return Verdict(count, last_id, previous, last_id + 1, "is missing")
    if (head_id, head_sha256) != (last_id, previous):
        return Verdict(count, last_id, previous, last_id, "was not the newest that was noted")
    return Verdict(count, last_id, previous)


def _fault(row: dict[str, Any], last_id: int, previous: str, wanted: tuple[int, str]) -> str:
    if row["id"] != last_id + 1:
        return "is missing"
    if row["sha256"] != _digest(row):
        return "was changed"
    if row["previous"] != previous:
        return "does not follow the one before"
    if row["id"] == wanted[0] and row["sha256"] != wanted[1]:
        return "is not the one that was noted"
    return ""


def _anchor(given: str | None) -> tuple[int, str]:
    if given is None:
        return 0, ""
    matched = _ANCHOR.fullmatch(given)
    if matched is None:
        raise OptionInvalid("An anchor is an id, a colon and 64 hexadecimal digits.")
    return int(matched[1]), matched[2]


def _in_order(session: Session) -> Iterator[dict[str, Any]]:
    """All rows; memory is that of a page."""
    last_id: int | None = None
    while True:
        query = select(AuditRow).order_by(AuditRow.id).limit(_PAGE)
        if last_id is not None:
            query = query.where(AuditRow.id > last_id)
        page = [_fields(row) for row in session.scalars(query)]
        session.expunge_all()
        yield from page
        if len(page) < _PAGE:
            return
        last_id = page[-1]["id"]


def _fields(row: AuditRow) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in AuditRow.__table__.columns}
