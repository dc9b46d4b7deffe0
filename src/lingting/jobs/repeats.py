"""A recording that is given again, as clients do whose first request broke off."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lingting.jobs.desk import Desk, resolved
from lingting.jobs.options import JobOptions
from lingting.store import jobs, repeats
from lingting.store.records import Blob, Job, Priority
from lingting.store.store import Store
from lingting.transcript import Segment


@dataclass(frozen=True, slots=True)
class Ask:
    """A transcription that is wanted once, however often it is asked for."""

    options: JobOptions
    name: str
    owner: str
    by: str
    """What they showed, such as ``key:<id>``: others' requests are others' jobs."""
    department: str | None = None
    priority: Priority = "high"
    is_kept: bool = True
    """False: a recording of its own that nobody else's job may share, because it will go."""
    idempotency_key: str | None = None

    def key(self, blob: Blob) -> str:
        """The same for what is the same request."""
        if self.idempotency_key is not None:
            return f"once:{self.by}:{_digest([self.idempotency_key])}"
        return f"again:{self.fingerprint(blob)}"

    def fingerprint(self, blob: Blob) -> str:
        """Of the request itself, without the key it may have come with."""
        return _digest([self.by, blob.digest, self.options.as_dict(), self.is_kept])


def submit_once(
    desk: Desk, blob: Blob, ask: Ask, *, within: timedelta, check: Callable[[], None]
) -> Job:
    """The job of the same request if that was made lately, or a new one; durable either way.

    ``check`` is called before there is a new one and may refuse it.

    A job that failed or was cancelled goes on where it was. With an ``idempotency_key`` the same
    request is the same for as long as the key is remembered. Raises RequestConflict,
    GlossaryNotFound, StoreUnreachable.
    """
    store, key = desk.store, ask.key(blob)
    window = None if ask.idempotency_key is not None else within
    digest = ask.fingerprint(blob)

    def known(session: Any) -> str | None:
        return repeats.joined(session, owner=ask.owner, key=key, digest=digest, within=window)

    def add(session: Any, recording_id: str) -> str:
        job_id = known(session)
        if job_id is None:
            job_id = jobs.add_job(
                session, recording_id,
                options=resolved(session, ask.options, ask.owner, ask.department),
                owner=ask.owner, batch_id=None, priority=ask.priority,
            )  # fmt: skip
            if not ask.is_kept:
                repeats.mark_passing(session, recording_id)
            repeats.note(session, owner=ask.owner, key=key, digest=digest, job_id=job_id)
        return job_id

    found = None
    with store.database.read() as session:
        is_known = jobs.is_requested(session, owner=ask.owner, key=key)
    if is_known:
        with store.database.write() as session:
            found = known(session)
    if found is None:
        check()
        found = store.receive(
            blob, add, name=ask.name, owner=ask.owner, department=ask.department,
            is_fresh=not ask.is_kept,
        )  # fmt: skip
    return desk.job(found)


def heard(desk: Desk, job_id: str, behind: int) -> tuple[list[Segment], int]:
    """What a running job has heard behind so many groups, and how many there are then."""
    with desk.store.database.read() as session:
        return repeats.heard(session, job_id, behind)


def passing(store: Store, *, older: timedelta) -> list[str]:
    """Recordings that were not to be kept and that nobody has worked on for so long."""
    with store.database.read() as session:
        return repeats.passing(session, older)


def _digest(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
