"""Spans of speech to clips that a recogniser takes at once, and the way back to file time.

A clip joins neighbouring spans up to ``target_s``, or up to ``hard_s`` where no more speech
follows: last words alone are heard worse than with what was before them. What is too long is cut in
its longest pause, and speech without a pause where it is quietest. A long pause inside a clip is
left out but for ``max_pause_s``, and ``ClipMap`` knows where. All decisions are made in frames of
10 ms and only when no later audio can change them, so a stream yields the very clips of the whole
recording.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ
from lingting.errors import OptionInvalid
from lingting.transcript import Span
from lingting.vad.decision import (
    FRAMES_PER_S,
    NEVER,
    FrameScores,
    Progress,
    SpeechEnd,
    VadEvent,
)

Floats = NDArray[np.float32]
_Run = tuple[int, int]
"""First frame and the frame after the last."""

_FILL: Final = 0.6
"""Cuts are looked for in the last 40 % of a clip."""
_SMOOTH_FRAMES: Final = 15
"""Levels are compared over 150 ms, so that a cut does not fall into a closed consonant."""


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How speech becomes clips. ``OptionInvalid`` names what does not fit together."""

    target_s: float = 25.0
    """Spans are joined up to this length."""
    hard_s: float = 30.0
    """No clip is longer. One span, or the last spans before a gap or the end, may use what lies
    between target and this."""
    margin_s: float = 0.15
    """Real audio kept before and after a clip; at most half of the gap to its neighbour."""
    max_pause_s: float = 1.0
    """A pause inside a clip is shortened to this."""
    max_gap_s: float = 10.0
    """Spans further apart than this never share a clip: a lone word is heard better with others."""
    max_extent_s: float = 60.0
    """From the first to the last span of a clip in the file; bounds what a stream must hold."""

    def __post_init__(self) -> None:
        lengths = (self.target_s, self.hard_s, self.margin_s, self.max_pause_s)
        if not all(map(math.isfinite, (*lengths, self.max_gap_s, self.max_extent_s))):
            raise OptionInvalid("A packing length is not a finite number.", "Change it.")
        self._require(
            self.target_s >= 1.0, "target_s", self.target_s, "at least 1", "Choose a longer one."
        )
        self._require(
            self.hard_s >= self.target_s,
            "hard_s",
            self.hard_s,
            f"at least target_s, which is {self.target_s}",
        )
        self._require(0.0 <= self.margin_s <= 0.25, "margin_s", self.margin_s, "0 to 0.25")
        self._require(self.max_pause_s >= 0.0, "max_pause_s", self.max_pause_s, "0 or more")
        self._require(
            self.max_gap_s >= 2 * self.margin_s,
            "max_gap_s",
            self.max_gap_s,
            f"at least twice margin_s, which is {self.margin_s}",
        )
        self._require(
            self.max_extent_s >= self.hard_s,
            "max_extent_s",
            self.max_extent_s,
            f"at least hard_s, which is {self.hard_s}",
        )

    def _require(
        self,
        holds: bool,
        name: str,
        value: float,
        allowed: str,
        next_step: str = "Change one of them.",
    ) -> None:
        if not holds:
            raise OptionInvalid(f"{name} is {value} s; it must be {allowed}.", next_step)


DEFAULT_PACKING: Final = PackOptions()


@dataclass(frozen=True)
class ClipMap:
    """Times inside a clip to times in the file; ``pieces`` are what the clip was joined from."""

    pieces: tuple[Span, ...]

    @cached_property
    def _ends_s(self) -> list[float]:
        return list(accumulate(piece.duration_s for piece in self.pieces))

    @property
    def duration_s(self) -> float:
        """Length of the clip."""
        return self._ends_s[-1]

    def to_file_time(self, t_s: float, *, end: bool = False) -> float:
        """Where ``t_s`` of the clip lies in the file: monotonic, and always inside a piece.

        At a joint the later piece is meant, or with ``end`` (of a word, say) the earlier one.
        Times outside the clip are moved to its nearer end.
        """
        search = bisect_left if end else bisect_right
        index = min(search(self._ends_s, t_s), len(self.pieces) - 1)
        piece = self.pieces[index]
        into_s = t_s - (self._ends_s[index - 1] if index else 0.0)
        return min(max(piece.start_s + into_s, piece.start_s), piece.end_s)


@dataclass(frozen=True, slots=True)
class PackedClip:
    """One clip: ``pieces`` of the file to be joined, and the ``speech`` in them.

    Pieces are ordered and apart; so are those of different clips. A span longer than a clip is
    split, and every part of it is the speech of exactly one clip.
    """

    pieces: tuple[Span, ...]
    speech: tuple[Span, ...]

    @property
    def start_s(self) -> float:
        return self.pieces[0].start_s

    @property
    def end_s(self) -> float:
        return self.pieces[-1].end_s

    @property
    def duration_s(self) -> float:
        """Length of the audio the recogniser hears."""
        return sum(piece.duration_s for piece in self.pieces)

    @property
    def speech_s(self) -> float:
        return sum(span.duration_s for span in self.speech)

    @property
    def map(self) -> ClipMap:
        return ClipMap(self.pieces)


def cut(samples: Floats, clip: PackedClip, *, first_sample: int = 0) -> Floats:
    """The clip's audio out of ``[n]`` samples at 16 kHz that begin at ``first_sample`` of the file.

    ``ValueError`` when they do not hold all of it.
    """
    runs = [
        (round(p.start_s * SAMPLE_RATE_HZ), round(p.end_s * SAMPLE_RATE_HZ)) for p in clip.pieces
    ]
    if runs[0][0] < first_sample or runs[-1][1] > first_sample + len(samples):
        raise ValueError("the samples do not hold the whole clip")
    return np.concatenate([samples[a - first_sample : b - first_sample] for a, b in runs])


def pack(
    spans: Sequence[Span],
    frames: FrameScores,
    duration_s: float,
    options: PackOptions = DEFAULT_PACKING,
) -> list[PackedClip]:
    """All spans of a recording to clips; the same as a ``Packer`` fed with its stream.

    ``frames`` are the recording's from frame 0 on; spans are in order and apart, else
    ``ValueError``.
    """
    packer = Packer(options)
    events = [SpeechEnd(span) for span in spans]
    clips = packer.feed(events, Progress(None, len(frames)), frames)
    return clips + packer.finish(duration_s)


class Packer:
    """What a ``VadStream`` says in, clips out, in order and as soon as they are certain."""

    def __init__(self, options: PackOptions = DEFAULT_PACKING) -> None:
        self._options = options
        margins_s = 2 * options.margin_s
        self._target = _frames(options.target_s - margins_s)
        self._hard = _frames(options.hard_s - margins_s)
        self._margin = _frames(options.margin_s)
        self._pause = _frames(options.max_pause_s)
        self._gap = _frames(options.max_gap_s)
        self._extent = _frames(options.max_extent_s)
        self._closed: list[_Run] = []
        self._progress = Progress(None, 0)
        self._before = -NEVER  # end of the speech that went into the clip before
        self._levels = _Levels()

    @property
    def needed_from_s(self) -> float:
        """Audio before this goes into no clip to come."""
        first = self._closed[0][0] if self._closed else self._progress.open_start
        first = self._progress.sure_until if first is None else max(first, self._before)
        return max(first - self._margin, 0) / FRAMES_PER_S

    def feed(
        self, events: Sequence[VadEvent], progress: Progress, frames: FrameScores
    ) -> list[PackedClip]:
        """What one ``VadStream.feed`` decided, its ``progress`` after it, and its frames."""
        self._levels.append(frames)
        for event in events:
            if isinstance(event, SpeechEnd):
                self._admit(event.span)
        # Audio that has not been heard yet must not become a margin.
        heard = min(progress.sure_until, self._levels.end)
        self._progress = Progress(progress.open_start, heard)
        clips = self._settled()
        self._levels.drop_before(_frames(self.needed_from_s))
        return clips

    def finish(self, duration_s: float) -> list[PackedClip]:
        """The recording is over; margins end at ``duration_s``."""
        self._progress = Progress(None, NEVER)
        return [_clipped(clip, duration_s) for clip in self._settled()]

    def _admit(self, span: Span) -> None:
        begin, end = round(span.start_s * FRAMES_PER_S), round(span.end_s * FRAMES_PER_S)
        if self._closed and begin < self._closed[-1][1]:
            raise ValueError("spans must be in order and must not overlap")
        begin = max(begin, self._before)  # its first part may have gone out already
        if begin < end:
            self._closed.append((begin, end))

    def _settled(self) -> list[PackedClip]:
        clips = []
        while (clip := self._next_clip()) is not None:
            clips.append(clip)
        return clips

    def _next_clip(self) -> PackedClip | None:
        """The next clip if nothing can change it any more."""
        runs, is_open = self._known()
        if not runs:
            return None
        if runs[0][1] - runs[0][0] > self._hard:
            return self._split(runs[0])
        length, too_much = 0, 0  # the run that passes the target
        for index, (begin, end) in enumerate(runs):
            gap = begin - runs[index - 1][1] if index else 0
            if gap > self._gap:
                return self._take(runs, index)
            length += min(gap, self._pause) + end - begin
            if length > self._target:
                too_much = too_much or index
            if index and (length > self._hard or end - runs[0][0] > self._extent):
                return self._take(runs, self._best_count(runs[: (too_much or index) + 1]))
        if not is_open and self._progress.sure_until - runs[-1][1] > self._gap:
            return self._take(runs, len(runs))
        return None

    def _known(self) -> tuple[list[_Run], bool]:
        """Speech not yet in a clip; of an open span, what is certain, and whether there is one."""
        start = self._progress.open_start
        if start is None:
            return self._closed, False
        begin = max(start, self._before)
        return [*self._closed, (begin, max(self._progress.sure_until, begin))], True

    def _best_count(self, runs: Sequence[_Run]) -> int:
        """How many runs to take when the last one is too much: up to the longest pause."""
        least = _FILL * self._target
        length, best, longest = runs[0][1] - runs[0][0], len(runs) - 1, -1
        for count, (left, right) in enumerate(pairwise(runs), start=1):
            gap = right[0] - left[1]
            if length >= least and gap >= longest:
                best, longest = count, gap
            length += min(gap, self._pause) + right[1] - right[0]
        return best

    def _split(self, run: _Run) -> PackedClip:
        """Speech too long for any clip: cut where it is quietest."""
        begin, end = run
        at = self._levels.quietest(begin + int(_FILL * self._target), begin + self._target)
        if self._closed:
            self._closed[0] = (at, end)
        return self._clip([(begin, at)], at)

    def _take(self, runs: Sequence[_Run], count: int) -> PackedClip:
        """The first ``count`` runs, all of them closed, as one clip."""
        following = runs[count][0] if count < len(runs) else NEVER
        taken = list(runs[:count])
        del self._closed[:count]
        return self._clip(taken, following)

    def _clip(self, runs: Sequence[_Run], following: int) -> PackedClip:
        """``following``: the speech after this clip starts there, or not before."""
        begin, end = runs[0][0], runs[-1][1]
        bounds = [max(begin - min(self._margin, (begin - self._before) // 2), 0)]
        for left, right in pairwise(runs):
            if right[0] - left[1] > self._pause:
                kept = self._pause // 2
                bounds += [left[1] + kept, right[0] - (self._pause - kept)]
        bounds.append(end + min(self._margin, (following - end) // 2))
        self._before = end
        return PackedClip(_spans(zip(bounds[::2], bounds[1::2], strict=True)), _spans(runs))


class _Levels:
    """Levels of the frames that may still have to be cut."""

    def __init__(self) -> None:
        self._first = 0
        self._db = np.empty(0, np.float32)

    @property
    def end(self) -> int:
        return self._first + len(self._db)

    def append(self, frames: FrameScores) -> None:
        self._db = np.concatenate((self._db, frames.level_db))

    def drop_before(self, frame: int) -> None:
        count = min(max(frame - self._first, 0), len(self._db))
        self._db = self._db[count:].copy()
        self._first += count

    def quietest(self, begin: int, end: int) -> int:
        """The frame in ``begin..end`` around which 150 ms hold least energy; the later of equals.

        The 150 ms lie inside as well.
        """
        window = self._db[begin - self._first : end - self._first].astype(np.float64)
        power = np.convolve(10.0 ** (window / 10.0), np.ones(_SMOOTH_FRAMES), mode="valid")
        at = len(power) - 1 - int(np.argmin(power[::-1]))
        return begin + at + _SMOOTH_FRAMES // 2


def _spans(runs: Iterable[_Run]) -> tuple[Span, ...]:
    return tuple(Span(begin / FRAMES_PER_S, end / FRAMES_PER_S) for begin, end in runs)


def _clipped(clip: PackedClip, duration_s: float) -> PackedClip:
    pieces = tuple(
        Span(p.start_s, min(p.end_s, duration_s)) for p in clip.pieces if p.start_s < duration_s
    )
    return PackedClip(pieces, clip.speech)


def _frames(seconds: float) -> int:
    return round(seconds * FRAMES_PER_S)
