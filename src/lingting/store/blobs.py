"""Audio by content: ``blobs/ab/cd/<sha256>``, each file whole or not there at all.

Bytes are hashed while they are written to a temporary file, flushed to the disk and then renamed to
their digest. Whatever ends the process leaves a whole blob, or a leftover that ``check`` removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol

from lingting.durable import flush_folder
from lingting.errors import AudioTooLong, OptionInvalid, StoreDamaged, StoreUnreachable
from lingting.store.records import Blob

if TYPE_CHECKING:
    from lingting.config import Settings

_COPY_BYTES = 1 << 20
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

    def open_range(self, digest: str, start_byte: int, end_byte: int | None = None) -> BinaryIO:
        """A seekable stream of bytes ``start_byte`` to before ``end_byte`` (None: to the end).

        A range that ends behind the audio ends with it. Raises OptionInvalid for one that begins
        behind it or ends before it begins, StoreDamaged when the audio is missing.
        """
        ...

    def local_path(
        self, digest: str, *, is_read_again: bool = False
    ) -> AbstractContextManager[Path]:
        """A file of this machine with these bytes, for programs that need a path.

        It is only to be read, and only inside the block. ``is_read_again`` compares every byte
        with the digest. Raises StoreDamaged when it is missing or not what was kept.
        """
        ...

    def copies(self) -> Iterator[str]:
        """Digests of what this machine holds beside the store itself."""
        ...

    def forget_copy(self, digest: str) -> None: ...

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
        return self._folder / key_of(digest)

    def put(self, stream: IO[bytes], *, max_bytes: int | None = None) -> Blob:
        """See ``BlobStore``. Raises AudioTooLong beyond ``max_bytes``, StoreUnreachable.

        Bytes that are there already are written again: should the older copy have rotted, this
        mends it.
        """
        with writing():
            self._incoming.mkdir(parents=True, exist_ok=True)
            with received(stream, self._incoming, max_bytes) as (part, digest, size_bytes):
                target = self.path(digest)
                is_new = not target.exists()
                _make_folders(target.parent, self._folder)
                os.replace(part, target)
                flush_folder(target.parent)
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

    def open_range(self, digest: str, start_byte: int, end_byte: int | None = None) -> BinaryIO:
        start, end = checked(start_byte, end_byte, self.size_bytes(digest))
        file = self.open(digest)

        def read(start_byte: int, end_byte: int) -> bytes:
            with _reading():
                file.seek(start_byte)
                return file.read(end_byte - start_byte)

        return io.BufferedReader(Part(read, start, end, close=file.close))

    @contextmanager
    def local_path(self, digest: str, *, is_read_again: bool = False) -> Iterator[Path]:
        path = self.path(digest)
        if not path.is_file():
            raise StoreDamaged("Audio that was kept is missing.")
        if is_read_again and not self.is_intact(digest):
            raise StoreDamaged("Kept audio is not what was kept.")
        yield path

    def copies(self) -> Iterator[str]:
        """None: the folder is the store."""
        yield from ()

    def forget_copy(self, digest: str) -> None:
        """Nothing: there are no copies."""

    def is_intact(self, digest: str) -> bool:
        with _reading():
            return digest_of(self.path(digest)) == digest

    def remove(self, digest: str) -> None:
        path = self.path(digest)
        with writing():
            path.unlink(missing_ok=True)
            flush_folder(path.parent)

    def digests(self) -> Iterator[str]:
        for path in self._folder.glob("??/??/*"):
            if is_digest(path.name):
                yield path.name

    def remove_leftovers(self) -> int:
        return remove_dead(self._incoming)


def open_blobs(settings: Settings, folder: Path | None = None) -> BlobStore:
    """The blob store of the settings: the bucket of LINGTING_BLOB_URL, or ``blobs`` in the folder.

    ``folder`` is the data folder (None: that of the settings); a bucket keeps copies there.
    """
    place = settings.data_folder if folder is None else folder
    if settings.blob_url is None:
        return FolderBlobs(place / "blobs")
    from lingting.store.bucket import BucketBlobs

    return BucketBlobs(settings.blob_url, place / "bucket", cache_bytes=settings.blob_cache_bytes)


class Part(io.RawIOBase):
    """Bytes ``start`` to ``end`` of something as a file of their own.

    ``read`` gives the bytes from one place to before another, both within.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        start: int,
        end: int,
        *,
        close: Callable[[], None] | None = None,
    ) -> None:
        self._read, self._start, self._end, self._close = read, start, end, close
        self._at = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(self._start, base + offset)
        return self.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._end)
        if end <= self._at:
            return 0
        piece = self._read(self._at, end)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if self._close is not None:
            self._close()
        super().close()


def checked(start_byte: int, end_byte: int | None, size_bytes: int) -> tuple[int, int]:
    """A range inside so many bytes. Raises OptionInvalid for one that is not there at all."""
    end = size_bytes if end_byte is None else min(end_byte, size_bytes)
    if not 0 <= start_byte <= end:
        raise OptionInvalid(f"The range is not within the {size_bytes} bytes of this audio.")
    return start_byte, end


def is_digest(given: str) -> bool:
    return _DIGEST.fullmatch(given) is not None


def key_of(digest: str) -> str:
    """``ab/cd/<digest>``. Raises OptionInvalid for what is no digest."""
    if not is_digest(digest):
        raise OptionInvalid("This is no digest; it has 64 hexadecimal digits.")
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def remove_dead(folder: Path) -> int:
    """Take away the half-written files of a folder whose processes are gone; how many."""
    removed = 0
    for path in folder.glob("*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a live process holds it
            path.unlink()
            removed += 1
    return removed


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def received(
    stream: IO[bytes], folder: Path, max_bytes: int | None
) -> Iterator[tuple[Path, str, int]]:
    """What is left in ``stream`` as a file of ``folder``, flushed; with its digest and size.

    The file is gone behind the block unless it was moved. It is locked until then, and the kernel
    takes the lock from a process that ends: so ``remove_dead`` can tell.
    """
    file, part = new_part(folder)
    try:
        with file:
            yield part, *_copied(stream, file, max_bytes)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def new_part(folder: Path) -> tuple[IO[bytes], Path]:
    """A locked empty file. A sweep may take it away before it is locked; then it is made again."""
    while True:
        part = folder / secrets.token_hex(16)
        file = os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file, part
        file.close()


def _copied(stream: IO[bytes], file: IO[bytes], max_bytes: int | None) -> tuple[str, int]:
    """Digest and size of what was written, flushed to the disk."""
    digest = hashlib.sha256()
    size_bytes = 0
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
def writing() -> Iterator[None]:
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
