"""How much somebody may ask for: a turnstile for requests, and quotas of audio.

Requests are counted in this process: each user has a bucket that holds a minute's worth and fills
by the second, and so has a key with a limit of its own. Audio is counted in the store, so that
several web processes agree and nothing is forgotten. The key that the service leaves for its own
user is not counted.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lingting.errors import AudioQuotaSpent, StorageQuotaSpent, TooManyRequests

if TYPE_CHECKING:
    from lingting.server.principal import Principal
    from lingting.server.service import Service

_BUCKETS = 10_000
_STORAGE_RETRY_S = 3600.0


class Turnstile:
    """Requests a minute. For many threads; never waits, never asks the database."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        """What is left in each, and when that was."""

    def pass_through(self, who: Principal) -> None:
        """Count a request. Raises TooManyRequests."""
        if who.is_local:
            return
        self._take(f"user:{who.user}", who.limits.requests_per_minute)
        if who.key_requests_per_minute is not None:
            self._take(who.by, who.key_requests_per_minute)

    def _take(self, name: str, per_minute: float | None) -> None:
        if per_minute is None:
            return
        now_s, size = time.monotonic(), max(per_minute, 1.0)
        with self._turn:
            left, since_s = self._buckets.get(name, (size, now_s))
            left = min(size, left + (now_s - since_s) * per_minute / 60.0)
            if left < 1.0 or per_minute == 0:
                wait_s = 60.0 if per_minute == 0 else (1.0 - left) * 60.0 / per_minute
                raise TooManyRequests(
                    f"More than {per_minute:g} requests came in a minute.", retry_after_s=wait_s
                )
            if len(self._buckets) >= _BUCKETS and name not in self._buckets:
                self._forget(now_s)
            self._buckets[name] = (left - 1.0, now_s)

    def _forget(self, now_s: float) -> None:
        """Those that would be full again; of the others the oldest half."""
        kept = {name: one for name, one in self._buckets.items() if now_s - one[1] < 60.0}
        if len(kept) >= _BUCKETS:
            newest = sorted(kept, key=lambda name: kept[name][1])[_BUCKETS // 2 :]
            kept = {name: kept[name] for name in newest}
        self._buckets = kept


def check_quotas(service: Service, who: Principal, new_bytes: int = 0) -> None:
    """Before audio is taken: whether they may give any more. May block.

    Raises AudioQuotaSpent and StorageQuotaSpent, with when to come again.
    """
    most = who.limits
    if who.is_local or (most.audio_s_per_day is None and most.stored_bytes is None):
        return
    from lingting.store import limits

    with service.store.database.read() as session:
        audio_s = 0.0 if most.audio_s_per_day is None else limits.audio_s(session, who.user)
        stored = 0 if most.stored_bytes is None else limits.stored_bytes(session, who.user)
    if most.audio_s_per_day is not None and audio_s >= most.audio_s_per_day:
        raise AudioQuotaSpent(
            f"{audio_s:.0f} s of audio were given today; allowed are {most.audio_s_per_day:.0f} s.",
            retry_after_s=limits.left_of_day_s(datetime.now(UTC)),
        )
    if most.stored_bytes is not None and stored + new_bytes > most.stored_bytes:
        raise StorageQuotaSpent(
            f"{stored} bytes of audio are kept, and {new_bytes} would be added; allowed are "
            f"{most.stored_bytes:.0f}.",
            retry_after_s=_STORAGE_RETRY_S,
        )


def note_audio(service: Service, who: Principal, audio_s: float) -> None:
    """Audio that was recognised without a job, for the day's quota. May block."""
    from lingting.store import limits

    with service.store.database.write() as session:
        limits.note_audio(session, who.user, audio_s)
