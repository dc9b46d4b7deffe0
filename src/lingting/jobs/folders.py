"""Folders whose recordings are submitted as they appear."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lingting.errors import GlossaryNotFound, LingtingError, OptionInvalid
from lingting.jobs.desk import DEFAULT_OPTIONS, Desk
from lingting.jobs.options import JobOptions
from lingting.store.blobs import digest_of
from lingting.store.records import Job, Priority
from lingting.store.store import Store

log = logging.getLogger(__name__)

WATCHED_KEYS = "watch-"
"""Idempotency keys of watched files begin so. They are never forgotten: the file may stay for ever,
and must not come back when it was deleted from the history."""
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download")
_SETTLE_S = 2.0
_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as the last look found it."""

    state: tuple[int, int, int]
    """Inode, size and time of the last change."""
    since_s: float
    is_done: bool = False


class FolderWatch:
    """Submits each file of a folder once, when it has not changed for ``settle_s`` seconds.

    Once means its content and name, also over restarts, and when it was deleted from the history.
    Hidden files, and those that a program is still downloading by their names, are left alone.
    Files are never changed, moved or removed.
    """

    def __init__(
        self,
        desk: Desk,
        folder: Path,
        options: JobOptions = DEFAULT_OPTIONS,
        *,
        owner: str | None = None,
        department: str | None = None,
        batch_id: str | None = None,
        priority: Priority = "low",
        is_deep: bool = True,
        settle_s: float = _SETTLE_S,
    ) -> None:
        if not folder.is_dir():
            raise OptionInvalid("There is no folder to watch.", "Make it, then watch it.")
        self._desk = desk
        self._folder = folder
        self._options = options
        self._owner = owner
        self._department = department
        self._batch_id = batch_id
        self._priority: Priority = priority
        self._is_deep = is_deep
        self._settle_s = settle_s
        self._seen: dict[str, _Seen] = {}
        self._is_told = False

    def scan(self) -> list[Job]:
        """Look once; the jobs of the files that have settled since the last look.

        While the glossary is gone that was asked for, the files wait.
        """
        if not self._has_glossary():
            return []
        now_s = time.monotonic()
        jobs: list[Job] = []
        there: dict[str, _Seen] = {}
        for path in self._files():
            try:
                state = _state(path)
            except OSError:
                continue  # it went away between the two
            if state is None:
                continue
            key = os.fspath(path)
            before = self._seen.get(key)
            if before is None or before.state != state:
                there[key] = _Seen(state, now_s)
            elif before.is_done or now_s - before.since_s < self._settle_s:
                there[key] = before
            elif (digest := _digest_of(path)) is None:
                there[key] = before  # nobody may read it yet, and its time need not change then
            else:
                job = self._submit(path, digest)
                jobs += [] if job is None else [job]
                there[key] = _Seen(state, before.since_s, is_done=True)
        self._seen = there
        return jobs

    def run(self, stop: threading.Event, *, every_s: float = _EVERY_S) -> None:
        """Look again and again until ``stop`` is set; a busy store is tried again."""
        while not stop.wait(every_s):
            try:
                self.scan()
            except LingtingError as error:
                log.warning("a watched folder waits", extra={"code": error.code})

    def _has_glossary(self) -> bool:
        try:
            self._desk.check_glossary(self._options, owner=self._owner, department=self._department)
        except GlossaryNotFound as error:
            if not self._is_told:
                log.warning("a watched folder waits", extra={"code": error.code})
            self._is_told = True
            return False
        self._is_told = False
        return True

    def _files(self) -> Iterator[Path]:
        """Links are not followed: they may lead out of the folder."""
        for root, folders, names in os.walk(self._folder):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            for name in sorted(names):
                if not name.startswith((".", "~")) and not name.lower().endswith(_UNFINISHED):
                    yield Path(root) / name
            if not self._is_deep:
                return

    def _submit(self, path: Path, digest: str) -> Job | None:
        """None for a file that was submitted before."""
        told = "\0".join((digest, path.name, self._owner or ""))
        key = f"{WATCHED_KEYS}{hashlib.sha256(os.fsencode(told)).hexdigest()}"
        if self._desk.is_requested(key, owner=self._owner):
            return None
        return self._desk.submit(
            path,
            name=path.name,
            options=self._options,
            owner=self._owner,
            department=self._department,
            batch_id=self._batch_id,
            priority=self._priority,
            idempotency_key=key,
        )


def _digest_of(path: Path) -> str | None:
    try:
        return digest_of(path)
    except OSError:
        return None


def _state(path: Path) -> tuple[int, int, int] | None:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def scan_watched(settle_s: float = _SETTLE_S) -> Callable[[Store], None]:
    """A worker's chore: look into all folders that the desk was told to watch."""
    watches: dict[str, FolderWatch] = {}

    def scan(store: Store) -> None:
        desk = Desk(store)
        told = {json.dumps(one, sort_keys=True): one for one in desk.watched_folders()}
        for key in [key for key in watches if key not in told]:
            del watches[key]
        for key, one in told.items():
            folder = Path(one["folder"])
            if not folder.is_dir():  # a disk that is not there now, or is on another machine
                continue
            if key not in watches:
                watches[key] = FolderWatch(
                    desk, folder, JobOptions.from_dict(one["options"]), owner=one["owner"],
                    department=one["department"], priority=one["priority"], settle_s=settle_s,
                )  # fmt: skip
            watches[key].scan()

    return scan
