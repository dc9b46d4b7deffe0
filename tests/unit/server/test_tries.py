"""Waits of whoever fails: they double, up to a quarter of an hour, however often it was."""

import itertools
import time
from datetime import timedelta

import pytest

from lingting.errors import TooManyTries
from lingting.server.tries import Tries, wait_of


def test_waits_double_up_to_a_quarter_of_an_hour() -> None:
    waits = [wait_of(failures) for failures in range(1, 5_000)]
    assert waits[4:7] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(waits))
    assert waits[-1] == timedelta(seconds=900)


def test_who_fails_for_weeks_is_still_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    tries = Tries(free=5)
    for _ in range(2_000):
        tries.check("10.0.0.1")
        tries.note_failure("10.0.0.1")
        now_s += 901.0
    tries.check("10.0.0.1")
    tries.note_failure("10.0.0.1")
    with pytest.raises(TooManyTries) as raised:
        tries.check("10.0.0.1")
    assert raised.value.retry_after_s == 900.0
