"""FSMN-VAD on onnxruntime: where somebody speaks, for whole arrays and for streams.

The network is causal and carries four caches, the features carry their context and the decisions
their state, so a stream cut anywhere gives the very spans of the whole array.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.features import Cmvn
from lingting.errors import AudioInvalid, WeightsInvalid
from lingting.transcript import Span
from lingting.vad.decision import FrameScores, Progress, SpanDecider, SpeechEnd, VadEvent
from lingting.vad.frontend import FEATURES, HOP_SAMPLES, FrameStream, read_vad_cmvn
from lingting.vad.options import DEFAULT_OPTIONS, OFF_DB, VadOptions

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

_CACHES: Final = tuple(f"in_cache{layer}" for layer in range(4))
_CACHE_SHAPE: Final = (1, 128, 19, 1)
_SILENCE_PDF: Final = 0
_BLOCK_SAMPLES: Final = 128 * HOP_SAMPLES
"""What goes through features and network at once: measured fastest, as it stays in the cache."""
_NOISE_FRAMES: Final = 100
"""The running average of the noise level is over about this many silent frames."""
_NO_NOISE_DB: Final = -99.9


@dataclass(frozen=True, slots=True)
class Activity:
    """Spans of a whole array and the frames they were decided from."""

    spans: tuple[Span, ...]
    frames: FrameScores


class FsmnVad:
    """The network, loaded once; every recording or live session takes its own ``stream()``.

    ``folder`` holds ``model.onnx`` and ``am.mvn``. ``WeightsInvalid`` when they are missing or no
    FSMN-VAD. May be shared between threads; a ``VadStream`` may not.
    """

    def __init__(
        self, folder: Path, *, options: VadOptions = DEFAULT_OPTIONS, threads: int = 1
    ) -> None:
        self.options = options
        self._cmvn = read_vad_cmvn(folder / "am.mvn")
        self._session = _load_session(folder / "model.onnx", threads)

    def spans(self, samples: Floats) -> list[Span]:
        """Where ``[n]`` samples at 16 kHz hold speech; in order, not overlapping."""
        return list(self.analyse(samples).spans)

    def analyse(self, samples: Floats) -> Activity:
        """The spans with the score and level of every frame."""
        stream = self.stream()
        events = stream.feed(samples)
        events += stream.finish()
        spans = tuple(event.span for event in events if isinstance(event, SpeechEnd))
        return Activity(spans, stream.take_frames())

    def stream(self, *, options: VadOptions | None = None) -> VadStream:
        """A detector for one recording or session, by default with this model's options."""
        return VadStream(self._session, self._cmvn, options or self.options)


class VadStream:
    """Blocks of 16 kHz samples in, events out, at most 45 ms of audio behind the input."""

    def __init__(self, session: InferenceSession, cmvn: Cmvn, options: VadOptions) -> None:
        self._frames = FrameStream(cmvn)
        self._network = _Network(session)
        self._judge = _FrameJudge(options)
        self._decider = SpanDecider(options)
        self._seen: list[tuple[Floats, Floats]] = []
        self._taken = 0
        self._finished = False

    def feed(self, block: Floats) -> list[VadEvent]:
        """Any number of samples; what they decided. ``AudioInvalid`` for anything but ``[n]``."""
        if self._finished:
            raise AudioInvalid("Audio was given after the end of the stream.", "Open a new one.")
        events: list[VadEvent] = []
        for part in _parts(_checked(block)):
            events += self._decide(*self._frames.feed(part))
        return events

    def finish(self) -> list[VadEvent]:
        """The audio is over; a second call does nothing."""
        if self._finished:
            return []
        self._finished = True
        return self._decide(*self._frames.finish()) + self._decider.finish()

    @property
    def progress(self) -> Progress:
        """What is certain about the speech that no event has closed yet."""
        return self._decider.progress

    def take_frames(self) -> FrameScores:
        """Scores of the frames decided since the last call; who never asks keeps them all."""
        first, seen = self._taken, self._seen
        self._seen = []
        empty = np.empty(0, np.float32)
        scores = FrameScores(
            first,
            np.concatenate([empty, *(speech for speech, _ in seen)]),
            np.concatenate([empty, *(level for _, level in seen)]),
        )
        self._taken += len(scores)
        return scores

    def _decide(self, features: Floats, level_db: Floats) -> list[VadEvent]:
        if not len(features):
            return []
        silence = self._network.silence(features)
        self._seen.append((np.float32(1.0) - silence, level_db))
        return self._decider.feed(self._judge.flags(silence, level_db))


class _Network:
    """The forward pass with its four caches, ``[1, 128, 19, 1]`` each."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._caches = [np.zeros(_CACHE_SHAPE, np.float32)] * len(_CACHES)

    def silence(self, features: Floats) -> Floats:
        """``[n, 400]`` features to ``[n]`` probabilities of silence."""
        inputs: dict[str, Any] = dict(zip(_CACHES, self._caches, strict=True))
        inputs["speech"] = features[np.newaxis]
        pdfs, *self._caches = self._session.run(None, inputs)
        silence: Floats = pdfs[0, :, _SILENCE_PDF].copy()
        return silence


class _FrameJudge:
    """Probability and level of a frame to speech or not."""

    def __init__(self, options: VadOptions) -> None:
        self._options = options
        self._noise_db = OFF_DB

    def flags(self, silence: Floats, level_db: Floats) -> NDArray[np.bool_]:
        """``[n]`` and ``[n]`` to ``[n]``."""
        options = self._options
        probability = silence.astype(np.float64)
        speech = 1.0 - probability >= probability + options.speech_noise_threshold
        loud = level_db >= options.min_level_db
        if options.min_snr_db > OFF_DB:
            speech &= level_db - self._noise_before(level_db, loud & ~speech) >= options.min_snr_db
        flags: NDArray[np.bool_] = speech & loud
        return flags

    def _noise_before(self, level_db: Floats, noisy: NDArray[np.bool_]) -> NDArray[np.float64]:
        """``[n]`` average level of the silent frames before each frame; recursive, so a loop."""
        before = np.empty(len(level_db))
        noise = self._noise_db
        rows = zip(level_db.tolist(), noisy.tolist(), strict=True)
        for frame, (level, is_noise) in enumerate(rows):
            before[frame] = noise
            if is_noise and noise < _NO_NOISE_DB:
                noise = level
            elif is_noise:
                noise += (level - noise) / _NOISE_FRAMES
        self._noise_db = noise
        return before


def _parts(samples: Floats) -> Iterator[Floats]:
    for first in range(0, len(samples), _BLOCK_SAMPLES):
        yield samples[first : first + _BLOCK_SAMPLES]


def _checked(block: Floats) -> Floats:
    if block.ndim != 1 or not np.issubdtype(block.dtype, np.floating):
        raise AudioInvalid(
            f"The VAD was given {block.dtype} samples of shape {list(block.shape)}; "
            f"it takes float samples [n] at {SAMPLE_RATE_HZ} Hz."
        )
    return np.ascontiguousarray(block, dtype=np.float32)


def _load_session(path: Path, threads: int) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as exc:  # onnxruntime has one exception class per kind of damage
        raise WeightsInvalid("The VAD's model.onnx cannot be loaded.") from exc
    shapes = {node.name: node.shape[-1] for node in session.get_inputs()}
    if set(shapes) != {"speech", *_CACHES} or shapes["speech"] != FEATURES:
        raise WeightsInvalid("The VAD's model.onnx is a model of another kind.")
    return session
