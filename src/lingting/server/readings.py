"""Who read what: rows of the audit trail for transcripts and audio that were handed out.

The row is there before the answer is: what cannot be noted is not handed out (503, try again). One
that reads the same again within ten minutes by the same key or session has been noted already; a
file that is exported is noted each time.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingting.server.principal import Principal
    from lingting.server.service import Service

NOTED_S = 600.0
_REMEMBERED = 10_000


class Readings:
    """For many threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._noted: dict[tuple[str, str, str], float] = {}

    def is_new(self, by: str, action: str, object_id: str) -> bool:
        with self._turn:
            noted_s = self._noted.get((by, action, object_id))
        return noted_s is None or time.monotonic() - noted_s > NOTED_S

    def remember(self, by: str, action: str, object_id: str) -> None:
        now_s = time.monotonic()
        with self._turn:
            if len(self._noted) >= _REMEMBERED:
                self._noted = {key: s for key, s in self._noted.items() if now_s - s <= NOTED_S}
            if len(self._noted) >= _REMEMBERED:
                self._noted.clear()
            self._noted[by, action, object_id] = now_s


def note_read(
    service: Service, who: Principal, action: str, recording_id: str, **details: int | str
) -> None:
    """Somebody is about to be given this. May block. Raises StoreBusy, StoreUnreachable."""
    if service.readings.is_new(who.by, action, recording_id):
        note_given(service, who, action, recording_id, **details)
        service.readings.remember(who.by, action, recording_id)


def note_given(
    service: Service, who: Principal, action: str, recording_id: str, **details: int | str
) -> None:
    """The same, each time."""
    from lingting.store import audit

    with service.store.database.write() as session:
        audit.note(session, who.actor, action, "recording", recording_id, **details)
