"""Where work is asked for and looked at. It writes rows and nothing else; workers notice them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from lingting.errors import OptionInvalid
from lingting.jobs.options import JobOptions
from lingting.store import events, glossaries, jobs, people, work
from lingting.store.records import (
    ACTIVE,
    PRIORITIES,
    Batch,
    Blob,
    Event,
    Job,
    JobState,
    Priority,
    Sight,
    WorkerState,
)
from lingting.store.store import Store
from lingting.transcript import Segment, segment_from

_Session = Any
"""Of the store's library, which only the store knows."""
_Change = Callable[[_Session, Any], None]
DEFAULT_OPTIONS = JobOptions()
_MAX_KEY_CHARS = 200
_WATCHED = "jobs.watched_folders"


class Desk:
    """Jobs and batches of a store. May be used by many threads."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # Asking ------------------------------------------------------------------------------------

    def submit(
        self,
        audio: Path | IO[bytes] | Blob,
        *,
        name: str,
        options: JobOptions = DEFAULT_OPTIONS,
        owner: str | None = None,
        department: str | None = None,
        batch_id: str | None = None,
        priority: Priority = "normal",
        idempotency_key: str | None = None,
    ) -> Job:
        """Keep the audio and ask for its transcript; both are durable when it returns.

        The same audio under the same name of the same owner is one recording, whose transcript
        gets another revision. The same ``idempotency_key`` of the same owner gives the same job
        again. A glossary's words become hotwords now; what it holds later changes nothing. Raises
        RequestConflict when that key was for something else, BatchNotFound, GlossaryNotFound,
        OptionInvalid, StoreUnreachable.

        Without ``department`` it is that of the owner, if they are a user of the service.
        """
        _check_priority(priority)
        given_department = department  # who moves meanwhile sends the same request
        department = department or self._department_of(owner)
        self.check_glossary(
            options, owner=owner, department=department, idempotency_key=idempotency_key
        )
        blob = audio if isinstance(audio, Blob) else self.store.put(audio)
        asked = _Asked(
            "job", owner, idempotency_key,
            [blob.digest, name, options.as_dict(), given_department, batch_id, priority],
        )  # fmt: skip

        def add(session: _Session, recording_id: str) -> str:
            return asked.once(
                session,
                lambda: jobs.add_job(
                    session, recording_id, options=resolved(session, options, owner, department),
                    owner=owner, batch_id=batch_id, priority=priority,
                ),
            )  # fmt: skip

        known = asked.answered(self.store)
        if known is None:
            known = self.store.receive(blob, add, name=name, owner=owner, department=department)
        return self.job(known)

    def _department_of(self, owner: str | None) -> str | None:
        with self.store.database.read() as session:
            return people.department_of(session, owner)

    def check_glossary(
        self,
        options: JobOptions,
        *,
        owner: str | None = None,
        department: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Raises GlossaryNotFound when ``options`` name one that this owner does not see.

        What was made for the key before needs it no longer.
        """
        if options.glossary is None:
            return
        with self.store.database.read() as session:
            key = idempotency_key
            if key is None or not jobs.is_requested(session, owner=owner, key=key):
                glossaries.find(session, options.glossary, owner=owner, department=department)

    def is_requested(self, idempotency_key: str, *, owner: str | None = None) -> bool:
        """Whether anything was made for this key."""
        with self.store.database.read() as session:
            return jobs.is_requested(session, owner=owner, key=idempotency_key)

    def resubmit(
        self,
        recording_id: str,
        options: JobOptions = DEFAULT_OPTIONS,
        *,
        owner: str | None = None,
        batch_id: str | None = None,
        priority: Priority = "normal",
        idempotency_key: str | None = None,
    ) -> Job:
        """Transcribe a recording that is there once more, in another way or by another model.

        Without ``owner`` it is the recording's. Raises RecordingNotFound, GlossaryNotFound.
        """
        _check_priority(priority)
        recording = self.store.recording(recording_id)
        asked = _Asked(
            "job", owner or recording.owner, idempotency_key,
            [recording.id, options.as_dict(), batch_id, priority],
        )  # fmt: skip
        with self.store.database.write() as session:
            job_id = asked.once(
                session,
                lambda: jobs.add_job(
                    session, recording.id,
                    options=resolved(
                        session, options, owner or recording.owner, recording.department
                    ),
                    owner=owner or recording.owner, batch_id=batch_id, priority=priority,
                ),
            )  # fmt: skip
        return self.job(job_id)

    def open_batch(
        self,
        name: str,
        *,
        owner: str | None = None,
        department: str | None = None,
        priority: Priority = "normal",
        idempotency_key: str | None = None,
    ) -> Batch:
        """A name for jobs that belong together; give its id to ``submit``."""
        _check_priority(priority)
        asked = _Asked("batch", owner, idempotency_key, [name, priority])
        with self.store.database.write() as session:
            batch_id = asked.once(
                session,
                lambda: jobs.add_batch(
                    session,
                    name,
                    owner=owner,
                    department=department or people.department_of(session, owner),
                    priority=priority,
                ),
            )
        return self.batch(batch_id)

    # Showing -----------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        with self.store.database.read() as session:
            return jobs.job(session, job_id)

    def heard(self, job_id: str, *, start: int, limit: int) -> tuple[int, list[Segment]]:
        """How many segments a job that is not done has, and those from ``start``, in order."""
        with self.store.database.read() as session:
            rows = work.group_segments(session, job_id)
        return len(rows), list(map(segment_from, rows[start : start + limit]))

    def made_for(self, idempotency_key: str, *, owner: str | None = None) -> Job:
        """What ``submit`` made for this key. Raises JobNotFound."""
        with self.store.database.read() as session:
            job_id = jobs.made_for(session, owner=owner, key=idempotency_key)
            return jobs.job(session, job_id or "")

    def counts(self, *, sight: Sight | None = None) -> dict[JobState, int]:
        """How many jobs there are in each state but done."""
        with self.store.database.read() as session:
            return jobs.counts(session, sight=sight)

    def jobs(
        self,
        *,
        sight: Sight | None = None,
        batch_id: str | None = None,
        recording_id: str | None = None,
        state: JobState | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Job]:
        """A page, the newest first; go on with ``after=page[-1].id``."""
        with self.store.database.read() as session:
            return jobs.jobs(
                session, sight=sight, batch_id=batch_id, recording_id=recording_id, state=state,
                limit=limit, after=after,
            )  # fmt: skip

    def batch(self, batch_id: str) -> Batch:
        """Raises BatchNotFound."""
        with self.store.database.read() as session:
            return jobs.batch(session, batch_id)

    def batch_owner(self, batch_id: str) -> tuple[str | None, str | None]:
        """Owner and department: whose it is, without adding up its jobs. Raises BatchNotFound."""
        with self.store.database.read() as session:
            return jobs.batch_owner(session, batch_id)

    def batches(
        self, *, sight: Sight | None = None, limit: int = 50, after: str | None = None
    ) -> list[Batch]:
        """A page, the newest first; go on with ``after=page[-1].id``."""
        with self.store.database.read() as session:
            return jobs.batches(session, sight=sight, limit=limit, after=after)

    def workers(self) -> list[WorkerState]:
        """Those that were ever seen and not forgotten, the latest first."""
        with self.store.database.read() as session:
            return work.workers(session)

    # Changing ----------------------------------------------------------------------------------

    def pause(self, job_id: str) -> Job:
        """A queued job at once, a running one behind its current group. JobFinished otherwise."""
        return self._change(job_id, jobs.pause, ACTIVE)

    def resume(self, job_id: str) -> Job:
        return self._change(job_id, jobs.resume, ACTIVE)

    def cancel(self, job_id: str) -> Job:
        """For good, unless it is tried again; cancelling twice is fine."""
        return self._change(job_id, jobs.cancel, (*ACTIVE, "cancelled"))

    def retry(self, job_id: str) -> Job:
        """A failed or cancelled job goes on where it was; JobFinished for a done one."""
        return self._change(job_id, jobs.retry, ("failed", "cancelled", "queued", "running"))

    def pause_batch(self, batch_id: str) -> Batch:
        """All of its jobs, and those that will be submitted to it."""
        return self._change_batch(batch_id, jobs.pause, ("queued", "running"), is_paused=True)

    def resume_batch(self, batch_id: str) -> Batch:
        return self._change_batch(batch_id, jobs.resume, ("paused",), is_paused=False)

    def cancel_batch(self, batch_id: str) -> Batch:
        return self._change_batch(batch_id, jobs.cancel, ACTIVE)

    def retry_batch(self, batch_id: str) -> Batch:
        """Its failed and cancelled jobs."""
        return self._change_batch(batch_id, jobs.retry, ("failed", "cancelled"))

    def _change(self, job_id: str, change: _Change, allowed: tuple[str, ...]) -> Job:
        with self.store.database.write() as session:
            change(session, [jobs.job_row(session, job_id, allowed=allowed)])
        return self.job(job_id)

    def _change_batch(
        self, batch_id: str, change: _Change, states: tuple[str, ...], is_paused: bool | None = None
    ) -> Batch:
        with self.store.database.write() as session:
            if is_paused is not None:
                jobs.set_batch_paused(session, batch_id, is_paused)
            change(session, jobs.batch_job_rows(session, batch_id, states))
        return self.batch(batch_id)

    # Folders -----------------------------------------------------------------------------------

    def watch_folder(
        self,
        folder: Path,
        options: JobOptions = DEFAULT_OPTIONS,
        *,
        owner: str | None = None,
        department: str | None = None,
        priority: Priority = "low",
    ) -> None:
        """Submit what is in this folder of the workers' machine, and whatever comes to be in it.

        Naming the same folder again changes how. Each file gets the words that a glossary has when
        it is submitted. Raises OptionInvalid for a folder that is not there, GlossaryNotFound.
        """
        _check_priority(priority)
        self.check_glossary(options, owner=owner, department=department)
        if not folder.is_absolute() or not folder.is_dir():
            raise OptionInvalid("There is no folder to watch.", "Give its whole path.")
        told = {
            "folder": str(folder), "options": options.as_dict(), "owner": owner,
            "department": department, "priority": priority,
        }  # fmt: skip
        self.store.change_setting(_WATCHED, lambda known: [*_others(known, folder), told])

    def unwatch_folder(self, folder: Path) -> None:
        """Recordings that were submitted stay; naming one that is not watched is fine."""
        self.store.change_setting(_WATCHED, lambda known: _others(known, folder))

    def watched_folders(self) -> list[dict[str, Any]]:
        """``folder``, ``options``, ``owner``, ``department`` and ``priority`` of each."""
        found: list[dict[str, Any]] = self.store.setting(_WATCHED) or []
        return found

    # Events ------------------------------------------------------------------------------------

    def events(
        self,
        after: int = 0,
        *,
        sight: Sight | None = None,
        job_id: str | None = None,
        batch_id: str | None = None,
        limit: int = 500,
    ) -> list[Event]:
        """What happened behind the event ``after``, in order.

        Kinds: job.queued, job.started, job.progress, job.paused, job.resumed, job.done,
        job.failed, job.cancelled, batch.done. They are kept for a week.
        """
        with self.store.database.read() as session:
            return events.after(
                session, after, sight=sight, job_id=job_id, batch_id=batch_id, limit=limit
            )

    def last_event_id(self) -> int:
        """Where a listener begins that wants to hear only what is new."""
        with self.store.database.read() as session:
            return events.last_id(session)


class _Asked:
    """A request that is done once, however often it is made."""

    def __init__(self, kind: str, owner: str | None, key: str | None, body: list[Any]) -> None:
        if key is not None and not (0 < len(key) <= _MAX_KEY_CHARS and key.isprintable()):
            raise OptionInvalid(f"An idempotency key has 1 to {_MAX_KEY_CHARS} characters.")
        self._kind = kind
        self._owner = owner
        self._key = key
        self._digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()

    def answered(self, store: Store) -> str | None:
        """What was made for it before."""
        if self._key is None:
            return None
        with store.database.read() as session:
            return self._found(session)

    def once(self, session: _Session, make: Callable[[], str]) -> str:
        if self._key is None:
            return make()
        jobs.lock_request(session, self._owner, self._key)
        found = self._found(session)
        if found is None:
            found = make()
            jobs.note_request(
                session, owner=self._owner, key=self._key, kind=self._kind, digest=self._digest,
                subject_id=found,
            )  # fmt: skip
        return found

    def _found(self, session: _Session) -> str | None:
        assert self._key is not None
        return jobs.requested(
            session, owner=self._owner, key=self._key, kind=self._kind, digest=self._digest
        )


def resolved(
    session: _Session, options: JobOptions, owner: str | None, department: str | None
) -> dict[str, Any]:
    """The options of a job, with the words of its glossary. Raises GlossaryNotFound."""
    name = options.glossary
    found = None
    if name is not None:
        found = glossaries.find(session, name, owner=owner, department=department)
    return options.with_glossary(found).as_dict()


def _check_priority(priority: str) -> None:
    if priority not in PRIORITIES:
        raise OptionInvalid(f"priority is {priority[:40]}; allowed are high, normal and low.")


def _others(watched: list[dict[str, Any]] | None, folder: Path) -> list[dict[str, Any]]:
    return [one for one in watched or [] if one["folder"] != str(folder)]
