"""A process that opens what people gave: bytes of a stranger meet a decoder only in here.

It holds any number of open recordings and works on one request at a time: ``open`` and ``next``
answer with the next part, ``close`` with nothing. A part may be a pause, so that hours without
speech hold no other recording up. While it reads it says every second that it is alive. It ends
with its worker.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.audio.peaks import PeakMeter
from lingting.errors import EngineFailed, LingtingError
from lingting.jobs import exchange
from lingting.jobs.exchange import Gone, Part
from lingting.jobs.options import JobOptions
from lingting.pipeline.reading import GROUP_S, Group, Reading, open_reading
from lingting.vad.fsmn import FsmnVad

log = logging.getLogger("lingting.jobs")

_SIGN_EVERY_S = 1.0
_PARENT_EVERY_S = 1.0


class _Open:
    """A recording that is being read."""

    def __init__(self, request: dict[str, Any], vad: FsmnVad, link: socket.socket) -> None:
        self._link = link
        self._meter = PeakMeter()
        self._signed_s = time.monotonic()
        self._stack = ExitStack()
        options = JobOptions.from_dict(request["options"]).pipeline(request["max_duration_s"])
        self._reading: Reading = self._stack.enter_context(
            open_reading(Path(request["path"]), vad, options, on_block=self._heard)
        )
        self._steps: Iterator[Group | None] = self._reading.steps()
        self._skip: int = request["skip"]  # groups that were read before

    def next(self) -> Part:
        for group in self._steps:
            if group is None:
                return Part(None, self._reading.total_s)
            if group.number >= self._skip:
                return self._part(group)
        return self._part(None)

    def _part(self, group: Group | None) -> Part:
        """A group that is shorter than it may be is the last: nothing is read in vain to know."""
        if group is not None and group.audio_s >= GROUP_S[min(group.number, len(GROUP_S) - 1)]:
            return Part(group, self._reading.total_s)
        if any(step is not None for step in self._steps):
            raise EngineFailed("A recording went on behind its last group.")
        facts = self._reading.facts
        return Part(group, self._reading.total_s, facts, self._meter.peaks())

    def close(self) -> None:
        self._stack.close()

    def _heard(self, block: NDArray[np.float32]) -> None:
        self._meter.feed(block)
        now_s = time.monotonic()
        if now_s - self._signed_s >= _SIGN_EVERY_S:
            self._signed_s = now_s
            exchange.send(self._link, {"kind": "alive"})


def serve(link: socket.socket, vad: FsmnVad) -> None:
    """Answer until the worker is gone."""
    readings: dict[int, _Open] = {}
    exchange.send(link, {"kind": "ready"})
    with suppress(Gone):
        while True:
            request, _ = exchange.receive(link)
            key = request["key"]
            if request["op"] == "close":
                _close(readings.pop(key, None))
                continue
            try:
                part = _next(readings, request, vad, link)
            except LingtingError as error:
                _close(readings.pop(key, None))
                exchange.send(link, exchange.error_header(error))
                continue
            if part.is_last:
                _close(readings.pop(key, None))
            exchange.send_part(link, part)


def _next(
    readings: dict[int, _Open], request: dict[str, Any], vad: FsmnVad, link: socket.socket
) -> Part:
    """Raises the LingtingError of what is wrong with the recording."""
    key = request["key"]
    try:
        if request["op"] == "open":
            _close(readings.pop(key, None))
            readings[key] = _Open(request, vad, link)
        return readings[key].next()
    except (LingtingError, Gone):
        raise
    except Exception as exc:  # the worker hears the sentence, the log what it was
        log.error("reading failed: %s", type(exc).__name__)
        raise EngineFailed("Reading the recording failed unexpectedly.") from exc


def _close(reading: _Open | None) -> None:
    if reading is not None:
        reading.close()


def end_with(parent: int) -> None:
    """A worker that was killed closes nothing while this process is busy reading."""
    while os.getppid() == parent:
        time.sleep(_PARENT_EVERY_S)
    os._exit(0)


def main() -> None:
    """``python -m lingting.jobs.reader SOCKET PARENT FOLDER-OF-VAD``."""
    descriptor, parent, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    # The worker decides when this ends; a terminal's Ctrl-C goes to all of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash would write out a recording
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    with socket.socket(fileno=descriptor) as link, suppress(Gone):
        serve(link, FsmnVad(folder))


if __name__ == "__main__":
    main()
