"""Backup and restore: one tar file, proven whole by what stands at its end.

::

    lingting.db             one consistent state, taken while others write; SQLite, whatever the
                            store's own database is
    blobs/<sha256>          every piece of audio that state speaks of
    manifest.json           name, size and SHA-256 of everything before it

The manifest comes last, so a file that was cut off has none and is refused. A restore unpacks into
a folder of its own, compares everything, and only then moves it into place with renames.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import func, select

from lingting.durable import flush_folder
from lingting.errors import (
    AudioTooLong,
    BackupInvalid,
    OutputUnwritable,
    StoreDamaged,
    StoreNotEmpty,
)
from lingting.store import migrating
from lingting.store.blobs import BlobStore, FolderBlobs
from lingting.store.copying import clear, copy_rows
from lingting.store.database import Database
from lingting.store.opening import parts
from lingting.store.schema import BlobRow, RecordingRow
from lingting.store.store import Store

FORMAT = "lingting.backup/1"
_DATABASE = "lingting.db"
_MANIFEST = "manifest.json"
_BLOB = re.compile(r"blobs/([0-9a-f]{64})")
_MAX_MANIFEST_BYTES = 1 << 30
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds."""

    recordings: int
    blobs: int
    size_bytes: int
    lost_blobs: tuple[str, ...]
    """Audio that was missing or damaged in the store itself; everything else is in the backup."""


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was restored, and where the store is now that was there before."""

    recordings: int
    blobs: int
    lost_blobs: tuple[str, ...]
    replaced: Path | None


def back_up(store: Store, target: Path) -> BackupReport:
    """Write a backup to ``target``, which appears when it is whole; others may write meanwhile.

    It is one state of the database, and all audio that this state speaks of: what is purged
    meanwhile loses its audio only afterwards. Raises OutputUnwritable, StoreBusy during another
    backup, StoreUnreachable.
    """
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
    snapshot = store.folder / f".backup-{secrets.token_hex(8)}.db"
    try:
        with store.audio_stays(), _writing(), part.open("xb") as stream:
            _snapshot(store.database, snapshot)
            report = _write(store, snapshot, stream)
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(part, target)
    finally:
        for leftover in (part, snapshot):
            with suppress(OSError):
                leftover.unlink()
    return report


def verify(source: Path) -> BackupReport:
    """Read a backup to its end and compare every byte with its manifest; nothing is unpacked.

    A restore looks into the database besides. Raises BackupInvalid.
    """
    found: dict[str, tuple[int, str]] = {}
    with _archive(source) as members:
        for member, data in members:
            if member.name == _MANIFEST:
                manifest = _read_manifest(data)
                _compare(manifest, found)
                lost = tuple(manifest["lost_blobs"])
                size_bytes = source.stat().st_size
                return BackupReport(manifest["recordings"], len(found) - 1, size_bytes, lost)
            if member.name in found:
                raise BackupInvalid("The backup holds something twice.")
            found[member.name] = member.size, _digest_of(member.name, data)
    raise BackupInvalid("The backup is cut off: its manifest is missing.")


def _digest_of(name: str, data: IO[bytes]) -> str:
    """Of a member. Raises BackupInvalid for audio that has another one than its name says."""
    named = _BLOB.fullmatch(name)
    digest = hashlib.sha256()
    while piece := data.read(_COPY_BYTES):
        digest.update(piece)
    if name != _DATABASE and (named is None or named[1] != digest.hexdigest()):
        raise BackupInvalid("Something in the backup does not match its name.")
    return digest.hexdigest()


def _snapshot(database: Database, target: Path) -> None:
    """One state of the database as an SQLite file."""
    if database.file is not None:
        migrating.snapshot(database.file, target)
        return
    with _opened(target) as copy:
        migrating.upgrade_to(copy, "head")
        with database.read() as session, copy.connect_to_write() as connection:
            copy_rows(session.connection(), connection)


def restore(
    source: Path,
    folder: Path | str | None = None,
    *,
    url: str | None = None,
    replace: bool = False,
) -> RestoreReport:
    """Unpack a backup into ``folder`` (None: LINGTING_DATA_DIR), checking every byte first.

    Rows go into the database of that folder or at ``url``, audio into its blob store, whichever
    the backup came from. With ``replace`` an SQLite store that is there is moved aside, not
    removed; nobody may be using it. Raises BackupInvalid, StoreNotEmpty.
    """
    database, blobs, place = parts(folder, url)
    try:
        return _restore(source, database, blobs, place, replace)
    finally:
        database.close()


def _restore(
    source: Path, database: Database, blobs: BlobStore, place: Path, replace: bool
) -> RestoreReport:
    is_there = _holds_something(database, place)
    if is_there and database.file != place / _DATABASE:
        raise StoreNotEmpty("The database holds a history.", "Name an empty database.")
    if is_there and not replace:
        raise StoreNotEmpty("The data folder holds a history already.")
    staging = place / f".restore-{secrets.token_hex(8)}"
    try:
        with _writing():
            staging.mkdir(mode=0o700)
            manifest = _unpack(source, staging)
            recordings, count = _checked(staging, manifest)
            replaced = _move_aside(place) if is_there else None
            _put_blobs(staging / "blobs", blobs, place)
            if database.file == place / _DATABASE:
                os.replace(staging / _DATABASE, place / _DATABASE)
                flush_folder(place)
            else:
                _fill(database, staging / _DATABASE)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return RestoreReport(recordings, count, tuple(manifest["lost_blobs"]), replaced)


def _holds_something(database: Database, place: Path) -> bool:
    if database.file is not None:
        return database.file.exists() or (place / "blobs").exists()
    with database.read() as session:
        if migrating.current(session.connection()) is None:
            return False
        return session.scalar(select(RecordingRow.id).limit(1)) is not None


def _put_blobs(staged: Path, blobs: BlobStore, place: Path) -> None:
    """Audio comes before the rows that speak of it."""
    if isinstance(blobs, FolderBlobs) and not (place / "blobs").exists():
        os.replace(staged, place / "blobs")
        flush_folder(place)
        return
    for digest in FolderBlobs(staged).digests():
        with FolderBlobs(staged).open(digest) as stream:
            blobs.put(stream)


def _fill(database: Database, staged: Path) -> None:
    """All rows of the backup into a server's empty database, in one transaction."""
    with _opened(staged) as source:
        migrating.upgrade_to(source, "head")
        migrating.prepare(database)
        with source.read() as session, database.connect_to_write() as connection:
            clear(connection)
            copy_rows(session.connection(), connection)


def _write(store: Store, snapshot: Path, stream: IO[bytes]) -> BackupReport:
    """All members, the manifest last. Lost audio is listed, and the rest is saved."""
    recordings, digests = _content_of(snapshot)
    files: list[dict[str, Any]] = []
    lost: list[str] = []
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        with snapshot.open("rb") as database:
            size_bytes = os.fstat(database.fileno()).st_size
            files.append(_add(tar, _DATABASE, database, size_bytes))
        for digest in digests:
            try:
                with (
                    store.blobs.local_path(digest, is_read_again=True) as path,
                    path.open("rb") as audio,
                ):
                    size_bytes = os.fstat(audio.fileno()).st_size
                    files.append(_add(tar, f"blobs/{digest}", audio, size_bytes))
            except StoreDamaged:
                lost.append(digest)
        manifest = {
            "format": FORMAT,
            "created_at": datetime.now(UTC).isoformat(),
            "schema": migrating.newest(),
            "recordings": recordings,
            "lost_blobs": lost,
            "files": files,
        }
        data = json.dumps(manifest, indent=1).encode()
        _add(tar, _MANIFEST, io.BytesIO(data), len(data))
    blobs = len(files) - 1
    return BackupReport(recordings, blobs, stream.tell(), tuple(lost))


def _content_of(snapshot: Path) -> tuple[int, list[str]]:
    """How many recordings a database file holds, and all digests it speaks of."""
    with _opened(snapshot) as database, database.read() as session:
        recordings = session.scalar(select(func.count()).select_from(RecordingRow)) or 0
        return recordings, list(session.scalars(select(BlobRow.digest).order_by(BlobRow.digest)))


@contextmanager
def _opened(file: Path) -> Iterator[Database]:
    """A database file that is ours alone; no log of its own stays beside it."""
    from lingting.store.database import open_database

    database = open_database(f"sqlite:///{file}", file.parent)
    try:
        yield database
    finally:
        database.close()
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                file.with_name(file.name + suffix).unlink()


def _add(tar: tarfile.TarFile, name: str, stream: IO[bytes], size_bytes: int) -> dict[str, Any]:
    """One member; its line of the manifest, hashed from the bytes that were written."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size_bytes, 0o600
    hashing = _Hashing(stream)
    tar.addfile(info, hashing)
    return {"path": name, "size_bytes": size_bytes, "sha256": hashing.digest.hexdigest()}


class _Hashing(io.RawIOBase):
    """A stream that remembers the digest of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data


def _unpack(source: Path, staging: Path) -> dict[str, Any]:
    """Write the members we know by name, each as it is named; the manifest.

    Names are compared, never joined to a path as they are: nothing lands outside ``staging``.
    """
    blobs = FolderBlobs(staging / "blobs")
    (staging / "blobs").mkdir(mode=0o700)
    found: dict[str, tuple[int, str]] = {}
    with _archive(source) as members:
        for member, data in members:
            if member.name in found:
                raise BackupInvalid("The backup holds something no backup of ours holds.")
            if member.name == _MANIFEST:
                manifest = _read_manifest(data)
                _compare(manifest, found)
                return manifest
            found[member.name] = _unpack_member(member, data, staging, blobs)
    raise BackupInvalid("The backup is cut off: its manifest is missing.")


@contextmanager
def _archive(source: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The members of a backup. Inside, what is wrong with the file is raised as BackupInvalid."""
    try:
        with source.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            yield _members(tar)
    except OSError as exc:
        if exc.filename == os.fspath(source):
            raise BackupInvalid(f"The backup cannot be read: {exc.strerror}.") from exc
        raise
    except (tarfile.TarError, EOFError) as exc:
        raise BackupInvalid("The file is no backup, or is cut off.") from exc


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for member in tar:
        data = tar.extractfile(member) if member.isreg() else None
        # A sparse member names any size with nothing behind it.
        if data is None or member.sparse is not None:
            raise BackupInvalid("The backup holds something no backup of ours holds.")
        yield member, data


def _unpack_member(
    member: tarfile.TarInfo, data: IO[bytes], staging: Path, blobs: FolderBlobs
) -> tuple[int, str]:
    """Size and digest of what was written."""
    if member.name == _DATABASE:
        digest = hashlib.sha256()
        with (staging / _DATABASE).open("xb") as out:
            while piece := data.read(_COPY_BYTES):
                digest.update(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        return member.size, digest.hexdigest()
    named = _BLOB.fullmatch(member.name)
    if named is None:
        raise BackupInvalid("The backup holds something no backup of ours holds.")
    try:
        blob = blobs.put(data, max_bytes=member.size)
    except AudioTooLong as exc:
        raise BackupInvalid("The backup contradicts itself.") from exc
    if blob.digest != named[1]:
        raise BackupInvalid("Audio in the backup does not match its digest.")
    return blob.size_bytes, blob.digest


def _read_manifest(data: IO[bytes]) -> dict[str, Any]:
    try:
        manifest = json.loads(data.read(_MAX_MANIFEST_BYTES))
        is_ours = manifest["format"] == FORMAT
        rows = [(one["path"], one["size_bytes"], one["sha256"]) for one in manifest["files"]]
        hash(tuple(rows))  # what is no name cannot be compared with one
        lost, recordings = manifest["lost_blobs"], int(manifest["recordings"])
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise BackupInvalid("The backup's manifest cannot be read.") from exc
    if not is_ours or not isinstance(lost, list):
        raise BackupInvalid(f"The backup has another format than {FORMAT}.")
    return {
        "files": rows, "lost_blobs": [str(one) for one in lost], "recordings": recordings
    }  # fmt: skip


def _compare(manifest: dict[str, Any], found: dict[str, tuple[int, str]]) -> None:
    promised = {path: (size_bytes, digest) for path, size_bytes, digest in manifest["files"]}
    if promised != found or _DATABASE not in found:
        raise BackupInvalid("The backup does not hold what its manifest promises.")


def _checked(staging: Path, manifest: dict[str, Any]) -> tuple[int, int]:
    """Recordings and blobs. The database must be ours, sound, and speak of no other audio."""
    with _opened(staging / _DATABASE) as database, database.read() as session:
        # Ours has none, and whoever has one would act with each later change of a row.
        foreign = "select count(*) from sqlite_master where type in ('trigger', 'view')"
        if session.connection().exec_driver_sql(foreign).scalar():
            raise BackupInvalid(
                "The database in the backup holds something that none of ours does."
            )
        migrating.check_known(migrating.current(session.connection()))
        if session.connection().exec_driver_sql("pragma integrity_check").scalar() != "ok":
            raise BackupInvalid("The database in the backup is damaged.")
    recordings, digests = _content_of(staging / _DATABASE)
    there = {path.removeprefix("blobs/") for path, _, _ in manifest["files"]} - {_DATABASE}
    if set(digests) - there - set(manifest["lost_blobs"]):
        raise BackupInvalid("The backup lacks audio of its recordings.")
    return recordings, len(there)


def _move_aside(place: Path) -> Path:
    """What was there goes into a folder beside it, whole."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = place / f"replaced-{stamp}"
    aside.mkdir(mode=0o700)
    for name in (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", "blobs"):
        if (place / name).exists():
            os.replace(place / name, aside / name)
    return aside


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputUnwritable(
            f"It cannot be written: {exc.strerror or 'unknown reason'}.", "Free some space."
        ) from exc
