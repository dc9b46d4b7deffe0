"""Parts of uploads that are not whole yet: files beside the blobs, in the folder or the bucket.

A part is durable when ``keep`` returns, under a name that nothing else has; a row then says whose
it is and where it begins. So nobody ever writes behind what another one wrote, and a process that
is killed leaves a file that no row names, which goes when it is an hour old.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from lingting.durable import flush_folder
from lingting.errors import StoreDamaged
from lingting.store.blobs import new_part, remove_dead, writing
from lingting.store.bucket import BucketBlobs

if TYPE_CHECKING:
    from lingting.store.store import Store


class Spool:
    """Bytes on this machine that are no part yet."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self.path = path
        self.size_bytes = 0

    def write(self, piece: bytes) -> None:
        """Raises StoreUnreachable."""
        with writing():
            self._file.write(piece)
        self.size_bytes += len(piece)

    def flush(self) -> None:
        """To the disk. Raises StoreUnreachable."""
        with writing():
            self._file.flush()
            os.fsync(self._file.fileno())


class Partials(Protocol):
    """Where parts live; for many threads. Raises StoreUnreachable."""

    def keep(self, spool: Spool) -> str:
        """Make it a part; its name."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Raises StoreDamaged when it is missing."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """What is not there is no error."""
        ...

    def older_than(self, age_s: float) -> Iterator[str]: ...

    def spool(self) -> contextlib.AbstractContextManager[Spool]:
        """An empty one, gone behind the block."""
        ...

    def remove_leftovers(self) -> int:
        """Spools of processes that are gone."""
        ...


def partials_of(store: Store) -> Partials:
    """Those of the place where a store keeps its audio."""
    if isinstance(store.blobs, BucketBlobs):
        return _BucketPartials(store.blobs, store.folder / "uploads")
    return _FolderPartials(store.folder / "uploads")


class _Spools:
    def __init__(self, folder: Path) -> None:
        self._incoming = folder / "incoming"

    @contextmanager
    def spool(self) -> Iterator[Spool]:
        with writing():
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            file, path = new_part(self._incoming)
        try:
            with contextlib.closing(file):
                yield Spool(file, path)
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def remove_leftovers(self) -> int:
        return remove_dead(self._incoming)


class _FolderPartials(_Spools):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def keep(self, spool: Spool) -> str:
        name = _new_name()
        spool.flush()
        with writing():
            os.replace(spool.path, self._folder / name)
            flush_folder(self._folder)
        return name

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._folder / name).open("rb")
        except FileNotFoundError as exc:
            raise _missing() from exc

    def remove(self, names: Iterable[str]) -> None:
        with writing():
            for name in names:
                (self._folder / name).unlink(missing_ok=True)

    def older_than(self, age_s: float) -> Iterator[str]:
        before_s = time.time() - age_s
        for path in self._folder.glob("part-*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before_s:
                    yield path.name


class _BucketPartials(_Spools):
    def __init__(self, blobs: BucketBlobs, folder: Path) -> None:
        super().__init__(folder)
        self._blobs = blobs

    def keep(self, spool: Spool) -> str:
        name = _new_name()
        spool.flush()
        with spool.path.open("rb") as stream:
            self._blobs.put_object(_key(name), stream)
        return name

    def open(self, name: str) -> BinaryIO:
        found = self._blobs.open_object(_key(name))
        if found is None:
            raise _missing()
        return cast(BinaryIO, found)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._blobs.remove_object(_key(name))

    def older_than(self, age_s: float) -> Iterator[str]:
        for key in self._blobs.objects_older_than(_PREFIX, age_s):
            yield key.rpartition("/")[2]


_PREFIX = "uploads"


def _new_name() -> str:
    return f"part-{secrets.token_hex(12)}"


def _key(name: str) -> str:
    return f"{_PREFIX}/{name}"


def _missing() -> StoreDamaged:
    return StoreDamaged("A part of an upload is missing.", "Begin the upload again.")
