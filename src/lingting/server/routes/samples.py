"""Recordings to try the service with, for whoever has none at hand."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from lingting.errors import RequestError
from lingting.jobs import Job, JobOptions
from lingting.server.asking import TheService, Writer
from lingting.server.limits import check_quotas
from lingting.server.principal import Principal
from lingting.server.routes.jobs import Key
from lingting.server.service import Service
from lingting.server.uploads import discard

router = APIRouter(tags=["recordings"])

_PACKAGE = "sample-recordings"


class Sample(StrEnum):
    lecture = "lecture"
    """Mandarin, 70 s."""
    sentence = "sentence"
    """Mandarin, 4 s."""
    novel = "novel"
    """English, read aloud."""


_FILES = {
    Sample.lecture: "vad_example.wav",
    Sample.sentence: "asr_example.wav",
    Sample.novel: "two_cities.wav",
}


class FromSample(BaseModel):
    """Which one, and what is wanted of it."""

    model_config = ConfigDict(extra="forbid")

    sample: Sample = Sample.lecture
    name: str | None = Field(default=None, min_length=1, max_length=1_000)
    options: dict[str, Any] = Field(default_factory=dict)


@router.post("/recordings/sample", status_code=202)
async def take_sample(service: TheService, who: Writer, body: FromSample, key: Key = None) -> Job:
    """Ask for the transcript of a recording that comes with the service.

    The first time it is brought here from the catalogue, unless `LINGTING_OFFLINE` forbids it.
    """
    options = JobOptions.from_dict(body.options)
    await asyncio.to_thread(_check, service, who, options, key)
    async with service.fetching_samples:  # the others wait here, without a thread or a place
        folder = await asyncio.to_thread(_folder, service)
    async with service.uploads.turn():
        file = folder / _FILES[body.sample]
        return await service.uploads.run(_take, service, who, body, options, key, file)


def _check(service: Service, who: Principal, options: JobOptions, key: str | None) -> None:
    check_quotas(service, who)
    service.desk.check_glossary(
        options, owner=who.user, department=who.department, idempotency_key=key
    )


def _take(
    service: Service,
    who: Principal,
    body: FromSample,
    options: JobOptions,
    key: str | None,
    file: Path,
) -> Job:
    with file.open("rb") as stream:
        blob = service.store.blobs.put(stream, max_bytes=service.settings.max_upload_bytes)
    try:
        check_quotas(service, who, blob.size_bytes)
        return service.desk.submit(
            blob,
            name=body.name or f"{body.sample.value}.wav",
            options=options,
            owner=who.user,
            department=who.department,
            idempotency_key=key,
        )
    except RequestError:
        if blob.is_new:
            discard(service.store, blob.digest)
        raise


def _folder(service: Service) -> Path:
    """Raises ModelNotInstalled when downloads are off, SourceUnreachable, ModelLocked."""
    from lingting.models import Library, catalogue
    from lingting.models.install import pull

    library = Library(catalogue(), service.settings.models_dir)
    return pull(library, _PACKAGE, offline=service.settings.offline, wait_s=60.0)
