"""What goes for good: rows in one transaction, then their audio, then what is left in the file.

The receipt says ``pending`` until the audio is gone. Ended anywhere in between, ``sweep`` and
``check`` go on: removing what is gone changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from lingting.errors import OptionInvalid, StoreBusy, StoreUnreachable
from lingting.store import audit, changes, indexing, retention
from lingting.store.records import Actor, Receipt
from lingting.store.retention import RetentionReport
from lingting.store.schema import BlobRow, ReceiptRow, RecordingRow

if TYPE_CHECKING:
    from lingting.store.store import Store

_SHORT_TIMEOUT_S = 2.0
_SMALL = 20
"""Recordings in one transaction of a retention run: others write in between."""
_RULES = Actor(retention.AUTHOR, retention.AUTHOR)
_COMPACTED = "compacted"
"""The last receipt of whose recording nothing is left in the file."""
_COMPACT_AT_ONCE_BYTES = 64 << 20
_COMPACT_BYTES = 2 << 30
"""A larger file is written anew when its owner asks for it: others wait with their writes."""


def purge(store: Store, recording_id: str, *, author: str | None, actor: Actor | None) -> Receipt:
    """See ``Store.purge``."""
    with store.database.write() as session:
        row = changes.locked_recording(session, recording_id)
        if row.deleted_at is None:
            raise OptionInvalid("Only a deleted recording is purged.", "Delete it first.")
        changes.refuse_held(row)
        (receipt,) = changes.remove_recordings(session, [row.id], author)
        _note(session, actor, receipt)
    (receipt,) = _finish_if_possible(store, [receipt])
    _forget(store, _COMPACT_AT_ONCE_BYTES)
    return receipt


def sweep(store: Store) -> list[Receipt]:
    """See ``Store.sweep``."""
    finished = _finish_if_possible(store, _pending(store))
    copies = set(store.blobs.copies())
    if copies:
        with store.database.read() as session:
            copies -= set(session.scalars(select(BlobRow.digest)))
    for digest in copies:
        store.blobs.forget_copy(digest)
    _forget(store, _COMPACT_BYTES)
    return [one for one in finished if one.audio != "pending"]


def apply_retention(store: Store, now: datetime, limit: int) -> RetentionReport:
    """See ``Store.apply_retention``."""
    rules = store.retention()
    purges, deletes = retention.to_purge(rules, now), retention.to_delete(rules, now)
    receipts, deleted = sweep(store), list[str]()
    purged = 0
    while rules and purged < limit:
        with store.database.write() as session:
            ids = retention.take(session, purges, min(_SMALL, limit - purged))
            made = changes.remove_recordings(session, ids, retention.AUTHOR)
            for receipt in made:
                _note(session, _RULES, receipt)
        if not made:
            break
        purged += len(made)
        receipts += _finish_if_possible(store, made)
    while rules and len(deleted) < limit:
        with store.database.write() as session:
            ids = retention.take(session, deletes, min(_SMALL, limit - len(deleted)))
            retention.delete(session, ids, now)
            for id in ids:
                audit.note(session, _RULES, "recording.deleted", "recording", id)
        if not ids:
            break
        deleted += ids
    if purged:
        _forget(store, _COMPACT_BYTES)
    with store.database.read() as session:
        held = retention.count(session, deletes, purges, is_held=True)
    is_done = purged < limit and len(deleted) < limit
    return RetentionReport(tuple(deleted), tuple(receipts), held, is_done)


def _note(session: Session, actor: Actor | None, receipt: Receipt) -> None:
    audit.note(
        session, actor, "recording.purged", "recording", receipt.recording_id,
        receipt=receipt.id, revisions=receipt.revisions, segments=receipt.segments,
    )  # fmt: skip


# Audio -----------------------------------------------------------------------------------------


def finish_pending(store: Store) -> list[Receipt]:
    """Remove the audio that purges left. Raises StoreBusy, StoreUnreachable when that cannot be."""
    pending, finished = _pending(store), list[Receipt]()
    if pending:
        with store.audio_stays():
            finished = [_finish(store, one) for one in pending]
    _forget(store, _COMPACT_BYTES)
    return finished


def _pending(store: Store) -> list[Receipt]:
    with store.database.read() as session:
        rows = session.scalars(select(ReceiptRow).where(ReceiptRow.audio == "pending"))
        return [changes.receipt_of(row) for row in rows]


def _finish_if_possible(store: Store, receipts: Sequence[Receipt]) -> list[Receipt]:
    """The receipts as they are then."""
    if not receipts:
        return []
    try:
        with store.audio_stays(timeout_s=_SHORT_TIMEOUT_S):
            return [_finish(store, one) for one in receipts]
    except (StoreBusy, StoreUnreachable):
        ids = [one.id for one in receipts]
        with store.database.read() as session:
            rows = session.scalars(select(ReceiptRow).where(ReceiptRow.id.in_(ids)))
            found = {row.id: changes.receipt_of(row) for row in rows}
        return [found[id] for id in ids]


def _finish(store: Store, receipt: Receipt) -> Receipt:
    """Remove the audio unless it is in use. Keeping the same audio waits until it is decided."""
    with store.database.write() as session:
        changes.lock_blob(session, receipt.digest)
        row = session.get_one(ReceiptRow, receipt.id)
        users = select(func.count()).where(RecordingRow.digest == receipt.digest)
        if session.scalar(users):
            row.audio = "shared"
        else:
            session.execute(delete(BlobRow).where(BlobRow.digest == receipt.digest))
            store.blobs.remove(receipt.digest)
            row.audio = "removed"
        session.flush()
        return changes.receipt_of(row)


# The file --------------------------------------------------------------------------------------


def compact(store: Store) -> None:
    """See ``Store.compact``."""
    last = _last_receipt(store)
    if last > (store.setting(_COMPACTED) or 0):
        with store.database.write() as session:
            indexing.merge(session)
    store.database.compact()
    store.set_setting(_COMPACTED, last)
    store.database.forget_removed()


def _forget(store: Store, limit_bytes: int) -> None:
    """``compact`` after purges, if the file is no larger; if it cannot be done now, later."""
    with suppress(StoreBusy, StoreUnreachable):
        is_small = store.database.is_sqlite and store.database.size_bytes <= limit_bytes
        if is_small and _last_receipt(store) > (store.setting(_COMPACTED) or 0):
            compact(store)
        else:
            store.database.forget_removed()


def _last_receipt(store: Store) -> int:
    with store.database.read() as session:
        return session.scalar(select(func.max(ReceiptRow.id))) or 0
