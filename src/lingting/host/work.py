"""A request in the host: its clips, what was heard in them so far, who waits for the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lingting.engines.base import Clip, Hypothesis
from lingting.log import request_id

if TYPE_CHECKING:
    from lingting.host.lanes import Entry


class Job:
    """The clips of one request. ``waiter`` belongs to whoever asked; the host never looks at it."""

    __slots__ = (
        "arrived_s",
        "batches",
        "clips",
        "entries",
        "first_batch",
        "hypotheses",
        "is_dropped",
        "lane",
        "left",
        "request",
        "waiter",
    )

    def __init__(self, clips: Sequence[Clip], lane: str, arrived_s: float) -> None:
        self.clips: list[Clip | None] = list(clips)
        self.lane = lane
        self.request = request_id()
        self.arrived_s = arrived_s
        self.first_batch = 0
        """The number of the batch that was the next one when this came."""
        self.hypotheses: list[Hypothesis | None] = [None] * len(clips)
        self.batches = [0] * len(clips)
        self.left = len(clips)
        self.is_dropped = False
        self.entries: list[Entry[Place]] = []
        self.waiter: Any = None

    def settle(self, at: int, hypothesis: Hypothesis, batch: int) -> bool:
        """The clip's answer; True when none is missing. Its audio is let go of.

        A second answer changes nothing, and where memory runs out nothing has changed either.
        """
        if self.hypotheses[at] is None:
            number, left = batch - self.first_batch + 1, self.left - 1
            self.batches[at], self.left = number, left
            self.clips[at], self.hypotheses[at] = None, hypothesis
        return self.left == 0

    def results(self) -> list[Hypothesis]:
        """One per clip, in order, once nothing is left."""
        assert self.left == 0
        return [one for one in self.hypotheses if one is not None]


class Place:
    """Which clip of which request waits."""

    __slots__ = ("at", "job")

    def __init__(self, job: Job, at: int) -> None:
        self.job = job
        self.at = at
