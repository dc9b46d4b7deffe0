"""Where a decoded frame belongs: seconds in the recording as a player shows them.

Zero is where the container starts (its earliest track), or its own zero when it starts before that
because of encoder delay. What FFmpeg skips as encoder delay is skipped. A track that begins later,
and a hole left by lost packets or a muted microphone, become silence, so that times after it stay
right. Timestamps that jump back, or further ahead than the recording is long, are a new clock
(joined recordings, a device that restarted): the audio simply goes on.
"""

from __future__ import annotations

# Containers round timestamps to 1 ms and recorders drift: smaller steps are no holes.
_HOLE_S = 0.1
# Right at the start and right after a packet that could not be decoded, a hole is expected.
_EXPECTED_HOLE_S = 0.003
_NEW_CLOCK_S = 6 * 3600.0
_PROMISE_MARGIN_S = 1.0


class Timeline:
    """Adds up what was decoded and says how much silence is due before the next frame.

    ``is_exact`` says that timestamps count samples, so that every step is a hole.
    """

    def __init__(self, zero_s: float, promised_s: float | None, *, is_exact: bool = False) -> None:
        self._zero_s = zero_s
        self._latest_s = None if promised_s is None else promised_s + _PROMISE_MARGIN_S
        self._is_exact = is_exact
        self._expects_hole = True
        self.end_s = 0.0

    def lose_packet(self) -> None:
        """The next frame may come late by as little as one packet."""
        self._expects_hole = True

    def hole_before(self, stamp_s: float | None) -> float:
        """Seconds of silence that belong before a frame stamped ``stamp_s``; mostly 0."""
        is_expected, self._expects_hole = self._expects_hole, self._is_exact
        if stamp_s is None:
            return 0.0
        hole_s = stamp_s - self._zero_s - self.end_s
        if abs(hole_s) < (_EXPECTED_HOLE_S if is_expected else _HOLE_S):
            return 0.0
        if hole_s < 0 or self._is_new_clock(hole_s):
            self._zero_s = stamp_s - self.end_s
            return 0.0
        return hole_s

    def _is_new_clock(self, hole_s: float) -> bool:
        if self._latest_s is not None and self.end_s + hole_s > self._latest_s:
            return True
        return hole_s > _NEW_CLOCK_S

    def advance(self, duration_s: float) -> None:
        self.end_s += duration_s
