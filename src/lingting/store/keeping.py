"""Recordings come in: their audio first, then in one transaction the rows that speak of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lingting.errors import StoreDamaged, StoreUnreachable
from lingting.store import changes, queries
from lingting.store.records import Blob, Kept
from lingting.store.rows import storable_name
from lingting.store.schema import BlobRow, RecordingRow
from lingting.transcript import Transcript

if TYPE_CHECKING:
    from lingting.store.store import Store

T = TypeVar("T")
_TRIES = 3


def keep(
    store: Store,
    audio: Path | IO[bytes] | Blob,
    transcript: Transcript,
    *,
    name: str,
    peaks: bytes | None,
    owner: str | None,
    department: str | None,
) -> Kept:
    """See ``Store.keep``."""
    storable, name = changes.storable_transcript(transcript), storable_name(name)

    def write(session: Session, blob: Blob) -> Kept:
        recording_id, is_new = _recording(session, blob, name, owner, department)
        _, is_changed = changes.add_machine_revision(session, recording_id, storable)
        if peaks is not None:
            changes.note_peaks(session, blob.digest, peaks)
        session.flush()
        return Kept(queries.recording(session, recording_id), is_new, is_changed)

    return _with_audio(store, audio, write)


def receive(
    store: Store,
    audio: Path | IO[bytes] | Blob,
    then: Callable[[Session, str], T],
    *,
    name: str,
    owner: str | None,
    department: str | None,
    is_fresh: bool = False,
) -> T:
    """See ``Store.receive``."""
    name = storable_name(name)

    def write(session: Session, blob: Blob) -> T:
        recording_id, _ = _recording(session, blob, name, owner, department, is_fresh=is_fresh)
        return then(session, recording_id)

    return _with_audio(store, audio, write)


def put(store: Store, audio: Path | IO[bytes]) -> Blob:
    """See ``Store.put``."""
    if not isinstance(audio, Path):
        return store.blobs.put(audio)
    try:
        stream = audio.open("rb")
    except OSError as exc:
        raise StoreUnreachable(
            f"The recording cannot be read again: {exc.strerror}.", "Check the file."
        ) from exc
    with stream:
        return store.blobs.put(stream)


def discard(store: Store, digest: str) -> bool:
    """See ``Store.discard``."""
    with store.database.write() as session:
        changes.lock_blob(session, digest)
        if session.scalar(select(func.count()).where(RecordingRow.digest == digest)):
            return False
        row = session.get(BlobRow, digest)
        if row is not None:  # nothing to write is also possible on a full disk
            session.delete(row)
        store.blobs.remove(digest)
        return True


def _recording(
    session: Session,
    blob: Blob,
    name: str,
    owner: str | None,
    department: str | None,
    *,
    is_fresh: bool = False,
) -> tuple[str, bool]:
    """Its id; True when it was not there, or ``is_fresh``."""
    changes.note_blob(session, blob)
    found = None if is_fresh else changes.same_recording(session, blob.digest, name, owner)
    if found is not None:
        return found, False
    made = changes.add_recording(session, blob.digest, name, owner=owner, department=department)
    return made, True


def _with_audio(
    store: Store, audio: Path | IO[bytes] | Blob, write: Callable[[Session, Blob], T]
) -> T:
    """``write``, in a transaction in which the audio is there and stays.

    Put again, where it can be read again, when a purge took it meanwhile.
    """
    again = _again(audio)
    for _ in range(_TRIES):
        blob = audio if isinstance(audio, Blob) else store.put(audio)
        with store.database.write() as session:
            changes.lock_blob(session, blob.digest)
            if store.blobs.has(blob.digest):
                return write(session, blob)
        if again is None:
            break
        again()
    raise StoreDamaged("The audio is gone that was to be kept.", "Give it once more.")


def _again(audio: Path | IO[bytes] | Blob) -> Callable[[], object] | None:
    """Makes the audio readable once more; None for what was read for ever."""
    if isinstance(audio, Path):
        return lambda: None
    if isinstance(audio, Blob) or not audio.seekable():
        return None
    start = audio.tell()
    return lambda: audio.seek(start)
