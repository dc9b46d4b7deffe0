"""Threads that recognise clips one by one, for engines that several may ask at the same time.

A batch is as slow as its slowest clip, and with few callers there is nothing to fill it with: the
cores that are done with theirs wait. With a hand for each core, the next clip begins when any one
ends. Many clips are better recognised as a batch, in which like are decoded together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Hands:
    """So many threads. ``on_free`` is called by one that has done its work."""

    def __init__(self, count: int, on_free: Callable[[], None]) -> None:
        self.count = count
        self._on_free = on_free
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lingting-hand")
        self._changed = threading.Condition()
        self._began_s: dict[int, float] = {}
        self._number = 0

    @property
    def busy(self) -> int:
        return len(self._began_s)

    @property
    def is_free(self) -> bool:
        return len(self._began_s) < self.count

    @property
    def longest_s(self) -> float:
        """For how long the one has worked that began first."""
        with self._changed:
            began_s = min(self._began_s.values(), default=None)
        return 0.0 if began_s is None else time.monotonic() - began_s

    def give(self, work: Callable[[], None]) -> None:
        """Do it in a thread; ``work`` raises nothing. RuntimeError when there is no thread."""
        with self._changed:
            self._number += 1
            number = self._number
            self._began_s[number] = time.monotonic()
        try:
            self._threads.submit(self._do, number, work)
        except BaseException:
            self._done(number)
            raise

    def wait(self) -> None:
        """Until none works."""
        with self._changed:
            self._changed.wait_for(lambda: not self._began_s)

    def close(self) -> None:
        """They end behind what they do."""
        self._threads.shutdown()

    def _do(self, number: int, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._done(number)
            self._on_free()

    def _done(self, number: int) -> None:
        with self._changed:
            del self._began_s[number]
            self._changed.notify_all()
