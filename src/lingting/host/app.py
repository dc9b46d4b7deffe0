"""The host over HTTP: a bare ASGI application, because a framework costs more than a clip.

::

    POST /v1/audio/transcriptions   OpenAI's form, or Lingting clips (see engines.envelope)
    GET  /v1/models[/{id}]          models with their facts and state
    POST /models/{id}/load|unload   POST /cache/clear
    GET  /healthz /readyz /status /metrics

A caller that hangs up is noticed while its clips wait. A Lingting caller that waits hears a space
every few seconds (JSON may begin with them), so it can tell a long queue from a dead host.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from lingting import log, tracing
from lingting.engines.base import EngineFacts
from lingting.engines.envelope import (
    CONTENT_TYPE,
    error_dict,
    facts_dict,
    read_request,
    write_answer,
)
from lingting.errors import (
    AudioTooLong,
    EngineBusy,
    EngineFailed,
    EngineRefused,
    LingtingError,
    RequestError,
)
from lingting.host import metrics
from lingting.host.answering import Answering, Send
from lingting.host.forms import Form, answer_of, read_form
from lingting.host.host import Host
from lingting.host.incidents import incident
from lingting.host.model import HostedModel
from lingting.host.work import Job

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]

_OURS = CONTENT_TYPE.encode()
_TRANSCRIPTIONS = "/v1/audio/transcriptions"
_OPEN = frozenset({"/healthz", "/readyz"})
_BODY_TIMEOUT_S = 60.0
_MOST_BODIES_BYTES = 1 << 30  # being received, all callers together
_LOOK_S = 0.05
_WATCH_EVERY_S = 1.0
_LAST_BATCH_S = 60.0  # that is under way when everything else has ended
_DONE, _BEAT, _GONE = "done", "beat", "gone"


class Gone(Exception):
    """Whoever asked has hung up; there is nobody to answer."""


class Refused(Exception):
    """An answer that is no error of the tree: a path or method nobody has."""

    def __init__(self, status: int, error: LingtingError) -> None:
        super().__init__(status)
        self.status = status
        self.error = error


class _Wait:
    """A request that waits for its job. Only the event loop's thread touches it."""

    __slots__ = ("began_s", "future", "is_done", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.began_s = loop.time()
        self.future: asyncio.Future[str] | None = None
        self.is_done = False

    async def news(self) -> str:
        """What happens next to this request."""
        if self.is_done:
            return _DONE
        self.future = self.loop.create_future()
        return await self.future

    def tell(self, what: str) -> None:
        self.is_done = self.is_done or what == _DONE
        if self.future is not None and not self.future.done():
            self.future.set_result(what)


class HostApp:
    """ASGI around a :class:`Host`. Call :meth:`start` in the event loop that serves it."""

    def __init__(self, host: Host, on_hang: Callable[[], object] = lambda: None) -> None:
        """``on_hang`` is called when what waits was handed back: nobody can stop such a batch."""
        self.host = host
        self._on_hang = on_hang
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waits: set[_Wait] = set()
        self._rounds: list[asyncio.Task[None]] = []
        self._bodies_bytes = 0
        key = host.options.key
        self._bearer = None if key is None else f"Bearer {key.strip()}".encode()

    # Life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """From now on answers find their way; needs the running loop."""
        self._loop = asyncio.get_running_loop()
        self.host.deliver_to(self._deliver)
        self._rounds = [
            self._loop.create_task(self._every(self.host.options.heartbeat_s / 2, self._beat)),
            self._loop.create_task(self._every(_WATCH_EVERY_S, self._watch)),
        ]

    async def drain(self) -> None:
        """Nothing new is taken; what waits is recognised for a while, the rest handed back."""
        host = self.host
        host.is_draining = True
        host.tell({"event": "host.draining", "audio_s": round(host.waiting_s, 1)})
        until_s = time.monotonic() + host.options.drain_s
        while host.is_busy and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S)
        host.hand_back()
        until_s = time.monotonic() + _LAST_BATCH_S
        while host.is_busy and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S)

    def stop(self) -> None:
        """No more signs of life."""
        for task in self._rounds:
            task.cancel()

    def _deliver(self, jobs: list[Job]) -> None:
        """From a model's thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_tell_all, jobs)
        except RuntimeError:
            return  # the loop has ended, and everybody who waited has gone

    async def _every(self, seconds: float, act: Callable[[], None]) -> None:
        """One round that fails, for want of memory say, is not the last one."""
        while True:
            await asyncio.sleep(seconds)
            try:
                act()
            except Exception as exc:
                self._incident(exc)

    def _beat(self) -> None:
        every_s = self.host.options.heartbeat_s
        latest_s = asyncio.get_running_loop().time() - every_s
        for wait in list(self._waits):
            if wait.began_s < latest_s:
                wait.began_s += every_s
                wait.tell(_BEAT)

    def _watch(self) -> None:
        host, model = self.host, self.host.hanging
        if model is None or host.is_draining:
            return
        host.tell({"event": "host.hangs", "model": model.name, "seconds": round(model.at_work_s)})
        host.is_draining = True
        host.hand_back()
        self._on_hang()

    # Requests -----------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        with log.bound(request=_request_id(scope)):
            await self._answer(scope, receive, Answering(send))

    async def _answer(self, scope: Scope, receive: Receive, answer: Answering) -> None:
        try:
            await self._route(scope, receive, answer)
        except Gone:
            return
        except Refused as refused:
            await answer.error(refused.error, refused.status)
        except LingtingError as error:
            await answer.error(error, self._status_of(error))
        except MemoryError:
            self.host.metrics.refused("memory")
            busy = EngineBusy("There is no memory for this request now.", retry_after_s=2.0)
            await answer.error(busy, 503)
        except Exception as exc:
            await answer.error(self._incident(exc), 500)

    def _status_of(self, error: LingtingError) -> int:
        """429 where there will be room soon; 503 where another host should be asked."""
        if isinstance(error, EngineBusy) and not self.host.is_draining:
            return 429
        return error.status

    def _incident(self, exc: Exception) -> LingtingError:
        """Logged by type and place; the caller is told where in the log."""
        number = secrets.token_hex(4)
        self.host.tell({**incident(exc), "incident": number})
        return EngineFailed(
            f"The engine host failed (incident {number}).", "Look into the host's log."
        )

    async def _route(self, scope: Scope, receive: Receive, answer: Answering) -> None:
        path, method = scope["path"], scope["method"]
        headers = dict(scope["headers"])
        if self._bearer is not None and path not in _OPEN:
            self._check_key(scope, headers)
        if path == _TRANSCRIPTIONS:
            _check_method(method, "POST")
            parent = headers.get(tracing.HEADER.encode(), b"").decode("latin-1")
            with tracing.span("engine", parent=parent) as span:
                await self._transcribe(headers, receive, answer, span)
        elif path in self._PAGES:
            _check_method(method, "GET")
            await self._PAGES[path](self, answer)
        elif path.startswith("/v1/models/"):
            _check_method(method, "GET")
            await answer.json(self._entry(self.host.find(path.removeprefix("/v1/models/"))))
        elif path == "/cache/clear":
            _check_method(method, "POST")
            await self._clear(answer)
        elif path.startswith("/models/") and path.endswith(("/load", "/unload")):
            _check_method(method, "POST")
            name, _, what = path.removeprefix("/models/").rpartition("/")
            model = self.host.find(name)
            await (self._load if what == "load" else self._unload)(model, answer)
        else:
            raise Refused(404, RequestError("The engine host has no such page."))

    def _check_key(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Over TCP only: whoever may open the Unix socket is the owner."""
        server = scope.get("server")
        if server is None or server[1] is None:
            return
        assert self._bearer is not None
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._bearer):
            self.host.metrics.refused("key")
            raise Refused(
                401, EngineRefused("The key is missing or wrong.", "Set LINGTING_REMOTE_KEY.")
            )

    async def _transcribe(
        self,
        headers: dict[bytes, bytes],
        receive: Receive,
        answer: Answering,
        span: tracing.Span,
    ) -> None:
        host = self.host
        if host.is_draining:
            host.check_room("live", 0.0, 0)  # raises: better before the audio is sent
        # Nobody holds the body but who reads it: it is freed before its clips' turn comes.
        kind = headers.get(b"content-type", b"")
        if kind == _OURS:
            job = await self._clips(await self._body(headers, receive), receive, answer)
        else:
            form = await self._read_form(kind, await self._body(headers, receive))
            job = await self._form(form, receive, answer)
        self._tell_answered(job, span)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytearray:
        """All of it, in memory, bounded. Raises Gone, AudioTooLong or EngineBusy."""
        most = self.host.options.most_body_bytes
        try:
            promised = int(headers.get(b"content-length", b"0"))
        except ValueError:
            promised = 0
        if promised > most:
            raise _too_long(most)
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return bytearray(message["body"])
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                while True:
                    if message["type"] != "http.request":
                        raise Gone
                    part = message["body"]
                    body += part
                    self._bodies_bytes += len(part)
                    if len(body) > most:
                        raise _too_long(most)
                    if self._bodies_bytes > _MOST_BODIES_BYTES:
                        raise EngineBusy("Too much audio is being received.", retry_after_s=1.0)
                    if not message.get("more_body"):
                        return body
                    message = await receive()
        except TimeoutError:
            raise Refused(408, RequestError("The request took too long to come.")) from None
        finally:
            self._bodies_bytes -= len(body)

    async def _clips(self, body: bytearray, receive: Receive, answer: Answering) -> Job:
        """What a Lingting caller sends: errors of single clips are part of the answer."""
        try:
            request = read_request(body)
        except LingtingError:
            self.host.metrics.refused("invalid")
            raise
        model = self.host.find(request.model)
        job = self.host.submit(model, request.lane, request.clips)
        del request, body  # the job lets go of each clip's samples
        await self._wait_for(model, job, receive, answer)
        await answer.body(write_answer(job.results(), job.batches))
        return job

    async def _read_form(self, kind: bytes, body: bytearray) -> Form:
        """In a thread: a clip may have to be resampled."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(None, read_form, kind.decode("latin-1"), bytes(body))
        except LingtingError:
            self.host.metrics.refused("invalid")
            raise

    async def _form(self, form: Form, receive: Receive, answer: Answering) -> Job:
        """What an OpenAI client sends: one clip, whose error is the request's."""
        model = self.host.find(form.request.model)
        job = self.host.submit(model, form.request.lane, form.request.clips)
        await self._wait_for(model, job, receive, None)
        (heard,) = job.results()
        if heard.error is not None:
            raise heard.error
        content_type, page = answer_of(form, heard)
        await answer.body(page, content_type)
        return job

    def _tell_answered(self, job: Job, span: tracing.Span) -> None:
        took_s = time.monotonic() - job.arrived_s
        span.set_attribute("lingting.clips", len(job.batches))
        span.set_attribute("lingting.lane", job.lane)
        span.set_attribute("lingting.batches", max(job.batches, default=0))
        self.host.tell(
            {
                "event": "host.answered",
                "clips": len(job.batches),
                "lane": job.lane,
                "took_ms": round(took_s * 1000),
            }
        )

    async def _wait_for(
        self, model: HostedModel, job: Job, receive: Receive, beaten: Answering | None
    ) -> None:
        """Until the job is done. Raises Gone, and drops what still waits, when the caller goes."""
        loop = asyncio.get_running_loop()
        wait = job.waiter = _Wait(loop)
        if job.left == 0:
            return
        # Nothing more is sent by a caller: what `receive` returns now is that it has gone.
        watcher: asyncio.Future[Any] = asyncio.ensure_future(receive())
        watcher.add_done_callback(lambda _: wait.tell(_GONE))
        self._waits.add(wait)
        try:
            while (news := await wait.news()) is not _DONE:
                if news is _GONE:
                    raise Gone
                if beaten is not None:
                    await beaten.beat()
        except BaseException:
            self.host.drop(model, job)
            raise
        finally:
            self._waits.discard(wait)
            watcher.cancel()

    # Pages --------------------------------------------------------------------------------

    def _entry(self, model: HostedModel) -> dict[str, Any]:
        facts: EngineFacts | None = model.facts
        error = model.error
        return {
            "id": model.name,
            "object": "model",
            "created": 0,
            "owned_by": "lingting",
            "lingting": {
                "state": model.state,
                "default": model.name == self.host.default,
                "queue_s": self.host.options.queue_s,
                "facts": None if facts is None else facts_dict(facts),
                "batch_s": None if facts is None else facts.batch_s,
                "error": None if error is None else error_dict(error),
            },
        }

    async def _models(self, answer: Answering) -> None:
        data = [self._entry(model) for model in self.host.models.values()]
        await answer.json({"object": "list", "data": data})

    async def _healthz(self, answer: Answering) -> None:
        await answer.json({"status": "alive"})

    async def _readyz(self, answer: Answering) -> None:
        host = self.host
        states = {name: model.state for name, model in host.models.items()}
        is_ready = host.is_ready
        data = {"ready": is_ready, "draining": host.is_draining, "models": states}
        await answer.json(data, 200 if is_ready else 503)

    async def _status(self, answer: Answering) -> None:
        host = self.host
        await answer.json(
            {
                "draining": host.is_draining,
                "up_s": round(time.monotonic() - host.started_s, 1),
                "pid": os.getpid(),
                "default": host.default,
                "memory": {"resident_bytes": metrics.resident_bytes(), **host.memory()},
                "queue_s": host.options.queue_s,
                "waiting_s": round(host.waiting_s, 3),
                "requests": len(self._waits),
                "models": {name: model.status() for name, model in host.models.items()},
            }
        )

    async def _metrics(self, answer: Answering) -> None:
        models = self.host.models
        page = self.host.metrics.page((n, one.state, one.lanes()) for n, one in models.items())
        await answer.body(page, metrics.CONTENT_TYPE.encode())

    _PAGES: ClassVar[dict[str, Callable[[HostApp, Answering], Awaitable[None]]]] = {
        "/v1/models": _models,
        "/healthz": _healthz,
        "/readyz": _readyz,
        "/status": _status,
        "/metrics": _metrics,
    }

    # Orders -------------------------------------------------------------------------------

    async def _load(self, model: HostedModel, answer: Answering) -> None:
        """Answers when the model is ready, or cannot be."""
        model.order("load")
        beat_s = time.monotonic()
        while model.state == "loading":
            await asyncio.sleep(_LOOK_S)
            if time.monotonic() - beat_s > self.host.options.heartbeat_s:
                beat_s = time.monotonic()
                await answer.beat()
        if model.error is not None and not answer.has_begun:
            raise model.error
        await answer.json(self._entry(model))

    async def _unload(self, model: HostedModel, answer: Answering) -> None:
        model.order("unload")
        await answer.json(self._entry(model), 202)

    async def _clear(self, answer: Answering) -> None:
        for model in self.host.models.values():
            if model.state == "ready":
                model.order("clear")
        await answer.json({"status": "ordered"}, 202)


def _tell_all(jobs: list[Job]) -> None:
    for job in jobs:
        if job.waiter is not None:
            job.waiter.tell(_DONE)


def _request_id(scope: Scope) -> str | None:
    """Whose work it is, where the caller says so; a host makes none up."""
    wanted = log.REQUEST_HEADER.lower().encode()
    given = next((value for name, value in scope["headers"] if name == wanted), None)
    return None if given is None else log.taken_request_id(given.decode("latin-1"))


def _check_method(method: str, wanted: str) -> None:
    if method != wanted:
        raise Refused(405, RequestError(f"This page takes {wanted} only."))


def _too_long(most: int) -> LingtingError:
    return AudioTooLong(
        f"The request is larger than {most} bytes.", "Send clips of 30 s at most, fewer at a time."
    )
