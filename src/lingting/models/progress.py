"""How far a pull or an import is: one small value per step, for a progress bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["wait", "download", "unpack", "copy", "verify", "done"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes count over the whole phase, not over one file; a new phase starts at 0 again."""

    model: str
    file: str | None
    done_bytes: int
    total_bytes: int | None
    """None while it is unknown."""
    phase: Phase
    """``wait`` means that another process is changing this model's files."""


OnProgress = Callable[[Progress], None]


class Meter:
    """Counts the bytes of one phase and tells the listener, if there is one."""

    def __init__(
        self, model: str, phase: Phase, total_bytes: int | None, listener: OnProgress | None
    ) -> None:
        self._model = model
        self._phase = phase
        self._total_bytes = total_bytes
        self._listener = listener
        self._settled_bytes = 0
        self._file: str | None = None

    def at(self, file: str, file_bytes: int) -> None:
        """``file`` has come to ``file_bytes``; earlier files stay counted by :meth:`settle`."""
        self._file = file
        self._tell(self._settled_bytes + file_bytes)

    def settle(self, file: str, file_bytes: int) -> None:
        """``file`` is finished."""
        self._file = file
        self._settled_bytes += file_bytes
        self._tell(self._settled_bytes)

    def _tell(self, done_bytes: int) -> None:
        if self._listener is None:
            return
        total = self._total_bytes
        if total is not None:
            total = max(total, done_bytes)
        self._listener(Progress(self._model, self._file, done_bytes, total, self._phase))
