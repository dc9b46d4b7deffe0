"""How soon somebody may try again who failed: a few times at once, then ever later."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lingting.errors import TooManyTries

if TYPE_CHECKING:
    from lingting.store.people import User

_FREE_TRIES = 5
FREE_TRIES_OF_ADDRESS = 20
FREE_KEYS_OF_ADDRESS = 60
_LONGEST_WAIT_S = 900.0
_MOST_DOUBLINGS = 10
"""After them it is longer than the longest; after 1,024 no float holds it."""
_FORGIVEN_S = 3600.0
_REMEMBERED = 10_000


class Tries:
    """Failures in a row of whatever has a name, in this process. For many threads."""

    def __init__(self, free: int = _FREE_TRIES) -> None:
        self._free = free
        self._turn = threading.Lock()
        self._failures: dict[str, tuple[int, float]] = {}

    def check(self, name: str | None) -> None:
        """Raises TooManyTries while they have to wait."""
        with self._turn:
            failures, until_s = self._failures.get(name or "", (0, 0.0))
        wait_s = until_s - time.monotonic()
        if name is not None and failures >= self._free and wait_s > 0:
            raise TooManyTries("Too many sign-ins failed in a row.", retry_after_s=wait_s)

    def note_failure(self, name: str | None) -> None:
        if name is None:
            return
        now_s = time.monotonic()
        with self._turn:
            if len(self._failures) >= _REMEMBERED:
                self._failures.clear()
            failures, until_s = self._failures.get(name, (0, 0.0))
            failures = 1 if failures and now_s - until_s > _FORGIVEN_S else failures + 1
            self._failures[name] = (failures, now_s + _wait_s(failures - self._free))


def wait_of(failures: int) -> timedelta:
    """After so many of a user in a row."""
    return timedelta(seconds=_wait_s(failures - _FREE_TRIES))


def _wait_s(doublings: int) -> float:
    return min(2.0 ** min(doublings, _MOST_DOUBLINGS), _LONGEST_WAIT_S)


def check_lock(user: User, now: datetime) -> None:
    """Raises TooManyTries while the user has to wait."""
    if user.failures >= _FREE_TRIES and user.locked_until is not None and user.locked_until > now:
        wait_s = (user.locked_until - now).total_seconds()
        raise TooManyTries("Too many sign-ins failed in a row.", retry_after_s=wait_s)
