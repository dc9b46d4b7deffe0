"""What somebody may see of the store. What they may not see is not there for them."""

from __future__ import annotations

from lingting.errors import LingtingError, NotAllowed, RecordingNotFound
from lingting.server.principal import Principal
from lingting.server.service import Service
from lingting.store import Recording, Shares


def recording_of(service: Service, who: Principal, id: str) -> Recording:
    """By its whole id. Raises RecordingNotFound, for somebody else's too unless it is shared.

    Raises NotAllowed for one that is to be changed and that they may only read.
    """
    missing = RecordingNotFound("The history holds no recording with this id.")
    found = service.store.recording(id)
    if found.id != id:
        raise missing
    if not who.may_see(found.owner, found.department) and is_shared(service, who, found):
        if who.is_changing:
            raise NotAllowed("It is somebody else's, and may only be read.")
        return found
    check_seen(who, found.owner, found.department, missing)
    return found


def is_shared(service: Service, who: Principal, recording: Recording) -> bool:
    """Whether a share that is in force names them."""
    return Shares(service.store.database).is_open_to(recording.id, who.shown)


def check_seen(
    who: Principal, owner: str | None, department: str | None, missing: LingtingError
) -> None:
    """Raises ``missing`` for what they do not see, and NotAllowed for what they may only read."""
    if not who.may_see(owner, department):
        if who.is_changing and who.reading().may_see(owner, department):
            raise NotAllowed("It is somebody else's, and may only be read.")
        raise missing
