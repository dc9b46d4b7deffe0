"""Who is next: three lanes of waiting clips, and batches that starve none of them.

A batch is filled from the highest lane that has clips. A lower lane earns a share of every batch
that it had to wait through; as soon as that is worth its first clip, the clip goes along. So a clip
of ``d`` seconds at the head of a lane waits for at most ``ceil(d / (share × budget))`` batches,
whatever comes into the lanes above, and lanes above wait for no more than that share.

Pure: no threads, no clock, no audio. Within a lane it is first come, first served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from lingting.engines.envelope import LANES

SHARES: Mapping[str, float] = {"live": 1.0, "interactive": 0.25, "bulk": 0.125}
"""The part of each batch's budget that a lane earns while a higher one is served."""

T = TypeVar("T")


class Entry(Generic[T]):
    """A clip in a lane: ``seconds`` long; ``item`` is whatever belongs to it."""

    __slots__ = ("is_waiting", "item", "lane", "seconds")

    def __init__(self, lane: str, seconds: float, item: T) -> None:
        self.lane = lane
        self.seconds = seconds
        self.item: T | None = item
        self.is_waiting = False


class _Lane(Generic[T]):
    """One queue; entries that were discarded stay in it, empty, until their turn."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.credit_s = 0.0
        self.seconds = 0.0
        self.count = 0
        self._entries: deque[Entry[T]] = deque()

    @property
    def head(self) -> Entry[T] | None:
        """The next entry that still waits."""
        while self._entries and not self._entries[0].is_waiting:
            self._entries.popleft()
        return self._entries[0] if self._entries else None

    def add(self, entry: Entry[T]) -> None:
        entry.is_waiting = True
        self._entries.append(entry)
        self.seconds += entry.seconds
        self.count += 1

    def remove(self, entry: Entry[T]) -> None:
        """It waits no more; its place in the queue is found empty later."""
        entry.is_waiting = False
        self.count -= 1
        self.seconds -= entry.seconds
        if self.count == 0:
            self.seconds = self.credit_s = 0.0  # no rounding is carried on, and no old claim
            self._entries.clear()

    def pop(self) -> Entry[T]:
        entry = self.head
        assert entry is not None
        self._entries.popleft()
        self.credit_s = max(0.0, self.credit_s - entry.seconds)
        self.remove(entry)
        return entry


class Lanes(Generic[T]):
    """All that waits for one model. Not thread-safe."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane[T]] = {name: _Lane(SHARES[name]) for name in LANES}

    def __len__(self) -> int:
        return sum(lane.count for lane in self._lanes.values())

    @property
    def seconds(self) -> float:
        """Seconds of audio that wait."""
        return sum(lane.seconds for lane in self._lanes.values())

    def waiting(self) -> Iterator[tuple[str, int, float]]:
        """Name, clips and seconds of each lane."""
        for name, lane in self._lanes.items():
            yield name, lane.count, lane.seconds

    @property
    def top(self) -> str | None:
        """The highest lane that has clips."""
        return next((name for name, lane in self._lanes.items() if lane.count), None)

    def add(self, entry: Entry[T]) -> None:
        """At the end of its lane."""
        self._lanes[entry.lane].add(entry)

    def discard(self, entry: Entry[T]) -> bool:
        """Nobody wants it any more. False when it does not wait: it is in a batch, or was."""
        if not entry.is_waiting:
            return False
        entry.item = None  # its audio is freed now, not when its turn comes
        self._lanes[entry.lane].remove(entry)
        return True

    def clear(self) -> list[Entry[T]]:
        """Everything that waited, which waits no more."""
        return [lane.pop() for lane in self._lanes.values() for _ in range(lane.count)]

    def take(self, budget_s: Mapping[str, float], most: int) -> list[Entry[T]]:
        """The next batch, empty when nothing waits.

        ``budget_s`` says for each lane how many seconds a batch may have when that lane is the
        highest one waiting; ``most`` is the largest number of clips. The first clip of the highest
        lane is always taken, whatever its length, and so is what the lower lanes have earned.
        """
        first = self.top
        if first is None:
            return []
        room_s = budget_s[first]
        top = self._lanes[first]
        batch = [top.pop()]
        for lane in self._lanes.values():
            if lane is not top and lane.count:
                lane.credit_s += lane.share * max(room_s, batch[0].seconds)
                batch += self._earned(lane, most - len(batch))
        used_s = sum(entry.seconds for entry in batch)
        for lane in self._lanes.values():
            while len(batch) < most and (head := lane.head) is not None:
                if used_s + head.seconds > room_s:
                    break
                used_s += head.seconds
                batch.append(lane.pop())
        return batch

    def _earned(self, lane: _Lane[T], most: int) -> list[Entry[T]]:
        earned: list[Entry[T]] = []
        while len(earned) < most and (head := lane.head) is not None:
            if lane.credit_s < head.seconds:
                break
            earned.append(lane.pop())
        return earned
