"""Reading processes: one recording does not hold up another."""

from __future__ import annotations

import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lingting.jobs.exchange import Part
from lingting.jobs.options import JobOptions
from lingting.jobs.readers import Readers


def silence(path: Path, seconds: int) -> Path:
    """A WAV whose samples are a hole in the file."""
    size = seconds * 32_000
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1,
                       16_000, 32_000, 2, 16, b"data", size)  # fmt: skip
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
    return path


def test_an_hour_of_silence_holds_no_other_recording_up(vad_folder: Path, tmp_path: Path) -> None:
    readers = Readers(vad_folder, count=1, max_duration_s=7200)
    long = readers.open(silence(tmp_path / "long.wav", 3600), JobOptions())
    short = readers.open(silence(tmp_path / "short.wav", 2), JobOptions())
    ended: list[float] = []

    def on_end(part: Part) -> None:
        assert part.facts is not None
        ended.append(part.facts.duration_s)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(long.next, on_end)
        while not readers.pids():  # it is being read from its first answer on
            time.sleep(0.01)
        time.sleep(0.2)
        assert short.next(on_end).group is None
        assert reading.result(120).group is None
    assert ended == [2.0, 3600.0]
    readers.close()
