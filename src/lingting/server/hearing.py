"""Where somebody speaks in a recording or a clip: found in processes of their own.

Bytes of a stranger meet a decoder only in there, and neither a long recording nor a crafted one
holds the web process up. Two work at a time, one stays warm for a while, since whoever moves a
slider asks again. Nothing is kept: a clip lies in a file without a name.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from lingting.errors import AudioCrashes, BusyError
from lingting.server.turns import Turns

if TYPE_CHECKING:
    from lingting.config import Settings

AT_ONCE = 2
QUEUED = 16
WARM_S = 120.0
STALL_S = 120.0
"""A process that says nothing for so long is stuck in a decoder."""
VAD_MODEL = "fsmn-vad"
_LOOK_S = 0.5
_END_S = 5.0


class _Process:
    """One that listens; one request at a time."""

    def __init__(self, vad_folder: str) -> None:
        self._link, theirs = socket.socketpair()
        self._link.settimeout(STALL_S)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable, "-m", "lingting.server.hearing_process",
                    str(theirs.fileno()), str(os.getpid()), vad_folder,
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),),
            )  # fmt: skip
        self.is_dead = False

    def ask(self, stream: IO[bytes], request: Mapping[str, Any]) -> dict[str, Any]:
        """What it found in the file. Blocks. Raises what is wrong with the audio."""
        from lingting.jobs import exchange

        try:
            socket.send_fds(self._link, [b"f"], [stream.fileno()])
            exchange.send(self._link, dict(request))
            while (found := exchange.receive(self._link)[0]).get("kind") == "alive":
                pass
        except (exchange.Gone, OSError) as exc:
            killed = self.end() in (-signal.SIGKILL, -signal.SIGTERM)
            if killed:
                raise BusyError("The process that listened was ended.") from exc
            raise AudioCrashes("Decoding this recording ends the process that does it.") from exc
        if found.get("kind") == "error":
            raise exchange.error_of(found)
        return found

    @property
    def has_ended(self) -> bool:
        return self.is_dead or self._process.poll() is not None

    def end(self) -> int | None:
        """Its exit code, had it ended by itself; nobody may be in ``ask``."""
        self.is_dead = True
        self._link.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_LOOK_S)
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        return None

    def kill(self) -> None:
        """At once; who waits in ``ask`` hears of it."""
        self.is_dead = True
        self._process.kill()


class Hearing:
    """Made once for an application; lives on its event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = Turns(AT_ONCE, QUEUED, "Too many listen for speech already.")
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hearing")
        self._warm: list[_Process] = []
        self._cooling: asyncio.TimerHandle | None = None

    async def report(
        self, client: Request, stream: IO[bytes], options: Mapping[str, Any], max_s: float
    ) -> dict[str, Any]:
        """What ``hearing_process`` tells of the file, which is closed here.

        Ends when the client hangs up. Raises what is wrong with the audio, BusyError,
        ModelNotInstalled.
        """
        request = {"options": dict(options), "max_duration_s": max_s}
        with stream:
            async with self._turns.one():
                if await client.is_disconnected():  # no warm process is ended for who went
                    raise ClientDisconnect
                async with self._process() as process:
                    return await self._asked(process, client, stream, request)

    async def _asked(
        self, process: _Process, client: Request, stream: IO[bytes], request: Mapping[str, Any]
    ) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._threads, process.ask, stream, request)
        try:
            while not (await asyncio.wait([asked], timeout=_LOOK_S))[0]:
                if await client.is_disconnected():
                    process.kill()
            return await asked
        except asyncio.CancelledError:
            process.kill()
            await asyncio.wait([asked])
            raise

    @asynccontextmanager
    async def _process(self) -> AsyncGenerator[_Process]:
        process = self._warm.pop() if self._warm else None
        if process is not None and process.has_ended:
            await asyncio.to_thread(process.end)
            process = None
        if process is None:
            folder = await asyncio.to_thread(self._vad_folder)
            process = await asyncio.to_thread(_Process, folder)
        try:
            yield process
        finally:
            if process.has_ended or self._warm:
                await asyncio.shield(asyncio.to_thread(process.end))
            else:
                self._warm.append(process)
                self._cool_later()

    def _vad_folder(self) -> str:
        from lingting.models import Library, catalogue

        return str(Library(catalogue(), self._settings.models_dir).path(VAD_MODEL))

    def _cool_later(self) -> None:
        if self._cooling is not None:
            self._cooling.cancel()
        self._cooling = asyncio.get_running_loop().call_later(WARM_S, self.cool)

    def cool(self) -> None:
        """End what only waits for the next request."""
        warm, self._warm = self._warm, []
        for one in warm:
            self._threads.submit(one.end)

    def close(self) -> None:
        """For the end of the application; may block for a moment."""
        if self._cooling is not None:
            self._cooling.cancel()
        warm, self._warm = self._warm, []
        for one in warm:
            one.end()
        self._threads.shutdown(wait=False, cancel_futures=True)
