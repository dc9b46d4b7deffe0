"""Models that administrators let this machine download: one at a time, with progress to look at."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lingting.answers import Pull
from lingting.errors import BusyError, LingtingError, ModelUnknown

if TYPE_CHECKING:
    from lingting.config import Settings
    from lingting.models import Library
    from lingting.models.progress import Progress

log = logging.getLogger("lingting.server")
_QUEUED = 8


class Pulls:
    """Downloads go on while the web process lives; a cut one is resumed by the next."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = threading.Lock()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="pull")
        self._known: dict[str, Pull] = {}
        self._is_closed = False

    def state(self, name: str) -> Pull | None:
        with self._turn:
            return self._known.get(name)

    def start(self, name: str) -> bool:
        """Begin; False when one is under way. Blocks for a moment.

        Raises ModelUnknown, ModelNotInstalled where LINGTING_OFFLINE forbids it, and BusyError
        when many wait already.
        """
        from lingting.models import Library, Status, catalogue, install

        library = Library(catalogue(), self._settings.models_dir)
        model = library.model(name)
        if model.id != name:  # which other routes would not find
            raise ModelUnknown("There is no such model.", "GET /api/v1/models lists them.")
        if self._settings.offline and library.status(model) is not Status.INSTALLED:
            install.pull(library, model.id, offline=True)  # raises, with the way out
        with self._turn:
            known = self._known.get(model.id)
            if known is not None and known.state == "running":
                return False
            running = sum(one.state == "running" for one in self._known.values())
            if running >= _QUEUED or self._is_closed:
                raise BusyError("Many models are being fetched already.", retry_after_s=60.0)
            total_bytes = model.size_bytes or None
            begun = Pull("running", None, 0, total_bytes, _now(), None, None)
            self._threads.submit(self._pull, library, model.id)
            self._known[model.id] = begun
            return True

    def _pull(self, library: Library, name: str) -> None:
        from lingting.models import install

        try:
            install.pull(
                library, name, offline=self._settings.offline,
                progress=lambda told: self._note(name, told),
            )  # fmt: skip
        except _Closed:
            return
        except LingtingError as error:
            log.warning("model not fetched", extra={"model": name, "code": error.code})
            self._end(name, "failed", error.code)
        except Exception as exc:
            log.error("model not fetched", extra={"model": name, "error": type(exc).__name__})
            self._end(name, "failed", "fault.unknown")
        else:
            self._end(name, "done", None)

    def _note(self, name: str, told: Progress) -> None:
        """In the thread of the download, which ends here when the web process does."""
        with self._turn:
            if self._is_closed:
                raise _Closed
            self._known[name] = replace(
                self._known[name], phase=told.phase, done_bytes=told.done_bytes,
                total_bytes=told.total_bytes,
            )  # fmt: skip

    def _end(self, name: str, state: str, error: str | None) -> None:
        with self._turn:
            self._known[name] = replace(
                self._known[name], state=state, finished_at=_now(), error=error
            )

    def close(self) -> None:
        """What is being fetched stops at its next piece."""
        with self._turn:
            self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Closed(BaseException):
    """Not an Exception: no source is blamed for it, and no other one is tried."""


def _now() -> datetime:
    return datetime.now(UTC)
