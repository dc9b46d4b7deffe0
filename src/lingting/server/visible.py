"""What somebody may see of the store. What they may not see is not there for them."""

from __future__ import annotations

from lingting.errors import RecordingNotFound
from lingting.server.access import Principal
from lingting.server.service import Service
from lingting.store import Recording


def recording_of(service: Service, who: Principal, id: str) -> Recording:
    """By its whole id. Raises RecordingNotFound, for somebody else's too."""
    found = service.store.recording(id)
    if found.id != id or not who.may_see(found.owner):
        raise RecordingNotFound("The history holds no recording with this id.")
    return found
