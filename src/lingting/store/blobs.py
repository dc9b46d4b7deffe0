"""Audio by content: ``blobs/ab/cd/<sha256>``, each file whole or not there at all.

Bytes are hashed while they are written to a temporary file, flushed to the disk and then renamed to
their digest. Whatever ends the process leaves a whole blob, or a leftover that ``check`` removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from lingting.durable import flush_folder
from lingting.errors import AudioTooLong, OptionInvalid, StoreDamaged, StoreUnreachable
from lingting.store.records import Blob

_COPY_BYTES = 1 << 20
_LEFTOVER_AGE_S = 24 * 3600.0
"""An upload that takes longer than this is over."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """Where audio lives. Digests are those of ``Blob``; all methods may be called by any thread."""

    def put(self, stream: IO[bytes], *, max_bytes: int | None = None) -> Blob:
        """Keep everything that is left in ``stream``; durable when it returns."""
        ...

    def has(self, digest: str) -> bool: ...

    def size_bytes(self, digest: str) -> int: ...

    def open(self, digest: str) -> BinaryIO:
        """A seekable stream; raises StoreDamaged when it is missing."""
        ...

    def read_range(self, digest: str, start_byte: int, size_bytes: int) -> bytes:
        """That part, fewer bytes at the end; for players that seek."""
        ...

    def local_path(
        self, digest: str, *, is_read_again: bool = False
    ) -> AbstractContextManager[Path]:
        """A file of this machine with these bytes, for programs that need a path.

        It is only to be read, and only inside the block. ``is_read_again`` compares every byte
        with the digest. Raises StoreDamaged when it is missing or not what was kept.
        """
        ...

    def is_intact(self, digest: str) -> bool:
        """Reads all of it and compares the digest."""
        ...

    def remove(self, digest: str) -> None:
        """Gone for good; nothing happens when it was not there."""
        ...

    def digests(self) -> Iterator[str]:
        """All there are, in no particular order."""
        ...

    def remove_leftovers(self) -> int:
        """Take away what dead processes left half-written; how many."""
        ...


class FolderBlobs:
    """Blobs as files of one folder, which several processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"

    def path(self, digest: str) -> Path:
        """Where it lies, or would. Raises OptionInvalid for what is no digest."""
        if not _DIGEST.fullmatch(digest):
            raise OptionInvalid("This is no digest; it has 64 hexadecimal digits.")
        return self._folder / digest[:2] / digest[2:4] / digest

    def put(self, stream: IO[bytes], *, max_bytes: int | None = None) -> Blob:
        """See ``BlobStore``. Raises AudioTooLong beyond ``max_bytes``, StoreUnreachable.

        Bytes that are there already are written again: should the older copy have rotted, this
        mends it.
        """
        with _writing():
            self._incoming.mkdir(parents=True, exist_ok=True)
            part = self._incoming / secrets.token_hex(16)
            try:
                digest, size_bytes = _copied(stream, part, max_bytes)
                target = self.path(digest)
                is_new = not target.exists()
                _make_folders(target.parent, self._folder)
                os.replace(part, target)
                flush_folder(target.parent)
            except BaseException:
                with contextlib.suppress(OSError):
                    part.unlink()
                raise
        return Blob(digest, size_bytes, is_new)

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def size_bytes(self, digest: str) -> int:
        with _reading():
            return self.path(digest).stat().st_size

    def open(self, digest: str) -> BinaryIO:
        with _reading():
            return self.path(digest).open("rb")

    def read_range(self, digest: str, start_byte: int, size_bytes: int) -> bytes:
        if start_byte < 0 or size_bytes < 0:
            raise OptionInvalid("A range begins at 0 or later and is not shorter than 0 bytes.")
        with self.open(digest) as stream, _reading():
            stream.seek(start_byte)
            return stream.read(size_bytes)

    @contextmanager
    def local_path(self, digest: str, *, is_read_again: bool = False) -> Iterator[Path]:
        path = self.path(digest)
        if not path.is_file():
            raise StoreDamaged("Audio that was kept is missing.")
        if is_read_again and not self.is_intact(digest):
            raise StoreDamaged("Kept audio is not what was kept.")
        yield path

    def is_intact(self, digest: str) -> bool:
        with _reading():
            return digest_of(self.path(digest)) == digest

    def remove(self, digest: str) -> None:
        path = self.path(digest)
        with _writing():
            path.unlink(missing_ok=True)
            flush_folder(path.parent)

    def digests(self) -> Iterator[str]:
        for path in self._folder.glob("??/??/*"):
            if _DIGEST.fullmatch(path.name):
                yield path.name

    def remove_leftovers(self) -> int:
        removed = 0
        now_s = time.time()
        for path in self._incoming.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if now_s - path.stat().st_mtime > _LEFTOVER_AGE_S:
                    path.unlink()
                    removed += 1
        return removed


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _copied(stream: IO[bytes], part: Path, max_bytes: int | None) -> tuple[str, int]:
    """Digest and size of what was written to ``part``, flushed to the disk."""
    digest = hashlib.sha256()
    size_bytes = 0
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        while piece := stream.read(_COPY_BYTES):
            size_bytes += len(piece)
            if max_bytes is not None and size_bytes > max_bytes:
                raise AudioTooLong(f"It is larger than the limit of {max_bytes} bytes.")
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size_bytes


def _make_folders(folder: Path, root: Path) -> None:
    """Make ``folder`` below ``root``; each new one is flushed into its parent."""
    if folder.is_dir():
        return
    _make_folders(folder.parent, root) if folder != root else None
    folder.mkdir(exist_ok=True, parents=True)
    flush_folder(folder.parent)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or "unknown reason"
        raise StoreUnreachable(
            f"The audio cannot be kept: {reason}.", "Check LINGTING_DATA_DIR and free some space."
        ) from exc


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise StoreDamaged("Audio that was kept is missing.") from exc
    except OSError as exc:
        raise StoreUnreachable(f"Kept audio cannot be read: {exc.strerror or 'unknown'}.") from exc
