"""How clips become batches for the threads of the engine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lingting.engines.base import SAMPLE_RATE_HZ, Clip
from lingting.engines.whisper import _batches, _shared_out, _Task
from lingting.engines.whisper_loading import start_all


def tasks(*seconds: float) -> list[_Task]:
    return [
        _Task(at, Clip(np.zeros(round(length * SAMPLE_RATE_HZ), np.float32)), "en")
        for at, length in enumerate(seconds)
    ]


def test_batches_hold_clips_of_one_length_and_few_of_them() -> None:
    found = list(_batches(tasks(3, 25, 4, 5, 24)))
    assert [[task.at for task in batch] for batch in found] == [[0, 2], [3], [1], [4]]


def test_the_costly_come_first_and_the_last_are_given_out_clip_by_clip() -> None:
    found = list(_batches(tasks(20, 1, 2, 3, 4, 5, 6)))
    assert [len(batch) for batch in found] == [1, 2, 2, 2]
    shared = _shared_out(found, 2)
    assert [[task.at for task in batch] for batch in shared] == [[1, 2], [3, 4], [5], [6], [0]]
    assert [len(batch) for batch in _shared_out(found, 1)] == [2, 2, 2, 1]
    assert [len(batch) for batch in _shared_out(found[1:2], 2)] == [1, 1]


def test_threads_that_cannot_all_be_started_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def start_one(thread: threading.Thread) -> None:
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    pool = ThreadPoolExecutor(2)
    with pytest.raises(RuntimeError):
        start_all(pool, 2)
    pool.shutdown(wait=False)
    begun[0].join(5.0)
    assert not begun[0].is_alive()
