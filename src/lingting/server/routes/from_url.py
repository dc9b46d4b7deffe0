"""Recordings that the service fetches itself, from hosts its operator allows."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from lingting.errors import BusyError, RequestError
from lingting.jobs import Job, JobOptions
from lingting.server import fetching
from lingting.server.asking import TheService, Writer
from lingting.server.limits import check_quotas
from lingting.server.principal import Principal
from lingting.server.routes.jobs import Key, check_batch
from lingting.server.routes.uploads import check_priority
from lingting.server.service import Service
from lingting.server.uploads import discard

router = APIRouter(tags=["recordings"])


class FromUrl(BaseModel):
    """An address of a file, and what is wanted of it."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2048, description="https, of a host that the operator allows.")
    name: str | None = Field(default=None, max_length=1_000)
    options: dict[str, Any] = Field(default_factory=dict)
    batch: str | None = None
    priority: str = "normal"


@router.post("/recordings/from-url", status_code=202)
async def take_from_url(service: TheService, who: Writer, body: FromUrl, key: Key = None) -> Job:
    """Fetch a recording and ask for its transcript.

    Answers when the file is there. Off unless the operator allows hosts (`LINGTING_URL_HOSTS`).
    """
    options = JobOptions.from_dict(body.options)
    known = await asyncio.to_thread(_checked, service, who, body, options, key)
    if known is not None:
        return known
    if service.fetches.locked():
        raise BusyError("Too many recordings are being fetched already.", retry_after_s=10.0)
    async with service.fetches, service.uploads.turn():
        return await service.uploads.run(_fetch, service, who, body, options, key)


def _checked(
    service: Service, who: Principal, body: FromUrl, options: JobOptions, key: str | None
) -> Job | None:
    """Everything that can be refused before the address is asked; the job, if it is there."""
    check_quotas(service, who)
    fetching.check(body.url, service.settings)
    check_priority(body.priority)
    if body.batch is not None:
        check_batch(service, who, body.batch)
    service.desk.check_glossary(
        options, owner=who.user, department=who.department, idempotency_key=key
    )
    if key is not None and service.desk.is_requested(key, owner=who.user):
        return service.desk.made_for(key, owner=who.user)
    return None


def _fetch(
    service: Service, who: Principal, body: FromUrl, options: JobOptions, key: str | None
) -> Job:
    from lingting.store import audit

    settings, store = service.settings, service.store
    with fetching.fetched(body.url, settings) as stream:
        blob = store.blobs.put(stream, max_bytes=settings.max_upload_bytes)
    try:
        check_quotas(service, who, blob.size_bytes)
        job = service.desk.submit(
            blob,
            name=body.name or fetching.name_of(body.url),
            options=options,
            owner=who.user,
            department=who.department,
            batch_id=body.batch,
            priority=body.priority,  # type: ignore[arg-type]  # the desk refuses what is none
            idempotency_key=key,
        )
    except RequestError:
        if blob.is_new:
            discard(store, blob.digest)
        raise
    with store.database.write() as session:
        audit.note(session, who.actor, "recording.fetched", "recording", job.recording_id)
    return job
