"""Jobs and batches: to look at, to stop and to start again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field

from lingting.answers import SegmentPage
from lingting.errors import BatchNotFound, JobNotFound
from lingting.jobs import Batch, Job, JobState, Priority
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.principal import Principal
from lingting.server.readings import note_read
from lingting.server.service import Service
from lingting.server.views import After, BatchPage, JobPage, Limit
from lingting.server.visible import check_seen, recording_of

router = APIRouter(tags=["jobs"])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=150,
        description="The same key gives the same answer again, and nothing is done twice.",
    ),
]


class Action(StrEnum):
    pause = "pause"
    resume = "resume"
    cancel = "cancel"
    retry = "retry"


class NewBatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=500)
    priority: Priority = "normal"


@router.get("/jobs")
def list_jobs(
    service: TheService,
    who: Reader,
    limit: Limit = 50,
    after: After = None,
    batch: Annotated[str | None, Query(max_length=40)] = None,
    recording: Annotated[str | None, Query(max_length=40)] = None,
    state: JobState | None = None,
) -> JobPage:
    """A page, the newest first."""
    if batch is not None:
        check_batch(service, who, batch)
    found = service.desk.jobs(
        sight=who.sees, batch_id=batch, recording_id=recording, state=state, limit=limit,
        after=after,
    )  # fmt: skip
    return JobPage(found, found[-1].id if len(found) == limit else None)


@router.get("/jobs/submitted")
def show_submitted(
    service: TheService,
    who: Reader,
    key: Annotated[str, Header(alias="Idempotency-Key", max_length=200)],
) -> Job:
    """The job that an upload with this key has made, so that it need not be sent again."""
    return service.desk.made_for(key, owner=who.user)


@router.get("/jobs/{id}")
def show_job(service: TheService, who: Reader, id: str) -> Job:
    """One job: state, progress, and why it failed."""
    return job_of(service, who, id)


@router.get("/jobs/{id}/segments")
def list_heard(
    service: TheService,
    who: Reader,
    id: str,
    start: Annotated[int, Query(ge=0, description="The first one's position.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> SegmentPage:
    """What was heard so far, while there is no transcript of this job: `revision` is 0.

    Empty when the job is done. What a failed job heard stays until it is retried or removed.
    """
    job = job_of(service, who, id)
    recording_of(service, who, job.recording_id)  # who moved on keeps the job, and not its text
    total, found = service.desk.heard(id, start=start, limit=limit)
    if found:
        note_read(service, who, "transcript.read", job.recording_id, revision=0)
    behind = start + len(found)
    return SegmentPage(0, total, found, behind if found and behind < total else None)


@router.post("/jobs/{id}/{action}")
def change_job(service: TheService, who: Writer, id: str, action: Action) -> Job:
    """Pause, resume, cancel or retry. A running job stops behind its current group of clips."""
    job_of(service, who, id)
    change: Any = getattr(service.desk, action.value)
    job: Job = change(id)
    return job


@router.get("/batches")
def list_batches(
    service: TheService, who: Reader, limit: Limit = 50, after: After = None
) -> BatchPage:
    """A page, the newest first."""
    found = service.desk.batches(sight=who.sees, limit=limit, after=after)
    return BatchPage(found, found[-1].id if len(found) == limit else None)


@router.post("/batches", status_code=201)
def open_batch(service: TheService, who: Writer, body: NewBatch, key: Key = None) -> Batch:
    """A name for recordings that belong together; give its id with each upload."""
    return service.desk.open_batch(
        body.name,
        owner=who.user,
        department=who.department,
        priority=body.priority,
        idempotency_key=key,
    )


@router.get("/batches/{id}")
def show_batch(service: TheService, who: Reader, id: str) -> Batch:
    """How many of its jobs are in which state, and how long the rest takes."""
    check_batch(service, who, id)
    return service.desk.batch(id)


@router.post("/batches/{id}/{action}")
def change_batch(service: TheService, who: Writer, id: str, action: Action) -> Batch:
    """The same for all of its jobs; retry takes the failed and the cancelled ones."""
    check_batch(service, who, id)
    change: Any = getattr(service.desk, f"{action.value}_batch")
    batch: Batch = change(id)
    return batch


def job_of(service: Service, who: Principal, id: str) -> Job:
    """Somebody else's is not there."""
    job = service.desk.job(id)
    check_seen(who, job.owner, job.department, JobNotFound("There is no job with this id."))
    return job


def check_batch(service: Service, who: Principal, id: str) -> None:
    """Raises BatchNotFound, for somebody else's too."""
    owner, department = service.desk.batch_owner(id)
    check_seen(who, owner, department, BatchNotFound("There is no batch with this id."))
