"""``/v1``: transcriptions, translations and models, as OpenAI's clients ask for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from lingting.errors import BodyInvalid, LingtingError, RequestError
from lingting.jobs import Job
from lingting.jobs.bells import ring
from lingting.jobs.repeats import Ask, passing, submit_once
from lingting.server.asking import Reader, TheService, Writer
from lingting.server.limits import check_quotas
from lingting.server.openai.answers import answer_of
from lingting.server.openai.fields import Fields, Wanted, read_transcription, read_translation
from lingting.server.openai.form import TRANSCRIPTION_FORM, TRANSLATION_FORM, file_of
from lingting.server.openai.names import Names
from lingting.server.openai.streaming import EventStream, events
from lingting.server.openai.waiting import (
    Door,
    cancel_unwanted,
    failure,
    progress,
    unless_gone,
)
from lingting.server.principal import Principal
from lingting.server.readings import note_read
from lingting.server.service import Service
from lingting.server.uploads import Form
from lingting.store import Blob, Store
from lingting.transcript import Transcript

router = APIRouter(tags=["openai"])
log = logging.getLogger("lingting.server")

REPEATED_WITHIN = timedelta(minutes=10)
"""The read timeout of OpenAI's clients, after which they send everything once more."""
_MAX_FIELDS = 2_000
"""A form may name as many keywords as a job may have hotwords."""
_MAX_NAME_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request whose job is durable."""

    service: Service
    who: Principal
    wanted: Wanted
    job: Job
    door: Door

    @property
    def headers(self) -> dict[str, str]:
        found = {"X-Lingting-Job": self.job.id}
        if self.wanted.is_kept:
            found["X-Lingting-Recording"] = self.job.recording_id
        return found

    async def transcript(self) -> Transcript:
        """Of a job that is done. Raises what every one of its clips failed with."""
        return await asyncio.to_thread(self._transcript)

    def _transcript(self) -> Transcript:
        revision = self.service.desk.job(self.job.id).revision
        found = self.service.store.transcript(self.job.recording_id, revision)
        if found.failures and not any(one.text for one in found.segments):
            raise failure(found.failures[0].code, found.failures[0].message)
        self.note()
        return found

    def note(self) -> None:
        """Before the text is handed out. May block."""
        if self.wanted.is_kept:
            note_read(self.service, self.who, "transcript.read", self.job.recording_id)

    async def leave(self, is_gone: bool) -> None:
        """The request has been answered, or its client has gone."""
        if is_gone:
            await cancel_unwanted(self.service, self.door, self.job.id)
        elif not self.wanted.is_kept and self.door.waiting == 1:
            await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        """What was not to be kept; ``remove_passing`` does later what cannot be done now."""
        store, actor = self.service.store, self.who.actor
        try:
            store.delete(self.job.recording_id, actor=actor)
            store.purge(self.job.recording_id, author=self.who.user, actor=actor)
        except LingtingError as error:
            log.warning("recording stays", extra={"code": error.code, "job": self.job.id})


@router.post("/audio/transcriptions", response_class=Response, openapi_extra=TRANSCRIPTION_FORM)
async def transcribe(request: Request, service: TheService, who: Writer) -> Response:
    """The text of a recording, in the format and the stream of OpenAI's API."""
    stack = AsyncExitStack()
    try:
        asked = await stack.enter_async_context(_asked(request, service, who, read_transcription))
        if asked.wanted.is_streamed:
            await asyncio.to_thread(asked.note)
            return _streamed(asked, stack.pop_all())
        return await _whole(request, asked)
    finally:
        await stack.aclose()


@router.post("/audio/translations", response_class=Response, openapi_extra=TRANSLATION_FORM)
async def translate(request: Request, service: TheService, who: Writer) -> Response:
    """The same in English, whatever is spoken, by models that can."""
    async with _asked(request, service, who, read_translation) as asked:
        return await _whole(request, asked)


@router.get("/models")
async def list_models(service: TheService, who: Reader) -> dict[str, Any]:
    """Models of the engine hosts, and OpenAI's names, which stand for the default one."""
    del who
    return {"object": "list", "data": (await service.models.names()).entries()}


@router.get("/models/{name:path}")
async def show_model(service: TheService, who: Reader, name: str) -> dict[str, Any]:
    """One of them."""
    del who
    return (await service.models.names()).entry(name)


def remove_passing(store: Store) -> int:
    """Recordings that were not to be kept and whose requests broke off; how many."""
    found = passing(store, older=REPEATED_WITHIN)
    for recording_id in found:
        store.delete(recording_id)
        store.purge(recording_id)
    return len(found)


@asynccontextmanager
async def _asked(
    request: Request, service: Service, who: Principal, read: Callable[[Fields, Names], Wanted]
) -> AsyncGenerator[_Asked]:
    """Take the form in; from here on the recording and its job are durable."""
    names = await service.models.names()
    store = await asyncio.to_thread(lambda: service.store)
    async with AsyncExitStack() as stack:
        async with service.uploads.turn(), aclosing(request.stream()) as stream:
            form = Form(request.headers.get("content-type", ""), stream, max_fields=_MAX_FIELDS)
            fields = Fields()
            parts = form.parts()
            file = await file_of(parts, fields)
            if file is None:
                error = BodyInvalid("The form holds no file.", "Send it in the field file.")
                error.param = "file"
                raise error
            async with service.uploads.kept(store, file.pieces()) as blob:
                if await file_of(parts, fields) is not None:
                    raise BodyInvalid("The form holds two files.", "Send one.")
                wanted = read(fields, names)
                ask = _ask(request, who, wanted, file.filename)
                door = await stack.enter_async_context(service.doors.waiting(ask.key(blob)))
                async with door.turn:
                    job = await service.uploads.run(_submit, service, who, blob, ask)
        yield _Asked(service, who, wanted, job, door)


def _ask(request: Request, who: Principal, wanted: Wanted, filename: str | None) -> Ask:
    return Ask(
        options=wanted.options,
        name=(filename or "recording")[:_MAX_NAME_CHARS],
        owner=who.user,
        by=who.by,
        department=who.department,
        is_kept=wanted.is_kept,
        idempotency_key=request.headers.get("idempotency-key"),
    )


def _submit(service: Service, who: Principal, blob: Blob, ask: Ask) -> Job:
    job = submit_once(
        service.desk, blob, ask, within=REPEATED_WITHIN,
        check=lambda: check_quotas(service, who, blob.size_bytes),
    )  # fmt: skip
    ring(service.settings.run_folder, "worker")
    return job


async def _whole(request: Request, asked: _Asked) -> Response:
    try:
        return await unless_gone(request.receive, _answer(asked))
    except ClientDisconnect:
        await asyncio.shield(asked.leave(True))
        raise


async def _answer(asked: _Asked) -> Response:
    try:
        async with aclosing(progress(asked.service, asked.job)) as steps:
            async for _ in steps:
                pass
        transcript = await asked.transcript()
        kind, body = await asyncio.to_thread(answer_of, asked.wanted, transcript)
    except RequestError:  # what is busy or broken may still end well, for whoever asks again
        await asked.leave(False)
        raise
    await asked.leave(False)
    return Response(body, media_type=kind, headers=asked.headers)


def _streamed(asked: _Asked, stack: AsyncExitStack) -> Response:
    async def leave(is_gone: bool) -> None:
        async with stack:
            await asked.leave(is_gone)

    found = events(asked.service, asked.job, asked.wanted, asked.transcript)
    return EventStream(found, leave, asked.headers)
