"""Who is a worker, and who is thought dead."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lingting.errors import StoreUnreachable
from lingting.jobs.slots import take_slot
from lingting.jobs.worker import Watch


def test_the_same_place_is_the_same_worker(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path / "run"), take_slot(tmp_path / "run")
    assert (first.number, second.number) == (1, 2)
    assert first.id != second.id
    first.leave()
    again = take_slot(tmp_path / "run")
    assert (again.number, again.id) == (1, first.id)
    elsewhere = take_slot(tmp_path / "another")
    assert elsewhere.id not in {first.id, second.id}
    for one in (again, second, elsewhere):
        one.leave()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnreachable):
        take_slot(tmp_path / "file" / "run")


def look(watch: Watch, beats: dict[str, int], times: int = 1) -> list[str]:
    found: list[str] = []
    for _ in range(times):
        time.sleep(0.05)
        found = watch.silent(beats)
    return found


def test_who_does_not_change_for_too_long() -> None:
    watch = Watch("me", 0.3)
    assert look(watch, {"me": 1, "a": 5, "b": 7}, 3) == []
    assert look(watch, {"me": 1, "a": 5, "b": 8}, 4) == ["a"]
    assert look(watch, {"me": 1, "a": 6, "b": 8}) == []


def test_who_could_not_look_counts_anew() -> None:
    """The others may have been held up by the same."""
    watch = Watch("me", 0.3)
    assert look(watch, {"a": 5}, 3) == []
    time.sleep(0.3)
    assert look(watch, {"a": 5}) == []
    assert look(watch, {"a": 5}, 7) == ["a"]
