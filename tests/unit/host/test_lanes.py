"""The scheduler: who goes into the next batch. No threads, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.engines.envelope import LANES
from lingting.host.lanes import SHARES, Entry, Lanes

BUDGET = {"live": 10.0, "interactive": 20.0, "bulk": 40.0}
MOST = 512


def lanes_of(*given: tuple[str, float]) -> tuple[Lanes[int], list[Entry[int]]]:
    lanes: Lanes[int] = Lanes()
    entries = [Entry(lane, seconds, at) for at, (lane, seconds) in enumerate(given)]
    for entry in entries:
        lanes.add(entry)
    return lanes, entries


def numbers(batch: list[Entry[int]]) -> list[int | None]:
    return [entry.item for entry in batch]


def test_nothing_gives_nothing() -> None:
    lanes: Lanes[int] = Lanes()
    assert lanes.take(BUDGET, MOST) == []
    assert lanes.top is None


def test_the_highest_lane_goes_first_and_sets_the_size_of_the_batch() -> None:
    lanes, _ = lanes_of(("bulk", 5), ("live", 3), ("bulk", 5), ("interactive", 4), ("live", 2))
    assert numbers(lanes.take(BUDGET, MOST)) == [1, 4, 3]  # 9 s: no bulk clip fits into 10 s
    assert numbers(lanes.take(BUDGET, MOST)) == [0, 2]


def test_room_that_is_left_goes_to_the_lanes_below() -> None:
    lanes, _ = lanes_of(("bulk", 5), ("live", 1), ("bulk", 3), ("bulk", 3))
    assert numbers(lanes.take(BUDGET, MOST)) == [1, 0, 2]


def test_within_a_lane_it_is_first_come_first_served() -> None:
    lanes, _ = lanes_of(("bulk", 30), ("bulk", 20), ("bulk", 1))
    assert numbers(lanes.take(BUDGET, MOST)) == [0]  # the short one does not overtake
    assert numbers(lanes.take(BUDGET, MOST)) == [1, 2]


def test_a_clip_longer_than_the_budget_goes_alone() -> None:
    lanes, _ = lanes_of(("live", 30), ("live", 1))
    assert numbers(lanes.take(BUDGET, MOST)) == [0]
    assert numbers(lanes.take(BUDGET, MOST)) == [1]


def test_no_batch_has_more_clips_than_allowed() -> None:
    lanes, _ = lanes_of(*[("bulk", 0.1)] * 7)
    assert [len(lanes.take(BUDGET, 3)) for _ in range(4)] == [3, 3, 1, 0]


def test_what_nobody_wants_is_not_taken_and_takes_no_room() -> None:
    lanes, entries = lanes_of(("bulk", 10), ("bulk", 20), ("live", 1))
    assert lanes.discard(entries[0])
    assert not lanes.discard(entries[0])  # only once
    assert (len(lanes), lanes.seconds) == (2, 21)
    assert entries[0].item is None  # its audio is let go of
    assert numbers(lanes.take({**BUDGET, "live": 30.0}, MOST)) == [2, 1]
    assert not lanes.discard(entries[1])  # it is under way
    assert (len(lanes), lanes.seconds) == (0, 0)


def test_everything_can_be_handed_back() -> None:
    lanes, entries = lanes_of(("bulk", 1), ("live", 1), ("interactive", 1), ("bulk", 1))
    lanes.discard(entries[0])
    assert numbers(lanes.clear()) == [1, 2, 3]
    assert lanes.take(BUDGET, MOST) == []


def test_a_lane_that_was_empty_has_no_claim_left() -> None:
    lanes, _ = lanes_of(("live", 10), ("bulk", 1.25), ("bulk", 30))
    assert numbers(lanes.take(BUDGET, MOST)) == [0, 1]  # what it earned, spent
    lanes.discard(lanes.take(BUDGET, MOST)[0])
    for number in range(40):
        lanes.add(Entry("live", 10, number))
    lanes.add(Entry("bulk", 1.3, 99))
    assert numbers(lanes.take(BUDGET, MOST)) == [0]  # it starts to earn anew


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
@pytest.mark.parametrize("seconds", [0.5, 5.0, 30.0])
def test_live_work_without_end_does_not_starve_the_others(lane: str, seconds: float) -> None:
    lanes, (waiting,) = lanes_of((lane, seconds))
    bound = math.ceil(seconds / (SHARES[lane] * BUDGET["live"]))
    for turn in range(1, bound + 1):
        for number in range(20):  # twice as much as a batch takes
            lanes.add(Entry("live", 1.0, number))
        batch = lanes.take(BUDGET, MOST)
        assert batch[0].lane == "live"  # and live is served all the same
        if waiting in batch:
            assert turn <= bound
            return
    pytest.fail(f"not served within {bound} batches")


def test_live_keeps_most_of_its_batches() -> None:
    lanes: Lanes[int] = Lanes()
    served: dict[str, float] = dict.fromkeys(LANES, 0.0)
    for _ in range(400):
        for lane in LANES:
            while sum(s for name, _, s in lanes.waiting() if name == lane) < 60:
                lanes.add(Entry(lane, 2.0, 0))
        for entry in lanes.take(BUDGET, MOST):
            served[entry.lane] += entry.seconds
    total = sum(served.values())
    assert served["live"] / total > 0.6
    assert served["interactive"] / total == pytest.approx(0.25, rel=0.1)
    assert served["bulk"] / total == pytest.approx(0.125, rel=0.1)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(LANES), st.floats(0.05, 30.0)),
        st.tuples(st.just("take"), st.floats(0.0, 120.0), st.integers(1, 8)),
        st.tuples(st.just("discard"), st.integers(0, 200), st.none()),
    ),
    max_size=120,
)


def budgets(seconds: float) -> Mapping[str, float]:
    return {"live": seconds / 4, "interactive": seconds / 2, "bulk": seconds}


@given(steps)
def test_nothing_is_lost_or_doubled_whatever_happens(given_steps: list[tuple]) -> None:
    lanes: Lanes[int] = Lanes()
    entries: list[Entry[int]] = []
    gone: list[int] = []
    taken: list[int] = []
    for what, first, second in given_steps:
        if what == "add":
            entries.append(Entry(first, second, len(entries)))
            lanes.add(entries[-1])
        elif what == "discard" and first < len(entries):
            if lanes.discard(entries[first]):
                gone.append(first)
        elif what == "take":
            top = lanes.top
            batch = lanes.take(budgets(first), second)
            assert bool(batch) == (top is not None)
            assert len(batch) <= second
            if batch:
                assert batch[0].lane == top
            for entry in batch:
                assert entry.item is not None
                taken.append(entry.item)
    rest = [entry.item for entry in lanes.clear()]
    assert sorted([*taken, *gone, *rest]) == list(range(len(entries)))
    for lane in LANES:  # in each lane the order was kept
        own = [at for at in [*taken, *rest] if entries[at].lane == lane]
        assert own == sorted(own)


@given(
    st.floats(1.0, 60.0),
    st.lists(st.floats(0.1, 30.0), min_size=1, max_size=30),
    st.sampled_from(["interactive", "bulk"]),
    st.data(),
)
def test_every_clip_is_served_within_its_bound(
    budget_s: float, lengths: list[float], lane: str, data: st.DataObject
) -> None:
    """Against any traffic above: the clips of a lower lane are all served, and soon enough."""
    lanes: Lanes[int] = Lanes()
    for number, seconds in enumerate(lengths):
        lanes.add(Entry(lane, seconds, number))
    budget = dict.fromkeys(LANES, budget_s)
    bound = math.ceil(sum(lengths) / (SHARES[lane] * budget_s)) + 1
    served = 0
    for _ in range(bound):
        for _ in range(data.draw(st.integers(1, 4))):
            lanes.add(Entry("live", data.draw(st.floats(0.1, 30.0)), -1))
        lanes.add(Entry("live", budget_s, -1))  # so that no room is ever left over
        served += sum(entry.lane == lane for entry in lanes.take(budget, MOST))
        if served == len(lengths):
            return
    pytest.fail(f"{served} of {len(lengths)} clips after {bound} batches")
