"""One recording to groups of clips, in bounded memory.

A group ends where the recording says so, not where an engine or a neighbour does: the first with
the clip that passes 30 s of audio, so that the first text comes early, the second with the one that
passes 60 s, all others with the one that passes 120 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.audio.decode import AudioFacts, AudioReader, Limits, open_audio
from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.pipeline.options import PipelineOptions
from lingting.vad.fsmn import FsmnVad
from lingting.vad.speech import ReadyClip, SpeechStream

GROUP_S = (30.0, 60.0, 120.0)
"""Seconds of audio that end the first group, the second, and every later one."""
PAUSE_EVERY_S = 600.0
"""Seconds of audio after which whoever reads several recordings may turn to another one."""

OnBlock = Callable[[NDArray[np.float32]], None]


@dataclass(frozen=True, slots=True, eq=False)
class GroupClip:
    """A clip and its channel; None when all channels are mixed."""

    clip: ReadyClip
    channel: int | None = None

    @property
    def audio_s(self) -> float:
        return len(self.clip.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Clips of one recording that are heard together; never none. Numbers count from 0."""

    number: int
    clips: tuple[GroupClip, ...]

    @property
    def audio_s(self) -> float:
        return sum(clip.audio_s for clip in self.clips)


class Reading:
    """An open recording. Made by ``open_reading``; read it once with ``groups``."""

    def __init__(
        self,
        reader: AudioReader,
        vad: FsmnVad,
        options: PipelineOptions,
        on_block: OnBlock | None,
    ) -> None:
        self._reader = reader
        self._vad = vad
        self._options = options
        self._on_block = on_block

    @property
    def total_s(self) -> float | None:
        """What the container promises."""
        return self._reader.promised_duration_s

    @property
    def facts(self) -> AudioFacts:
        """Whole when the last group was given."""
        return self._reader.facts

    def groups(self) -> Iterator[Group]:
        """Every group, in order; none for a recording without speech."""
        return (step for step in self.steps() if step is not None)

    def steps(self) -> Iterator[Group | None]:
        """The same, with None every ten minutes of audio: hours without speech end no group."""
        number, held_s = 0, 0.0
        clips: list[GroupClip] = []
        for clip in self._clips():
            if clip is None:
                yield None
                continue
            clips.append(clip)
            held_s += clip.audio_s
            if held_s >= GROUP_S[min(number, len(GROUP_S) - 1)]:
                yield Group(number, tuple(clips))
                number, held_s, clips = number + 1, 0.0, []
        if clips:
            yield Group(number, tuple(clips))

    def _clips(self) -> Iterator[GroupClip | None]:
        """Channels are read side by side: their clips come as they end. None is a pause."""
        split = self._options.channels == "split"
        numbers: list[int | None] = list(range(self._reader.channels)) if split else [None]
        streams = [
            SpeechStream(self._vad, self._options.packing, options=self._options.vad)
            for _ in numbers
        ]
        samples = 0
        for block in self._reader.blocks():
            if self._on_block is not None:  # also hours without speech are heard of
                self._on_block(block)
            rows: Sequence[NDArray[np.float32]] = list(block) if split else [block]
            for number, stream, row in zip(numbers, streams, rows, strict=True):
                yield from (GroupClip(clip, number) for clip in stream.feed(row))
            samples += block.shape[-1]
            if samples >= PAUSE_EVERY_S * SAMPLE_RATE_HZ:
                samples = 0
                yield None
        for number, stream in zip(numbers, streams, strict=True):
            yield from (GroupClip(clip, number) for clip in stream.finish())


@contextmanager
def open_reading(
    given: Any,
    vad: FsmnVad,
    options: PipelineOptions,
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    on_block: OnBlock | None = None,
) -> Iterator[Reading]:
    """Open a path, bytes, a binary stream or an array (with its rate). Raises AudioError.

    ``on_block`` is called with every block of 16 kHz audio before speech is looked for in it:
    ``[n]`` when channels are mixed, else ``[channels, n]``. What it raises ends the reading.
    """
    with open_audio(
        given,
        limits=Limits(max_duration_s=options.max_duration_s),
        channels="keep" if options.channels == "split" else "mix",
        sample_rate_hz=sample_rate_hz,
    ) as reader:
        yield Reading(reader, vad, options, on_block)
