"""Reading processes that do not start: they hold up nobody who does not need them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from lingting import models
from lingting.errors import BusyError
from lingting.jobs import JobOptions
from lingting.jobs.readers import Readers


def readers(folder: Path) -> Readers:
    return Readers(folder, count=2, max_duration_s=60.0)


def ask(asked: Readers, told: list[BaseException]) -> None:
    try:
        asked.open(Path("any.wav"), JobOptions()).next(lambda _: None)
    except BusyError as exc:
        told.append(exc)


@pytest.mark.usefixtures("vad_folder")
def test_a_start_that_hangs_is_waited_for_by_those_who_asked(tmp_path: Path) -> None:
    for file in models.path("fsmn-vad").iterdir():
        os.mkfifo(tmp_path / file.name)  # whoever opens it waits for ever
    asked, told = readers(tmp_path), list[BaseException]()
    waiting = [threading.Thread(target=ask, args=(asked, told)) for _ in range(2)]
    for one in waiting:
        one.start()
    began_s = time.monotonic()
    while len(asked.pids()) < 2 and time.monotonic() - began_s < 20.0:
        time.sleep(0.02)
    assert len(asked.pids()) == 2  # the second did not wait for the first
    asked.close()
    for one in waiting:
        one.join(20.0)
    assert [type(one) for one in told] == [BusyError, BusyError]
    assert time.monotonic() - began_s < 40.0


def test_a_start_that_fails_is_worth_another_attempt(tmp_path: Path) -> None:
    asked, told = readers(tmp_path), list[BaseException]()
    ask(asked, told)
    assert [type(one) for one in told] == [BusyError]
    assert asked.pids() == []
    asked.close()
