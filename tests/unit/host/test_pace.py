"""Budgets of batches follow the measured speed."""

from __future__ import annotations

import pytest

from lingting.host.pace import AIM_S, ALONE_S, LEAST_S, Pace


def test_without_a_measurement_batches_are_small() -> None:
    assert Pace(240.0).budgets() == {"live": 0.0, "interactive": 15.0, "bulk": 30.0}
    assert Pace(240.0).rate is None


def test_budgets_aim_at_a_duration() -> None:
    pace = Pace(1000.0)
    pace.note(200.0, 4.0)
    assert pace.rate == 50.0
    assert pace.budgets() == {lane: pytest.approx(50.0 * aim) for lane, aim in AIM_S.items()}


def test_a_fast_device_never_gets_more_than_the_engine_wants() -> None:
    pace = Pace(240.0)
    pace.note(240.0, 0.1)
    assert pace.budgets()["bulk"] == 240.0


def test_a_slow_device_still_gets_a_full_clip() -> None:
    pace = Pace(240.0)
    pace.note(10.0, 10.0)
    assert pace.budgets() == {**LEAST_S, "live": 0.5}


def test_the_rate_follows_the_device() -> None:
    pace = Pace(240.0)
    for _ in range(20):
        pace.note(100.0, 1.0)
    for _ in range(20):
        pace.note(100.0, 10.0)
    assert pace.rate == pytest.approx(10.0, rel=0.1)


def test_after_a_lack_of_memory_batches_shrink_and_grow_again() -> None:
    pace = Pace(240.0)
    pace.note(240.0, 1.0)
    pace.shrink(200.0)
    assert pace.limit_s == 100.0
    pace.shrink(90.0)
    assert pace.limit_s == 45.0
    pace.note(1.0, 0.01)  # a small batch says nothing about room
    assert pace.limit_s == 45.0
    for _ in range(30):
        pace.note(pace.limit_s, pace.limit_s / 100)
    assert pace.limit_s == 240.0
    for _ in range(20):
        pace.shrink(0.0)
    assert pace.limit_s == 5.0


def test_how_long_others_should_wait() -> None:
    pace = Pace(240.0)
    assert pace.wait_s(100.0) == 10.0  # nothing is known yet
    pace.note(100.0, 2.0)
    assert pace.wait_s(100.0) == 2.0
    assert (pace.wait_s(0.0), pace.wait_s(1e9)) == (1.0, 60.0)


def test_bulk_work_alone_may_take_longer() -> None:
    pace = Pace(1000.0)
    pace.note(100.0, 2.0)
    alone = pace.budgets(is_bulk_alone=True)
    assert alone["bulk"] == pytest.approx(50.0 * ALONE_S)
    assert {**alone, "bulk": 0.0} == {**pace.budgets(), "bulk": 0.0}
