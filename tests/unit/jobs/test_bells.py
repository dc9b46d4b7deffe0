"""Bells between processes: heard at once, never waited for, gone with who listened."""

import os
import time
from pathlib import Path

import pytest

from lingting.jobs.bells import Bell, ring


def test_everybody_of_a_kind_hears_and_nobody_else(tmp_path: Path) -> None:
    workers = [Bell(tmp_path, "worker") for _ in range(2)]
    web = Bell(tmp_path, "web")
    ring(tmp_path, "worker")
    assert [one.wait(0.0) for one in workers] == [True, True]
    assert not web.wait(0.0)
    assert not workers[0].wait(0.0)  # once rung, once heard
    for one in (*workers, web):
        one.close()


def test_ringing_often_is_ringing_once_and_never_waits(tmp_path: Path) -> None:
    bell = Bell(tmp_path, "web")
    began_s = time.monotonic()
    os.write(bell.fileno(), b"." * 65_530)
    for _ in range(20):  # more than the pipe holds
        ring(tmp_path, "web")
    assert time.monotonic() - began_s < 10
    assert bell.wait(0.0)
    assert not bell.wait(0.0)
    bell.close()


def test_nobody_there_is_fine_and_what_was_left_is_removed(tmp_path: Path) -> None:
    ring(tmp_path / "nowhere", "web")
    bell = Bell(tmp_path, "web")
    (left,) = (tmp_path / "bells").iterdir()
    os.close(bell.fileno())  # as when the process was killed
    ring(tmp_path, "web")
    assert not left.exists()


def test_a_closed_bell_is_gone(tmp_path: Path) -> None:
    bell = Bell(tmp_path, "web")
    assert oct((tmp_path / "bells").stat().st_mode & 0o777) == "0o700"
    bell.close()
    assert list((tmp_path / "bells").iterdir()) == []
    with pytest.raises(OSError, match="Bad file"):
        bell.wait(0.0)
