"""The process behind ``hearing``: it is handed open files, and says where somebody speaks in them.

``python -m lingting.server.hearing_process SOCKET PARENT FOLDER-OF-VAD``. One request at a time; it
says every second that it is alive, and ends with the web process.
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
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lingting.audio.decode import Limits
from lingting.errors import EngineFailed, LingtingError
from lingting.jobs import exchange
from lingting.jobs.exchange import Gone
from lingting.jobs.reader import end_with
from lingting.vad.fsmn import FsmnVad
from lingting.vad.parameters import parse_options
from lingting.vad.report import SpeechReport, speech_report

log = logging.getLogger("lingting.server")

_SIGN_EVERY_S = 1.0
_NICE = 5
"""Recognising and answering go first."""


class _Signs:
    """Signs of life, while it reads."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._last_s = time.monotonic()

    def __call__(self) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= _SIGN_EVERY_S:
            self._last_s = now_s
            exchange.send(self._link, {"kind": "alive"})


def serve(link: socket.socket, vad: FsmnVad) -> None:
    """Answer until the web process is gone."""
    while True:
        sign, descriptors, _, _ = socket.recv_fds(link, 1, 1)
        if not sign or not descriptors:
            return
        with os.fdopen(descriptors[0], "rb") as stream:
            request, _ = exchange.receive(link)
            exchange.send(link, _answer(stream, request, vad, _Signs(link)))


def _answer(stream: Any, request: dict[str, Any], vad: FsmnVad, signs: _Signs) -> dict[str, Any]:
    began_s = time.monotonic()
    try:
        stream.seek(0)
        options = parse_options(request["options"])
        limits = Limits(max_duration_s=request["max_duration_s"])
        found = speech_report(stream, vad, options, limits=limits, on_block=signs)
    except LingtingError as error:
        return exchange.error_header(error)
    except Gone:
        raise
    except Exception as exc:  # the web process hears the sentence, the log what it was
        log.error("listening failed: %s", type(exc).__name__)
        return exchange.error_header(EngineFailed("Listening failed unexpectedly."))
    took_s = round(time.monotonic() - began_s, 3)
    return {"kind": "report", "took_s": took_s, **as_dict(found), "parameters": options.as_dict()}


def as_dict(found: SpeechReport) -> dict[str, Any]:
    """The JSON form of a report."""
    pairs = np.frombuffer(found.peaks, np.int8).reshape(-1, 2)
    damage = found.damage
    return {
        "duration_s": round(found.duration_s, 3),
        "speech_s": round(found.speech_s, 3),
        "speech_share": round(found.speech_share, 4),
        "spans": [
            {
                "start_s": round(one.start_s, 3), "end_s": round(one.end_s, 3),
                "score": round(one.score, 4),
            }
            for one in found.spans
        ],
        "clips": [
            {
                "start_s": round(one.start_s, 3), "end_s": round(one.end_s, 3),
                "speech_s": round(one.speech_s, 3),
            }
            for one in found.clips
        ],
        "peaks": pairs.tolist(),
        "damage": {
            "frames": damage.frames, "truncated": damage.truncated,
            "missing_s": damage.missing_s, "invalid_samples": damage.invalid_samples,
        },
    }  # fmt: skip


def main() -> None:
    descriptor, parent, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash would write out a recording
    os.nice(_NICE)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    with socket.socket(fileno=descriptor) as link, suppress(Gone, OSError):
        serve(link, FsmnVad(folder))


if __name__ == "__main__":
    main()
