"""Audio by content in an S3-compatible store, under the same names as in a folder.

What is given is first written and hashed on this machine, because its digest is its name; then it
goes up as one object, in parts when it is large. An object is whole or not there: the store shows
it when its last part has arrived. Programs that need a file get a copy from a folder of bounded
size, compared with its digest when it is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from lingting.errors import (
    ExtraMissing,
    OptionInvalid,
    StoreDamaged,
    StoreUnreachable,
)
from lingting.store.blobs import (
    Part,
    checked,
    digest_of,
    is_digest,
    key_of,
    received,
    remove_dead,
    writing,
)
from lingting.store.records import Blob

if TYPE_CHECKING:
    from obstore.store import S3Store

_PART_BYTES = 8 << 20
_READ_AHEAD_BYTES = 1 << 20
_TRIES = 4
_KEYS = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_SKIP_SIGNATURE",
)  # fmt: skip
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class BucketBlobs:
    """Blobs as objects of one bucket, which many machines may share."""

    def __init__(self, url: str, folder: Path, *, cache_bytes: int) -> None:
        """``url`` is ``s3://bucket/prefix``; ``folder`` is for copies of this machine.

        Raises OptionInvalid for another URL or without a key, ExtraMissing.
        """
        self._files = _client(url, timeout_s=60.0, retries=3, retry_s=20.0)
        # Asked while others wait for the database: it says soon that nobody answers.
        self._answers = _client(url, timeout_s=5.0, retries=1, retry_s=3.0)
        self._incoming = folder / "incoming"
        self._cache = folder / "cache"
        self._cache_bytes = cache_bytes

    def put(self, stream: IO[bytes], *, max_bytes: int | None = None) -> Blob:
        """See ``BlobStore``. Raises AudioTooLong beyond ``max_bytes``, StoreUnreachable.

        Bytes that are there already go up again: should the object have rotted, this mends it.
        """
        with contextlib.ExitStack() as stack:
            with writing():
                self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
                part, digest, size_bytes = stack.enter_context(
                    received(stream, self._incoming, max_bytes)
                )
            is_new = not self.has(digest)
            for _ in range(_TRIES):  # a purge of the same audio may take it away at once
                self._send(part, digest)
                if self.has(digest):
                    break
            if self.size_bytes(digest) != size_bytes:
                raise StoreUnreachable("The audio store did not keep all that was sent.")
            self._adopt(part, digest)
        return Blob(digest, size_bytes, is_new)

    def _send(self, part: Path, digest: str) -> None:
        with _asking(), part.open("rb") as whole:
            try:
                self._files.put(key_of(digest), whole, chunk_size=_PART_BYTES, max_concurrency=4)
            except FileNotFoundError as exc:
                raise _no_bucket() from exc

    def has(self, digest: str) -> bool:
        try:
            self.size_bytes(digest)
        except StoreDamaged:
            return False
        return True

    def size_bytes(self, digest: str) -> int:
        with self._finding(digest):
            return self._answers.head(key_of(digest))["size"]

    def open(self, digest: str) -> BinaryIO:
        return self.open_range(digest, 0)

    def open_range(self, digest: str, start_byte: int, end_byte: int | None = None) -> BinaryIO:
        return self._opened(digest, start_byte, end_byte, _READ_AHEAD_BYTES)

    def _opened(
        self, digest: str, start_byte: int, end_byte: int | None, ahead_bytes: int
    ) -> io.BufferedReader:
        start, end = checked(start_byte, end_byte, self.size_bytes(digest))
        return io.BufferedReader(Part(partial(self._fetch, digest), start, end), ahead_bytes)

    def read_range(self, digest: str, start_byte: int, size_bytes: int) -> bytes:
        if start_byte < 0 or size_bytes < 0:
            raise OptionInvalid("A range begins at 0 or later and is not shorter than 0 bytes.")
        end = min(start_byte + size_bytes, self.size_bytes(digest))
        return self._fetch(digest, start_byte, end) if end > start_byte else b""

    def _fetch(self, digest: str, start_byte: int, end_byte: int) -> bytes:
        """Just these bytes of an object that has them, at least one."""
        with self._finding(digest):
            return bytes(self._files.get_range(key_of(digest), start=start_byte, end=end_byte))

    def is_intact(self, digest: str) -> bool:
        with self._opened(digest, 0, None, _PART_BYTES) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest

    @contextmanager
    def local_path(self, digest: str, *, is_read_again: bool = False) -> Iterator[Path]:
        """See ``BlobStore``. The copy stays until the block ends, whatever others need room for."""
        path = self._cache / digest
        with self._held(digest, is_read_again) as held:
            with contextlib.suppress(OSError):
                os.utime(held.fileno())
            self._make_room()
            yield path

    def remove(self, digest: str) -> None:
        self.remove_object(key_of(digest))
        self.forget_copy(digest)

    def forget_copy(self, digest: str) -> None:
        """The copy on this machine, if there is one."""
        with writing():
            (self._cache / digest).unlink(missing_ok=True)

    def copies(self) -> Iterator[str]:
        """Digests of the copies on this machine."""
        yield from (path.name for path in _files_in(self._cache) if "." not in path.name)

    def digests(self) -> Iterator[str]:
        with _asking():
            for page in self._files.list():
                for one in page:
                    name = one["path"].rpartition("/")[2]
                    if is_digest(name) and one["path"] == key_of(name):
                        yield name

    def remove_leftovers(self) -> int:
        """Those on this machine. Parts of an upload that was killed are the bucket's to remove."""
        return remove_dead(self._incoming)

    # Parts of uploads, see ``partials`` --------------------------------------------------------

    def put_object(self, key: str, stream: IO[bytes]) -> None:
        """Under a name that is no digest's. Raises StoreUnreachable."""
        with _asking():
            try:
                self._files.put(key, stream, chunk_size=_PART_BYTES, max_concurrency=2)
            except FileNotFoundError as exc:
                raise _no_bucket() from exc

    def open_object(self, key: str) -> IO[bytes] | None:
        """To be read once from its beginning; None when it is not there."""
        with _asking():
            try:
                return cast("IO[bytes]", _Streamed(iter(self._files.get(key).stream(_PART_BYTES))))
            except FileNotFoundError:
                return None

    def remove_object(self, key: str) -> None:
        """What is not there is no error. Raises StoreUnreachable."""
        with _asking(), contextlib.suppress(FileNotFoundError):
            self._answers.delete(key)

    def objects_older_than(self, prefix: str, age_s: float) -> Iterator[str]:
        """Keys below a prefix, by the clock of the bucket."""
        before = datetime.now(UTC) - timedelta(seconds=age_s)
        with _asking():
            for page in self._answers.list(prefix):
                yield from (one["path"] for one in page if one["last_modified"] < before)

    # Copies ------------------------------------------------------------------------------------

    def _held(self, digest: str, is_read_again: bool) -> IO[bytes]:
        """A whole copy, opened and locked, so that nobody takes it away."""
        key_of(digest)  # it becomes a file's name
        path = self._cache / digest
        while True:
            with writing():
                self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._download(digest, path)
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            fcntl.flock(file, fcntl.LOCK_SH)
            if not _is_there(path, file):  # taken away between opening and locking
                file.close()
            elif is_read_again and digest_of(path) != digest:
                path.unlink(missing_ok=True)
                file.close()
            else:
                return file

    def _download(self, digest: str, path: Path) -> None:
        with writing(), self._opened(digest, 0, None, _PART_BYTES) as stream:
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            with received(stream, self._incoming, None) as (part, found, _):
                if found != digest:
                    raise StoreDamaged("Kept audio is not what was kept.")
                _settle(part, path)

    def _adopt(self, part: Path, digest: str) -> None:
        """What just went up is the copy: it will be read soon."""
        with contextlib.suppress(OSError):
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            _settle(part, self._cache / digest)
            self._make_room()

    def _make_room(self) -> None:
        """Take the longest unused copies away, those in use excepted, until the rest has room."""
        copies = []
        for path in _files_in(self._cache):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                copies.append((found.st_mtime, found.st_size, path))
        too_many_bytes = sum(size_bytes for _, size_bytes, _ in copies) - self._cache_bytes
        for _, size_bytes, path in sorted(copies):
            if too_many_bytes <= 0:
                return
            with contextlib.suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                too_many_bytes -= size_bytes

    @contextmanager
    def _finding(self, digest: str) -> Iterator[None]:
        """A missing object is damage, a missing bucket is not: it may be there again tomorrow."""
        with _asking():
            try:
                yield
            except FileNotFoundError as exc:
                for _ in self._answers.list(key_of(digest)):  # fails for a missing bucket
                    pass
                raise StoreDamaged("Audio that was kept is missing.") from exc


class _Streamed(io.RawIOBase):
    """What comes piece by piece, as a file that is read."""

    def __init__(self, pieces: Iterator[Any]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._left:
            with _asking():
                self._left = memoryview(bytes(next(self._pieces, b"")))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _client(url: str, *, timeout_s: float, retries: int, retry_s: float) -> S3Store:
    bucket, prefix = _place(url)
    if not any(os.environ.get(name) for name in _KEYS):
        # Without one the library would ask the network for one.
        raise OptionInvalid(
            "There is no key for the audio store.",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "LINGTING_BLOB_URL needs obstore.", 'Run `pip install "lingting[server]"`.'
        ) from exc
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=2),
                "timeout": timedelta(seconds=timeout_s),
            },
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=retry_s)},
        )
    except BaseError as exc:
        raise OptionInvalid(
            "The audio store's settings cannot be used.", "Check the AWS_* variables."
        ) from exc


def _place(url: str) -> tuple[str, str]:
    parsed = urlsplit(url)
    if parsed.scheme != "s3" or not parsed.netloc or parsed.query or parsed.fragment:
        raise OptionInvalid("LINGTING_BLOB_URL is no s3://bucket/prefix.")
    return parsed.netloc, parsed.path.strip("/")


def _files_in(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from folder.iterdir()


def _settle(part: Path, path: Path) -> None:
    """Give it its name, unless another was quicker: that one may be in use and locked by now."""
    with contextlib.suppress(FileExistsError):
        os.link(part, path)


def _is_there(path: Path, file: IO[bytes]) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _no_bucket() -> StoreUnreachable:
    return StoreUnreachable(
        "The audio store has no such bucket.", "Check LINGTING_BLOB_URL and AWS_ENDPOINT_URL."
    )


@contextmanager
def _asking() -> Iterator[None]:
    """What the store says, as our errors; what it said in detail is the cause."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as exc:
        raise StoreUnreachable(
            "The audio store does not take the key.", "Check AWS_ACCESS_KEY_ID and its rights."
        ) from exc
    except BaseError as exc:
        if "NoSuchBucket" in str(exc):
            raise _no_bucket() from exc
        raise StoreUnreachable(
            "The audio store does not answer as it should.",
            "Check that it runs, LINGTING_BLOB_URL and AWS_ENDPOINT_URL.",
        ) from exc
