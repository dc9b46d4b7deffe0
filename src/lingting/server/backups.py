"""Backups in the folder of the service: made and read back in a thread, one at a time.

The folder may hold those of ``lingting backup`` as well, where they are named alike. What is known
of a file beside its size is kept in the store, for the file as it was then.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingting.answers import Backup, BackupList
from lingting.errors import (
    BackupInvalid,
    BackupNotFound,
    LingtingError,
    OutputUnwritable,
    RequestConflict,
)

if TYPE_CHECKING:
    from lingting.server.service import Service
    from lingting.store.backup import BackupReport
    from lingting.store.records import Actor

log = logging.getLogger("lingting.server")

_NAME = re.compile(r"lingting-[A-Za-z0-9_-]{1,80}\.tar")
_LEFTOVER = re.compile(r"\.lingting-[0-9]{8}T[0-9]{12}Z\.tar\.[0-9a-f]{16}\.part")
_KNOWN = "backups"
_REMEMBERED = 200


class Backups:
    """For many threads; every method may block."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = threading.Lock()
        self._current: Backup | None = None
        """The last that this process made or read back."""
        self._is_busy = False

    @property
    def folder(self) -> Path:
        return self._service.settings.backups_folder

    def listed(self) -> BackupList:
        """Every file that is named like one, and the one being made."""
        known = self._service.store.setting(_KNOWN) or {}
        found = {one.name: _described(one, known) for one in self._files()}
        current = self._current
        if current is not None and current.state != "done":
            file = found.get(current.name)
            size_bytes = self._part_bytes(current.name) if file is None else file.size_bytes
            found[current.name] = replace(current, size_bytes=size_bytes)
        listed = sorted(found.values(), key=lambda one: (one.created_at, one.name), reverse=True)
        return BackupList(listed, self._free_bytes())

    def one(self, name: str) -> Backup:
        """Raises BackupNotFound."""
        found = next((one for one in self.listed().items if one.name == name), None)
        if found is None:
            raise BackupNotFound("The folder of backups holds nothing of this name.")
        return found

    def path(self, name: str) -> Path:
        """Of a whole one. Raises BackupNotFound, RequestConflict while it is made."""
        found = self.one(name)
        if found.state == "making":
            raise RequestConflict("The backup is being made.", "Wait until its state is done.")
        path = self.folder / found.name
        if not path.is_file():
            raise BackupNotFound("This backup failed, and no file came of it.")
        return path

    def make(self, actor: Actor) -> Backup:
        """Begin one. Raises RequestConflict while another is made or read, OutputUnwritable."""
        name = f"lingting-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}Z.tar"
        begun = Backup(name, datetime.now(UTC), 0, "making", None, None, None, None, None, None)
        with self._turn:
            self._refuse_second()
            self._prepare_folder()
            self._begin(begun, lambda: self._make(begun, actor))
        return begun

    def check(self, name: str) -> Backup:
        """Begin to read one back. Raises BackupNotFound, RequestConflict."""
        path = self.path(name)
        found = replace(self.one(name), state="verifying", verified=None, verified_at=None)
        with self._turn:
            self._refuse_second()
            self._begin(found, lambda: self._verified(found, path))
        return found

    def delete(self, name: str, actor: Actor) -> None:
        """Raises BackupNotFound, RequestConflict for the one that is made or read."""
        from lingting.store import audit

        with self._turn:
            if self._is_busy and self._current is not None and self._current.name == name:
                raise RequestConflict("This backup is in work.", "Wait until its state is done.")
            path = self.path(name) if self._has_file(name) else None
            if path is None:
                self._forget_failed(name)
                return
            with self._service.store.database.write() as session:
                audit.note(session, actor, "backup.deleted", "backup", name)
            try:
                path.unlink()
            except OSError as exc:
                raise OutputUnwritable(f"It cannot be removed: {exc.strerror}.") from exc
            if self._current is not None and self._current.name == name:
                self._current = None

    def note_taken(self, name: str, actor: Actor) -> None:
        """Somebody downloads it: all that is kept leaves with it."""
        from lingting.store import audit

        with self._service.store.database.write() as session:
            audit.note(session, actor, "backup.downloaded", "backup", name)

    # One at a time -----------------------------------------------------------------------------

    def _refuse_second(self) -> None:
        if self._is_busy:
            raise RequestConflict(
                "A backup is being made or read already.", "Wait until its state is done."
            )

    def _begin(self, begun: Backup, work: Callable[[], Backup]) -> None:
        """Holds the turn; what cannot begin is not told as if it had."""
        before = self._current
        self._is_busy, self._current = True, begun
        try:
            # A daemon: the web process ends without it, and the next one removes the half file.
            threading.Thread(target=self._guarded, args=(work,), name="backup", daemon=True).start()
        except BaseException:
            self._is_busy, self._current = False, before
            raise

    def _guarded(self, work: Callable[[], Backup]) -> None:
        assert self._current is not None
        try:
            ended = work()
        except LingtingError as error:
            log.error("backup failed", extra={"code": error.code})
            ended = replace(self._current, state="failed", error=error.code)
        except Exception as exc:
            log.error("backup failed", extra={"error": type(exc).__name__})
            ended = replace(self._current, state="failed", error="fault.unknown")
        with self._turn:  # who is told that it has ended may begin the next
            self._is_busy, self._current = False, ended

    def _make(self, begun: Backup, actor: Actor) -> Backup:
        from lingting.store import audit
        from lingting.store.backup import back_up
        from lingting.store.figures import BACKUP_SETTING

        store, path = self._service.store, self.folder / begun.name
        report = back_up(store, path)
        with store.database.write() as session:
            audit.note(
                session, actor, "backup.made", "backup", begun.name,
                recordings=report.recordings, lost=len(report.lost_blobs),
            )  # fmt: skip
        self._current = replace(begun, state="verifying", **_counts(report))
        checked = self._verified(self._current, path)
        if checked.verified and not report.lost_blobs:  # else the alert for old backups comes
            store.set_setting(BACKUP_SETTING, round(begun.created_at.timestamp()))
        return checked

    def _verified(self, found: Backup, path: Path) -> Backup:
        from lingting.store.backup import verify

        try:
            checked = replace(found, verified=True, error=None, **_counts(verify(path)))
        except BackupInvalid as error:
            checked = replace(found, verified=False, error=error.code)
        checked = replace(checked, state="done", verified_at=datetime.now(UTC))
        self._remember(checked, path)
        return checked

    # The folder and what is known of it --------------------------------------------------------

    def _files(self) -> list[Path]:
        try:
            return [one for one in self.folder.iterdir() if _NAME.fullmatch(one.name)]
        except OSError:
            return []

    def _part_bytes(self, name: str) -> int:
        """What is there of one that is being made."""
        with suppress(OSError):
            return sum(one.stat().st_size for one in self.folder.glob(f".{name}.*.part"))
        return 0

    def _has_file(self, name: str) -> bool:
        return any(one.name == name for one in self._files())

    def _forget_failed(self, name: str) -> None:
        """Raises BackupNotFound for any other."""
        if self._current is None or self._current.name != name:
            raise BackupNotFound("The folder of backups holds nothing of this name.")
        self._current = None

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            leftovers = [one for one in self.folder.iterdir() if _LEFTOVER.fullmatch(one.name)]
        except OSError as exc:
            raise OutputUnwritable(
                f"The folder of backups cannot be used: {exc.strerror}.",
                "Let the operator set LINGTING_BACKUP_DIR, or its permissions.",
            ) from exc
        for one in leftovers:
            with suppress(OSError):
                one.unlink()

    def _free_bytes(self) -> int:
        for place in (self.folder, *self.folder.parents):
            with suppress(OSError):
                return shutil.disk_usage(place).free
        return 0

    def _remember(self, checked: Backup, path: Path) -> None:
        stat = path.stat()
        there = {one.name for one in self._files()}
        row = {
            "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns,
            "recordings": checked.recordings, "blobs": checked.blobs,
            "lost_blobs": checked.lost_blobs, "verified": checked.verified,
            "verified_at": None if checked.verified_at is None else checked.verified_at.isoformat(),
            "error": checked.error,
        }  # fmt: skip

        def change(known: Any) -> Any:
            kept = {name: one for name, one in (known or {}).items() if name in there}
            rows = {**kept, checked.name: row}
            return dict(sorted(rows.items())[-_REMEMBERED:])

        self._service.store.change_setting(_KNOWN, change)


def _described(path: Path, known: Any) -> Backup:
    """A file as it is; what was found out about it, if it is still the same."""
    try:
        stat = path.stat()
    except OSError:
        return Backup(path.name, datetime.now(UTC), 0, "done", None, None, None, None, None, None)
    created_at = datetime.fromtimestamp(stat.st_mtime, UTC)
    row = known.get(path.name) or {}
    if (row.get("size_bytes"), row.get("mtime_ns")) != (stat.st_size, stat.st_mtime_ns):
        return Backup(
            path.name, created_at, stat.st_size, "done", None, None, None, None, None, None
        )
    at = row.get("verified_at")
    return Backup(
        path.name, created_at, stat.st_size, "done", row.get("verified"),
        None if at is None else datetime.fromisoformat(at), row.get("recordings"),
        row.get("blobs"), row.get("lost_blobs"), row.get("error"),
    )  # fmt: skip


def _counts(report: BackupReport) -> dict[str, Any]:
    return {
        "size_bytes": report.size_bytes, "recordings": report.recordings, "blobs": report.blobs,
        "lost_blobs": len(report.lost_blobs),
    }  # fmt: skip
