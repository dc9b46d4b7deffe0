"""One recording from 16 kHz blocks to clips that a recogniser can take, in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.features import FBANK_WINDOW_SAMPLES
from lingting.vad.decision import FRAMES_PER_S, VadEvent
from lingting.vad.fsmn import FsmnVad
from lingting.vad.options import VadOptions
from lingting.vad.pack import DEFAULT_PACKING, ClipMap, PackedClip, Packer, PackOptions, cut
from lingting.vad.scores import HeldScores

Floats = NDArray[np.float32]

_PART_SAMPLES: Final = 2 * SAMPLE_RATE_HZ
_WINDOW_DB: Final = 10.0 * float(np.log10(FBANK_WINDOW_SAMPLES))


@dataclass(frozen=True, eq=False)
class ReadyClip:
    """Audio to recognise, and what the detector thought of the speech in it.

    ``samples`` is ``[n]`` float32 at 16 kHz; times inside it go through ``map``. ``speech_s`` is
    the length of its spans, ``mean_score`` and ``peak_score`` the probability of speech over their
    frames, and ``level_db`` their root mean square in dB of full scale.
    """

    samples: Floats
    map: ClipMap
    start_s: float
    end_s: float
    speech_s: float
    mean_score: float
    peak_score: float
    level_db: float


class SpeechStream:
    """Blocks of a recording in, its clips out, in order.

    Holds the audio that clips to come may need: with the default packing less than 70 s, however
    long the recording is and whatever the blocks are.
    ``AudioInvalid`` for anything but ``[n]`` float samples.
    """

    def __init__(
        self,
        vad: FsmnVad,
        packing: PackOptions = DEFAULT_PACKING,
        *,
        options: VadOptions | None = None,
    ) -> None:
        self._vad = vad.stream(options=options)
        self._packer = Packer(packing)
        self._audio = _HeldAudio()
        self._scores = HeldScores()

    @property
    def held_s(self) -> float:
        """Seconds of audio held."""
        return self._audio.held_samples / SAMPLE_RATE_HZ

    @property
    def duration_s(self) -> float:
        """Seconds of audio taken so far."""
        return self._audio.end / SAMPLE_RATE_HZ

    def feed(self, block: Floats) -> list[ReadyClip]:
        """Any number of samples; the clips that they complete."""
        clips = []
        for first in range(0, len(block), _PART_SAMPLES):
            part = block[first : first + _PART_SAMPLES]
            events = self._vad.feed(part)
            self._audio.append(part)
            clips += self._pack(events)
        return clips

    def finish(self) -> list[ReadyClip]:
        """The recording is over; the clips that were still open."""
        clips = self._pack(self._vad.finish())
        rest = self._packer.finish(self.duration_s)
        return clips + [self._ready(clip) for clip in rest]

    def _pack(self, events: list[VadEvent]) -> list[ReadyClip]:
        frames = self._vad.take_frames()
        self._scores.append(frames)
        packed = self._packer.feed(events, self._vad.progress, frames)
        clips = [self._ready(clip) for clip in packed]
        needed_from_s = self._packer.needed_from_s
        self._audio.drop_before(round(needed_from_s * SAMPLE_RATE_HZ))
        self._scores.drop_before(round(needed_from_s * FRAMES_PER_S))
        return clips

    def _ready(self, clip: PackedClip) -> ReadyClip:
        score, level_db = self._scores.of(clip.speech)
        power = float(np.mean(10.0 ** (level_db.astype(np.float64) / 10.0)))
        return ReadyClip(
            samples=self._audio.cut(clip),
            map=clip.map,
            start_s=clip.start_s,
            end_s=clip.end_s,
            speech_s=clip.speech_s,
            mean_score=float(np.mean(score)),
            peak_score=float(np.max(score)),
            level_db=10.0 * float(np.log10(power)) - _WINDOW_DB,
        )


class _HeldAudio:
    """The samples from ``first`` to ``end`` of a recording, whole blocks at a time."""

    def __init__(self) -> None:
        self._blocks: deque[Floats] = deque()
        self.first = 0
        self.end = 0

    @property
    def held_samples(self) -> int:
        return self.end - self.first

    def append(self, block: Floats) -> None:
        # A copy, as the caller may use its buffer again.
        self._blocks.append(np.array(block, np.float32))
        self.end += len(block)

    def drop_before(self, sample: int) -> None:
        while self._blocks and self.first + len(self._blocks[0]) <= sample:
            self.first += len(self._blocks.popleft())

    def cut(self, clip: PackedClip) -> Floats:
        begin, end = round(clip.start_s * SAMPLE_RATE_HZ), round(clip.end_s * SAMPLE_RATE_HZ)
        firsts = accumulate((len(block) for block in self._blocks), initial=self.first)
        inside = [
            (first, block)
            for first, block in zip(firsts, self._blocks, strict=False)
            if first < end and first + len(block) > begin
        ]
        audio = np.concatenate([block for _, block in inside])
        return cut(audio, clip, first_sample=inside[0][0])
