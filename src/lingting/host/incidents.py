"""What nobody foresaw, as an event for the log."""

from __future__ import annotations

from typing import Any

from lingting.log import kind_and_place


def incident(exc: BaseException) -> dict[str, Any]:
    """Its type and place."""
    return {"event": "incident", **kind_and_place(exc)}
