"""``transcribe --keep``: each recording and its transcript go into the history when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingting.cli.inputs import Input
from lingting.errors import AudioInvalid, AudioPathUnreadable

if TYPE_CHECKING:
    from lingting.store import Blob, Kept, Store
    from lingting.transcript import Transcript

_STDIN_NAME = "standard input"


class Keeper:
    """Puts what one run transcribes into a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._received: dict[str, Blob] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def has(self, given: Input) -> bool:
        """True when this file's content is in the history under its name."""
        from lingting.store.blobs import digest_of

        if given.path is None:
            return False
        try:
            return self._store.has_kept(digest_of(given.path), name=given.path.name)
        except OSError:
            return False  # it is read again, and that says what is wrong

    def note(self, given: Input) -> None:
        """Before a file is read: what it was, because only that is kept with its transcript."""
        if given.path is not None:
            self._seen[given.name] = _state(given.path)

    def receive(self, given: Input, stream: Any) -> Path:
        """Keep standard input before it is read, for it can be read only once; its file."""
        from lingting.audio.decode import Limits
        from lingting.store.blobs import FolderBlobs

        blobs = self._store.blobs
        assert isinstance(blobs, FolderBlobs)
        blob = blobs.put(stream, max_bytes=Limits().max_source_bytes)
        self._received[given.name] = blob
        return blobs.path(blob.digest)

    def keep(self, given: Input, transcript: Transcript) -> Kept:
        """Raises AudioInvalid for a file that has changed since it was read."""
        from lingting.audio.decode import Limits
        from lingting.audio.peaks import peaks
        from lingting.config import settings
        from lingting.store.blobs import FolderBlobs

        blobs = self._store.blobs
        assert isinstance(blobs, FolderBlobs)
        blob = self._received.get(given.name)
        if blob is None:
            blob = self._put(given)
        path = blobs.path(blob.digest)
        limits = Limits(max_duration_s=max(settings().max_duration_s, transcript.duration_s + 60))
        drawn = peaks(path, limits=limits) if transcript.duration_s else None
        name = _STDIN_NAME if given.path is None else given.path.name
        return self._store.keep(blob, transcript, name=name, peaks=drawn)

    def _put(self, given: Input) -> Blob:
        """The file's bytes, which must be those that were transcribed."""
        assert given.path is not None
        try:
            with given.path.open("rb") as stream:
                blob = self._store.blobs.put(stream)
        except OSError as exc:
            raise AudioPathUnreadable(
                f"The recording cannot be read again to be kept: {exc.strerror}."
            ) from exc
        if self._seen.get(given.name) != _state(given.path):
            raise AudioInvalid(
                "The recording changed while it was transcribed, so it was not kept.",
                "Transcribe it again when it is complete.",
            )
        return blob


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change; zeros for what cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
