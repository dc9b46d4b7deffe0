"""Silence where time is missing, and nowhere else."""

from __future__ import annotations

import pytest

from lingting.audio.timeline import Timeline


def run(timeline: Timeline, stamps: list[float | None], frame_s: float = 0.02) -> list[float]:
    """The holes before frames with these stamps."""
    holes = []
    for stamp in stamps:
        hole = timeline.hole_before(stamp)
        timeline.advance(hole)
        timeline.advance(frame_s)
        holes.append(round(hole, 6))
    return holes


def test_contiguous_frames_have_no_holes() -> None:
    assert run(Timeline(0.0, None), [0.0, 0.02, 0.04]) == [0, 0, 0]


def test_rounded_and_missing_stamps_are_no_holes() -> None:
    assert run(Timeline(0.0, None), [0.0, 0.021, None, 0.059, 0.081]) == [0, 0, 0, 0, 0]


def test_late_start() -> None:
    assert run(Timeline(0.0, None), [1.5, 1.52]) == [1.5, 0]
    assert run(Timeline(1.5, None), [1.5, 1.52]) == [0, 0]


def test_hole_in_the_middle_keeps_later_times() -> None:
    timeline = Timeline(0.0, 10.0)
    assert run(timeline, [0.0, 0.02, 1.04]) == [0, 0, 1.0]
    assert timeline.end_s == pytest.approx(1.06)


def test_small_hole_counts_only_where_a_packet_was_lost_or_stamps_are_exact() -> None:
    assert run(Timeline(0.0, None), [0.0, 0.05]) == [0, 0]
    lossy = Timeline(0.0, None)
    run(lossy, [0.0])
    lossy.lose_packet()
    assert run(lossy, [0.05]) == [0.03]
    assert run(Timeline(0.0, None, is_exact=True), [0.0, 0.05]) == [0, 0.03]


def test_drift_is_made_good_once_it_is_a_tenth_of_a_second() -> None:
    stamps = [index * 0.0201 for index in range(2500)]
    timeline = Timeline(0.0, None)
    assert sum(hole > 0 for hole in run(timeline, list(stamps))) == 2
    assert timeline.end_s == pytest.approx(2500 * 0.0201, abs=0.1)


@pytest.mark.parametrize("jump", [0.0, 5000.0, 1e6])
def test_a_new_clock_goes_on_where_the_old_one_stopped(jump: float) -> None:
    timeline = Timeline(0.0, 100.0)
    assert run(timeline, [0.0, 0.02, 0.04, jump, jump + 0.02]) == [0, 0, 0, 0, 0]
    assert timeline.end_s == pytest.approx(0.1)
