"""Many recordings through one engine, read ahead in a thread.

Windows start small, so that the first text of a long recording comes early, and grow to what the
engine's device can work on at once, so that a long run is fast. Memory is bounded by the window,
not by the recording.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lingting.audio.decode import AudioFacts
from lingting.engines.base import SAMPLE_RATE_HZ, Clip, Engine, Hypothesis
from lingting.errors import EngineFailed, LingtingError
from lingting.pipeline.hearing import Hearing, recognized
from lingting.pipeline.options import DEFAULT_PIPELINE, PipelineOptions
from lingting.pipeline.reading import GROUP_S, Group, open_reading
from lingting.transcript import ModelFacts, Segment, Transcript
from lingting.vad.fsmn import FsmnVad

_STOP_WAIT_S = 2.0
_MOST_WAITING = 256


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One recording: a path, bytes, a binary stream or an array (with its rate)."""

    given: Any
    key: str = ""
    sample_rate_hz: int = SAMPLE_RATE_HZ
    options: PipelineOptions | None = None
    """None takes the transcriber's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source: a transcript or an error, never both."""

    key: str
    transcript: Transcript | None = None
    error: LingtingError | None = None

    def unwrap(self) -> Transcript:
        """The transcript; raises the error instead when there is one."""
        if self.error is not None:
            raise self.error
        assert self.transcript is not None
        return self.transcript


@dataclass(frozen=True, slots=True)
class Progress:
    """Seconds of the recording whose text is known; the total where the container tells."""

    key: str
    done_s: float
    total_s: float | None


OnProgress = Callable[[Progress], None]


class Transcriber:
    """An engine and a detector, ready for recordings. One caller at a time."""

    def __init__(
        self, engine: Engine, vad: FsmnVad, options: PipelineOptions = DEFAULT_PIPELINE
    ) -> None:
        self._engine = engine
        self._vad = vad
        self._options = options

    @property
    def engine(self) -> Engine:
        return self._engine

    def close(self) -> None:
        """Free the model."""
        self._engine.close()

    def transcribe(self, given: Any, *, options: PipelineOptions | None = None) -> Transcript:
        """One recording, whole. Raises what is wrong with it."""
        return next(iter(self.transcribe_many([Source(given, options=options)]))).unwrap()

    def segments(self, given: Any, *, options: PipelineOptions | None = None) -> Iterator[Segment]:
        """Segments as soon as they are known, the first long before the last is read."""
        for event in self._run([Source(given, options=options)]):
            if isinstance(event, Outcome):
                event.unwrap()
            else:
                yield from event.fresh

    def transcribe_many(
        self, sources: Iterable[Source], on_progress: OnProgress | None = None
    ) -> Iterator[Outcome]:
        """One outcome per source, in order; clips of neighbouring sources share batches."""
        for event in self._run(sources):
            if isinstance(event, Outcome):
                yield event
            elif on_progress is not None:
                on_progress(Progress(event.key, event.done_s, event.total_s))

    def _run(self, sources: Iterable[Source]) -> Iterator[Outcome | _Advance]:
        """Read ahead, recognise window by window, hand out recordings in order."""
        waiting: deque[_Recording] = deque()
        batch_s = self._engine.facts.batch_s
        window = _Window(batch_s)
        with ReadAhead(sources, self._vad, self._options, most_s=batch_s) as events:
            for event in events:
                if isinstance(event, _Recording):
                    event.model = self._engine.facts.model
                    waiting.append(event)
                else:
                    window.add(event)
                if window.is_full:
                    yield from self._recognise(window.take())
                yield from _finished(waiting)
            yield from self._recognise(window.take())
            yield from _finished(waiting)

    def _recognise(self, items: list[_ReadGroup]) -> Iterator[_Advance]:
        """Text for the groups of a window, given to their recordings."""
        asked = [item.recording.hearing.requests(item.group) for item in items]
        found = self._heard(asked)
        doubts = [
            item.recording.hearing.doubts(item.group, clips, hypotheses)
            for item, clips, hypotheses in zip(items, asked, found, strict=True)
        ]
        again = self._heard([list(one.values()) for one in doubts])
        for item, hypotheses, places, second in zip(items, found, doubts, again, strict=True):
            recording = item.recording
            fresh = recording.hearing.take(
                item.group, hypotheses, dict(zip(places, second, strict=True))
            )
            recording.segments += fresh
            recording.groups_heard += 1
            done_s = recording.hearing.done_s
            yield _Advance(recording.key, done_s, recording.total_s, tuple(fresh))

    def _heard(self, asked: list[list[Clip]]) -> list[list[Hypothesis]]:
        """All lists in one call of the engine, its answers in the same lists."""
        clips = [clip for one in asked for clip in one]
        answers = iter(recognized(self._engine, clips) if clips else ())
        return [[next(answers) for _ in one] for one in asked]


@dataclass(frozen=True, slots=True)
class _Advance:
    """A group was recognised: what is new of its recording."""

    key: str
    done_s: float
    total_s: float | None
    fresh: tuple[Segment, ...]


@dataclass(eq=False)
class _Recording:
    """A source on its way: what was read of it and what was heard."""

    key: str
    hearing: Hearing
    total_s: float | None = None
    audio: AudioFacts | None = None
    model: ModelFacts | None = None
    error: LingtingError | None = None
    is_read: bool = False
    groups_read: int = 0
    groups_heard: int = 0
    segments: list[Segment] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        return self.is_read and self.groups_heard == self.groups_read

    def outcome(self) -> Outcome:
        if self.error is not None:
            return Outcome(self.key, error=self.error)
        assert self.audio is not None
        return Outcome(self.key, self.hearing.transcript(self.segments, self.audio, self.model))


@dataclass(frozen=True, slots=True, eq=False)
class _ReadGroup:
    recording: _Recording
    group: Group


class _Window:
    """Groups until the engine is asked; each window may be twice as long as the one before.

    ``largest_s`` is the most seconds of audio; the group that passes it is still taken.
    """

    def __init__(self, largest_s: float) -> None:
        self._items: list[_ReadGroup] = []
        self._largest_s = largest_s
        self._limit_s = min(GROUP_S[0], largest_s)
        self._held_s = 0.0

    def add(self, item: _ReadGroup) -> None:
        self._items.append(item)
        self._held_s += item.group.audio_s

    @property
    def is_full(self) -> bool:
        return self._held_s >= self._limit_s

    def take(self) -> list[_ReadGroup]:
        items, self._items = self._items, []
        if self._held_s >= self._limit_s:
            self._limit_s = min(2 * self._limit_s, self._largest_s)
        self._held_s = 0.0
        return items


def _finished(waiting: deque[_Recording]) -> Iterator[Outcome]:
    """Outcomes from the front of the queue; a slow recording holds back those behind it."""
    while waiting and waiting[0].is_finished:
        yield waiting.popleft().outcome()


_Event = _Recording | _ReadGroup


class ReadAhead:
    """Reads sources and finds speech in a thread; iterating gives what it found, in order.

    The thread stops reading while ``most_s`` seconds of audio, or 256 recordings without any, wait
    to be taken; the group that passes them is still put.

    Leaving the ``with`` stops the thread at its next block of audio, and never waits long for it.
    """

    def __init__(
        self, sources: Iterable[Source], vad: FsmnVad, options: PipelineOptions, *, most_s: float
    ) -> None:
        self._sources = sources
        self._vad = vad
        self._options = options
        self._most_s = most_s
        self._events: deque[_Event | BaseException | None] = deque()
        self._held_s = 0.0
        self._is_stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read_all, name="lingting-read", daemon=True)

    def __enter__(self) -> Iterator[_Event]:
        self._thread.start()
        return self._received()

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        # A source that waits for its own data cannot be woken: the daemon thread ends with it.
        self._thread.join(_STOP_WAIT_S)

    def _received(self) -> Iterator[_Event]:
        while (event := self._get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    def _get(self) -> _Event | BaseException | None:
        with self._changed:
            self._changed.wait_for(lambda: self._events)
            event = self._events.popleft()
            self._held_s -= _audio_s(event)
            self._changed.notify_all()
            return event

    def _put(self, event: _Event | BaseException | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or self._has_room())
            self._check_stop()
            self._events.append(event)
            self._held_s += _audio_s(event)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._held_s < self._most_s and len(self._events) < _MOST_WAITING

    def _check_stop(self) -> None:
        if self._is_stopped:
            raise _Stopped

    def _read_all(self) -> None:
        try:
            for source in self._sources:
                self._read(source)
            self._put(None)
        except _Stopped:
            pass
        except BaseException as exc:  # e.g. the caller's own generator of sources
            with suppress(_Stopped):
                self._put(exc)

    def _read(self, source: Source) -> None:
        recording = _Recording(source.key, Hearing(source.options or self._options))
        self._put(recording)
        try:
            self._read_groups(source, recording)
        except LingtingError as error:
            recording.error = error
        except _Stopped:
            raise
        except Exception as exc:
            recording.error = _unforeseen(exc)
        recording.is_read = True

    def _read_groups(self, source: Source, recording: _Recording) -> None:
        with open_reading(
            source.given,
            self._vad,
            recording.hearing.options,
            sample_rate_hz=source.sample_rate_hz,
            on_block=lambda _: self._check_stop(),  # hours without speech put nothing
        ) as reading:
            recording.total_s = reading.total_s
            for group in reading.groups():
                recording.groups_read += 1
                self._put(_ReadGroup(recording, group))
            recording.audio = reading.facts


class _Stopped(Exception):
    """Nobody listens to the reading thread any more."""


def _audio_s(event: _Event | BaseException | None) -> float:
    return event.group.audio_s if isinstance(event, _ReadGroup) else 0.0


def _unforeseen(exc: Exception) -> LingtingError:
    error = EngineFailed("Reading the recording failed unexpectedly.")
    error.__cause__ = exc
    return error
