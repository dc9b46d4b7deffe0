"""From any recording to a trusted transcript.

::

    source ─ read ─ speech ─ clips ─┐
    source ─ read ─ speech ─ clips ─┼─ window ─ engine ─ text ─ segments ─ transcript
    source ─ read ─ speech ─ clips ─┘  clips of all recordings, so that batches are full

Reading and speech detection run in a thread ahead of the recogniser. Windows start small, so that
the first text of a long recording comes early, and grow to what the engine's device can work on at
once, so that a long run is fast. Memory is bounded by the window, not by the recording.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lingting.audio.decode import AudioFacts, AudioReader, Limits, open_audio
from lingting.engines.base import (
    SAMPLE_RATE_HZ,
    Clip,
    Engine,
    EngineFacts,
    Hypothesis,
    RecognizeOptions,
)
from lingting.errors import EngineFailed, LingtingError, OptionInvalid
from lingting.languages import is_chinese, parse_language
from lingting.text.edits import Written, compose
from lingting.text.sentences import Utterance, utterances
from lingting.transcript import Failure, Segment, Transcript, Word
from lingting.vad.fsmn import FsmnVad
from lingting.vad.options import DEFAULT_OPTIONS, VadOptions
from lingting.vad.pack import DEFAULT_PACKING, PackOptions
from lingting.vad.speech import ReadyClip, SpeechStream

Script = Literal["simplified", "traditional", "as-is"]
Channels = Literal["mix", "split"]

_FIRST_WINDOW_S = 30.0
_LONG_CLIP_S = 20.0  # so that what is read ahead is about one largest window
_STOP_WAIT_S = 2.0
# A clip shorter or less certain than this follows the language of its recording.
_SURE_CLIP_S = 4.0
_SURE_LANGUAGE = 0.7


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What is wanted of a recording; ``__post_init__`` refuses what does not exist."""

    language: str | None = None
    """Any name :func:`lingting.languages.parse_language` knows; None detects it."""
    words: bool = False
    itn: bool = True
    script: Script = "simplified"
    """For Chinese: simplified, traditional, or as the model writes it."""
    hotwords: tuple[str, ...] = ()
    prompt: str | None = None
    beam_size: int | None = None
    channels: Channels = "mix"
    """``split`` recognises each channel by itself, for calls with a speaker per channel."""
    vad: VadOptions = DEFAULT_OPTIONS
    packing: PackOptions = DEFAULT_PACKING
    max_duration_s: float = 12 * 3600.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", parse_language(self.language))
        if self.script not in ("simplified", "traditional", "as-is"):
            raise OptionInvalid(
                f"script is {self.script}; allowed are simplified, traditional and as-is."
            )
        if self.channels not in ("mix", "split"):
            raise OptionInvalid(f"channels is {self.channels}; allowed are mix and split.")
        if not self.max_duration_s > 0:
            raise OptionInvalid(f"max_duration_s is {self.max_duration_s}; it must be positive.")
        self.recognize()

    def recognize(self) -> RecognizeOptions:
        """The part of the options that an engine reads."""
        return RecognizeOptions(
            language=self.language,
            words=self.words,
            itn=self.itn,
            hotwords=self.hotwords,
            prompt=self.prompt,
            beam_size=self.beam_size,
        )


DEFAULT_PIPELINE = PipelineOptions()


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
        ahead = round(batch_s / _LONG_CLIP_S)
        with _ReadAhead(sources, self._vad, self._options, clips=ahead) as events:
            for event in events:
                if isinstance(event, _Recording):
                    event.facts = self._engine.facts
                    waiting.append(event)
                else:
                    window.add(event)
                if window.is_full:
                    yield from self._recognise(window.take())
                yield from _finished(waiting)
            yield from self._recognise(window.take())
            yield from _finished(waiting)

    def _recognise(self, items: list[_ReadClip]) -> Iterator[_Advance]:
        """Text for the clips of a window, given to their recordings."""
        if not items:
            return
        clips = [
            Clip(i.clip.samples, i.recording.ask, i.clip.speech_s, i.clip.mean_score) for i in items
        ]
        found = self._engine.recognize(clips)
        if len(found) != len(clips):
            raise EngineFailed(f"{len(clips)} clips were given, {len(found)} came back.")
        self._follow_recordings(items, clips, found)
        for item, hypothesis in zip(items, found, strict=True):
            fresh = item.recording.take(item, hypothesis)
            recording = item.recording
            # Channels are read side by side: a clip of one may end before that of another.
            recording.done_s = max(recording.done_s, item.clip.end_s)
            yield _Advance(recording.key, recording.done_s, recording.total_s, tuple(fresh))

    def _follow_recordings(
        self, items: list[_ReadClip], clips: list[Clip], found: list[Hypothesis]
    ) -> None:
        """Detected languages: short or doubtful clips are heard again in their recording's."""
        for item, hypothesis in zip(items, found, strict=True):
            item.recording.vote(item.clip, hypothesis)
        again = [
            at
            for at, (item, hypothesis) in enumerate(zip(items, found, strict=True))
            if item.recording.outvotes(item.clip, hypothesis)
        ]
        if not again:
            return
        asked = [
            replace(
                clips[at],
                options=replace(clips[at].options, language=items[at].recording.language),
            )
            for at in again
        ]
        for at, hypothesis in zip(again, self._engine.recognize(asked), strict=True):
            if hypothesis.error is None:
                found[at] = hypothesis


@dataclass(frozen=True, slots=True)
class _Advance:
    """A clip was recognised: what is new of its recording."""

    key: str
    done_s: float
    total_s: float | None
    fresh: tuple[Segment, ...]


@dataclass(eq=False)
class _Recording:
    """A source on its way: what was read of it and what was heard."""

    key: str
    options: PipelineOptions
    ask: RecognizeOptions
    total_s: float | None = None
    audio: AudioFacts | None = None
    error: LingtingError | None = None
    is_read: bool = False
    clips_read: int = 0
    clips_heard: int = 0
    done_s: float = 0.0
    speech_s: float = 0.0
    segments: list[Segment] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    votes: Counter[str] = field(default_factory=Counter)
    facts: EngineFacts | None = None

    @property
    def is_finished(self) -> bool:
        return self.is_read and self.clips_heard == self.clips_read

    @property
    def language(self) -> str | None:
        """Given, or heard most, weighted by length and certainty."""
        if self.options.language is not None:
            return self.options.language
        return self.votes.most_common(1)[0][0] if self.votes else None

    def vote(self, clip: ReadyClip, hypothesis: Hypothesis) -> None:
        if hypothesis.language and hypothesis.language_confidence is not None and hypothesis.text:
            weight = clip.speech_s * hypothesis.language_confidence
            self.votes[hypothesis.language] += round(1000 * weight)

    def outvotes(self, clip: ReadyClip, hypothesis: Hypothesis) -> bool:
        if hypothesis.language_confidence is None or not hypothesis.text:
            return False
        if hypothesis.language == self.language:
            return False
        is_sure = hypothesis.language_confidence >= _SURE_LANGUAGE
        return clip.speech_s < _SURE_CLIP_S or not is_sure

    def take(self, item: _ReadClip, hypothesis: Hypothesis) -> list[Segment]:
        """Segments of one clip, in file time."""
        self.clips_heard += 1
        self.speech_s += item.clip.speech_s
        self.notes.update(hypothesis.notes)
        fresh = segments_of(item.clip, hypothesis, self.options, item.channel)
        self.segments += fresh
        return fresh

    def outcome(self) -> Outcome:
        if self.error is not None:
            return Outcome(self.key, error=self.error)
        audio = self.audio
        assert audio is not None
        segments = sorted(self.segments, key=lambda s: (s.start_s, s.end_s))
        return Outcome(
            self.key,
            Transcript(
                segments=tuple(segments),
                duration_s=round(audio.duration_s, 3),
                language=self.language or _most_common(s.language for s in segments if s.text),
                speech_s=round(self.speech_s, 3),
                sample_rate_hz=audio.sample_rate_hz,
                channels=audio.channels,
                damage=audio.damage,
                model=self.facts.model if self.facts else None,
                notes=tuple(f"{name} x{count}" for name, count in sorted(self.notes.items())),
            ),
        )


def _most_common(languages: Iterable[str | None]) -> str | None:
    """For text that nobody voted on, such as what was only heard after a doubt."""
    counted = Counter(language for language in languages if language)
    return counted.most_common(1)[0][0] if counted else None


@dataclass(frozen=True, slots=True, eq=False)
class _ReadClip:
    recording: _Recording
    clip: ReadyClip
    channel: int | None


class _Window:
    """Clips until the engine is asked; each window may be twice as long as the one before.

    ``largest_s`` is the most seconds of audio; the clip that passes it is still taken.
    """

    def __init__(self, largest_s: float) -> None:
        self._items: list[_ReadClip] = []
        self._largest_s = largest_s
        self._limit_s = min(_FIRST_WINDOW_S, largest_s)
        self._held_s = 0.0

    def add(self, item: _ReadClip) -> None:
        self._items.append(item)
        self._held_s += len(item.clip.samples) / SAMPLE_RATE_HZ

    @property
    def is_full(self) -> bool:
        return self._held_s >= self._limit_s

    def take(self) -> list[_ReadClip]:
        items, self._items = self._items, []
        if self._held_s >= self._limit_s:
            self._limit_s = min(2 * self._limit_s, self._largest_s)
        self._held_s = 0.0
        return items


def _finished(waiting: deque[_Recording]) -> Iterator[Outcome]:
    """Outcomes from the front of the queue; a slow recording holds back those behind it."""
    while waiting and waiting[0].is_finished:
        yield waiting.popleft().outcome()


_Event = _Recording | _ReadClip


class _ReadAhead:
    """Reads sources and finds speech in a thread; iterating gives what it found, in order.

    The thread is at most ``clips`` ahead.

    Leaving the ``with`` stops the thread at its next block of audio, and never waits long for it.
    """

    def __init__(
        self, sources: Iterable[Source], vad: FsmnVad, options: PipelineOptions, *, clips: int
    ) -> None:
        self._sources = sources
        self._vad = vad
        self._options = options
        self._events: queue.Queue[_Event | BaseException | None] = queue.Queue(max(1, clips))
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._read_all, name="lingting-read", daemon=True)

    def __enter__(self) -> Iterator[_Event]:
        self._thread.start()
        return self._received()

    def __exit__(self, *exc: object) -> None:
        self._is_stopped.set()
        with suppress(queue.Empty):  # make room, in case the thread waits to put
            while True:
                self._events.get_nowait()
        # A source that waits for its own data cannot be woken: the daemon thread ends with it.
        self._thread.join(_STOP_WAIT_S)

    def _received(self) -> Iterator[_Event]:
        while (event := self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    def _put(self, event: _Event | BaseException | None) -> None:
        self._check_stop()
        self._events.put(event)

    def _check_stop(self) -> None:
        if self._is_stopped.is_set():
            raise _Stopped

    def _read_all(self) -> None:
        try:
            for source in self._sources:
                self._read(source)
            self._put(None)
        except _Stopped:
            pass
        except BaseException as exc:  # e.g. the caller's own generator of sources
            if not self._is_stopped.is_set():
                self._events.put(exc)

    def _read(self, source: Source) -> None:
        options = source.options or self._options
        recording = _Recording(source.key, options, options.recognize())
        self._put(recording)
        try:
            self._read_clips(source, recording)
        except LingtingError as error:
            recording.error = error
        except _Stopped:
            raise
        except Exception as exc:
            recording.error = _unforeseen(exc)
        recording.is_read = True

    def _read_clips(self, source: Source, recording: _Recording) -> None:
        options = recording.options
        with open_audio(
            source.given,
            limits=Limits(max_duration_s=options.max_duration_s),
            channels="keep" if options.channels == "split" else "mix",
            sample_rate_hz=source.sample_rate_hz,
        ) as reader:
            recording.total_s = reader.promised_duration_s
            for channel, clip in self._speech(reader, options):
                recording.clips_read += 1
                self._put(_ReadClip(recording, clip, channel))
            recording.audio = reader.facts

    def _speech(
        self, reader: AudioReader, options: PipelineOptions
    ) -> Iterator[tuple[int | None, ReadyClip]]:
        """(channel, clip) pairs; the channel is None when all are mixed."""
        split = options.channels == "split"
        numbers: list[int | None] = list(range(reader.channels)) if split else [None]
        streams = [SpeechStream(self._vad, options.packing, options=options.vad) for _ in numbers]
        for block in reader.blocks():
            self._check_stop()  # hours without speech put nothing
            rows: Sequence[NDArray[np.float32]] = list(block) if split else [block]
            for number, stream, row in zip(numbers, streams, rows, strict=True):
                yield from ((number, clip) for clip in stream.feed(row))
        for number, stream in zip(numbers, streams, strict=True):
            yield from ((number, clip) for clip in stream.finish())


class _Stopped(Exception):
    """Nobody listens to the reading thread any more."""


def _unforeseen(exc: Exception) -> LingtingError:
    error = EngineFailed("Reading the recording failed unexpectedly.")
    error.__cause__ = exc
    return error


def segments_of(
    clip: ReadyClip, hypothesis: Hypothesis, options: PipelineOptions, channel: int | None = None
) -> list[Segment]:
    """A hypothesis as segments in file time, with both layers of text."""
    if hypothesis.error is not None:
        failure = Failure(hypothesis.error.code, str(hypothesis.error))
        return [_bare(clip, hypothesis, channel, failure)]
    if not hypothesis.text:
        has_something = hypothesis.notes or hypothesis.events
        return [_bare(clip, hypothesis, channel, None)] if has_something else []
    words = _file_words(clip, hypothesis.words)
    found = utterances(hypothesis.text, words)
    return [_segment(clip, hypothesis, one, options, channel, len(found)) for one in found]


def _bare(
    clip: ReadyClip, hypothesis: Hypothesis, channel: int | None, failure: Failure | None
) -> Segment:
    return Segment(
        clip.start_s,
        clip.end_s,
        "",
        "",
        language=hypothesis.language,
        channel=channel,
        emotion=hypothesis.emotion,
        events=hypothesis.events,
        notes=hypothesis.notes,
        failure=failure,
    )


def _file_words(clip: ReadyClip, words: Sequence[Word]) -> tuple[Word, ...]:
    return tuple(
        replace(
            word,
            start_s=round(clip.map.to_file_time(word.start_s), 3),
            end_s=round(clip.map.to_file_time(word.end_s, end=True), 3),
        )
        for word in words
    )


def _segment(
    clip: ReadyClip,
    hypothesis: Hypothesis,
    utterance: Utterance,
    options: PipelineOptions,
    channel: int | None,
    parts: int,
) -> Segment:
    spoken = hypothesis.text[utterance.start : utterance.end].strip()
    written = write_form(spoken, hypothesis.language, options)
    words = utterance.words
    is_timed = bool(words) and parts > 1
    start_s = words[0].start_s if is_timed else clip.start_s
    end_s = words[-1].end_s if is_timed else clip.end_s
    known = [word.confidence for word in words if word.confidence is not None]
    confidence = sum(known) / len(known) if known and is_timed else hypothesis.confidence
    return Segment(
        start_s=round(start_s, 3),
        end_s=round(max(start_s, end_s), 3),
        text=written.text,
        spoken=spoken,
        language=hypothesis.language,
        words=words,
        words_source=hypothesis.words_source if words else None,
        edits=written.edits,
        confidence=None if confidence is None else round(confidence, 4),
        channel=channel,
        emotion=hypothesis.emotion,
        events=hypothesis.events,
        notes=hypothesis.notes,
    )


def write_form(spoken: str, language: str | None, options: PipelineOptions) -> Written:
    """Script, full-width marks, inverse text normalisation; all as one list of edits."""
    from lingting.text.itn import normalize
    from lingting.text.punctuation import widen
    from lingting.text.script import convert

    written = Written(spoken)
    if options.script != "as-is" and is_chinese(language):
        written = convert(spoken, options.script)
    if is_chinese(language) or language == "ja":
        written = _then(written, widen(written.text))
    if options.itn and language is not None:
        written = _then(written, normalize(written.text, language))
    return written


def _then(first: Written, second: Written) -> Written:
    return Written(second.text, compose(first.edits, second.edits))


__all__ = [
    "DEFAULT_PIPELINE",
    "OnProgress",
    "Outcome",
    "PipelineOptions",
    "Progress",
    "Source",
    "Transcriber",
    "segments_of",
    "write_form",
]
