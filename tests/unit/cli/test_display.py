"""The figures behind the bar."""

from __future__ import annotations

import pytest

from lingting.cli.display import Tally, clock, size


def test_files_count_by_their_part() -> None:
    tally = Tally(4)
    assert tally.left_s is None
    tally.moved("0", 30.0, 60.0)
    tally.moved("1", 5.0, None)  # a length nobody knows counts as half
    assert tally.share == 1.0
    assert tally.audio_s == 35.0
    tally.close("0", 60.0)
    tally.close("2", 0.0)
    assert (tally.closed, tally.share, tally.audio_s) == (2, 2.5, 65.0)
    assert tally.left_s is not None


def test_a_wrong_promise_never_passes_the_end() -> None:
    tally = Tally(1)
    tally.moved("0", 500.0, 60.0)
    assert tally.share == 1.0
    assert tally.left_s == 0.0


@pytest.mark.parametrize(("time_s", "text"), [(0, "0:00"), (65.4, "1:05"), (3725, "1:02:05")])
def test_clock(time_s: float, text: str) -> None:
    assert clock(time_s) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "?"), (2048, "2 KiB"), (150_216_479, "143.3 MiB")]
)
def test_size(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text
