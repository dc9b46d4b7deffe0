"""Where somebody speaks in one recording, as people look at it: spans, clips, loudness.

It is read once, a block at a time: ten hours need little more memory than ten minutes (scores of
the span that is open, and 10 bytes for each 10 ms of the loudness).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.audio.decode import Limits, open_audio
from lingting.audio.peaks import PeakMeter
from lingting.transcript import Damage, Span
from lingting.vad.decision import SpeechEnd, VadEvent
from lingting.vad.fsmn import FsmnVad
from lingting.vad.pack import PackedClip, Packer
from lingting.vad.parameters import SpeechOptions
from lingting.vad.scores import HeldScores


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """Speech, and the mean of its frames' probability of speech."""

    start_s: float
    end_s: float
    score: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class SpeechReport:
    """What was found. Times are seconds in the recording."""

    duration_s: float
    spans: tuple[ScoredSpan, ...]
    clips: tuple[PackedClip, ...]
    """What a recogniser would be given."""
    peaks: bytes
    """See ``audio.peaks``."""
    damage: Damage

    @property
    def speech_s(self) -> float:
        return sum(span.duration_s for span in self.spans)

    @property
    def speech_share(self) -> float:
        """0 to 1."""
        return min(1.0, self.speech_s / self.duration_s) if self.duration_s else 0.0


def speech_report(
    source: Any,
    vad: FsmnVad,
    options: SpeechOptions,
    *,
    limits: Limits | None = None,
    on_block: Callable[[], None] = lambda: None,
) -> SpeechReport:
    """Read and listen through a whole recording. Raises what ``open_audio`` raises.

    ``on_block`` is called every few seconds of audio.
    """
    listener, meter = _Listener(vad, options), PeakMeter()
    with open_audio(source, limits=limits) as reader:
        for block in reader.blocks():
            meter.feed(block)
            listener.feed(block)
            on_block()
        listener.finish(reader.duration_s)
        return SpeechReport(
            reader.duration_s,
            tuple(listener.spans),
            tuple(listener.clips),
            meter.peaks(),
            reader.damage,
        )


class _Listener:
    """Gathers spans with their scores, and the clips that they make."""

    def __init__(self, vad: FsmnVad, options: SpeechOptions) -> None:
        self._stream = vad.stream(options=options.vad)
        self._packer = Packer(options.packing)
        self._held = HeldScores()
        self.spans: list[ScoredSpan] = []
        self.clips: list[PackedClip] = []

    def feed(self, block: NDArray[np.float32]) -> None:
        self._note(self._stream.feed(block))

    def finish(self, duration_s: float) -> None:
        self._note(self._stream.finish())
        self.clips += self._packer.finish(duration_s)

    def _note(self, events: list[VadEvent]) -> None:
        progress, frames = self._stream.progress, self._stream.take_frames()
        self._held.append(frames)
        self.spans += [self._scored(one.span) for one in events if isinstance(one, SpeechEnd)]
        self.clips += self._packer.feed(events, progress, frames)
        open_from = progress.open_start
        self._held.drop_before(progress.sure_until if open_from is None else open_from)

    def _scored(self, span: Span) -> ScoredSpan:
        score, _ = self._held.of([span])
        return ScoredSpan(span.start_s, span.end_s, float(np.mean(score)))
