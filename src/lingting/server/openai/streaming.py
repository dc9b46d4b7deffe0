"""Text as it is heard, in OpenAI's server-sent events.

``transcript.text.delta`` only ever adds: all deltas together are the text of
``transcript.text.done``. A group of clips that was stored is final, so each group is a delta; what
came with the end of the job is the last one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lingting.errors import LingtingError, RequestConflict
from lingting.jobs import Job
from lingting.jobs.repeats import heard
from lingting.joining import join
from lingting.server.openai.answers import diarized_segments, languages_of, usage_of
from lingting.server.openai.fields import DIARIZED, Wanted
from lingting.server.openai.waiting import progress, unless_gone
from lingting.server.problems import answered, incident
from lingting.server.service import Service
from lingting.transcript import Segment, Transcript

Read = Callable[[], Awaitable[Transcript]]
BEAT_S = 15.0
"""A comment comes so often while nothing is heard, so that no one gives up."""
_LAST = "transcript.text.done"


class Told:
    """What was told so far. Whatever comes must go on where it ended."""

    def __init__(self, wanted: Wanted) -> None:
        self._is_diarized = wanted.format == DIARIZED
        self.text = ""
        self._segments = 0

    def more(self, segments: list[Segment]) -> list[dict[str, Any]]:
        """Events of a transcript that has grown. Raises RequestConflict when it has changed."""
        found = []
        text = join(one.text for one in segments)
        if not text.startswith(self.text):
            raise RequestConflict(
                "The text changed while it was streamed: another model took over.",
                "Ask again; the transcript is there.",
            )
        if self._is_diarized:
            listed = diarized_segments(tuple(segments))
            found += listed[self._segments :]
            self._segments = len(listed)
        if len(text) > len(self.text):
            delta = text[len(self.text) :]
            found.append({"type": "transcript.text.delta", "delta": delta})
        self.text = text
        return found


async def events(
    service: Service, job: Job, wanted: Wanted, read: Read
) -> AsyncGenerator[dict[str, Any]]:
    """All events of a transcription; ``read`` gives the transcript of a job that is done.

    Raises what the job failed with.
    """
    told = Told(wanted)
    # Channels are heard side by side: what is stored first need not be what was said first.
    if job.options.get("channels") != "split":
        segments: list[Segment] = []
        groups = 0
        async with aclosing(progress(service, job)) as steps:
            async for _ in steps:
                fresh, groups = await asyncio.to_thread(heard, service.desk, job.id, groups)
                segments += fresh
                for event in told.more(segments):
                    yield event
    else:
        async with aclosing(progress(service, job)) as steps:
            async for _ in steps:
                pass
    transcript = await read()
    for event in told.more(list(transcript.segments)):
        yield event
    yield {
        "type": _LAST,
        "text": transcript.text,
        "usage": usage_of(transcript),
        "languages": languages_of(transcript),
    }


class EventStream(Response):
    """Sends events until there are no more, or until the client goes away."""

    media_type = "text/event-stream"

    def __init__(
        self,
        found: AsyncGenerator[Mapping[str, Any]],
        leave: Callable[[bool], Awaitable[None]],
        headers: dict[str, str],
    ) -> None:
        """``leave`` is called at the end, with True when the client went before it had the text.

        Many hang up as soon as they have it, without waiting for the end of the stream.
        """
        self._found = found
        self._leave = leave
        self._is_told = False
        self.background = None
        self.status_code = 200
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_gone = False
        try:
            await unless_gone(receive, self._send_all(scope["path"], send))
        except (ClientDisconnect, ConnectionError):
            is_gone = not self._is_told
            if is_gone:
                raise
        finally:
            await asyncio.shield(self._leave(is_gone))

    async def _send_all(self, path: str, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for line in self._lines(path):
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _lines(self, path: str) -> AsyncGenerator[bytes]:
        """Events and signs of life; an error is the last event."""
        async with aclosing(self._found) as found:
            waiting: asyncio.Future[Mapping[str, Any]] | None = None
            try:
                while True:
                    waiting = waiting or asyncio.ensure_future(anext(found))
                    done, _ = await asyncio.wait({waiting}, timeout=BEAT_S)
                    if not done:
                        yield b": here\n\n"
                        continue
                    event, waiting = waiting.result(), None
                    yield _line(event)
                    self._is_told = event["type"] == _LAST
            except StopAsyncIteration:
                return
            except LingtingError as error:
                yield _line(answered(path, error)[1], "error")
            except Exception as exc:
                yield _line(incident(path, exc), "error")
            finally:
                if waiting is not None:
                    waiting.cancel()
                    await asyncio.wait({waiting})


def _line(event: Mapping[str, Any], name: str | None = None) -> bytes:
    data = json.dumps(event, ensure_ascii=False)
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {data}\n\n".encode("utf-8", "replace")
