"""Frame decisions to spans of speech: a window that counts, and three states.

The rules are those of FSMN-VAD as published with FunASR, counted in frames of 10 ms. A sliding
window counts speech frames; it switches to speech at ``sil_to_speech_ms`` and back at
``speech_to_sil_ms``. A span opens at the switch, reaches back over the window and ``lookback_ms``
but never into the span before it, and closes when silence has lasted long enough, when it grows
too long, or with the audio. Closing empties the window.

Nothing here looks at single frames in Python: counts are cumulative sums, and each state jumps to
the next frame at which something can happen. The result does not depend on how frames arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lingting.transcript import Span
from lingting.vad.options import FRAME_MS, VadOptions

FRAMES_PER_S: Final = 1000 // FRAME_MS
NEVER: Final = 1 << 62
"""A frame beyond any recording."""
_YES: Final = b"\x01"

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SpeechStart:
    """Speech was noticed; it began at ``start_s``, which lies in the past."""

    start_s: float


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    """The span that the last ``SpeechStart`` opened is closed and will not change."""

    span: Span


VadEvent = SpeechStart | SpeechEnd


@dataclass(frozen=True, slots=True)
class FrameScores:
    """What the detector saw, one row every 10 ms from frame ``first`` on.

    ``speech``: ``[n]`` probability of speech. ``level_db``: ``[n]``, 10 log10 of the sum of the
    frame's 400 squared samples. Frame ``t`` covers 25 ms from ``t * 0.01`` s.
    """

    first: int
    speech: Floats
    level_db: Floats

    def __len__(self) -> int:
        return len(self.speech)


@dataclass(frozen=True, slots=True)
class Progress:
    """What later audio can no longer change, in frames.

    With ``open_start`` a span is open there and holds every frame before ``sure_until``; without,
    no span begins before ``sure_until``.
    """

    open_start: int | None
    sure_until: int


class _State(Enum):
    WAITING = auto()  # no span is open
    SPEAKING = auto()  # a span is open and the window says speech
    PAUSING = auto()  # a span is open and the window says silence
    DONE = auto()  # single utterance: nothing more is wanted


class SpanDecider:
    """Speech flags in blocks of any size in, ``VadEvent`` values out."""

    def __init__(self, options: VadOptions) -> None:
        self._options = options
        self._window = options.window_ms // FRAME_MS
        self._reach = self._window + options.lookback_ms // FRAME_MS
        self._longest = options.max_single_segment_ms // FRAME_MS
        self._state = _State.WAITING
        self._now = 0  # the next frame to decide
        self._start = 0  # first frame of the open span
        self._silent_from = 0  # frame at which the window switched to silence
        self._free_from = 0  # first frame that no span has taken
        self._emptied = -1  # frame at which the window was last emptied
        self._recent = np.zeros(self._window - 1, np.bool_)
        self._silences = _closing_silences(options)

    def feed(self, flags: Flags) -> list[VadEvent]:
        """``[n]`` decisions, True for speech, for the next ``n`` frames."""
        if not len(flags):
            return []
        counts = _WindowCounts(np.concatenate((self._recent, flags)), self._now, self._options)
        events: list[VadEvent] = []
        end = self._now + len(flags)
        while self._now < end and self._state is not _State.DONE:
            self._now = min(self._step(counts, events), end)
        self._now = end
        self._recent = counts.flags[len(counts.flags) - self._window + 1 :].copy()
        return events

    def finish(self) -> list[VadEvent]:
        """The audio is over: an open span ends with the last frame."""
        events: list[VadEvent] = []
        if self._state in (_State.SPEAKING, _State.PAUSING):
            self._close(self._now - 1, events)
        self._state = _State.DONE
        return events

    @property
    def progress(self) -> Progress:
        """Certain whatever follows."""
        if self._state is _State.DONE:
            return Progress(None, NEVER)
        if self._state is _State.WAITING:
            return Progress(None, max(self._free_from, self._now - self._reach))
        if self._state is _State.SPEAKING:
            return Progress(self._start, self._now)
        kept = self._silent_from + self._options.lookahead_ms // FRAME_MS + 2
        return Progress(self._start, min(self._now, kept))

    def _step(self, counts: _WindowCounts, events: list[VadEvent]) -> int:
        """Go to the next frame that changes the state; the frame after it is returned."""
        if self._state is _State.WAITING:
            return self._wait(counts, events)
        if self._state is _State.SPEAKING:
            return self._speak(counts, events)
        return self._pause(counts, events)

    def _wait(self, counts: _WindowCounts, events: list[VadEvent]) -> int:
        frame = counts.next_speech(self._now)
        if self._options.single_utterance:
            patience = self._emptied + self._options.max_start_silence_ms // FRAME_MS + 1
            if patience < frame and patience < counts.end:
                self._state = _State.DONE
                return counts.end
        if frame == NEVER:
            return counts.end
        self._start = max(self._free_from, frame - self._reach)
        self._state = _State.SPEAKING
        events.append(SpeechStart(self._start / FRAMES_PER_S))
        return frame + 1

    def _speak(self, counts: _WindowCounts, events: list[VadEvent]) -> int:
        frame = counts.next_silence(self._now)
        limit = self._limit()
        if limit <= frame:
            return self._close_at(limit, limit, counts, events)
        self._silent_from = frame
        self._state = _State.PAUSING
        return frame + 1

    def _pause(self, counts: _WindowCounts, events: list[VadEvent]) -> int:
        frame = counts.next_speech(self._now)
        limit = self._limit()
        patience = max(self._now, self._patience_ends())
        if frame <= patience and frame < limit:
            self._state = _State.SPEAKING
            return frame + 1
        if patience < frame and patience <= limit:
            kept = self._silent_from + self._options.lookahead_ms // FRAME_MS + 1
            return self._close_at(patience, min(patience, kept), counts, events)
        return self._close_at(limit, limit, counts, events)

    def _limit(self) -> int:
        """The frame with which an open span becomes too long."""
        return max(self._now, self._start + self._longest)

    def _patience_ends(self) -> int:
        """The frame at which the silence since ``_silent_from`` has lasted long enough."""
        ends = NEVER
        lower = 0
        for longest_frames, silence_frames in self._silences:
            frame = max(self._silent_from + silence_frames, self._start + lower)
            if frame - self._start + 1 <= longest_frames:
                ends = min(ends, frame)
            lower = longest_frames
        return ends

    def _close_at(
        self, frame: int, last: int, counts: _WindowCounts, events: list[VadEvent]
    ) -> int:
        """At ``frame`` close the span with frame ``last``; both may still lie beyond this block."""
        if frame >= counts.end:
            return counts.end
        self._close(last, events)
        self._emptied = frame
        counts.empty(frame)
        return frame + 1

    def _close(self, last: int, events: list[VadEvent]) -> None:
        self._free_from = last + 1
        self._state = _State.DONE if self._options.single_utterance else _State.WAITING
        span = Span(self._start / FRAMES_PER_S, self._free_from / FRAMES_PER_S)
        events.append(SpeechEnd(span))


class _WindowCounts:
    """Where the sliding window of one block says speech and where it says silence.

    ``flags`` are the ``window - 1`` decisions before the block and those of the block.
    """

    def __init__(self, flags: Flags, first: int, options: VadOptions) -> None:
        self.flags = flags
        self._history = options.window_ms // FRAME_MS - 1
        self._first = first
        self.end = first + len(flags) - self._history
        self._on = options.sil_to_speech_ms // FRAME_MS
        self._off = options.speech_to_sil_ms // FRAME_MS
        total = np.cumsum(flags, dtype=np.int64)
        total = np.concatenate((np.zeros(1, np.int64), total))
        inside = total[self._history + 1 :] - total[: len(total) - self._history - 1]
        self._speech, self._silence = self._switches(inside)

    def _switches(self, inside: NDArray[np.int64]) -> tuple[bytearray, bytearray]:
        return (
            bytearray((inside >= self._on).tobytes()),
            bytearray((inside <= self._off).tobytes()),
        )

    def next_speech(self, frame: int) -> int:
        """The first frame from ``frame`` on whose window says speech, or ``NEVER``."""
        return self._next(self._speech, frame)

    def next_silence(self, frame: int) -> int:
        """The first frame from ``frame`` on whose window says silence, or ``NEVER``."""
        return self._next(self._silence, frame)

    def _next(self, switches: bytearray, frame: int) -> int:
        found = switches.find(_YES, frame - self._first)
        return NEVER if found < 0 else self._first + found

    def empty(self, frame: int) -> None:
        """Forget all decisions up to and with ``frame``: count the windows after it anew."""
        begin = frame - self._first + 1
        self.flags[: begin + self._history] = False
        fresh = self.flags[begin + self._history : begin + 2 * self._history]
        speech, silence = self._switches(np.cumsum(fresh, dtype=np.int64))
        self._speech[begin : begin + len(speech)] = speech
        self._silence[begin : begin + len(silence)] = silence


def _closing_silences(options: VadOptions) -> tuple[tuple[int, int], ...]:
    """(span length up to, silence after the switch), both in frames, lengths rising to never."""
    spent = options.speech_to_sil_ms
    if options.silence_schedule is None:
        return ((NEVER, (options.max_end_silence_ms - spent) // FRAME_MS),)
    steps = [
        (limit_ms // FRAME_MS, max((silence_ms - spent) // FRAME_MS, 1))
        for limit_ms, silence_ms in options.silence_schedule
    ]
    steps[-1] = (NEVER, steps[-1][1])
    return tuple(steps)
