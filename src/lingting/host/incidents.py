"""What nobody foresaw, as an event for the log: its type and place.

Its message stays out: that of a foreign exception may quote a caller.
"""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb
from typing import Any

_FRAMES = 6


def incident(exc: BaseException) -> dict[str, Any]:
    """The innermost lines it went through stand last."""
    frames = list(walk_tb(exc.__traceback__))[-_FRAMES:]
    at = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in frames]
    return {"event": "incident", "error": type(exc).__name__, "at": at}
